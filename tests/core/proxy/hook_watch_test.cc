// Workers that do not return from a hook. The tests look by hand and stand in for the worker, so
// that no time passes.
#include "proxy/hook_watch.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "module/module_config.h"
#include "proxy/listener.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "settings/settings.h"
#include "support/folder.h"
#include "support/hooks.h"
#include "support/peer.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace rum::test;

class HookWatchTest : public testing::Test {
 protected:
  HookWatchTest() {
    auto settings = std::make_shared<Settings>();
    settings->workers = 2;
    settings->listeners.push_back(*ParseAddress("tcp:127.0.0.1:0", true));
    Hooks hooks;
    hooks.client_data = [](rum_session* s, std::string_view bytes) {
      Send(s, RUM_CLIENT, bytes);
      return static_cast<int64_t>(bytes.size());
    };
    proxy_ = std::make_unique<Proxy>(base_.get(), settings, MakeTestModule(hooks));
    EXPECT_TRUE(proxy_->Bind().ok());
    EXPECT_TRUE(proxy_->Start().ok());
    proxy_->Serve();
    watch_ = std::make_unique<HookWatch>(*proxy_);
  }
  ~HookWatchTest() override {
    watch_.reset();
    proxy_->Stop();
    proxy_->Join();
  }

  Worker& worker(size_t i) { return *proxy_->workers()[i]; }
  Listener& listener() { return *proxy_->listeners()[0]; }
  // So many looks, at the time of the watch.
  void Look(unsigned times = 1) {
    for (; times; --times, now_ += static_cast<uint64_t>(HookWatch::kLook.count())) {
      watch_->Look(now_);
    }
  }
  void Enter(size_t i) {
    in_[i].reset();
    in_[i].emplace(worker(i).hook_place, Hook::kClientData, 7);
  }
  void Leave(size_t i) { in_[i].reset(); }
  void ExpectAnswer() {
    Peer client = Peer::Connect(listener().text());
    client.Send("hello");
    EXPECT_EQ(client.Receive(5), "hello");
  }

  struct FreeBase {
    void operator()(event_base* base) const { event_base_free(base); }
  };
  std::unique_ptr<event_base, FreeBase> base_{event_base_new()};  // its loop does not run
  std::unique_ptr<Proxy> proxy_;
  std::unique_ptr<HookWatch> watch_;
  std::optional<InHook> in_[2];
  uint64_t now_ = NowMillis();
};

TEST_F(HookWatchTest, AWorkerIsStuckThatIsSeenInOneCallAgainAndAgain) {
  Enter(0);
  Look(HookWatch::kStuckLooks - 1);
  EXPECT_EQ(watch_->stuck(), 0u);
  EXPECT_EQ(watch_->stalls(), 0u);
  Look();
  EXPECT_EQ(watch_->stuck(), 1u);
  EXPECT_EQ(watch_->stalls(), 1u);
  EXPECT_TRUE(worker(0).stuck);
  EXPECT_FALSE(worker(1).stuck);
  Look(100);
  EXPECT_EQ(watch_->stalls(), 1u) << "one call counts once";
  Leave(0);
}

TEST_F(HookWatchTest, ManyCallsOneAfterTheOtherAreNoStall) {
  for (int i = 0; i < 20; ++i) {
    Enter(0);
    Look(HookWatch::kStuckLooks - 1);
  }
  Leave(0);
  EXPECT_EQ(watch_->stalls(), 0u);
  EXPECT_FALSE(worker(0).stuck);
}

TEST_F(HookWatchTest, AWorkerThatGetsOnIsTrustedAfterSomeLooks) {
  Enter(0);
  Look(HookWatch::kStuckLooks);
  Leave(0);
  Look(HookWatch::kCalmLooks - 1);
  EXPECT_TRUE(worker(0).stuck) << "the next hook may block as well";
  Enter(0);
  Look(HookWatch::kStuckLooks);
  EXPECT_EQ(watch_->stalls(), 2u);
  Leave(0);
  Look(HookWatch::kCalmLooks);
  EXPECT_FALSE(worker(0).stuck);
  EXPECT_EQ(watch_->stuck(), 0u);
}

TEST_F(HookWatchTest, AWorkerThatIsStuckGetsNoClients) {
  Enter(0);
  Look(HookWatch::kStuckLooks);
  worker(1).load = 100;  // many more than the other one
  EXPECT_EQ(&proxy_->LeastLoaded(worker(1)), &worker(1));
  worker(1).load = 0;
  Leave(0);
}

TEST_F(HookWatchTest, TheListenerOfAStuckWorkerGoesToAnotherAndMayComeBack) {
  ASSERT_EQ(listener().worker(), &worker(0));
  ExpectAnswer();
  for (size_t i : {0, 1, 0}) {
    Enter(i);
    Look(HookWatch::kStuckLooks);
    proxy_->RelieveStuck();
    EXPECT_EQ(listener().worker(), &worker(1 - i));
    ExpectAnswer();
    Leave(i);
    Look(HookWatch::kCalmLooks);
  }
}

TEST_F(HookWatchTest, AListenerStaysWhereItIsWhileAllAreStuck) {
  Enter(0);
  Enter(1);
  Look(HookWatch::kStuckLooks);
  proxy_->RelieveStuck();
  EXPECT_EQ(listener().worker(), &worker(0));
  EXPECT_EQ(watch_->stuck(), 2u);
  std::string why = watch_->WhyNotReady();
  EXPECT_TRUE(why.starts_with("all workers are stuck in module ")) << why;
  EXPECT_NE(why.find(": hook client_data for "), why.npos) << why;
  Leave(1);
  Look(HookWatch::kCalmLooks);
  EXPECT_EQ(watch_->WhyNotReady(), "");
  proxy_->RelieveStuck();
  EXPECT_EQ(listener().worker(), &worker(1));
  ExpectAnswer();
  Leave(0);
}

TEST_F(HookWatchTest, OnlyStuckWorkersAreLeftWhenTheOthersHaveNoConnection) {
  now_ -= 60000;
  Enter(0);
  Look(HookWatch::kStuckLooks);
  worker(0).load = 1;
  EXPECT_TRUE(watch_->OnlyStuckLeft(Millis(30000)));
  EXPECT_FALSE(watch_->OnlyStuckLeft(Millis(3600000)));
  worker(1).load = 1;
  EXPECT_FALSE(watch_->OnlyStuckLeft(Millis(30000)));
  worker(0).load = worker(1).load = 0;
  EXPECT_NE(watch_->Describe().find("worker 0 is in hook client_data of module "),
            std::string::npos);
  EXPECT_NE(watch_->Describe().find("(session 7)"), std::string::npos);
  Leave(0);
}

TEST_F(HookWatchTest, ACloseByTheMainThreadFreesTheAddressWhileAWorkerIsHeld) {
  std::promise<void> held, go_on;
  worker(0).Post([&] {
    held.set_value();
    go_on.get_future().wait();
  });
  held.get_future().wait();
  const std::string address = listener().text();
  proxy_->Drain();
  auto again = std::make_shared<Settings>();
  again->listeners.push_back(*ParseAddress(address, true));
  again->workers = 1;
  {
    Proxy next(base_.get(), again, proxy_->module_config());
    EXPECT_TRUE(next.Bind().ok());
  }
  go_on.set_value();
}

TEST_F(HookWatchTest, TheLogNamesModuleHookSessionAndTime) {
  Folder folder;
  log::Options options;
  options.target = folder / "log";
  ASSERT_TRUE(log::Open(options).ok());
  Enter(1);
  Look(HookWatch::kStuckLooks);
  Leave(1);
  Look();
  EXPECT_TRUE(log::Close());
  const std::string text = Contents(folder / "log");
  const std::string module = proxy_->module_config()->module().name;
  EXPECT_NE(text.find("module " + module +
                      ": hook client_data blocks worker 1 for 600ms so far (session 7)"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("module " + module +
                      ": hook client_data has blocked worker 1 for 800ms (session 7)"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace rum

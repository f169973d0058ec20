#include "support/running_proxy.h"

#include <cdb.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "limits/access_control.h"
#include "limits/resident.h"
#include "lookup/map_source.h"
#include "map/map_file.h"
#include "module/module_config.h"
#include "probe/explainer.h"
#include "probe/prober.h"
#include "proxy/listener.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "support/timeout.h"
#include "tls/tls_contexts.h"

namespace rum::test {

MainLoop::MainLoop(std::function<void(event_base*)> begin, std::function<void()> end)
    : base_(event_base_new()), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  thread_ = std::thread([this, begin = std::move(begin), end = std::move(end)] {
    event* wake = event_new(
        base_, wake_.get(), EV_READ | EV_PERSIST,
        [](evutil_socket_t fd, short, void* self) {
          uint64_t count;
          (void)!::read(fd, &count, sizeof count);
          auto& loop = *static_cast<MainLoop*>(self);
          std::vector<std::function<void()>> tasks;
          {
            std::lock_guard lock(loop.mutex_);
            tasks.swap(loop.tasks_);
            if (loop.stop_) event_base_loopbreak(loop.base_);
          }
          for (auto& task : tasks) task();
        },
        this);
    event_add(wake, nullptr);
    if (begin) begin(base_);
    event_base_loop(base_, EVLOOP_NO_EXIT_ON_EMPTY);
    if (end) end();
    event_free(wake);
  });
}

MainLoop::~MainLoop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  thread_.join();
  event_base_free(base_);
}

void MainLoop::Run(const std::function<void()>& task) {
  auto done = std::make_shared<std::promise<void>>();
  auto over = done->get_future();
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back([&task, done] {
      task();
      done->set_value();
    });
  }
  uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  over.wait();
}

namespace {

// ResidentBytes() opens a file at its first call in a process, and keeps it open.
std::vector<std::string> Baseline() {
  ResidentBytes();
  return ListDescriptors();
}

}  // namespace

RunningProxy::RunningProxy(Hooks hooks, const Change& change)
    : descriptors_before_(Baseline()), log_file_(folder_ / "log") {
  ::signal(SIGPIPE, SIG_IGN);
  log::Options log;
  log.target = log_file_;
  log.json = true;
  log.level = log::Level::kDebug;
  auto opened = log::Open(log);
  EXPECT_TRUE(opened.ok());
  auto settings = std::make_shared<Settings>();
  settings->listeners.push_back(*ParseAddress("tcp:127.0.0.1:0", true));
  settings->breaker.failures = 0;  // tests with failing servers expect every attempt
  if (change) change(*settings);
  if (!settings->map.empty()) settings->map_sources = *ParseMapSources(settings->map);
  auto config = MakeTestModule(std::move(hooks));
  if (!config) return;
  std::promise<void> started;
  loop_ = std::make_unique<MainLoop>(
      [&](event_base* base) {
        proxy_ = std::make_unique<Proxy>(base, settings, config);
        prober_ = std::make_unique<Prober>(base, *proxy_, settings->health_check);
        explainer_ = std::make_unique<Explainer>(*proxy_);
        config.reset();
        if (settings->tls.first) {
          settings->tls.state_dir = folder_.path();
          auto tls = TlsContexts::Make(settings->tls);
          EXPECT_TRUE(tls.ok()) << (tls ? "" : tls.error().text);
          if (tls) proxy_->SetTls(*tls);
        }
        auto bound = proxy_->Bind();
        EXPECT_TRUE(bound.ok()) << (bound ? "" : bound.error().text);
        auto running = proxy_->Start();
        EXPECT_TRUE(running.ok()) << (running ? "" : running.error().text);
        proxy_->Serve();
        for (const auto& listener : proxy_->listeners()) addresses_.push_back(listener->text());
        started.set_value();
      },
      [this] {
        proxy_->Join();  // workers post to these
        prober_.reset();
        explainer_.reset();
        proxy_.reset();
      });
  started.get_future().wait();
}

RunningProxy::~RunningProxy() {
  if (loop_) {
    CheckTheEnd();
    Stop();
    loop_.reset();
  }
  log::Close();
  EXPECT_EQ(OpenSessions(), 0u) << "sessions without session_close";
  auto descriptors = ListDescriptors();
  EXPECT_EQ(descriptors.size(), descriptors_before_.size())
      << "descriptors are not back: " << testing::PrintToString(descriptors) << ", before "
      << testing::PrintToString(descriptors_before_);
  for (const std::string& violation : TakeViolations()) ADD_FAILURE() << violation;
}

// Ends what the test left open, and checks that all counts add up.
void RunningProxy::CheckTheEnd() {
  OnMain([](Proxy& proxy) { proxy.EndSessions(RUM_CLOSE_KILLED); });
  EXPECT_TRUE(Eventually([&] { return Sum(&Counters::active) == 0; }))
      << Sum(&Counters::active) << " sessions do not end";
  EXPECT_EQ(Sum(&Counters::relaying), 0u);
  EXPECT_EQ(proxy_->access_control().connections(), 0u);
  EXPECT_EQ(proxy_->access_control().connecting(), 0u);
  EXPECT_EQ(proxy_->access_control().addresses(), 0u);
  EXPECT_EQ(proxy_->access_control().destinations(), 0u);
  EXPECT_EQ(proxy_->loads().active(), 0u) << "servers that still have sessions";
  EXPECT_TRUE(Eventually([&] { return Sum(&Counters::connecting) == 0; }));
  uint64_t ended = 0;
  for (const CloseReason& reason : kCloseReasons) ended += Ended(reason.number);
  EXPECT_EQ(ended, Sum(&Counters::accepted)) << "sessions that ended and sessions that began";
  if (stopped_) return;
  OnMain([this](Proxy&) { prober_->Stop(); });
  EXPECT_TRUE(Eventually([&] { return Tickets() == 0; })) << Tickets() << " tickets of no session";
  OnMain([](Proxy& proxy) { proxy.Drain(); });
  EXPECT_TRUE(Eventually([&] {
    bool idle = false;
    OnMain([&](Proxy& proxy) { idle = proxy.Idle(); });
    return idle;
  })) << "the proxy does not drain";
}

void RunningProxy::OnMain(const std::function<void(Proxy&)>& task) {
  loop_->Run([&] { task(*proxy_); });
}

void RunningProxy::WithProber(const std::function<void(Prober&)>& task) {
  loop_->Run([&] { task(*prober_); });
}

void RunningProxy::Stop() {
  OnMain([this](Proxy& proxy) {
    prober_->Stop();
    proxy.Drain();
    proxy.Stop();
  });
  stopped_ = true;
}

void RunningProxy::SetMap(const std::map<std::string, std::string>& records) {
  std::string path = folder_ / "map";
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  cdb_make make;
  cdb_make_start(&make, fd.get());
  for (const auto& [key, value] : records) {
    cdb_make_add(&make, key.data(), static_cast<unsigned>(key.size()), value.data(),
                 static_cast<unsigned>(value.size()));
  }
  cdb_make_finish(&make);
  auto map = MapFile::Load(path);
  ASSERT_TRUE(map.ok()) << map.error().text;
  OnMain([&](Proxy& proxy) { proxy.SetMap(*map); });
}

size_t RunningProxy::Tickets() const {
  size_t sum = 0;
  for (const auto& worker : proxy_->workers()) {
    std::promise<size_t> tickets;
    if (worker->Post([&, w = worker.get()] { tickets.set_value(w->tickets()); })) {
      sum += tickets.get_future().get();
    }
  }
  return sum;
}

uint64_t RunningProxy::Sum(Counter Counters::*member) const {
  uint64_t sum = 0;
  for (const auto& worker : proxy_->workers()) sum += (worker->counters.*member).get();
  return sum;
}

uint64_t RunningProxy::Ended(uint32_t reason) const {
  uint64_t sum = 0;
  for (const auto& worker : proxy_->workers()) sum += worker->counters.ended[reason].get();
  return sum;
}

uint64_t RunningProxy::ModuleCounter(size_t index) const {
  uint64_t sum = 0;
  for (const auto& worker : proxy_->workers()) sum += worker->counters.module[index].get();
  return sum;
}

nlohmann::json RunningProxy::NextEnd() {
  nlohmann::json found;
  bool came = Eventually([&] {
    std::string text = Contents(log_file_);
    while (true) {
      size_t end = text.find('\n', log_read_);
      if (end == text.npos) return false;
      std::string line = text.substr(log_read_, end - log_read_);
      log_read_ = end + 1;
      auto json = nlohmann::json::parse(line, nullptr, false);
      if (json.is_discarded()) {
        ADD_FAILURE() << "a log line is not JSON: " << line;
        continue;
      }
      if (json.value("event", "") == "session") {
        found = std::move(json);
        return true;
      }
    }
  });
  EXPECT_TRUE(came) << "no session ended";
  return came ? found : nlohmann::json::object();
}

HeldWorker::HeldWorker(RunningProxy& proxy) {
  auto held = std::make_shared<std::promise<void>>();
  std::shared_future<void> go_on = go_on_.get_future();
  proxy.proxy().workers()[0]->Post([held, go_on] {
    held->set_value();
    go_on.wait_for(std::chrono::seconds(10));
  });
  held->get_future().wait_for(std::chrono::seconds(10));
}

void HeldWorker::Go() {
  if (!std::exchange(gone_, true)) go_on_.set_value();
}

}  // namespace rum::test

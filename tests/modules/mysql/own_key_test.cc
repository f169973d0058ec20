#include "mysql/own_key.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace rum::mysql {
namespace {

using std::chrono::hours;

// What resume() was told, by ticket. One for the process: the call has no pointer of its own.
struct Resumed {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::pair<uint64_t, int32_t>> all;

  std::vector<std::pair<uint64_t, int32_t>> Wait(size_t number) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return all.size() >= number; });
    return std::exchange(all, {});
  }
} resumed;

void Resume(uint64_t ticket, int32_t status, void*, void (*)(void*)) {
  std::lock_guard lock(resumed.mutex);
  resumed.all.emplace_back(ticket, status);
  resumed.changed.notify_all();
}

class OwnKeysTest : public testing::Test {
 protected:
  OwnKeysTest() : keys_([this] { return MakeOne(); }, [this] { return now_; }) {
    host_.resume = Resume;
    resumed.all.clear();
  }
  ~OwnKeysTest() override {
    Release();
    keys_.Finish();
  }

  std::unique_ptr<RsaKey> MakeOne() {
    std::unique_lock lock(mutex_);
    ++made_;
    begun_.notify_all();
    begun_.wait(lock, [this] { return !held_; });
    return fails_ ? nullptr : RsaKey::Make(512);  // short ones are quick
  }
  void Hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void Release() {
    std::lock_guard lock(mutex_);
    held_ = false;
    begun_.notify_all();
  }
  void WaitUntilBegun() {
    std::unique_lock lock(mutex_);
    begun_.wait(lock, [this] { return made_ > 0; });
  }
  void Want(const std::string& server) {
    keys_.Await(host_, server, 1);
    EXPECT_EQ(resumed.Wait(1).at(0).second, RUM_OK) << server;
  }

  rum_host host_{};
  std::mutex mutex_;
  std::condition_variable begun_;
  bool held_ = false, fails_ = false;
  int made_ = 0;
  std::chrono::steady_clock::time_point now_{hours(1000)};
  OwnKeys keys_;
};

TEST_F(OwnKeysTest, EachServerHasItsOwn) {
  EXPECT_EQ(keys_.Find("a:1"), nullptr);
  Want("a:1");
  OwnKeys::Key a = keys_.Find("a:1");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(keys_.Find("b:1"), nullptr);
  Want("b:1");
  EXPECT_NE(keys_.Find("b:1"), a);
  EXPECT_EQ(keys_.Find("a:1"), a);
  EXPECT_EQ(made_, 2);
}

TEST_F(OwnKeysTest, OneIsRenewedAfterADayAndWhoHasTheOldOneKeepsIt) {
  Want("a:1");
  OwnKeys::Key old = keys_.Find("a:1");
  now_ += hours(24) - std::chrono::seconds(1);
  EXPECT_EQ(keys_.Find("a:1"), old);
  now_ += std::chrono::seconds(1);
  EXPECT_EQ(keys_.Find("a:1"), nullptr);
  Want("a:1");
  EXPECT_NE(keys_.Find("a:1"), old);
  EXPECT_NE(old->pem(), "");
}

TEST_F(OwnKeysTest, TheOnesNotUsedForLongestGo) {
  for (size_t i = 0; i < OwnKeys::kKept; ++i) {
    now_ += std::chrono::seconds(1);
    Want("s:" + std::to_string(i));
  }
  now_ += std::chrono::seconds(1);
  EXPECT_NE(keys_.Find("s:0"), nullptr);
  Want("one more");
  EXPECT_NE(keys_.Find("s:0"), nullptr);
  EXPECT_EQ(keys_.Find("s:1"), nullptr);
  EXPECT_NE(keys_.Find("s:2"), nullptr);
}

TEST_F(OwnKeysTest, ServersHaveTheirTurnAndTheirLoginsWaitForOneKey) {
  Hold();
  keys_.Await(host_, "a:1", 1);
  WaitUntilBegun();
  keys_.Await(host_, "b:1", 2);
  keys_.Await(host_, "c:1", 3);
  keys_.Await(host_, "b:1", 4);
  keys_.Await(host_, "a:1", 5);
  Release();
  std::vector<std::pair<uint64_t, int32_t>> wanted = {
      {1, RUM_OK}, {5, RUM_OK}, {2, RUM_OK}, {4, RUM_OK}, {3, RUM_OK}};
  EXPECT_EQ(resumed.Wait(5), wanted);
  EXPECT_EQ(made_, 3);
}

TEST_F(OwnKeysTest, NoMoreWaitThanTheBounds) {
  Hold();
  for (size_t i = 0; i < OwnKeys::kServersWaiting; ++i) {
    keys_.Await(host_, "s:" + std::to_string(i), i);
  }
  keys_.Await(host_, "one more", 1000);
  std::vector<std::pair<uint64_t, int32_t>> refused = {{1000, RUM_E_LIMIT}};
  EXPECT_EQ(resumed.Wait(1), refused);
  for (size_t i = OwnKeys::kServersWaiting; i < OwnKeys::kLoginsWaiting; ++i) {
    keys_.Await(host_, "s:7", i);
  }
  keys_.Await(host_, "s:7", 1001);
  refused = {{1001, RUM_E_LIMIT}};
  EXPECT_EQ(resumed.Wait(1), refused);
  Release();
  EXPECT_EQ(resumed.Wait(OwnKeys::kLoginsWaiting).size(), OwnKeys::kLoginsWaiting);
  Want("one more");
}

TEST_F(OwnKeysTest, OneThatCouldNotBeMadeIsTriedAgain) {
  fails_ = true;
  keys_.Await(host_, "a:1", 1);
  std::vector<std::pair<uint64_t, int32_t>> failed = {{1, RUM_E_FAILED}};
  EXPECT_EQ(resumed.Wait(1), failed);
  fails_ = false;
  Want("a:1");
}

TEST_F(OwnKeysTest, TheEndWaitsForTheOneThatIsBeingMadeOnly) {
  Hold();
  for (uint64_t i = 0; i < 10; ++i) keys_.Await(host_, "s:" + std::to_string(i), i);
  WaitUntilBegun();
  std::thread end([this] { keys_.Finish(); });
  while (!keys_.finishing()) std::this_thread::yield();
  Release();
  end.join();
  EXPECT_EQ(made_, 1);
  auto all = resumed.Wait(10);
  EXPECT_EQ(all[0].second, RUM_OK);
  for (size_t i = 1; i < 10; ++i) EXPECT_EQ(all[i].second, RUM_E_FAILED);
  Want("s:9");
}

}  // namespace
}  // namespace rum::mysql

// The table of "rum.shared/1": who owns what, its bounds, and what two processes see of each other.
#include "proxy/shared_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::string_literals;

constexpr uint64_t kHour = 3600 * 1000;

class SharedTableTest : public testing::Test {
 protected:
  SharedTableTest() : table_(SharedTable::Make("test")) {}

  int32_t Put(uint64_t session, const std::string& key, const std::string& value,
              uint64_t lifetime = 0, const std::string& user = "alice") {
    return table_->Put({session, user}, key, value, lifetime);
  }
  static std::string Look(SharedTable& table, const std::string& key, bool take = false) {
    char value[RUM_MOST_SHARED_VALUE];
    size_t size = sizeof value;
    int32_t status = table.Find(key, value, &size, take);
    EXPECT_TRUE(status != RUM_NOT_FOUND || size == 0);
    return status == RUM_FOUND       ? std::string(value, size)
           : status == RUM_NOT_FOUND ? "none"
                                     : std::to_string(status);
  }
  std::string Get(const std::string& key) { return Look(*table_, key); }
  std::string Take(const std::string& key) { return Look(*table_, key, true); }

  // Runs it in another process, which has nothing but the memory, as after a hand-over.
  static bool InAnotherProcess(SharedTable& table, const std::function<bool(SharedTable&)>& body) {
    const int memory = table.fd();
    pid_t child = ::fork();
    if (child == 0) {
      auto other = SharedTable::Open(Fd(::dup(memory)), "test");
      ::_exit(other && body(*other) ? 0 : 1);
    }
    int status = 1;
    ::waitpid(child, &status, 0);
    return status == 0;
  }

  std::unique_ptr<SharedTable> table_;
};

TEST_F(SharedTableTest, FindsWhatWasPut) {
  EXPECT_EQ(Put(1, "key", "value"), RUM_OK);
  EXPECT_EQ(Put(1, "\0\xff"s, ""), RUM_OK);
  EXPECT_EQ(Get("key"), "value");
  EXPECT_EQ(Get("\0\xff"s), "");
  EXPECT_EQ(Get("ke"), "none");
  EXPECT_EQ(Get("key\0"s), "none");
}

TEST_F(SharedTableTest, GivesAnEntryToTheFirstWhoTakesIt) {
  Put(1, "key", "value");
  EXPECT_EQ(Take("key"), "value");
  EXPECT_EQ(Take("key"), "none");
  EXPECT_EQ(Get("key"), "none");
  EXPECT_EQ(Put(2, "key", "again"), RUM_OK);
  EXPECT_EQ(table_->Find("key", nullptr, nullptr, true), RUM_FOUND);
  EXPECT_EQ(Get("key"), "none");
}

TEST_F(SharedTableTest, SaysHowMuchRoomAValueNeedsAndKeepsIt) {
  Put(1, "key", "value");
  char value[4];
  size_t size = sizeof value;
  EXPECT_EQ(table_->Find("key", value, &size, true), RUM_E_LIMIT);
  EXPECT_EQ(size, 5u);
  EXPECT_EQ(Get("key"), "value");
}

TEST_F(SharedTableTest, DropsTheEntriesOfASessionThatEnds) {
  Put(1, "a", "1");
  Put(1, "b", "1", kHour);
  Put(2, "c", "2");
  table_->End(1);
  EXPECT_EQ(Get("a"), "none");
  EXPECT_EQ(Get("b"), "1");
  EXPECT_EQ(Get("c"), "2");
  table_->End(1);
  table_->End(3);
  EXPECT_EQ(table_->used(), 2u);
}

TEST_F(SharedTableTest, DoesNotDropWhatAnotherHasPutUnderTheKeyMeanwhile) {
  Put(1, "key", "1");
  Take("key");
  Put(2, "key", "2");
  table_->End(1);
  EXPECT_EQ(Get("key"), "2");
}

TEST_F(SharedTableTest, LetsOnlyTheOwnerReplaceAnEntry) {
  Put(1, "key", "1");
  EXPECT_EQ(Put(2, "key", "2"), RUM_E_STATE);
  EXPECT_EQ(Put(1, "key", "2", kHour), RUM_E_STATE);
  EXPECT_EQ(Put(1, "key", "3"), RUM_OK);
  EXPECT_EQ(Get("key"), "3");
  Put(1, "timed", "1", kHour);
  EXPECT_EQ(Put(2, "timed", "2", kHour, "bob"), RUM_E_STATE);
  EXPECT_EQ(Put(2, "timed", "2", kHour, "alice"), RUM_OK);
  EXPECT_EQ(Get("timed"), "2");
  EXPECT_EQ(table_->used(), 2u);
}

TEST_F(SharedTableTest, ForgetsWhatHasOutlivedItsTime) {
  Put(1, "key", "value", 1);
  EXPECT_TRUE(test::Eventually([&] { return Get("key") == "none"; }));
  EXPECT_EQ(table_->used(), 0u);
  // What nobody looks for goes when others come.
  Put(1, "late", "value", 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Put(1, "next", "value");
  EXPECT_EQ(table_->used(), 1u);
}

TEST_F(SharedTableTest, SaysOfAnEntryThatItsSessionRemovesWhetherSomebodyHasFoundIt) {
  Put(1, "seen", "x");
  Put(1, "unseen", "x");
  Put(1, "gone", "x");
  Put(1, "timed", "x", kHour);
  char value[RUM_MOST_SHARED_VALUE];
  size_t size = 0;
  EXPECT_EQ(table_->Find("unseen", value, &size, false), RUM_E_LIMIT) << "nobody got the value";
  EXPECT_TRUE(InAnotherProcess(*table_, [](SharedTable& other) {
    return Look(other, "seen") == "x" && other.Remove(1, "seen") == RUM_NOT_FOUND;
  }));
  Take("gone");
  EXPECT_EQ(table_->Remove(2, "seen"), RUM_NOT_FOUND);
  EXPECT_EQ(table_->Remove(1, "seen"), RUM_SEEN);
  EXPECT_EQ(table_->Remove(1, "unseen"), RUM_OK);
  EXPECT_EQ(table_->Remove(1, "gone"), RUM_NOT_FOUND);
  EXPECT_EQ(table_->Remove(1, "timed"), RUM_NOT_FOUND);
  EXPECT_EQ(table_->used(), 1u);
  // A new entry has been found by nobody, whatever was in its place.
  Put(1, "seen", "y");
  EXPECT_EQ(table_->Remove(1, "seen"), RUM_OK);
  for (uint32_t i = 0; i < RUM_MOST_SHARED_ENTRIES; ++i) Put(1, std::to_string(i), "x");
  EXPECT_EQ(Put(1, "more", "x"), RUM_E_LIMIT);
  EXPECT_EQ(table_->Remove(1, "3"), RUM_OK);
  EXPECT_EQ(Put(1, "more", "x"), RUM_OK);
}

TEST_F(SharedTableTest, KeepsLongEntriesInSeveralCellsAndUsesThemAgain) {
  std::string text;
  for (unsigned i = 0; i < RUM_MOST_SHARED_VALUE; ++i) text += static_cast<char>(i * 7);
  for (int round = 0; round < 3; ++round) {
    for (size_t key = 1; key <= RUM_MOST_SHARED_KEY; key += 51) {
      for (size_t value : {0u, 1u, 4u, 5u, 55u, 56u, 86u, 87u, 88u, 143u, 144u, 512u}) {
        const std::string name(key, static_cast<char>('a' + key % 26));
        ASSERT_EQ(Put(1, name, text.substr(0, value)), RUM_OK);
        EXPECT_EQ(Get(name), text.substr(0, value));
        EXPECT_EQ(table_->used(), key + value <= 56 ? 1u : 1u + (key + value - 56 + 86) / 87);
        table_->End(1);
        EXPECT_EQ(table_->used(), 0u);
      }
    }
  }
}

TEST_F(SharedTableTest, CountsALongEntryAsSeveral) {
  const std::string value(RUM_MOST_SHARED_VALUE, 'v');
  uint32_t count = 0;
  while (Put(1, "timed" + std::to_string(count), value, kHour) == RUM_OK) ++count;
  EXPECT_EQ(count, SharedTable::kTimedPerUser / 7);
  EXPECT_EQ(Put(1, "short", "x", kHour), RUM_OK);
}

TEST_F(SharedTableTest, RefusesWhatIsBeyondItsBounds) {
  const std::string key(RUM_MOST_SHARED_KEY, 'k'), value(RUM_MOST_SHARED_VALUE, 'v');
  EXPECT_EQ(Put(1, key, value), RUM_OK);
  EXPECT_EQ(Get(key), value);
  EXPECT_EQ(Put(1, key + "k", value), RUM_E_LIMIT);
  EXPECT_EQ(Put(1, "key", value + "v"), RUM_E_LIMIT);
  EXPECT_EQ(Put(1, "key", value, RUM_MOST_MILLISECONDS + 1ull), RUM_E_LIMIT);
  EXPECT_EQ(Put(1, "", value), RUM_E_ARGUMENT);
  EXPECT_EQ(Get(key + "k"), std::to_string(RUM_E_LIMIT));
  EXPECT_EQ(Get(""), std::to_string(RUM_E_ARGUMENT));
}

TEST_F(SharedTableTest, GivesASessionSoManyEntriesAndNoMore) {
  for (uint32_t i = 0; i < RUM_MOST_SHARED_ENTRIES; ++i) {
    EXPECT_EQ(Put(1, std::to_string(i), "x"), RUM_OK);
  }
  EXPECT_EQ(Put(1, "more", "x"), RUM_E_LIMIT);
  EXPECT_EQ(Put(1, "0", "replaced"), RUM_OK);
  EXPECT_EQ(Put(2, "more", "x"), RUM_OK);
  Take("1");  // whoever takes it
  EXPECT_EQ(Put(1, "again", "x"), RUM_OK);
}

TEST_F(SharedTableTest, IsNotFilledByOneUser) {
  uint32_t count = 0;
  while (Put(1, "timed" + std::to_string(count), "x", kHour) == RUM_OK) ++count;
  EXPECT_EQ(count, SharedTable::kTimedPerUser);
  EXPECT_EQ(Put(1, "timed", "x", kHour, "bob"), RUM_OK);
  for (count = 0;; ++count) {
    const uint64_t session = 10 + count / RUM_MOST_SHARED_ENTRIES;
    if (Put(session, "own" + std::to_string(count), "x") != RUM_OK) break;
  }
  EXPECT_EQ(count, SharedTable::kPerUser);
  EXPECT_EQ(Put(1, "own", "x", 0, "bob"), RUM_OK);
  table_->End(10);
  EXPECT_EQ(Put(2, "other", "x"), RUM_OK);
}

TEST_F(SharedTableTest, TakesNoMoreThanItHasRoomForAndUsesItAgain) {
  uint32_t count = 0;
  auto user = [&] { return "user" + std::to_string(count / SharedTable::kTimedPerUser); };
  while (Put(1, std::to_string(count), "x", kHour, user()) == RUM_OK) ++count;
  // Two users may share an account; then it is a little less.
  EXPECT_LE(count, SharedTable::kTimedMost);
  EXPECT_EQ(Put(1, "own", "x"), RUM_OK);
  EXPECT_EQ(Take("0"), "x");
  EXPECT_EQ(Put(1, "0", "again", kHour, "user0"), RUM_OK);
}

TEST_F(SharedTableTest, IsTheSameForAnotherProcess) {
  Put(1, "key", "value");
  Put(1, "own", "value");
  EXPECT_TRUE(InAnotherProcess(*table_, [](SharedTable& other) {
    return Look(other, "own") == "value" && Look(other, "key", true) == "value" &&
           other.Put({1, "bob"}, "own", "x", 0) == RUM_E_STATE &&
           other.Put({1, "bob"}, "timed", "outlives", kHour) == RUM_OK &&
           other.Put({1, "bob"}, "dies", "with it", 0) == RUM_OK;
  }));
  EXPECT_EQ(Get("key"), "none");
  EXPECT_EQ(Get("own"), "value");
  EXPECT_EQ(Get("timed"), "outlives");
  EXPECT_EQ(Get("dies"), "none");  // its process has died without a word
}

TEST_F(SharedTableTest, SurvivesAProcessThatDiesWhileItChangesIt) {
  Put(1, "key", "value");
  for (int round = 0; round < 20; ++round) {
    pid_t child = ::fork();
    if (child == 0) {
      auto other = SharedTable::Open(Fd(::dup(table_->fd())), "test");
      for (int i = 0;; ++i) other->Put({1, "bob"}, std::to_string(i % 8), "x", 0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    // All of it may be gone, but it works.
    const std::string key = "after" + std::to_string(round);
    EXPECT_EQ(Put(100 + static_cast<uint64_t>(round), key, "x"), RUM_OK);
    EXPECT_EQ(Get(key), "x");
  }
}

TEST_F(SharedTableTest, IsForOneModule) {
  Put(1, "key", "value");
  EXPECT_EQ(SharedTable::Open(Fd(::dup(table_->fd())), "other"), nullptr);
  EXPECT_EQ(SharedTable::Open(Fd(::dup(table_->fd())), "tes"), nullptr);
}

TEST_F(SharedTableTest, TakesNoOtherMemoryForATable) {
  EXPECT_EQ(SharedTable::Open(Fd(), "test"), nullptr);
  EXPECT_EQ(SharedTable::Open(Fd(::open("/dev/null", O_RDWR)), "test"), nullptr);
  Fd empty(::memfd_create("empty", MFD_ALLOW_SEALING));
  EXPECT_EQ(SharedTable::Open(Fd(::dup(empty.get())), "test"), nullptr);
  const off_t size = ::lseek(table_->fd(), 0, SEEK_END);
  ASSERT_EQ(::ftruncate(empty.get(), size), 0);
  EXPECT_EQ(SharedTable::Open(Fd(::dup(empty.get())), "test"), nullptr) << "without seals";
  ASSERT_EQ(::fcntl(empty.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  EXPECT_EQ(SharedTable::Open(Fd(::dup(empty.get())), "test"), nullptr) << "zeroes";
}

TEST_F(SharedTableTest, IsUsedByManyThreadsAtATime) {
  std::vector<std::thread> threads;
  for (uint64_t session = 1; session <= 4; ++session) {
    threads.emplace_back([this, session] {
      const std::string own = "own" + std::to_string(session);
      for (int i = 0; i < 2000; ++i) {
        EXPECT_EQ(Put(session, own, std::to_string(i)), RUM_OK);
        Put(session, "common", "x");
        EXPECT_EQ(Take(own), std::to_string(i));
        table_->End(session);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(table_->used(), 0u);
}

}  // namespace
}  // namespace rum

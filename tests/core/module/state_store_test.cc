#include "module/state_store.h"

#include <event2/event.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/main_queue.h"
#include "rum/module.h"
#include "support/few_descriptors.h"
#include "support/folder.h"
#include "support/timeout.h"

namespace {
std::atomic<bool> slow_disk = false;
std::atomic<int> waiting_for_disk = 0;
}  // namespace

// In place of the C library's: a disk that takes its time.
extern "C" int fsync(int fd) {
  ++waiting_for_disk;
  for (int i = 0; slow_disk && i < 10000; ++i) ::usleep(1000);
  --waiting_for_disk;
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace rum {
namespace {

class StateStoreTest : public ::testing::Test {
 protected:
  ~StateStoreTest() override { event_base_free(base_); }
  std::unique_ptr<StateStore> Open() {
    return std::make_unique<StateStore>(base_, folder_.path(),
                                        std::vector{*ParseAddress("tcp:127.0.0.1:1")});
  }
  static void Save(const std::string& text) {
    EXPECT_EQ(StateStore::SaveForModule("test", text.data(), text.size()), RUM_OK);
  }
  static std::string Load() {
    char bytes[100];
    return {bytes, StateStore::LoadForModule("test", bytes, sizeof bytes)};
  }

  // Runs the main loop until it holds.
  bool Eventually(const std::function<bool()>& holds) {
    return test::Eventually([&] {
      event_base_loop(base_, EVLOOP_NONBLOCK);
      return holds();
    });
  }

  test::Folder folder_;
  event_base* base_ = event_base_new();
};

TEST_F(StateStoreTest, DoesNotWorkWithoutDescriptors) {
  EXPECT_TRUE(Open()->works());
  test::FewDescriptors few(0);
  EXPECT_FALSE(Open()->works()) << "nothing would be written in time";
}

TEST_F(StateStoreTest, WritesWhatWaitsAtTheEndAndWhenAsked) {
  auto store = Open();
  Save("one");
  store->WriteAll();
  EXPECT_EQ(Load(), "one");
  Save("two");
  EXPECT_EQ(Load(), "one");
  store.reset();
  store = Open();
  EXPECT_EQ(Load(), "two");
}

TEST_F(StateStoreTest, LeavesTheFilesToTheProcessThatHasTakenOver) {
  auto store = Open();
  Save("of the new process");
  store->WriteAll();
  Save("waits in the old one");
  store->GiveUp();
  Save("comes later");
  store->WriteAll();
  store.reset();
  store = Open();
  EXPECT_EQ(Load(), "of the new process");
}

TEST_F(StateStoreTest, ASlowDiskDoesNotHoldUpTheMainLoop) {
  auto store = Open();
  slow_disk = true;
  Save("one");
  ASSERT_TRUE(Eventually([] { return waiting_for_disk > 0; })) << "the main loop hangs in fsync";
  Save("two");
  for (int i = 0; i < 10; ++i) event_base_loop(base_, EVLOOP_NONBLOCK);
  EXPECT_EQ(waiting_for_disk, 1) << "one at a time";
  slow_disk = false;
  EXPECT_TRUE(Eventually([] { return Load() == "two"; }));
}

TEST_F(StateStoreTest, WhatIsBeingWrittenIsWrittenBeforeAnotherProcessTakesOver) {
  auto store = Open();
  slow_disk = true;
  Save("one");
  ASSERT_TRUE(Eventually([] { return waiting_for_disk > 0; }));
  std::thread disk([] {
    ::usleep(50000);
    slow_disk = false;
  });
  store->GiveUp();
  EXPECT_EQ(waiting_for_disk, 0);
  disk.join();
  EXPECT_EQ(Load(), "one");
}

TEST_F(StateStoreTest, ADirectoryThatOthersMayWriteToIsNotUsed) {
  auto store = Open();
  Save("one");
  store->WriteAll();
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0777), 0);
  EXPECT_EQ(Load(), "");
  Save("two");
  store->WriteAll();
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0700), 0);
  EXPECT_EQ(Load(), "one");
}

}  // namespace
}  // namespace rum

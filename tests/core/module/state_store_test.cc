#include "module/state_store.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/main_queue.h"
#include "rum/module.h"
#include "support/few_descriptors.h"
#include "support/folder.h"

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

}  // namespace
}  // namespace rum

#include "module/hook.h"

#include <gtest/gtest.h>
#include <rum/module.h>

#include <set>
#include <string_view>
#include <thread>

namespace rum {
namespace {

TEST(Hook, EachHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (std::string_view name : kHookNames) EXPECT_TRUE(names.insert(name).second) << name;
  EXPECT_EQ(HookName(Hook::kInit), "init");
  EXPECT_EQ(HookName(Hook::kClientData), "client_data");
  EXPECT_EQ(HookName(Hook::kProbeOpen), "probe_open");
}

TEST(InHook, IsThereUntilItGoesAndNumbersTheCalls) {
  HookPlace place;
  EXPECT_EQ(place.Look().hook, Hook::kNone);
  HookPlace::Seen first;
  {
    InHook in(place, Hook::kTimeout, 7);
    first = place.Look();
    EXPECT_EQ(first.hook, Hook::kTimeout);
    EXPECT_EQ(first.session, 7u);
  }
  EXPECT_EQ(place.Look().hook, Hook::kNone);
  EXPECT_EQ(place.Look().session, 0u);
  InHook in(place, Hook::kTimeout, 7);
  EXPECT_NE(place.Look(), first) << "another call";
}

TEST(InHook, OneWithinAnotherGivesTheOuterOneBack) {
  HookPlace place;
  InHook outer(place, Hook::kSessionClose, 7);
  {
    InHook inner(place, Hook::kConfigFree);
    EXPECT_EQ(place.Look().hook, Hook::kConfigFree);
    EXPECT_EQ(place.Look().session, 0u);
  }
  EXPECT_EQ(place.Look().hook, Hook::kSessionClose);
  EXPECT_EQ(place.Look().session, 7u);
}

TEST(HookPlace, BelongsToTheThreadThatTookIt) {
  HookPlace place;
  std::thread([&] {
    place.Take();
    EXPECT_EQ(&HookPlace::OfThread(), &place);
    InHook in(HookPlace::OfThread(), Hook::kStats);
    EXPECT_EQ(HookPlace::LookAtThread().hook, Hook::kStats);
  }).join();
  EXPECT_NE(&HookPlace::OfThread(), &place);
  InHook in(HookPlace::OfThread(), Hook::kStats);
  EXPECT_EQ(HookPlace::LookAtThread().hook, Hook::kNone) << "a thread without a place";
}

}  // namespace
}  // namespace rum

// Changes laid over a map: the last one of a user counts, and earlier overlays stay as they are.
#include "map/map_overlay.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

namespace rum {
namespace {

MapChange Set(uint64_t sequence, std::string_view user, std::string_view value) {
  return {nullptr, sequence, user, value};
}

TEST(MapOverlay, FindsTheLastChangeOfAUser) {
  const MapOverlay empty;
  EXPECT_EQ(empty.Find("alice"), nullptr);
  const MapChange changes[] = {Set(1, "alice", "a"),
                               Set(2, "bob", "b"),
                               Set(3, "alice", "c"),
                               {nullptr, 4, "bob", std::nullopt}};
  auto overlay = empty.With(changes);
  ASSERT_NE(overlay->Find("alice"), nullptr);
  EXPECT_EQ(overlay->Find("alice")->value, "c");
  ASSERT_NE(overlay->Find("bob"), nullptr);
  EXPECT_EQ(overlay->Find("bob")->value, std::nullopt);
  EXPECT_EQ(overlay->Find("carol"), nullptr);
  EXPECT_EQ(overlay->size(), 2u);
}

TEST(MapOverlay, LeavesTheOneBeforeAsItIs) {
  const MapOverlay empty;
  const MapChange first[] = {Set(1, "alice", "a")}, second[] = {Set(2, "alice", "b")};
  auto before = empty.With(first);
  auto after = before->With(second);
  EXPECT_EQ(before->Find("alice")->value, "a");
  EXPECT_EQ(after->Find("alice")->value, "b");
  EXPECT_EQ(after->size(), 1u);
}

TEST(MapOverlay, AgreesWithAMapAfterManyBatches) {
  std::minstd_rand random(1);
  std::set<std::string> names;
  for (int i = 0; i < 5000; ++i) names.insert("user" + std::to_string(i));
  const std::vector<std::string_view> users(names.begin(), names.end());
  std::map<std::string_view, uint64_t> expected;
  auto overlay = std::make_shared<const MapOverlay>();
  uint64_t sequence = 0;
  for (int batch = 0; batch < 500; ++batch) {
    std::vector<MapChange> changes;
    for (size_t i = random() % 50; i > 0; --i) {
      const std::string_view user = users[random() % users.size()];
      changes.push_back(Set(++sequence, user, "x"));
      expected[user] = sequence;
    }
    overlay = overlay->With(changes);
  }
  EXPECT_EQ(overlay->size(), expected.size());
  size_t seen = 0;
  overlay->Visit([&](const MapChange& change) {
    EXPECT_EQ(expected.at(change.user), change.sequence);
    EXPECT_EQ(overlay->Find(change.user), &change);
    return ++seen > 0;
  });
  EXPECT_EQ(seen, expected.size());
}

}  // namespace
}  // namespace rum

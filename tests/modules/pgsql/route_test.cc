// The keys of the map in their order, what cancels are found by, and the errors of rum's own.
#include "pgsql/route.h"

#include <gtest/gtest.h>
#include <rum/module.h>

#include <string>
#include <vector>

#include "common/shared_key.h"
#include "pgsql/cancel_key.h"
#include "pgsql/own_errors.h"

namespace rum::pgsql {
namespace {

std::vector<std::string> Names(const std::vector<RouteKey>& keys) {
  std::vector<std::string> names;
  for (const RouteKey& key : keys) names.push_back(key.key + (key.names_user ? "!" : ""));
  return names;
}
using List = std::vector<std::string>;

Startup Of(std::string user, std::string database) {
  Startup startup;
  startup.user = std::move(user);
  startup.database = std::move(database);
  return startup;
}

TEST(RouteKeys, ComeFromTheMostSpecialToTheFallback) {
  const Startup startup = Of("alice", "app");
  EXPECT_EQ(Names(FindKeys({KeyKind::kUser, false}, startup, "h")), (List{"alice!", "*"}));
  EXPECT_EQ(Names(FindKeys({KeyKind::kDatabase, false}, startup, "")), (List{"app", "*"}));
  EXPECT_EQ(Names(FindKeys({KeyKind::kUserAtDatabase, false}, startup, "")),
            (List{"alice@app!", "alice@*!", "*@app", "*"}));
}

TEST(RouteKeys, ComeFirstWithTheServerNameOfTls) {
  const Startup startup = Of("alice", "app");
  EXPECT_EQ(Names(FindKeys({KeyKind::kUser, true}, startup, "DB.Example")),
            (List{"db.example/alice!", "db.example/*", "alice!", "*"}));
  EXPECT_EQ(Names(FindKeys({KeyKind::kUser, true}, startup, "")), (List{"alice!", "*"}));
}

TEST(RouteKeys, OfReplicationAreTheUsers) {
  Startup startup = Of("copier", "replication");
  startup.without_database = true;
  EXPECT_EQ(Names(FindKeys({KeyKind::kDatabase, false}, startup, "")), (List{"copier", "*"}));
}

TEST(RouteKeys, OfDifferentNamesDiffer) {
  const KeyRule both{KeyKind::kUserAtDatabase, false};
  EXPECT_EQ(FindKeys(both, Of("a@b", "c"), "").front().key, "a\\@b@c");
  EXPECT_EQ(FindKeys(both, Of("a", "b@c"), "").front().key, "a@b\\@c");
  EXPECT_EQ(FindKeys(both, Of("a\\", "b"), "").front().key, "a\\\\@b");
  const KeyRule hosts{KeyKind::kUser, true};
  EXPECT_EQ(FindKeys(hosts, Of("h/alice", "x"), "").front().key, "h\\/alice");
  EXPECT_EQ(FindKeys(hosts, Of("a@b", "x"), "").front().key, "a@b");
  EXPECT_EQ(FindKeys({KeyKind::kUser, false}, Of("a@b/c\\", "x"), "").front().key, "a@b/c\\");
}

// Or the name would be read as one with a / in it.
TEST(RouteKeys, OfAServerNameWithSeparatorsLeadToNoOtherName) {
  const KeyRule rule{KeyKind::kUser, true};
  const List plain = Names(FindKeys(rule, Of("db1/x", "app"), ""));
  EXPECT_EQ(plain.front(), "db1\\/x!");
  EXPECT_EQ(Names(FindKeys(rule, Of("x", "app"), "db1\\")),
            (List{"db1\\\\/x!", "db1\\\\/*", "x!", "*"}));
  EXPECT_EQ(Names(FindKeys(rule, Of("x", "app"), "a/b")), (List{"a\\/b/x!", "a\\/b/*", "x!", "*"}));
}

TEST(RouteKeys, OfANameOfTheLogAreTheSame) {
  for (KeyKind kind : {KeyKind::kUser, KeyKind::kDatabase, KeyKind::kUserAtDatabase}) {
    const Startup startup = Of("a@b", "c\\d@e");
    const KeyRule rule{kind, false};
    EXPECT_EQ(Names(FindKeysOf(rule, NameOf(rule, startup))), Names(FindKeys(rule, startup, "")));
  }
  EXPECT_EQ(Names(FindKeysOf({KeyKind::kUserAtDatabase, false}, "alice")),
            (List{"alice@alice!", "alice@*!", "*@alice", "*"}));
}

TEST(CancelTarget, IsReadAsItIsWritten) {
  for (bool tls : {false, true}) {
    auto target = ParseCancelTarget(BuildCancelTarget({"tcp:db1:5432", tls}));
    ASSERT_TRUE(target);
    EXPECT_EQ(target->destination, "tcp:db1:5432");
    EXPECT_EQ(target->asks_for_tls, tls);
  }
  for (const char* bad : {"", "p", "xtcp:db1:5432"}) EXPECT_FALSE(ParseCancelTarget(bad)) << bad;
}

TEST(CancelTarget, IsKeptUnderAKeyThatTheTableTakes) {
  EXPECT_EQ(common::SharedKey("pidxkeyx"), "pidxkeyx");
  EXPECT_EQ(common::SharedKey(std::string(256, 'k')), std::string(256, 'k'));
  const std::string one(260, 'k'), other = std::string(259, 'k') + "l";
  EXPECT_EQ(common::SharedKey(one).size(), 32u);
  EXPECT_NE(common::SharedKey(one), common::SharedKey(other));
}

TEST(OwnErrors, OfWhatCannotBeReachedMakeLibpqGoOn) {
  for (uint32_t reason : {RUM_CLOSE_CONNECT_REFUSED, RUM_CLOSE_CONNECT_TIMEOUT,
                          RUM_CLOSE_UNRESOLVED, RUM_CLOSE_TLS, RUM_CLOSE_UPSTREAM_GONE,
                          RUM_CLOSE_MAINTENANCE, RUM_CLOSE_MAP_UNAVAILABLE, RUM_CLOSE_DRAIN}) {
    EXPECT_STREQ(ErrorForReason(reason).sqlstate, "57P03") << reason;
  }
  EXPECT_STREQ(ErrorForReason(RUM_CLOSE_LIMIT).sqlstate, "53300");
  EXPECT_STREQ(ErrorForReason(RUM_CLOSE_LOGIN_TIMEOUT).sqlstate, "08006");
}

TEST(OwnErrors, HideTheRulesBehindAWrongPassword) {
  for (int32_t verdict : {RUM_REFUSED_RULES, RUM_REFUSED_DISABLED, RUM_REFUSED_TIME,
                          RUM_REFUSED_ADDRESS, RUM_REFUSED_TLS, 99}) {
    EXPECT_TRUE(LooksLikeAWrongPassword(verdict)) << verdict;
  }
  for (int32_t verdict : {RUM_REFUSED_CONNECTIONS, RUM_REFUSED_RATE}) {
    EXPECT_FALSE(LooksLikeAWrongPassword(verdict));
    EXPECT_STREQ(ErrorForVerdict(verdict, "alice").sqlstate, "53300");
  }
  EXPECT_STREQ(ErrorForVerdict(RUM_REFUSED_BLOCKED, "alice").sqlstate, "28000");
  EXPECT_STREQ(UserDisabled("back at 14:00").sqlstate, "57P03");
}

}  // namespace
}  // namespace rum::pgsql

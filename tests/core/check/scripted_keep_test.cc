// "rum.keep/1" as the scripted host serves it: a connection goes from one session to the next.
#include <gtest/gtest.h>

#include <string>

#include "little_module.h"

namespace rum {
namespace {

const rum_keep& Keep() { return *static_cast<const rum_keep*>(rum_calls->extension(RUM_KEEP_1)); }

std::string TakenBy(rum_session* s) {
  char value[64];
  size_t size = sizeof value;
  return Keep().taken(s, value, &size) == RUM_FOUND ? std::string(value, size) : "-";
}

// Relays what the server says, watches the client until it says "bye", and keeps the connection.
struct Keeper : LittleModule {
  rum_session* session = nullptr;
  std::string taken;
  int32_t kept = 1;
  bool renews = false, says_goodbye = true;

  Keeper() {
    open = [this](rum_session* s) {
      session = s;
      EXPECT_EQ(Keep().want(s, "key", 3), RUM_OK);
      return rum_calls->connect(s, "", 0);
    };
    connected = [this](rum_session* s, uint32_t reason) {
      if (reason) return;
      taken = TakenBy(s);
      if (renews && taken != "-") {
        EXPECT_EQ(Keep().renew(s), RUM_OK);
        return;
      }
      EXPECT_EQ(rum_calls->relay_from(s, RUM_UPSTREAM), RUM_OK);
      EXPECT_EQ(Keep().forward_until(s, RUM_CLIENT, "bye", 3), RUM_OK);
    };
    client = [this](rum_session* s, std::string_view bytes) -> int64_t {
      EXPECT_TRUE(bytes.ends_with("bye"));
      answered = Keep().answered(s, RUM_CLIENT);
      EXPECT_EQ(rum_calls->take_back(s, RUM_UPSTREAM), RUM_OK);
      EXPECT_EQ(Keep().part(s), RUM_OK);
      if (says_goodbye) rum_calls->send(s, RUM_UPSTREAM, "reset", 5);
      return static_cast<int64_t>(bytes.size());
    };
    upstream = [this](rum_session* s, std::string_view bytes) -> int64_t {
      kept = Keep().keep(s, "key", 3, "value", 5, 2, 5000);
      return static_cast<int64_t>(bytes.size());
    };
    end = [](rum_session*, uint32_t) { return RUM_KEEP; };
    close = [this](rum_session*, uint32_t why) { reason = why; };
  }
  int32_t answered = -1;
  uint32_t reason = 0;
};

// A session that keeps its connection, from the client's arrival.
void KeepOne(ScriptedHost& host, Keeper& keeper) {
  ASSERT_TRUE(host.Open());
  ASSERT_TRUE(host.ConnectOutcome(0));
  EXPECT_EQ(keeper.taken, "-");
  host.Feed(RUM_CLIENT, "question");
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "question");
  host.Feed(RUM_UPSTREAM, "answer");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "answer");
  for (char c : {'b', 'y', 'e'}) host.Feed(RUM_CLIENT, std::string(1, c));
  EXPECT_EQ(keeper.answered, 1);
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "reset") << "and nothing of the farewell";
  EXPECT_TRUE(host.open());
  host.Feed(RUM_UPSTREAM, "ok");
  EXPECT_EQ(keeper.kept, RUM_OK);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT);
}

TEST(ScriptedKeep, GivesAConnectionToTheNextSession) {
  Keeper keeper;
  ScriptedHost host(keeper.table());
  KeepOne(host, keeper);
  ASSERT_TRUE(host.Open());
  EXPECT_TRUE(host.can_take_kept());
  ASSERT_TRUE(host.TakeKept());
  EXPECT_EQ(keeper.taken, "value");
  EXPECT_TRUE(host.connected());
  EXPECT_FALSE(host.TakeKept());
  EXPECT_EQ(host.violations(), std::vector<std::string>{});
}

TEST(ScriptedKeep, KeepsForItsTimeAndOfEachServerSoMany) {
  Keeper keeper;
  ScriptedHost host(keeper.table());
  KeepOne(host, keeper);
  KeepOne(host, keeper);
  ASSERT_TRUE(host.Open());
  ASSERT_TRUE(host.ConnectOutcome(0));
  host.Feed(RUM_CLIENT, "bye");
  host.Feed(RUM_UPSTREAM, "ok");
  EXPECT_EQ(keeper.kept, RUM_E_LIMIT);
  EXPECT_TRUE(host.open()) << "the module says goodbye to the server";
  host.Advance(1999);
  EXPECT_TRUE(host.open());
  host.Advance(1);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT);
  host.Advance(5000);
  ASSERT_TRUE(host.Open());
  EXPECT_FALSE(host.can_take_kept());
}

TEST(ScriptedKeep, AServerThatIsNotQuietIsNotKept) {
  Keeper keeper;
  keeper.upstream = [&](rum_session* s, std::string_view) -> int64_t {
    keeper.kept = Keep().keep(s, "key", 3, "value", 5, 2, 5000);
    return 1;
  };
  ScriptedHost host(keeper.table());
  ASSERT_TRUE(host.Open());
  ASSERT_TRUE(host.ConnectOutcome(0));
  host.Feed(RUM_CLIENT, "bye");
  host.Feed(RUM_UPSTREAM, "ok");
  EXPECT_EQ(keeper.kept, RUM_OK);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT);
  ASSERT_TRUE(host.Open());
  EXPECT_FALSE(host.can_take_kept());
}

TEST(ScriptedKeep, AConnectionThatIsOfNoUseIsRenewed) {
  Keeper keeper;
  ScriptedHost host(keeper.table());
  KeepOne(host, keeper);
  keeper.renews = true;
  ASSERT_TRUE(host.Open());
  ASSERT_TRUE(host.TakeKept());
  EXPECT_FALSE(host.connected());
  EXPECT_EQ(host.connecting(), host.default_destination);
  ASSERT_TRUE(host.ConnectOutcome(0));
  EXPECT_EQ(keeper.taken, "-");
}

TEST(ScriptedKeep, AConnectionThatBrokeWhileItWasKeptIsToldAsItsEnd) {
  Keeper keeper;
  ScriptedHost host(keeper.table());
  KeepOne(host, keeper);
  keeper.connected = [&](rum_session* s, uint32_t) { keeper.taken = TakenBy(s); };
  int ends = 0;
  keeper.end = [&](rum_session*, uint32_t side) { return ends += side == RUM_UPSTREAM, RUM_KEEP; };
  ASSERT_TRUE(host.Open());
  ASSERT_TRUE(host.TakeKept());
  EXPECT_TRUE(host.Reset(RUM_UPSTREAM));
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(host.open());
}

TEST(ScriptedKeep, DropsAllOfItsServer) {
  Keeper keeper;
  ScriptedHost host(keeper.table());
  KeepOne(host, keeper);
  keeper.connected = [&](rum_session* s, uint32_t) {
    EXPECT_EQ(Keep().drop(s), RUM_OK);
    rum_calls->close(s, RUM_CLOSE_UPSTREAM_DENIED, "", 0);
    EXPECT_EQ(Keep().drop(s), RUM_E_STATE);
  };
  ASSERT_TRUE(host.Open());
  EXPECT_TRUE(host.can_take_kept());
  ASSERT_TRUE(host.ConnectOutcome(0));
  ASSERT_TRUE(host.Open());
  EXPECT_FALSE(host.can_take_kept());
}

TEST(ScriptedKeep, RefusesWhatComesAtTheWrongTime) {
  Keeper keeper;
  int32_t part = 1, renew = 1, keep = 1, until = 1, want = 1, spend = 1;
  keeper.connected = [&](rum_session* s, uint32_t) {
    part = Keep().part(s);
    renew = Keep().renew(s);
    keep = Keep().keep(s, "k", 1, "", 0, 1, 1);
    until = Keep().forward_until(s, RUM_CLIENT, "bye", 3);
    want = Keep().want(s, "k", 1);
    spend = Keep().spend(s, "", 0, "k", 1);
  };
  ScriptedHost host(keeper.table());
  ASSERT_TRUE(host.Open());
  ASSERT_TRUE(host.ConnectOutcome(0));
  for (int32_t status : {part, renew, keep, until, want, spend}) EXPECT_EQ(status, RUM_E_STATE);
}

}  // namespace
}  // namespace rum

// The scripted host keeps the rules of rum/module.h, one test for each: how a session begins,
// reads, sends and ends.
#include "check/scripted_host.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "little_module.h"

namespace rum {
namespace {

// -- opening and closing --------------------------------------------------------------------------

TEST(Opening, ConnectsAndRelaysByItselfWithoutTheHook) {
  LittleModule little;
  rum_module table = little.table();
  table.session_open = nullptr;
  ScriptedHost host(table);
  ASSERT_TRUE(host.Open());
  EXPECT_EQ(host.connecting(), "");
  EXPECT_TRUE(host.relaying());
  host.Feed(RUM_CLIENT, "early");
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "");
  host.ConnectOutcome(0);
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "early");
}

TEST(Opening, EndsWithoutDestinationWhenThereIsNeitherHookNorDefault) {
  LittleModule little;
  rum_module table = little.table();
  table.session_open = nullptr;
  ScriptedHost host(table);
  host.default_destination = "";
  host.Open();
  EXPECT_EQ(host.closed(), RUM_CLOSE_NO_DESTINATION);
}

TEST(Opening, NegativeClosesWithoutAnyFurtherHook) {
  LittleModule little;
  little.open = [](rum_session*) { return RUM_E_MEMORY; };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.closed(), RUM_CLOSE_MODULE);
  EXPECT_EQ(little.closed, 0);
}

TEST(Opening, FindsAPositiveAnswer) {
  LittleModule little;
  little.open = [](rum_session*) { return 7; };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_TRUE(Violates(host, "session_open returned 7"));
}

TEST(Closing, CallsTheHookOnceAndAfterTheRunningOne) {
  LittleModule little;
  bool inside = false;
  little.client = [&](rum_session* s, std::string_view bytes) {
    inside = true;
    Close(s, RUM_CLOSE_DENIED, "no");
    Close(s, RUM_CLOSE_LIMIT, "again");
    EXPECT_EQ(little.closed, 0);
    inside = false;
    return All(bytes);
  };
  little.close = [&](rum_session*, uint32_t reason) {
    EXPECT_FALSE(inside);
    EXPECT_EQ(reason, RUM_CLOSE_DENIED);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "x");
  EXPECT_EQ(little.closed, 1);
  EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
  EXPECT_EQ(host.close_text(), "no");
  EXPECT_FALSE(host.Feed(RUM_CLIENT, "y"));
  EXPECT_NO_VIOLATION(host);
}

TEST(Closing, ABreachAfterACloseChangesNothing) {
  LittleModule little;
  little.client = [](rum_session* s, std::string_view) -> int64_t {
    Close(s, RUM_CLOSE_UNSUPPORTED, "not that");
    return -1;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "x");
  EXPECT_EQ(host.closed(), RUM_CLOSE_UNSUPPORTED);
  EXPECT_EQ(host.close_text(), "not that");
}

TEST(Closing, StillDeliversWhatWasSent) {
  LittleModule little;
  little.open = [](rum_session* s) {
    Close(s, RUM_CLOSE_DENIED);
    return Send(s, RUM_CLIENT, "sorry");
  };
  little.close = [](rum_session* s, uint32_t) {
    EXPECT_EQ(Send(s, RUM_CLIENT, ", bye"), RUM_OK);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "nobody"), RUM_E_STATE);
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "sorry, bye");
  EXPECT_NO_VIOLATION(host);
}

TEST(Closing, RefusesAllOtherCallsInTheLastHook) {
  LittleModule little;
  little.close = [](rum_session* s, uint32_t) {
    EXPECT_EQ(rum_calls->need(s, RUM_CLIENT, 1), RUM_E_STATE);
    EXPECT_EQ(rum_calls->forward(s, RUM_CLIENT, 1), RUM_E_STATE);
    EXPECT_EQ(rum_calls->relay(s), RUM_E_STATE);
    EXPECT_EQ(rum_calls->lookup(s, "k", 1), RUM_E_STATE);
    EXPECT_EQ(rum_calls->identify(s, "u", 1), RUM_E_STATE);
    EXPECT_EQ(Connect(s, ""), RUM_E_STATE);
    EXPECT_EQ(rum_calls->start_tls(s, RUM_CLIENT, nullptr, 0), RUM_E_STATE);
    EXPECT_EQ(rum_calls->pause(s), 0u);
    EXPECT_EQ(rum_calls->timer(s, 5), 0u);
    char text[64];
    EXPECT_EQ(rum_calls->peer(s, RUM_CLIENT, text, sizeof text), strlen("192.0.2.1:40112"));
    EXPECT_EQ(rum_calls->note(s, "last", "word", 4), RUM_OK);
    rum_calls->log(s, RUM_LOG_INFO, "bye", 3);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.CloseByRum(RUM_CLOSE_DRAIN);
  EXPECT_EQ(little.closed, 1);
  EXPECT_EQ(host.notes().at("last"), "word");
  EXPECT_EQ(host.closed(), RUM_CLOSE_DRAIN);
  EXPECT_NO_VIOLATION(host);
}

TEST(Closing, RefusesToSendToABrokenSide) {
  LittleModule little;
  little.client = Swallow();
  int32_t status = 1;
  little.close = [&](rum_session* s, uint32_t) { status = Send(s, RUM_CLIENT, "x"); };
  ScriptedHost host(little.table());
  host.Open();
  host.Reset(RUM_CLIENT);
  EXPECT_EQ(status, RUM_E_STATE);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST(Closing, FindsAReasonThatIsNotTheModules) {
  LittleModule little;
  little.open = [](rum_session* s) {
    Close(s, RUM_CLOSE_KILLED);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.closed(), RUM_CLOSE_MODULE);
  EXPECT_TRUE(Violates(host, "close() with reason 28"));
}

TEST(Closing, TakesJustTheReasonsThatTheHeaderMarks) {
  const char* srcdir = std::getenv("srcdir");
  std::ifstream header(std::string(srcdir ? srcdir : ".") + "/core/include/rum/module.h");
  std::string line, name;
  uint32_t number = 0;
  int count = 0;
  while (std::getline(header, line)) {
    if (!line.starts_with("RUM_UINT(RUM_CLOSE_")) continue;
    std::istringstream(line) >> name >> number;
    ++count;
    LittleModule little;
    little.open = [&](rum_session* s) {
      Close(s, number);
      return RUM_OK;
    };
    ScriptedHost host(little.table());
    host.Open();
    EXPECT_EQ(host.violations().empty(), line.find("(module)") != line.npos) << line;
  }
  EXPECT_GE(count, 28);
}

TEST(Closing, TheDestructorEndsAnOpenSession) {
  LittleModule little;
  {
    ScriptedHost host(little.table());
    host.Open();
    EXPECT_EQ(little.closed, 0);
  }
  EXPECT_EQ(little.closed, 1);
}

TEST(Handles, FindsACallAfterTheSessionHasEnded) {
  LittleModule little;
  rum_session* kept = nullptr;
  little.open = [&](rum_session* s) {
    if (kept) {
      EXPECT_EQ(Send(kept, RUM_CLIENT, "late"), RUM_E_STATE);
    }
    kept = s;
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.CloseByRum(RUM_CLOSE_KILLED);
  EXPECT_NO_VIOLATION(host);
  host.Open();
  EXPECT_TRUE(Violates(host, "send() with a session that has ended"));
}

TEST(Handles, FindsPointersThatAreNoSession) {
  LittleModule little;
  little.open = [](rum_session*) {
    int other = 0;
    EXPECT_EQ(rum_calls->relay(reinterpret_cast<rum_session*>(&other)), RUM_E_STATE);
    EXPECT_EQ(rum_calls->relay(nullptr), RUM_E_STATE);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_TRUE(Violates(host, "relay() with a pointer that is not a session"));
  EXPECT_TRUE(Violates(host, "relay() with session NULL"));
}

TEST(Handles, FindsACallOnAnotherThread) {
  LittleModule little;
  little.open = [](rum_session* s) {
    std::thread([s] { EXPECT_EQ(Send(s, RUM_CLIENT, "x"), RUM_E_STATE); }).join();
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_TRUE(Violates(host, "on a thread that does not own the session"));
}

// -- bytes for the module -------------------------------------------------------------------------

TEST(Data, ShowsAllUnconsumedBytesAndWaitsForMoreAtZero) {
  LittleModule little;
  Strings seen;
  little.client = [&](rum_session*, std::string_view bytes) -> int64_t {
    seen.emplace_back(bytes);
    return bytes.size() < 4 ? 0 : All(bytes);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "ab");
  host.Feed(RUM_CLIENT, "c");
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "abc");
  host.Feed(RUM_CLIENT, "de");
  EXPECT_EQ(seen, (Strings{"ab", "abc", "abcde"}));
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "");
  EXPECT_NO_VIOLATION(host);
}

TEST(Data, CallsAgainAtOnceWithTheRest) {
  LittleModule little;
  Strings seen;
  little.client = [&](rum_session*, std::string_view bytes) -> int64_t {
    seen.emplace_back(bytes);
    return bytes.size() >= 2 ? 2 : 0;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "abcde");
  EXPECT_EQ(seen, (Strings{"abcde", "cde", "e"}));
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "e");
}

TEST(Data, NegativeIsABreachOfTheProtocolByThatSide) {
  for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
    LittleModule little;
    little.open = [](rum_session* s) { return Connect(s, ""); };
    little.client = [](rum_session*, std::string_view) -> int64_t { return -1; };
    little.upstream = little.client;
    ScriptedHost host(little.table());
    host.Open();
    host.ConnectOutcome(0);
    host.Feed(side, "x");
    EXPECT_EQ(host.closed(),
              side == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL);
    EXPECT_EQ(little.closed, 1);
    EXPECT_NO_VIOLATION(host);
  }
}

TEST(Data, FindsWhoConsumesMoreThanThereIs) {
  LittleModule little;
  little.client = [](rum_session*, std::string_view bytes) { return All(bytes) + 1; };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "abc");
  EXPECT_EQ(host.closed(), RUM_CLOSE_MODULE);
  EXPECT_TRUE(Violates(host, "client_data consumed 4 bytes of 3"));
}

TEST(Data, FindsWhoChangesTheBytes) {
  LittleModule little;
  little.client = [](rum_session*, std::string_view bytes) {
    const_cast<char*>(bytes.data())[0] = '!';
    return All(bytes);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "abc");
  EXPECT_TRUE(Violates(host, "client_data changed the bytes"));
}

TEST(Data, WaitsForRelayWithoutTheHook) {
  LittleModule little;
  little.open = [](rum_session* s) { return Connect(s, ""); };
  little.connected = [](rum_session* s, uint32_t) { EXPECT_EQ(rum_calls->relay(s), RUM_OK); };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "early");
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "early");
  host.ConnectOutcome(0);
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "early");
}

TEST(Window, HoldsSixtyFourKilobytes) {
  LittleModule little;
  size_t most = 0;
  little.client = [&](rum_session*, std::string_view bytes) {
    most = std::max(most, bytes.size());
    return All(bytes);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, std::string(200'000, 'x'));
  EXPECT_EQ(most, 64u * 1024);
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "");
}

TEST(Window, FullWithNothingConsumedEndsTheSession) {
  LittleModule little;
  little.client = [](rum_session*, std::string_view) -> int64_t { return 0; };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, std::string(64 * 1024 - 1, 'x'));
  EXPECT_TRUE(host.open());
  host.Feed(RUM_CLIENT, "x");
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_PROTOCOL);
  EXPECT_EQ(little.closed, 1);
}

TEST(Window, FullIsNotReadWhileSomethingIsUnderWay) {
  LittleModule little;
  size_t seen = 0;
  bool known = false;
  little.open = [](rum_session* s) { return rum_calls->lookup(s, "k", 1); };
  little.client = [&](rum_session*, std::string_view bytes) -> int64_t {
    seen = bytes.size();
    return known ? All(bytes) : 0;
  };
  little.looked_up = [&](rum_session* s, int32_t, std::string) {
    known = true;
    rum_calls->need(s, RUM_CLIENT, 1);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, std::string(70'000, 'x'));
  EXPECT_TRUE(host.open());
  EXPECT_EQ(seen, 64u * 1024);
  host.MapAnswer(RUM_NOT_FOUND);
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "");
  EXPECT_NO_VIOLATION(host);
}

TEST(Need, CallsTheHookOnceThatManyBytesAreThere) {
  LittleModule little;
  std::vector<size_t> seen;
  little.client = [&](rum_session* s, std::string_view bytes) -> int64_t {
    seen.push_back(bytes.size());
    if (bytes.size() < 10) {
      EXPECT_EQ(rum_calls->need(s, RUM_CLIENT, 10), RUM_OK);
      return 0;
    }
    return 10;
  };
  ScriptedHost host(little.table());
  host.Open();
  for (int i = 0; i < 12; ++i) host.Feed(RUM_CLIENT, "x");
  // 1 byte; 10 bytes; and it held for one call only: the eleventh byte is shown.
  EXPECT_EQ(seen, (std::vector<size_t>{1, 10, 1}));
  EXPECT_NO_VIOLATION(host);
}

TEST(Need, GrowsTheWindowUpToItsEnd) {
  LittleModule little;
  size_t seen = 0;
  little.client = [&](rum_session* s, std::string_view bytes) -> int64_t {
    seen = bytes.size();
    if (bytes.size() == 256 * 1024) return All(bytes);
    EXPECT_EQ(rum_calls->need(s, RUM_CLIENT, 256 * 1024 + 1), RUM_E_LIMIT);
    EXPECT_EQ(rum_calls->need(s, RUM_CLIENT, 256 * 1024), RUM_OK);
    return 0;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, std::string(256 * 1024 - 1, 'x'));
  EXPECT_EQ(seen, 64u * 1024);
  host.Feed(RUM_CLIENT, "x");
  EXPECT_EQ(seen, 256u * 1024);
  EXPECT_TRUE(host.open());
}

TEST(Need, IsAnsweredWithLessWhenTheSideHasEnded) {
  LittleModule little;
  Strings seen;
  little.client = [&](rum_session* s, std::string_view bytes) -> int64_t {
    seen.emplace_back(bytes);
    rum_calls->need(s, RUM_CLIENT, 10);
    return 0;
  };
  little.end = [&](rum_session*, uint32_t) {
    seen.push_back("end");
    return RUM_KEEP;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "abc");
  host.Feed(RUM_CLIENT, "d");
  host.End(RUM_CLIENT);
  EXPECT_EQ(seen, (Strings{"abc", "abcd", "end"}));
  EXPECT_NO_VIOLATION(host);
}

TEST(Need, IsNotAnsweredAtTheEndWithBytesThatWereSeen) {
  LittleModule little;
  Strings seen;
  little.client = [&](rum_session* s, std::string_view bytes) -> int64_t {
    seen.emplace_back(bytes);
    rum_calls->need(s, RUM_CLIENT, 10);
    return 0;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "abc");
  host.End(RUM_CLIENT);
  EXPECT_EQ(seen, Strings{"abc"});
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST(Need, FromAnotherHookWakesTheDataHook) {
  LittleModule little;
  Strings seen;
  bool known = false;
  little.client = [&](rum_session* s, std::string_view bytes) -> int64_t {
    seen.emplace_back(bytes);
    if (known) return All(bytes);
    rum_calls->lookup(s, "k", 1);
    return 0;
  };
  little.looked_up = [&](rum_session* s, int32_t, std::string) {
    known = true;
    rum_calls->need(s, RUM_CLIENT, 1);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "abc");
  host.MapAnswer(RUM_NOT_FOUND);
  EXPECT_EQ(seen, (Strings{"abc", "abc"}));
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "");
  EXPECT_NO_VIOLATION(host);
}

TEST(Need, FindsWhoAsksForWhatItHasAndConsumesNothing) {
  LittleModule little;
  little.client = [](rum_session* s, std::string_view) -> int64_t {
    rum_calls->need(s, RUM_CLIENT, 2);
    return 0;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "abc");
  EXPECT_TRUE(Violates(host, "asked by need() for 2 bytes, had 3 and consumed none"));
  EXPECT_TRUE(host.open());
}

TEST(Forward, PassesOnWhatIsThereAndWhatIsToCome) {
  LittleModule little;
  Strings seen;
  little.open = [](rum_session* s) { return Connect(s, ""); };
  little.client = [&](rum_session* s, std::string_view bytes) -> int64_t {
    seen.emplace_back(bytes);
    if (seen.size() > 1) return All(bytes);
    EXPECT_EQ(rum_calls->forward(s, RUM_CLIENT, 2), RUM_OK);
    EXPECT_EQ(rum_calls->forward(s, RUM_CLIENT, 3), RUM_OK);  // adds up
    return 1;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.ConnectOutcome(0);
  host.Feed(RUM_CLIENT, "h12");
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "12");
  host.Feed(RUM_CLIENT, "345t");
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "345");
  EXPECT_EQ(seen, (Strings{"h12", "t"}));
  EXPECT_NO_VIOLATION(host);
}

TEST(Forward, RefusesASumThatOverflows) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(rum_calls->forward(s, RUM_CLIENT, INT64_MAX), RUM_OK);
    EXPECT_EQ(rum_calls->forward(s, RUM_CLIENT, 1), RUM_E_LIMIT);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
}

// -- sending --------------------------------------------------------------------------------------

TEST(Send, KeepsTheOrderOfOneSideAndNotesIt) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "x"), RUM_E_STATE);
    Send(s, RUM_CLIENT, "one ");
    return Send(s, RUM_CLIENT, "two");
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "one two");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "");
  EXPECT_NO_VIOLATION(host);
}

TEST(Send, CopiesTheBytes) {
  LittleModule little;
  little.open = [](rum_session* s) {
    char text[] = "good";
    Send(s, RUM_CLIENT, text);
    memset(text, 'x', 4);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "good");
}

TEST(Send, AboveTheHighWaterMarkTheOtherSideIsNotRead) {
  LittleModule little;
  size_t seen = 0;
  little.open = [](rum_session* s) { return Connect(s, ""); };
  little.client = [&](rum_session* s, std::string_view bytes) {
    seen += bytes.size();
    Send(s, RUM_UPSTREAM, bytes);
    return All(bytes);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.ConnectOutcome(0);
  host.StopReading(RUM_UPSTREAM);
  host.Feed(RUM_CLIENT, std::string(3 << 20, 'x'));
  EXPECT_GT(seen, 1u << 20);
  EXPECT_LE(seen, (1u << 20) + 64 * 1024);
  host.StartReading(RUM_UPSTREAM);
  host.Feed(RUM_CLIENT, "x");
  EXPECT_EQ(seen, (3u << 20) + 1);
}

TEST(Send, FindsArgumentsThatMakeNoSense) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(rum_calls->send(s, 2, "x", 1), RUM_E_ARGUMENT);
    EXPECT_EQ(rum_calls->send(s, RUM_CLIENT, nullptr, 1), RUM_E_ARGUMENT);
    EXPECT_EQ(rum_calls->send(s, RUM_CLIENT, nullptr, 0), RUM_OK);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_TRUE(Violates(host, "send() with side 2"));
  EXPECT_TRUE(Violates(host, "send() with a null pointer and size 1"));
  EXPECT_EQ(host.violations().size(), 2u);
}

// -- ends -----------------------------------------------------------------------------------------

TEST(SideEnd, EndsTheSessionWithoutTheHook) {
  LittleModule little;
  little.client = Swallow();
  ScriptedHost host(little.table());
  host.Open();
  host.End(RUM_CLIENT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST(SideEnd, KeepGoesOnAndTheSideCanStillBeSentTo) {
  LittleModule little;
  little.open = [](rum_session* s) { return Connect(s, ""); };
  little.client = Swallow();
  little.upstream = [](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, bytes);
    return All(bytes);
  };
  little.end = [](rum_session*, uint32_t side) { return side == RUM_CLIENT ? RUM_KEEP : RUM_END; };
  ScriptedHost host(little.table());
  host.Open();
  host.ConnectOutcome(0);
  host.End(RUM_CLIENT);
  EXPECT_FALSE(host.Feed(RUM_CLIENT, "x"));
  host.Feed(RUM_UPSTREAM, "late answer");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "late answer");
  host.End(RUM_UPSTREAM);
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM_GONE);
  EXPECT_NO_VIOLATION(host);
}

TEST(SideEnd, FindsAnAnswerThatIsNone) {
  LittleModule little;
  little.client = Swallow();
  little.end = [](rum_session*, uint32_t) { return 5; };
  ScriptedHost host(little.table());
  host.Open();
  host.End(RUM_CLIENT);
  EXPECT_TRUE(Violates(host, "side_end returned 5"));
}

// -- one way handed over
// ---------------------------------------------------------------------------

TEST(RelayFrom, HandsOneWayOverAndTakesItBack) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(rum_calls->relay_from(s, RUM_UPSTREAM), RUM_E_STATE);
    return Connect(s, "tcp:a:1");
  };
  little.connected = [](rum_session* s, uint32_t) {
    EXPECT_EQ(rum_calls->relay_from(s, RUM_UPSTREAM), RUM_OK);
    EXPECT_EQ(rum_calls->relay_from(s, RUM_CLIENT), RUM_E_STATE);
    EXPECT_EQ(rum_calls->need(s, RUM_UPSTREAM, 1), RUM_E_STATE);
    EXPECT_EQ(rum_calls->take_back(s, RUM_CLIENT), RUM_E_STATE);
  };
  little.client = [](rum_session* s, std::string_view bytes) {
    if (bytes == "login") {
      EXPECT_EQ(rum_calls->take_back(s, RUM_UPSTREAM), RUM_OK);
    }
    Send(s, RUM_UPSTREAM, "<" + std::string(bytes) + ">");
    return All(bytes);
  };
  little.upstream = [](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, "[" + std::string(bytes) + "]");
    EXPECT_EQ(rum_calls->relay_from(s, RUM_UPSTREAM), RUM_OK);
    return All(bytes);
  };
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.Start());
  host.Open();
  host.ConnectOutcome(0);
  EXPECT_EQ(host.handed_over(), RUM_UPSTREAM);
  host.Feed(RUM_UPSTREAM, "unseen");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "unseen");
  host.Feed(RUM_CLIENT, "login");
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "<login>");
  EXPECT_EQ(host.handed_over(), std::nullopt);
  host.Feed(RUM_UPSTREAM, "seen");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "[seen]");
  host.Feed(RUM_UPSTREAM, "unseen");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "unseen");
  host.End(RUM_CLIENT);
  EXPECT_TRUE(host.relaying());
  host.End(RUM_UPSTREAM);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT);
  EXPECT_NO_VIOLATION(host);
}

TEST(RelayFrom, TheEndOfTheWayThatFlowsIsPassedOnAndTheOtherIsStillSeen) {
  LittleModule little;
  little.open = [](rum_session* s) { return Connect(s, "tcp:a:1"); };
  little.connected = [](rum_session* s, uint32_t) { rum_calls->relay_from(s, RUM_UPSTREAM); };
  little.client = [](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(Send(s, RUM_CLIENT, "too late"), RUM_E_STATE);
    EXPECT_EQ(rum_calls->take_back(s, RUM_UPSTREAM), RUM_E_STATE);
    Send(s, RUM_UPSTREAM, bytes);
    return All(bytes);
  };
  little.end = [](rum_session*, uint32_t side) {
    EXPECT_EQ(side, RUM_CLIENT);
    return RUM_END;
  };
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.Start());
  host.Open();
  host.ConnectOutcome(0);
  host.End(RUM_UPSTREAM);
  host.Feed(RUM_CLIENT, "seen");
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "seen");
  host.End(RUM_CLIENT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM);
  EXPECT_NO_VIOLATION(host);
}

}  // namespace
}  // namespace rum

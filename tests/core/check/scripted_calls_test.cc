// The scripted host keeps the rules of rum/module.h, one test for each: what a module may ask of
// it.
#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <thread>

#include "check/scripted_host.h"
#include "little_module.h"

namespace rum {
namespace {

// -- the upstream ---------------------------------------------------------------------------------

TEST(Connect, TellsTheOutcomeAndAllowsAnotherTry) {
  LittleModule little;
  std::vector<uint32_t> outcomes;
  little.open = [](rum_session* s) {
    EXPECT_EQ(Connect(s, "tcp:db1.test:3306"), RUM_OK);
    EXPECT_EQ(Connect(s, "tcp:db2.test:3306"), RUM_E_STATE);
    return RUM_OK;
  };
  little.connected = [&](rum_session* s, uint32_t reason) {
    outcomes.push_back(reason);
    if (reason) {
      EXPECT_EQ(Connect(s, "sock:/run/db.sock,tcp:db3.test:1"), RUM_OK);
    } else {
      EXPECT_EQ(rum_calls->relay(s), RUM_OK);
      EXPECT_EQ(Connect(s, ""), RUM_E_STATE);
    }
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.connecting(), "tcp:db1.test:3306");
  EXPECT_TRUE(host.ConnectOutcome(RUM_CLOSE_CONNECT_REFUSED));
  EXPECT_EQ(host.connecting(), "sock:/run/db.sock,tcp:db3.test:1");
  EXPECT_TRUE(host.ConnectOutcome(0));
  EXPECT_TRUE(host.connected());
  EXPECT_FALSE(host.ConnectOutcome(0));
  EXPECT_EQ(outcomes, (std::vector<uint32_t>{RUM_CLOSE_CONNECT_REFUSED, 0}));
  EXPECT_NO_VIOLATION(host);
}

TEST(Connect, AFailureEndsTheSessionUnlessTheHookActs) {
  LittleModule little;
  little.open = [](rum_session* s) { return Connect(s, ""); };
  little.connected = [](rum_session* s, uint32_t) { Send(s, RUM_CLIENT, "down"); };
  ScriptedHost host(little.table());
  host.Open();
  host.ConnectOutcome(RUM_CLOSE_CONNECT_TIMEOUT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CONNECT_TIMEOUT);
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "down");
}

TEST(Connect, RefusesWhatIsWrittenWrongAndADefaultThatIsNotThere) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(Connect(s, "db1"), RUM_E_ARGUMENT);
    EXPECT_EQ(Connect(s, "tcp:db1:99999"), RUM_E_ARGUMENT);
    EXPECT_EQ(Connect(s, ""), RUM_E_UNSUPPORTED);
    EXPECT_EQ(Connect(s, "tcp:db1:1"), RUM_OK);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.default_destination = "";
  host.Open();
  EXPECT_EQ(host.connecting(), "tcp:db1:1");
}

TEST(Connect, TheUpstreamsBytesComeByTheirHook) {
  LittleModule little;
  std::string seen;
  little.open = [](rum_session* s) { return Connect(s, ""); };
  little.upstream = [&](rum_session*, std::string_view bytes) {
    seen += bytes;
    return All(bytes);
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_FALSE(host.Feed(RUM_UPSTREAM, "too early"));
  host.ConnectOutcome(0);
  EXPECT_TRUE(host.Feed(RUM_UPSTREAM, "220 hello"));
  EXPECT_EQ(seen, "220 hello");
}

TEST(Relay, NeedsAConnect) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(rum_calls->relay(s), RUM_E_STATE);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_FALSE(host.relaying());
}

TEST(Relay, PassesOnWhatWasNotConsumedAndShowsNothingMore) {
  LittleModule little;
  int calls = 0;
  little.open = [](rum_session* s) { return Connect(s, ""); };
  little.client = [&](rum_session* s, std::string_view bytes) -> int64_t {
    ++calls;
    if (bytes.size() < 2) return 0;
    Send(s, RUM_UPSTREAM, "<");
    EXPECT_EQ(rum_calls->relay(s), RUM_OK);
    EXPECT_NE(rum_calls->timer(s, 10), 0u);
    return 2;
  };
  little.timeout = [](rum_session*, uint64_t) { ADD_FAILURE() << "a timer after relay()"; };
  little.end = [](rum_session*, uint32_t) {
    ADD_FAILURE() << "side_end after relay()";
    return RUM_END;
  };
  ScriptedHost host(little.table());
  host.Open();
  host.ConnectOutcome(0);
  host.Feed(RUM_CLIENT, "hhbody");
  host.Feed(RUM_CLIENT, "more");
  host.Advance(1000);
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "<bodymore");
  EXPECT_EQ(calls, 1);
  host.End(RUM_CLIENT);
  EXPECT_TRUE(host.open());
  EXPECT_EQ(host.deeds().back().kind, Deed::Kind::kEnd);
  EXPECT_EQ(host.deeds().back().side, RUM_UPSTREAM);
  host.Feed(RUM_UPSTREAM, "answer");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "answer");
  host.End(RUM_UPSTREAM);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT);
  EXPECT_EQ(little.closed, 1);
  EXPECT_NO_VIOLATION(host);
}

TEST(Relay, BeginsWhenTheUpstreamIsThere) {
  LittleModule little;
  little.open = [](rum_session* s) {
    Connect(s, "");
    return rum_calls->relay(s);
  };
  little.connected = [](rum_session*, uint32_t) { ADD_FAILURE() << "a hook after relay()"; };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "early");
  host.ConnectOutcome(0);
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), "early");
}

TEST(Relay, ABrokenSideIsAReset) {
  LittleModule little;
  little.open = [](rum_session* s) {
    Connect(s, "");
    return rum_calls->relay(s);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.ConnectOutcome(0);
  host.Reset(RUM_UPSTREAM);
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM_RESET);
}

// -- the map and the user -------------------------------------------------------------------------

TEST(Lookup, AnswersLaterAndOneAtATime) {
  LittleModule little;
  Strings answers;
  bool inside = false;
  little.client = [&](rum_session* s, std::string_view bytes) {
    inside = true;
    EXPECT_EQ(rum_calls->lookup(s, bytes.data(), bytes.size()), RUM_OK);
    EXPECT_EQ(rum_calls->lookup(s, "b", 1), RUM_E_STATE);
    EXPECT_EQ(rum_calls->lookup(s, "", 0), RUM_E_STATE);
    inside = false;
    return All(bytes);
  };
  little.looked_up = [&](rum_session*, int32_t status, std::string value) {
    EXPECT_FALSE(inside);
    answers.push_back(std::to_string(status) + value);
  };
  ScriptedHost host(little.table());
  host.AddToMap("alice", "red");
  host.Open();
  host.Feed(RUM_CLIENT, "alice");
  host.Feed(RUM_CLIENT, "bob");
  host.BreakMap();
  host.Feed(RUM_CLIENT, "alice");
  EXPECT_EQ(answers, (Strings{"0red", "1", "-6"}));
  EXPECT_NO_VIOLATION(host);
}

TEST(Lookup, TheDriverMayHoldAnswersBack) {
  LittleModule little;
  int answers = 0;
  little.open = [](rum_session* s) { return rum_calls->lookup(s, "k", 1); };
  little.looked_up = [&](rum_session*, int32_t, std::string) { ++answers; };
  ScriptedHost host(little.table());
  host.AddToMap("k", "v");
  host.HoldAnswers(true);
  host.Open();
  EXPECT_EQ(host.looking_up(), "k");
  EXPECT_EQ(answers, 0);
  host.HoldAnswers(false);
  EXPECT_EQ(answers, 1);
}

TEST(Lookup, IsRefusedWithoutAMap) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(rum_calls->lookup(s, "k", 1), RUM_E_UNSUPPORTED);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.has_map = false;
  host.Open();
  EXPECT_EQ(host.looking_up(), std::nullopt);
}

TEST(Lookup, RefusesKeysThatAreTooShortOrTooLong) {
  LittleModule little;
  little.open = [](rum_session* s) {
    std::string key(65536, 'k');
    EXPECT_EQ(rum_calls->lookup(s, key.data(), 0), RUM_E_ARGUMENT);
    EXPECT_EQ(rum_calls->lookup(s, key.data(), 65536), RUM_E_LIMIT);
    EXPECT_EQ(rum_calls->lookup(s, key.data(), 65535), RUM_OK);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.looking_up()->size(), 65535u);
}

TEST(Identify, KeepsTheBytesAndTellsOfTheLimit) {
  LittleModule little;
  std::string user("al\0ce", 5);
  little.open = [&](rum_session* s) {
    std::string long_name(513, 'u');
    EXPECT_EQ(rum_calls->identify(s, long_name.data(), 513), RUM_E_LIMIT);
    EXPECT_EQ(rum_calls->identify(s, long_name.data(), 512), RUM_OK);
    return rum_calls->identify(s, user.data(), user.size());
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.user(), user);
}

TEST(ScriptedCalls, AdmitAnswersWhatTheTestSaysAndIsNoted) {
  LittleModule little;
  std::vector<int32_t> answers;
  little.open = [&](rum_session* s) {
    auto limits = static_cast<const rum_limits*>(rum_calls->extension(RUM_LIMITS_1));
    EXPECT_EQ(limits->struct_size, sizeof(rum_limits));
    EXPECT_EQ(limits->admit(s, "r", 1), RUM_E_STATE);  // of whom?
    rum_calls->identify(s, "u", 1);
    answers.push_back(limits->admit(s, nullptr, 0));
    answers.push_back(limits->admit(s, "r", 1));
    limits->login_failed(s);
    EXPECT_EQ(limits->blocked(s), 0);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.admission = RUM_REFUSED_RATE;
  host.Open();
  EXPECT_EQ(answers, (std::vector<int32_t>{RUM_REFUSED_RATE, RUM_REFUSED_RATE}));
  std::vector<std::string> records;
  size_t failures = 0;
  for (const Deed& deed : host.deeds()) {
    if (deed.kind == Deed::Kind::kAdmit) records.push_back(deed.bytes);
    failures += deed.kind == Deed::Kind::kLoginFailed;
  }
  EXPECT_EQ(records, (std::vector<std::string>{"", "r"}));
  EXPECT_EQ(failures, 1u);
  EXPECT_EQ(host.violations(), std::vector<std::string>{});
}

// -- TLS ------------------------------------------------------------------------------------------

TEST(Tls, WhatIsNotConsumedGoesToTheEngineAndNeverToTheModule) {
  LittleModule little;
  Strings seen;
  std::vector<int32_t> outcomes;
  little.client = [&](rum_session* s, std::string_view bytes) -> int64_t {
    seen.emplace_back(bytes);
    if (seen.size() > 1) return All(bytes);
    EXPECT_EQ(rum_calls->start_tls(s, RUM_CLIENT, nullptr, 0), RUM_OK);
    EXPECT_EQ(rum_calls->start_tls(s, RUM_CLIENT, nullptr, 0), RUM_E_STATE);
    EXPECT_EQ(rum_calls->start_tls(s, RUM_UPSTREAM, nullptr, 0), RUM_E_STATE);
    return 3;
  };
  little.tls = [&](rum_session*, uint32_t side, int32_t status) {
    EXPECT_EQ(side, RUM_CLIENT);
    outcomes.push_back(status);
  };
  ScriptedHost host(little.table());
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  host.Open();
  host.Feed(RUM_CLIENT, "TLShello");
  EXPECT_TRUE(host.tls_wanted(RUM_CLIENT));
  host.Feed(RUM_CLIENT, "more");
  std::string engine;
  for (const Deed& deed : host.deeds()) {
    if (deed.kind == Deed::Kind::kTlsInput) engine += deed.bytes;
  }
  EXPECT_EQ(engine, "hellomore");
  EXPECT_TRUE(host.TlsOutcome(RUM_CLIENT, 0));
  host.Feed(RUM_CLIENT, "plain");
  EXPECT_EQ(seen, (Strings{"TLShello", "plain"}));
  EXPECT_EQ(outcomes, std::vector<int32_t>{0});
  EXPECT_NO_VIOLATION(host);
}

TEST(Tls, AFailureEndsTheSessionAfterTheHook) {
  LittleModule little;
  int32_t told = 0;
  little.open = [](rum_session* s) { return rum_calls->start_tls(s, RUM_CLIENT, nullptr, 0); };
  little.tls = [&](rum_session*, uint32_t, int32_t status) { told = status; };
  ScriptedHost host(little.table());
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  host.Open();
  host.End(RUM_CLIENT);  // in the middle of the handshake
  EXPECT_LT(told, 0);
  EXPECT_EQ(host.closed(), RUM_CLOSE_TLS);
}

TEST(Tls, IsRefusedWhereItIsNotPossible) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(rum_calls->start_tls(s, RUM_CLIENT, nullptr, 0), RUM_E_UNSUPPORTED);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
}

TEST(Tls, TheGroupTellsWhatTheOperatorWantsAndWhatIs) {
  LittleModule little;
  auto tls = static_cast<const rum_tls*>(ScriptedHost::Table().extension(RUM_TLS_1));
  ASSERT_NE(tls, nullptr);
  ASSERT_EQ(tls->struct_size, sizeof(rum_tls));
  little.open = [&](rum_session* s) {
    uint8_t digest[32];
    EXPECT_EQ(tls->mode(s, RUM_CLIENT), RUM_TLS_REQUIRE);
    EXPECT_EQ(tls->mode(s, RUM_UPSTREAM), RUM_TLS_OFF);
    EXPECT_EQ(tls->active(s, RUM_CLIENT), 0);
    EXPECT_EQ(tls->fingerprint(s, digest), RUM_E_STATE);
    EXPECT_EQ(rum_calls->start_tls(s, RUM_CLIENT, nullptr, 0), RUM_OK);
    EXPECT_EQ(tls->active(s, RUM_CLIENT), 1);
    EXPECT_EQ(tls->fingerprint(s, digest), RUM_OK);
    EXPECT_EQ(digest[31], 0x5a);
    EXPECT_EQ(tls->end_is_cut(s, RUM_CLIENT), RUM_OK);
    EXPECT_EQ(tls->end_is_cut(s, RUM_UPSTREAM), RUM_E_STATE);
    return Connect(s, "tls:db1.test:3306");
  };
  little.connected = [&](rum_session* s, uint32_t) { EXPECT_EQ(tls->active(s, RUM_UPSTREAM), 1); };
  ScriptedHost host(little.table());
  host.tls_mode[RUM_CLIENT] = RUM_TLS_REQUIRE;
  host.Open();
  EXPECT_TRUE(host.ConnectOutcome(0));
  EXPECT_NO_VIOLATION(host);
}

// -- pauses ---------------------------------------------------------------------------------------

TEST(Pause, StopsTheDataHooksUntilResume) {
  LittleModule little;
  Strings seen;
  uint64_t ticket = 0;
  little.client = [&](rum_session* s, std::string_view bytes) {
    seen.emplace_back(bytes);
    if (seen.size() == 1) {
      ticket = rum_calls->pause(s);
      EXPECT_NE(ticket, 0u);
      EXPECT_EQ(rum_calls->pause(s), 0u);
    }
    return All(bytes);
  };
  little.end = [&](rum_session*, uint32_t) {
    seen.push_back("end");
    return RUM_KEEP;
  };
  little.resumed = [&](rum_session*, uint64_t t, int32_t status, void* payload) {
    EXPECT_EQ(t, ticket);
    EXPECT_EQ(status, 42);
    EXPECT_EQ(payload, &ticket);
    seen.push_back("resumed");
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "a");
  host.Feed(RUM_CLIENT, "b");
  host.End(RUM_CLIENT);
  EXPECT_TRUE(host.paused());
  EXPECT_EQ(seen, Strings{"a"});
  rum_calls->resume(ticket, 42, &ticket, nullptr);
  EXPECT_TRUE(host.WaitResumed(1000));
  EXPECT_EQ(seen, (Strings{"a", "resumed", "b", "end"}));
  EXPECT_FALSE(host.paused());
  EXPECT_NO_VIOLATION(host);
}

TEST(Pause, AnotherThreadMayResume) {
  LittleModule little;
  std::thread thread;
  std::string got;
  little.open = [&](rum_session* s) {
    uint64_t ticket = rum_calls->pause(s);
    thread = std::thread([ticket] {
      rum_calls->resume(ticket, 0, new std::string("result"),
                        [](void* p) { delete static_cast<std::string*>(p); });
    });
    return RUM_OK;
  };
  little.resumed = [&](rum_session*, uint64_t, int32_t, void* payload) {
    std::unique_ptr<std::string> owned(static_cast<std::string*>(payload));
    got = *owned;
  };
  ScriptedHost host(little.table());
  host.Open();
  if (host.paused()) {
    EXPECT_TRUE(host.WaitResumed(10'000));
  }
  thread.join();
  EXPECT_EQ(got, "result");
}

int drops = 0;

TEST(Pause, DropsTheAnswerOfASessionThatIsGone) {
  LittleModule little;
  drops = 0;
  uint64_t ticket = 0;
  little.open = [&](rum_session* s) {
    ticket = rum_calls->pause(s);
    return RUM_OK;
  };
  little.resumed = [](rum_session*, uint64_t, int32_t, void*) { ADD_FAILURE(); };
  ScriptedHost host(little.table());
  host.Open();
  host.CloseByRum(RUM_CLOSE_KILLED);
  rum_calls->resume(ticket, 0, nullptr, [](void*) { ++drops; });
  EXPECT_EQ(drops, 1);
  EXPECT_NO_VIOLATION(host);
}

TEST(Pause, DropsTheAnswerThatComesInTheSameTurnAsTheEnd) {
  LittleModule little;
  drops = 0;
  little.open = [&](rum_session* s) {
    rum_calls->resume(rum_calls->pause(s), 0, nullptr, [](void*) { ++drops; });
    Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(drops, 1);
}

TEST(Pause, FindsATicketThatIsUsedTwice) {
  LittleModule little;
  drops = 0;
  uint64_t ticket = 0;
  little.open = [&](rum_session* s) {
    ticket = rum_calls->pause(s);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  rum_calls->resume(ticket, 0, nullptr, nullptr);
  rum_calls->resume(ticket, 0, nullptr, [](void*) { ++drops; });
  rum_calls->resume(UINT64_MAX, 0, nullptr, nullptr);
  EXPECT_EQ(drops, 1);
  EXPECT_TRUE(Violates(host, "used before"));
  EXPECT_TRUE(Violates(host, "never gave"));
}

// -- timers ---------------------------------------------------------------------------------------

TEST(Timer, RingsAtItsTimeAndInOrder) {
  LittleModule little;
  std::vector<std::pair<uint64_t, uint64_t>> rung;
  uint64_t start = 0, late = 0, early = 0, cancelled = 0;
  little.open = [&](rum_session* s) {
    start = rum_calls->now();
    late = rum_calls->timer(s, 500);
    early = rum_calls->timer(s, 100);
    cancelled = rum_calls->timer(s, 200);
    rum_calls->timer_cancel(s, cancelled);
    rum_calls->timer_cancel(s, 999'999'999);
    return RUM_OK;
  };
  little.timeout = [&](rum_session*, uint64_t t) {
    rung.emplace_back(t, rum_calls->now() - start);
  };
  ScriptedHost host(little.table());
  host.Open();
  host.Advance(99);
  EXPECT_TRUE(rung.empty());
  host.Advance(1000);
  EXPECT_EQ(rung, (std::vector<std::pair<uint64_t, uint64_t>>{{early, 100}, {late, 500}}));
  EXPECT_EQ(rum_calls->now(), start + 1099);
  EXPECT_NO_VIOLATION(host);
}

TEST(Timer, GoesOnDuringAPauseAndEndsWithTheSession) {
  LittleModule little;
  int rung = 0;
  little.open = [](rum_session* s) {
    rum_calls->pause(s);
    rum_calls->timer(s, 10);
    rum_calls->timer(s, 20);
    return RUM_OK;
  };
  little.timeout = [&](rum_session*, uint64_t) { ++rung; };
  ScriptedHost host(little.table());
  host.Open();
  host.Advance(10);
  EXPECT_EQ(rung, 1);
  host.CloseByRum(RUM_CLOSE_KILLED);
  host.Advance(100);
  EXPECT_EQ(rung, 1);
}

TEST(Timer, SixteenAtMost) {
  LittleModule little;
  little.open = [](rum_session* s) {
    for (int i = 0; i < 16; ++i) EXPECT_NE(rum_calls->timer(s, 10), 0u);
    EXPECT_EQ(rum_calls->timer(s, 10), 0u);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
}

TEST(Loops, FindsHooksThatCallForEachOtherWithoutEnd) {
  LittleModule little;
  little.open = [](rum_session* s) { return rum_calls->lookup(s, "k", 1); };
  little.looked_up = [](rum_session* s, int32_t, std::string) { rum_calls->lookup(s, "k", 1); };
  ScriptedHost host(little.table());
  host.AddToMap("other", "");
  host.Open();
  EXPECT_TRUE(Violates(host, "without end"));
  EXPECT_EQ(host.closed(), RUM_CLOSE_MODULE);

  LittleModule ticking;
  ticking.open = [](rum_session* s) { return rum_calls->timer(s, 0) ? RUM_OK : RUM_E_MEMORY; };
  ticking.timeout = [](rum_session* s, uint64_t) { rum_calls->timer(s, 0); };
  ScriptedHost second(ticking.table());
  second.Open();
  EXPECT_TRUE(Violates(second, "without end"));
}

// -- notes, logs, counters, peers -----------------------------------------------------------------

TEST(Note, BoundsKeysValuesAndTheirNumber) {
  LittleModule little;
  little.open = [](rum_session* s) {
    std::string key(33, 'k'), value(257, 'v');
    EXPECT_EQ(rum_calls->note(s, key.c_str(), "", 0), RUM_E_ARGUMENT);
    EXPECT_EQ(rum_calls->note(s, "Bad", "", 0), RUM_E_ARGUMENT);
    EXPECT_EQ(rum_calls->note(s, "", "", 0), RUM_E_ARGUMENT);
    EXPECT_EQ(rum_calls->note(s, "user", "", 0), RUM_E_ARGUMENT);
    EXPECT_EQ(rum_calls->note(s, "a", value.data(), 257), RUM_E_LIMIT);
    const char* keys[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    for (const char* one : keys) EXPECT_EQ(rum_calls->note(s, one, "1", 1), RUM_OK);
    EXPECT_EQ(rum_calls->note(s, "i", "1", 1), RUM_E_LIMIT);
    EXPECT_EQ(rum_calls->note(s, "h", "2", 1), RUM_OK);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_EQ(host.notes().size(), 8u);
  EXPECT_EQ(host.notes().at("h"), "2");
  EXPECT_EQ(host.violations().size(), 4u);
}

TEST(Metric, CountsByTheModulesTable) {
  LittleModule little;
  rum_metric rows[] = {{"little_logins", "logins"}, {"little_errors", "errors"}};
  little.open = [](rum_session* s) {
    rum_calls->metric_add(s, 1, 3);
    rum_calls->metric_add(s, 1, 4);
    rum_calls->metric_add(s, 2, 1);
    return RUM_OK;
  };
  rum_module table = little.table();
  table.metrics = rows;
  table.metric_count = 2;
  ScriptedHost host(table);
  host.Open();
  EXPECT_EQ(host.metric("little_errors"), 7u);
  EXPECT_EQ(host.metric("little_logins"), 0u);
  EXPECT_TRUE(Violates(host, "counter 2, of 2"));
}

TEST(Log, IsKeptFromAnyThreadAndWithoutASession) {
  LittleModule little;
  little.open = [](rum_session*) {
    std::thread([] { rum_calls->log(nullptr, RUM_LOG_WARNING, "hm", 2); }).join();
    rum_calls->log(nullptr, 9, "x", 1);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  ASSERT_FALSE(host.deeds().empty());
  EXPECT_EQ(host.deeds().back().kind, Deed::Kind::kLog);
  EXPECT_EQ(host.deeds().back().bytes, "hm");
  EXPECT_EQ(host.deeds().back().number, RUM_LOG_WARNING);
  EXPECT_TRUE(Violates(host, "log() with level 9"));
}

TEST(Peer, WritesWhatFitsWithANulAndTellsTheWholeLength) {
  LittleModule little;
  little.open = [](rum_session* s) {
    char text[8];
    EXPECT_EQ(rum_calls->peer(s, RUM_CLIENT, text, sizeof text), 15u);
    EXPECT_STREQ(text, "192.0.2");
    char room[16];
    EXPECT_EQ(rum_calls->peer(s, RUM_CLIENT, room, sizeof room), 15u);
    EXPECT_STREQ(room, "192.0.2.1:40112");
    EXPECT_EQ(rum_calls->peer(s, RUM_CLIENT, nullptr, 0), 15u);
    EXPECT_EQ(rum_calls->peer(s, RUM_UPSTREAM, room, sizeof room), 0u);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  EXPECT_NO_VIOLATION(host);
}

TEST(Extension, IsNullUnlessTheTestGivesIt) {
  LittleModule little;
  static const int table = 7;
  little.open = [](rum_session*) {
    EXPECT_EQ(rum_calls->extension("rum.none/1"), nullptr);
    EXPECT_EQ(rum_calls->extension("rum.test/1"), &table);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.extensions["rum.test/1"] = &table;
  host.Open();
}

TEST(Exceptions, AreFoundAndEndTheSession) {
  LittleModule little;
  little.client = [](rum_session*, std::string_view) -> int64_t { throw std::runtime_error("x"); };
  ScriptedHost host(little.table());
  host.Open();
  host.Feed(RUM_CLIENT, "x");
  EXPECT_TRUE(Violates(host, "client_data threw an exception"));
  EXPECT_EQ(host.closed(), RUM_CLOSE_MODULE);
}

}  // namespace
}  // namespace rum

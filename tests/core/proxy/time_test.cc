// Timers, pauses and deadlines of rum/module.h on the real core.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "proxy/proxy.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

// -- timers ---------------------------------------------------------------------------------------

TEST(Timer, CallsItsHookOnceWithItsTicket) {
  Journal journal;
  std::atomic<uint64_t> ticket = 0;
  std::atomic<uint64_t> start = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    start = host->now();
    ticket = host->timer(s, 60);
    EXPECT_NE(ticket, 0u);
    return RUM_OK;
  };
  hooks.timeout = [&](rum_session*, uint64_t which) {
    EXPECT_EQ(which, ticket);
    // Both clocks are coarse.
    EXPECT_GE(host->now() + 10, start + 60);
    journal.Add("timeout");
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(journal.WaitFor("timeout"));
  std::this_thread::sleep_for(150ms);
  EXPECT_EQ(journal.Count("timeout"), 1u);
}

TEST(Timer, FiresInTheOrderOfTime) {
  Journal journal;
  std::map<uint64_t, std::string> names;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    names[host->timer(s, 90)] = "third";
    names[host->timer(s, 0)] = "first";
    names[host->timer(s, 45)] = "second";
    return RUM_OK;
  };
  hooks.timeout = [&](rum_session*, uint64_t ticket) { journal.Add(names[ticket]); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(journal.WaitFor("third"));
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"first", "second", "third"}));
}

TEST(Timer, ThatIsCancelledIsSilent) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    uint64_t cancelled = host->timer(s, 20);
    host->timer(s, 60);
    host->timer_cancel(s, cancelled);
    host->timer_cancel(s, cancelled);
    host->timer_cancel(s, 0);
    host->timer_cancel(s, 123456789);
    return RUM_OK;
  };
  hooks.timeout = [&](rum_session*, uint64_t) { journal.Add("timeout"); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(journal.WaitFor("timeout"));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(journal.Count("timeout"), 1u);
}

TEST(Timer, MayCancelOthersThatAreDueAtTheSameMoment) {
  Journal journal;
  std::vector<uint64_t> tickets;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    for (int i = 0; i < 5; ++i) tickets.push_back(host->timer(s, 10));
    std::this_thread::sleep_for(30ms);  // all are due when the loop looks
    return RUM_OK;
  };
  hooks.timeout = [&](rum_session* s, uint64_t ticket) {
    journal.Add("timeout");
    host->timer_cancel(s, ticket);
    for (uint64_t other : tickets) host->timer_cancel(s, other);
    host->timer(s, 20);
    if (journal.Count("timeout") == 3) Close(s, RUM_CLOSE_DENIED);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextReason(), "denied");
  EXPECT_EQ(journal.Count("timeout"), 3u) << "one of the five, and two that were made later";
}

TEST(Timer, ThereAreAtMostSixteen) {
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    std::set<uint64_t> tickets;
    for (int i = 0; i < 16; ++i) tickets.insert(host->timer(s, 3600 * 1000));
    EXPECT_EQ(tickets.size(), 16u);
    EXPECT_EQ(tickets.count(0), 0u);
    EXPECT_EQ(host->timer(s, 1), 0u);
    host->timer_cancel(s, *tickets.begin());
    EXPECT_NE(host->timer(s, 1), 0u);
    return RUM_OK;
  };
  hooks.timeout = [&](rum_session* s, uint64_t) {
    EXPECT_NE(host->timer(s, 24 * 3600 * 1000), 0u) << "the one that fired is free again";
    EXPECT_EQ(host->timer(s, 1), 0u);
    journal.Add("timeout");
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(journal.WaitFor("timeout"));
}

TEST(Timer, EndsWithTheSessionAndWithTheDialogue) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    host->timer(s, 50);
    Connect(s, server.address());
    return host->relay(s);
  };
  hooks.timeout = [&](rum_session*, uint64_t) { journal.Add("timeout"); };
  RunningProxy proxy(hooks);
  {
    Peer client = proxy.Client();
    Peer upstream = server.Accept();
    client.Send("x");
    upstream.Receive(1);
    std::this_thread::sleep_for(100ms);
  }
  Peer client = proxy.Client();
  client.Close();
  server.Accept();
  std::this_thread::sleep_for(100ms);
  EXPECT_EQ(journal.Count("timeout"), 0u);
}

// -- pause and resume -----------------------------------------------------------------------------

// A payload that counts who took care of it.
struct Payload {
  std::atomic<int> given = 0, dropped = 0;
  static void Drop(void* payload) { static_cast<Payload*>(payload)->dropped++; }
};

TEST(Pause, StopsDataHooksUntilAnotherThreadResumes) {
  Journal journal;
  Payload payload;
  std::atomic<uint64_t> ticket = 0;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    journal.Add(std::string(bytes));
    if (bytes == "work") {
      uint64_t mine = host->pause(s);
      EXPECT_EQ(host->pause(s), 0u) << "one at a time";
      host->timer(s, 20);
      ticket = mine;
    }
    return static_cast<int64_t>(bytes.size());
  };
  hooks.timeout = [&](rum_session*, uint64_t) { journal.Add("timeout"); };
  hooks.resumed = [&](rum_session*, uint64_t which, int32_t status, void* given) {
    EXPECT_EQ(which, ticket);
    EXPECT_EQ(given, &payload);
    payload.given++;
    journal.Add("resumed " + std::to_string(status));
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  client.Send("work");
  ASSERT_TRUE(Eventually([&] { return ticket != 0; }));
  client.Send("more");
  ASSERT_TRUE(journal.WaitFor("timeout")) << "other hooks go on";
  EXPECT_EQ(journal.Count("more"), 0u);
  std::thread([&] { host->resume(ticket, -42, &payload, Payload::Drop); }).join();
  ASSERT_TRUE(journal.WaitFor("more"));
  EXPECT_EQ(journal.entries(),
            (std::vector<std::string>{"work", "timeout", "resumed -42", "more"}));
  EXPECT_EQ(payload.given, 1);
  EXPECT_EQ(payload.dropped, 0);
}

TEST(Pause, ATicketWorksOnce) {
  Journal journal;
  Payload first, second;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    uint64_t ticket = host->pause(s);
    host->resume(ticket, 1, &first, Payload::Drop);
    host->resume(ticket, 2, &second, Payload::Drop);
    return RUM_OK;
  };
  hooks.resumed = [&](rum_session*, uint64_t, int32_t status, void* payload) {
    static_cast<Payload*>(payload)->given++;
    journal.Add("resumed " + std::to_string(status));
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(journal.WaitFor("resumed 1"));
  EXPECT_TRUE(Eventually([&] { return second.dropped == 1; }));
  EXPECT_EQ(first.given, 1);
  EXPECT_EQ(first.dropped, 0);
  EXPECT_EQ(second.given, 0);
}

TEST(Pause, MayBeAskedForAgainFromResumed) {
  std::atomic<int> rounds = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    host->resume(host->pause(s), 0, nullptr, nullptr);
    return RUM_OK;
  };
  hooks.resumed = [&](rum_session* s, uint64_t, int32_t, void*) {
    if (++rounds < 100) {
      uint64_t ticket = host->pause(s);
      EXPECT_NE(ticket, 0u);
      host->resume(ticket, 0, nullptr, nullptr);
    }
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(Eventually([&] { return rounds == 100; }));
}

TEST(Resume, AfterTheSessionIsGoneDropsThePayloadOnce) {
  Payload payload;
  std::atomic<uint64_t> ticket = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return ticket = host->pause(s), RUM_OK; };
  hooks.resumed = [](rum_session*, uint64_t, int32_t, void*) { ADD_FAILURE() << "it is gone"; };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 50ms; });
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextReason(), "login_timeout") << "deadlines go on in a pause";
  host->resume(ticket, 0, &payload, Payload::Drop);
  EXPECT_TRUE(Eventually([&] { return payload.dropped == 1; }));
  host->resume(ticket, 0, nullptr, nullptr);  // nothing to drop
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(payload.dropped, 1);
}

TEST(Resume, InTheRelayDropsThePayload) {
  Server server;
  Payload payload;
  std::atomic<uint64_t> ticket = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    ticket = host->pause(s);
    Connect(s, server.address());
    return host->relay(s);
  };
  hooks.resumed = [](rum_session*, uint64_t, int32_t, void*) { ADD_FAILURE() << "in the relay"; };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("x");
  EXPECT_EQ(upstream.Receive(1), "x");
  host->resume(ticket, 0, &payload, Payload::Drop);
  EXPECT_TRUE(Eventually([&] { return payload.dropped == 1; }));
}

TEST(Resume, WithATicketThatNeverWasDropsThePayload) {
  Payload payload;
  RunningProxy proxy({});
  for (uint64_t ticket : {uint64_t{0}, uint64_t{1}, uint64_t{77} << 48, UINT64_MAX}) {
    int before = payload.dropped;
    host->resume(ticket, 0, &payload, Payload::Drop);
    EXPECT_TRUE(Eventually([&] { return payload.dropped == before + 1; })) << ticket;
  }
}

TEST(Resume, WithoutTheHookDropsThePayload) {
  Payload payload;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    host->resume(host->pause(s), 0, &payload, Payload::Drop);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(Eventually([&] { return payload.dropped == 1; }));
}

TEST(Resume, OfASessionThatClosesAtTheSameMomentGivesOrDropsOnce) {
  constexpr int kSessions = 200;
  std::vector<Payload> payloads(kSessions);
  std::atomic<int> next = 0;
  std::mutex mutex;
  std::vector<std::thread> threads;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Payload* payload = &payloads[static_cast<size_t>(next++)];
    uint64_t ticket = host->pause(s);
    std::lock_guard lock(mutex);
    threads.emplace_back([=] { host->resume(ticket, 0, payload, Payload::Drop); });
    if (next % 2) Close(s, RUM_CLOSE_DENIED);
    return RUM_OK;
  };
  hooks.resumed = [](rum_session*, uint64_t, int32_t, void* payload) {
    static_cast<Payload*>(payload)->given++;
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.workers = 2; });
  for (int i = 0; i < kSessions; ++i) proxy.Client();
  ASSERT_TRUE(Eventually([&] {
    std::lock_guard lock(mutex);  // the number is counted before its thread is there
    return threads.size() == kSessions;
  }));
  for (auto& thread : threads) thread.join();
  for (Payload& payload : payloads) {
    EXPECT_TRUE(Eventually([&] { return payload.given + payload.dropped == 1; }));
  }
}

TEST(Resume, WhileRumStopsAndAfterItIsGoneDropsThePayload) {
  std::atomic<bool> stop = false;
  std::atomic<uint64_t> ticket = 0, asked = 0;
  static std::atomic<uint64_t> dropped;
  dropped = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return ticket = host->pause(s), RUM_OK; };
  hooks.resumed = [](rum_session*, uint64_t, int32_t, void*) { dropped++; };
  std::thread worker;
  {
    RunningProxy proxy(hooks);
    Peer client = proxy.Client();
    ASSERT_TRUE(Eventually([&] { return ticket != 0; }));
    worker = std::thread([&] {
      while (!stop) {
        asked++;
        host->resume(ticket, 0, nullptr, [](void*) { dropped++; });
        if (asked > dropped + 1000) std::this_thread::yield();
      }
    });
    ASSERT_TRUE(Eventually([&] { return asked > 100; }));
  }
  std::this_thread::sleep_for(10ms);
  stop = true;
  worker.join();
  EXPECT_EQ(dropped, asked);
}

// -- deadlines ------------------------------------------------------------------------------------

Hooks RelayTo(const std::string& address) {
  Hooks hooks;
  hooks.session_open = [address](rum_session* s) {
    Connect(s, address);
    return host->relay(s);
  };
  return hooks;
}

TEST(LoginTimeout, EndsADialogueHoweverMuchIsSaid) {
  Hooks hooks;
  hooks.client_data = [](rum_session*, std::string_view bytes) {
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 150ms; });
  Peer client = proxy.Client();
  std::thread chatter([&] {
    for (int i = 0; i < 1000 && client.Send("still here"); ++i) std::this_thread::sleep_for(5ms);
  });
  EXPECT_EQ(proxy.NextReason(), "login_timeout");
  chatter.join();
}

TEST(LoginTimeout, DoesNotEndARelay) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.login_timeout = 50ms; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("x");
  EXPECT_EQ(upstream.Receive(1), "x");
  std::this_thread::sleep_for(200ms);
  upstream.Send("y");
  EXPECT_EQ(client.Receive(1), "y");
}

TEST(IdleTimeout, EndsARelayInWhichNothingMoves) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.idle_timeout = 200ms; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  uint64_t start = NowMillis();
  while (NowMillis() - start < 600) {  // three times as long, a byte now and then
    client.Send("x");
    upstream.Receive(1);
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(proxy.Sum(&Counters::active), 1u);
  start = NowMillis();
  EXPECT_EQ(proxy.NextReason(), "idle_timeout");
  EXPECT_GE(NowMillis() - start + 30, 200u);
}

TEST(IdleTimeout, OfAFewMillisecondsIsNotOff) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.idle_timeout = 3ms; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  EXPECT_EQ(proxy.NextReason(), "idle_timeout");
}

// What every timeout is when it was off as a session began, and a reload turns it on.
void ReloadWith(RunningProxy& proxy, const std::function<void(Settings&)>& change) {
  proxy.OnMain([&](Proxy& p) {
    auto settings = std::make_shared<Settings>(*p.settings());
    change(*settings);
    p.Reload(settings, p.module_config());
  });
}

TEST(Timeouts, ThatAReloadTurnsOnReachSessionsThatExist) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.half_close_timeout = 0ms; });
  Peer idle = proxy.Client();
  Peer upstream = server.Accept();
  idle.Send("x");
  EXPECT_EQ(upstream.Receive(1), "x");
  ReloadWith(proxy, [](Settings& s) { s.idle_timeout = 100ms; });
  EXPECT_EQ(proxy.NextReason(), "idle_timeout");
  ReloadWith(proxy, [](Settings& s) { s.idle_timeout = 0ms; });

  Peer half = proxy.Client();
  Peer half_upstream = server.Accept();
  half.ShutWrite();
  EXPECT_EQ(half_upstream.WaitForEnd(), Ending::kEnd);
  ReloadWith(proxy, [](Settings& s) { s.half_close_timeout = 100ms; });
  EXPECT_EQ(proxy.NextReason(), "half_close_timeout");
}

TEST(Timeouts, ThatAReloadTurnsOnReachDialoguesThatExist) {
  Server server;
  std::atomic<bool> leads = false;
  std::atomic<int> opened = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    if (leads) Connect(s, server.address());
    ++opened;
    return RUM_OK;
  };
  hooks.upstream_data = [](rum_session*, std::string_view) -> int64_t { return 0; };
  RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = s.first_byte_timeout = 0ms; });
  Peer silent = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return opened == 1; }));
  ReloadWith(proxy, [](Settings& s) { s.login_timeout = 100ms; });
  EXPECT_EQ(proxy.NextReason(), "login_timeout");
  ReloadWith(proxy, [](Settings& s) { s.login_timeout = 0ms; });

  leads = true;
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  ASSERT_TRUE(Eventually([&] { return proxy.Sum(&Counters::connects) == 1; }));
  ReloadWith(proxy, [](Settings& s) { s.first_byte_timeout = 100ms; });
  EXPECT_EQ(proxy.NextReason(), "first_byte_timeout");
}

TEST(Timeouts, ThatAReloadTurnsOffEndNothing) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.idle_timeout = 400ms; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("x");
  EXPECT_EQ(upstream.Receive(1), "x");
  ReloadWith(proxy, [](Settings& s) { s.idle_timeout = 0ms; });
  std::this_thread::sleep_for(900ms);
  upstream.Send("y");
  EXPECT_EQ(client.Receive(1), "y");
}

TEST(HalfCloseTimeout, EndsARelayOfWhichOneWayIsOverAndNothingMoves) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.half_close_timeout = 200ms; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.Send("x");
  client.ShutWrite();
  EXPECT_EQ(upstream.ReceiveAll(), "x");
  for (int i = 0; i < 20; ++i) {
    upstream.Send("y");
    client.Receive(1);
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_EQ(proxy.Sum(&Counters::active), 1u) << "something moves";
  EXPECT_EQ(proxy.NextReason(), "half_close_timeout");
}

// Bytes that the module consumed and sent itself must not count as movement.
TEST(HalfCloseTimeout, IsNotTwiceAsLongBecauseTheModuleSaidSomething) {
  Server server;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, "welcome");
    Connect(s, server.address());
    host->relay(s);
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.half_close_timeout = 3s; });
  Peer client = proxy.Client();
  client.Send("login");
  Peer upstream = server.Accept();
  EXPECT_EQ(client.Receive(7), "welcome");
  uint64_t start = NowMillis();
  client.ShutWrite();
  EXPECT_EQ(proxy.NextReason(), "half_close_timeout");
  EXPECT_LT(NowMillis() - start, 5500u);
}

TEST(HalfCloseTimeout, LastsAQuarterLongerAtMostBehindTheLastByte) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.half_close_timeout = 3s; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.ShutWrite();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  std::this_thread::sleep_for(100ms);
  upstream.Send("y");
  EXPECT_EQ(client.Receive(1), "y");
  uint64_t start = NowMillis();
  EXPECT_EQ(proxy.NextReason(), "half_close_timeout");
  EXPECT_GE(NowMillis() - start + 30, 3000u);
  EXPECT_LT(NowMillis() - start, 5500u);
}

TEST(HalfCloseTimeout, OffLeavesTheIdleTimeoutInForce) {
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) {
    s.half_close_timeout = 0ms;
    s.idle_timeout = 200ms;
  });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  client.ShutWrite();
  EXPECT_EQ(proxy.NextReason(), "idle_timeout");
}

TEST(HalfCloseTimeout, ThatCutsAReplyDoesNotLookLikeItsEnd) {
  std::string reply = Noise(64 << 20, 1);  // before the clock runs
  Server server;
  RunningProxy proxy(RelayTo(server.address()), [](Settings& s) { s.half_close_timeout = 300ms; });
  Peer client = proxy.Client(4096);
  Peer upstream = server.Accept();
  client.ShutWrite();
  size_t sent = upstream.SendUntilStuck(reply, 150);
  ASSERT_LT(sent, reply.size());
  EXPECT_EQ(proxy.NextReason(), "half_close_timeout");
  Ending ending;
  EXPECT_LT(client.ReceiveAll(&ending).size(), sent);
  EXPECT_EQ(ending, Ending::kReset) << "a cut reply must not look whole";
}

}  // namespace
}  // namespace rum

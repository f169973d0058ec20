// "rum.worker/1", "rum.shared/1", "rum.records/1" and the bounds, as the scripted host serves them.
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "little_module.h"

namespace rum {
namespace {

using namespace std::string_literals;

template <class Group>
const Group& Calls(const char* name) {
  return *static_cast<const Group*>(rum_calls->extension(name));
}
const rum_worker_calls& WorkerGroup() { return Calls<rum_worker_calls>(RUM_WORKER_1); }
const rum_shared& Shared() { return Calls<rum_shared>(RUM_SHARED_1); }

struct Job {
  int runs = 0, drops = 0;
  static void Run(void*, void* self) { ++static_cast<Job*>(self)->runs; }
  static void Drop(void* self) { ++static_cast<Job*>(self)->drops; }
};
rum_worker* the_worker = nullptr;

rum_module WithWorker(const LittleModule& little) {
  rum_module table = little.table();
  table.worker_start = [](rum_worker* worker, const void*, void**) -> int32_t {
    the_worker = worker;
    return RUM_OK;
  };
  return table;
}

TEST(ScriptedWorker, RunsTimersAndPostsAndDropsWhatIsLeft) {
  LittleModule little;
  Job timer, late, cancelled, posted, left;
  uint64_t ticket = 0;
  {
    ScriptedHost host(WithWorker(little));
    ASSERT_TRUE(host.Start());
    ticket = WorkerGroup().ticket(the_worker);
    WorkerGroup().timer(the_worker, 10, Job::Run, &timer, Job::Drop);
    WorkerGroup().timer(the_worker, 1000, Job::Run, &late, Job::Drop);
    uint64_t other = WorkerGroup().timer(the_worker, 10, Job::Run, &cancelled, Job::Drop);
    WorkerGroup().timer_cancel(the_worker, other);
    std::thread([&] { WorkerGroup().post(ticket, Job::Run, &posted, Job::Drop); }).join();
    EXPECT_EQ(posted.runs, 0);
    host.Advance(9);
    EXPECT_EQ(posted.runs, 1);
    EXPECT_EQ(timer.runs, 0);
    host.Advance(1);
    EXPECT_EQ(timer.runs, 1);
    EXPECT_EQ(WorkerGroup().post(ticket, Job::Run, &left, Job::Drop), RUM_OK);
    EXPECT_EQ(host.violations(), std::vector<std::string>{});
  }
  EXPECT_EQ(late.drops + left.drops + cancelled.drops, 3);
  EXPECT_EQ(late.runs + left.runs + cancelled.runs + timer.drops + posted.drops, 0);
  EXPECT_EQ(WorkerGroup().post(ticket, Job::Run, &left, Job::Drop), RUM_E_STATE);
}

TEST(ScriptedWorker, TellsOfAWrongHandle) {
  LittleModule little;
  ScriptedHost host(WithWorker(little));
  ASSERT_TRUE(host.Start());
  Job job;
  EXPECT_EQ(WorkerGroup().timer(nullptr, 10, Job::Run, &job, Job::Drop), 0u);
  std::thread([&] { WorkerGroup().ticket(the_worker); }).join();
  EXPECT_EQ(host.violations(),
            (std::vector<std::string>{"timer() with a pointer that is not a worker",
                                      "ticket() on another thread than the worker's"}));
}

TEST(ScriptedShared, KeepsEntriesForASessionOrALifetime) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(Shared().put(s, "own", 3, "a", 1, 0), RUM_OK);
    EXPECT_EQ(Shared().put(s, "timed", 5, "b", 1, 1000), RUM_OK);
    for (int i = 1; i < 8; ++i) {
      EXPECT_EQ(Shared().put(s, std::to_string(i).c_str(), 1, "", 0, 0), RUM_OK);
    }
    EXPECT_EQ(Shared().put(s, "more", 4, "", 0, 0), RUM_E_LIMIT);
    EXPECT_EQ(Shared().put(s, "own", SIZE_MAX, "", 0, 0), RUM_E_LIMIT);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  char value[4];
  size_t size = sizeof value;
  EXPECT_EQ(Shared().get("own", 3, value, &size), RUM_FOUND);
  EXPECT_EQ(std::string(value, size), "a");
  host.CloseByRum(RUM_CLOSE_KILLED);
  EXPECT_EQ(Shared().get("own", 3, value, &size), RUM_NOT_FOUND);
  EXPECT_EQ(size, 0u);
  EXPECT_EQ(Shared().get("timed", 5, value, &size), RUM_E_LIMIT);
  EXPECT_EQ(size, 1u);
  host.Advance(999);
  EXPECT_EQ(Shared().take("timed", 5, nullptr, nullptr), RUM_FOUND);
  EXPECT_EQ(Shared().take("timed", 5, nullptr, nullptr), RUM_NOT_FOUND);
}

TEST(ScriptedRecords, AreThoseOfRum) {
  LittleModule little;
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.Start());
  const std::string record = "\0tcp:a:1\0\x80little-x=1"s;
  char value[4];
  size_t size = sizeof value;
  const rum_records& records = Calls<rum_records>(RUM_RECORDS_1);
  EXPECT_EQ(records.column(record.data(), record.size(), "little-x", value, &size), RUM_FOUND);
  EXPECT_EQ(std::string(value, size), "1");
  EXPECT_EQ(host.violations(), std::vector<std::string>{});
  EXPECT_EQ(records.column(record.data(), record.size(), "max", value, &size), RUM_E_ARGUMENT);
  EXPECT_EQ(host.violations(), std::vector<std::string>{"column() with the name max"});
}

TEST(ScriptedBounds, AreThoseOfRum) {
  LittleModule little;
  little.open = [](rum_session* s) {
    EXPECT_EQ(rum_calls->send(s, RUM_CLIENT, "x", SIZE_MAX), RUM_E_LIMIT);
    EXPECT_EQ(rum_calls->connect(s, "x", SIZE_MAX), RUM_E_LIMIT);
    EXPECT_EQ(rum_calls->lookup(s, "x", SIZE_MAX), RUM_E_LIMIT);
    EXPECT_EQ(rum_calls->forward(s, RUM_CLIENT, UINT64_MAX), RUM_E_LIMIT);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  host.Open();
  const rum_state& state = Calls<rum_state>(RUM_STATE_1);
  EXPECT_EQ(state.save("little-x", "x", 1), RUM_OK);
  EXPECT_EQ(state.save("little-x", "x", SIZE_MAX), RUM_E_LIMIT);
  EXPECT_EQ(host.violations(), std::vector<std::string>{});
  EXPECT_EQ(state.save("other-x", "x", 1), RUM_E_ARGUMENT);
  EXPECT_EQ(host.violations().size(), 1u);
}

const rum_sessions& Sessions() { return Calls<rum_sessions>(RUM_SESSIONS_1); }

TEST(ScriptedSessions, SayTheDestinationAndTakeNoLogins) {
  LittleModule little;
  auto where = [](rum_session* s) {
    char text[100];
    size_t size = sizeof text;
    int32_t status = Sessions().destination(s, text, &size);
    return status == RUM_OK ? std::string(text, size) : std::to_string(status);
  };
  std::string before, after;
  little.open = [&](rum_session* s) {
    before = where(s);
    return Connect(s, "tls:db1.test:5432,tcp:db2.test:5432");
  };
  little.connected = [&](rum_session* s, uint32_t) {
    after = where(s);
    size_t size = 5;
    char text[5];
    EXPECT_EQ(Sessions().destination(s, text, &size), RUM_E_LIMIT);
    EXPECT_EQ(size, after.size());
    EXPECT_EQ(Sessions().no_login(s), RUM_OK);
    rum_calls->identify(s, "alice", 5);
    EXPECT_EQ(Calls<rum_limits>(RUM_LIMITS_1).admit(s, nullptr, 0), RUM_E_STATE);
    EXPECT_EQ(rum_calls->relay(s), RUM_OK);
    EXPECT_EQ(Sessions().no_login(s), RUM_E_STATE);
  };
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.Open());
  ASSERT_TRUE(host.ConnectOutcome(0));
  EXPECT_EQ(before, "-2");
  EXPECT_EQ(after, "tls:db1.test:5432");
  EXPECT_NO_VIOLATION(host);
}

TEST(ScriptedTls, SaysWhatThePeersBringToTheHandshake) {
  LittleModule little;
  const auto& tls = Calls<rum_tls>(RUM_TLS_1);
  std::string facts;
  little.open = [&](rum_session* s) {
    size_t size = 0;
    EXPECT_EQ(tls.alpn(s, RUM_CLIENT, nullptr, &size), RUM_E_STATE);
    EXPECT_EQ(tls.version(s, RUM_CLIENT), RUM_E_STATE);
    EXPECT_EQ(tls.set_alpn(s, RUM_CLIENT, "\x01x\x02pg", 5), RUM_OK);
    return rum_calls->start_tls(s, RUM_CLIENT, nullptr, 0);
  };
  little.tls = [&](rum_session* s, uint32_t side, int32_t) {
    auto add = [&](auto&&... arguments) {
      char value[64];
      size_t size = sizeof value;
      auto call = [&](auto function, auto... more) { return function(s, more..., value, &size); };
      EXPECT_EQ(call(arguments...), RUM_OK);
      facts += std::string(value, size) + ";";
    };
    EXPECT_EQ(tls.set_alpn(s, side, "\x01x", 2), RUM_E_STATE);
    add([&](rum_session* of, char* v, size_t* n) { return tls.alpn(of, side, v, n); });
    add([&](rum_session* of, char* v, size_t* n) { return tls.server_name(of, v, n); });
    add([&](rum_session* of, char* v, size_t* n) { return tls.certificate(of, side, v, n); });
    add([&](rum_session* of, char* v, size_t* n) { return tls.end_point(of, side, v, n); });
    uint8_t list[64];
    size_t size = sizeof list;
    EXPECT_EQ(tls.offered_alpn(s, list, &size), RUM_OK);
    facts += std::string(reinterpret_cast<char*>(list), size);
    EXPECT_EQ(tls.version(s, side), 0x0303);
  };
  ScriptedHost host(little.table());
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  host.tls_peer[RUM_CLIENT] = {{"pg", "h2"}, "db.test", "DER", 0x0303, "hash"};
  ASSERT_TRUE(host.Open());
  ASSERT_TRUE(host.TlsOutcome(RUM_CLIENT, RUM_OK));
  EXPECT_EQ(facts, "pg;db.test;DER;hash;\x02pg\x02h2");
  EXPECT_NO_VIOLATION(host);
}

TEST(ScriptedTls, KnowsAListOfProtocols) {
  LittleModule little;
  little.open = [&](rum_session* s) {
    EXPECT_EQ(Calls<rum_tls>(RUM_TLS_1).set_alpn(s, RUM_CLIENT, "pg", 2), RUM_E_ARGUMENT);
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.Open());
  EXPECT_TRUE(Violates(host, "no list of protocols"));
}

TEST(ScriptedQueue, CallsTheHookWhenThePeerReads) {
  LittleModule little;
  const auto& queue = Calls<rum_queue>(RUM_QUEUE_1);
  std::vector<uint64_t> sizes;
  little.drained = [&](rum_session* s, uint32_t side) { sizes.push_back(queue.size(s, side)); };
  little.client = [&](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, "12345");
    EXPECT_EQ(queue.size(s, RUM_CLIENT), 5u);
    EXPECT_EQ(queue.await(s, RUM_CLIENT, 4), RUM_OK);
    EXPECT_EQ(queue.await(s, RUM_UPSTREAM, 4), RUM_E_STATE);
    return All(bytes);
  };
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.Open());
  host.StopReading(RUM_CLIENT);
  host.Feed(RUM_CLIENT, "x");
  EXPECT_EQ(sizes, std::vector<uint64_t>{});
  host.StartReading(RUM_CLIENT);
  EXPECT_EQ(sizes, std::vector<uint64_t>{0});
  EXPECT_NO_VIOLATION(host);
}

TEST(ScriptedConnect, GoesOnWithAnotherServerUpToTheBound) {
  LittleModule little;
  std::vector<int32_t> answers;
  std::string seen;
  little.open = [](rum_session* s) { return Connect(s, "tcp:db0.test:1"); };
  little.upstream = [&](rum_session* s, std::string_view bytes) -> int64_t {
    seen += bytes;
    answers.push_back(Connect(s, "tcp:db1.test:1"));
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "x"), answers.back() == RUM_OK ? RUM_E_STATE : RUM_OK);
    return 0;
  };
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.Open());
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(host.ConnectOutcome(0)) << i;
    ASSERT_TRUE(host.Feed(RUM_UPSTREAM, std::to_string(i)));
  }
  EXPECT_EQ(seen, "01234567") << "of each just its own bytes";
  EXPECT_EQ(answers, (std::vector<int32_t>{0, 0, 0, 0, 0, 0, 0, RUM_E_LIMIT}));
  EXPECT_NO_VIOLATION(host);
}

TEST(ScriptedConnect, AnEndThatIsKeptIsNoneOfTheNextServer) {
  LittleModule little;
  int ends = 0;
  little.upstream = Swallow();
  little.open = [](rum_session* s) { return Connect(s, "tcp:db0.test:1"); };
  little.end = [&](rum_session* s, uint32_t) -> int32_t {
    ++ends;
    return Connect(s, "tcp:db1.test:1") == RUM_OK ? RUM_KEEP : RUM_END;
  };
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.Open());
  host.ConnectOutcome(0);
  host.End(RUM_UPSTREAM);
  EXPECT_EQ(host.connecting(), "tcp:db1.test:1");
  host.ConnectOutcome(0);
  EXPECT_EQ(ends, 1);
  EXPECT_TRUE(host.connected());
  EXPECT_FALSE(host.ended(RUM_UPSTREAM));
  EXPECT_NO_VIOLATION(host);
}

TEST(ScriptedRefusal, IsAShortSessionWithoutAServer) {
  LittleModule little;
  little.client = [](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(Connect(s, "tcp:db.test:1"), RUM_E_STATE);
    EXPECT_EQ(rum_calls->relay(s), RUM_E_STATE);
    EXPECT_EQ(rum_calls->lookup(s, "x", 1), RUM_E_STATE);
    Send(s, RUM_CLIENT, "sorry");
    if (bytes == "bye") Close(s, RUM_CLOSE_DENIED);
    return bytes == "more" ? 0 : All(bytes);
  };
  uint32_t why = 0;
  little.refused = [&](rum_session*, uint32_t reason) {
    why = reason;
    return RUM_OK;
  };
  ScriptedHost host(little.table());
  ASSERT_TRUE(host.OpenRefused(RUM_CLOSE_BLOCKED));
  EXPECT_EQ(why, RUM_CLOSE_BLOCKED);
  host.Feed(RUM_CLIENT, "bye");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "sorry");
  EXPECT_EQ(host.closed(), RUM_CLOSE_BLOCKED);
  ASSERT_TRUE(host.OpenRefused(RUM_CLOSE_LIMIT));
  host.Advance(2999);
  EXPECT_TRUE(host.open());
  host.Advance(1);
  EXPECT_EQ(host.closed(), RUM_CLOSE_LIMIT);
  ASSERT_TRUE(host.OpenRefused(RUM_CLOSE_LIMIT));
  host.Feed(RUM_CLIENT, std::string(20000, 'x'));
  EXPECT_EQ(host.closed(), RUM_CLOSE_LIMIT);
  EXPECT_EQ(little.opened, little.closed);
  EXPECT_NO_VIOLATION(host);
}

}  // namespace
}  // namespace rum

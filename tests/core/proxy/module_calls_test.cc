// The host calls that belong to no session, and the bounds of all: on the real core.
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "module/current_module.h"
#include "proxy/module_log.h"
#include "proxy/shared_table.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::string_literals;
using namespace rum::test;

template <class Group>
const Group& Calls(const char* name) {
  return *static_cast<const Group*>(host->extension(name));
}
const rum_worker_calls& WorkerGroup() { return Calls<rum_worker_calls>(RUM_WORKER_1); }
const rum_shared& Shared() { return Calls<rum_shared>(RUM_SHARED_1); }

// What run() and drop() of one job have done.
struct Job {
  std::atomic<int> runs = 0, drops = 0;
  std::atomic<void*> data = nullptr;
  static void Run(void* data, void* self) {
    static_cast<Job*>(self)->data = data;
    ++static_cast<Job*>(self)->runs;
  }
  static void Drop(void* self) { ++static_cast<Job*>(self)->drops; }
};

TEST(WorkerCalls, RunTimersAndPostsOfTheModule) {
  Job timer, cancelled, posted;
  int worker_data = 0;
  std::atomic<uint64_t> ticket = 0;
  Hooks hooks;
  hooks.worker_start = [&](rum_worker* worker, void** data) {
    *data = &worker_data;
    EXPECT_NE(WorkerGroup().timer(worker, 1, Job::Run, &timer, Job::Drop), 0u);
    uint64_t other = WorkerGroup().timer(worker, 1, Job::Run, &cancelled, Job::Drop);
    WorkerGroup().timer_cancel(worker, other);
    EXPECT_EQ(cancelled.drops, 1);
    WorkerGroup().timer_cancel(worker, other);
    ticket = WorkerGroup().ticket(worker);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  std::thread thread(
      [&] { EXPECT_EQ(WorkerGroup().post(ticket, Job::Run, &posted, Job::Drop), RUM_OK); });
  thread.join();
  EXPECT_TRUE(Eventually([&] { return timer.runs == 1 && posted.runs == 1; }));
  EXPECT_EQ(posted.data, &worker_data);
  EXPECT_EQ(timer.data, &worker_data);
  EXPECT_EQ(timer.drops + posted.drops + cancelled.runs, 0);
  EXPECT_EQ(cancelled.drops, 1);
}

TEST(WorkerCalls, DropWhatHasNotRunBeforeTheWorkerStops) {
  Job timer, posted;
  std::atomic<uint64_t> ticket = 0;
  std::atomic<int> dropped_before_stop = 0;
  Hooks hooks;
  hooks.worker_start = [&](rum_worker* worker, void**) {
    ticket = WorkerGroup().ticket(worker);
    EXPECT_NE(WorkerGroup().timer(worker, RUM_MOST_MILLISECONDS, Job::Run, &timer, Job::Drop), 0u);
    return RUM_OK;
  };
  hooks.worker_stop = [&](void*) {
    dropped_before_stop = timer.drops.load();
    EXPECT_EQ(WorkerGroup().post(ticket, Job::Run, &posted, Job::Drop), RUM_E_STATE);
  };
  { RunningProxy proxy(hooks); }
  EXPECT_EQ(dropped_before_stop, 1);
  EXPECT_EQ(timer.runs, 0);
  EXPECT_EQ(timer.drops, 1);
  EXPECT_EQ(WorkerGroup().post(ticket, Job::Run, &posted, Job::Drop), RUM_E_STATE);
  EXPECT_EQ(posted.runs + posted.drops, 0);
}

TEST(WorkerCalls, HaveBounds) {
  std::vector<Job> timers(RUM_MOST_WORKER_TIMERS + 1), posts(RUM_MOST_WORKER_POSTS + 1);
  Hooks hooks;
  hooks.worker_start = [&](rum_worker* worker, void**) {
    const rum_worker_calls& calls = WorkerGroup();
    EXPECT_EQ(calls.timer(worker, RUM_MOST_MILLISECONDS + 1ull, Job::Run, &timers[0], Job::Drop),
              0u);
    EXPECT_EQ(calls.timer(worker, 1, nullptr, &timers[0], Job::Drop), 0u);
    for (size_t i = 0; i < timers.size(); ++i) {
      uint64_t set = calls.timer(worker, 3600000, Job::Run, &timers[i], Job::Drop);
      EXPECT_EQ(set != 0, i < RUM_MOST_WORKER_TIMERS) << i;
    }
    const uint64_t ticket = calls.ticket(worker);
    for (size_t i = 0; i < posts.size(); ++i) {
      EXPECT_EQ(calls.post(ticket, Job::Run, &posts[i], nullptr),
                i < RUM_MOST_WORKER_POSTS ? +RUM_OK : +RUM_E_LIMIT)
          << i;
    }
    EXPECT_EQ(calls.post(ticket, nullptr, nullptr, nullptr), RUM_E_ARGUMENT);
    EXPECT_EQ(calls.post(0, Job::Run, nullptr, nullptr), RUM_E_STATE);
    return RUM_OK;
  };
  {
    RunningProxy proxy(hooks);
    EXPECT_TRUE(Eventually([&] { return posts[RUM_MOST_WORKER_POSTS - 1].runs == 1; }));
  }
  EXPECT_EQ(posts.back().runs, 0);
  EXPECT_EQ(timers.front().drops, 1);
  EXPECT_EQ(timers.back().drops, 0);
}

// A post that posts again does not hold up the worker, nor its end.
TEST(WorkerCalls, MayPostFromAPost) {
  struct Again {
    uint64_t ticket = 0;
    std::atomic<int> runs = 0, drops = 0;
    static void Run(void*, void* self) {
      auto& again = *static_cast<Again*>(self);
      ++again.runs;
      if (WorkerGroup().post(again.ticket, Run, self, Drop) != RUM_OK) ++again.drops;
    }
    static void Drop(void* self) { ++static_cast<Again*>(self)->drops; }
  } again;
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, bytes);
    return static_cast<int64_t>(bytes.size());
  };
  hooks.worker_start = [&](rum_worker* worker, void**) {
    again.ticket = WorkerGroup().ticket(worker);
    return WorkerGroup().post(again.ticket, Again::Run, &again, Again::Drop);
  };
  {
    RunningProxy proxy(hooks);
    EXPECT_TRUE(Eventually([&] { return again.runs > 100; }));
    Peer client = proxy.Client();
    client.Send("still here");
    EXPECT_EQ(client.Receive(10), "still here");
  }
  EXPECT_EQ(again.drops, 1);
}

TEST(SharedCalls, KeepWhatASessionPutsUntilItEnds) {
  SetCurrentModule("test");
  ASSERT_NE(SharedTable::Get(), nullptr);  // its descriptor stays
  std::atomic<int32_t> in_close = 1;
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    EXPECT_EQ(Shared().put(s, "own", 3, bytes.data(), bytes.size(), 0), RUM_OK);
    EXPECT_EQ(Shared().put(s, "timed", 5, "x", 1, 3600000), RUM_OK);
    EXPECT_EQ(Shared().put(s, "own", 3, nullptr, 1, 0), RUM_E_ARGUMENT);
    EXPECT_EQ(Shared().put(s, nullptr, 3, "x", 1, 0), RUM_E_ARGUMENT);
    EXPECT_EQ(Shared().put(s, "own", SIZE_MAX, "x", 1, 0), RUM_E_LIMIT);
    EXPECT_EQ(Shared().put(s, "own", 3, "x", SIZE_MAX, 0), RUM_E_LIMIT);
    Send(s, RUM_CLIENT, "put");
    return static_cast<int64_t>(bytes.size());
  };
  hooks.session_close = [&](rum_session* s, uint32_t) {
    in_close = Shared().put(s, "late", 4, "x", 1, 0);
  };
  RunningProxy proxy(hooks);
  char value[16];
  size_t size = sizeof value;
  {
    Peer client = proxy.Client();
    client.Send("value");
    EXPECT_EQ(client.Receive(3), "put");
    EXPECT_EQ(Shared().get("own", 3, value, &size), RUM_FOUND);
    EXPECT_EQ(std::string(value, size), "value");
    EXPECT_EQ(Shared().get("own", 3, value, nullptr), RUM_E_ARGUMENT);
    EXPECT_EQ(Shared().get("own", SIZE_MAX, value, &size), RUM_E_LIMIT);
  }
  EXPECT_TRUE(Eventually([&] {
    size = sizeof value;
    return Shared().get("own", 3, value, &size) == RUM_NOT_FOUND;
  }));
  EXPECT_EQ(in_close, RUM_E_STATE);
  EXPECT_EQ(Shared().take("timed", 5, nullptr, nullptr), RUM_FOUND);
  EXPECT_EQ(Shared().take("timed", 5, nullptr, nullptr), RUM_NOT_FOUND);
}

// With the size SIZE_MAX and one above each bound: refused, and nothing is read.
TEST(Bounds, HoldForEveryCallThatTakesASize) {
  std::atomic<bool> done = false;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    const char one = 'x';
    const auto& limits = Calls<rum_limits>(RUM_LIMITS_1);
    for (size_t more : {size_t{1}, SIZE_MAX / 2, SIZE_MAX}) {
      auto beyond = [more](size_t bound) { return more == 1 ? bound + 1 : more; };
      EXPECT_EQ(host->send(s, RUM_CLIENT, &one, beyond(RUM_MOST_SEND)), RUM_E_LIMIT);
      EXPECT_EQ(host->need(s, RUM_CLIENT, beyond(RUM_MOST_NEED)), RUM_E_LIMIT);
      EXPECT_EQ(host->lookup(s, &one, beyond(RUM_MOST_KEY)), RUM_E_LIMIT);
      EXPECT_EQ(host->identify(s, &one, beyond(RUM_MOST_USER)), RUM_E_LIMIT);
      EXPECT_EQ(host->connect(s, &one, beyond(RUM_MOST_ADDRESS)), RUM_E_LIMIT);
      EXPECT_EQ(host->start_tls(s, RUM_CLIENT, &one, beyond(RUM_MOST_SERVER_NAME)), RUM_E_LIMIT);
      EXPECT_EQ(host->note(s, "key", &one, beyond(RUM_MOST_NOTE)), RUM_E_LIMIT);
      EXPECT_EQ(limits.admit(s, &one, beyond(RUM_MOST_RECORD)), RUM_E_LIMIT);
    }
    EXPECT_EQ(host->forward(s, RUM_CLIENT, UINT64_MAX), RUM_E_LIMIT);
    EXPECT_EQ(host->forward(s, RUM_CLIENT, uint64_t{INT64_MAX} + 1), RUM_E_LIMIT);
    EXPECT_EQ(host->forward(s, RUM_CLIENT, INT64_MAX), RUM_OK);
    EXPECT_EQ(host->forward(s, RUM_CLIENT, 1), RUM_E_LIMIT);
    done = true;
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_TRUE(Eventually([&] { return done.load(); }));
}

TEST(Bounds, HoldForWhatWaitsForASide) {
  std::atomic<int> sent = 0;
  std::atomic<int32_t> last = RUM_OK;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    const std::string bytes(RUM_MOST_SEND, 'x');
    while ((last = host->send(s, RUM_CLIENT, bytes.data(), bytes.size())) == RUM_OK) ++sent;
    EXPECT_EQ(host->send(s, RUM_CLIENT, bytes.data(), 1), RUM_E_LIMIT);
    host->close(s, RUM_CLOSE_LIMIT, nullptr, 0);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextReason(), "limit");
  EXPECT_EQ(last, RUM_E_LIMIT);
  EXPECT_EQ(sent, RUM_MOST_WAITING / RUM_MOST_SEND);
}

TEST(LineBudget, PassesSoManyLinesASecondAndTellsOfTheOthersOnce) {
  LineBudget budget;
  for (uint32_t i = 0; i < RUM_MOST_LOG_LINES; ++i) EXPECT_TRUE(budget.Take(7).pass);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(budget.Take(7).pass);
  LineBudget::Verdict next = budget.Take(8);
  EXPECT_TRUE(next.pass);
  EXPECT_EQ(next.dropped, 5u);
  EXPECT_EQ(budget.Take(8).dropped, 0u);
  EXPECT_EQ(budget.Take(100).dropped, 0u);
}

}  // namespace
}  // namespace rum

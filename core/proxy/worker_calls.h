// The group "rum.worker/1" for one worker: timers without a session, and posts from other threads
// of the module.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/loop.h"

namespace rum {

class Worker;

class WorkerCalls {
 public:
  using Run = void (*)(void* worker_data, void* argument);
  using Drop = void (*)(void* argument);

  explicit WorkerCalls(Worker& worker);  // [main]
  ~WorkerCalls();                        // [main]
  WorkerCalls(const WorkerCalls&) = delete;
  WorkerCalls& operator=(const WorkerCalls&) = delete;

  // [worker] As promised in rum/module.h. `ticket()` is never reused in this process.
  uint64_t ticket() const { return ticket_; }
  uint64_t AddTimer(uint64_t milliseconds, Run run, void* argument, Drop drop);
  void CancelTimer(uint64_t ticket);
  // [any]
  static int32_t Post(uint64_t worker, Run run, void* argument, Drop drop);

  // [worker, or main if it does not run] Drops the jobs that have not run, and accepts no more.
  void Close();

 private:
  struct Job {
    Run run;
    void* argument;
    Drop drop;
    void Forget() const {
      if (drop) drop(argument);
    }
  };
  struct Timer {
    Timer(WorkerCalls& of, uint64_t number, Job what);
    WorkerCalls& calls;
    const uint64_t ticket;
    const Job job;
    Loop::Timer timer;
  };
  static void OnTimer(void* timer);
  void RunPosted();

  Worker& worker_;
  const uint64_t ticket_;
  bool closed_ = false;
  uint64_t last_timer_ = 0;
  std::vector<std::unique_ptr<Timer>> timers_;
  std::vector<Job> posted_;  // guarded by the mutex of all workers
};

}  // namespace rum

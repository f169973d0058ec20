#include "proxy/worker_calls.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "module/hook.h"
#include "proxy/worker.h"
#include "rum/module.h"

namespace rum {
namespace {

// A thread may post long after its worker has ended: it has a number, which is looked up here. The
// mutex also guards posted_ of all workers, and is taken before that of a worker's tasks.
struct Registry {
  std::mutex mutex;
  uint64_t last = 0;
  std::unordered_map<uint64_t, WorkerCalls*> workers;
};

Registry& All() {
  static Registry* registry = new Registry;  // never destroyed: a module's thread may post late
  return *registry;
}

uint64_t Register(WorkerCalls* calls) {
  std::lock_guard lock(All().mutex);
  All().workers.emplace(++All().last, calls);
  return All().last;
}

}  // namespace

WorkerCalls::WorkerCalls(Worker& worker) : worker_(worker), ticket_(Register(this)) {}

WorkerCalls::~WorkerCalls() { Close(); }

WorkerCalls::Timer::Timer(WorkerCalls& of, uint64_t number, Job what)
    : calls(of), ticket(number), job(what), timer(of.worker_.loop(), OnTimer, this) {}

uint64_t WorkerCalls::AddTimer(uint64_t milliseconds, Run run, void* argument, Drop drop) {
  if (closed_ || !run || milliseconds > RUM_MOST_MILLISECONDS ||
      timers_.size() >= RUM_MOST_WORKER_TIMERS) {
    return 0;
  }
  timers_.push_back(std::make_unique<Timer>(*this, ++last_timer_, Job{run, argument, drop}));
  timers_.back()->timer.Set(std::chrono::milliseconds(milliseconds));
  return last_timer_;
}

void WorkerCalls::OnTimer(void* owner) {
  auto& timer = *static_cast<Timer*>(owner);
  WorkerCalls& calls = timer.calls;
  const Job job = timer.job;
  std::erase_if(calls.timers_, [&](const auto& one) { return one.get() == &timer; });
  InHook in(calls.worker_.hook_place, Hook::kRun);
  job.run(calls.worker_.module_data(), job.argument);
}

void WorkerCalls::CancelTimer(uint64_t ticket) {
  auto found = std::find_if(timers_.begin(), timers_.end(),
                            [&](const auto& one) { return one->ticket == ticket; });
  if (found == timers_.end()) return;
  const Job job = (*found)->job;
  timers_.erase(found);
  InHook in(worker_.hook_place, Hook::kDrop);
  job.Forget();
}

int32_t WorkerCalls::Post(uint64_t worker, Run run, void* argument, Drop drop) {
  if (!run) return RUM_E_ARGUMENT;
  std::lock_guard lock(All().mutex);
  auto found = All().workers.find(worker);
  if (found == All().workers.end()) return RUM_E_STATE;
  WorkerCalls& calls = *found->second;
  if (calls.posted_.size() >= RUM_MOST_WORKER_POSTS) return RUM_E_LIMIT;
  if (calls.posted_.empty() && !calls.worker_.Post([&calls] { calls.RunPosted(); })) {
    return RUM_E_STATE;
  }
  calls.posted_.push_back({run, argument, drop});
  return RUM_OK;
}

// Posts made by them run in the next turn.
void WorkerCalls::RunPosted() {
  std::vector<Job> jobs;
  {
    std::lock_guard lock(All().mutex);
    jobs.swap(posted_);
  }
  for (const Job& job : jobs) {
    InHook in(worker_.hook_place, Hook::kRun);
    job.run(worker_.module_data(), job.argument);
  }
}

void WorkerCalls::Close() {
  std::vector<Job> jobs;
  {
    std::lock_guard lock(All().mutex);
    All().workers.erase(ticket_);
    jobs.swap(posted_);
  }
  closed_ = true;
  for (const auto& timer : timers_) jobs.push_back(timer->job);
  timers_.clear();
  InHook in(worker_.hook_place, Hook::kDrop);
  for (const Job& job : jobs) job.Forget();
}

}  // namespace rum

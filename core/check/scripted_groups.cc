#include "check/scripted_groups.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

namespace rum {
namespace {

std::atomic<uint64_t> last_worker = 0;

}  // namespace

ScriptedWork::ScriptedWork() : ticket_(++last_worker) {}

uint64_t ScriptedWork::AddTimer(uint64_t due, Run run, void* argument, Drop drop) {
  std::lock_guard lock(mutex_);
  if (ended_ || timers_.size() >= RUM_MOST_WORKER_TIMERS) return 0;
  timers_[++last_timer_] = {due, {run, argument, drop}};
  return last_timer_;
}

void ScriptedWork::CancelTimer(uint64_t timer) {
  auto found = timers_.find(timer);
  if (found == timers_.end()) return;
  const Job job = found->second.second;
  timers_.erase(found);
  if (job.drop) job.drop(job.argument);
}

int32_t ScriptedWork::Post(Run run, void* argument, Drop drop) {
  std::lock_guard lock(mutex_);
  if (ended_) return RUM_E_STATE;
  if (posted_.size() >= RUM_MOST_WORKER_POSTS) return RUM_E_LIMIT;
  posted_.push_back({run, argument, drop});
  return RUM_OK;
}

std::optional<uint64_t> ScriptedWork::NextTimer() const {
  std::optional<uint64_t> next;
  for (const auto& [ticket, timer] : timers_) {
    if (!next || timer.first < *next) next = timer.first;
  }
  return next;
}

bool ScriptedWork::RunDue(uint64_t now, void* worker_data) {
  std::vector<Job> jobs;
  {
    std::lock_guard lock(mutex_);
    jobs.swap(posted_);
  }
  std::vector<std::pair<uint64_t, uint64_t>> due;  // sorted by time
  for (const auto& [ticket, timer] : timers_) {
    if (timer.first <= now) due.emplace_back(timer.first, ticket);
  }
  std::sort(due.begin(), due.end());
  for (const Job& job : jobs) job.run(worker_data, job.argument);
  for (const auto& [at, ticket] : due) {
    auto found = timers_.find(ticket);
    if (found == timers_.end()) continue;  // an earlier one has cancelled it
    const Job job = found->second.second;
    timers_.erase(found);
    job.run(worker_data, job.argument);
  }
  return !jobs.empty() || !due.empty();
}

void ScriptedWork::End() {
  std::vector<Job> jobs;
  {
    std::lock_guard lock(mutex_);
    ended_ = true;
    jobs.swap(posted_);
  }
  for (const auto& [ticket, timer] : std::exchange(timers_, {})) jobs.push_back(timer.second);
  for (const Job& job : jobs) {
    if (job.drop) job.drop(job.argument);
  }
}

int32_t ScriptedShared::Put(uint64_t session, const std::string& user, std::string key,
                            std::string value, uint64_t lifetime, uint64_t now) {
  if (key.empty()) return RUM_E_ARGUMENT;
  if (key.size() > RUM_MOST_SHARED_KEY || value.size() > RUM_MOST_SHARED_VALUE ||
      lifetime > RUM_MOST_MILLISECONDS) {
    return RUM_E_LIMIT;
  }
  std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& one) {
    return one.second.session == 0 && one.second.expires <= now;
  });
  const uint64_t owner = lifetime ? 0 : session;
  auto found = entries_.find(key);
  if (found != entries_.end()) {
    const Entry& entry = found->second;
    if (entry.session != owner || (owner == 0 && entry.user != user)) return RUM_E_STATE;
    entries_.erase(found);
  }
  const auto own = std::count_if(entries_.begin(), entries_.end(), [&](const auto& one) {
    return one.second.session == owner && (owner != 0 || one.second.user == user);
  });
  constexpr int64_t kTimedPerUser = 256;  // as rum/module.h says
  if (own >= (owner ? int64_t{RUM_MOST_SHARED_ENTRIES} : kTimedPerUser)) return RUM_E_LIMIT;
  entries_[std::move(key)] = {std::move(value), owner, user, now + lifetime, false};
  return RUM_OK;
}

int32_t ScriptedShared::Find(const std::string& key, void* value, size_t* size, bool take,
                             uint64_t now) {
  const size_t room = size ? std::exchange(*size, 0) : 0;
  if (key.empty()) return RUM_E_ARGUMENT;
  if (key.size() > RUM_MOST_SHARED_KEY) return RUM_E_LIMIT;
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end()) return RUM_NOT_FOUND;
  Entry& entry = found->second;
  if (entry.session == 0 && entry.expires <= now) {
    entries_.erase(found);
    return RUM_NOT_FOUND;
  }
  if (size) {
    *size = entry.value.size();
    if (*size > room) return RUM_E_LIMIT;
    if (*size) std::memcpy(value, entry.value.data(), *size);
  }
  entry.seen = true;
  if (take) entries_.erase(found);
  return RUM_FOUND;
}

int32_t ScriptedShared::Remove(uint64_t session, const std::string& key) {
  if (key.size() > RUM_MOST_SHARED_KEY) return RUM_E_LIMIT;
  std::lock_guard lock(mutex_);
  auto found = entries_.find(key);
  if (found == entries_.end() || found->second.session != session) return RUM_NOT_FOUND;
  const bool seen = found->second.seen;
  entries_.erase(found);
  return seen ? RUM_SEEN : RUM_OK;
}

void ScriptedShared::EndSession(uint64_t session) {
  std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& one) { return one.second.session == session; });
}

}  // namespace rum

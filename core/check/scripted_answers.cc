// What a session of the scripted host waits for, other than bytes: answers of the map, of the
// shared table and of other threads, and timers. Each is given to its hook, one at a time.
#include <algorithm>
#include <cstring>

#include "check/host_table.h"

namespace rum {

bool ScriptedSession::DeliverLookup() {
  const ScriptedHost::World& world = *host_.world_;
  if (!lookup || world.hold_answers || !(world.map_there || world.map_broken)) return false;
  if (world.map_broken) return MapAnswer(RUM_E_FAILED, {});
  auto found = world.map.find(*lookup);
  if (found == world.map.end()) return MapAnswer(RUM_NOT_FOUND, {});
  return MapAnswer(RUM_FOUND, found->second);
}

// Of this process first, then of the others.
bool ScriptedSession::DeliverShared() {
  ScriptedHost::World& world = *host_.world_;
  if (!finding || world.hold_answers) return false;
  const std::string key = std::move(*finding);
  finding.reset();
  std::string value(RUM_MOST_SHARED_VALUE, '\0');
  size_t size = value.size();
  int32_t status = world.shared.Find(key, value.data(), &size, false, host_table::clock);
  value.resize(status == RUM_FOUND ? size : 0);
  if (status == RUM_NOT_FOUND && world.elsewhere_broken) status = RUM_E_FAILED;
  if (auto other = world.elsewhere.find(key);
      status == RUM_NOT_FOUND && other != world.elsewhere.end()) {
    status = RUM_FOUND;
    value = other->second;
  }
  auto copy = std::make_unique_for_overwrite<uint8_t[]>(value.size());
  if (!value.empty()) std::memcpy(copy.get(), value.data(), value.size());
  Run("shared_found", [&] {
    module_.shared_found(data_, handle(), status, status == RUM_FOUND ? copy.get() : nullptr,
                         value.size());
  });
  std::memset(copy.get(), 0xdd, value.size());
  return true;
}

bool ScriptedSession::DeliverAnswer() {
  for (const Answer& answer : host_table::TakeAnswers(answers_)) {
    pause = 0;
    if (module_.resumed) {
      Run("resumed",
          [&] { module_.resumed(data_, handle(), answer.ticket, answer.status, answer.payload); });
    } else if (answer.drop) {
      answer.drop(answer.payload);
    }
    return true;  // there can be only one: a session has one pause at a time
  }
  return false;
}

void ScriptedSession::DropAnswers() {
  if (pause) host_table::KillTicket(pause);
  pause = 0;
  for (const Answer& answer : host_table::TakeAnswers(answers_)) {
    if (answer.drop) answer.drop(answer.payload);
  }
}

bool ScriptedSession::WaitAnswer(uint64_t milliseconds) {
  return host_table::WaitForAnswer(answers_, milliseconds);
}

bool ScriptedSession::FireTimer() {
  if (refused_until_ && refused_until_ <= host_table::clock) {
    EndWith(refusal);
    return true;
  }
  if (keeping_.parted && keeping_.parted_until <= host_table::clock) {
    EndWith(RUM_CLOSE_CLIENT);
    return true;
  }
  auto next = std::min_element(timers_.begin(), timers_.end(), [](auto& a, auto& b) {
    return a.second != b.second ? a.second < b.second : a.first < b.first;
  });
  if (next == timers_.end() || next->second > host_table::clock) return false;
  uint64_t ticket = next->first;
  timers_.erase(next);
  if (module_.timeout) Run("timeout", [&] { module_.timeout(data_, handle(), ticket); });
  return true;
}

bool ScriptedSession::DeliverDrained(uint32_t side) {
  Side& s = sides[side];
  if (!s.below || pause || Ending() || !s.there) return false;
  if (s.waiting > *s.below && !s.broken) return false;
  s.below.reset();
  Run("drained", [&] { module_.drained(data_, handle(), side); });
  return true;
}

std::optional<uint64_t> ScriptedSession::NextTimer() const {
  std::optional<uint64_t> next;
  if (refused_until_) next = refused_until_;
  if (keeping_.parted) next = keeping_.parted_until;
  for (const auto& [ticket, due] : timers_) {
    if (!next || due < *next) next = due;
  }
  return next;
}

}  // namespace rum

#include "proxy/hook_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/units.h"
#include "module/module_config.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"

namespace rum {
namespace {

std::string Shown(uint64_t milliseconds) {
  return ShowDuration(static_cast<double>(milliseconds) / 1e3);
}

std::string SessionOf(const HookPlace::Seen& seen) {
  return seen.session ? fmt::format(" (session {})", seen.session) : std::string();
}

}  // namespace

HookWatch::~HookWatch() {
  if (event_) event_free(event_);
}

void HookWatch::Start(event_base* base) {
  const timeval interval = TimevalOf(kLook);
  event_ = event_new(base, -1, EV_PERSIST, OnLook, this);
  event_add(event_, &interval);
}

void HookWatch::OnLook(evutil_socket_t, short, void* self) {
  auto& watch = *static_cast<HookWatch*>(self);
  // Repeated while it is stuck: a worker that was stuck, too, may be able to take over now.
  if (watch.Look(NowMillis()) || watch.stuck_) watch.proxy_.RelieveStuck();
}

bool HookWatch::Look(uint64_t now) {
  const auto& workers = proxy_.workers();
  states_.resize(workers.size());
  size_t stuck = 0;
  bool changed = false;
  for (size_t i = 0; i < workers.size(); ++i) {
    Worker& worker = *workers[i];
    State& state = states_[i];
    const HookPlace::Seen seen = worker.hook_place.Look();
    if (seen.hook != Hook::kNone && seen == state.seen) {
      SeeAgain(worker, state, now);
    } else {
      SeeOther(worker, state, seen, now);
    }
    stuck += state.stuck;
    changed |= worker.stuck.exchange(state.stuck, std::memory_order_relaxed) != state.stuck;
  }
  if (stuck == workers.size() && stuck_ != stuck) {
    log::Error("all workers are stuck in module {}: no client is served",
               proxy_.module_config()->module().name);
  }
  stuck_ = stuck;
  return changed;
}

void HookWatch::SeeAgain(Worker& worker, State& state, uint64_t now) {
  state.calm = 0;
  if (++state.looks < kStuckLooks || state.logged) return;
  state.stuck = state.logged = true;
  ++stalls_;
  log::Warning("module {}: hook {} blocks worker {} for {} so far{}: it gets no new clients",
               proxy_.module_config()->module().name, HookName(state.seen.hook), worker.index(),
               Shown(now - state.since), SessionOf(state.seen));
}

void HookWatch::SeeOther(Worker& worker, State& state, HookPlace::Seen seen, uint64_t now) {
  if (state.logged) {
    log::Warning("module {}: hook {} has blocked worker {} for {}{}",
                 proxy_.module_config()->module().name, HookName(state.seen.hook), worker.index(),
                 Shown(now - state.since), SessionOf(state.seen));
  }
  state.logged = false;
  state.seen = seen;
  state.since = now;
  state.looks = 1;
  if (state.stuck && ++state.calm >= kCalmLooks) state.stuck = false;
}

std::string HookWatch::WhyNotReady() const {
  if (states_.empty() || stuck_ < states_.size()) return {};
  std::string why =
      fmt::format("all workers are stuck in module {}", proxy_.module_config()->module().name);
  auto first =
      std::find_if(states_.begin(), states_.end(), [](const State& s) { return s.logged; });
  if (first == states_.end()) return why;  // one has just returned
  return fmt::format("{}: hook {} for {}", why, HookName(first->seen.hook),
                     Shown(NowMillis() - first->since));
}

bool HookWatch::OnlyStuckLeft(Millis at_least) const {
  const uint64_t now = NowMillis();
  for (size_t i = 0; i < states_.size(); ++i) {
    if (proxy_.workers()[i]->load.load(std::memory_order_relaxed) == 0) continue;
    const State& state = states_[i];
    if (!state.logged || now - state.since < static_cast<uint64_t>(at_least.count())) return false;
  }
  return stuck_ > 0;
}

std::string HookWatch::Describe() const {
  std::string all;
  for (const auto& worker : proxy_.workers()) {
    const HookPlace::Seen seen = worker->hook_place.Look();
    if (seen.hook == Hook::kNone) continue;
    all += fmt::format("{}worker {} is in hook {} of module {}{}", all.empty() ? "" : "; ",
                       worker->index(), HookName(seen.hook), proxy_.module_config()->module().name,
                       SessionOf(seen));
  }
  return all.empty() ? "a worker does not end" : all;
}

}  // namespace rum

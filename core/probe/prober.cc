#include "probe/prober.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include "base/close_reasons.h"
#include "base/log.h"
#include "module/module_config.h"
#include "proxy/proxy.h"
#include "settings/settings.h"
#include "upstream/server_health.h"

namespace rum {

Prober::Prober(event_base* base, Proxy& proxy, Millis interval)
    : proxy_(proxy), interval_(interval), queue_(proxy.main_queue()) {
  due_event_ = evtimer_new(base, OnDue, this);
  Known none;
  for (const Address& address : proxy_.settings()->destinations) Add(address, true, &none);
}

Prober::~Prober() { event_free(due_event_); }

bool Prober::on() const {
  return interval_.count() != 0 && proxy_.module_config()->module().probe_open != nullptr;
}

void Prober::Start(std::function<void()> first_round) {
  if (!on()) return first_round();
  running_ = true;  // even without destinations, since some may be added
  for (const auto& [key, health] : destinations_) first_.insert(key);
  if (first_.empty()) return first_round();
  first_round_ = std::move(first_round);
  Begin();
}

void Prober::Stop() {
  running_ = false;
  event_del(due_event_);
}

void Prober::SetMapDestinations(std::vector<std::string> texts) {
  if (texts == map_destinations_) return;
  map_destinations_ = std::move(texts);
  Follow();
}

void Prober::Follow() {
  if (!on()) return;
  Known before = std::exchange(destinations_, {});
  for (const Address& address : proxy_.settings()->destinations) Add(address, true, &before);
  for (const std::string& text : map_destinations_) {
    // Invalid addresses are handled by the module when their users log in.
    if (auto address = ParseAddress(text)) Add(*address, false, &before);
  }
  for (Queue* queue : {&up_, &not_up_}) {
    std::erase_if(*queue, [&](const auto& due) { return !destinations_.contains(due.second); });
  }
  for (const auto& [key, health] : before) proxy_.server_health().Unprobed(key);
  if (running_) Begin();
}

// A known destination keeps its state: its next check is queued or in progress.
void Prober::Add(const Address& address, bool is_default, Known* before) {
  std::string key = address.text();
  if (destinations_.size() >= kDestinationsMost || destinations_.contains(key)) return;
  if (auto known = before->extract(key)) {
    known.mapped().is_default = is_default;
    destinations_.insert(std::move(known));
    return;
  }
  DestinationHealth& health = destinations_[key];
  health.address = address;
  health.is_default = is_default;
  if (!under_way_.contains(key)) not_up_.emplace(0, std::move(key));
}

void Prober::Begin() {
  const uint64_t now = NowMillis();
  for (Queue* queue; (queue = NextQueue()) && queue->begin()->first <= now;) {
    std::string key = queue->begin()->second;
    queue->erase(queue->begin());
    const DestinationHealth& health = destinations_.at(key);
    under_way_.emplace(key, queue);
    not_up_under_way_ += queue == &not_up_;
    proxy_.BeginProbe({.destination = health.address,
                       .is_default = health.is_default,
                       .user = {},
                       .done =
                           [this, key](ProbeOutcome outcome) {
                             queue_.Post([this, key, outcome = std::move(outcome)]() mutable {
                               Take(key, std::move(outcome));
                             });
                           },
                       .route = {}});
  }
  Schedule();
}

Prober::Queue* Prober::NextQueue() {
  if (under_way_.size() >= kAtOnce) return nullptr;
  const bool not_up = !not_up_.empty() && not_up_under_way_ < kNotUpAtOnce;
  if (up_.empty()) return not_up ? &not_up_ : nullptr;
  return not_up && not_up_.begin()->first < up_.begin()->first ? &not_up_ : &up_;
}

void Prober::Schedule() {
  const Queue* queue = running_ ? NextQueue() : nullptr;
  if (queue == nullptr) return;
  uint64_t now = NowMillis(), at = queue->begin()->first;
  uint64_t wait = at > now ? at - now + 1 : 0;
  timeval delay = {static_cast<time_t>(wait / 1000), static_cast<suseconds_t>(wait % 1000 * 1000)};
  event_add(due_event_, &delay);
}

void Prober::OnDue(evutil_socket_t, short, void* self) {
  auto& prober = *static_cast<Prober*>(self);
  if (prober.running_) prober.Begin();
}

void Prober::Take(const std::string& key, ProbeOutcome outcome) {
  if (auto probe = under_way_.find(key); probe != under_way_.end()) {
    not_up_under_way_ -= probe->second == &not_up_;
    under_way_.erase(probe);
  }
  if (!running_) return;
  if (auto found = destinations_.find(key); found != destinations_.end()) {
    DestinationHealth& health = found->second;
    using State = DestinationHealth::State;
    State state = outcome.reason == RUM_CLOSE_PROBED ? State::kUp : State::kDown;
    if (state == State::kDown) {
      ++failures_;
      if (health.state != state || health.reason != outcome.reason) {
        log::Warning("server {} is down: {}{}{}", key, CloseReasonWord(outcome.reason),
                     outcome.text.empty() ? "" : ", ", outcome.text);
      }
    } else if (health.state == State::kDown) {
      log::Info("server {} is up", key);
    }
    proxy_.server_health().Probed(key, state == State::kUp);
    if (health.state != state) health.since = ::time(nullptr);
    health.state = state;
    health.reason = outcome.reason;
    Millis next = state == State::kUp ? interval_ : std::min(interval_, kDownInterval);
    (state == State::kUp ? up_ : not_up_)
        .emplace(NowMillis() + static_cast<uint64_t>(next.count()), key);
    health.text = std::move(outcome.text);
    health.micros = outcome.micros;
    if (!outcome.notes.empty()) health.notes = std::move(outcome.notes);
  }
  first_.erase(key);
  if (first_.empty() && first_round_) std::exchange(first_round_, {})();
  Begin();
}

}  // namespace rum

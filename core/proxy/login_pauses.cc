#include "proxy/login_pauses.h"

#include <algorithm>
#include <utility>

#include "base/escape.h"
#include "base/log.h"
#include "base/units.h"

namespace rum {
namespace {

// Whether a comma-separated list has this member.
bool Names(std::string_view list, std::string_view member) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (list.substr(0, comma) == member) return true;
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
  }
  return false;
}

}  // namespace

std::string Describe(LoginPauses::Kind kind, const std::string& name) {
  std::string text = kind == LoginPauses::Kind::kUser ? "user " : "server ";
  AppendEscaped(text, name);
  return text;
}

LoginPauses::LoginPauses(event_base* base, Wake wake, std::function<void()> ending)
    : wake_(wake), ending_(std::move(ending)), event_(evtimer_new(base, OnTime, this)) {}

LoginPauses::~LoginPauses() {
  if (event_) event_free(event_);
}

// Which pause it is, and whether there still is one, only the lock tells.
void LoginPauses::Place::Leave() {
  LoginPauses* pauses = std::exchange(pauses_, nullptr);
  if (!pauses) return;
  std::lock_guard lock(pauses->mutex_);
  if (!pause_) return;
  pause_->held.erase(place_);
  --pauses->held_;
  pause_ = nullptr;
}

LoginPauses::Pauses::iterator LoginPauses::Find(Kind kind, std::string_view name) {
  return std::find_if(pauses_.begin(), pauses_.end(),
                      [&](const Pause& pause) { return pause.kind == kind && pause.name == name; });
}

Status LoginPauses::Begin(Kind kind, const std::string& name, Millis time) {
  {
    std::lock_guard lock(mutex_);
    const uint64_t until = NowMillis() + static_cast<uint64_t>(time.count());
    auto pause = Find(kind, name);
    if (pause != pauses_.end()) {
      pause->until = until;
    } else if (!event_ || pauses_.size() >= kMost) {
      return Error{Fault::kConfig, "there are already 100 pauses"};
    } else {
      pauses_.push_back({kind, name, until, {}});
      size_.store(pauses_.size(), std::memory_order_relaxed);
    }
  }
  Schedule();
  return Ok();
}

std::optional<size_t> LoginPauses::End(Kind kind, const std::string& name) {
  std::vector<uint64_t> tickets;
  {
    std::lock_guard lock(mutex_);
    auto pause = Find(kind, name);
    if (pause == pauses_.end()) return std::nullopt;
    if (ending_) ending_();
    tickets = Remove(pause);
  }
  Schedule();
  for (uint64_t ticket : tickets) wake_(ticket);
  return tickets.size();
}

// With the lock held.
std::vector<uint64_t> LoginPauses::Remove(Pauses::iterator pause) {
  std::vector<uint64_t> tickets;
  for (Place* place : pause->held) {
    tickets.push_back(place->ticket_);
    place->pause_ = nullptr;
  }
  held_ -= tickets.size();
  pauses_.erase(pause);
  size_.store(pauses_.size(), std::memory_order_relaxed);
  return tickets;
}

void LoginPauses::Schedule() {
  std::lock_guard lock(mutex_);
  if (!event_) return;
  auto first = std::min_element(pauses_.begin(), pauses_.end(),
                                [](const Pause& a, const Pause& b) { return a.until < b.until; });
  if (first == pauses_.end()) {
    event_del(event_);
    return;
  }
  const uint64_t now = NowMillis();
  const timeval time = TimevalOf(Millis(first->until > now ? first->until - now : 0));
  event_add(event_, &time);
}

void LoginPauses::OnTime(evutil_socket_t, short, void* self) {
  auto& pauses = *static_cast<LoginPauses*>(self);
  for (const Entry& entry : pauses.List()) {
    if (entry.milliseconds > 0) continue;
    const size_t held = pauses.End(entry.kind, entry.name).value_or(0);
    log::Warning("the pause of {} has ended by its time and lets {} go on",
                 Describe(entry.kind, entry.name), Counted(held, "login"));
  }
  pauses.Schedule();
}

std::vector<LoginPauses::Entry> LoginPauses::List() const {
  std::lock_guard lock(mutex_);
  const uint64_t now = NowMillis();
  std::vector<Entry> list;
  for (const Pause& pause : pauses_) {
    list.push_back(
        {pause.kind, pause.name, pause.held.size(), pause.until > now ? pause.until - now : 0});
  }
  return list;
}

size_t LoginPauses::held() const {
  std::lock_guard lock(mutex_);
  return held_;
}

LoginPauses::Answer LoginPauses::Hold(const Login& login, uint64_t ticket, Place* place) {
  place->Leave();
  std::lock_guard lock(mutex_);
  auto pause = std::find_if(pauses_.begin(), pauses_.end(), [&](const Pause& one) {
    return one.kind == Kind::kServer ? Names(login.servers, one.name)
                                     : one.name == login.user || one.name == login.key;
  });
  if (pause == pauses_.end()) return Answer::kGo;
  if (held_ >= kHeldMost) return Answer::kFull;
  ++held_;
  place->pauses_ = this;
  place->pause_ = &*pause;
  place->ticket_ = ticket;
  place->place_ = pause->held.insert(pause->held.end(), place);
  return Answer::kHeld;
}

}  // namespace rum

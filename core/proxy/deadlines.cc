#include "proxy/deadlines.h"

namespace rum {

Deadlines::Deadlines(Loop& loop, Millis duration, Expired expired)
    : duration_(duration), expired_(expired), timer_(loop, OnTimer, this) {
  head_.prev = head_.next = &head_;
}

Deadlines::~Deadlines() {
  while (head_.next != &head_) head_.next->Disarm();
}

void Deadlines::Arm(Deadline& deadline, Session& session) {
  deadline.Disarm();
  if (duration_.count() == 0) return;
  uint64_t now = NowMillis();
  deadline.at = now + static_cast<uint64_t>(duration_.count());
  deadline.session = &session;
  deadline.prev = head_.prev;
  deadline.next = &head_;
  head_.prev->next = &deadline;
  head_.prev = &deadline;
  if (!scheduled_) Schedule(now);
}

void Deadlines::set_duration(Millis duration) {
  duration_ = duration;
  if (duration.count() == 0) return;
  // Those that come are appended, so none that is there may end later: the ring is in order of
  // time.
  const uint64_t now = NowMillis(), latest = now + static_cast<uint64_t>(duration.count());
  for (Deadline* d = head_.prev; d != &head_ && d->at > latest; d = d->prev) d->at = latest;
  Schedule(now);
}

void Deadlines::Schedule(uint64_t now) {
  scheduled_ = head_.next != &head_;
  if (!scheduled_) return;
  uint64_t at = head_.next->at;
  uint64_t wait = at > now ? at - now : 0;
  timer_.Set(Millis(wait + 1));  // now is up to a tick old
}

void Deadlines::OnTimer(void* self) {
  auto& list = *static_cast<Deadlines*>(self);
  uint64_t now = NowMillis();
  // Only what was due when the turn began: an entry armed anew by a callback waits its time.
  while (list.head_.next != &list.head_ && list.head_.next->at <= now) {
    Deadline* first = list.head_.next;
    Session* session = first->session;
    first->Disarm();
    list.expired_(*session);
  }
  list.Schedule(now);
}

}  // namespace rum

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
  // New entries are appended, so no existing entry may expire later: the ring stays ordered by
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
  timer_.Set(Millis(wait + 1));  // now may be a tick old
}

void Deadlines::OnTimer(void* self) {
  auto& list = *static_cast<Deadlines*>(self);
  uint64_t now = NowMillis();
  // Only entries that were due when the turn began: one that a callback rearms must wait.
  while (list.head_.next != &list.head_ && list.head_.next->at <= now) {
    Deadline* first = list.head_.next;
    Session* session = first->session;
    first->Disarm();
    list.expired_(*session);
  }
  list.Schedule(now);
}

}  // namespace rum

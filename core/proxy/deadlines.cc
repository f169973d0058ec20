#include "proxy/deadlines.h"

#include "proxy/worker.h"

namespace rum {

Deadlines::Deadlines(Worker& worker, Millis duration, Expired expired)
    : worker_(worker), duration_(duration), expired_(expired) {
  head_.prev = head_.next = &head_;
  evtimer_assign(&timer_, worker.base(), OnTimer, this);
}

Deadlines::~Deadlines() {
  event_del(&timer_);
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

void Deadlines::Schedule(uint64_t now) {
  scheduled_ = head_.next != &head_;
  if (!scheduled_) return;
  uint64_t at = head_.next->at;
  uint64_t wait = at > now ? at - now : 0;
  timeval delay = {static_cast<time_t>(wait / 1000),
                   static_cast<suseconds_t>(wait % 1000 * 1000 + 999)};
  event_add(&timer_, &delay);
}

void Deadlines::OnTimer(evutil_socket_t, short, void* self) {
  auto& list = *static_cast<Deadlines*>(self);
  Turn turn(list.worker_);
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

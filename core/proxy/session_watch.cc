// The watch: one way of a session flows unseen, and the module goes on seeing what the other side
// sends. The end of the flow is passed on; what the module has not let through is not.
#include "proxy/dialogue.h"
#include "proxy/session.h"
#include "proxy/worker.h"

namespace rum {

// Serves relay_from() and take_back(). Bytes of a way that is handed over and that the module has
// not consumed are passed on; those that come after it was taken back are for its hook again.
void Session::HandOver() {
  Dialogue& d = *dialogue_;
  if (d.handed) {
    flows_[*d.handed].Empty(side(Other(*d.handed)), worker_);
    d.handed.reset();
    state_ = State::kDialogue;
    Trace("the module leads again");
    return;
  }
  uint32_t from = *d.hand_over;
  Window& w = d.windows[from];
  QueueFor(Other(from), w.bytes.data(), w.bytes.size());
  w = {};
  Window& seen = d.windows[Other(from)];
  seen.fresh = !seen.bytes.empty();  // what the module left lying may be due now
  seen.end_told = false;
  d.handed = from;
  d.phase.Disarm();
  state_ = State::kWatch;
  Trace("what the {} sends is passed on, the module looks at the other side",
        from == RUM_CLIENT ? "client" : "server");
  LoggedIn();
}

// What flows by itself, and what the module let through. True: there may be something to do for the
// module again.
bool Session::MoveWatch() {
  uint32_t handed = *dialogue_->handed;
  uint32_t seen = Other(handed);
  Window& w = dialogue_->windows[seen];
  bool held = Unread(seen);
  const bool turned = Turning();
  bool more = MoveFrom(handed, Flow::kAll);
  uint64_t let = w.bytes.empty() ? w.forward : 0;
  uint64_t before = side(seen).received();
  more |= MoveFrom(seen, let);
  w.forward -= side(seen).received() - before;
  more |= turned && !Turning();
  JudgeRelay();
  if (state_ != State::kWatch) return false;
  if (more) worker_.CallBack(*this);
  if (let && side(seen).ended()) w.forward = 0;  // the rest will not come, and the end is told
  return (held && !Unread(seen)) || (let && !w.forward);
}

// The other side takes nothing, so that this one is not read; or the module does not want more.
bool Session::Unread(uint32_t which) const {
  const Dialogue& d = *dialogue_;
  if (flows_[which].blocked(sides_[Other(which)])) return true;
  if (which == d.handed) return false;
  const Window& w = d.windows[which];
  return d.pause || w.bytes.size() >= w.most() || sides_[which].waiting() > kHighWater;
}

}  // namespace rum

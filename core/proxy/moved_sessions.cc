#include "proxy/moved_sessions.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "map/map_file.h"
#include "proxy/proxy.h"
#include "proxy/session_list.h"
#include "rum/module.h"
#include "settings/settings.h"

namespace rum {
namespace {

// Maps may change ten times a second; and how often sessions that are not idle are looked at.
constexpr uint64_t kSoon = 100, kAgain = 500;  // ms

}  // namespace

MovedSessions::MovedSessions(Proxy& proxy, event_base* base)
    : proxy_(proxy), event_(evtimer_new(base, OnTime, this)) {}

MovedSessions::~MovedSessions() {
  if (event_) event_free(event_);
}

void MovedSessions::OnMap() {
  if (proxy_.settings()->map_moved == MapMoved::kKeep || proxy_.workers().empty()) return;
  if (looking_) {
    again_ = true;
  } else {
    LookSoon(kSoon);
  }
}

void MovedSessions::LookSoon(uint64_t milliseconds) {
  const timeval time = TimevalOf(Millis(milliseconds));
  if (event_ && (milliseconds == kSoon || !evtimer_pending(event_, nullptr))) {
    event_add(event_, &time);
  }
}

void MovedSessions::OnTime(evutil_socket_t, short, void* self) {
  static_cast<MovedSessions*>(self)->Look();
}

void MovedSessions::Look() {
  const MapMoved mode = proxy_.settings()->map_moved;
  if (mode == MapMoved::kKeep || looking_ || !proxy_.map()) return;
  looking_ = true;
  again_ = false;
  SessionFilter filter;
  filter.moved = proxy_.map();
  filter.only_idle = mode == MapMoved::kEndIdle;
  proxy_.lister().Ask(std::move(filter), 0, RUM_CLOSE_KILLED, [this](const SessionList& list) {
    looking_ = false;
    if (list.ended) log::Info("ended {} of users who have moved", Counted(list.ended, "session"));
    if (again_) {
      LookSoon(kSoon);
    } else if (list.matched > list.ended) {
      LookSoon(kAgain);
    }
  });
}

}  // namespace rum

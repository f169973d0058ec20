#include "admin/history.h"

#include <utility>

namespace rum {

History::History(event_base* base, std::function<Sample()> take)
    : take_(std::move(take)), step_(event_new(base, -1, EV_PERSIST, OnStep, this)) {
  timeval step = {kStep.count() / 1000, 0};
  event_add(step_, &step);
  Take();
}

History::~History() { event_free(step_); }

void History::OnStep(evutil_socket_t, short, void* self) { static_cast<History*>(self)->Take(); }

void History::Take() {
  samples_.push_back(take_());
  if (samples_.size() > kSamples) samples_.pop_front();
}

}  // namespace rum

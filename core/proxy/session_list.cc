#include "proxy/session_list.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/clock.h"
#include "proxy/listener.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/worker.h"

namespace rum {

bool Session::Matches(const SessionFilter& filter) const {
  if (filter.id && id_ != *filter.id) return false;
  if (filter.moved && !HasMoved(*filter.moved)) return false;
  if (filter.user && (!record_.identified || record_.user != *filter.user)) return false;
  if (filter.destination && destination() != *filter.destination) return false;
  return !filter.ip || (address_.ip() ? address_.host() : "unix") == *filter.ip;
}

SessionEntry Session::Describe() const {
  SessionEntry entry;
  entry.id = id_;
  entry.client = address_.text();
  entry.listener = listener_->text();
  if (record_.identified) entry.user = record_.user;
  entry.destination = destination();
  const bool closing = refused_ || parted_ || (!hooked() && state_ != State::kRelay);
  entry.state = closing ? "closing" : relaying_ ? "relay" : held() ? "held" : "login";
  entry.micros = NowMicros() - opened_;
  entry.received = sides_[RUM_CLIENT].received();
  entry.sent = sides_[RUM_CLIENT].sent();
  return entry;
}

void Worker::BeginList(std::shared_ptr<SessionLister::Request> request) {
  list_next_ = sessions_;
  GoOnListing(std::move(request));
}

// One slice, then other tasks; Bury() skips sessions that end meanwhile.
void Worker::GoOnListing(std::shared_ptr<SessionLister::Request> request) {
  SessionList part;
  for (size_t i = 0; list_next_ && i < SessionLister::kSlice; ++i) {
    Session& session = *std::exchange(list_next_, list_next_->next);
    if (session.probing() || !session.Matches(request->filter)) continue;
    if (request->end_reason && session.held() && !request->filter.id) continue;
    if (++part.matched <= request->most) part.entries.push_back(session.Describe());
    if (!request->end_reason || (request->filter.only_idle && !session.IdleForMoving())) continue;
    ++part.ended;
    session.End(request->end_reason,
                request->filter.moved ? "the map sends the user elsewhere" : "by an operator");
  }
  bool more = list_next_ != nullptr;
  {
    std::lock_guard lock(request->mutex);
    request->missing += more;  // another slice follows
  }
  request->Add(std::move(part));
  if (more && !Post([this, request] { GoOnListing(request); })) request->Add({});
}

void SessionLister::Request::Add(SessionList part) {
  std::lock_guard lock(mutex);
  list.matched += part.matched;
  list.ended += part.ended;
  size_t room = most - std::min(most, list.entries.size());
  std::move(part.entries.begin(),
            part.entries.begin() + static_cast<ptrdiff_t>(std::min(room, part.entries.size())),
            std::back_inserter(list.entries));
  if (--missing == 0) end();
}

SessionLister::SessionLister(Proxy& proxy) : proxy_(proxy), queue_(proxy.main_queue()) {}

void SessionLister::Ask(SessionFilter filter, size_t most, uint32_t end, Done done) {
  auto request = std::make_shared<Request>();
  request->filter = std::move(filter);
  request->most = std::min(most, kMost);
  request->end_reason = end;
  request->done = std::move(done);
  request->end = [this] { queue_.Post([this] { Finish(); }); };
  requests_.push_back(std::move(request));
  if (requests_.size() == 1) Begin();
}

void SessionLister::Begin() {
  const auto& request = requests_.front();
  request->missing = proxy_.workers().size();
  for (const auto& worker : proxy_.workers()) {
    // A worker that has ended has none, and a stuck one reports none.
    bool posted =
        !worker->stuck && worker->Post([w = worker.get(), request] { w->BeginList(request); });
    if (!posted) request->Add({});
  }
}

void SessionLister::Finish() {
  auto request = std::move(requests_.front());
  requests_.pop_front();
  if (!requests_.empty()) Begin();
  auto& entries = request->list.entries;
  std::sort(entries.begin(), entries.end(), [](auto& a, auto& b) { return a.id < b.id; });
  request->done(std::move(request->list));
}

}  // namespace rum

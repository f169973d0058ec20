#include "admin/socket_query.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <utility>

#include "base/http_answer.h"

namespace rum {
namespace {

using Outcome = QueryAnswer::Outcome;

constexpr size_t kReadMost = 64 * 1024;  // bytes per turn of the loop
constexpr timeval kAtOnce = {0, 0};

// The process that listens, not one that has taken its place since.
bool IsServedBy(int fd, pid_t pid) {
  ucred peer;
  socklen_t size = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == pid;
}

}  // namespace

SocketQuery::SocketQuery(event_base* base, const Target& target, const std::string& request,
                         Bounds bounds, Done done)
    : target_(target),
      bytes_most_(bounds.bytes),
      done_(std::move(done)),
      time_(evtimer_new(base, OnTime, this)) {
  failed_ = Begin(request);
  const timeval wait = TimevalOf(bounds.time);
  if (failed_ != Outcome::kAnswered) {
    event_add(time_, &kAtOnce);
    return;
  }
  failed_ = Outcome::kNone;
  readable_ = event_new(base, socket_.get(), EV_READ | EV_PERSIST, OnReadable, this);
  event_add(readable_, nullptr);
  event_add(time_, &wait);
}

SocketQuery::~SocketQuery() {
  if (readable_) event_free(readable_);
  event_free(time_);
}

Outcome SocketQuery::Connect() {
  sockaddr_un where = {};
  where.sun_family = AF_UNIX;
  if (target_.socket.size() >= sizeof where.sun_path) return Outcome::kGone;
  target_.socket.copy(where.sun_path, target_.socket.size());
  socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket_) return Outcome::kNone;
  if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) != 0) {
    return errno == ENOENT || errno == ECONNREFUSED ? Outcome::kGone : Outcome::kNone;
  }
  return IsServedBy(socket_.get(), target_.pid) ? Outcome::kAnswered : Outcome::kGone;
}

// kAnswered: the request is sent. Connecting to a unix socket and sending so little to it succeeds
// at once, or fails: nobody has taken the last requests.
Outcome SocketQuery::Begin(const std::string& request) {
  if (const Outcome connected = Connect(); connected != Outcome::kAnswered) return connected;
  const ssize_t sent = ::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(request.size()) ? Outcome::kAnswered : Outcome::kNone;
}

void SocketQuery::OnReadable(evutil_socket_t, short, void* self) {
  auto& query = *static_cast<SocketQuery*>(self);
  char bytes[kReadMost];
  const ssize_t n = ::read(query.socket_.get(), bytes, sizeof bytes);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0) query.received_.append(bytes, static_cast<size_t>(n));
  if (n <= 0 && query.received_.empty()) {  // it may have ended before it took the request
    event_del(query.readable_);
    const bool gone = query.Connect() == Outcome::kGone;
    return query.Finish({gone ? Outcome::kGone : Outcome::kNone, 0, {}});
  }
  if (n < 0 || query.received_.size() > query.bytes_most_) return query.Finish({});
  if (n > 0) return;
  auto answer = ReadHttpAnswer(query.received_);
  if (!answer) return query.Finish({});
  query.Finish({Outcome::kAnswered, answer->status, std::move(answer->body)});
}

void SocketQuery::OnTime(evutil_socket_t, short, void* self) {
  auto& query = *static_cast<SocketQuery*>(self);
  query.Finish({query.failed_, 0, {}});
}

// Must be the last call: `done_` may destroy this object.
void SocketQuery::Finish(QueryAnswer answer) {
  if (readable_) event_del(readable_);
  event_del(time_);
  auto done = std::move(done_);
  done(std::move(answer));
}

}  // namespace rum

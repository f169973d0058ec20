#include "net/side.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <utility>

#include "net/pipes.h"

namespace rum {
namespace {

constexpr uint32_t kRead = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;

SocketAddress AskAddress(int fd, int (*ask)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage address;
  socklen_t size = sizeof address;
  if (ask(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&address), size).Canonical();
}

// False if the connection was reset or is over.
bool StillConnected(int fd) {
  pollfd one = {.fd = fd, .events = 0, .revents = 0};
  return ::poll(&one, 1, 0) == 0;
}

}  // namespace

bool Side::Attach(Loop& loop, Fd fd, Loop::Watcher& watcher, uint32_t which, bool local,
                  bool connecting) {
  fd_ = std::move(fd);
  local_ = short_early_ = local;
  awaits_writable_ = connecting;
  readable_ = tls_readable_ = read_on_ = ended_ = broken_ = write_failed_ = shut_ = false;
  kept_alive_ = fault_reported_ = end_is_cut_ = false;
  writable_ = true;
  loop_ = &loop;
  ticket_ = loop.Watch(fd_.get(), connecting ? kRead | EPOLLOUT : kRead, watcher, which);
  if (ticket_) return true;
  fd_.reset();
  return false;
}

void Side::TakeOver(Side& from, Loop::Watcher& watcher, uint32_t which) {
  loop_ = from.loop_;
  ticket_ = from.ticket_;
  fd_ = std::move(from.fd_);
  readable_ = std::exchange(from.readable_, false);
  tls_readable_ = std::exchange(from.tls_readable_, false);
  writable_ = std::exchange(from.writable_, false);
  read_on_ = from.read_on_;
  short_early_ = from.short_early_;
  awaits_writable_ = from.awaits_writable_;
  local_ = from.local_;
  ended_ = from.ended_;
  broken_ = from.broken_;
  write_failed_ = from.write_failed_;
  shut_ = from.shut_;
  kept_alive_ = from.kept_alive_;
  end_is_cut_ = from.end_is_cut_;
  fault_reported_ = from.fault_reported_;
  out_ = std::move(from.out_);
  tls_ = std::move(from.tls_);
  if (tls_) tls_->set_side(*this);
  received_ = sent_ = 0;
  loop_->Rewatch(ticket_, watcher, which);
}

bool Side::Quiet() {
  if (!fd_ || ended_ || broken_ || write_failed_ || shut_ || !out_.empty()) return false;
  if (tls_ && !tls_->Idle()) return false;
  uint8_t byte;
  const ssize_t n =
      TEMP_FAILURE_RETRY(::recv(fd_.get(), &byte, sizeof byte, MSG_DONTWAIT | MSG_PEEK));
  return n < 0 && errno == EAGAIN;
}

bool Side::EndHasArrived() const {
  if (!fd_ || ended_ || broken_) return ended_;
  pollfd one = {.fd = fd_.get(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&one, 1, 0) == 1 && (one.revents & POLLRDHUP);
}

SocketAddress Side::LocalAddress() const { return AskAddress(fd_.get(), ::getsockname); }
SocketAddress Side::PeerAddress() const { return AskAddress(fd_.get(), ::getpeername); }

void Side::Notice(uint32_t what) {
  constexpr uint32_t kFault = EPOLLERR | EPOLLHUP;
  if (what & (EPOLLIN | EPOLLRDHUP | kFault)) readable_ = tls_readable_ = true;
  if (what & (EPOLLOUT | kFault)) writable_ = true;
  // A renegotiation may have been waiting to write.
  if (writable_ && turning()) tls_readable_ = true;
  if (what & (EPOLLRDHUP | EPOLLPRI | kFault)) read_on_ = true;
  if (what & (EPOLLPRI | kFault)) short_early_ = true;
}

void Side::AskError() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error || fault_reported_) broken_ = true;
}

// A read that did not fill the buffer has drained the socket, which saves a second read for EAGAIN,
// or for the end that was reported before the read.
size_t Side::FinishRead(ssize_t result, size_t asked, bool may_be_short) {
  if (result > 0) {
    auto n = static_cast<size_t>(result);
    received_ += n;
    const bool drained = n < asked && !may_be_short;
    if (drained && (!read_on_ || !short_early_)) {
      readable_ = false;
      ended_ = read_on_;
    }
    return n;
  }
  readable_ = false;
  if (result == 0 && !fault_reported_) {
    ended_ = true;
  } else if (result == 0 || errno != EAGAIN) {
    broken_ = true;
  }
  return 0;
}

size_t Side::FinishWrite(ssize_t result, size_t asked) {
  if (result >= 0) {
    auto n = static_cast<size_t>(result);
    sent_ += n;
    if (n < asked) AwaitWritable();
    return n;
  }
  if (errno == EAGAIN) {
    AwaitWritable();
  } else {
    writable_ = false;
    NoteFault();
    write_failed_ = true;
    LookAgain();  // a read reports the error
  }
  return 0;
}

// Requested no sooner: a socket that is watched for it is reported, too, each time that an event
// comes which the read before has dealt with already.
void Side::AwaitWritable() {
  writable_ = false;
  if (std::exchange(awaits_writable_, true)) return;
  loop_->Change(ticket_, fd_.get(), kRead | EPOLLOUT);
}

// Handles a failed write. The kernel reports a broken connection once, and this write has consumed
// the error: a later read would see a normal end. Only after EPIPE does a read still report the
// reason. If the socket is still connected (say, out of memory), bytes were lost and no event will
// follow, so it is treated as broken.
void Side::NoteFault() {
  if (errno != EPIPE) fault_reported_ = short_early_ = true;
  const int error = errno;
  if (StillConnected(fd_.get())) broken_ = true;
  errno = error;
}

// As recv(2). On unix sockets a read stops after a message with descriptors; these are dropped, and
// MSG_CTRUNC reports it.
ssize_t Side::Receive(uint8_t* bytes, size_t size) {
  if (!local_) return TEMP_FAILURE_RETRY(::recv(fd_.get(), bytes, size, MSG_DONTWAIT));
  iovec room = {bytes, size};
  msghdr message = {};
  message.msg_iov = &room;
  message.msg_iovlen = 1;
  ssize_t n = TEMP_FAILURE_RETRY(::recvmsg(fd_.get(), &message, MSG_DONTWAIT));
  if (n > 0 && (message.msg_flags & MSG_CTRUNC)) read_on_ = true;
  return n;
}

size_t Side::Read(uint8_t* bytes, size_t size) {
  if (tls_) return TlsRead(bytes, size);
  return FinishRead(Receive(bytes, size), size, false);
}

size_t Side::Write(const uint8_t* bytes, size_t size, bool last) {
  if (!writable_ || write_failed_ || shut_) return 0;
  if (tls_) return TlsWrite(bytes, size);
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (last ? MSG_MORE : 0);
  return FinishWrite(TEMP_FAILURE_RETRY(::send(fd_.get(), bytes, size, flags)), size);
}

bool Side::StartTls(std::shared_ptr<const TlsContext> context, bool server, std::string_view name,
                    std::string_view early, bool whole) {
  tls_ = TlsStream::Begin(*this, std::move(context), server, name, early,
                          whole ? Buffer() : std::move(out_));
  tls_readable_ = true;
  return tls_ != nullptr;
}

TlsStream::Handshake Side::Handshake() {
  auto outcome = tls_->Continue();
  if (outcome == TlsStream::Handshake::kFailed) broken_ = true;
  return outcome;
}

ssize_t Side::RawRead(uint8_t* bytes, size_t size) {
  if (!readable_) {
    errno = EAGAIN;
    return -1;
  }
  ssize_t n = Receive(bytes, size);
  if (n <= 0 || (static_cast<size_t>(n) < size && !read_on_)) readable_ = false;
  if (n == 0 && fault_reported_) {
    errno = ECONNRESET;
    return -1;
  }
  return n;
}

ssize_t Side::RawWrite(const uint8_t* bytes, size_t size) {
  if (!writable_) {
    errno = EAGAIN;
    return -1;
  }
  ssize_t n = TEMP_FAILURE_RETRY(::send(fd_.get(), bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL));
  if (n < 0 && errno != EAGAIN) {
    writable_ = false;
    NoteFault();
  } else if (n < static_cast<ssize_t>(size)) {
    AwaitWritable();
  }
  return n;
}

size_t Side::TlsRead(uint8_t* bytes, size_t size) {
  size_t n = 0;
  auto outcome = tls_->open() ? tls_->Read(bytes, size, &n) : TlsStream::Io::kWait;
  received_ += n;
  if (outcome != TlsStream::Io::kDone) tls_readable_ = false;
  if (outcome == TlsStream::Io::kEnd) ended_ = true;
  if (outcome == TlsStream::Io::kFailed) broken_ = true;
  return n;
}

size_t Side::TlsWrite(const uint8_t* bytes, size_t size) {
  size_t done = 0;
  while (tls_->open() && done < size) {  // OpenSSL writes one record at a time
    size_t n = 0;
    auto outcome = tls_->Write(bytes + done, size - done, &n);
    done += n;
    if (outcome == TlsStream::Io::kWait) break;
    if (outcome != TlsStream::Io::kDone) {
      write_failed_ = true;
      LookAgain();  // as in FinishWrite()
      break;
    }
  }
  sent_ += done;
  return done;
}

size_t Side::SpliceIn(const Pipe& pipe, size_t size) {
  return FinishRead(TEMP_FAILURE_RETRY(::splice(fd_.get(), nullptr, pipe.in.get(), nullptr, size,
                                                SPLICE_F_MOVE | SPLICE_F_NONBLOCK)),
                    size, true);
}

size_t Side::SpliceOut(const Pipe& pipe, size_t size) {
  if (!writable_ || write_failed_ || shut_) return 0;
  return FinishWrite(TEMP_FAILURE_RETRY(::splice(pipe.out.get(), nullptr, fd_.get(), nullptr, size,
                                                 SPLICE_F_MOVE | SPLICE_F_NONBLOCK)),
                     size);
}

bool Side::Flush() {
  while (!out_.empty()) {
    size_t n = Write(out_.data(), out_.size());
    if (n == 0) return false;
    out_.Consume(n);
  }
  return true;
}

void Side::ShutWrite(bool closing) {
  if (!shut_ && tls_) tls_->SayEnd();
  CutWrite(closing);
}

void Side::CutWrite(bool closing) {
  if (shut_ || !fd_) return;
  shut_ = true;
  if (!closing) ::shutdown(fd_.get(), SHUT_WR);
}

void Side::KeepAlive() {
  int on = 1;
  if (fd_ && !kept_alive_) ::setsockopt(fd_.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  kept_alive_ = true;
}

void Side::Close(bool reset) {
  if (!fd_) return;
  loop_->Forget(ticket_);
  if (reset) {
    linger abort = {1, 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
  }
  fd_.reset();
  readable_ = tls_readable_ = writable_ = false;
  out_.Clear();
  tls_.reset();
}

}  // namespace rum

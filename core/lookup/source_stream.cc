#include "lookup/source_stream.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/address.h"

namespace rum {
namespace {

constexpr size_t kRead = 16 * 1024;
constexpr int kReadsMost = 16;  // of one turn

}  // namespace

SourceStream::SourceStream(event_base* base, Owner& owner)
    : base_(base), owner_(owner), soon_(evtimer_new(base, OnSoon, this), event_free) {}

SourceStream::~SourceStream() { Close(); }

void SourceStream::Connect(const sockaddr* address, socklen_t size,
                           std::shared_ptr<const TlsContext> tls, const std::string& name) {
  Close();
  tls_ = std::move(tls);
  state_ = State::kConnecting;
  Begin(address, size, name);
  if (!failed_.empty()) event_active(soon_.get(), EV_TIMEOUT, 0);
}

void SourceStream::Begin(const sockaddr* address, socklen_t size, const std::string& name) {
  const int family = address->sa_family;
  fd_.reset(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) {
    failed_ = std::string("no socket: ") + std::strerror(errno);
    return;
  }
  const int one = 1;
  if (family != AF_UNIX) ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  readable_.reset(event_new(base_, fd_.get(), EV_READ | EV_PERSIST, OnEvent, this));
  writable_.reset(event_new(base_, fd_.get(), EV_WRITE, OnEvent, this));
  if (!readable_ || !writable_) {
    failed_ = "out of memory";
    return;
  }
  if (tls_) BeginTls(name);
  if (!failed_.empty()) return;
  if (::connect(fd_.get(), address, size) != 0 && errno != EINPROGRESS) {
    failed_ = std::strerror(errno);
    return;
  }
  event_add(writable_.get(), nullptr);
}

void SourceStream::BeginTls(const std::string& name) {
  ssl_.reset(SSL_new(tls_->get()));
  if (!ssl_ || SSL_set_fd(ssl_.get(), fd_.get()) != 1) {
    failed_ = "out of memory for TLS";
    return;
  }
  SSL_set_connect_state(ssl_.get());
  X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl_.get());
  const bool number = SocketAddress::Numeric(name, 0).ok();
  if (!number) SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
  const int set = number ? X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str())
                         : X509_VERIFY_PARAM_set1_host(parameters, name.data(), name.size());
  if (set != 1) failed_ = "the name cannot be verified";
}

void SourceStream::Send(std::string_view bytes) {
  if (state_ != State::kOpen) return;
  if (out_.empty()) event_active(soon_.get(), EV_TIMEOUT, 0);
  out_.append(bytes);
}

void SourceStream::Close() {
  state_ = State::kClosed;
  readable_.reset();
  writable_.reset();
  ssl_.reset();
  fd_.reset();
  in_.clear();
  out_.clear();
  failed_.clear();
}

void SourceStream::OnSoon(evutil_socket_t, short, void* self) {
  auto& stream = *static_cast<SourceStream*>(self);
  if (!stream.failed_.empty()) return stream.Fail(std::string(stream.failed_));
  if (stream.state_ == State::kOpen) stream.Write();
}

void SourceStream::OnEvent(evutil_socket_t, short what, void* self) {
  auto& stream = *static_cast<SourceStream*>(self);
  if (stream.state_ == State::kConnecting) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(stream.fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) return stream.Fail(std::strerror(error));
    event_add(stream.readable_.get(), nullptr);
    stream.state_ = stream.tls_ ? State::kHandshake : State::kOpen;
    return stream.tls_ ? stream.Handshake() : stream.owner_.OnOpen();
  }
  if (stream.state_ == State::kHandshake) return stream.Handshake();
  if (what & EV_WRITE) stream.Write();
  if (!(what & EV_READ) || stream.state_ != State::kOpen) return;
  stream.Read();
  if (stream.state_ == State::kOpen) stream.Write();  // TLS may have waited for what was read
}

void SourceStream::Handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) {
    state_ = State::kOpen;
    return owner_.OnOpen();
  }
  const int why = SSL_get_error(ssl_.get(), done);
  if (why == SSL_ERROR_WANT_WRITE) AwaitWritable();
  if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ) return;
  Fail("TLS: " + TlsFault());
}

std::string SourceStream::TlsFault() const {
  const long verified = SSL_get_verify_result(ssl_.get());
  std::string error = TakeOpensslError();
  return verified != X509_V_OK ? X509_verify_cert_error_string(verified) : error;
}

void SourceStream::Read() {
  char bytes[kRead];
  for (int reads = 0; reads < kReadsMost && state_ == State::kOpen; ++reads) {
    ssize_t n;
    if (ssl_) {
      ERR_clear_error();
      n = SSL_read(ssl_.get(), bytes, sizeof bytes);
      const int why = n > 0 ? 0 : SSL_get_error(ssl_.get(), static_cast<int>(n));
      if (why == SSL_ERROR_WANT_READ) return;
      if (why == SSL_ERROR_WANT_WRITE) return AwaitWritable();
      if (why && why != SSL_ERROR_ZERO_RETURN) return Fail("the connection broke");
    } else {
      n = ::recv(fd_.get(), bytes, sizeof bytes, 0);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n < 0) return Fail(std::strerror(errno));
    }
    if (n <= 0) return Fail("the server closed the connection");
    in_.append(bytes, static_cast<size_t>(n));
    owner_.OnBytes(in_);
    if (!ssl_ && static_cast<size_t>(n) < sizeof bytes) return;
  }
  // TLS may hold bytes that the socket does not report again.
  if (state_ == State::kOpen && ssl_) event_active(readable_.get(), EV_READ, 0);
}

void SourceStream::Write() {
  while (!out_.empty()) {
    ssize_t n;
    if (ssl_) {
      ERR_clear_error();
      n = SSL_write(ssl_.get(), out_.data(),
                    static_cast<int>(std::min<size_t>(out_.size(), kRead)));
      const int why = n > 0 ? 0 : SSL_get_error(ssl_.get(), static_cast<int>(n));
      if (why == SSL_ERROR_WANT_WRITE) return AwaitWritable();
      if (why == SSL_ERROR_WANT_READ) return;
      if (why) return Fail("the connection broke");
    } else {
      n = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return AwaitWritable();
      if (n < 0) return Fail(std::strerror(errno));
    }
    out_.erase(0, static_cast<size_t>(n));
  }
}

void SourceStream::AwaitWritable() { event_add(writable_.get(), nullptr); }

void SourceStream::Fail(const std::string& why) {
  Close();
  owner_.OnLost(why);
}

}  // namespace rum

#include "bench/wire.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <vector>

#include "bench/loop.h"

namespace rum::bench {
namespace {

// Sessions that servers gave, each for one use: OpenSSL takes none twice. Single-threaded, as all.
std::vector<SSL_SESSION*> sessions;
constexpr size_t kSessionsMost = 64;

int KeepSession(SSL*, SSL_SESSION* given) {
  if (sessions.size() == kSessionsMost) return 0;
  sessions.push_back(given);
  return 1;  // it is ours
}

SSL_CTX* Context() {
  static SSL_CTX* context = [] {
    SSL_CTX* made = SSL_CTX_new(TLS_client_method());
    if (!made) GiveUp("no TLS");
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(made, KeepSession);
    return made;
  }();
  return context;
}

SSL_CTX* ServerContext(const std::string& certificate) {
  static SSL_CTX* context = [&certificate] {
    SSL_CTX* made = SSL_CTX_new(TLS_server_method());
    if (!made || SSL_CTX_use_certificate_chain_file(made, certificate.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(made, certificate.c_str(), SSL_FILETYPE_PEM) != 1) {
      GiveUp(certificate + ": no certificate with its key");
    }
    return made;
  }();
  return context;
}

}  // namespace

Wire::Wire(const std::string& certificate) : tls_(Options::Tls::kFull) {
  ssl_.reset(SSL_new(ServerContext(certificate)));
  if (!ssl_) GiveUp("no TLS");
  SSL_set_accept_state(ssl_.get());
}

void Wire::Free::operator()(ssl_st* ssl) const {
  SSL_set_quiet_shutdown(ssl, 1);
  SSL_shutdown(ssl);  // or the session would count as broken and could not be resumed
  SSL_free(ssl);
}

const char* Wire::Open(int fd, uint32_t* events) {
  *events = 0;
  if (tls_ == Options::Tls::kOff) return nullptr;
  if (!ssl_) {
    ssl_.reset(SSL_new(Context()));
    if (!ssl_ || (name_ && !SSL_set_tlsext_host_name(ssl_.get(), name_))) GiveUp("no TLS");
    SSL_set_connect_state(ssl_.get());
    resumes_ = tls_ == Options::Tls::kResume && !sessions.empty();
    if (resumes_) {
      SSL_set_session(ssl_.get(), sessions.back());
      SSL_SESSION_free(sessions.back());
      sessions.pop_back();
    }
  }
  if (SSL_get_fd(ssl_.get()) != fd && !SSL_set_fd(ssl_.get(), fd)) GiveUp("no TLS");
  int result = SSL_do_handshake(ssl_.get());
  if (result != 1) {
    switch (SSL_get_error(ssl_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        *events = EPOLLIN;
        return nullptr;
      case SSL_ERROR_WANT_WRITE:
        *events = EPOLLOUT;
        return nullptr;
      default:
        return "the TLS handshake failed";
    }
  }
  return resumes_ && !SSL_session_reused(ssl_.get()) ? "the TLS session was not resumed" : nullptr;
}

ssize_t Wire::Send(int fd, const void* bytes, size_t size) {
  if (!ssl_) return ::send(fd, bytes, size, MSG_NOSIGNAL);
  return Outcome(SSL_write(ssl_.get(), bytes, static_cast<int>(size)));
}

ssize_t Wire::Receive(int fd, void* bytes, size_t size) {
  if (!ssl_) return ::recv(fd, bytes, size, 0);
  return Outcome(SSL_read(ssl_.get(), bytes, static_cast<int>(size)));
}

void Wire::NotifyClose() {
  if (ssl_) SSL_shutdown(ssl_.get());
}

ssize_t Wire::Outcome(int result) {
  if (result > 0) return result;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_ZERO_RETURN:
      return 0;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      errno = EAGAIN;
      return -1;
    default:
      errno = EPROTO;
      return -1;
  }
}

}  // namespace rum::bench

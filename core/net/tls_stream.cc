#include "net/tls_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "net/side.h"
#include "tls/tls_context.h"

namespace rum {
namespace {

TlsStream& Of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

int BioRead(BIO* bio, char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  ssize_t n = Of(bio).Pull(reinterpret_cast<uint8_t*>(bytes), static_cast<size_t>(size));
  if (n < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
  return static_cast<int>(n);
}

int BioWrite(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  ssize_t n =
      Of(bio).side().RawWrite(reinterpret_cast<const uint8_t*>(bytes), static_cast<size_t>(size));
  if (n < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

long BioControl(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_EOF) return Of(bio).at_end();
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

// Created once; OpenSSL frees it when the process ends.
const BIO_METHOD* Method() {
  static const BIO_METHOD* method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rum side");
    BIO_meth_set_read(m, BioRead);
    BIO_meth_set_write(m, BioWrite);
    BIO_meth_set_ctrl(m, BioControl);
    return m;
  }();
  return method;
}

// Of one Read(): three records. Passed on by one send(2) they leave in one piece, which 64 KiB do
// not (the kernel counts their headers, too), and all buffers stay in the cache: bulk with 16 or 64
// KiB took 1.3 times the CPU.
constexpr size_t kReadMost = 48 * 1024;

bool IsNumber(const std::string& name) {
  uint8_t address[16];
  return ::inet_pton(AF_INET, name.c_str(), address) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), address) == 1;
}

}  // namespace

std::unique_ptr<TlsStream> TlsStream::Begin(Side& side, std::shared_ptr<const TlsContext> context,
                                            bool server, std::string_view name,
                                            std::string_view early, Buffer before) {
  auto stream = std::unique_ptr<TlsStream>(new TlsStream(side, std::move(context)));
  stream->ssl_ = SSL_new(stream->context_->get());
  BIO* bio = BIO_new(Method());
  if (!stream->ssl_ || !bio) {
    BIO_free(bio);
    return nullptr;
  }
  BIO_set_data(bio, stream.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(stream->ssl_, bio, bio);
  stream->early_.Append(early.data(), early.size());
  stream->before_ = std::move(before);
  if (server) {
    SSL_set_accept_state(stream->ssl_);
    SSL_set_app_data(stream->ssl_, &stream->alpn_);
    return stream;
  }
  SSL_set_connect_state(stream->ssl_);
  // SNI and certificates have names without the final dot (RFC 6066, section 3).
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string host(name);
  bool number = IsNumber(host);
  if (!host.empty() && !number) SSL_set_tlsext_host_name(stream->ssl_, host.c_str());
  if (stream->context_->verify()) {
    // Without a name, OpenSSL would accept any certificate of the authorities.
    if (host.empty()) stream->error_ = "no name to verify; set --upstream-tls-name";
    X509_VERIFY_PARAM* parameters = SSL_get0_param(stream->ssl_);
    number ? X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str())
           : X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size());
  }
  return stream;
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

bool TlsStream::SetAlpn(std::string_view list) {
  if (list.empty()) return true;
  if (SSL_is_server(ssl_)) {
    alpn_ = std::make_unique<AlpnChoice>(AlpnChoice{std::string(list), {}});
    return true;
  }
  return SSL_set_alpn_protos(ssl_, reinterpret_cast<const uint8_t*>(list.data()),
                             static_cast<unsigned>(list.size())) == 0;
}

ssize_t TlsStream::Pull(uint8_t* bytes, size_t size) {
  if (early_.empty()) {
    ssize_t n = side_->RawRead(bytes, size);
    at_end_ = n == 0;
    return n;
  }
  size_t n = std::min(size, early_.size());
  std::copy_n(early_.data(), n, bytes);
  early_.Consume(n);
  return static_cast<ssize_t>(n);
}

TlsStream::Io TlsStream::Judge(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_NONE:
      return Io::kDone;
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return Io::kWait;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEnd;
    default:
      long verified = SSL_get_verify_result(ssl_);
      error_ = verified != X509_V_OK && !open_ ? X509_verify_cert_error_string(verified)
                                               : TakeOpensslError();
      return Io::kFailed;
  }
}

TlsStream::Handshake TlsStream::Continue() {
  if (!error_.empty()) return Handshake::kFailed;
  while (!before_.empty()) {
    ssize_t n = side_->RawWrite(before_.data(), before_.size());
    if (n <= 0) return n < 0 && errno == EAGAIN ? Handshake::kWait : Handshake::kFailed;
    before_.Consume(static_cast<size_t>(n));
  }
  ERR_clear_error();
  switch (Judge(SSL_do_handshake(ssl_))) {
    case Io::kDone:
      open_ = true;
      return Handshake::kDone;
    case Io::kWait:
      return Handshake::kWait;
    default:
      return Handshake::kFailed;
  }
}

TlsStream::Io TlsStream::Read(uint8_t* bytes, size_t size, size_t* done) {
  *done = 0;
  size = std::min(size, kReadMost);
  if (over_ != Io::kDone) return over_;
  ERR_clear_error();
  Io outcome = Io::kDone;
  while (outcome == Io::kDone && *done < size) {  // OpenSSL reads one record at a time
    size_t n = 0;
    outcome = Judge(SSL_read_ex(ssl_, bytes + *done, size - *done, &n));
    *done += n;
  }
  if (outcome == Io::kDone || outcome == Io::kWait) return outcome;
  over_ = outcome;
  return *done > 0 ? Io::kDone : outcome;
}

TlsStream::Io TlsStream::Write(const uint8_t* bytes, size_t size, size_t* done) {
  ERR_clear_error();
  *done = 0;
  if (turning()) return Io::kWait;
  return Judge(SSL_write_ex(ssl_, bytes, size, done));
}

void TlsStream::SayEnd() {
  if (!open_) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace rum

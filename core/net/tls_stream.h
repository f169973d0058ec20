// TLS on one side: an OpenSSL connection that uses the side's socket. Bytes that were read before
// TLS began are consumed first.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/buffer.h"
#include "tls/tls_context.h"

namespace rum {

class Side;

class TlsStream {
 public:
  enum class Handshake { kWait, kDone, kFailed };
  enum class Io { kDone, kWait, kEnd, kFailed };

  // [worker] `early`: bytes already received from the peer that belong to the handshake. `before`:
  // bytes to send in plain text first. `name`: as client, the name to verify and to send as SNI (no
  // SNI for numeric addresses). Returns nullptr if out of memory.
  static std::unique_ptr<TlsStream> Begin(Side& side, std::shared_ptr<const TlsContext> context,
                                          bool server, std::string_view name,
                                          std::string_view early, Buffer before);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;

  // Before the handshake: the protocols to offer, or as server to select from; as IsAlpnList()
  // says, or empty. False: out of memory.
  [[nodiscard]] bool SetAlpn(std::string_view list);
  Handshake Continue();
  bool open() const { return open_; }
  // OpenSSL is in an internal handshake, such as a renegotiation by the server. Only reads continue
  // it; nothing may be written until it is done.
  bool turning() const { return open_ && SSL_in_init(ssl_); }
  // Like read(2) and write(2); `done` receives the number of bytes. Read() continues until `bytes`
  // is full or the socket has no more, and reports an end or an error only after all bytes before
  // it.
  Io Read(uint8_t* bytes, size_t size, size_t* done);
  Io Write(const uint8_t* bytes, size_t size, size_t* done);
  // Sends close_notify.
  void SayEnd();
  // The peer's stream ended without close_notify.
  bool cut() const { return at_end_; }

  // The error as a phrase for the log.
  const std::string& error() const { return error_; }
  const TlsContext& context() const { return *context_; }
  const SSL* ssl() const { return ssl_; }
  // As server: what the client has offered; empty: nothing.
  std::string_view offered_alpn() const { return alpn_ ? alpn_->offered : std::string_view(); }

  // For the BIO: returns the bytes read before TLS began, then those of the socket.
  ssize_t Pull(uint8_t* bytes, size_t size);
  bool at_end() const { return at_end_; }
  Side& side() { return *side_; }
  // The connection belongs to another side now.
  void set_side(Side& side) { side_ = &side; }
  // Nothing was received that is not read yet, and no handshake is under way.
  bool Idle() const {
    return open_ && early_.empty() && !SSL_in_init(ssl_) && !SSL_has_pending(ssl_);
  }

 private:
  TlsStream(Side& side, std::shared_ptr<const TlsContext> context)
      : side_(&side), context_(std::move(context)) {}
  Io Judge(int result);

  Side* side_;
  std::shared_ptr<const TlsContext> context_;
  SSL* ssl_ = nullptr;
  Buffer early_, before_;
  std::unique_ptr<AlpnChoice> alpn_;  // as server, if one of the two ends has protocols
  bool open_ = false;
  bool at_end_ = false;
  Io over_ = Io::kDone;  // kEnd or kFailed: how reading has ended
  std::string error_;
};

}  // namespace rum

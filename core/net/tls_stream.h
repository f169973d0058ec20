// TLS on one side: an OpenSSL connection that reads and writes through the side's socket, and first
// what had been read from it before TLS began.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/buffer.h"

namespace rum {

class Side;
class TlsContext;

class TlsStream {
 public:
  enum class Handshake { kWait, kDone, kFailed };
  enum class Io { kDone, kWait, kEnd, kFailed };

  // [worker] `early`: bytes of the peer that were read already; they belong to the handshake.
  // `before`: bytes that wait to be sent in plain text, which go first. `name`: as client, what the
  // certificate must be for and what is sent as SNI (not for numbers). nullptr: no memory.
  static std::unique_ptr<TlsStream> Begin(Side& side, std::shared_ptr<const TlsContext> context,
                                          bool server, std::string_view name,
                                          std::string_view early, Buffer before);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;

  Handshake Continue();
  bool open() const { return open_; }
  // In the midst of what TLS does by itself, such as a handshake that the server began anew: only
  // reads lead out of it, and nothing is written until then.
  bool turning() const { return open_ && SSL_in_init(ssl_); }
  // As read(2) and write(2): `done` says how many bytes.
  Io Read(uint8_t* bytes, size_t size, size_t* done);
  Io Write(const uint8_t* bytes, size_t size, size_t* done);
  // Says that no more comes.
  void SayEnd();
  // The peer's bytes ended, and it had not said so.
  bool cut() const { return at_end_; }

  // What failed, as a phrase for the log.
  const std::string& error() const { return error_; }
  const TlsContext& context() const { return *context_; }

  // For the BIO: the bytes read before TLS began, then those of the socket.
  ssize_t Pull(uint8_t* bytes, size_t size);
  bool at_end() const { return at_end_; }
  Side& side() { return side_; }

 private:
  TlsStream(Side& side, std::shared_ptr<const TlsContext> context)
      : side_(side), context_(std::move(context)) {}
  Io Judge(int result);

  Side& side_;
  std::shared_ptr<const TlsContext> context_;
  SSL* ssl_ = nullptr;
  Buffer early_, before_;
  bool open_ = false;
  bool at_end_ = false;
  std::string error_;
};

}  // namespace rum

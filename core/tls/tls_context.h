// The shared state of TLS connections: certificates, verification, versions. Loaded from files and
// then immutable; changed files lead to a new context.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "tls/ticket_keys.h"

namespace rum {

struct TlsFiles {
  std::string certificate;  // PEM, including the chain
  std::string key;          // PEM; empty: the key is in the certificate's file
  // PEM; for servers: clients must present a certificate signed by one of these.
  std::string authorities;
  std::string min_version = "1.2";
  std::string ciphers;  // TLS 1.2, in OpenSSL's format; empty: OpenSSL's default
};

// The application protocols of one connection, for a server: its SSL has a
// std::unique_ptr<AlpnChoice>* as app data, or nullptr. Lists as IsAlpnList() says, or empty.
struct AlpnChoice {
  static constexpr size_t kOfferedMost = 1024;  // RUM_MOST_ALPN
  std::string wanted;                           // the first one that the client offers is selected
  std::string offered;  // by the client: whole names of at most kOfferedMost bytes
};

class TlsContext {
 public:
  // [main] For connections from clients. Errors name the file.
  static Result<std::shared_ptr<const TlsContext>> Server(const TlsFiles& files,
                                                          TicketKeys::Clock clock = NowMillis);
  // [main] For connections to servers. `verify`: the server's certificate must match its name and
  // be signed by `files.authorities` or, if that is empty, by an authority of the system.
  static Result<std::shared_ptr<const TlsContext>> Client(const TlsFiles& files, bool verify);

  // [any] Thread-safe: OpenSSL's reference counts are atomic.
  SSL_CTX* get() const { return context_.get(); }
  bool verify() const { return verify_; }
  // SHA-256 of the certificate in DER form; zero for a client without one.
  const std::array<uint8_t, 32>& fingerprint() const { return fingerprint_; }
  // The certificate's validity, in seconds since 1970; 0 for a client without a certificate.
  int64_t not_before() const { return not_before_; }
  int64_t not_after() const { return not_after_; }

 private:
  explicit TlsContext(TicketKeys::Clock clock = NowMillis);
  Status Fill(const TlsFiles& files);

  TicketKeys tickets_;  // for servers
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  bool verify_ = false;
  std::array<uint8_t, 32> fingerprint_ = {};
  int64_t not_before_ = 0, not_after_ = 0;
};

// [main] Creates a key and a self-signed certificate, valid for ten years, and writes both to one
// new PEM file of mode 0600. Fails if the file exists.
Status WriteSelfSignedCertificate(const std::string& path);

// Returns the newest OpenSSL error of this thread as a phrase and clears its error queue.
std::string TakeOpensslError();

}  // namespace rum

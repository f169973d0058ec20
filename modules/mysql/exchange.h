// Judges what an answer to each plugin is worth to an eavesdropper, and so what rum must do when it
// arrives over a safe link and leaves over an unsafe one, or the reverse. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/handshake.h"
#include "mysql/reader.h"

namespace rum::mysql {

enum class PluginKind : uint8_t {
  kNative,       // mysql_native_password
  kEd25519,      // client_ed25519
  kParsec,       // MariaDB's; answers of these three are useless to an eavesdropper
  kCachingSha2,  // sends a proof and, on request, the password
  kSha256,       // sends the password
  kClear,        // sends the password only, or is an unknown plugin
};
PluginKind KindOfPlugin(std::string_view name);

// False for an empty proof; some plugins send a single NUL for an empty password.
bool ProvesSomething(std::string_view proof);

// An answer that matches no password, and that servers do not count as an error of rum's address:
// after too many errors they block it. Each of MariaDB's plugins accepts one form of answer only;
// the forms come from tests with 11.8. `answered`: how many answers this plugin has received.
// nullopt: the server counts any next answer as an error, but not silence.
std::optional<std::string> WrongAnswer(PluginKind kind, unsigned answered);

// Whether a client of this plugin may send such an answer. MariaDB counts other lengths as errors
// of the address, too.
bool MayBeAnswer(PluginKind kind, size_t size, unsigned answered);
// What the server receives instead of such an answer: it proves nothing, not even for an account
// without a password. nullopt: as above.
std::optional<std::string> WrongProof(PluginKind kind, unsigned answered);

// Clients that start with this plugin have sent the password itself.
bool SendsPasswordFirst(std::string_view plugin);

enum class Link : uint8_t { kOpen, kUnix, kTls };
// No eavesdropper can read it. An end that sees only its own link may take that for safe enough to
// send the password itself.
constexpr bool IsSafe(Link link) { return link != Link::kOpen; }

struct Links {
  Link client = Link::kOpen;
  Link server = Link::kOpen;
};

class Exchange {
 public:
  enum class Step : uint8_t {
    kPass,      // pass the answer on unchanged
    kEncrypt,   // it is the password: request the server's key, and pass on the encrypted password
    kOfferKey,  // it requests a key: answer with rum's own, and pass on the decrypted password
    kUnreadable,  // it is encrypted for a key that rum does not have
  };

  explicit Exchange(PluginKind kind = PluginKind::kClear) : kind_(kind) {}

  // rum asks the client for this plugin. False: the plugin needs a nonce, and the server's `data`
  // has none.
  [[nodiscard]] bool Begin(PluginKind kind, Bytes data);
  // The server has sent more data for the plugin.
  void Hear(Bytes more);
  // Whether rum may ask the client at all: over a safe link, a client sends its password.
  bool MayAsk(Links links) const {
    return kind_ != PluginKind::kClear || !IsSafe(links.client) || IsSafe(links.server);
  }
  // The client's answer has arrived.
  Step Judge(Bytes answer, Links links);

  PluginKind kind() const { return kind_; }
  // What masks the password under RSA.
  const Nonce& nonce() const { return nonce_; }
  // The request for the server's public key.
  uint8_t key_request() const;

 private:
  PluginKind kind_;
  bool secret_due_ = false;  // the next answer is the password, or begins its encryption
  Nonce nonce_{};
};

}  // namespace rum::mysql

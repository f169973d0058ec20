// What the answers to each plugin are worth to who reads them on the way, and so what rum must do
// with one when it came by a safe link and goes on by an open one, or the other way round. Pure.
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
  kParsec,       // of MariaDB; the answers of these three are worthless to who reads them
  kCachingSha2,  // sends a proof and, when asked for it, the password
  kSha256,       // sends the password
  kClear,        // sends the password and knows no other way, or is not known here
};
PluginKind KindOfPlugin(std::string_view name);

// False for an empty proof; with a lone NUL some plugins say that there is no password.
bool ProvesSomething(std::string_view proof);

// What no password answers, and yet nothing that a server counts as an error of the address it
// comes from: after some of those it blocks the address. Each of MariaDB's plugins takes answers of
// one kind only; what is said here was found by trying, with 11.8. `answered`: how often this
// plugin was. None: it counts whatever comes next, but not that nothing comes.
std::optional<std::string> WrongAnswer(PluginKind kind, unsigned answered);

// Whether a client of this plugin ever answers so. MariaDB counts other lengths as errors of the
// address, too.
bool MayBeAnswer(PluginKind kind, size_t size, unsigned answered);
// What goes to the server in place of such an answer: it proves nothing, not even to an account
// without a password. None: as above.
std::optional<std::string> WrongProof(PluginKind kind, unsigned answered);

// Clients that start with this plugin have sent the password itself.
bool SendsPasswordFirst(std::string_view plugin);

enum class Link : uint8_t { kOpen, kUnix, kTls };
// Who listens on the way reads nothing there: an end that knows only its own link may take it for
// fit to carry the password itself.
constexpr bool IsSafe(Link link) { return link != Link::kOpen; }

struct Links {
  Link client = Link::kOpen;
  Link server = Link::kOpen;
};

class Exchange {
 public:
  enum class Step : uint8_t {
    kPass,        // pass the answer on as it is
    kEncrypt,     // it is the password: ask the server for its key, and pass on the cipher
    kOfferKey,    // it asks for a key: answer with rum's own, and pass on the decrypted password
    kUnreadable,  // it is a cipher for a key that rum does not have
  };

  explicit Exchange(PluginKind kind = PluginKind::kClear) : kind_(kind) {}

  // The client is being asked for this plugin. False: the plugin needs a nonce and `data`, what the
  // server said to it, has none.
  [[nodiscard]] bool Begin(PluginKind kind, Bytes data);
  // The server has said more to the plugin.
  void Hear(Bytes more);
  // Whether the client may be asked at all: one whose link is safe gives away its password.
  bool MayAsk(Links links) const {
    return kind_ != PluginKind::kClear || !IsSafe(links.client) || IsSafe(links.server);
  }
  // The client's answer has come.
  Step Judge(Bytes answer, Links links);

  PluginKind kind() const { return kind_; }
  // Covers the password under RSA.
  const Nonce& nonce() const { return nonce_; }
  // What asks the server for its public key.
  uint8_t key_request() const;

 private:
  PluginKind kind_;
  bool secret_due_ = false;  // the next answer is the password, or begins its encryption
  Nonce nonce_{};
};

}  // namespace rum::mysql

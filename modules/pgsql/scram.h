// Authenticates a client by a stored verifier, and logs in to a server with the proved keys:
// SCRAM-SHA-256 and -PLUS (RFC 5802, 5929, 7677), as PostgreSQL speaks it. Sees no password.
// Pure: messages in, messages out. Throws nothing but std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "pgsql/sasl.h"
#include "pgsql/secret.h"

namespace rum::pgsql {

// A message to send, or why there is none.
struct ScramStep {
  ScramFault fault = ScramFault::kNone;
  std::string message;

  bool ok() const { return fault == ScramFault::kNone; }
};

// rum toward a client. Start(), Finish(), each once; a fault ends the exchange.
class ScramEdge {
 public:
  // `binding` is the hash of rum's own certificate (HashForBinding), empty on a link without TLS:
  // then PLUS is not offered.
  ScramEdge(ScramVerifier verifier, std::string_view binding)
      : verifier_(std::move(verifier)), binding_(binding) {}

  // For a name that is not in the map: the same messages and the same work, but kPassword for every
  // proof, because nobody knows a ClientKey whose hash is the made-up StoredKey. The salt depends
  // on secret and user alone. A secret that changes at a restart, or differs between nodes, shows
  // which names are unknown.
  static ScramEdge MakeMock(const Key& secret, std::string_view user, std::string_view binding);
  static constexpr uint32_t kMockIterations = 4096;  // what servers use by default, as the salt
  static constexpr size_t kMockSalt = 16;            // bytes

  // The body of AuthenticationSASL.
  std::string mechanisms() const { return FormatMechanisms(!binding_.empty()); }

  // client-first in, server-first out. `nonce` is rum's part: MakeScramNonce().
  ScramStep Start(std::string_view mechanism, std::string_view client_first,
                  std::string_view nonce);
  // client-final in, server-final out: the client has proved the password.
  ScramStep Finish(std::string_view client_final);

  // After Finish() succeeded; with it the user can log in wherever the same verifier is stored.
  const Key& client_key() const { return client_key_; }

 private:
  enum class State { kBegin, kStarted, kDone };

  ScramFault ReadHeader(std::string_view* message, bool plus);
  ScramFault ReadFinal(std::string_view message, Key* proof, std::string_view* without_proof) const;
  ScramFault Check(const Key& proof, std::string_view auth_message);

  ScramVerifier verifier_;
  std::string binding_;
  State state_ = State::kBegin;
  std::string header_;    // what c= must repeat
  std::string nonce_;     // of both sides
  std::string exchange_;  // client-first-bare , server-first ,
  Key client_key_;
};

// rum toward a server, which must hold the same verifier: Start(), Continue(), Finish(), each once.
class ScramBack {
 public:
  ScramBack(ScramVerifier verifier, const Key& client_key)
      : verifier_(std::move(verifier)), client_key_(client_key) {}

  enum class Fault : uint8_t {
    kNone,
    kInternal,       // the library failed, or a step was called out of order
    kNoMechanism,    // the server offers no SCRAM-SHA-256
    kMalformed,      // not a message of SCRAM, or longer than kMaxScramMessage
    kOtherNonce,     // the server's nonce does not begin with rum's
    kOtherVerifier,  // the server has another salt for the user, or no such user: no proof is sent
    kRefused,        // the server sent e=
    kOtherServer,    // the server does not know ServerKey
  };
  struct Step {
    Fault fault = Fault::kNone;
    std::string message;

    bool ok() const { return fault == Fault::kNone; }
  };

  // The link to the server.
  enum class Link : uint8_t {
    kPlain,
    kTls,          // the certificate has no hash for binding: PLUS is not used
    kTlsWithHash,  // PLUS is used if it is offered; if not, the server learns that it was possible
  };

  // The body of AuthenticationSASL in; client-first out, to be sent by FormatSaslInitial() with
  // mechanism(). `binding` is the hash of the server's certificate (HashForBinding), for
  // kTlsWithHash only.
  Step Start(std::string_view mechanisms, Link link, std::string_view binding,
             std::string_view nonce);
  std::string_view mechanism() const { return plus_ ? kScramPlus : kScram; }
  // server-first in, client-final out.
  Step Continue(std::string_view server_first);
  // server-final in: kNone if the server knows the verifier, too. Only then is AuthenticationOk
  // valid.
  Fault Finish(std::string_view server_final);

 private:
  enum class State { kBegin, kStarted, kProved, kDone };

  Fault Prove(std::string_view auth_message, std::string* proof);

  ScramVerifier verifier_;
  Key client_key_;
  State state_ = State::kBegin;
  bool plus_ = false;
  std::string channel_;   // what c= says, before base64
  std::string nonce_;     // rum's
  std::string exchange_;  // client-first-bare, then all of AuthMessage
};

}  // namespace rum::pgsql

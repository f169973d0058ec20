// What SASL of PostgreSQL carries: the list of mechanisms, the client's first answer, the
// attributes of SCRAM messages, and what can go wrong, with the errors that a server gives. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rum::pgsql {

constexpr std::string_view kScram = "SCRAM-SHA-256";
constexpr std::string_view kScramPlus = "SCRAM-SHA-256-PLUS";
// The beginning of client-first when PLUS is used; "n,," and "y,," otherwise.
constexpr std::string_view kPlusHeader = "p=tls-server-end-point,,";

// Bytes of any message of SCRAM; servers refuse longer ones of clients with 28P01.
constexpr size_t kMaxScramMessage = 1024;

enum class ScramFault : uint8_t {
  kNone,
  kInternal,           // the library failed, or a step was called out of order
  kMechanism,          // the client's mechanism was not offered
  kTooLong,            // more than kMaxScramMessage
  kMalformed,          // not a message of SCRAM, or not for the mechanism
  kAuthorizationName,  // the client wants to act as another user (a=)
  kExtension,          // the client demands an extension (m=)
  kBindingType,        // another channel binding than tls-server-end-point
  kDowngrade,          // the client believes that PLUS was not offered, but it was
  kOtherChannel,       // the client has seen another certificate
  kBindingHeader,      // c= repeats another header than the one sent
  kNonceCharacters,    // not printable
  kOtherNonce,         // not the one of this exchange
  kPassword,           // the proof is wrong, or nobody has this name
};

// What a PostgreSQL server answers: S and V are FATAL.
struct ScramError {
  const char* sqlstate;
  std::string message;
  const char* detail;  // nullptr: none
};

// `user` is the name of the Startup packet, as it was sent: its bytes go into the message.
ScramError ErrorOf(ScramFault fault, std::string_view user);

// The body of AuthenticationSASL: each name with a NUL, and a NUL.
std::string FormatMechanisms(bool plus);

// Which of the two are in the body of a server's AuthenticationSASL, and whether it is a list.
struct Mechanisms {
  bool well_formed = false;
  bool scram = false;
  bool plus = false;
};
Mechanisms ParseMechanisms(std::string_view body);

// The body of SASLInitialResponse: mechanism, NUL, size, message. Points into it.
struct SaslInitial {
  std::string_view mechanism;
  std::string_view message;
};
// nullopt: malformed, or without a message, which SCRAM needs.
std::optional<SaslInitial> ParseSaslInitial(std::string_view body);
std::string FormatSaslInitial(std::string_view mechanism, std::string_view message);

// Reads the attributes of a message, `x=value`, separated by commas.
class Attributes {
 public:
  explicit Attributes(std::string_view text) : text_(text), rest_(text) {}

  // The value of the next attribute. nullopt: it has another name.
  std::optional<std::string_view> Take(char name);
  // The name of the next attribute, a letter; 0: there is none, or it is malformed.
  char Next() const;
  bool AtEnd() const { return at_end_; }
  // What was read so far, without the comma before the next attribute.
  std::string_view Before() const;

 private:
  std::string_view text_;
  std::string_view rest_;
  bool at_end_ = false;
};

// 0x21 to 0x7e without a comma, at least one.
bool IsNonce(std::string_view text);

}  // namespace rum::pgsql

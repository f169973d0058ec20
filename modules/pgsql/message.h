// Messages with a type, as client and server exchange them in a login. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rum::pgsql {

constexpr size_t kHeaderSize = 5;  // the type, and the length of all but the type
// Of any message in a login, header included. Servers take passwords and tokens of 64 KiB at most.
constexpr size_t kMaxMessage = 66000;
// All bytes of a server in a login: rum buffers them for a client that does not read.
constexpr size_t kMaxServerSaid = 1 << 20;

// What the front of a window of bytes holds.
struct Frame {
  enum class Kind : uint8_t {
    kPartial,  // call again when `size` bytes are there
    kWhole,    // one message of `size` bytes
    kBad,      // a length that no message of a login has
  };
  Kind kind = Kind::kPartial;
  size_t size = kHeaderSize;
};
Frame ReadFrame(std::string_view bytes);

// A whole message.
struct Message {
  std::string_view bytes;
  char type() const { return bytes.front(); }
  std::string_view body() const { return bytes.substr(kHeaderSize); }
};

std::string BuildMessage(char type, std::string_view body);
constexpr std::string_view kTerminate("X\0\0\0\4", 5);  // whole

// AuthenticationRequest, by its number.
enum class Auth : uint32_t {
  kOk = 0,
  kClearText = 3,
  kMd5 = 5,
  kGss = 7,
  kGssContinue = 8,
  kSspi = 9,
  kSasl = 10,
  kSaslContinue = 11,
  kSaslFinal = 12,
};
struct AuthRequest {
  Auth kind;
  std::string_view data;  // of the message that was parsed
};
// nullopt: a kind that rum does not know, so that it cannot tell who sends next.
std::optional<AuthRequest> ParseAuth(std::string_view body);
std::string BuildAuth(Auth kind, std::string_view data = {});
const char* NameOf(Auth kind);

// Its first answer is a token, which is as valuable as a password.
constexpr std::string_view kOauth = "OAUTHBEARER";

// The names in the list of kSasl. nullopt: the list has no end, or is too long.
std::optional<std::vector<std::string_view>> ListMechanisms(std::string_view data);
std::string BuildMechanisms(const std::vector<std::string_view>& mechanisms);

// The text of a password message. nullopt: it does not end with its only NUL.
std::optional<std::string_view> ParsePassword(std::string_view body);

// The parts of an ErrorResponse that rum uses.
struct ServerError {
  std::string sqlstate;
  std::string text;
};
std::optional<ServerError> ParseError(std::string_view body);
// An ErrorResponse of severity FATAL.
std::string BuildError(std::string_view sqlstate, std::string_view text);
// For clients of the protocol before 3.0.
std::string BuildOldError(std::string_view text);

// Process id and key of BackendKeyData, as a CancelRequest has them. nullopt: a key cannot have
// this length.
std::optional<std::string_view> ParseKeyData(std::string_view body);

// NegotiateProtocolVersion: the newest version that rum speaks by itself, and the options that it
// does not know.
std::string BuildNegotiation(uint32_t newest, const std::vector<std::string>& unknown);

}  // namespace rum::pgsql

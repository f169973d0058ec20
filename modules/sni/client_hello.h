// Finds the server name in the first message of a TLS client. Pure: bytes in, a name or "n bytes
// are needed" out. Bounds and refusals follow RFC 8446 (4.1.2, 5.1) and RFC 6066 (3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rum::sni {

// Fatal alerts, numbered as in RFC 8446, section 6.
enum class Alert : uint8_t {
  kUnexpectedMessage = 10,
  kIllegalParameter = 47,
  kDecodeError = 50,
  kProtocolVersion = 70,
  kInternalError = 80,
  kUnrecognizedName = 112,
};

// A resumed hello may be this large, as a server's ticket may contain the client's certificate.
constexpr size_t kHelloMost = 65536;
constexpr size_t kNameMost = 255;

// Reads one hello, in any number of records and pieces.
class HelloReader {
 public:
  enum class State : uint8_t { kNeeds, kWhole, kBad };

  // `bytes` holds everything since the connection's first byte: the bytes of the previous call, and
  // more. Only the new ones take time.
  State Read(std::string_view bytes);

  size_t needed() const { return needed_; }  // kNeeds: total bytes needed, at least one more
  Alert alert() const { return alert_; }     // kBad: a server's answer
  const char* why() const { return why_; }   // kBad: a sentence for the log
  // kWhole: in lower case, without a final dot; empty: the client names no server.
  const std::string& name() const { return name_; }

 private:
  State Need(size_t size);
  State Bad(Alert alert, const char* why);
  State ReadMessage(std::string_view body);
  State ReadExtensions(std::string_view extensions);
  State ReadNames(std::string_view extension);
  State TakeName(std::string_view name);

  size_t record_ = 0;    // start of the next record
  std::string message_;  // contents of the records so far, if there are several
  size_t needed_ = 0;
  Alert alert_ = Alert::kInternalError;
  const char* why_ = "";
  std::string name_;
};

}  // namespace rum::sni

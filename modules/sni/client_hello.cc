#include "sni/client_hello.h"

#include <optional>

namespace rum::sni {
namespace {

constexpr size_t kRecordHeader = 5, kMessageHeader = 4;
constexpr size_t kRecordMost = 16384;
constexpr uint8_t kHandshake = 22, kClientHello = 1, kMajorVersion = 3;
constexpr unsigned kServerName = 0;
constexpr uint8_t kHostName = 0;

unsigned Byte(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

// Removes a number of `width` bytes from the front; nullopt if there are fewer.
std::optional<size_t> TakeNumber(std::string_view& rest, size_t width) {
  if (rest.size() < width) return std::nullopt;
  size_t number = 0;
  for (size_t i = 0; i < width; ++i) number = number << 8 | Byte(rest, i);
  rest.remove_prefix(width);
  return number;
}

// Removes a block of bytes, preceded by its length in `width` bytes.
std::optional<std::string_view> TakeVector(std::string_view& rest, size_t width) {
  std::optional<size_t> size = TakeNumber(rest, width);
  if (!size || *size > rest.size()) return std::nullopt;
  std::string_view taken = rest.substr(0, *size);
  rest.remove_prefix(*size);
  return taken;
}

}  // namespace

HelloReader::State HelloReader::Read(std::string_view bytes) {
  for (;;) {
    std::string_view rest = bytes.substr(record_);
    if (!rest.empty() && Byte(rest, 0) != kHandshake) {
      return Bad(Alert::kUnexpectedMessage, "the client does not begin with a TLS handshake");
    }
    if (rest.size() >= 2 && Byte(rest, 1) != kMajorVersion) {
      return Bad(Alert::kProtocolVersion, "the client's TLS record has another version than 3.x");
    }
    if (rest.size() < kRecordHeader) return Need(record_ + kRecordHeader);
    size_t size = Byte(rest, 3) << 8 | Byte(rest, 4);
    if (size == 0 || size > kRecordMost) {
      return Bad(Alert::kDecodeError, "the client's TLS record has an invalid length");
    }
    if (rest.size() < kRecordHeader + size) return Need(record_ + kRecordHeader + size);
    std::string_view content = rest.substr(kRecordHeader, size);
    record_ += kRecordHeader + size;
    if (!message_.empty()) {
      message_ += content;
      content = message_;
    }
    if (content.size() >= kMessageHeader) {
      if (Byte(content, 0) != kClientHello) {
        return Bad(Alert::kUnexpectedMessage, "the client's first message is not a ClientHello");
      }
      size_t body = Byte(content, 1) << 16 | Byte(content, 2) << 8 | Byte(content, 3);
      if (body > kHelloMost) {
        return Bad(Alert::kDecodeError, "the client's ClientHello has more than 65536 bytes");
      }
      if (content.size() >= kMessageHeader + body) {
        return ReadMessage(content.substr(kMessageHeader, body));
      }
    }
    if (message_.empty()) message_ = content;
  }
}

HelloReader::State HelloReader::ReadMessage(std::string_view body) {
  constexpr size_t kRandom = 32, kSessionIdMost = 32;
  std::optional<size_t> version = TakeNumber(body, 2);
  if (!version || body.size() < kRandom) {
    return Bad(Alert::kDecodeError, "the client's ClientHello is truncated");
  }
  if (*version >> 8 != kMajorVersion) {
    return Bad(Alert::kProtocolVersion, "the client asks for another version than 3.x");
  }
  body.remove_prefix(kRandom);
  auto session = TakeVector(body, 1);
  auto ciphers = TakeVector(body, 2);
  auto compressions = TakeVector(body, 1);
  if (!session || session->size() > kSessionIdMost || !ciphers || ciphers->empty() ||
      ciphers->size() % 2 != 0 || !compressions || compressions->empty()) {
    return Bad(Alert::kDecodeError,
               "the client's ClientHello is truncated or has inconsistent lengths");
  }
  if (body.empty()) return State::kWhole;  // older than extensions
  auto extensions = TakeVector(body, 2);
  if (!extensions || !body.empty()) {
    return Bad(Alert::kDecodeError, "the extensions of the ClientHello have inconsistent lengths");
  }
  return ReadExtensions(*extensions);
}

HelloReader::State HelloReader::ReadExtensions(std::string_view extensions) {
  bool named = false;
  while (!extensions.empty()) {
    std::optional<size_t> type = TakeNumber(extensions, 2);
    auto content = TakeVector(extensions, 2);
    if (!type || !content) {
      return Bad(Alert::kDecodeError,
                 "the extensions of the ClientHello have inconsistent lengths");
    }
    if (*type != kServerName) continue;
    if (named) return Bad(Alert::kIllegalParameter, "the client names its server twice");
    named = true;
    if (State state = ReadNames(*content); state != State::kWhole) return state;
  }
  return State::kWhole;
}

HelloReader::State HelloReader::ReadNames(std::string_view extension) {
  auto list = TakeVector(extension, 2);
  if (!list || list->empty() || !extension.empty()) {
    return Bad(Alert::kDecodeError, "the client's list of server names has inconsistent lengths");
  }
  std::optional<size_t> type = TakeNumber(*list, 1);
  auto name = TakeVector(*list, 2);
  if (!type || !name) {
    return Bad(Alert::kDecodeError, "the client's list of server names has inconsistent lengths");
  }
  // No other type is defined, and a type may have one name only.
  if (*type != kHostName || !list->empty()) {
    return Bad(Alert::kIllegalParameter, "the client names more than one server");
  }
  return TakeName(*name);
}

HelloReader::State HelloReader::TakeName(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kNameMost) {
    return Bad(Alert::kIllegalParameter, "the client's server name is empty or too long");
  }
  name_.reserve(name.size());
  for (char c : name) {
    auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte == 0x7f) {
      return Bad(Alert::kIllegalParameter, "the client's server name has control characters");
    }
    name_ += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return State::kWhole;
}

HelloReader::State HelloReader::Need(size_t size) {
  needed_ = size;
  return State::kNeeds;
}

HelloReader::State HelloReader::Bad(Alert alert, const char* why) {
  name_.clear();
  alert_ = alert;
  why_ = why;
  return State::kBad;
}

}  // namespace rum::sni

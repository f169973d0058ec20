#include "pgsql/sasl.h"

#include <algorithm>

namespace rum::pgsql {
namespace {

constexpr size_t kSizeField = 4;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

}  // namespace

ScramError ErrorOf(ScramFault fault, std::string_view user) {
  switch (fault) {
    case ScramFault::kNone:
    case ScramFault::kInternal:
      break;
    case ScramFault::kMechanism:
      return {"08P01", "client selected an invalid SASL authentication mechanism", nullptr};
    case ScramFault::kMalformed:
      return {"08P01", "malformed SCRAM message", nullptr};
    case ScramFault::kAuthorizationName:
      return {"0A000", "client uses authorization identity, but it is not supported", nullptr};
    case ScramFault::kExtension:
      return {"0A000", "client requires an unsupported SCRAM extension", nullptr};
    case ScramFault::kBindingType:
      return {"08P01", "unsupported SCRAM channel-binding type",
              "Only tls-server-end-point is supported."};
    case ScramFault::kDowngrade:
      return {"28000", "SCRAM channel binding negotiation error",
              "SCRAM-SHA-256-PLUS was offered, but the client did not see that."};
    case ScramFault::kOtherChannel:
      return {"28000", "SCRAM channel binding check failed", nullptr};
    case ScramFault::kBindingHeader:
      return {"08P01", "unexpected SCRAM channel-binding attribute in client-final-message",
              nullptr};
    case ScramFault::kNonceCharacters:
      return {"08P01", "non-printable characters in SCRAM nonce", nullptr};
    case ScramFault::kOtherNonce:
      return {"08P01", "invalid SCRAM response", "The nonce is not the one of this login."};
    case ScramFault::kTooLong:
    case ScramFault::kPassword:
      return {"28P01", "password authentication failed for user \"" + std::string(user) + "\"",
              nullptr};
  }
  return {"XX000", "the login could not be computed", nullptr};
}

std::string FormatMechanisms(bool plus) {
  std::string body;
  if (plus) body.append(kScramPlus).push_back('\0');
  body.append(kScram).push_back('\0');
  body.push_back('\0');
  return body;
}

Mechanisms ParseMechanisms(std::string_view body) {
  Mechanisms found;
  while (true) {
    const size_t end = body.find('\0');
    if (end == body.npos) return Mechanisms();
    std::string_view name = body.substr(0, end);
    body.remove_prefix(end + 1);
    if (name.empty()) break;
    found.scram |= name == kScram;
    found.plus |= name == kScramPlus;
  }
  if (!body.empty()) return Mechanisms();
  found.well_formed = true;
  return found;
}

std::optional<SaslInitial> ParseSaslInitial(std::string_view body) {
  const size_t end = body.find('\0');
  if (end == body.npos || body.size() - end - 1 < kSizeField) return std::nullopt;
  SaslInitial initial{body.substr(0, end), body.substr(end + 1 + kSizeField)};
  uint32_t size = 0;
  for (unsigned char byte : body.substr(end + 1, kSizeField)) size = size << 8 | byte;
  if (size != initial.message.size()) return std::nullopt;
  return initial;
}

std::string FormatSaslInitial(std::string_view mechanism, std::string_view message) {
  std::string body(mechanism);
  body.push_back('\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    body.push_back(static_cast<char>(message.size() >> shift));
  }
  return body.append(message);
}

char Attributes::Next() const {
  return !at_end_ && rest_.size() >= 2 && IsLetter(rest_[0]) && rest_[1] == '=' ? rest_[0] : '\0';
}

std::optional<std::string_view> Attributes::Take(char name) {
  if (name == '\0' || Next() != name) return std::nullopt;
  const size_t comma = rest_.find(',');
  std::string_view value = rest_.substr(2, comma == rest_.npos ? comma : comma - 2);
  at_end_ = comma == rest_.npos;
  rest_.remove_prefix(at_end_ ? rest_.size() : comma + 1);
  return value;
}

std::string_view Attributes::Before() const {
  const size_t read = text_.size() - rest_.size();
  return text_.substr(0, at_end_ || read == 0 ? read : read - 1);
}

bool IsNonce(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char c) { return c > 0x20 && c < 0x7f && c != ','; });
}

}  // namespace rum::pgsql

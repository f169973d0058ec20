#include "map/map_record.h"

#include <algorithm>
#include <cctype>

namespace rum {

Result<MapRecord> ParseMapRecord(std::string_view value) {
  size_t first = value.find('\0');
  if (first == value.npos) {
    return Error{Fault::kMap, "has no destination: there is no NUL byte in the record"};
  }
  std::string_view rest = value.substr(first + 1);
  size_t second = rest.find('\0');
  MapRecord record;
  record.secret = value.substr(0, first);
  record.destination = rest.substr(0, second);
  if (second != rest.npos) record.tail = rest.substr(second + 1);
  if (record.destination.empty()) return Error{Fault::kMap, "has no destination"};
  return record;
}

std::string FormatMapRecord(const MapRecord& record) {
  std::string value;
  value.reserve(record.secret.size() + record.destination.size() + record.tail.size() + 2);
  value.append(record.secret).push_back('\0');
  value.append(record.destination).push_back('\0');
  value.append(record.tail);
  return value;
}

namespace {

bool IsBase64(std::string_view text, size_t size) {
  return text.size() == size && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '+' || c == '/';
         });
}

// P0:SALT:KEY
bool IsSaltedKey(std::string_view text) {
  return text.size() == 3 + 24 + 1 + 43 && text[0] == 'P' && std::isdigit(text[1] & 0xff) != 0 &&
         text[2] == ':' && IsBase64(text.substr(3, 24), 24) && text[27] == ':' &&
         IsBase64(text.substr(28), 43);
}

}  // namespace

bool IsHashedSecret(std::string_view secret) {
  constexpr std::string_view kKey = "ed25519:";
  constexpr std::string_view kSaltedKey = "parsec:";
  if (secret.starts_with(kKey)) return IsBase64(secret.substr(kKey.size()), 43);
  if (secret.starts_with(kSaltedKey)) return IsSaltedKey(secret.substr(kSaltedKey.size()));
  return secret.size() == 41 && secret[0] == '*' &&
         std::all_of(secret.begin() + 1, secret.end(),
                     [](unsigned char c) { return std::isxdigit(c) != 0; });
}

}  // namespace rum

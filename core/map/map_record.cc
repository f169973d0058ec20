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

bool IsPadded(std::string_view text, size_t bytes) {
  const size_t signs = (bytes + 2) / 3 * 4;
  const size_t fill = (3 - bytes % 3) % 3;
  return text.size() == signs && IsBase64(text.substr(0, signs - fill), signs - fill) &&
         text.substr(signs - fill) == std::string_view("==").substr(0, fill);
}

std::string_view Cut(std::string_view& rest, char mark) {
  const size_t end = rest.find(mark);
  std::string_view part = rest.substr(0, end);
  rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

// Whatever stands behind "SCRAM-"; the salt has 1 to 64 bytes.
bool IsScram(std::string_view rest) {
  const std::string_view hash = Cut(rest, '$');
  const size_t digest = hash == "SHA-256" ? 32 : hash == "SHA-1" ? 20 : hash == "SHA-512" ? 64 : 0;
  const std::string_view count = Cut(rest, ':');
  const std::string_view salt = Cut(rest, '$');
  const std::string_view stored = Cut(rest, ':');
  const bool counted =
      !count.empty() && count.size() <= 9 && count[0] != '0' &&
      std::all_of(count.begin(), count.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  bool salted = false;
  for (size_t bytes = 1; bytes <= 64 && !salted; ++bytes) salted = IsPadded(salt, bytes);
  return digest != 0 && counted && salted && IsPadded(stored, digest) && IsPadded(rest, digest);
}

// Of PostgreSQL, which writes and hashes it in lower case.
bool IsMd5(std::string_view text) {
  return text.size() == 32 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isdigit(c) != 0 || (c >= 'a' && c <= 'f');
         });
}

// Behind the first '$': the scheme, '$', and at least 8 characters that crypt(5) uses.
bool IsCrypt(std::string_view rest) {
  const std::string_view id = Cut(rest, '$');
  return !id.empty() && id.size() <= 16 && rest.size() >= 8 && rest.size() <= 512 &&
         std::all_of(id.begin(), id.end(),
                     [](unsigned char c) {
                       return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '-';
                     }) &&
         std::all_of(rest.begin(), rest.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 ||
                  std::string_view("./+$=,-_").find(static_cast<char>(c)) != std::string_view::npos;
         });
}

}  // namespace

bool IsHashedSecret(std::string_view secret) {
  constexpr std::string_view kKey = "ed25519:";
  constexpr std::string_view kSaltedKey = "parsec:";
  if (secret.starts_with(kKey)) return IsBase64(secret.substr(kKey.size()), 43);
  if (secret.starts_with(kSaltedKey)) return IsSaltedKey(secret.substr(kSaltedKey.size()));
  if (secret.starts_with("SCRAM-")) return IsScram(secret.substr(6));
  if (secret.starts_with("md5")) return IsMd5(secret.substr(3));
  if (secret.starts_with('$')) return IsCrypt(secret.substr(1));
  return secret.size() == 41 && secret[0] == '*' &&
         std::all_of(secret.begin() + 1, secret.end(),
                     [](unsigned char c) { return std::isxdigit(c) != 0; });
}

}  // namespace rum

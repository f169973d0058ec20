#include "mysql/record.h"

#include <openssl/evp.h>

#include <algorithm>

namespace rum::mysql {
namespace {

int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::optional<Hash> ReadHash(std::string_view text) {
  if (text.size() != 1 + 2 * kHashSize || text[0] != '*') return std::nullopt;
  Hash hash;
  for (size_t i = 0; i < kHashSize; ++i) {
    int high = DigitValue(text[1 + 2 * i]);
    int low = DigitValue(text[2 + 2 * i]);
    if (high < 0 || low < 0) return std::nullopt;
    hash[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return hash;
}

constexpr std::string_view kEd25519Prefix = "ed25519:";
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t kEd25519Text = 43;  // 32 bytes without the sign that fills up the last four

std::optional<Ed25519Key> ReadEd25519(std::string_view text) {
  if (!text.starts_with(kEd25519Prefix)) return std::nullopt;
  text.remove_prefix(kEd25519Prefix.size());
  if (text.size() != kEd25519Text || text.find_first_not_of(kBase64) != text.npos) {
    return std::nullopt;
  }
  std::string filled = std::string(text) + '=';
  std::array<uint8_t, 33> bytes;  // a zero stands for the '='
  if (EVP_DecodeBlock(bytes.data(), AsBytes(filled).data(), static_cast<int>(filled.size())) !=
      static_cast<int>(bytes.size())) {
    return std::nullopt;
  }
  Ed25519Key key;
  std::copy_n(bytes.begin(), key.size(), key.begin());
  return key;
}

}  // namespace

Parsed<Record> ParseRecord(Bytes value) {
  Reader reader(value);
  Bytes secret = reader.ReadUntilNul();
  if (!reader.ok()) return {.why = "the map's record has no NUL after the secret"};
  Bytes destination = reader.ReadUntilNulOrEnd();
  if (destination.empty()) return {.why = "the map's record has no destination"};
  return {.value = {.secret = ReadHash(AsText(secret)),
                    .ed25519 = ReadEd25519(AsText(secret)),
                    .destination = AsText(destination)}};
}

}  // namespace rum::mysql

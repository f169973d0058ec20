#include "mysql/record.h"

#include <openssl/evp.h>

#include <array>

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

constexpr std::string_view kEd25519 = "ed25519:";
constexpr std::string_view kParsec = "parsec:P";
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
// Base64 characters for 32 bytes, without the padding, and for 18.
constexpr size_t kKeyText = 43;
constexpr size_t kSaltText = 24;

// nullopt: `text` is not `size` characters of base64.
std::optional<std::string> ReadBase64(std::string_view text, size_t size) {
  if (text.size() != size || text.find_first_not_of(kBase64) != text.npos) return std::nullopt;
  std::string filled(text);
  filled.resize((size + 3) / 4 * 4, 'A');
  std::array<uint8_t, 48> bytes;
  int decoded =
      EVP_DecodeBlock(bytes.data(), AsBytes(filled).data(), static_cast<int>(filled.size()));
  if (decoded < 0) return std::nullopt;
  return std::string(AsText(Bytes(bytes).first(size * 3 / 4)));
}

std::optional<PublicKey> ReadPublicKey(std::string_view text) {
  if (text.starts_with(kEd25519)) {
    std::optional<std::string> key = ReadBase64(text.substr(kEd25519.size()), kKeyText);
    if (!key) return std::nullopt;
    return PublicKey{.plugin = PluginKind::kEd25519, .bytes = *key};
  }
  if (!text.starts_with(kParsec)) return std::nullopt;
  text.remove_prefix(kParsec.size());
  if (text.size() != 3 + kSaltText + kKeyText || text[0] < '0' || text[0] > '9' || text[1] != ':' ||
      text[2 + kSaltText] != ':') {
    return std::nullopt;
  }
  std::optional<std::string> salt = ReadBase64(text.substr(2, kSaltText), kSaltText);
  std::optional<std::string> key = ReadBase64(text.substr(3 + kSaltText), kKeyText);
  if (!salt || !key) return std::nullopt;
  return PublicKey{.plugin = PluginKind::kParsec,
                   .bytes = std::string{'P', static_cast<char>(text[0] - '0')} + *salt + *key};
}

}  // namespace

Parsed<Record> ParseRecord(Bytes value) {
  Reader reader(value);
  Bytes secret = reader.ReadUntilNul();
  if (!reader.ok()) return {.why = "the map's record has no NUL after the secret"};
  Bytes destination = reader.ReadUntilNulOrEnd();
  if (destination.empty()) return {.why = "the map's record has no destination"};
  return {.value = {.secret = ReadHash(AsText(secret)),
                    .public_key = ReadPublicKey(AsText(secret)),
                    .destination = AsText(destination)}};
}

}  // namespace rum::mysql

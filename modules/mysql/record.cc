#include "mysql/record.h"

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

}  // namespace

Parsed<Record> ParseRecord(Bytes value) {
  Reader reader(value);
  Bytes secret = reader.ReadUntilNul();
  if (!reader.ok()) return {.why = "the map's record has no NUL after the secret"};
  Bytes destination = reader.ReadUntilNulOrEnd();
  if (destination.empty()) return {.why = "the map's record has no destination"};
  return {.value = {.secret = ReadHash(AsText(secret)), .destination = AsText(destination)}};
}

}  // namespace rum::mysql

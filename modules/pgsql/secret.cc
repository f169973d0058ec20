#include "pgsql/secret.h"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "pgsql/scram_crypto.h"

namespace rum::pgsql {
namespace {

constexpr std::string_view kMechanism = "SCRAM-SHA-256$";
constexpr std::string_view kMd5 = "md5";

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// Removes the text up to `mark`, and the mark, from `rest`. Returns the text; nullopt: no mark.
std::optional<std::string_view> CutAt(std::string_view* rest, char mark) {
  const size_t end = rest->find(mark);
  if (end == rest->npos) return std::nullopt;
  std::string_view part = rest->substr(0, end);
  rest->remove_prefix(end + 1);
  return part;
}

// Digits only, without leading zeros; 0 if it is not a number of iterations.
uint32_t ParseIterations(std::string_view text) {
  uint32_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text[0] == '0') return 0;
  return number <= kMaxIterations ? number : 0;
}

}  // namespace

std::optional<ScramVerifier> ParseScramVerifier(std::string_view text) {
  if (!text.starts_with(kMechanism)) return std::nullopt;
  text.remove_prefix(kMechanism.size());
  auto iterations = CutAt(&text, ':');
  auto salt_text = CutAt(&text, '$');
  auto stored = CutAt(&text, ':');
  if (!iterations || !salt_text || !stored) return std::nullopt;
  ScramVerifier verifier;
  verifier.iterations = ParseIterations(*iterations);
  auto salt = DecodeBase64(*salt_text, kMaxSalt);
  if (verifier.iterations == 0 || !salt || salt->empty()) return std::nullopt;
  verifier.salt = std::move(*salt);
  if (!DecodeKey(*stored, &verifier.stored_key) || !DecodeKey(text, &verifier.server_key)) {
    return std::nullopt;
  }
  return verifier;
}

std::optional<Md5Hash> ParseMd5Hash(std::string_view text) {
  Md5Hash hash;
  if (!text.starts_with(kMd5) || text.size() != kMd5Answer) return std::nullopt;
  text.remove_prefix(kMd5.size());
  if (!std::all_of(text.begin(), text.end(), IsHexDigit)) return std::nullopt;
  text.copy(hash.digits.bytes.data(), text.size());
  return hash;
}

std::optional<std::string> MakeMd5Answer(const Md5Hash& hash, std::string_view salt) {
  if (salt.size() != kMd5Salt) return std::nullopt;
  Wiped<char, 32 + kMd5Salt> salted;
  salt.copy(std::copy(hash.digits.bytes.begin(), hash.digits.bytes.end(), salted.bytes.begin()),
            salt.size());
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(salted.bytes.data(), salted.bytes.size(), digest, &size, EVP_md5(), nullptr) !=
      1) {
    return std::nullopt;
  }
  std::string answer(kMd5);
  for (unsigned i = 0; i < size; ++i) {
    answer.push_back("0123456789abcdef"[digest[i] >> 4]);
    answer.push_back("0123456789abcdef"[digest[i] & 15]);
  }
  return answer;
}

bool CheckMd5Answer(const Md5Hash& hash, std::string_view salt, std::string_view answer) {
  auto right = MakeMd5Answer(hash, salt);
  return right && answer.size() == right->size() &&
         CRYPTO_memcmp(answer.data(), right->data(), right->size()) == 0;
}

}  // namespace rum::pgsql

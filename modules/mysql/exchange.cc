#include "mysql/exchange.h"

#include <algorithm>

namespace rum::mysql {
namespace {

struct Row {
  std::string_view name;
  PluginKind kind;
};
constexpr Row kRows[] = {
    {kNativePlugin, PluginKind::kNative},     {"client_ed25519", PluginKind::kEd25519},
    {"parsec", PluginKind::kParsec},          {kCachingSha2Plugin, PluginKind::kCachingSha2},
    {"sha256_password", PluginKind::kSha256},
};

// Lengths of the answers.
constexpr size_t kNativeProof = 20;
constexpr size_t kEd25519Proof = 64;
constexpr size_t kParsecProof = 96;  // of the second answer; the first is empty

constexpr uint8_t kMoreMark = 0x01;
constexpr uint8_t kFullAuthentication = 0x04;
constexpr uint8_t kCachingSha2Request = 0x02;
constexpr uint8_t kSha256Request = 0x01;

bool NeedsNonce(PluginKind kind) {
  return kind == PluginKind::kNative || kind == PluginKind::kCachingSha2 ||
         kind == PluginKind::kSha256;
}

}  // namespace

PluginKind KindOfPlugin(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.kind;
  }
  return PluginKind::kClear;
}

std::optional<std::string> WrongAnswer(PluginKind kind, unsigned answered) {
  if (kind == PluginKind::kEd25519) return std::string(kEd25519Proof, '\0');
  if (kind != PluginKind::kParsec) return std::string();
  // An empty answer would request the salt.
  return answered ? std::nullopt : std::optional(std::string(1, '\0'));
}

bool MayBeAnswer(PluginKind kind, size_t size, unsigned answered) {
  switch (kind) {
    case PluginKind::kNative:
      return size == 0 || size == kNativeProof;
    case PluginKind::kEd25519:
      return size == kEd25519Proof;
    case PluginKind::kParsec:
      return size == (answered ? kParsecProof : 0);
    case PluginKind::kCachingSha2:
    case PluginKind::kSha256:
    case PluginKind::kClear:
      break;
  }
  return true;
}

std::optional<std::string> WrongProof(PluginKind kind, unsigned answered) {
  switch (kind) {
    case PluginKind::kNative:
    case PluginKind::kCachingSha2:
    case PluginKind::kSha256: {
      // The native plugin counts it as a wrong proof, caching_sha2_password as a wrong length, and
      // sha256_password as a wrong password.
      std::string proof(kNativeProof, '\x7f');
      proof.back() = '\0';
      return proof;
    }
    case PluginKind::kEd25519:
    case PluginKind::kParsec:
    case PluginKind::kClear:
      break;
  }
  return WrongAnswer(kind, answered);
}

bool SendsPasswordFirst(std::string_view plugin) {
  return plugin == "mysql_clear_password" || plugin == "dialog";
}

bool ProvesSomething(std::string_view proof) {
  return !proof.empty() && proof != std::string_view("\0", 1);
}

bool Exchange::Begin(PluginKind kind, Bytes data) {
  kind_ = kind;
  secret_due_ = kind == PluginKind::kSha256;
  nonce_ = {};
  if (!NeedsNonce(kind)) return true;
  if (data.size() < kNonceSize) return false;
  std::copy_n(data.begin(), kNonceSize, nonce_.begin());
  return true;
}

void Exchange::Hear(Bytes more) {
  if (kind_ != PluginKind::kCachingSha2) return;
  secret_due_ = more.size() == 2 && more[0] == kMoreMark && more[1] == kFullAuthentication;
}

Exchange::Step Exchange::Judge(Bytes answer, Links links) {
  if (!secret_due_ || !ProvesSomething(AsText(answer))) return Step::kPass;
  secret_due_ = false;
  // A password ends with a NUL, so it is longer than a key request.
  bool request = answer.size() == 1 && answer[0] == key_request();
  // Over a unix socket, the server's sha256_password accepts only ciphertext, and
  // caching_sha2_password only the password.
  bool takes_password =
      kind_ == PluginKind::kSha256 ? links.server == Link::kTls : IsSafe(links.server);
  if (takes_password) {
    if (request) return Step::kOfferKey;
    return IsSafe(links.client) ? Step::kPass : Step::kUnreadable;
  }
  return request || !IsSafe(links.client) ? Step::kPass : Step::kEncrypt;
}

uint8_t Exchange::key_request() const {
  return kind_ == PluginKind::kSha256 ? kSha256Request : kCachingSha2Request;
}

}  // namespace rum::mysql

#include "admin/token.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/log.h"
#include "base/trusted_file.h"

namespace rum {
namespace {

constexpr size_t kShortest = 16;  // shorter ones can be guessed
constexpr size_t kLongest = 512;

bool IsToken(std::string_view text) {
  return text.size() >= kShortest && text.size() <= kLongest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

// What follows the name of a scheme, which is not case-sensitive.
std::optional<std::string_view> AfterScheme(std::string_view text, std::string_view scheme) {
  if (text.size() <= scheme.size() || text[scheme.size()] != ' ') return std::nullopt;
  if (::strncasecmp(text.data(), scheme.data(), scheme.size()) != 0) return std::nullopt;
  text.remove_prefix(std::min(text.find_first_not_of(' ', scheme.size()), text.size()));
  return text;
}

// The password of "Basic" credentials: user and password, separated by a colon, in base64.
std::string PasswordOf(std::string_view credentials) {
  if (credentials.size() % 4 != 0) return {};
  std::string pair(credentials.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<uint8_t*>(pair.data()),
                                   reinterpret_cast<const uint8_t*>(credentials.data()),
                                   static_cast<int>(credentials.size()));
  if (size < 0) return {};
  const size_t padding = credentials.ends_with("==") ? 2 : credentials.ends_with('=') ? 1 : 0;
  pair.resize(static_cast<size_t>(size) - std::min(padding, static_cast<size_t>(size)));
  const size_t colon = pair.find(':');
  return colon == pair.npos ? "" : pair.substr(colon + 1);
}

}  // namespace

StatisticsToken::Digest StatisticsToken::DigestOf(std::string_view token) {
  Digest digest;
  ::SHA256(reinterpret_cast<const uint8_t*>(token.data()), token.size(), digest.data());
  return digest;
}

Result<StatisticsToken> StatisticsToken::Read(const std::string& path) {
  auto failed = [&](const std::string& why) {
    return Error{Fault::kConfig, "--stats-token-file: '" + path + "': " + why};
  };
  auto fd = OpenTrusted(path, O_RDONLY, 0);
  if (!fd) return failed(fd.error().text);
  char text[kLongest + 4];  // with a line end, and with what is too much
  const ssize_t size = ::read(fd->get(), text, sizeof text);
  if (size < 0) return failed(std::strerror(errno));
  std::string_view token(text, static_cast<size_t>(size));
  if (token.ends_with('\n')) token.remove_suffix(1);
  if (token.ends_with('\r')) token.remove_suffix(1);
  StatisticsToken read;
  const bool good = IsToken(token);
  if (good) read.digest_ = DigestOf(token);
  OPENSSL_cleanse(text, sizeof text);
  if (!good) {
    return failed(
        "it must be one line of 16 to 512 printable characters without blanks, such as 'openssl "
        "rand -hex 32' writes");
  }
  struct stat status;
  if (::fstat(fd->get(), &status) == 0 && (status.st_mode & S_IROTH)) {
    log::Warning("--stats-token-file: every user of this machine can read '{}' (chmod o-r)", path);
  }
  return read;
}

bool StatisticsToken::IsIn(std::string_view authorization) const {
  Digest sent;
  if (auto token = AfterScheme(authorization, "Bearer")) {
    sent = DigestOf(*token);
  } else if (auto credentials = AfterScheme(authorization, "Basic")) {
    sent = DigestOf(PasswordOf(*credentials));
  } else {
    return false;
  }
  return CRYPTO_memcmp(sent.data(), digest_.data(), digest_.size()) == 0;
}

}  // namespace rum

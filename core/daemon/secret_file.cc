#include "daemon/secret_file.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string_view>

#include "base/log.h"
#include "base/trusted_file.h"

namespace rum {
namespace {

constexpr size_t kSecretMost = 4096;

}  // namespace

Result<std::string> ReadSecret(const std::string& option, const std::string& path,
                               OtherUsers others) {
  if (path.empty()) return std::string();
  auto fault = [&](const std::string& why) {
    return Error{Fault::kConfig, "--" + option + ": '" + path + "': " + why};
  };
  auto fd = OpenTrusted(path, O_RDONLY, 0);
  if (!fd) return fault(fd.error().text);
  struct stat status;
  if (::fstat(fd->get(), &status) != 0) return fault(std::strerror(errno));
  if (others == OtherUsers::kRefuse && (status.st_mode & S_IRWXO)) {
    return fault("every user may read or write it; use chmod o=");
  }
  if (status.st_mode & S_IROTH) {
    log::Warning("--{}: every user of this machine can read '{}' (chmod o-r)", option, path);
  }
  char bytes[kSecretMost + 1];
  const ssize_t size = TEMP_FAILURE_RETRY(::read(fd->get(), bytes, sizeof bytes));
  if (size < 0) return fault("cannot be read");
  std::string_view line(bytes, static_cast<size_t>(size));
  line = line.substr(0, line.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::string secret(line);
  OPENSSL_cleanse(bytes, sizeof bytes);
  if (secret.empty()) return fault("its first line is empty");
  if (secret.size() > kSecretMost) return fault("its first line has more than 4096 bytes");
  return secret;
}

}  // namespace rum

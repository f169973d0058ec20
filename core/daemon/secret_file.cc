#include "daemon/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trusted_file.h"

namespace rum {
namespace {

constexpr size_t kSecretMost = 4096;

}  // namespace

Result<std::string> ReadSecret(const std::string& option, const std::string& path) {
  if (path.empty()) return std::string();
  auto fault = [&](const std::string& why) {
    return Error{Fault::kConfig, "--" + option + ": '" + path + "': " + why};
  };
  auto fd = OpenTrusted(path, O_RDONLY, 0);
  if (!fd) return fault(fd.error().text);
  struct stat status;
  if (::fstat(fd->get(), &status) == 0 && (status.st_mode & S_IROTH)) {
    log::Warning("--{}: every user of this machine can read '{}' (chmod o-r)", option, path);
  }
  char bytes[kSecretMost + 1];
  const ssize_t size = TEMP_FAILURE_RETRY(::read(fd->get(), bytes, sizeof bytes));
  if (size < 0) return fault("cannot be read");
  std::string secret(bytes, static_cast<size_t>(size));
  secret = secret.substr(0, secret.find('\n'));
  if (secret.ends_with('\r')) secret.pop_back();
  if (secret.empty()) return fault("its first line is empty");
  if (secret.size() > kSecretMost) return fault("its first line has more than 4096 bytes");
  return secret;
}

}  // namespace rum

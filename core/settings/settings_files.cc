// What --check finds about paths and files of options, without opening or making any.
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "module/module_config.h"
#include "settings/settings_reader.h"

namespace rum {
namespace {

std::string FolderOf(const std::string& path) {
  return path.find('/') == path.npos ? "." : path.substr(0, path.rfind('/') + 1);
}

// Folders there are made at the start of a service or of the system.
bool IsMadeLater(const std::string& path) {
  return path.starts_with("/run/") || path.starts_with("/var/run/");
}

}  // namespace

// `path` as seen from outside of --chroot.
std::string SettingsReader::InRoot(const std::string& path) const {
  return s_.chroot.empty() ? path : s_.chroot + "/" + path;
}

void SettingsReader::JudgeFiles(const Module* module) {
  if (!s_.chroot.empty() && ::access((s_.chroot + "/.").c_str(), X_OK) != 0) {
    Wrong("--chroot: '" + s_.chroot + "' cannot be the root directory: " + std::strerror(errno));
  }
  const std::pair<const char*, const std::string&> written[] = {{"pidfile", s_.pidfile},
                                                                {"log", s_.log.target}};
  for (const auto& [name, path] : written) {
    if (path.empty() || path == "stderr" || path == "syslog") continue;
    const std::string there = InRoot(path);
    bool writable = ::access(there.c_str(), W_OK) == 0 ||
                    (errno == ENOENT && ::access(FolderOf(there).c_str(), W_OK) == 0);
    if (!writable) {
      Wrong(std::string("--") + name + ": '" + path +
            "' cannot be written: " + std::strerror(errno));
    }
  }
  for (size_t i = 0; i < Many("listen").size(); ++i) {
    if (auto address = ParseAddress(Many("listen")[i], true)) JudgeSocket("listen", *address, i);
  }
  if (s_.stats) JudgeSocket("stats", *s_.stats, SIZE_MAX);
  if (s_.control) JudgeSocket("control", *s_.control, SIZE_MAX);
  JudgeCertificate(module);
}

void SettingsReader::JudgeSocket(const char* name, const Address& address, size_t index) {
  if (address.kind != Address::Kind::kUnix) return;
  const std::string path = InRoot(address.host), folder = FolderOf(path);
  struct stat status;
  std::string why;
  if (::stat(folder.c_str(), &status) != 0) {
    if (errno == ENOENT && IsMadeLater(address.host)) return;
    why = "its folder: " + std::string(std::strerror(errno));
  } else if (::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) {
    why = "the path exists and is not a socket";
  }
  if (why.empty()) return;
  Wrong(std::string("--") + name + ": cannot listen on " + address.text() + ": " + why, index);
}

// A certificate that no client sees is harmless, but may be taken for protection.
void SettingsReader::JudgeCertificate(const Module* module) {
  if (!Given("tls-cert") || Given("tls") || s_.tls.first || s_.tls.statistics) return;
  const bool inside = !module || !OnlyRelays(module->table());
  Wrong(std::string("--tls-cert: no client can use TLS; ") +
        (inside ? "add --tls on or require, listen on tls:HOST:PORT, or say --tls off"
                : "listen on tls:HOST:PORT, or say --tls off"));
}

}  // namespace rum

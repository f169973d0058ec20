#include "limits/resident.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <string_view>

#include "base/fd.h"

namespace rum {
namespace {

// /proc/self is resolved by open(2), so a child process must open its own.
int KeptFile() {
  static std::mutex mutex;
  static Fd file;
  static pid_t owner = 0;
  std::lock_guard lock(mutex);
  if (!file || owner != ::getpid()) {
    file.reset(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
    owner = ::getpid();
  }
  return file.get();
}

}  // namespace

std::optional<uint64_t> ResidentBytes() {
  const int file = KeptFile();
  char bytes[128];
  const ssize_t size = file < 0 ? -1 : ::pread(file, bytes, sizeof bytes, 0);
  if (size <= 0) return std::nullopt;
  std::string_view text(bytes, static_cast<size_t>(size));
  text.remove_prefix(std::min(text.find(' ') + 1, text.size()));  // skip the total size
  uint64_t pages = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pages);
  if (error != std::errc() || pages == 0) return std::nullopt;
  return pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace rum

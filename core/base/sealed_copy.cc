#include "base/sealed_copy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace rum {
namespace {

constexpr size_t kChunk = 1 << 20;

std::string Why(int error) { return std::strerror(error); }

Error NoMemory(const char* label, int error) {
  return Error{Fault::kSystem, "no memory for the " + std::string(label) + ": " + Why(error)};
}

Error BadFile(const std::string& path, const std::string& why) {
  return Error{Fault::kMap, path + ": " + why};
}

}  // namespace

Result<SealedCopy> SealedCopy::Make(const char* label) {
  SealedCopy copy;
  copy.fd_ = Fd(memfd_create("rum", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy.fd_) return NoMemory(label, errno);
  return copy;
}

Status SealedCopy::Append(std::string_view bytes, const char* label) {
  while (!bytes.empty()) {
    ssize_t n = write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return NoMemory(label, n < 0 ? errno : ENOSPC);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return Ok();
}

// F_SEAL_WRITE instead of F_SEAL_FUTURE_WRITE would also forbid read-only mappings before Linux
// 6.7.
Status SealedCopy::Seal(const char* label) {
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  if (fcntl(fd_.get(), F_ADD_SEALS, seals) != 0) return NoMemory(label, errno);
  return Ok();
}

Result<SealedCopy> SealedCopy::Read(const std::string& path, const char* label,
                                    const CheckSize& check_size, const std::atomic<bool>* stop) {
  // O_NONBLOCK: a FIFO is rejected below instead of blocking here.
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) {
    int error = errno;
    bool machine = error == EMFILE || error == ENFILE || error == ENOMEM;
    return Error{machine ? Fault::kSystem : Fault::kMap,
                 path + ": cannot be opened: " + Why(error)};
  }
  struct stat before, after;
  if (fstat(file.get(), &before) != 0) return BadFile(path, Why(errno));
  if (!S_ISREG(before.st_mode)) return BadFile(path, "is not a regular file");
  const FileStamp stamp = FileStamp::From(before);
  if (Status s = check_size(stamp.bytes); !s) return BadFile(path, s.error().text);

  auto copy = Make(label);
  if (!copy) return Error{copy.error().fault, path + ": " + copy.error().text};
  posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  const size_t room = static_cast<size_t>(std::min<uint64_t>(kChunk, stamp.bytes + 1));
  auto chunk = std::make_unique_for_overwrite<char[]>(room);
  uint64_t total = 0;
  while (total <= stamp.bytes) {  // one extra read, which must return 0
    if (stop && *stop) return BadFile(path, "was not read to its end: interrupted");
    ssize_t n = read(file.get(), chunk.get(), room);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Fault::kSystem, path + ": cannot be read: " + Why(errno)};
    if (n == 0) break;
    total += static_cast<uint64_t>(n);
    if (total > stamp.bytes) break;
    if (Status s = copy->Append({chunk.get(), static_cast<size_t>(n)}, label); !s) {
      return Error{s.error().fault, path + ": " + s.error().text};
    }
  }
  if (fstat(file.get(), &after) != 0) return BadFile(path, Why(errno));
  // The change time also moves when the file is only renamed or replaced, which is the recommended
  // way to update a file and does not affect the content that was read.
  FileStamp now = FileStamp::From(after);
  now.changed_ns = stamp.changed_ns;
  if (now != stamp || total != stamp.bytes) {
    return BadFile(path, "changed while it was read; replace a " + std::string(label) +
                             " by renaming a new file over it");
  }
  if (Status s = copy->Seal(label); !s) return Error{s.error().fault, path + ": " + s.error().text};
  copy->stamp_ = stamp;
  return copy;
}

Result<SealedCopy> SealedCopy::Of(std::string_view bytes, const char* label) {
  auto copy = Make(label);
  if (!copy) return copy;
  if (Status s = copy->Append(bytes, label); !s) return s.error();
  if (Status s = copy->Seal(label); !s) return s.error();
  return copy;
}

}  // namespace rum

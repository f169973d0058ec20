#include "base/trusted_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstring>

namespace rum {
namespace {

constexpr int kLinksMost = 8;

Error Failed(const std::string& why) { return Error{Fault::kConfig, why}; }

bool Ours(uid_t uid) { return uid == 0 || uid == ::geteuid(); }

std::string FolderOf(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Does not follow a link in the last component, and does not block on a pipe without a reader.
Result<Fd> OpenFile(const std::string& path, int flags, mode_t mode, const struct stat& folder) {
  const bool others = (folder.st_mode & S_IWOTH) || !Ours(folder.st_uid);
  Fd fd(::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, mode));
  if (!fd) {
    return Failed(errno == ENXIO   ? "no process reads from this pipe"
                  : errno == ELOOP ? "it is a symbolic link, which is not followed here"
                                   : std::strerror(errno));
  }
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return Failed(std::strerror(errno));
  const bool trusted = Ours(status.st_uid) || status.st_uid == folder.st_uid;
  if (others && S_ISREG(status.st_mode) && (!trusted || status.st_nlink != 1)) {
    return Failed("other users can write to its directory, and this file " +
                  std::string(trusted ? "has another hard link" : "belongs to another user"));
  }
  if (!(flags & O_NONBLOCK)) ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  return fd;
}

}  // namespace

Result<Fd> OpenTrusted(const std::string& path, int flags, mode_t mode) {
  std::string name = path;
  for (int links = 0; links <= kLinksMost; ++links) {
    const std::string folder_name = FolderOf(name);
    struct stat folder, status;
    if (::stat(folder_name.c_str(), &folder) != 0) return Failed(std::strerror(errno));
    // Read the link through the descriptor that was checked: the name may point elsewhere by now.
    Fd link(::open(name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if ((flags & O_NOFOLLOW) || !link || ::fstat(link.get(), &status) != 0 ||
        !S_ISLNK(status.st_mode)) {
      return OpenFile(name, flags, mode, folder);
    }
    struct statfs system;
    if (::fstatfs(link.get(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC) {
      // Such as /proc/self/fd/2 behind /dev/stderr: the link stands for an open file, not for a
      // path.
      Fd fd(::open(name.c_str(), flags | O_CLOEXEC | O_NOCTTY, mode));
      if (!fd) return Failed(std::strerror(errno));
      return fd;
    }
    if (!Ours(status.st_uid) || (folder.st_mode & S_IWOTH)) {
      return Failed("'" + name + "' is a symbolic link that another user may have created");
    }
    char target[PATH_MAX];
    ssize_t size = ::readlinkat(link.get(), "", target, sizeof target);
    if (size <= 0 || size == sizeof target) return Failed("'" + name + "' cannot be followed");
    std::string next(target, static_cast<size_t>(size));
    name = next[0] == '/' ? next : folder_name + "/" + next;
  }
  return Failed(std::strerror(ELOOP));
}

bool TrustedFolder(const std::string& path, uid_t also) {
  struct stat folder, name;
  if (::stat(path.c_str(), &folder) != 0 || ::lstat(path.c_str(), &name) != 0) {
    return errno == ENOENT;
  }
  auto ours = [also](uid_t uid) { return Ours(uid) || uid == also; };
  return ours(name.st_uid) && ours(folder.st_uid) && !(folder.st_mode & S_IWOTH);
}

}  // namespace rum

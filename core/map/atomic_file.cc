#include "map/atomic_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace rum {
namespace {

Error Failed(const std::string& path, const char* what) {
  int error = errno;
  return Error{Fault::kSystem, path + ": " + what + ": " + std::strerror(error)};
}

std::string FolderOf(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<AtomicFile> AtomicFile::Make(const std::string& path) {
  AtomicFile file;
  file.path_ = path;
  struct stat st;
  if (stat(path.c_str(), &st) == 0) {
    if (!S_ISREG(st.st_mode)) {
      return Error{Fault::kSystem, path + ": exists and is not a regular file"};
    }
    char real[PATH_MAX];
    if (!realpath(path.c_str(), real)) return Failed(path, "cannot be followed");
    file.path_ = real;
  }
  const std::string folder = FolderOf(file.path_);
  const size_t slash = file.path_.rfind('/');
  const std::string name = slash == std::string::npos ? file.path_ : file.path_.substr(slash + 1);
  std::string temporary = folder + "/." + name + ".XXXXXX";
  file.fd_ = Fd(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (!file.fd_) return Failed(folder, "cannot create a file here");
  file.temporary_ = std::move(temporary);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)) {}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status AtomicFile::PublishAlike(mode_t mode_if_new) {
  struct stat old;
  if (stat(path_.c_str(), &old) != 0) return Publish(mode_if_new);
  return PublishLike(old);
}

Status AtomicFile::PublishLike(const struct stat& model) {
  mode_t mode = model.st_mode & 0777;
  if (fchown(fd_.get(), model.st_uid, model.st_gid) != 0 &&
      fchown(fd_.get(), static_cast<uid_t>(-1), model.st_gid) != 0) {
    mode &= ~static_cast<mode_t>(070);  // the group changed
  }
  return Publish(mode);
}

Status AtomicFile::Publish(mode_t mode) {
  if (fchmod(fd_.get(), mode) != 0) return Failed(temporary_, "its mode cannot be set");
  if (fsync(fd_.get()) != 0) return Failed(temporary_, "cannot be written");
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return Failed(path_, "cannot be replaced");
  temporary_.clear();
  // Make the rename durable. File systems that cannot sync a folder are no failure.
  Fd folder(open(FolderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) fsync(folder.get());
  return Ok();
}

}  // namespace rum

// Replaces a file atomically: writes a temporary file in the same folder and renames it.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace rum {

class AtomicFile {
 public:
  // Creates the temporary file with mode 0600. If `path` is a symbolic link, its target is the file
  // that will be replaced.
  static Result<AtomicFile> Make(const std::string& path);

  // Removes the temporary file unless it was published.
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  int fd() const { return fd_.get(); }
  const std::string& temporary() const { return temporary_; }

  // Syncs the file to disk and renames it, with this mode.
  Status Publish(mode_t mode);
  // As Publish(), but keeps the mode of a replaced file, and its owner and group if the process may
  // set them; otherwise the group's permissions are dropped.
  Status PublishAlike(mode_t mode_if_new);
  // As PublishAlike(), with mode, owner and group of another file.
  Status PublishLike(const struct stat& model);

 private:
  AtomicFile() = default;
  std::string path_, temporary_;
  Fd fd_;
};

}  // namespace rum

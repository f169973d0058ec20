// A file that appears whole or not at all: written under another name in the same folder, renamed.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace rum {

class AtomicFile {
 public:
  // Makes the temporary file, readable by its owner only. When `path` is a symbolic link, the file
  // that it leads to is the one that will be replaced.
  static Result<AtomicFile> Make(const std::string& path);

  // Removes the temporary file if it was not published.
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  int fd() const { return fd_.get(); }
  const std::string& temporary() const { return temporary_; }

  // Brings it to disk and renames it, with this mode.
  Status Publish(mode_t mode);
  // The same, but a file that it replaces passes its mode on, and its owner and group if the
  // process may set them; else what the group could do is dropped.
  Status PublishAlike(mode_t mode_if_new);

 private:
  AtomicFile() = default;
  std::string path_, temporary_;
  Fd fd_;
};

}  // namespace rum

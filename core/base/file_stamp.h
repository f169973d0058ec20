// Identifies a version of a file by its metadata, without reading it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>

namespace rum {

struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;  // of the contents
  int64_t changed_ns = 0;   // of the contents, name, mode or owner

  static FileStamp From(const struct stat& st) {
    const auto nanoseconds = [](const timespec& t) {
      return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
    };
    return {st.st_dev, st.st_ino, static_cast<uint64_t>(st.st_size), nanoseconds(st.st_mtim),
            nanoseconds(st.st_ctim)};
  }
  // nullopt if the file does not exist or stat(2) fails.
  static std::optional<FileStamp> Of(const std::string& path) {
    struct stat st;
    if (::stat(path.c_str(), &st) != 0) return std::nullopt;
    return From(st);
  }
  bool operator==(const FileStamp&) const = default;
};

}  // namespace rum

// A private copy of a file in memory: what later happens to the file (truncated, rewritten,
// deleted) cannot affect the copy, nor raise SIGBUS in its readers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/file_stamp.h"
#include "base/result.h"

namespace rum {

class SealedCopy {
 public:
  // Limits of the file's size; called before anything is read.
  using CheckSize = std::function<Status(uint64_t bytes)>;

  // [any] Reads the whole file; blocks. `label`: what the file holds, for errors ("map"). Faults:
  // kMap if the file is missing, not a regular file, of a wrong size or changed meanwhile, kSystem
  // if resources are exhausted. Another thread can abort it by setting `stop`, which is an error.
  // Errors name the file.
  static Result<SealedCopy> Read(const std::string& path, const char* label,
                                 const CheckSize& check_size, const std::atomic<bool>* stop);
  // As Read(), from bytes in memory. Errors do not name a file.
  static Result<SealedCopy> Of(std::string_view bytes, const char* label);

  // A descriptor of memory that can neither shrink nor be written; a mapping survives it.
  int fd() const { return fd_.get(); }
  const FileStamp& stamp() const { return stamp_; }  // of the version that was read; or all zero

 private:
  static Result<SealedCopy> Make(const char* label);
  Status Append(std::string_view bytes, const char* label);
  Status Seal(const char* label);

  Fd fd_;
  FileStamp stamp_;
};

}  // namespace rum

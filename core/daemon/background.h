// Going to the background so that the caller learns how it went: the first process ends with 0 only
// when the second says that everything is bound and loaded, else with the second's error.
#pragma once

#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace rum {

class Background {
 public:
  // [main, before any thread] Forks. Returns in the child only; the parent waits for Ready() or
  // Failed(), prints what it is told, and `_exit`s.
  Status Enter();
  // [main] In the child, once. Without Enter() they do nothing.
  void Ready();
  void Failed(int code, const std::string& text);
  bool entered() const { return static_cast<bool>(report_); }

 private:
  Fd report_;
};

// The file with the process id. Removed when destroyed.
class Pidfile {
 public:
  static Result<Pidfile> Write(const std::string& path);
  Pidfile() = default;
  Pidfile(Pidfile&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  Pidfile& operator=(Pidfile&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~Pidfile();

 private:
  std::string path_;
};

}  // namespace rum

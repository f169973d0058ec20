// Going to the background so that the caller learns how it went: the first process ends with 0 only
// when the second says that everything is bound and loaded, else with the second's error.
#pragma once

#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace rum {

class Background {
 public:
  // [main, before any thread, be it a module's] Forks. Returns in the child only; the parent waits
  // for Ready() or Failed(), prints what it is told, and `_exit`s.
  Status Enter();
  // [main] Reports to a process that hands over to this one, on this pipe, in place of Enter().
  void ReportTo(Fd report) { report_ = std::move(report); }
  // [main] Once. Without Enter() or ReportTo() they do nothing.
  void Ready();
  void Failed(int code, const std::string& text);
  bool reports() const { return static_cast<bool>(report_); }

 private:
  Fd report_;
  Fd null_;  // of a forked one, until it is ready
};

// The file with the process id. Beside it is one that is locked for as long as the process serves,
// so that no other one takes it: nobody else may open that, while the first is for everybody to
// read, and who can read a file can lock it. Both are removed when destroyed, unless another
// process has taken them.
class Pidfile {
 public:
  // An error, too, if another process has it locked; `lock` is what that one has passed on. Of a
  // file system without locks nothing is asked.
  static Result<Pidfile> Write(const std::string& path, Fd lock = {});
  // The file beside it.
  static std::string LockOf(const std::string& path) { return path + ".lock"; }
  // Writes it again if something else is in it now.
  void Restore();
  // Another process may take it from here on; `passed_on`: it has the lock.
  void Release(bool passed_on);
  // For the process that takes over: the lock is held until both have closed it. -1: none.
  int lock() const { return lock_.get(); }
  Pidfile() = default;
  Pidfile(Pidfile&& other) noexcept { *this = std::move(other); }
  Pidfile& operator=(Pidfile&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    return *this;
  }
  ~Pidfile();

 private:
  static Result<Fd> Lock(const std::string& path, Fd passed);
  bool mine() const;

  std::string path_;
  Fd lock_;
};

}  // namespace rum

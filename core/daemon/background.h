// Runs in the background, with the result reported to the caller: the first process exits with 0
// only after the second one has bound and loaded everything, else with the second one's error.
#pragma once

#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace rum {

class Background {
 public:
  // [main, before any thread, also of a module] Forks and returns in the child only. The parent
  // waits for Ready() or Failed(), prints the report and calls _exit(2).
  Status Enter();
  // [main] Instead of Enter(): reports through this pipe to a process that hands over to this one.
  void ReportTo(Fd report) { report_ = std::move(report); }
  // [main, before any thread] After ReportTo(): forks and returns in the child only, which has
  // reported its process id. The parent ends when the process that hands over has noted that. The
  // child then belongs to the nearest subreaper: systemd, or process 1.
  Status Detach();
  // [main] Call once. Do nothing without Enter() or ReportTo().
  void Ready();
  void Failed(int code, const std::string& text);
  bool reports() const { return static_cast<bool>(report_); }

 private:
  Fd report_;
  Fd null_;  // after Enter(), until ready
};

// The pidfile, and a lock file beside it that is locked while the process serves, so that no other
// process uses the pidfile. The lock is a separate file because only the owner can open it: the
// pidfile is world-readable, and whoever can read a file can lock it. Both are removed on
// destruction, unless another process took them over.
class Pidfile {
 public:
  // An error, too, if another process holds the lock. `lock`: the lock that the previous process
  // passed on. Not enforced on file systems without locks.
  static Result<Pidfile> Write(const std::string& path, Fd lock = {});
  // The path of the lock file.
  static std::string LockOf(const std::string& path) { return path + ".lock"; }
  // Rewrites the file if its content has changed.
  void Restore();
  // Allows another process to take the file; `passed_on`: that process has the lock.
  void Release(bool passed_on);
  // For the process that takes over: the lock is released when both processes have closed it. -1:
  // none.
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

#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/trusted_file.h"

namespace rum {
namespace {

Error System(const std::string& what) {
  return Error{Fault::kSystem, what + ": " + std::strerror(errno)};
}

constexpr int kPidfileTries = 100;

std::string FolderOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == path.npos ? "." : path.substr(0, slash + 1);
}

bool Same(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Returns 0 if there is none.
int PidIn(const std::string& path) {
  char text[32] = "";
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  const ssize_t n = fd ? ::read(fd.get(), text, sizeof text) : 0;
  int pid = 0;
  if (n > 0) std::from_chars(text, text + n, pid);
  return pid;
}

// Reads the child's report: a byte with the exit code, then text. An empty report means that the
// child died.
[[noreturn]] void AwaitChild(Fd report, pid_t child) {
  std::string text;
  char buffer[4096];
  ssize_t n;
  while ((n = TEMP_FAILURE_RETRY(::read(report.get(), buffer, sizeof buffer))) > 0) {
    text.append(buffer, static_cast<size_t>(n));
  }
  if (text.empty()) {
    int status = 0;
    ::waitpid(child, &status, 0);
    std::fprintf(stderr, "rum: the background process ended before it was ready\n");
    ::_exit(static_cast<int>(Fault::kSystem));
  }
  if (text.size() > 1) std::fprintf(stderr, "%s", text.c_str() + 1);
  ::_exit(static_cast<uint8_t>(text[0]));
}

}  // namespace

Status Background::Enter() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return System("pipe");
  Fd read_end(ends[0]);
  report_.reset(ends[1]);
  pid_t child = ::fork();
  if (child < 0) return System("fork");
  if (child > 0) {
    report_.reset();
    AwaitChild(std::move(read_end), child);
  }
  ::setsid();
  null_.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null_) {
    ::dup2(null_.get(), STDIN_FILENO);
    ::dup2(null_.get(), STDOUT_FILENO);
  }
  return Ok();
}

Status Background::Detach() {
  const pid_t child = ::fork();
  if (child < 0) return System("fork");
  if (child == 0) {
    // Written by the process that reports how it went, so that it comes before that.
    const std::string text = std::to_string(::getpid()) + "\n";
    (void)!::write(report_.get(), text.data(), text.size());
    return Ok();
  }
  // The parent keeps the process id of a child that ends at once from being used again, until it is
  // killed, or the pipe has no reader any more.
  pollfd reader = {report_.get(), 0, 0};
  (void)TEMP_FAILURE_RETRY(::poll(&reader, 1, -1));
  ::_exit(0);
}

void Background::Ready() {
  if (!report_) return;
  char zero = 0;
  (void)!::write(report_.get(), &zero, 1);
  report_.reset();
  // Only now: until here errors went to the caller's terminal or pipe.
  if (null_) ::dup2(null_.get(), STDERR_FILENO);
  null_.reset();
}

void Background::Failed(int code, const std::string& text) {
  if (!report_) return;
  std::string report(1, static_cast<char>(code));
  report += text;
  (void)!::write(report_.get(), report.data(), report.size());
  report_.reset();
}

// If no file can be created beside it, locks the pidfile itself.
Result<Fd> Pidfile::Lock(const std::string& path, Fd passed) {
  std::string name = LockOf(path);
  Fd fd;
  bool gone = true;  // a process that is ending may be removing the file
  for (int tries = 0; gone && tries < kPidfileTries; ++tries) {
    struct stat opened, named;
    if (passed && ::fstat(passed.get(), &opened) == 0 && ::lstat(name.c_str(), &named) == 0 &&
        Same(opened, named)) {
      return passed;
    }
    auto file = OpenTrusted(name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (!file && name != path && ::access(FolderOf(path).c_str(), W_OK) != 0 && errno != ENOTDIR &&
        errno != ENOENT) {
      name = path;
      continue;
    }
    if (!file) {
      return Error{Fault::kSystem,
                   "cannot write the pidfile '" + path + "': '" + name + "': " + file.error().text};
    }
    fd = std::move(*file);
    if (name != path) (void)!::fchmod(fd.get(), 0600);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      int pid = PidIn(path);
      return Error{Fault::kSystem, "the pidfile '" + path + "' belongs to another process" +
                                       (pid > 0 ? ", " + std::to_string(pid) : "") +
                                       ", which is running: give each process its own file"};
    }
    gone = ::fstat(fd.get(), &opened) != 0 || ::lstat(name.c_str(), &named) != 0 ||
           !Same(named, opened);
  }
  return fd;
}

Result<Pidfile> Pidfile::Write(const std::string& path, Fd lock) {
  Pidfile file;
  if (path.empty()) return file;
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode)) {
    auto locked = Lock(path, std::move(lock));
    if (!locked) return locked.error();
    file.lock_ = std::move(*locked);
  }
  auto fd = OpenTrusted(path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644);
  if (!fd) {
    return Error{Fault::kSystem, "cannot write the pidfile '" + path + "': " + fd.error().text};
  }
  std::string text = std::to_string(::getpid()) + "\n";
  if ((::fstat(fd->get(), &status) == 0 && S_ISREG(status.st_mode) &&
       ::ftruncate(fd->get(), 0) != 0) ||
      ::write(fd->get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return System("cannot write the pidfile '" + path + "'");
  }
  file.path_ = path;
  return file;
}

void Pidfile::Restore() {
  if (path_.empty() || mine()) return;
  auto again = Write(path_, std::move(lock_));
  if (!again) return;
  lock_ = std::move(again->lock_);
  again->path_.clear();  // it must not remove the file
}

bool Pidfile::mine() const { return PidIn(path_) == ::getpid(); }

// Removes the lock file while it is locked, so that another process that has opened it meanwhile
// notices.
void Pidfile::Release(bool passed_on) {
  if (lock_ && !passed_on && mine()) ::unlink(LockOf(path_).c_str());
  lock_.reset();
}

Pidfile::~Pidfile() {
  if (path_.empty() || !mine()) return;
  ::unlink(path_.c_str());
  if (lock_) ::unlink(LockOf(path_).c_str());
}

}  // namespace rum

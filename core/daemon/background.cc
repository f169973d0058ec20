#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace rum {
namespace {

Error System(const std::string& what) {
  return Error{Fault::kSystem, what + ": " + std::strerror(errno)};
}

// Reads the child's report: one byte with the exit code, then text. No byte: it died.
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

void Background::Ready() {
  if (!report_) return;
  char zero = 0;
  (void)!::write(report_.get(), &zero, 1);
  report_.reset();
  // The caller's terminal or pipe is let go only now: errors until here were told to it.
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

Result<Pidfile> Pidfile::Write(const std::string& path) {
  Pidfile file;
  if (path.empty()) return file;
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  std::string text = std::to_string(::getpid()) + "\n";
  if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return System("cannot write the pidfile '" + path + "'");
  }
  file.path_ = path;
  return file;
}

void Pidfile::Restore() {
  if (path_.empty() || mine()) return;
  if (auto again = Write(path_)) again->path_.clear();  // that one is not to remove it
}

bool Pidfile::mine() const {
  char text[32] = "";
  Fd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  return fd && ::read(fd.get(), text, sizeof text - 1) > 0 && std::atoi(text) == ::getpid();
}

Pidfile::~Pidfile() {
  if (!path_.empty() && mine()) ::unlink(path_.c_str());
}

}  // namespace rum

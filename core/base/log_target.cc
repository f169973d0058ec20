#include "base/log_target.h"

#include <errno.h>
#include <fcntl.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>

#include "base/fd.h"
#include "base/log_last.h"
#include "base/trusted_file.h"

namespace rum::log {
namespace {

// Safe against files and links of other users, see trusted_file.h.
Result<Fd> OpenFile(const std::string& path) {
  return OpenTrusted(path, O_WRONLY | O_CREAT | O_APPEND, 0640);
}

int SeverityOf(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::err:
      return LOG_ERR;
    case spdlog::level::warn:
      return LOG_WARNING;
    case spdlog::level::info:
      return LOG_INFO;
    default:
      return LOG_DEBUG;
  }
}

// Whether standard error is a stream of systemd's journal, which takes a priority in front of each
// line: JOURNAL_STREAM is its device and inode (systemd.exec(5)). A process that inherited the
// variable but not the stream must not write priorities.
bool StderrIsJournal() {
  const char* text = ::getenv("JOURNAL_STREAM");
  struct stat status;
  return text && ::fstat(STDERR_FILENO, &status) == 0 &&
         fmt::format("{}:{}", status.st_dev, status.st_ino) == text;
}

const char* PatternOf(bool json, bool syslog) {
  if (json) return R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})";
  return syslog ? "%v" : "%Y-%m-%dT%H:%M:%S.%e%z %l %v";
}

}  // namespace

// A file or stderr. Lines are batched: flush writes them by one write(2).
class FileSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  FileSink(const std::string& path, Fd file)
      : path_(path), journal_(path.empty() && StderrIsJournal()), file_(std::move(file)) {}
  ~FileSink() override { Forget(); }

  // Opens the file again by its name; on failure keeps the old file.
  Status Reopen() {
    if (path_.empty()) return Ok();
    flush();
    auto file = OpenFile(path_);
    if (!file)
      return rum::Error{file.error().fault, "cannot log to '" + path_ + "': " + file.error().text};
    Forget();
    file_ = std::move(*file);
    return Ok();
  }

  int fd() const { return file_.get(); }
  bool is_stderr() const { return path_.empty(); }
  bool is_journal() const { return journal_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (journal_) {
      const char prefix[] = {'<', static_cast<char>('0' + SeverityOf(message.level)), '>'};
      lines_.append(prefix, prefix + sizeof prefix);
    }
    formatter_->format(message, lines_);
  }
  // If a line was written partly, its rest is written before the next line.
  void flush_() override {
    if (!rest_.empty() && Emptied()) Forget();
    rest_.erase(0, WriteSome(rest_.data(), rest_.size()));
    size_t done = rest_.empty() ? WriteSome(lines_.data(), lines_.size()) : 0;
    if (done > 0 && done < lines_.size() && lines_[done - 1] != '\n') {
      std::string_view left(lines_.data() + done, lines_.size() - done);
      rest_ = left.substr(0, left.find('\n') + 1);
      done += rest_.size();
    }
    CountDropped(static_cast<uint64_t>(std::count(lines_.begin() + done, lines_.end(), '\n')));
    lines_.clear();
  }
  size_t WriteSome(const char* bytes, size_t size) {
    size_t done = 0;
    while (done < size) {
      ssize_t n = TEMP_FAILURE_RETRY(::write(file_.get(), bytes + done, size - done));
      if (n <= 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }
  // Whether the file was truncated, which also removed the start of the partly written line.
  bool Emptied() const {
    struct stat status;
    return ::fstat(file_.get(), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0;
  }
  void Forget() {
    if (!rest_.empty()) CountDropped();
    rest_.clear();
  }

  const std::string path_;  // empty: stderr
  const bool journal_;
  Fd file_;
  spdlog::memory_buf_t lines_;
  std::string rest_;  // the unwritten rest of the last line
};

class SyslogSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit SyslogSink(const Syslog& syslog) : syslog_(syslog) {}
  bool Connect() { return syslog_.Connect(); }
  const Syslog& syslog() const { return syslog_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    std::string_view text(line.data(), line.size());
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (!syslog_.Send(SeverityOf(message.level), std::chrono::system_clock::to_time_t(message.time),
                      text)) {
      CountDropped();
    }
  }
  void flush_() override {}

  Syslog syslog_;
};

void Target::Use(bool as_json) {
  if (as_json != json) logger->set_pattern(PatternOf(as_json, !file));
  json = as_json;
}

Status Target::Reopen() { return file ? file->Reopen() : Ok(); }

void Target::TellLastTarget(bool as_json) const {
  last_target.json = as_json;
  last_target.is_stderr = file && file->is_stderr();
  last_target.journal = file && file->is_journal();
  last_target.syslog = syslog != nullptr;
  last_target.stream = syslog && syslog->syslog().stream();
  last_target.fd = file ? file->fd() : syslog ? syslog->syslog().fd() : -1;
}

Result<Target> MakeTarget(const Options& options, const Syslog& host_syslog) {
  std::shared_ptr<FileSink> file;
  std::shared_ptr<SyslogSink> syslog;
  spdlog::sink_ptr sink;
  if (options.target == "syslog") {
    auto to = std::make_shared<SyslogSink>(host_syslog);
    if (!to->Connect()) {
      Warning("cannot reach syslog: /dev/log: {}; log lines are lost until it is available",
              std::strerror(errno));
    }
    sink = syslog = std::move(to);
  } else {
    bool stderr_too = options.target == "stderr";
    auto fd = stderr_too ? Result<Fd>(Fd(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)))
                         : OpenFile(options.target);
    std::string why = fd ? "" : fd.error().text;
    if (fd && !*fd && errno != EBADF) why = std::strerror(errno);  // EBADF: stderr may be closed
    if (!why.empty()) {
      return rum::Error{Fault::kConfig, "cannot log to '" + options.target + "': " + why};
    }
    sink = file = std::make_shared<FileSink>(stderr_too ? "" : options.target, std::move(*fd));
  }
  auto logger = std::make_shared<spdlog::logger>("rum", sink);
  logger->set_pattern(PatternOf(options.json, !file));
  logger->set_level(spdlog::level::debug);
  logger->set_error_handler([](const std::string&) { CountDropped(); });
  return Target{std::move(logger), std::move(file), std::move(syslog), options.json};
}

}  // namespace rum::log

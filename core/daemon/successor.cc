#include "daemon/successor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/escape.h"

extern char** environ;

namespace rum {
namespace {

constexpr size_t kOutputMost = 4096;  // the last bytes of its standard error are kept
constexpr size_t kLoggedMost = 400;   // bytes in a log line
constexpr int kEndMost = 1000;        // ms that a killed process may take to end

struct Pipe {
  Fd out, in;
};

Result<Pipe> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Error{Fault::kSystem, std::string("cannot create a pipe: ") + std::strerror(errno)};
  }
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  ::fcntl(pipe.out.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

// The environment without variables that are for this process only.
std::vector<std::string> Environment(const std::string& note) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text = *entry;
    std::string_view name = text.substr(0, text.find('='));
    if (name != kHandoverVariable && name != "WATCHDOG_PID") all.emplace_back(text);
  }
  all.push_back(std::string(kHandoverVariable) + "=" + note);
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

// posix_spawn is safe in a multithreaded process. All descriptors of rum are close-on-exec; dup2 to
// the same number clears that for the ones to inherit.
int Spawn(const Program& program, const HandoverNote& note, const std::string& text, int rest,
          int error_pipe, pid_t& pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, error_pipe, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions, note.ready, note.ready);
  posix_spawn_file_actions_adddup2(&actions, note.error_output, note.error_output);
  if (rest >= 0) posix_spawn_file_actions_adddup2(&actions, rest, rest);
  if (note.pidfile >= 0) {
    posix_spawn_file_actions_adddup2(&actions, note.pidfile, note.pidfile);
  }
  if (note.shared >= 0) posix_spawn_file_actions_adddup2(&actions, note.shared, note.shared);
  for (const SharedSocket& socket : note.sockets) {
    posix_spawn_file_actions_adddup2(&actions, socket.fd, socket.fd);
  }
  sigset_t defaults, none;
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  auto arguments = program.arguments;
  auto environment = Environment(text);
  int error = ::posix_spawn(&pid, program.path.c_str(), &actions, &attributes,
                            Pointers(arguments).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

// Reads the available bytes; returns true if the other end is closed.
bool ReadAll(int fd, std::string& text) {
  char buffer[4096];
  for (;;) {
    ssize_t n = TEMP_FAILURE_RETRY(::read(fd, buffer, sizeof buffer));
    if (n <= 0) return n == 0 || errno != EAGAIN;
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kOutputMost) text.erase(0, text.size() - kOutputMost);
  }
}

// Joins lines into one, without their "rum: "; `last`: returns only the last line.
std::string OneLine(std::string_view text, bool last) {
  std::string out;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    if (line.starts_with("rum: ")) line.remove_prefix(5);
    if (line.empty()) continue;
    if (last) out.clear();
    if (!out.empty()) out += "; ";
    AppendPrintable(out, line);
  }
  return out.substr(0, kLoggedMost);
}

}  // namespace

Program ThisProgram(int argc, char** argv) {
  Program program;
  program.arguments.assign(argv, argv + argc);
  std::string name = argc > 0 ? argv[0] : "";
  std::string found;
  if (name.find('/') != name.npos) {
    char folder[4096];
    if (name[0] != '/' && ::getcwd(folder, sizeof folder)) name = std::string(folder) + "/" + name;
    found = name;
  } else if (const char* path = ::getenv("PATH"); path && !name.empty()) {
    for (std::string_view rest = path; found.empty() && !rest.empty();) {
      size_t end = rest.find(':');
      std::string file = std::string(rest.substr(0, end)) + "/" + name;
      if (file[0] == '/' && ::access(file.c_str(), X_OK) == 0) found = file;
      rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
    }
  }
  if (found.empty() || ::access(found.c_str(), X_OK) != 0) {
    char file[4096];  // needed if argv[0] is not the program's name
    ssize_t n = ::readlink("/proc/self/exe", file, sizeof file);
    if (n > 0) found.assign(file, static_cast<size_t>(n));
  }
  program.path = found;
  return program;
}

Result<std::unique_ptr<Successor>> Successor::Start(event_base* base, const Program& program,
                                                    HandoverNote note, Over over, Millis timeout) {
  auto report = MakePipe();
  auto words = MakePipe();
  Fd error_output(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
  if (!error_output) error_output.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!report) return report.error();
  if (!words) return words.error();
  note.ready = report->in.get();
  note.error_output = error_output.get();
  note.detach = true;
  Fd rest;
  auto text = WriteShortHandoverNote(note, &rest);
  if (!text) return text.error();
  auto successor = std::unique_ptr<Successor>(new Successor);
  if (int error = Spawn(program, note, *text, rest.get(), words->in.get(), successor->pid_)) {
    successor->pid_ = -1;
    return Error{Fault::kSystem,
                 "'" + program.path + "' cannot be started: " + std::strerror(error)};
  }
  successor->over_ = std::move(over);
  successor->report_ = std::move(report->out);
  successor->output_pipe_ = std::move(words->out);
  Successor* self = successor.get();
  self->report_event_ = event_new(base, self->report_.get(), EV_READ | EV_PERSIST, OnReport, self);
  self->output_event_ =
      event_new(base, self->output_pipe_.get(), EV_READ | EV_PERSIST, OnOutput, self);
  self->late_ = evtimer_new(base, OnLate, self);
  timeval wait = TimevalOf(timeout);
  event_add(self->report_event_, nullptr);
  event_add(self->output_event_, nullptr);
  event_add(self->late_, &wait);
  return successor;
}

Successor::~Successor() {
  for (event* e : {report_event_, output_event_, late_}) {
    if (e) event_free(e);
  }
  if (pid_ > 0 && !ready_) End();
}

// Kills the process and describes its end. If it was ending already, that is its own exit code.
std::string Successor::End() {
  const pid_t pid = std::exchange(pid_, -1);
  if (!child_) {
    pidfd_ ? (void)::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0)
           : (void)::kill(pid, SIGKILL);
    pollfd ended = {pidfd_.get(), POLLIN, 0};
    ::poll(&ended, 1, kEndMost);
    return "it ended";
  }
  int status = 0;
  ::kill(pid, SIGKILL);
  TEMP_FAILURE_RETRY(::waitpid(pid, &status, 0));
  if (WIFEXITED(status)) return "it exited with status " + std::to_string(WEXITSTATUS(status));
  return "it was killed by signal " + std::to_string(WTERMSIG(status));
}

// The first line of the report, if the process that was started has forked. A report without it
// begins with an exit code, which is no digit.
void Successor::TakePid() {
  const size_t end = reported_.find('\n');
  if (!child_ || end == reported_.npos || !std::isdigit(static_cast<uint8_t>(reported_[0]))) return;
  pid_t pid = 0;
  std::from_chars(reported_.data(), reported_.data() + end, pid);
  reported_.erase(0, end + 1);
  if (pid <= 1) return;
  // Its parent still waits, so it is not another process of the same id.
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  End();
  pid_ = pid;
  child_ = false;
}

void Successor::OnReport(evutil_socket_t, short, void* self) {
  auto& successor = *static_cast<Successor*>(self);
  bool closed = ReadAll(successor.report_.get(), successor.reported_);
  successor.TakePid();
  // A single zero: ready. Otherwise the exit code and the reason, complete when the pipe is closed.
  if (successor.reported_ == std::string(1, '\0')) {
    successor.ready_ = true;
    return successor.Finish({});
  }
  if (closed) successor.Judge();
}

void Successor::Judge() {
  std::string how = End();
  ReadAll(output_pipe_.get(), output_);
  std::string why = reported_.size() > 1 ? OneLine(std::string_view(reported_).substr(1), false)
                                         : OneLine(output_, true);
  if (reported_.size() <= 1) why = how + " before it was ready" + (why.empty() ? "" : ": ") + why;
  Finish(why);
}

void Successor::OnOutput(evutil_socket_t, short, void* self) {
  auto& successor = *static_cast<Successor*>(self);
  if (ReadAll(successor.output_pipe_.get(), successor.output_)) event_del(successor.output_event_);
}

void Successor::OnLate(evutil_socket_t, short, void* self) {
  auto& successor = *static_cast<Successor*>(self);
  successor.End();
  ReadAll(successor.output_pipe_.get(), successor.output_);
  std::string said = OneLine(successor.output_, true);
  successor.Finish("it was not ready in time" + (said.empty() ? "" : ": " + said));
}

// Must be the last call: `over_` may destroy this object.
void Successor::Finish(const std::string& failed) {
  for (event* e : {report_event_, output_event_, late_}) event_del(e);
  auto over = std::move(over_);
  std::string why = failed;
  over(why);
}

}  // namespace rum

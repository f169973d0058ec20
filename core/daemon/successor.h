// The new process of a hand-over, as seen by the old one: starts it, passes the sockets, waits. The
// process that it starts forks, and leaves the new one to the nearest subreaper: the main process
// of a service must be a child of systemd.
#pragma once

#include <event2/event.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "daemon/handover_note.h"

namespace rum {

// How this program was started, to start it again.
struct Program {
  std::string path;                    // absolute; the file may have been replaced since
  std::vector<std::string> arguments;  // including the program's name
};
// [main] Call before the working directory or the environment change.
Program ThisProgram(int argc, char** argv);

class Successor {
 public:
  static constexpr Millis kTimeout{30000};

  // `failed` is empty if the new process is ready; otherwise it is the reason, and the process is
  // gone.
  using Over = std::function<void(const std::string& failed)>;

  // [main] Starts `program` with the sockets and the other content of `note`; the caller keeps its
  // descriptors. `over` is called once, on the loop of `base`.
  static Result<std::unique_ptr<Successor>> Start(event_base* base, const Program& program,
                                                  HandoverNote note, Over over,
                                                  Millis timeout = kTimeout);
  // [main] Kills the process if it is not ready yet.
  ~Successor();
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  // Of the process that was started, until that has reported the new one.
  pid_t pid() const { return pid_; }

 private:
  Successor() = default;
  static void OnReport(evutil_socket_t, short, void* self);
  static void OnOutput(evutil_socket_t, short, void* self);
  static void OnLate(evutil_socket_t, short, void* self);
  void TakePid();
  void Judge();
  std::string End();
  void Finish(const std::string& failed);

  Over over_;
  pid_t pid_ = -1;
  bool child_ = true;  // it can be waited for
  Fd pidfd_;           // if it is no child; none before Linux 5.3
  bool ready_ = false;
  Fd report_, output_pipe_;
  std::string reported_, output_;  // from its report pipe, and from its standard error
  event* report_event_ = nullptr;
  event* output_event_ = nullptr;
  event* late_ = nullptr;
};

}  // namespace rum

// The new process of a hand-over, as the old one sees it: started, given the sockets, waited for.
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

// How this program was started, so that it can be started again.
struct Program {
  std::string path;  // absolute; what is there now may be another file than the one that runs
  std::vector<std::string> arguments;  // with the name of the program
};
// [main] To be asked before anything changes the folder or the environment.
Program ThisProgram(int argc, char** argv);

class Successor {
 public:
  static constexpr Millis kTimeout{30000};

  // `failed` is empty when the new process is ready, else it says why it is not; it is gone then.
  using Over = std::function<void(const std::string& failed)>;

  // [main] Starts `program` with the sockets of `note`, whose descriptors stay ours, and what else
  // it says. `over` comes once, on the loop of `base`.
  static Result<std::unique_ptr<Successor>> Start(event_base* base, const Program& program,
                                                  HandoverNote note, Over over,
                                                  Millis timeout = kTimeout);
  // [main] Ends a process that is not ready yet.
  ~Successor();
  Successor(const Successor&) = delete;
  Successor& operator=(const Successor&) = delete;

  pid_t pid() const { return pid_; }

 private:
  Successor() = default;
  static void OnReport(evutil_socket_t, short, void* self);
  static void OnWords(evutil_socket_t, short, void* self);
  static void OnLate(evutil_socket_t, short, void* self);
  void Judge();
  std::string End();
  void Finish(const std::string& failed);

  Over over_;
  pid_t pid_ = -1;
  bool ready_ = false;
  Fd report_, words_;
  std::string reported_, said_;  // on the pipe for it, and on standard error
  event* report_event_ = nullptr;
  event* words_event_ = nullptr;
  event* late_ = nullptr;
};

}  // namespace rum

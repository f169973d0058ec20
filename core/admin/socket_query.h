// One HTTP request to another process over its unix socket, on the main loop: it never blocks, and
// is bounded in bytes and time.
#pragma once

#include <event2/event.h>
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace rum {

struct QueryAnswer {
  enum class Outcome : uint8_t {
    kAnswered,
    kNone,  // no valid answer, or not in time
    kGone,  // the process no longer exists
  };
  Outcome outcome = Outcome::kNone;
  int status = 0;  // of HTTP
  std::string body;
};

class SocketQuery {
 public:
  using Done = std::function<void(QueryAnswer)>;
  struct Target {
    pid_t pid;  // an answer of another process does not count
    std::string socket;
  };
  struct Bounds {
    Millis time;
    size_t bytes;
  };

  // [main] Calls `done` once, on a later turn of the loop; it may destroy this object.
  SocketQuery(event_base* base, const Target& target, const std::string& request, Bounds bounds,
              Done done);
  // [main] Cancels the query.
  ~SocketQuery();
  SocketQuery(const SocketQuery&) = delete;

 private:
  QueryAnswer::Outcome Connect();
  QueryAnswer::Outcome Begin(const std::string& request);
  void Finish(QueryAnswer answer);
  static void OnReadable(evutil_socket_t, short, void* self);
  static void OnTime(evutil_socket_t, short, void* self);

  const Target target_;
  const size_t bytes_most_;
  Done done_;
  Fd socket_;
  std::string received_;
  QueryAnswer::Outcome failed_;  // what Begin() has found, until it is reported
  event* readable_ = nullptr;
  event* time_;
};

}  // namespace rum

// Which sessions there are, asked of all workers without holding one up.
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/main_queue.h"

namespace rum {

class Proxy;

// Which of them; all that is given must hold.
struct SessionFilter {
  std::optional<uint64_t> id;
  std::optional<std::string> user;
  std::optional<std::string> ip;           // "192.0.2.7", "2001:db8::1", "unix"
  std::optional<std::string> destination;  // as it is written in the options or the map
};

// One session as it was when its worker looked.
struct SessionEntry {
  uint64_t id = 0;
  std::string client;
  std::string listener;
  std::optional<std::string> user;
  std::string destination;  // empty: none yet
  std::string_view state;   // "login", "relay", "closing"
  uint64_t micros = 0;      // since accept
  uint64_t received = 0;    // from the client
  uint64_t sent = 0;        // to the client
};

struct SessionList {
  std::vector<SessionEntry> entries;  // by id, at most as many as were asked for
  uint64_t matched = 0;               // how many there are
};

class SessionLister {
 public:
  static constexpr size_t kMost = 10000;  // entries of one list
  static constexpr size_t kSlice = 1000;  // sessions that a worker looks at in one turn
  using Done = std::function<void(SessionList)>;

  // [main]
  explicit SessionLister(Proxy& proxy);
  SessionLister(const SessionLister&) = delete;

  // [main] One list after the other: who asks often waits for himself. `done` comes on this thread,
  // unless the process ends before. With a reason in `end` the sessions end as they are told.
  void Ask(SessionFilter filter, size_t most, uint32_t end, Done done);

  // What the workers fill.
  struct Request {
    SessionFilter filter;
    size_t most;
    uint32_t end_reason;
    Done done;         // [main]
    std::mutex mutex;  // guards what follows
    SessionList list;
    size_t missing = 0;         // workers that have not told all of theirs
    std::function<void()> end;  // [any] When none is missing any more.
    void Add(SessionList part);
  };

 private:
  void Begin();
  void Finish();

  Proxy& proxy_;
  MainQueue& queue_;
  std::deque<std::shared_ptr<Request>> requests_;  // the first one is under way
};

}  // namespace rum

// Lists the sessions of all workers without blocking one.
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

class MapFile;
class Proxy;

// Selects sessions; all given members must match.
struct SessionFilter {
  std::optional<uint64_t> id;
  std::optional<std::string> user;
  std::optional<std::string> ip;           // "192.0.2.7", "2001:db8::1", "unix"
  std::optional<std::string> destination;  // as in the options or the map
  std::shared_ptr<const MapFile> moved;    // those that this map sends elsewhere
  bool only_idle = false;                  // end only those that are idle
};

// A session at the time when its worker was asked.
struct SessionEntry {
  uint64_t id = 0;
  std::string client;
  std::string listener;
  std::optional<std::string> user;
  std::string destination;  // empty: none yet
  std::string_view state;   // "login", "held", "relay", "closing"
  uint64_t micros = 0;      // since accept
  uint64_t received = 0;    // from the client
  uint64_t sent = 0;        // to the client
};

struct SessionList {
  std::vector<SessionEntry> entries;  // by id, at most as many as requested
  uint64_t matched = 0;               // number of matching sessions
  uint64_t ended = 0;                 // of these
};

class SessionLister {
 public:
  static constexpr size_t kMost = 10000;  // entries of one list
  static constexpr size_t kSlice = 1000;  // sessions that a worker visits per turn
  using Done = std::function<void(SessionList)>;

  // [main]
  explicit SessionLister(Proxy& proxy);
  SessionLister(const SessionLister&) = delete;

  // [main] Requests run one at a time, so a busy poller delays only itself. Calls `done` on this
  // thread, unless the process ends before. With a reason in `end`, the listed sessions end; not
  // those that a pause holds, unless the filter has their id.
  void Ask(SessionFilter filter, size_t most, uint32_t end, Done done);

  // The result that the workers fill.
  struct Request {
    SessionFilter filter;
    size_t most;
    uint32_t end_reason;
    Done done;         // [main]
    std::mutex mutex;  // guards the members below
    SessionList list;
    size_t missing = 0;         // workers that have not reported all their sessions
    std::function<void()> end;  // [any] Called when none is missing.
    void Add(SessionList part);
  };

 private:
  void Begin();
  void Finish();

  Proxy& proxy_;
  MainQueue& queue_;
  std::deque<std::shared_ptr<Request>> requests_;  // the first one is running
};

}  // namespace rum

// Counters by server. Each worker has its own, written without locks like its other counters; a
// server has the same place in all workers, and there are only so many places.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/close_reasons.h"
#include "base/counter.h"
#include "base/keyed_hash.h"

namespace rum {

// Of one server in one worker; probes do not count.
struct alignas(64) ServerCounters {
  Counter logins;
  Counter client_bytes;    // relayed from clients
  Counter upstream_bytes;  // relayed from the server
  Counter connects;
  Counter connect_micros;  // sum of their times
  Counter
      failed[kCloseReasonCount + 1];  // attempts to connect and logins that failed, and sessions
                                      // that the server reset, by reason; [0] is unused
};

// The servers that have a place, from 1. [any]
class ServerPlaces {
 public:
  static constexpr size_t kMost = 10000;

  explicit ServerPlaces(size_t most);
  ServerPlaces(const ServerPlaces&) = delete;

  // 0: no place is left.
  uint16_t Take(std::string_view server);
  size_t most() const { return most_; }
  size_t taken() const { return taken_.load(std::memory_order_acquire); }
  // Of a place from 1 to taken().
  const std::string& name(size_t place) const { return names_[place]; }

 private:
  const size_t most_;
  std::vector<std::string> names_;  // never moves; an entry does not change once it is taken
  std::atomic<size_t> taken_ = 0;
  std::mutex mutex_;  // guards what follows, and taking
  std::unordered_map<std::string_view, uint16_t, NameHash, std::equal_to<>> places_;
};

class WorkerServers {
 public:
  explicit WorkerServers(ServerPlaces& places);
  ~WorkerServers();
  WorkerServers(const WorkerServers&) = delete;

  // [worker] The place to count for this server; 0 if it has none: what is counted there is lost.
  uint16_t Find(const std::string& server);
  // [worker] Of a place that Find() returned.
  ServerCounters& at(uint16_t place) { return *counters_[place].load(std::memory_order_relaxed); }

  // [any] nullptr: this worker has not used the server.
  const ServerCounters* Read(size_t place) const {
    return counters_[place].load(std::memory_order_acquire);
  }
  // [any] Calls of Find() that found no place.
  const Counter& omitted() const { return omitted_; }

 private:
  ServerPlaces& places_;
  // Places that this worker knows: no lock is needed for these.
  std::unordered_map<std::string, uint16_t, NameHash, std::equal_to<>> known_;
  std::unique_ptr<std::atomic<ServerCounters*>[]> counters_;  // by place; owned
  Counter omitted_;
};

}  // namespace rum

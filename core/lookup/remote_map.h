// The remote sources of -M: their cache, for all workers, and the thread that asks them, so that no
// worker waits for a network.
#pragma once

#include <event2/event.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"
#include "lookup/map_source.h"
#include "lookup/record_cache.h"
#include "lookup/remote_source.h"
#include "lookup/source_thread.h"

namespace rum {

class Resolver;

inline constexpr std::array<uint64_t, 12> kRemoteBounds = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 100000, 250000, 1000000, 2500000};

class RemoteMap final : private SourceHost {
 public:
  struct Settings {
    RecordCache::Limits cache;
    SourceOptions source;
  };
  // [look-up thread] The servers that the records of the last hour name, at most
  // kDestinationsMost; called when there are others.
  using OnDestinations = std::function<void(std::vector<std::string>)>;
  static constexpr size_t kDestinationsMost = 4096;

  // [main] `sources`: those of -M, of which the file is left out here. The resolver must live
  // longer.
  RemoteMap(Resolver& resolver, std::vector<MapSource> sources, Settings settings);
  ~RemoteMap();
  RemoteMap(const RemoteMap&) = delete;

  // [main] Starts the thread; once.
  Status Start(OnDestinations on_destinations);

  // [any] What is known of a user without asking; false: Ask() is needed.
  bool Find(size_t source, std::string_view user, RemoteAnswer* answer);
  // [any] Asks the source. True: `*answer` is there at once, and the waiter is not called. False:
  // the waiter is called on another thread.
  bool Ask(size_t source, std::string_view user, RecordCache::Waiter waiter, RemoteAnswer* answer);
  // [any] Records that have changed.
  void Forget(std::string_view user);
  void ForgetAll();
  // [any] Asks again for each record before it is used; while a source is down, what is known
  // serves.
  void SuspectAll();

  // [any] All sources of -M, also the file.
  const std::vector<MapSource>& sources() const { return sources_; }
  const RecordCache& cache() const { return cache_; }

  struct SourceState {
    bool known = false;                    // a first connection was made, or has failed
    bool answered = false;                 // it was usable at least once
    bool up = false;                       // it answers
    std::string fault;                     // what is wrong; also of a source that answers
    int64_t since = 0;                     // seconds since 1970, of `up`
    uint64_t questions = 0, failures = 0;  // asked, and answered with "unavailable"
  };
  // [any] By source of -M.
  std::vector<SourceState> States() const;
  // [any] Times of questions to all sources.
  const Histogram<kRemoteBounds>& times() const { return times_; }
  uint64_t questions() const;

 private:
  struct Source {
    std::unique_ptr<RemoteSource> remote;  // [look-up thread]
    std::atomic<bool> down = false;
    std::atomic<uint64_t> questions = 0, failures = 0;
    std::unordered_map<std::string, uint64_t> asked;  // [look-up thread] users and microseconds
    std::unordered_set<std::string> again;  // [look-up thread] users whose answer was outdated
  };

  // SourceHost
  event_base* base() override { return thread_.base(); }
  void Resolve(const std::string& name,
               std::function<void(std::vector<SocketAddress>)> found) override {
    thread_.Resolve(name, std::move(found));
  }
  void SuspectName(const std::string& name) override { thread_.SuspectName(name); }
  void Answer(size_t source, const std::string& user, RemoteAnswer answer) override;
  void Forget(size_t source, std::string_view user) override { cache_.Forget(source, user); }
  void ForgetAll(size_t source) override { cache_.ForgetAll(source); }
  void Suspect(size_t source) override { cache_.Suspect(source); }
  void Report(size_t source, bool usable, const std::string& fault) override;

  std::unique_ptr<RemoteSource> Make(size_t source);
  void Run();
  void AskSource(size_t source, const std::string& user);
  void AskAgain(size_t source, const std::string& user, std::vector<RecordCache::Waiter> waiters);
  void Remember(const std::string& value);
  static void OnDestinationsDue(evutil_socket_t, short, void* self);

  const std::vector<MapSource> sources_;
  const Settings settings_;
  RecordCache cache_;
  Histogram<kRemoteBounds> times_;
  SourceThread thread_;
  std::vector<std::unique_ptr<Source>> remotes_;  // nullptr for the file
  std::unique_ptr<event, decltype(&event_free)> destinations_due_;
  OnDestinations on_destinations_;
  std::unordered_map<std::string, uint64_t> destinations_;  // when they were seen, monotonic ms
  bool new_destinations_ = false;
  mutable std::mutex mutex_;  // guards states_
  std::vector<SourceState> states_;
};

}  // namespace rum

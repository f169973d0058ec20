#include "proxy/server_counters.h"

#include <algorithm>

namespace rum {

ServerPlaces::ServerPlaces(size_t most) : most_(std::min(most, kMost)), names_(most_ + 1) {}

uint16_t ServerPlaces::Take(std::string_view server) {
  std::lock_guard lock(mutex_);
  if (auto found = places_.find(server); found != places_.end()) return found->second;
  const size_t taken = taken_.load(std::memory_order_relaxed);
  if (taken == most_) return 0;
  const auto place = static_cast<uint16_t>(taken + 1);
  names_[place] = server;
  places_.emplace(names_[place], place);
  taken_.store(place, std::memory_order_release);
  return place;
}

WorkerServers::WorkerServers(ServerPlaces& places)
    : places_(places), counters_(new std::atomic<ServerCounters*>[places.most() + 1]()) {
  counters_[0] = new ServerCounters;
}

WorkerServers::~WorkerServers() {
  for (size_t place = 0; place <= places_.most(); ++place) delete counters_[place].load();
}

uint16_t WorkerServers::Find(const std::string& server) {
  if (auto found = known_.find(server); found != known_.end()) return found->second;
  const uint16_t place = places_.Take(server);
  if (place == 0) {
    omitted_.Add(1);
    return 0;
  }
  counters_[place].store(new ServerCounters, std::memory_order_release);
  known_.emplace(server, place);
  return place;
}

}  // namespace rum

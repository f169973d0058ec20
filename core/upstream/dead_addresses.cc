#include "upstream/dead_addresses.h"

#include <algorithm>

namespace rum {

void DeadAddresses::Failed(const SocketAddress& address) {
  std::lock_guard lock(mutex_);
  const uint64_t now = clock_();
  const std::string key = address.text();
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    if (entries_.size() >= tidy_at_) Tidy(now);
    if (entries_.size() >= kMost) return;
    entries_[key] = {kFirstPause, now + kFirstPause};
    size_.store(entries_.size(), std::memory_order_relaxed);
    return;
  }
  Entry& entry = found->second;
  // Attempts that were pending at the first failure add no information.
  if (now < entry.until && !entry.trial) return;
  entry.trial = false;
  entry.pause = std::min(entry.pause * 2, kLongestPause);
  entry.until = now + entry.pause;
}

void DeadAddresses::Succeeded(const SocketAddress& address) {
  if (size() == 0) return;
  std::lock_guard lock(mutex_);
  entries_.erase(address.text());
  size_.store(entries_.size(), std::memory_order_relaxed);
}

void DeadAddresses::Sort(std::vector<SocketAddress>* addresses) {
  if (addresses->size() < 2 || size() == 0) return;
  std::lock_guard lock(mutex_);
  const uint64_t now = clock_();
  // stable_partition() calls this once per address, in order.
  std::stable_partition(addresses->begin(), addresses->end(), [&](const SocketAddress& address) {
    auto found = entries_.find(address.text());
    if (found == entries_.end()) return true;
    Entry& entry = found->second;
    if (now < entry.until) return false;
    entry.trial = true;
    entry.until = now + kTrial;
    return true;
  });
}

// Removes entries that no attempt has used for a long time.
void DeadAddresses::Tidy(uint64_t now) {
  std::erase_if(entries_,
                [now](const auto& one) { return now > one.second.until + kLongestPause; });
  tidy_at_ = std::clamp<size_t>(entries_.size() * 2, 64, kMost);
}

}  // namespace rum

#include "limits/login_guard.h"

#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace rum {
namespace {

bool Watches(const LoginGuard::Settings& settings, const SocketAddress& address) {
  return settings.failures.on() && address.ip() && !settings.exempt.Contains(address);
}

Cidr KeyOf(const SocketAddress& address) { return Cidr::Around(address, 32, 64); }

struct Entry {
  Bucket failures;             // what is left of those that are forgiven
  uint64_t blocked_until = 0;  // microseconds
  std::list<Cidr>::iterator place;
};

}  // namespace

struct LoginGuard::Shard {
  bool Over(const Entry& entry, uint64_t now) const {
    return entry.failures.Full(now) && entry.blocked_until <= now;
  }
  // What has nothing to say any more goes, and the oldest when there is no room.
  void Tidy(uint64_t now) {
    while (!order.empty()) {
      auto oldest = addresses.find(order.front());
      if (order.size() <= kAddressesMost && !Over(oldest->second, now)) return;
      addresses.erase(oldest);
      order.pop_front();
    }
  }

  mutable std::mutex mutex;
  std::unordered_map<Cidr, Entry, Cidr::Hash> addresses;
  std::list<Cidr> order;  // who failed last is last
};

LoginGuard::LoginGuard(Clock clock) : clock_(clock), shards_(new Shard[kShards]) {}
LoginGuard::~LoginGuard() = default;

LoginGuard::Shard& LoginGuard::ShardOf(const Cidr& key) const {
  return shards_[(Cidr::Hash()(key) >> 40) % kShards];
}

bool LoginGuard::Blocks(const Settings& settings, const SocketAddress& address) const {
  if (!Watches(settings, address)) return false;
  Cidr key = KeyOf(address);
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.addresses.find(key);
  return found != shard.addresses.end() && found->second.blocked_until > clock_();
}

bool LoginGuard::Failed(const Settings& settings, const SocketAddress& address) {
  if (!Watches(settings, address)) return false;
  Cidr key = KeyOf(address);
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  const uint64_t now = clock_();
  auto [found, fresh] = shard.addresses.try_emplace(key);
  Entry& entry = found->second;
  if (fresh) {
    entry.place = shard.order.insert(shard.order.end(), key);
  } else {
    shard.order.splice(shard.order.end(), shard.order, entry.place);
  }
  bool blocks = false;
  // Logins that were under way when the block began do not make it longer.
  if (entry.blocked_until <= now) {
    entry.failures.Take(settings.failures, now);
    if (!entry.failures.Has(settings.failures, now)) {
      blocks = true;
      entry.blocked_until = now + static_cast<uint64_t>(settings.block.count()) * 1000;
      entry.failures.Refill();
    }
  }
  shard.Tidy(now);
  return blocks;
}

size_t LoginGuard::blocked() const {
  size_t sum = 0;
  for (size_t i = 0; i < kShards; ++i) {
    std::lock_guard lock(shards_[i].mutex);
    const uint64_t now = clock_();
    for (const auto& [key, entry] : shards_[i].addresses) sum += entry.blocked_until > now;
  }
  return sum;
}

size_t LoginGuard::watched() const {
  size_t sum = 0;
  for (size_t i = 0; i < kShards; ++i) {
    std::lock_guard lock(shards_[i].mutex);
    sum += shards_[i].addresses.size();
  }
  return sum;
}

}  // namespace rum

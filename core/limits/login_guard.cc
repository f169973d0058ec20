#include "limits/login_guard.h"

#include <algorithm>
#include <limits>
#include <list>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "limits/other_nodes.h"

namespace rum {
namespace {

bool Watches(const LoginGuard::Settings& settings, const SocketAddress& address) {
  return settings.failures.on() && address.ip() && !settings.exempt.Contains(address);
}

}  // namespace

struct LoginGuard::Entry {
  Cidr key;
  ChargedBucket bucket;        // of failures left before a block
  uint64_t blocked_until = 0;  // microseconds
  Rate rate;                   // of the most recent settings
  uint32_t under_way = 0;
  std::list<Attempt*> waiting;      // first come, first served
  std::list<Cidr>::iterator place;  // position in `order`, if idle
  bool idle = false;

  // At least one attempt may proceed: if it fails, the address is blocked.
  uint32_t MayGo(uint64_t now) const { return std::max(bucket.Left(rate, now), 1u); }
};

struct LoginGuard::Shard {
  using Found = std::unordered_map<Cidr, Entry, Cidr::Hash>::iterator;

  bool Over(const Entry& entry, uint64_t now) const {
    return entry.bucket.MayForget(now) && entry.blocked_until <= now;
  }
  Found Find(const Cidr& key) {
    auto [found, fresh] = keys.try_emplace(key);
    if (fresh) found->second.key = key;
    if (found->second.idle) {
      order.erase(found->second.place);
      found->second.idle = false;
    }
    return found;
  }
  // Called after each use. Removes the entry if it is idle and holds no state, and the oldest idle
  // entries if there are too many.
  void Rest(Found found, uint64_t now) {
    Entry& entry = found->second;
    const bool idle = entry.under_way == 0 && entry.waiting.empty();
    if (idle && Over(entry, now)) {
      keys.erase(found);
    } else if (idle) {
      entry.place = order.insert(order.end(), found->first);
      entry.idle = true;
    }
    while (!order.empty()) {
      auto oldest = keys.find(order.front());
      if (order.size() <= kAddressesMost && !Over(oldest->second, now)) return;
      keys.erase(oldest);
      order.pop_front();
    }
  }
  // Wakes the attempts that may proceed, or all if the address is blocked: they learn it from their
  // next Try().
  void Advance(Entry& entry, uint64_t now, std::vector<uint64_t>& woken) {
    const bool blocked = entry.blocked_until > now;
    while (!entry.waiting.empty() && (blocked || entry.under_way < entry.MayGo(now))) {
      Attempt& first = *entry.waiting.front();
      entry.waiting.pop_front();
      first.state_ = blocked ? Attempt::State::kNone : Attempt::State::kUnderWay;
      entry.under_way += !blocked;
      woken.push_back(first.ticket_);
    }
  }
  void Leave(Attempt& attempt) {
    if (attempt.state_ == Attempt::State::kUnderWay) --attempt.entry_->under_way;
    if (attempt.state_ == Attempt::State::kWaiting) attempt.entry_->waiting.erase(attempt.turn_);
    attempt.state_ = Attempt::State::kNone;
  }

  mutable std::mutex mutex;
  std::unordered_map<Cidr, Entry, Cidr::Hash> keys;
  std::list<Cidr> order;  // idle entries, least recently used first
};

LoginGuard::LoginGuard(Clock clock, Wake wake, OtherNodes* others)
    : clock_(clock), wake_(wake), others_(others), shards_(new Shard[kShards]) {}
LoginGuard::~LoginGuard() = default;

LoginGuard::Shard& LoginGuard::ShardOf(const Cidr& key) const {
  // Uses the upper bits of the hash: the lower ones select the bucket within the shard.
  constexpr int kShift = std::numeric_limits<size_t>::digits * 5 / 8;
  return shards_[(Cidr::Hash()(key) >> kShift) % kShards];
}

Cidr LoginGuard::KeyOf(const Settings& settings, const SocketAddress& address) {
  return Cidr::Around(address, 32, settings.ip_prefix);
}

bool LoginGuard::Blocks(const Settings& settings, const SocketAddress& address) const {
  if (!Watches(settings, address)) return false;
  Cidr key = KeyOf(settings, address);
  if (others_ && others_->Blocks(key)) return true;
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.keys.find(key);
  return found != shard.keys.end() && found->second.blocked_until > clock_();
}

LoginGuard::Answer LoginGuard::Try(const Settings& settings, const SocketAddress& address,
                                   uint64_t ticket, Attempt* attempt) {
  if (!Watches(settings, address)) {
    attempt->Release();
    return Answer::kGo;
  }
  const Cidr key = KeyOf(settings, address);
  if (attempt->key_ != key) attempt->Release();  // a reload changed the prefix
  if (others_ && others_->Blocks(key)) {
    attempt->Release();
    return Answer::kBlocked;
  }
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  const uint64_t now = clock_();
  auto found = shard.Find(key);
  Entry& entry = found->second;
  entry.rate = settings.failures;
  entry.bucket.Bound(entry.rate, now);
  attempt->guard_ = this;
  attempt->shard_ = &shard;
  attempt->key_ = key;
  Answer answer = Answer::kGo;
  if (entry.blocked_until > now) {
    answer = Answer::kBlocked;
  } else if (attempt->state_ == Attempt::State::kWaiting) {
    answer = Answer::kWait;
  } else if (attempt->state_ == Attempt::State::kNone) {
    attempt->entry_ = &entry;
    attempt->ticket_ = ticket;
    if (entry.waiting.empty() && entry.under_way < entry.MayGo(now)) {
      attempt->state_ = Attempt::State::kUnderWay;
      ++entry.under_way;
    } else {
      attempt->state_ = Attempt::State::kWaiting;
      attempt->turn_ = entry.waiting.insert(entry.waiting.end(), attempt);
      answer = Answer::kWait;
    }
  }
  shard.Rest(found, now);
  return answer;
}

bool LoginGuard::Failed(const Settings& settings, const SocketAddress& address, Attempt* attempt) {
  if (!Watches(settings, address)) {
    if (attempt) attempt->Release();
    return false;
  }
  const Cidr key = KeyOf(settings, address);
  if (attempt && attempt->key_ != key) attempt->Release();  // as above
  Shard& shard = ShardOf(key);
  std::vector<uint64_t> woken;
  bool blocks = false;
  uint32_t left = 0;
  {
    std::lock_guard lock(shard.mutex);
    const uint64_t now = clock_();
    auto found = shard.Find(key);
    Entry& entry = found->second;
    entry.rate = settings.failures;
    entry.bucket.Bound(entry.rate, now);
    if (attempt && attempt->shard_ == &shard) shard.Leave(*attempt);
    // Failures of logins that started before the block do not extend it.
    if (entry.blocked_until <= now) {
      entry.bucket.Take(settings.failures, now, counts_);
      left = entry.bucket.Left(settings.failures, now);
      if (!entry.bucket.Has(settings.failures, now)) {
        blocks = true;
        entry.blocked_until = now + static_cast<uint64_t>(settings.block.count()) * 1000;
        entry.bucket.Refill();
      }
    }
    shard.Advance(entry, now, woken);
    shard.Rest(found, now);
  }
  for (uint64_t ticket : woken) wake_(ticket);
  if (blocks && others_) others_->NoteBlock(key, settings.block);
  if (!blocks && others_) others_->NoteRate(settings.failures, left);
  return blocks;
}

bool LoginGuard::Unblock(const Cidr& key) {
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  if (!shard.keys.contains(key)) return false;
  const uint64_t now = clock_();
  auto found = shard.Find(key);
  Entry& entry = found->second;
  const bool blocked = entry.blocked_until > now;
  entry.blocked_until = 0;
  entry.bucket.Refill();
  shard.Rest(found, now);
  return blocked;
}

ChargesOf<Cidr> LoginGuard::Charges(size_t most) {
  return counts_.Publish(std::span(shards_.get(), kShards), most, clock_);
}

void LoginGuard::Charge(const Cidr& key, uint64_t micros, uint64_t since) {
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.Find(key);
  found->second.bucket.Charge(micros, since);
  shard.Rest(found, clock_());
}

void LoginGuard::Attempt::Release() {
  if (!shard_) return;
  std::vector<uint64_t> woken;
  {
    std::lock_guard lock(shard_->mutex);
    if (state_ == State::kNone) return;
    shard_->Leave(*this);
    const uint64_t now = guard_->clock_();
    shard_->Advance(*entry_, now, woken);
    shard_->Rest(shard_->Find(entry_->key), now);
  }
  for (uint64_t ticket : woken) guard_->wake_(ticket);
}

bool LoginGuard::Attempt::under_way() const {
  if (!shard_) return false;
  std::lock_guard lock(shard_->mutex);
  return state_ == State::kUnderWay;
}

size_t LoginGuard::blocked() const {
  size_t sum = 0;
  for (size_t i = 0; i < kShards; ++i) {
    std::lock_guard lock(shards_[i].mutex);
    const uint64_t now = clock_();
    for (const auto& [key, entry] : shards_[i].keys) sum += entry.blocked_until > now;
  }
  return sum;
}

size_t LoginGuard::watched() const {
  size_t sum = 0;
  for (size_t i = 0; i < kShards; ++i) {
    std::lock_guard lock(shards_[i].mutex);
    sum += shards_[i].keys.size();
  }
  return sum;
}

}  // namespace rum

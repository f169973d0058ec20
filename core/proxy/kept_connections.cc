#include "proxy/kept_connections.h"

#include <algorithm>

#include "base/clock.h"
#include "map/map_file.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "upstream/resolver.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

// How often it is looked whether a connection has been kept for long enough, or its server is down
// or has moved. Taking one looks, too.
constexpr Millis kLook(250);

}  // namespace

KeptBudget::Lease KeptBudget::Take(std::string_view server, uint32_t most) {
  Lease lease;
  if (most == 0) return lease;
  if (all_.fetch_add(1, std::memory_order_relaxed) >= most_.load(std::memory_order_relaxed) ||
      by_server_.Take(server, {.max = most, .rate = {}}, &lease.server_) != LimiterAnswer::kTaken) {
    all_.fetch_sub(1, std::memory_order_relaxed);
    return lease;
  }
  lease.budget_ = this;
  return lease;
}

KeptConnections::KeptConnections(Worker& worker)
    : worker_(worker), look_(worker.loop(), OnLook, this) {}

// Writable it may become; all else was not asked for.
void KeptConnections::Kept::OnReady(uint32_t, uint32_t what) {
  if ((what & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
  owner.worker_.counters.kept_lost.Add(1);
  owner.Remove(*this);
}

std::string KeptConnections::NameOf(std::string_view server, std::string_view key) {
  return std::string(server).append(1, '\0').append(key);
}

bool KeptConnections::Keep(Side& side, Label label, KeptBudget::Lease lease) {
  if (!lease || !side.Quiet()) return false;
  auto kept = std::make_unique<Kept>(*this);
  kept->side.TakeOver(side, *kept, 0);
  kept->until = NowMillis() + label.milliseconds;
  kept->label = std::move(label);
  kept->lease = std::move(lease);
  by_name_[NameOf(kept->label.server, kept->label.key)].push_back(kept.get());
  if (ages_.empty()) look_.Set(kLook);
  ages_.push_back(std::move(kept));
  ages_.back()->place = std::prev(ages_.end());
  worker_.counters.kept.Add(1);
  return true;
}

std::unique_ptr<KeptConnections::Kept> KeptConnections::Remove(Kept& kept) {
  auto named = by_name_.find(NameOf(kept.label.server, kept.label.key));
  std::erase(named->second, &kept);
  if (named->second.empty()) by_name_.erase(named);
  std::unique_ptr<Kept> gone = std::move(*kept.place);
  ages_.erase(gone->place);
  worker_.counters.kept.Sub(1);
  return gone;
}

KeptConnections::Kept* KeptConnections::Newest(std::string_view server, std::string_view key) {
  while (true) {
    auto named = by_name_.find(NameOf(server, key));
    if (named == by_name_.end()) return nullptr;
    Kept& kept = *named->second.back();
    if (kept.until > NowMillis() && MayBeUsed(kept) && kept.side.Quiet()) return &kept;
    worker_.counters.kept_lost.Add(1);
    Remove(kept);
  }
}

bool KeptConnections::Take(std::string_view server, std::string_view key, Side& side,
                           Loop::Watcher& watcher, uint32_t which, Label* label) {
  Kept* kept = ages_.empty() ? nullptr : Newest(server, key);
  if (!kept) return false;
  std::unique_ptr<Kept> gone = Remove(*kept);
  side.TakeOver(gone->side, watcher, which);
  *label = std::move(gone->label);
  worker_.counters.kept_taken.Add(1);
  return true;
}

bool KeptConnections::Spend(std::string_view server, std::string_view key) {
  Kept* kept = ages_.empty() ? nullptr : Newest(server, key);
  if (kept) Remove(*kept);
  return kept != nullptr;
}

void KeptConnections::Drop(std::string_view server) {
  for (auto next = ages_.begin(); next != ages_.end();) {
    Kept& kept = **next++;
    if (kept.label.server == server) Remove(kept);
  }
}

void KeptConnections::DropAll() {
  while (DropOldest()) continue;
}

bool KeptConnections::DropOldest() {
  if (ages_.empty()) return false;
  Remove(*ages_.front());
  return true;
}

bool KeptConnections::DropOldestOf(std::string_view server) {
  auto oldest = std::find_if(ages_.begin(), ages_.end(), [&](const std::unique_ptr<Kept>& kept) {
    return kept->label.server == server;
  });
  if (oldest == ages_.end()) return false;
  Remove(**oldest);
  return true;
}

void KeptConnections::NextGeneration() {
  ++generation_;
  DropAll();
}

bool KeptConnections::UserHasChanged(uint64_t sequence, const std::string& user) const {
  return worker_.map() && worker_.map()->ChangedAfter(sequence, user);
}

// The server takes sessions, and its name still has this address.
bool KeptConnections::MayBeUsed(const Kept& kept) {
  Proxy& proxy = worker_.proxy();
  if (!proxy.server_health().IsUp(kept.label.server)) return false;
  if (UserHasChanged(kept.label.sequence, kept.label.user)) return false;
  auto server = ParseAddress(kept.label.server);
  if (!server) return false;
  if (server->kind == Address::Kind::kUnix || SocketAddress::Numeric(server->host, server->port)) {
    return true;
  }
  auto known = proxy.resolver().Known(server->host);
  return known && std::any_of(known->begin(), known->end(), [&](const SocketAddress& one) {
           return one.host() == kept.label.address.host();
         });
}

void KeptConnections::OnLook(void* self) {
  auto& all = *static_cast<KeptConnections*>(self);
  const uint64_t now = NowMillis();
  for (auto next = all.ages_.begin(); next != all.ages_.end();) {
    Kept& kept = **next++;
    if (kept.until <= now || !all.MayBeUsed(kept)) all.Remove(kept);
  }
  if (!all.ages_.empty()) all.look_.Set(kLook);
}

}  // namespace rum

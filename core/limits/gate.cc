#include "limits/gate.h"

#include <utility>

namespace rum {
namespace {

// Counts one more, unless that would be more than `most`; 0: any number.
bool Raise(std::atomic<uint32_t>& count, uint32_t most) {
  uint32_t now = count.load(std::memory_order_relaxed);
  do {
    if (most && now >= most) return false;
  } while (!count.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
  return true;
}

bool CountsAddresses(const Gate::Settings& settings) {
  return settings.max_connections_per_ip || settings.rate_per_ip.on();
}

Cidr KeyOf(const Gate::Settings& settings, const SocketAddress& address) {
  return Cidr::Around(address, 32, settings.ip_prefix);
}

}  // namespace

Refusal AccessLists::Judge(const SocketAddress& address) const {
  if (!address.ip()) return Refusal::kNone;
  if (deny.Contains(address)) return Refusal::kDeny;
  return allow.empty() || allow.Contains(address) ? Refusal::kNone : Refusal::kAllow;
}

Refusal Gate::Enter(const Settings& settings, const SocketAddress& address, Place* place) {
  place->Release();
  if (Refusal refusal = settings.Judge(address); refusal != Refusal::kNone) return refusal;
  if (settings.max_memory && memory_.load(std::memory_order_relaxed) > settings.max_memory) {
    return Refusal::kMaxMemory;
  }
  if (!Raise(connections_, settings.max_connections)) return Refusal::kMaxConnections;
  place->gate_ = this;
  place->connecting_ = Raise(connecting_, settings.max_connecting);
  Refusal refusal =
      place->connecting_ ? EnterByRate(settings, address, place) : Refusal::kMaxConnecting;
  if (refusal != Refusal::kNone) place->Release();
  return refusal;
}

// Whoever is refused by his own limit takes nothing of what all have together, and the other way
// round: both are looked at before either is taken from.
Refusal Gate::EnterByRate(const Settings& settings, const SocketAddress& address, Place* place) {
  if (!settings.rate.on()) return EnterByIp(settings, address, place);
  std::lock_guard lock(mutex_);
  const uint64_t now = clock_();
  if (!bucket_.Has(settings.rate, now)) return Refusal::kConnectionRate;
  Refusal refusal = EnterByIp(settings, address, place);
  if (refusal == Refusal::kNone) bucket_.Take(settings.rate, now);
  return refusal;
}

Refusal Gate::EnterByIp(const Settings& settings, const SocketAddress& address, Place* place) {
  if (!CountsAddresses(settings) || !address.ip()) return Refusal::kNone;
  switch (by_ip_.Take(KeyOf(settings, address),
                      {settings.max_connections_per_ip, settings.rate_per_ip}, &place->ip_)) {
    case PlaceAnswer::kTooMany:
      return Refusal::kMaxConnectionsPerIp;
    case PlaceAnswer::kTooFast:
      return Refusal::kConnectionRatePerIp;
    case PlaceAnswer::kTaken:
      break;
  }
  return Refusal::kNone;
}

Refusal Gate::Connect(const Settings& settings, const Address& destination,
                      ByDestination::Place* place) {
  place->Release();
  uint32_t most = settings.max_connecting_per_destination;
  if (!most) return Refusal::kNone;
  auto answer = by_destination_.Take(destination.text(), {most, {}}, place);
  return answer == PlaceAnswer::kTaken ? Refusal::kNone : Refusal::kMaxConnectingPerDestination;
}

void Gate::Recount(const Settings& settings, const SocketAddress& address, Place* place) {
  if (!place->gate_) return;
  if (!CountsAddresses(settings) || !address.ip()) return place->ip_.Release();
  Cidr key = KeyOf(settings, address);
  if (!place->ip_ || place->ip_.key() != key) by_ip_.Take(key, {}, &place->ip_);
}

void Gate::Recount(const Settings& settings, const Address& destination,
                   ByDestination::Place* place) {
  if (!settings.max_connecting_per_destination) return place->Release();
  if (!*place) by_destination_.Take(destination.text(), {}, place);
}

Gate::Place::Place(Place&& other) noexcept
    : gate_(std::exchange(other.gate_, nullptr)),
      connecting_(std::exchange(other.connecting_, false)),
      ip_(std::move(other.ip_)) {}

Gate::Place& Gate::Place::operator=(Place&& other) noexcept {
  if (this == &other) return *this;
  Release();
  gate_ = std::exchange(other.gate_, nullptr);
  connecting_ = std::exchange(other.connecting_, false);
  ip_ = std::move(other.ip_);
  return *this;
}

void Gate::Place::LoggedIn() {
  if (!connecting_) return;
  connecting_ = false;
  gate_->connecting_.fetch_sub(1, std::memory_order_relaxed);
}

void Gate::Place::Release() {
  if (!gate_) return;
  LoggedIn();
  ip_.Release();
  gate_->connections_.fetch_sub(1, std::memory_order_relaxed);
  gate_ = nullptr;
}

}  // namespace rum

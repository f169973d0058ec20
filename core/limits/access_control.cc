#include "limits/access_control.h"

#include <utility>

#include "geo/geo_database.h"

namespace rum {
namespace {

// Increments `count` unless it would exceed `most`; 0: unlimited.
bool Raise(std::atomic<uint32_t>& count, uint32_t most) {
  uint32_t now = count.load(std::memory_order_relaxed);
  do {
    if (most && now >= most) return false;
  } while (!count.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
  return true;
}

bool CountsAddresses(const AccessControl::Settings& settings) {
  return settings.max_connections_per_ip || settings.rate_per_ip.on();
}

Cidr KeyOf(const AccessControl::Settings& settings, const SocketAddress& address) {
  return Cidr::Around(address, 32, settings.ip_prefix);
}

}  // namespace

Result<AccessList> AccessList::Parse(std::string_view text) {
  constexpr std::string_view kCountry = "country:";
  AccessList list;
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    const std::string_view one = rest.substr(0, comma);
    if (one.starts_with(kCountry)) {
      auto country = CountrySet::Parse(one.substr(kCountry.size()));
      if (!country) return country.error();
      list.countries.Add(*country);
    } else {
      auto network = CidrSet::Parse(one);
      if (!network) return network.error();
      list.networks.Add(*network);
    }
    if (comma == rest.npos) return list;
    rest.remove_prefix(comma + 1);
  }
}

void AccessList::Add(const AccessList& other) {
  networks.Add(other.networks);
  countries.Add(other.countries);
}

bool AccessList::Contains(const SocketAddress& address, const GeoDatabase* geo) const {
  if (networks.Contains(address)) return true;
  return !countries.empty() && geo && countries.Contains(geo->Find(address));
}

Refusal AccessLists::Judge(const SocketAddress& address, const GeoDatabase* geo) const {
  if (!address.ip()) return Refusal::kNone;
  if (deny.Contains(address, geo)) return Refusal::kDeny;
  return allow.empty() || allow.Contains(address, geo) ? Refusal::kNone : Refusal::kAllow;
}

Refusal AccessControl::Enter(const Settings& settings, const SocketAddress& address,
                             const GeoDatabase* geo, Lease* lease) {
  lease->Release();
  if (Refusal refusal = settings.Judge(address, geo); refusal != Refusal::kNone) return refusal;
  if (settings.max_memory && memory_.load(std::memory_order_relaxed) > settings.max_memory) {
    return Refusal::kMaxMemory;
  }
  if (!Raise(connections_, settings.max_connections)) return Refusal::kMaxConnections;
  lease->access_control_ = this;
  lease->connecting_ = Raise(connecting_, settings.max_connecting);
  Refusal refusal =
      lease->connecting_ ? EnterByRate(settings, address, lease) : Refusal::kMaxConnecting;
  if (refusal != Refusal::kNone) lease->Release();
  return refusal;
}

// Both limits are checked before either is charged, so that a client refused by one does not use up
// the other.
Refusal AccessControl::EnterByRate(const Settings& settings, const SocketAddress& address,
                                   Lease* lease) {
  if (!settings.rate.on()) return EnterByIp(settings, address, lease);
  std::lock_guard lock(mutex_);
  const uint64_t now = clock_();
  bucket_.Bound(settings.rate, now);  // a reload may have changed the rate
  if (!bucket_.Has(settings.rate, now)) return Refusal::kConnectionRate;
  Refusal refusal = EnterByIp(settings, address, lease);
  if (refusal == Refusal::kNone) bucket_.Take(settings.rate, now);
  return refusal;
}

Refusal AccessControl::EnterByIp(const Settings& settings, const SocketAddress& address,
                                 Lease* lease) {
  if (!CountsAddresses(settings) || !address.ip()) return Refusal::kNone;
  const Cidr key = KeyOf(settings, address);
  KeyLimit limit{settings.max_connections_per_ip, settings.rate_per_ip};
  if (others_ && others_->shared() && limit.max) {
    limit.others = others_->SessionsOfAddress(key);
    others_->Note(uint64_t{limit.others} + by_ip_.Sessions(key) + 1, limit.max);
  }
  const LimiterAnswer answer = by_ip_.Take(key, limit, &lease->ip_);
  if (others_ && others_->shared() && limit.rate.on()) {
    others_->NoteRate(limit.rate, by_ip_.RoomFor(key, {.max = 0, .rate = limit.rate}).places);
  }
  switch (answer) {
    case LimiterAnswer::kTooMany:
      return Refusal::kMaxConnectionsPerIp;
    case LimiterAnswer::kTooFast:
      return Refusal::kConnectionRatePerIp;
    case LimiterAnswer::kTaken:
      break;
  }
  return Refusal::kNone;
}

Refusal AccessControl::Connect(const Settings& settings, const Address& destination,
                               ByDestination::Lease* lease) {
  lease->Release();
  uint32_t most = settings.max_connecting_per_destination;
  if (!most) return Refusal::kNone;
  auto answer = by_destination_.Take(destination.text(), {most, {}}, lease);
  return answer == LimiterAnswer::kTaken ? Refusal::kNone : Refusal::kMaxConnectingPerDestination;
}

KeySessions AccessControl::TopAddresses(size_t most) const {
  KeySessions top;
  for (const auto& [address, sessions] : by_ip_.Top(most))
    top.emplace_back(address.text(), sessions);
  return top;
}

void AccessControl::Recount(const Settings& settings, const SocketAddress& address, Lease* lease) {
  if (!lease->access_control_) return;
  if (!CountsAddresses(settings) || !address.ip()) return lease->ip_.Release();
  Cidr key = KeyOf(settings, address);
  if (!lease->ip_ || lease->ip_.key() != key) by_ip_.Take(key, {}, &lease->ip_);
}

void AccessControl::Recount(const Settings& settings, const Address& destination,
                            ByDestination::Lease* lease) {
  if (!settings.max_connecting_per_destination) return lease->Release();
  if (!*lease) by_destination_.Take(destination.text(), {}, lease);
}

AccessControl::Lease::Lease(Lease&& other) noexcept
    : access_control_(std::exchange(other.access_control_, nullptr)),
      connecting_(std::exchange(other.connecting_, false)),
      ip_(std::move(other.ip_)) {}

AccessControl::Lease& AccessControl::Lease::operator=(Lease&& other) noexcept {
  if (this == &other) return *this;
  Release();
  access_control_ = std::exchange(other.access_control_, nullptr);
  connecting_ = std::exchange(other.connecting_, false);
  ip_ = std::move(other.ip_);
  return *this;
}

void AccessControl::Lease::LoggedIn() {
  if (!connecting_) return;
  connecting_ = false;
  access_control_->connecting_.fetch_sub(1, std::memory_order_relaxed);
}

void AccessControl::Lease::Release() {
  if (!access_control_) return;
  LoggedIn();
  ip_.Release();
  access_control_->connections_.fetch_sub(1, std::memory_order_relaxed);
  access_control_ = nullptr;
}

}  // namespace rum

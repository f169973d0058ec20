#include "upstream/server_health.h"

#include <algorithm>
#include <charconv>

#include "base/close_reasons.h"
#include "base/log.h"
#include "base/units.h"

namespace rum {
namespace {

// A row of failures is forgotten after the longest configurable window; an open circuit that no
// session tries again, as long after its pause (ms).
constexpr uint64_t kStale = 600000;

}  // namespace

Result<BreakerSettings> ParseBreaker(std::string_view text) {
  if (text == "off") return BreakerSettings{.failures = 0, .within = Millis(0)};
  BreakerSettings settings;
  size_t slash = text.find('/');
  const char* end = text.data() + std::min(slash, text.size());
  auto [rest, error] = std::from_chars(text.data(), end, settings.failures);
  if (slash != text.npos && error == std::errc() && rest == end && settings.failures > 0) {
    auto within = ParseDuration(std::string(text.substr(slash + 1)));
    if (within && within->count() > 0 && static_cast<uint64_t>(within->count()) <= kStale) {
      settings.within = *within;
      return settings;
    }
  }
  return Error{Fault::kUsage, "'" + std::string(text) +
                                  "' is not FAILURES/TIME with at most 10m, such as 5/10s, or "
                                  "off"};
}

ServerHealth::Attempt& ServerHealth::Attempt::operator=(Attempt&& other) noexcept {
  if (this == &other) return *this;
  Drop();
  server_health_ = std::exchange(other.server_health_, nullptr);
  server_ = std::move(other.server_);
  others_ = other.others_;
  trial_ = other.trial_;
  answered_ = other.answered_;
  return *this;
}

void ServerHealth::Attempt::Succeeded() {
  ServerHealth* server_health = std::exchange(server_health_, nullptr);
  if (!server_health || server_health->none()) return;
  std::lock_guard lock(server_health->mutex_);
  if (Entry* entry = server_health->Find(server_)) server_health->Close(server_, *entry);
}

void ServerHealth::Attempt::Answered() {
  if (!server_health_ || std::exchange(answered_, true) || server_health_->none()) return;
  std::lock_guard lock(server_health_->mutex_);
  Entry* entry = server_health_->Find(server_);
  if (!entry || entry->reason == RUM_CLOSE_TLS) return;
  trial_ = false;
  server_health_->Close(server_, *entry);
}

void ServerHealth::Attempt::Failed(const BreakerSettings& settings, uint32_t reason) {
  if (answered_ && reason != RUM_CLOSE_TLS) return Drop();
  ServerHealth* server_health = std::exchange(server_health_, nullptr);
  if (!server_health) return;
  std::lock_guard lock(server_health->mutex_);
  Entry* entry =
      settings.failures ? server_health->FindOrAdd(server_) : server_health->Find(server_);
  if (!entry) return;
  const uint64_t now = server_health->clock_();
  entry->reason = reason;
  if (entry->pause) {
    // Attempts that started before the circuit opened may still fail; only the trial counts.
    if (!trial_) return;
    entry->trial = false;
    // Not shortened: other sessions of this server may have another one.
    if (others_ == Others::kSome) entry->pause = std::min(entry->pause * 2, kLongestPause);
    entry->until = now + entry->pause;
    return;
  }
  if (!settings.failures) return;
  if (entry->failures == 0 || now - entry->first > static_cast<uint64_t>(settings.within.count())) {
    entry->failures = 0;
    entry->first = now;
  }
  if (++entry->failures < settings.failures) return;
  entry->pause = kFirstPause;
  entry->until = now + entry->pause;
  server_health->opened_.fetch_add(1, std::memory_order_relaxed);
  log::Warning(
      "server {} failed {} in a row, the last time by {}: its circuit is open for a second, "
      "and longer for clients with another server if failures continue",
      server_, Counted(entry->failures, "time"), CloseReasonWord(reason));
}

void ServerHealth::Attempt::Drop() {
  ServerHealth* server_health = std::exchange(server_health_, nullptr);
  if (!server_health || !trial_) return;
  std::lock_guard lock(server_health->mutex_);
  if (Entry* entry = server_health->Find(server_)) entry->trial = false;
}

std::optional<Refused> ServerHealth::Begin(const BreakerSettings& settings,
                                           const std::string& server, Others others,
                                           Attempt* attempt) {
  attempt->Drop();
  bool trial = false;
  if (!none()) {
    std::lock_guard lock(mutex_);
    Entry* entry = Find(server);
    if (entry && entry->admin != AdminState::kReady) {
      return Refused{RUM_CLOSE_MAINTENANCE,
                     entry->admin == AdminState::kDrain ? "rumctl drain" : "rumctl maint"};
    }
    if (entry && entry->pause && settings.failures) {
      uint64_t until = entry->until;
      if (others == Others::kNone) until -= entry->pause - kFirstPause;
      if (entry->trial || clock_() < until) {
        skipped_.fetch_add(1, std::memory_order_relaxed);
        return Refused{entry->reason, "--breaker"};
      }
      entry->trial = trial = true;
    }
  }
  attempt->server_health_ = this;
  attempt->server_ = server;
  attempt->others_ = others;
  attempt->trial_ = trial;
  attempt->answered_ = false;
  return std::nullopt;
}

bool ServerHealth::IsUp(const std::string& server) const {
  if (none()) return true;
  std::lock_guard lock(mutex_);
  auto found = entries_.find(server);
  if (found == entries_.end()) return true;
  const Entry& entry = found->second;
  return !entry.down && !entry.pause && entry.admin == AdminState::kReady;
}

void ServerHealth::Sort(std::vector<Address>* servers) const {
  if (servers->size() < 2 || none()) return;
  std::lock_guard lock(mutex_);
  const uint64_t now = clock_();
  std::stable_partition(servers->begin(), servers->end(), [&](const Address& server) {
    auto found = entries_.find(server.text());
    if (found == entries_.end()) return true;
    const Entry& entry = found->second;
    bool open = entry.pause && (entry.trial || now < entry.until);
    return !open && !entry.down && entry.admin == AdminState::kReady;
  });
}

void ServerHealth::Probed(const std::string& server, bool up) {
  if (up && none()) return;
  std::lock_guard lock(mutex_);
  Entry* entry = up ? Find(server) : FindOrAdd(server);
  if (!entry) return;
  entry->down = !up;
  if (up) Close(server, *entry);
}

void ServerHealth::Unprobed(const std::string& server) {
  if (none()) return;
  std::lock_guard lock(mutex_);
  Entry* entry = Find(server);
  if (!entry) return;
  entry->down = entry->trial = false;
  entry->pause = entry->failures = 0;
  ForgetIfUp(server, *entry);
}

// The lock is held, here and below. May erase the entry.
void ServerHealth::Close(const std::string& server, Entry& entry) {
  if (entry.pause) log::Info("server {} answers again: its circuit is closed", server);
  entry.pause = entry.failures = 0;
  entry.trial = false;
  ForgetIfUp(server, entry);
}

void ServerHealth::ForgetIfUp(const std::string& server, const Entry& entry) {
  if (entry.down || entry.failures || entry.pause || entry.admin != AdminState::kReady) return;
  entries_.erase(server);
  size_.store(entries_.size(), std::memory_order_relaxed);
}

ServerHealth::Entry* ServerHealth::Find(const std::string& server) {
  auto found = entries_.find(server);
  return found == entries_.end() ? nullptr : &found->second;
}

ServerHealth::Entry* ServerHealth::FindOrAdd(const std::string& server) {
  if (Entry* entry = Find(server)) return entry;
  if (entries_.size() >= tidy_at_) Tidy();
  if (entries_.size() >= kMost) return nullptr;
  Entry* entry = &entries_[server];
  size_.store(entries_.size(), std::memory_order_relaxed);
  return entry;
}

void ServerHealth::Tidy() {
  const uint64_t now = clock_();
  std::erase_if(entries_, [now](const auto& one) {
    const Entry& entry = one.second;
    return !entry.down && !entry.trial && entry.admin == AdminState::kReady &&
           now > std::max(entry.first, entry.until) + kStale;
  });
  tidy_at_ = std::clamp<size_t>(entries_.size() * 2, 64, kMost);
}

bool ServerHealth::Set(const std::string& server, AdminState admin) {
  if (admin != AdminState::kReady && disabled() >= kDisabledMost) return false;
  std::lock_guard lock(mutex_);
  Entry* entry = admin == AdminState::kReady ? Find(server) : FindOrAdd(server);
  if (!entry) return admin == AdminState::kReady;
  entry->admin = admin;
  ForgetIfUp(server, *entry);
  return true;
}

std::vector<ServerHealth::Unavailable> ServerHealth::List(size_t most) const {
  std::vector<Unavailable> all;
  std::lock_guard lock(mutex_);
  const uint64_t now = clock_();
  for (const auto& [server, entry] : entries_) {
    if ((!entry.pause && entry.admin == AdminState::kReady) || all.size() >= most) continue;
    uint64_t wait = entry.pause && entry.until > now ? entry.until - now : 0;
    all.push_back({server, entry.admin, entry.pause != 0, entry.reason, wait});
  }
  return all;
}

template <class Is>
size_t ServerHealth::Count(Is is) const {
  if (none()) return 0;
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(),
                                           [&](const auto& one) { return is(one.second); }));
}

size_t ServerHealth::open() const {
  return Count([](const Entry& entry) { return entry.pause != 0; });
}

size_t ServerHealth::disabled() const {
  return Count([](const Entry& entry) { return entry.admin != AdminState::kReady; });
}

}  // namespace rum

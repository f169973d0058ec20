#include "upstream/outages.h"

#include <algorithm>
#include <charconv>

#include "base/close_reasons.h"
#include "base/log.h"

namespace rum {
namespace {

// A row of failures that nobody adds to is forgotten after the longest time that may be set for
// it; a pause that nobody waits for, some time after its end.
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
                                  "' is not failures within a time up to 10m, such as 5/10s, or "
                                  "off"};
}

Outages::Attempt& Outages::Attempt::operator=(Attempt&& other) noexcept {
  if (this == &other) return *this;
  Drop();
  outages_ = std::exchange(other.outages_, nullptr);
  server_ = std::move(other.server_);
  trial_ = other.trial_;
  answered_ = other.answered_;
  return *this;
}

void Outages::Attempt::Succeeded() {
  Outages* outages = std::exchange(outages_, nullptr);
  if (!outages || outages->none()) return;
  std::lock_guard lock(outages->mutex_);
  if (Entry* entry = outages->Find(server_)) outages->Close(server_, *entry);
}

void Outages::Attempt::Answered() {
  if (!outages_ || std::exchange(answered_, true) || outages_->none()) return;
  std::lock_guard lock(outages_->mutex_);
  Entry* entry = outages_->Find(server_);
  if (!entry || entry->reason == RUM_CLOSE_TLS) return;
  trial_ = false;
  outages_->Close(server_, *entry);
}

void Outages::Attempt::Failed(const BreakerSettings& settings, uint32_t reason) {
  if (answered_ && reason != RUM_CLOSE_TLS) return Drop();
  Outages* outages = std::exchange(outages_, nullptr);
  if (!outages) return;
  std::lock_guard lock(outages->mutex_);
  Entry* entry = settings.failures ? outages->FindOrAdd(server_) : outages->Find(server_);
  if (!entry) return;
  const uint64_t now = outages->clock_();
  entry->reason = reason;
  if (entry->pause) {
    // Those that were under way when it opened fail one after the other; only the trial counts.
    if (!trial_) return;
    entry->trial = false;
    entry->pause = std::min(entry->pause * 2, kLongestPause);
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
  outages->opened_.fetch_add(1, std::memory_order_relaxed);
  log::Warning(
      "{} failed {} times in a row, the last time by {}: it is left alone for a second, "
      "and longer if it goes on",
      server_, entry->failures, CloseReasonWord(reason));
}

void Outages::Attempt::Drop() {
  Outages* outages = std::exchange(outages_, nullptr);
  if (!outages || !trial_) return;
  std::lock_guard lock(outages->mutex_);
  if (Entry* entry = outages->Find(server_)) entry->trial = false;
}

std::optional<Rest> Outages::Begin(const BreakerSettings& settings, const std::string& server,
                                   Attempt* attempt) {
  attempt->Drop();
  bool trial = false;
  if (!none()) {
    std::lock_guard lock(mutex_);
    Entry* entry = Find(server);
    if (entry && entry->hold != Hold::kReady) {
      return Rest{RUM_CLOSE_MAINTENANCE,
                  entry->hold == Hold::kDrain ? "rumctl drain" : "rumctl maint"};
    }
    if (entry && entry->pause && settings.failures) {
      if (entry->trial || clock_() < entry->until) {
        skipped_.fetch_add(1, std::memory_order_relaxed);
        return Rest{entry->reason, "--breaker"};
      }
      entry->trial = trial = true;
    }
  }
  attempt->outages_ = this;
  attempt->server_ = server;
  attempt->trial_ = trial;
  attempt->answered_ = false;
  return std::nullopt;
}

void Outages::Sort(std::vector<Address>* servers) const {
  if (servers->size() < 2 || none()) return;
  std::lock_guard lock(mutex_);
  const uint64_t now = clock_();
  std::stable_partition(servers->begin(), servers->end(), [&](const Address& server) {
    auto found = entries_.find(server.text());
    if (found == entries_.end()) return true;
    const Entry& entry = found->second;
    bool rests = entry.pause && (entry.trial || now < entry.until);
    return !rests && !entry.unwell && entry.hold == Hold::kReady;
  });
}

void Outages::Probed(const std::string& server, bool well) {
  if (well && none()) return;
  std::lock_guard lock(mutex_);
  Entry* entry = well ? Find(server) : FindOrAdd(server);
  if (!entry) return;
  entry->unwell = !well;
  if (well) Close(server, *entry);
}

void Outages::Unprobed(const std::string& server) {
  if (none()) return;
  std::lock_guard lock(mutex_);
  Entry* entry = Find(server);
  if (!entry) return;
  entry->unwell = entry->trial = false;
  entry->pause = entry->failures = 0;
  ForgetIfWell(server, *entry);
}

// With the lock held, as all that follows. The entry may be gone after it.
void Outages::Close(const std::string& server, Entry& entry) {
  if (entry.pause) log::Info("{} answers again", server);
  entry.pause = entry.failures = 0;
  entry.trial = false;
  ForgetIfWell(server, entry);
}

void Outages::ForgetIfWell(const std::string& server, const Entry& entry) {
  if (entry.unwell || entry.failures || entry.pause || entry.hold != Hold::kReady) return;
  entries_.erase(server);
  size_.store(entries_.size(), std::memory_order_relaxed);
}

Outages::Entry* Outages::Find(const std::string& server) {
  auto found = entries_.find(server);
  return found == entries_.end() ? nullptr : &found->second;
}

Outages::Entry* Outages::FindOrAdd(const std::string& server) {
  if (Entry* entry = Find(server)) return entry;
  if (entries_.size() >= tidy_at_) Tidy();
  if (entries_.size() >= kMost) return nullptr;
  Entry* entry = &entries_[server];
  size_.store(entries_.size(), std::memory_order_relaxed);
  return entry;
}

void Outages::Tidy() {
  const uint64_t now = clock_();
  std::erase_if(entries_, [now](const auto& one) {
    const Entry& entry = one.second;
    return !entry.unwell && !entry.trial && entry.hold == Hold::kReady &&
           now > std::max(entry.first, entry.until) + kStale;
  });
  tidy_at_ = std::clamp<size_t>(entries_.size() * 2, 64, kMost);
}

bool Outages::Set(const std::string& server, Hold hold) {
  if (hold != Hold::kReady && held() >= kHeldMost) return false;
  std::lock_guard lock(mutex_);
  Entry* entry = hold == Hold::kReady ? Find(server) : FindOrAdd(server);
  if (!entry) return hold == Hold::kReady;
  entry->hold = hold;
  ForgetIfWell(server, *entry);
  return true;
}

std::vector<Outages::Outage> Outages::List(size_t most) const {
  std::vector<Outage> all;
  std::lock_guard lock(mutex_);
  const uint64_t now = clock_();
  for (const auto& [server, entry] : entries_) {
    if ((!entry.pause && entry.hold == Hold::kReady) || all.size() >= most) continue;
    uint64_t wait = entry.pause && entry.until > now ? entry.until - now : 0;
    all.push_back({server, entry.hold, entry.reason, wait});
  }
  return all;
}

template <class Is>
size_t Outages::Count(Is is) const {
  if (none()) return 0;
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(),
                                           [&](const auto& one) { return is(one.second); }));
}

size_t Outages::resting() const {
  return Count([](const Entry& entry) { return entry.pause != 0; });
}

size_t Outages::held() const {
  return Count([](const Entry& entry) { return entry.hold != Hold::kReady; });
}

}  // namespace rum

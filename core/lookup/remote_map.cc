#include "lookup/remote_map.h"

#include <time.h>

#include <utility>

#include "base/clock.h"
#include "map/map_record.h"

namespace rum {
namespace {

constexpr uint64_t kDestinationsFor = 3600000;  // ms
constexpr timeval kDestinationsEvery = {1, 0};

}  // namespace

RemoteMap::RemoteMap(Resolver& resolver, std::vector<MapSource> sources, Settings settings)
    : sources_(std::move(sources)),
      settings_(std::move(settings)),
      cache_(settings_.cache, sources_.size()),
      thread_(resolver, "rum-lookup"),
      destinations_due_(nullptr, event_free),
      states_(sources_.size()) {}

RemoteMap::~RemoteMap() { thread_.Stop(); }

Status RemoteMap::Start(OnDestinations on_destinations) {
  on_destinations_ = std::move(on_destinations);
  destinations_due_.reset(event_new(base(), -1, EV_PERSIST, OnDestinationsDue, this));
  for (size_t i = 0; i < sources_.size(); ++i) {
    remotes_.push_back(sources_[i].remote() ? std::make_unique<Source>() : nullptr);
  }
#ifdef HAVE_CURL
  StartHttp();
#endif
  return thread_.Start([this] { Run(); });
}

std::unique_ptr<RemoteSource> RemoteMap::Make(size_t source) {
#ifdef HAVE_CURL
  if (sources_[source].kind == MapSource::Kind::kHttp) {
    return MakeHttpSource(*this, source, sources_[source], settings_.source);
  }
#endif
  return MakeRedisSource(*this, source, sources_[source], settings_.source);
}

void RemoteMap::Run() {
  event_add(destinations_due_.get(), &kDestinationsEvery);
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (!remotes_[i]) continue;
    remotes_[i]->remote = Make(i);
    remotes_[i]->remote->Start();
  }
}

bool RemoteMap::Find(size_t source, std::string_view user, RemoteAnswer* answer) {
  return cache_.Find(source, user, NowMillis(), answer);
}

bool RemoteMap::Ask(size_t source, std::string_view user, RecordCache::Waiter waiter,
                    RemoteAnswer* answer) {
  const uint64_t now = NowMillis();
  *answer = RemoteAnswer();
  if (remotes_[source]->down) {
    if (!cache_.FindStale(source, user, now, answer)) answer->why = "the source is down";
    return true;
  }
  switch (cache_.Begin(source, user, now, std::move(waiter), answer)) {
    case RecordCache::Ask::kAnswered:
      return true;
    case RecordCache::Ask::kFull:
      if (!cache_.FindStale(source, user, now, answer)) {
        answer->why = "too many look-ups are under way";
      }
      return true;
    case RecordCache::Ask::kJoined:
      return false;
    case RecordCache::Ask::kBegun:
      break;
  }
  thread_.Post([this, source, name = std::string(user)] { AskSource(source, name); });
  return false;
}

void RemoteMap::AskSource(size_t source, const std::string& user) {
  Source& s = *remotes_[source];
  s.questions.fetch_add(1, std::memory_order_relaxed);
  s.asked[user] = NowMicros();
  s.remote->Ask(user);
}

void RemoteMap::Answer(size_t source, const std::string& user, RemoteAnswer answer) {
  Source& s = *remotes_[source];
  if (auto asked = s.asked.extract(user)) times_.Add(NowMicros() - asked.mapped());
  if (answer.kind == RemoteAnswer::Kind::kUnavailable) {
    s.failures.fetch_add(1, std::memory_order_relaxed);
  } else if (answer.value) {
    Remember(*answer.value);
  }
  const bool second = s.again.erase(user) > 0;
  RecordCache::Ended ended = cache_.Answer(source, user, NowMillis(), std::move(answer));
  if (ended.outdated && !second) return AskAgain(source, user, std::move(ended.waiters));
  for (RecordCache::Waiter& waiter : ended.waiters) waiter(ended.answer);
}

// The record has changed while it was asked for, or a pause has ended: who waits gets what is known
// after that. Once, so that nobody waits for an end of changes.
void RemoteMap::AskAgain(size_t source, const std::string& user,
                         std::vector<RecordCache::Waiter> waiters) {
  bool begun = false;
  for (RecordCache::Waiter& waiter : waiters) {
    RemoteAnswer answer;
    switch (cache_.Begin(source, user, NowMillis(), waiter, &answer)) {
      case RecordCache::Ask::kBegun:
        begun = true;
        break;
      case RecordCache::Ask::kJoined:
        break;
      case RecordCache::Ask::kFull:
        answer.why = "too many look-ups are under way";
        [[fallthrough]];
      case RecordCache::Ask::kAnswered:
        waiter(answer);
    }
  }
  if (!begun) return;
  remotes_[source]->again.insert(user);
  AskSource(source, user);
}

void RemoteMap::Forget(std::string_view user) {
  for (size_t i = 0; i < sources_.size(); ++i) cache_.Forget(i, user);
}

void RemoteMap::ForgetAll() {
  for (size_t i = 0; i < sources_.size(); ++i) cache_.ForgetAll(i);
}

void RemoteMap::SuspectAll() {
  for (size_t i = 0; i < sources_.size(); ++i) cache_.Suspect(i);
}

void RemoteMap::Report(size_t source, bool usable, const std::string& fault) {
  remotes_[source]->down = !usable;
  const bool up = usable && fault.empty();
  std::lock_guard lock(mutex_);
  SourceState& state = states_[source];
  if (!state.known || state.up != up) state.since = ::time(nullptr);
  state.known = true;
  state.answered |= usable;
  state.up = up;
  state.fault = fault;
}

std::vector<RemoteMap::SourceState> RemoteMap::States() const {
  std::unique_lock lock(mutex_);
  auto states = states_;
  lock.unlock();
  for (size_t i = 0; i < remotes_.size(); ++i) {
    if (!remotes_[i]) continue;
    states[i].questions = remotes_[i]->questions;
    states[i].failures = remotes_[i]->failures;
  }
  return states;
}

uint64_t RemoteMap::questions() const {
  uint64_t sum = 0;
  for (const auto& source : remotes_) sum += source ? source->questions.load() : 0;
  return sum;
}

// -- servers --------------------------------------------------------------------------------------

void RemoteMap::Remember(const std::string& value) {
  auto record = ParseMapRecord(value);
  if (!record) return;
  for (std::string_view rest = record->destination; !rest.empty();) {
    const size_t comma = rest.find(',');
    std::string server(rest.substr(0, comma));
    rest = comma == rest.npos ? std::string_view() : rest.substr(comma + 1);
    auto known = destinations_.find(server);
    if (known != destinations_.end()) {
      known->second = NowMillis();
    } else if (destinations_.size() < kDestinationsMost) {
      destinations_.emplace(std::move(server), NowMillis());
      new_destinations_ = true;
    }
  }
}

void RemoteMap::OnDestinationsDue(evutil_socket_t, short, void* self) {
  auto& map = *static_cast<RemoteMap*>(self);
  const uint64_t now = NowMillis();
  const size_t gone = std::erase_if(
      map.destinations_, [now](const auto& one) { return now - one.second > kDestinationsFor; });
  if (!std::exchange(map.new_destinations_, false) && !gone) return;
  std::vector<std::string> all;
  for (const auto& [server, seen] : map.destinations_) all.push_back(server);
  if (map.on_destinations_) map.on_destinations_(std::move(all));
}

}  // namespace rum

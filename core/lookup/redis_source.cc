#include "lookup/redis_source.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace rum {
namespace {

constexpr uint64_t kCheckEvery = 2000;           // ms
constexpr uint64_t kSteady = 1000;               // ms
constexpr const char* kCheckUser = "rum-check";  // whether there is such a user does not matter

}  // namespace

RedisSource::RedisSource(SourceHost& host, size_t index, const MapSource& source,
                         const SourceOptions& options)
    : host_(host),
      index_(index),
      source_(source),
      options_(options),
      connection_(
          host.base(), *this,
          [this](const std::string& name, auto found) { host_.Resolve(name, std::move(found)); },
          source, options.password, options.tls),
      timer_(evtimer_new(host.base(), OnTimer, this), event_free) {
  constexpr std::string_view kUser = "{user}";
  const size_t at = source_.key.find(kUser);
  if (at != std::string::npos && source_.key.find(kUser, at + 1) == std::string::npos) {
    prefix_ = source_.key.substr(0, at);
    suffix_ = source_.key.substr(at + kUser.size());
  }
  if (source_.sentinels.empty()) return;
  sentinels_ = std::make_unique<SentinelWatch>(
      host, source, options, [this](const MapSource::Host& master) { OnMaster(master); },
      [this](const std::string& why) {
        if (state_ == State::kResolving) Lose(why, false);
      });
}

void RedisSource::Start() {
  if (sentinels_) sentinels_->Start();
  Connect();
}

// -- the connection -------------------------------------------------------------------------------

// The one before may still answer, and take changes that will be lost.
void RedisSource::OnMaster(const MapSource::Host& master) {
  const bool other = master_.has_value();
  master_ = master;
  if (other) log::Info("{}: the master is {}:{}", source_.text, master.name, master.port);
  if (state_ == State::kResolving) {
    Connect();
  } else if (state_ == State::kIdle) {
    retry_at_ = 0;
    Arm();
  } else {
    Lose("Sentinel names another master", true);
  }
}

void RedisSource::Connect() {
  if (sentinels_ && !master_) {
    state_ = State::kResolving;
    waits_since_ = NowMillis();
    return Arm();
  }
  state_ = State::kConnecting;
  master_ ? connection_.OpenAt(*master_) : connection_.Open();
  Arm();
}

void RedisSource::OnConnected() {
  state_ = State::kGreeting;
  Hello();
}

void RedisSource::Hello() { Send(Expected::kHello, {"HELLO", "3"}); }

void RedisSource::Subscribe() { Send(Expected::kSubscribe, {"SUBSCRIBE", source_.channel}); }

// What the cache has is suspect from here on: changes are announced, but those before were missed.
void RedisSource::FinishGreeting() {
  host_.Suspect(index_);
  if (!prefix_.empty() && !resp2_) {
    Send(Expected::kTracking, {"CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix_});
  }
  Send(Expected::kPolicy, {"CONFIG", "GET", "maxmemory-policy"});
  Try();
  Send(Expected::kFirstMark, {"GET", source_.marker});
}

void RedisSource::BecomeReady() {
  state_ = State::kReady;
  retry_.Reset();
  strangers_ = 0;
  checking_ = false;
  checked_ = ready_at_ = NowMillis();
  down_ = false;
  auto held = std::exchange(held_, {});
  for (const Question& question : held) AskRecord(question.user, question.at);
  Arm();
}

// A server that closes each connection at once is one that is down.
void RedisSource::OnBroken(const std::string& why, bool junk) {
  Lose(why, !junk && state_ == State::kReady && NowMillis() - ready_at_ >= kSteady);
}

// A server that closes a connection may take the next one at once, so that nobody notices: then
// `keep_questions`, and only a failure to connect makes the source unavailable.
void RedisSource::Lose(const std::string& why, bool keep_questions) {
  connection_.Close();
  state_ = State::kIdle;
  auto pending = std::exchange(pending_, {});
  for (const Pending& one : pending) {
    if (one.what != Expected::kRecord && one.what != Expected::kConfirmed) continue;
    if (keep_questions) {
      held_.push_back({one.user, one.at});
    } else {
      Unavailable(one.user, why);
    }
  }
  if (keep_questions) {
    log::Warning("{}: the connection is lost: {}", source_.text, why);
    retry_at_ = 0;
    return Arm();
  }
  if (connection_.OpenNext()) {
    state_ = State::kConnecting;
    return Arm();
  }
  if (!std::exchange(down_, true)) log::Warning("{}: the source is down: {}", source_.text, why);
  host_.Report(index_, false, why);
  if (!connection_.host().empty()) host_.SuspectName(connection_.host());
  FailHeld(why);
  retry_at_ = NowMillis() + retry_.Next();
  Arm();
}

void RedisSource::FailHeld(const std::string& why) {
  auto held = std::exchange(held_, {});
  for (const Question& question : held) Unavailable(question.user, why);
}

// -- questions ------------------------------------------------------------------------------------

void RedisSource::Ask(const std::string& user) {
  const uint64_t now = NowMillis();
  if (state_ == State::kReady) {
    AskRecord(user, now);
  } else if (down_) {
    return Unavailable(user, "the source is down");
  } else {
    held_.push_back({user, now});
  }
  Arm();
}

void RedisSource::AppendQuestion(std::string& out, const std::string& user) const {
  const std::string key = ForUser(source_.key, user);
  if (source_.field.empty()) {
    AppendResp(out, {"GET", key});
  } else {
    AppendResp(out, {"HGET", key, ForUser(source_.field, user)});
  }
}

void RedisSource::AskRecord(const std::string& user, uint64_t at) {
  std::string out;
  AppendQuestion(out, user);
  connection_.Send(out);
  pending_.push_back({Expected::kRecord, user, at});
}

// A user of Redis may be allowed to read the marker and no record.
void RedisSource::Try() {
  std::string out;
  AppendQuestion(out, kCheckUser);
  connection_.Send(out);
  pending_.push_back({Expected::kTrial, {}, NowMillis()});
}

void RedisSource::Confirm(const std::string& user, uint64_t at) {
  std::string out;
  AppendResp(out, {"MULTI"});
  AppendQuestion(out, user);
  AppendResp(out, {"GET", source_.marker});
  AppendResp(out, {"ECHO", user});
  AppendResp(out, {"EXEC"});
  connection_.Send(out);
  pending_.push_back({Expected::kMulti, {}, at});
  for (int i = 0; i < 3; ++i) pending_.push_back({Expected::kQueued, {}, at});
  pending_.push_back({Expected::kConfirmed, user, at});
}

void RedisSource::Send(Expected what, std::initializer_list<std::string_view> words) {
  std::string out;
  AppendResp(out, words);
  connection_.Send(out);
  pending_.push_back({what, {}, NowMillis()});
}

void RedisSource::Unavailable(const std::string& user, const std::string& why) {
  host_.Answer(index_, user,
               {.kind = RemoteAnswer::Kind::kUnavailable, .value = nullptr, .why = why});
}

// -- deadlines ------------------------------------------------------------------------------------

uint64_t RedisSource::ConnectDeadline() const {
  return (state_ == State::kResolving ? waits_since_ : connection_.begun()) + options_.timeout;
}

void RedisSource::Arm() {
  const uint64_t now = NowMillis();
  uint64_t due = UINT64_MAX;
  if (state_ == State::kIdle) {
    due = retry_at_;
  } else if (state_ != State::kReady) {
    due = ConnectDeadline();
  } else {
    due = checked_ + kCheckEvery;
    if (!pending_.empty()) due = std::min(due, pending_.front().at + options_.timeout);
  }
  if (!held_.empty()) due = std::min(due, held_.front().at + options_.timeout);
  due = std::max(due, now + 1);
  if (armed_ && armed_ <= due) return;
  armed_ = due;
  const timeval wait = TimevalOf(Millis(due - now));
  evtimer_add(timer_.get(), &wait);
}

void RedisSource::OnTimer(evutil_socket_t, short, void* self) {
  auto& source = *static_cast<RedisSource*>(self);
  source.armed_ = 0;
  source.OnDue();
  source.Arm();
}

void RedisSource::OnDue() {
  const uint64_t now = NowMillis();
  while (!held_.empty() && now >= held_.front().at + options_.timeout) {
    const std::string user = std::move(held_.front().user);
    held_.pop_front();
    Unavailable(user, "no connection within --map-timeout");
  }
  if (state_ == State::kIdle) {
    if (now >= retry_at_) Connect();
  } else if (state_ != State::kReady) {
    if (now >= ConnectDeadline()) {
      const char* lacks = state_ == State::kResolving ? "no master" : connection_.Lacks();
      Lose(std::string(lacks) + " within --map-timeout", false);
    }
  } else if (!pending_.empty() && now >= pending_.front().at + options_.timeout) {
    // A late answer must not be taken for that of the next question.
    Lose("no answer within --map-timeout", false);
  } else if (!checking_ && now >= checked_ + kCheckEvery) {
    checking_ = true;
    checked_ = now;
    Try();
    Send(Expected::kMark, {"GET", source_.marker});
  } else if (checking_) {
    checked_ = now;  // its deadline is that of its reply
  }
}

std::unique_ptr<RemoteSource> MakeRedisSource(SourceHost& host, size_t index,
                                              const MapSource& source,
                                              const SourceOptions& options) {
  return std::make_unique<RedisSource>(host, index, source, options);
}

}  // namespace rum

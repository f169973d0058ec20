#include "lookup/redis_source.h"

#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/escape.h"
#include "base/log.h"
#include "lookup/record_line.h"
#include "map/column.h"

namespace rum {
namespace {

using Type = RespReply::Type;

constexpr uint64_t kCheckEvery = 2000;                    // ms
constexpr uint64_t kRetryFirst = 100, kRetryMost = 5000;  // ms between attempts to connect
constexpr uint64_t kSteady = 1000;                        // ms
// Records of other users in a row: the server's replies are out of step with the questions.
constexpr unsigned kStrangersMost = 3;

std::string Printable(std::string_view text) {
  std::string out;
  AppendEscaped(out, text.substr(0, 120));
  return out;
}

std::string Describe(const RespReply& reply) {
  return reply.type == Type::kError ? Printable(reply.text) : "an unexpected reply";
}

}  // namespace

RedisSource::RedisSource(SourceHost& host, size_t index, const MapSource& source,
                         const SourceOptions& options)
    : host_(host),
      index_(index),
      source_(source),
      options_(options),
      stream_(host.base(), *this),
      timer_(evtimer_new(host.base(), OnTimer, this), event_free) {
  constexpr std::string_view kUser = "{user}";
  const size_t at = source_.key.find(kUser);
  if (at != std::string::npos && source_.key.find(kUser, at + 1) == std::string::npos) {
    prefix_ = source_.key.substr(0, at);
    suffix_ = source_.key.substr(at + kUser.size());
  }
}

void RedisSource::Start() { Resolve(); }

// -- the connection -------------------------------------------------------------------------------

void RedisSource::Resolve() {
  begun_ = NowMillis();
  const uint64_t generation = ++generation_;
  address_ = 0;
  addresses_.clear();
  if (!source_.path.empty()) return Connect();
  if (auto number = SocketAddress::Numeric(source_.host, source_.port)) {
    addresses_ = {*number};
    return Connect();
  }
  state_ = State::kResolving;
  host_.Resolve(source_.host, [this, generation](std::vector<SocketAddress> found) {
    if (generation != generation_ || state_ != State::kResolving) return;
    addresses_ = std::move(found);
    for (SocketAddress& address : addresses_) address.set_port(source_.port);
    if (addresses_.empty()) return Lose("the name " + source_.host + " has no address", false);
    Connect();
  });
  Arm();
}

void RedisSource::Connect() {
  begun_ = NowMillis();
  state_ = State::kConnecting;
  auto tls = source_.tls ? options_.tls : nullptr;
  if (source_.path.empty()) {
    const SocketAddress& address = addresses_[address_];
    stream_.Connect(address.get(), address.size(), std::move(tls), source_.host);
  } else {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    source_.path.copy(address.sun_path, sizeof address.sun_path - 1);
    stream_.Connect(reinterpret_cast<const sockaddr*>(&address), sizeof address, nullptr, {});
  }
  Arm();
}

void RedisSource::OnOpen() {
  state_ = State::kGreeting;
  if (options_.password.empty()) return Hello();
  if (source_.user.empty()) return Send(Expected::kAuth, {"AUTH", options_.password});
  Send(Expected::kAuth, {"AUTH", source_.user, options_.password});
}

void RedisSource::Hello() { Send(Expected::kHello, {"HELLO", "3"}); }

void RedisSource::Subscribe() { Send(Expected::kSubscribe, {"SUBSCRIBE", source_.channel}); }

// What the cache has is suspect from here on: changes are announced, but those before were missed.
void RedisSource::FinishGreeting() {
  host_.Suspect(index_);
  if (source_.database) {
    Send(Expected::kSelect, {"SELECT", std::to_string(source_.database)});
  }
  if (!prefix_.empty() && !resp2_) {
    Send(Expected::kOptional, {"CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", prefix_});
  }
  Send(Expected::kPolicy, {"CONFIG", "GET", "maxmemory-policy"});
  Send(Expected::kFirstMark, {"GET", source_.marker});
}

void RedisSource::BecomeReady() {
  state_ = State::kReady;
  failures_ = 0;
  strangers_ = 0;
  checking_ = false;
  checked_ = ready_at_ = NowMillis();
  down_ = false;
  auto held = std::exchange(held_, {});
  for (const Question& question : held) AskRecord(question.user, question.at);
  Arm();
}

// A server that closes each connection at once is one that is down.
void RedisSource::OnLost(const std::string& why) {
  Lose(why, state_ == State::kReady && NowMillis() - ready_at_ >= kSteady);
}

// A server that closes a connection may take the next one at once, so that nobody notices: then
// `keep_questions`, and only a failure to connect makes the source unavailable.
void RedisSource::Lose(const std::string& why, bool keep_questions) {
  stream_.Close();
  ++generation_;
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
  if (address_ + 1 < addresses_.size()) {
    ++address_;
    return Connect();
  }
  if (!std::exchange(down_, true)) log::Warning("{}: the source is down: {}", source_.text, why);
  host_.Report(index_, false, why);
  FailHeld(why);
  const uint64_t wait = std::min(kRetryFirst << std::min(failures_, 8u), kRetryMost);
  ++failures_;
  retry_at_ = NowMillis() + wait / 2 + random_() % (wait / 2 + 1);
  Arm();
}

void RedisSource::FailHeld(const std::string& why) {
  auto held = std::exchange(held_, {});
  for (const Question& question : held) Unavailable(question.user, why);
}

// -- replies --------------------------------------------------------------------------------------

void RedisSource::OnBytes(std::string& bytes) {
  size_t at = 0;
  const uint64_t generation = generation_;
  while (true) {
    RespReply reply;
    size_t used = 0;
    const RespRead read = ReadResp(std::string_view(bytes).substr(at), &used, &reply);
    if (read == RespRead::kMore) break;
    if (read == RespRead::kBroken) return Lose("it sends no valid replies", false);
    at += used;
    reply.type == Type::kPush ? OnPush(reply) : OnReply(reply);
    if (generation != generation_) return;  // lost
  }
  bytes.erase(0, at);
}

void RedisSource::OnReply(const RespReply& reply) {
  if (pending_.empty()) return Lose("it sends replies that nobody asked for", false);
  const Pending front = std::move(pending_.front());
  pending_.pop_front();
  switch (front.what) {
    case Expected::kRecord:
      return OnRecord(front, reply);
    case Expected::kMulti:
    case Expected::kQueued:
      // Errors come with the reply of EXEC, too.
      if (reply.type == Type::kError) return;
      if (reply.is(front.what == Expected::kMulti ? "OK" : "QUEUED")) return;
      return Lose("its replies do not fit the questions", false);
    case Expected::kConfirmed:
      return OnConfirmed(front, reply);
    case Expected::kMark:
      checking_ = false;
      return OnMark(reply);
    default:
      return OnGreeting(front.what, reply);
  }
}

void RedisSource::OnGreeting(Expected what, const RespReply& reply) {
  const bool error = reply.type == Type::kError;
  switch (what) {
    case Expected::kAuth:
      if (!reply.is("OK")) return Lose("AUTH: " + Describe(reply), false);
      return Hello();
    case Expected::kHello:
      if (!error) {
        resp2_ = false;
        return Subscribe();
      }
      if (!reply.text.starts_with("ERR unknown command") && !reply.text.starts_with("NOPROTO")) {
        return Lose("HELLO: " + Describe(reply), false);
      }
      if (!std::exchange(resp2_, true)) {
        log::Warning("{}: the server has no RESP3: changes are seen when --map-ttl is over",
                     source_.text);
      }
      return FinishGreeting();
    case Expected::kSubscribe:  // success is a push
      if (!error) return Lose("its replies do not fit the questions", false);
      if (!std::exchange(channel_logged_, true)) {
        log::Warning("{}: cannot listen to changes: {}", source_.text, Describe(reply));
      }
      return FinishGreeting();
    case Expected::kSelect:
      if (!reply.is("OK")) return Lose("SELECT: " + Describe(reply), false);
      return;
    case Expected::kPolicy:
      return OnPolicy(reply);
    case Expected::kFirstMark:
      if (error) return Lose(Describe(reply), false);
      if (failures_ > 0) log::Info("{}: the source is up", source_.text);
      BecomeReady();
      return OnMark(reply);
    default:
      return;
  }
}

// A server that evicts keys would lose users.
void RedisSource::OnPolicy(const RespReply& reply) {
  if (reply.type != Type::kArray || reply.items.size() != 2) return;
  const std::string& policy = reply.items[1].text;
  if (!policy.starts_with("allkeys-") || std::exchange(policy_logged_, true)) return;
  log::Warning("{}: maxmemory-policy is {}: the server may evict users; set noeviction",
               source_.text, Printable(policy));
}

void RedisSource::OnMark(const RespReply& reply) {
  std::string fault;
  if (reply.type == Type::kNil) {
    fault = "the key " + Printable(source_.marker) +
            " is missing: that a user does not exist is not believed";
  } else if (reply.type != Type::kText) {
    fault = Describe(reply);
  }
  host_.Report(index_, true, fault);
}

void RedisSource::OnRecord(const Pending& question, const RespReply& reply) {
  if (reply.type == Type::kNil) return Confirm(question.user, question.at);
  if (reply.type == Type::kError) return Unavailable(question.user, Describe(reply));
  if (reply.type != Type::kText) return Lose("its replies do not fit the questions", false);
  bool other = false;
  auto value = ReadRecordLine(question.user, reply.text, &other);
  strangers_ = other ? strangers_ + 1 : 0;
  if (value) {
    return host_.Answer(index_, question.user,
                        {.kind = RemoteAnswer::Kind::kFound,
                         .value = std::make_shared<const std::string>(std::move(*value)),
                         .why = {}});
  }
  const std::string why = "user " + QuoteBytes(question.user) + " " + value.error().text;
  log::Warning("{}: {}", source_.text, why);
  Unavailable(question.user, why);
  if (strangers_ >= kStrangersMost) Lose("its replies do not fit the questions", false);
}

// The record, the marker and the name as of one moment: the name shows that the reply is that of
// this question.
void RedisSource::OnConfirmed(const Pending& question, const RespReply& reply) {
  if (reply.type == Type::kError) return Unavailable(question.user, Describe(reply));
  if (reply.type != Type::kArray || reply.items.size() != 3 || !reply.items[2].is(question.user)) {
    Unavailable(question.user, "its replies do not fit the questions");
    return Lose("its replies do not fit the questions", false);
  }
  const RespReply& record = reply.items[0];
  const RespReply& mark = reply.items[1];
  if (record.type == Type::kText) return OnRecord(question, record);  // it was written meanwhile
  if (record.type != Type::kNil) return Unavailable(question.user, Describe(record));
  if (mark.type == Type::kText) {
    return host_.Answer(index_, question.user,
                        {.kind = RemoteAnswer::Kind::kNotFound, .value = nullptr, .why = {}});
  }
  OnMark(mark);
  Unavailable(question.user, "there is no such key, but no key " + Printable(source_.marker) +
                                 " either: the server may be empty");
}

void RedisSource::OnPush(const RespReply& push) {
  if (push.items.empty()) return;
  const RespReply& kind = push.items[0];
  if (kind.is("subscribe")) {
    if (pending_.empty() || pending_.front().what != Expected::kSubscribe) return;
    pending_.pop_front();
    return FinishGreeting();
  }
  if (kind.is("invalidate") && push.items.size() == 2) return OnInvalidated(push.items[1]);
  if (!kind.is("message") || push.items.size() != 3) return;
  const std::string& user = push.items[2].text;
  user == "*" ? host_.Suspect(index_) : host_.Forget(index_, user);
}

// Keys that have changed; nil: all (FLUSHALL).
void RedisSource::OnInvalidated(const RespReply& keys) {
  if (keys.type == Type::kNil) return host_.Suspect(index_);
  for (const RespReply& key : keys.items) {
    std::string_view user = key.text;
    if (user.size() < prefix_.size() + suffix_.size() || !user.starts_with(prefix_) ||
        !user.ends_with(suffix_)) {
      continue;
    }
    user.remove_prefix(prefix_.size());
    user.remove_suffix(suffix_.size());
    host_.Forget(index_, user);
  }
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
  stream_.Send(out);
  pending_.push_back({Expected::kRecord, user, at});
}

void RedisSource::Confirm(const std::string& user, uint64_t at) {
  std::string out;
  AppendResp(out, {"MULTI"});
  AppendQuestion(out, user);
  AppendResp(out, {"GET", source_.marker});
  AppendResp(out, {"ECHO", user});
  AppendResp(out, {"EXEC"});
  stream_.Send(out);
  pending_.push_back({Expected::kMulti, {}, at});
  for (int i = 0; i < 3; ++i) pending_.push_back({Expected::kQueued, {}, at});
  pending_.push_back({Expected::kConfirmed, user, at});
}

void RedisSource::Send(Expected what, std::initializer_list<std::string_view> words) {
  std::string out;
  AppendResp(out, words);
  stream_.Send(out);
  pending_.push_back({what, {}, NowMillis()});
}

void RedisSource::Unavailable(const std::string& user, const std::string& why) {
  host_.Answer(index_, user,
               {.kind = RemoteAnswer::Kind::kUnavailable, .value = nullptr, .why = why});
}

// -- deadlines ------------------------------------------------------------------------------------

void RedisSource::Arm() {
  const uint64_t now = NowMillis();
  uint64_t due = UINT64_MAX;
  if (state_ == State::kIdle) {
    due = retry_at_;
  } else if (state_ != State::kReady) {
    due = begun_ + options_.timeout;
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
    if (now >= retry_at_) Resolve();
  } else if (state_ != State::kReady) {
    if (now >= begun_ + options_.timeout) Lose("no connection within --map-timeout", false);
  } else if (!pending_.empty() && now >= pending_.front().at + options_.timeout) {
    // A late answer must not be taken for that of the next question.
    Lose("no answer within --map-timeout", false);
  } else if (!checking_ && now >= checked_ + kCheckEvery) {
    checking_ = true;
    checked_ = now;
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

// What a Redis replies: greeting, records, changes. Whatever does not fit the questions ends the
// connection.
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "lookup/record_line.h"
#include "lookup/redis_source.h"
#include "map/column.h"

namespace rum {
namespace {

using Type = RespReply::Type;

// Records of other users in a row: the server's replies are out of step with the questions.
constexpr unsigned kStrangersMost = 3;

// As the reply of HELLO says, a map.
bool IsReplica(const RespReply& hello) {
  for (size_t i = 0; i + 1 < hello.items.size(); i += 2) {
    if (hello.items[i].is("role")) return !hello.items[i + 1].is("master");
  }
  return false;
}

}  // namespace

void RedisSource::OnReply(RespReply reply) {
  if (reply.type == Type::kPush) return OnPush(reply);
  if (pending_.empty()) return Lose("it sends replies that nobody asked for", false);
  const Pending front = std::move(pending_.front());
  pending_.pop_front();
  switch (front.what) {
    case Expected::kRecord:
      return OnRecord(front, reply);
    case Expected::kMulti:
    case Expected::kQueued:
      // Errors come with the reply of EXEC, too; without MULTI, what follows is executed.
      if (front.what == Expected::kMulti) no_multi_ = reply.type == Type::kError;
      if (no_multi_ || reply.type == Type::kError) return;
      if (reply.is(front.what == Expected::kMulti ? "OK" : "QUEUED")) return;
      return Lose("its replies do not fit the questions", false);
    case Expected::kConfirmed:
      return OnConfirmed(front, reply);
    case Expected::kTrial:
      return OnTrial(reply);
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
    case Expected::kHello:
      if (!error) {
        if (sentinels_ && IsReplica(reply)) return Lose("it is a replica, not the master", false);
        resp2_ = false;
        return Subscribe();
      }
      if (!reply.text.starts_with("ERR unknown command") && !reply.text.starts_with("NOPROTO")) {
        const bool password = options_.password.empty() && reply.text.starts_with("NOAUTH");
        return Lose(password ? "NOAUTH: the server wants a password: give --map-password-file"
                             : "HELLO: " + Describe(reply),
                    false);
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
    case Expected::kTracking:
      if (error && !std::exchange(tracking_logged_, true)) {
        log::Warning("{}: changed keys are not announced, only what is published: {}", source_.text,
                     Describe(reply));
      }
      return;
    case Expected::kPolicy:
      return OnPolicy(reply);
    case Expected::kFirstMark:
      if (error) return Lose(Describe(reply), false);
      if (retry_.failed()) log::Info("{}: the source is up", source_.text);
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
               source_.text, PrintableReply(policy));
}

void RedisSource::OnTrial(const RespReply& reply) {
  const std::string before = std::exchange(trial_fault_, {});
  if (reply.type == Type::kError) trial_fault_ = "look-ups fail: " + Describe(reply);
  if (state_ != State::kReady) {
    if (!trial_fault_.empty()) Lose(trial_fault_, false);
  } else if (before.empty() && !trial_fault_.empty()) {
    log::Warning("{}: the source is down: {}", source_.text, trial_fault_);
  } else if (!before.empty() && trial_fault_.empty()) {
    log::Info("{}: the source is up", source_.text);
  }
}

void RedisSource::OnMark(const RespReply& reply) {
  if (!trial_fault_.empty()) return host_.Report(index_, false, trial_fault_);
  std::string fault;
  if (reply.type == Type::kNil) {
    fault = "the key " + PrintableReply(source_.marker) +
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
  if (reply.type == Type::kError) {
    if (no_multi_ && !std::exchange(multi_logged_, true)) {
      log::Warning("{}: without MULTI, nobody is believed not to exist: {}", source_.text,
                   Describe(reply));
    }
    return Unavailable(question.user, Describe(reply));
  }
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
  Unavailable(question.user, "there is no such key, but no key " + PrintableReply(source_.marker) +
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

}  // namespace rum

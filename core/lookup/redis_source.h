// Records in Redis or Valkey: one connection, on which questions are pipelined and on which the
// server announces changes (RESP3).
#pragma once

#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/resp.h"
#include "lookup/redis_connection.h"
#include "lookup/remote_source.h"
#include "lookup/sentinel_watch.h"

namespace rum {

class RedisSource final : public RemoteSource, private RedisConnection::Owner {
 public:
  RedisSource(SourceHost& host, size_t index, const MapSource& source,
              const SourceOptions& options);

  void Start() override;
  void Ask(const std::string& user) override;

 private:
  enum class State : uint8_t {
    kIdle,        // not connected; Connect() at retry_at_
    kResolving,   // awaits a Sentinel's word on the master
    kConnecting,  // awaits OnConnected()
    kGreeting,    // HELLO, SUBSCRIBE and what follows await their replies
    kReady,       // serves
  };
  enum class Expected : uint8_t {
    kHello,
    kSubscribe,
    kTracking,   // an error is no fault
    kPolicy,     // of eviction
    kTrial,      // a look-up that shows whether there can be any
    kFirstMark,  // the last one of the greeting
    kMark,       // a check
    kRecord,     // of `user`
    kMulti,      // the five below and this confirm that there is no such user
    kQueued,
    kConfirmed,
  };
  struct Question {
    std::string user;
    uint64_t at;  // when it was asked, monotonic ms
  };
  struct Pending {
    Expected what;
    std::string user;
    uint64_t at;
  };

  // RedisConnection::Owner
  void OnConnected() override;
  void OnReply(RespReply reply) override;
  void OnBroken(const std::string& why, bool junk) override;

  void OnMaster(const MapSource::Host& master);
  void Connect();
  void Hello();
  void Subscribe();
  void FinishGreeting();
  void BecomeReady();
  void Lose(const std::string& why, bool keep_questions);
  void OnPush(const RespReply& push);
  void OnInvalidated(const RespReply& keys);
  void OnGreeting(Expected what, const RespReply& reply);
  void OnPolicy(const RespReply& reply);
  void OnTrial(const RespReply& reply);
  void OnMark(const RespReply& reply);
  void OnRecord(const Pending& question, const RespReply& reply);
  void OnConfirmed(const Pending& question, const RespReply& reply);
  void AskRecord(const std::string& user, uint64_t at);
  void AppendQuestion(std::string& out, const std::string& user) const;
  void Try();
  void Confirm(const std::string& user, uint64_t at);
  void Send(Expected what, std::initializer_list<std::string_view> words);
  void Unavailable(const std::string& user, const std::string& why);
  void FailHeld(const std::string& why);
  uint64_t ConnectDeadline() const;
  void Arm();
  void OnDue();
  static void OnTimer(evutil_socket_t, short, void* self);

  SourceHost& host_;
  const size_t index_;
  const MapSource source_;
  const SourceOptions options_;
  // Around {user} in the key, if it is there once: for the server's announcements.
  std::string prefix_, suffix_;
  RedisConnection connection_;
  std::unique_ptr<SentinelWatch> sentinels_;  // nullptr: the server has an address
  std::optional<MapSource::Host> master_;     // as they say
  uint64_t waits_since_ = 0;                  // for the master, monotonic ms
  std::unique_ptr<event, decltype(&event_free)> timer_;
  uint64_t armed_ = 0;  // when the timer rings; 0: not set
  State state_ = State::kIdle;
  uint64_t ready_at_ = 0;  // when the current connection became ready
  uint64_t retry_at_ = 0;
  RetryDelay retry_;
  bool down_ = false;            // as reported
  std::deque<Pending> pending_;  // replies to come, in order
  std::deque<Question> held_;    // questions that wait for the connection
  uint64_t checked_ = 0;         // when the last check was sent
  bool checking_ = false;
  unsigned strangers_ = 0;  // records of other users in a row
  bool resp2_ = false;      // the server has no RESP3
  bool policy_logged_ = false, channel_logged_ = false, tracking_logged_ = false,
       multi_logged_ = false;
  bool no_multi_ = false;    // MULTI of the reply to come was refused
  std::string trial_fault_;  // why look-ups fail; empty: they do not
};

}  // namespace rum

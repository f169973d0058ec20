// Records in Redis or Valkey: one connection, on which questions are pipelined and on which the
// server announces changes (RESP3).
#pragma once

#include <deque>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/resp.h"
#include "lookup/remote_source.h"
#include "lookup/source_stream.h"

namespace rum {

class RedisSource final : public RemoteSource, private SourceStream::Owner {
 public:
  RedisSource(SourceHost& host, size_t index, const MapSource& source,
              const SourceOptions& options);

  void Start() override;
  void Ask(const std::string& user) override;

 private:
  enum class State : uint8_t {
    kIdle,        // not connected; Connect() at retry_at_
    kResolving,   // awaits the addresses of the host
    kConnecting,  // awaits OnOpen()
    kGreeting,    // connected; AUTH, HELLO, SUBSCRIBE and what follows await their replies
    kReady,       // serves
  };
  enum class Expected : uint8_t {
    kAuth,
    kHello,
    kSubscribe,
    kSelect,
    kOptional,   // an error is no fault
    kPolicy,     // of eviction
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

  // SourceStream::Owner
  void OnOpen() override;
  void OnBytes(std::string& bytes) override;
  void OnLost(const std::string& why) override;

  void Resolve();
  void Connect();
  void Hello();
  void Subscribe();
  void FinishGreeting();
  void BecomeReady();
  void Lose(const std::string& why, bool keep_questions);
  void OnReply(const RespReply& reply);
  void OnPush(const RespReply& push);
  void OnInvalidated(const RespReply& keys);
  void OnGreeting(Expected what, const RespReply& reply);
  void OnPolicy(const RespReply& reply);
  void OnMark(const RespReply& reply);
  void OnRecord(const Pending& question, const RespReply& reply);
  void OnConfirmed(const Pending& question, const RespReply& reply);
  void AskRecord(const std::string& user, uint64_t at);
  void AppendQuestion(std::string& out, const std::string& user) const;
  void Confirm(const std::string& user, uint64_t at);
  void Send(Expected what, std::initializer_list<std::string_view> words);
  void Unavailable(const std::string& user, const std::string& why);
  void FailHeld(const std::string& why);
  void Arm();
  void OnDue();
  static void OnTimer(evutil_socket_t, short, void* self);

  SourceHost& host_;
  const size_t index_;
  const MapSource source_;
  const SourceOptions options_;
  // Around {user} in the key, if it is there once: for the server's announcements.
  std::string prefix_, suffix_;
  SourceStream stream_;
  std::unique_ptr<event, decltype(&event_free)> timer_;
  uint64_t armed_ = 0;  // when the timer rings; 0: not set
  State state_ = State::kIdle;
  uint64_t generation_ = 0;  // of attempts to connect
  uint64_t begun_ = 0;       // when the current attempt began
  uint64_t ready_at_ = 0;    // when the current connection became ready
  uint64_t retry_at_ = 0;
  unsigned failures_ = 0;  // in a row
  std::vector<SocketAddress> addresses_;
  size_t address_ = 0;           // the one in use
  bool down_ = false;            // as reported
  std::deque<Pending> pending_;  // replies to come, in order
  std::deque<Question> held_;    // questions that wait for the connection
  uint64_t checked_ = 0;         // when the last check was sent
  bool checking_ = false;
  unsigned strangers_ = 0;  // records of other users in a row
  bool resp2_ = false;      // the server has no RESP3
  bool policy_logged_ = false, channel_logged_ = false;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace rum

// Asks other processes for entries of "rum.shared/1", and answers them, by PUBLISH and SUBSCRIBE in
// the Redis of --share, on a connection and a thread of its own. Redis is not trusted: all messages
// are sealed. Without a connection nothing is asked, and the answer is at once that it is unknown.
#pragma once

#include <event2/event.h>

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "lookup/redis_connection.h"
#include "lookup/source_thread.h"
#include "share/questions.h"

namespace rum {

class ShareAsk final : private RedisConnection::Owner {
 public:
  struct Settings {
    MapSource server;
    std::string password;
    std::shared_ptr<const TlsContext> tls;
    std::string name;  // of this process; unique
    std::string module;
    std::string secret;                                      // of all processes; then wiped
    std::function<SharedAnswer(std::string_view key)> find;  // [any] in this process
  };
  // [main]
  ShareAsk(Resolver& resolver, Settings settings);
  ~ShareAsk();

  // [main] Starts the thread; once, and before the workers.
  Status Start();

  // [any] Calls `found` on another thread.
  void Find(std::string key, Questions::Found found);

  struct State {
    bool up = false;    // questions can be asked
    std::string fault;  // why not
  };
  State state() const;                                                     // [any]
  const Questions::Counts& counts() const { return questions_.counts(); }  // [any]

 private:
  enum class Phase : uint8_t {
    kIdle,        // not connected; Connect() at due_
    kConnecting,  // awaits OnConnected()
    kGreeting,    // awaits the replies of HELLO and SUBSCRIBE
    kReady,       // asks and answers
  };
  using Reply = std::function<void(const RespReply&)>;

  // RedisConnection::Owner
  void OnConnected() override;
  void OnReply(RespReply reply) override;
  void OnBroken(const std::string& why, bool junk) override;

  void Connect();
  void Lose(const std::string& why);
  void OnHello(const RespReply& reply);
  void OnPush(const RespReply& push);
  void BecomeReady();
  void Publish(const std::string& channel, const std::string& message, bool question);
  void Ask(std::initializer_list<std::string_view> words, Reply reply);
  void Report(bool up, const std::string& fault);
  void Arm();
  static void OnTimer(evutil_socket_t, short, void* self);

  Settings settings_;  // constant but for the secret
  SourceThread thread_;

  // [the thread] all below, but state_
  Questions questions_;
  std::unique_ptr<RedisConnection> connection_;
  std::unique_ptr<event, decltype(&event_free)> timer_;
  Phase phase_ = Phase::kIdle;
  RetryDelay retry_;
  uint64_t due_ = 0;  // monotonic ms: the next attempt, or that of the phase is over
  struct Awaited {
    Reply take;
    uint64_t due;  // monotonic ms
  };
  std::deque<Awaited> awaited_;  // in the order of what was asked
  int subscribed_ = 0;           // channels

  mutable std::mutex mutex_;  // guards the next two
  bool known_ = false;        // the state was reported
  State state_;
};

}  // namespace rum

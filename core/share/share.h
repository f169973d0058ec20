// Shares limits with other processes through Redis (--share): publishes the sessions of this
// process, reads those of the others, and passes on which addresses are blocked. Whatever Redis
// says or does not say, admission goes on with what is known.
#pragma once

#include <event2/event.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limits/other_nodes.h"
#include "lookup/redis_connection.h"
#include "lookup/source_thread.h"
#include "share/other_charges.h"
#include "share/unblocks.h"

namespace rum {

class AccessControl;
class Admission;

class Share final : private RedisConnection::Owner {
 public:
  static constexpr size_t kNodesMost = 128;     // other processes that are read
  static constexpr size_t kBlocksMost = 10000;  // addresses blocked by all
  static constexpr uint64_t kEvery = 1000;      // ms between two exchanges
  static constexpr uint64_t kCountFor = 5000;   // ms that the counts of a process are used

  struct Settings {
    MapSource server;
    std::string password;
    std::shared_ptr<const TlsContext> tls;
    std::string name;  // of this process; unique
  };
  // [main] All must live longer.
  Share(Resolver& resolver, Settings settings, Admission& admission, AccessControl& access_control,
        OtherNodes& others);
  ~Share();

  // [main] Starts the thread; once, and before the workers.
  Status Start();

  struct State {
    bool known = false;    // a first exchange has succeeded or failed
    bool up = false;       // the last one has succeeded
    std::string fault;     // why not, or what is wrong nevertheless
    int64_t since = 0;     // seconds since 1970, of `up`
    uint64_t read_at = 0;  // monotonic ms, of the counts in use; 0: never
    uint64_t exchanges = 0, failures = 0;
  };
  // [any]
  State state() const;
  const std::string& text() const { return settings_.server.text; }
  const std::string& name() const { return settings_.name; }

 private:
  enum class Phase : uint8_t {
    kIdle,        // not connected; Connect() at due_
    kConnecting,  // awaits OnConnected()
    kReady,       // connected; Exchange() at due_
    kExchange,    // awaits the replies in awaited_
  };
  using Reply = std::function<void(const RespReply&)>;
  struct Block {
    std::string address;
    uint64_t until;  // monotonic ms
  };
  struct Node {
    std::string name;
    std::vector<std::string> pages;
  };

  // RedisConnection::Owner
  void OnConnected() override;
  void OnReply(RespReply reply) override;
  void OnBroken(const std::string& why, bool junk) override;

  void Connect();
  void Lose(const std::string& why);
  void Exchange();
  void OnTime(const RespReply& time);
  void OnUnblocks(const RespReply& list);
  void Publish(uint64_t now);
  void PublishUnblocks(uint64_t now);
  void Read(uint64_t now);
  void OnNodes(const RespReply& names);
  void OnFirstPage(const std::string& node, const RespReply& page);
  void AskBlocks(size_t from);
  void OnBlocks(size_t from, const RespReply& addresses);
  void Finish();
  void ChargeOthers();
  void Report(bool up, const std::string& fault);
  std::string Key(std::string_view name) const { return settings_.server.key + std::string(name); }
  std::string PageKey(const std::string& node, size_t page) const;
  void Ask(std::initializer_list<std::string_view> words, Reply reply);
  Reply Queued();
  void Blame(const std::string& why);

  void HurryUp();
  void OnBlocked(std::string address, Millis time);
  void OnUnblocked(std::string address);
  void ForgetBlock(const std::string& address);
  void Arm();
  static void OnTimer(evutil_socket_t, short, void* self);

  const Settings settings_;
  Admission& admission_;
  AccessControl& access_control_;
  OtherNodes& others_;
  SourceThread thread_;

  // [the thread] all below, but state_
  std::unique_ptr<RedisConnection> connection_;
  std::unique_ptr<event, decltype(&event_free)> timer_;
  Phase phase_ = Phase::kIdle;
  RetryDelay retry_;
  uint64_t due_ = 0;     // monotonic ms
  uint64_t begun_ = 0;   // of the last exchange
  uint64_t least_ = 0;   // ms from its begin to that of an early one
  uint64_t micros_ = 0;  // when it began, for its time
  uint64_t time_ = 0;    // then, by the clock of Redis: microseconds since 1970
  bool hurry_ = false;
  std::deque<Reply> awaited_;                         // in the order of the questions
  std::string fault_;                                 // of the current exchange: the first one
  bool published_ = false;                            // the current exchange has
  size_t pages_ = 0;                                  // asked for in the current exchange
  std::shared_ptr<OtherNodes::Counts> counts_;        // being read
  std::shared_ptr<const OtherNodes::Counts> former_;  // so that no worker destroys it
  std::vector<Block> blocks_;                         // to publish
  size_t blocks_sent_ = 0;                            // the first of them are under way
  Unblocks unblocks_;
  OtherCharges charges_;

  mutable std::mutex mutex_;  // guards state_
  State state_;
};

}  // namespace rum

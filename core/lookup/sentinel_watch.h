// Asks Redis Sentinels which server is the master, again each second. [look-up thread]
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/resp.h"
#include "lookup/redis_connection.h"
#include "lookup/remote_source.h"

namespace rum {

class SentinelWatch final : private RedisConnection::Owner {
 public:
  // `on_master`: the master, when it is known first, and when it is another one; an address or a
  // name, as the Sentinels are configured. `on_failed`: no Sentinel has named one, in a whole
  // round.
  using OnMaster = std::function<void(const MapSource::Host&)>;
  using OnFailed = std::function<void(const std::string& why)>;

  SentinelWatch(SourceHost& host, const MapSource& source, const SourceOptions& options,
                OnMaster on_master, OnFailed on_failed);
  void Start() { Connect(); }

 private:
  // RedisConnection::Owner
  void OnConnected() override;
  void OnReply(RespReply reply) override;
  void OnBroken(const std::string& why, bool junk) override;

  void Connect();
  void Ask();
  void TryNext(const std::string& why);
  void Wait(uint64_t milliseconds);
  static void OnTimer(evutil_socket_t, short, void* self);

  SourceHost& host_;
  const std::vector<MapSource::Host> sentinels_;
  const std::string name_;  // of the master
  const bool has_password_;
  const uint64_t timeout_;
  const OnMaster on_master_;
  const OnFailed on_failed_;
  RedisConnection connection_;
  std::unique_ptr<event, decltype(&event_free)> timer_;
  size_t current_ = 0;
  size_t failed_ = 0;  // Sentinels in a row
  bool connected_ = false;
  bool asking_ = false;     // the timer is the deadline of a reply, or of a connection
  MapSource::Host master_;  // without a name: unknown
};

}  // namespace rum

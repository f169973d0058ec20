// Asks Redis Sentinels which server is the master, again each second. [look-up thread]
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/resp.h"
#include "lookup/remote_source.h"
#include "lookup/source_stream.h"

namespace rum {

class SentinelWatch final : private SourceStream::Owner {
 public:
  // `on_master`: the master, when it is known first, and when it is another one. `on_failed`: no
  // Sentinel has named one, in a whole round.
  using OnMaster = std::function<void(const SocketAddress&)>;
  using OnFailed = std::function<void(const std::string& why)>;

  SentinelWatch(SourceHost& host, const MapSource& source, uint64_t timeout, OnMaster on_master,
                OnFailed on_failed);
  void Start();

 private:
  // SourceStream::Owner
  void OnOpen() override;
  void OnBytes(std::string& bytes) override;
  void OnLost(const std::string& why) override { TryNext(why); }

  void Connect();
  void ConnectTo(SocketAddress address);
  void Ask();
  void OnReply(const RespReply& reply);
  void TryNext(const std::string& why);
  void Wait(uint64_t milliseconds);
  static void OnTimer(evutil_socket_t, short, void* self);

  SourceHost& host_;
  const std::vector<MapSource::Host> sentinels_;
  const std::string name_;  // of the master
  const uint64_t timeout_;
  const OnMaster on_master_;
  const OnFailed on_failed_;
  SourceStream stream_;
  std::unique_ptr<event, decltype(&event_free)> timer_;
  size_t current_ = 0;
  uint64_t attempt_ = 0;  // for answers of the resolver that come too late
  size_t failed_ = 0;     // Sentinels in a row
  bool connected_ = false;
  bool asking_ = false;  // the timer is the deadline of a reply, or of a connection
  std::string master_;   // as text; empty: unknown
};

}  // namespace rum

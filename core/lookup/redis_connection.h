// A connection to a Redis server: finds its address, connects, logs in, and passes replies. Has no
// deadlines; its owner has them. [the thread of its loop]
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/resp.h"
#include "lookup/map_source.h"
#include "lookup/source_stream.h"

namespace rum {

class RedisConnection final : private SourceStream::Owner {
 public:
  // The owner may call Close() in any of these.
  class Owner {
   public:
    virtual void OnConnected() = 0;  // logged in, and in its database
    // Also what the server announces. Changed keys come one by one: {invalidate, {KEY}}.
    virtual void OnReply(RespReply reply) = 0;
    // It is closed. `junk`: the server's replies were at fault, or what it said to the login.
    virtual void OnBroken(const std::string& why, bool junk) = 0;

   protected:
    ~Owner() = default;
  };
  // Calls back later, without addresses if there are none.
  using Resolve =
      std::function<void(const std::string& name, std::function<void(std::vector<SocketAddress>)>)>;

  // `tls`: used if `server` is reached by TLS.
  RedisConnection(event_base* base, Owner& owner, Resolve resolve, const MapSource& server,
                  std::string password, std::shared_ptr<const TlsContext> tls);

  // Begins with the first address; the outcome comes later.
  void Open();
  // The same for this host, from now on, instead of the server's own; a name or a numeric address.
  void OpenAt(const MapSource::Host& host);
  // Begins with the next address; false: there is none.
  bool OpenNext();
  void Close();
  void Send(std::string_view bytes) { stream_.Send(bytes); }
  const std::string& host() const { return host_.name; }  // empty: a unix socket, or none yet
  // What a deadline that is over has waited for.
  const char* Lacks() const;
  uint64_t begun() const { return begun_; }  // when this attempt began, monotonic ms

 private:
  enum class State : uint8_t {
    kClosed,
    kResolving,   // awaits the addresses of the host
    kConnecting,  // awaits OnOpen()
    kAuth,        // awaits the reply of AUTH
    kSelect,      // awaits the reply of SELECT
    kOpen,        // passes replies
  };

  // SourceStream::Owner
  void OnOpen() override;
  void OnBytes(std::string& bytes) override;
  void OnLost(const std::string& why) override;

  void Connect();
  void Select();
  void OnLogin(const RespReply& reply);
  RespRead ReadReply(std::string_view bytes, size_t* used, RespReply* reply);
  void Break(const std::string& why, bool junk);

  Owner& owner_;
  const Resolve resolve_;
  const MapSource server_;
  MapSource::Host host_;
  const std::string password_;
  const std::shared_ptr<const TlsContext> tls_;
  SourceStream stream_;
  State state_ = State::kClosed;
  uint64_t generation_ = 0;  // of attempts
  uint64_t begun_ = 0;
  std::vector<SocketAddress> addresses_;
  size_t address_ = 0;      // the one in use
  uint64_t announced_ = 0;  // changed keys that follow
  bool heard_ = false;      // the server has sent something
};

// Times between attempts to connect: they grow, and differ between processes.
class RetryDelay {
 public:
  uint64_t Next();  // ms
  void Reset() { failures_ = 0; }
  bool failed() const { return failures_ > 0; }

 private:
  unsigned failures_ = 0;  // in a row
  std::minstd_rand random_{std::random_device{}()};
};

// For messages: what the server said instead of an answer.
std::string Describe(const RespReply& reply);
// Bytes of the server, cut and escaped.
std::string PrintableReply(std::string_view text);

}  // namespace rum

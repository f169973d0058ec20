// A connection to a source of records: connects, with TLS if wanted, and passes bytes. Has no
// deadlines; its owner has them. [look-up thread]
#pragma once

#include <event2/event.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "tls/tls_context.h"

namespace rum {

class SourceStream {
 public:
  // The owner may call Close() in any of these.
  class Owner {
   public:
    virtual void OnOpen() = 0;
    // New bytes are at the end; the owner removes those that it has read.
    virtual void OnBytes(std::string& bytes) = 0;
    virtual void OnLost(const std::string& why) = 0;  // it is closed

   protected:
    ~Owner() = default;
  };

  SourceStream(event_base* base, Owner& owner);
  ~SourceStream();
  SourceStream(const SourceStream&) = delete;

  // Begins to connect; the outcome comes by OnOpen() or OnLost(), later. `tls`: nullptr for none,
  // else the certificate must be of `name`.
  void Connect(const sockaddr* address, socklen_t size, std::shared_ptr<const TlsContext> tls,
               const std::string& name);
  // Sends at the end of this turn of the loop.
  void Send(std::string_view bytes);
  void Close();
  bool in_handshake() const { return state_ == State::kHandshake; }  // of TLS
  size_t waiting() const { return out_.size(); }

 private:
  enum class State : uint8_t { kClosed, kConnecting, kHandshake, kOpen };
  using Event = std::unique_ptr<event, decltype(&event_free)>;

  static void OnEvent(evutil_socket_t, short what, void* self);
  static void OnSoon(evutil_socket_t, short, void* self);
  void Begin(const sockaddr* address, socklen_t size, const std::string& name);
  void BeginTls(const std::string& name);
  void Handshake();
  void Read();
  void Write();
  void AwaitWritable();
  void Fail(const std::string& why);
  std::string TlsFault() const;

  event_base* const base_;
  Owner& owner_;
  State state_ = State::kClosed;
  Fd fd_;
  std::shared_ptr<const TlsContext> tls_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_ = {nullptr, SSL_free};
  Event readable_ = {nullptr, event_free}, writable_ = {nullptr, event_free};
  Event soon_;          // to send what waits, or to report the failure of Connect()
  std::string failed_;  // why Connect() failed at once
  std::string in_, out_;
};

}  // namespace rum

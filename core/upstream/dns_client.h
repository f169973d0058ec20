// Queries one name server through c-ares on the main loop: protocol, UDP and TCP, retransmission.
// The resolver decides which server to query, and when.
#pragma once

#include <ares.h>
#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/clock.h"

namespace rum {

// [main]
class DnsClient {
 public:
  static constexpr size_t kAddressesMost = 64;  // limit per answer

  struct Answer {
    enum class Kind : uint8_t {
      kAddresses,
      kNoAddress,  // the name exists, but has no address of this family
      kNoName,     // NXDOMAIN
      kFailed,     // another error; other servers may succeed
    };
    Kind kind = Kind::kFailed;
    std::vector<SocketAddress> addresses;
    std::string why;      // set if kFailed
    bool silent = false;  // the server did not respond at all
  };
  using Answered = std::function<void(Answer)>;

  // `text` has ResolvConf's format. A question is retransmitted for at least `timeout`.
  DnsClient(event_base* base, std::string text, Millis timeout);
  // Open questions are answered with kFailed.
  ~DnsClient();
  DnsClient(const DnsClient&) = delete;

  // Queries the addresses of one family of an absolute name. `answered` is called once, possibly
  // before this returns; it must not destroy this object.
  void Ask(const std::string& name, int family, Answered answered);

  const std::string& text() const { return text_; }
  size_t open() const { return open_; }  // open questions

 private:
  struct Question;
  struct Free {
    void operator()(event* one) const { event_free(one); }
  };
  using Event = std::unique_ptr<event, Free>;

  // A c-ares channel with its sockets and its timer.
  struct Channel {
    Channel(DnsClient& client, int flags, Millis timeout);
    ~Channel();
    void Process(ares_socket_t readable, ares_socket_t writable);

    DnsClient& client;
    ares_channel ares = nullptr;
    std::map<ares_socket_t, Event> sockets;
    Event timer;
  };

  static void Send(Channel& channel, std::unique_ptr<Question> question);
  static void OnSocketState(void* channel, ares_socket_t fd, int readable, int writable);
  static void OnSocket(evutil_socket_t fd, short what, void* channel);
  static void OnTimer(evutil_socket_t, short, void* channel);
  static void OnAnswer(void* question, int status, int timeouts, unsigned char* bytes, int size);

  event_base* base_;
  std::string text_;
  const Millis timeout_;
  // Separate channels: in c-ares 1.18 an error of one socket fails all questions of its channel.
  // tcp_ is created on demand.
  std::unique_ptr<Channel> udp_, tcp_;  // tcp_: when it is needed
  size_t open_ = 0;
};

}  // namespace rum

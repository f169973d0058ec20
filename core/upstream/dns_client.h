// Asks one name server by c-ares on the main loop: the protocol, UDP and TCP, and that a question
// is sent again. Which server is asked, and when, is the resolver's.
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

// [main] All of it.
class DnsClient {
 public:
  static constexpr size_t kAddressesMost = 64;  // taken out of one answer

  struct Answer {
    enum class Kind : uint8_t {
      kAddresses,
      kNoAddress,  // the name is there, but has none of this kind
      kNoName,     // NXDOMAIN
      kFailed,     // anything else: another server may know
    };
    Kind kind = Kind::kFailed;
    std::vector<SocketAddress> addresses;
    std::string why;      // of kFailed
    bool silent = false;  // nothing was heard of the server
  };
  using Answered = std::function<void(Answer)>;

  // `text` as in ResolvConf. A question is sent again for as long as `timeout` at least.
  DnsClient(event_base* base, std::string text, Millis timeout);
  // What is open is answered by kFailed.
  ~DnsClient();
  DnsClient(const DnsClient&) = delete;

  // Asks for the addresses of one family of an absolute name. `answered` is called once, perhaps
  // before this returns; it must not destroy this object.
  void Ask(const std::string& name, int family, Answered answered);

  const std::string& text() const { return text_; }
  size_t open() const { return open_; }  // questions

 private:
  struct Question;
  struct Free {
    void operator()(event* one) const { event_free(one); }
  };
  using Event = std::unique_ptr<event, Free>;

  // A channel of c-ares with its sockets and its timer.
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
  // Version 1.18 lets an error of one socket fail every question of its channel: one for each way.
  std::unique_ptr<Channel> udp_, tcp_;  // tcp_: when it is needed
  size_t open_ = 0;
};

}  // namespace rum

// Names to addresses, off the workers: asked on the main loop by evdns, kept, refreshed while in
// use, and kept on when a refresh fails.
#pragma once

#include <event2/dns.h>
#include <event2/event.h>

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/clock.h"

namespace rum {

class Resolver {
 public:
  using Found = std::function<void(std::vector<SocketAddress> addresses)>;

  // [main] `refresh` 0: a name is asked for once and kept for good.
  Resolver(event_base* base, Millis refresh, Millis timeout, const std::string& resolv_conf);
  ~Resolver();
  Resolver(const Resolver&) = delete;

  // [any] The addresses of a name if they are known, with port 0. A name that is due is asked for
  // again meanwhile.
  std::optional<std::vector<SocketAddress>> Known(const std::string& host);
  // [any] Its addresses do not answer: it is asked for again when it is wanted next, once a second
  // at most. They are kept until there are others.
  void Suspect(const std::string& host);
  // [any] Asks; `found` is called on the main thread, with no addresses when there are none.
  void Ask(const std::string& host, Found found);

 private:
  struct Name {
    std::vector<SocketAddress> addresses;  // the last good answer
    uint64_t due = 0;                      // monotonic ms of the next question
    uint64_t answered = 0;                 // of the last answer, good or not
    bool asking = false;
    std::vector<Found> waiting;
  };
  struct Question;

  void Post(std::string host);
  void Begin(const std::string& host);
  void Answer(const std::string& host, std::vector<SocketAddress> addresses);
  static void OnPosted(evutil_socket_t, short, void* self);
  static void OnAnswer(int result, evutil_addrinfo* found, void* question);

  event_base* base_;
  Millis refresh_;
  evdns_base* dns_ = nullptr;
  event* wake_event_ = nullptr;
  int wake_ = -1;
  bool closing_ = false;
  std::mutex mutex_;  // guards what follows
  std::unordered_map<std::string, Name> names_;
  std::vector<std::string> posted_;
};

}  // namespace rum

// Records how long servers take for the two steps of a refused login, so that rum's own refusal of
// an unknown user takes as long. One for all workers.
//
// Times are kept per server: the owner of a slow server must not learn from them which names are
// unknown. An unknown name gets the times of a known user's server, always the same one, so that
// unknown names have the same distribution of times as known ones. Frequent logins cannot change
// that: a user counts once.
#pragma once

#include <openssl/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "mysql/handshake.h"

namespace rum::mysql {

class Pace {
 public:
  enum class Step : uint8_t {
    kSwitch,  // from the client's response to the plugin switch
    kDenial,  // from the client's answer to the error
    // The same where the connection was kept: it is there already, and MariaDB takes a second to
    // refuse a change of the user.
    kKeptSwitch,
    kKeptDenial,
  };
  static constexpr size_t kSteps = 4;
  static constexpr size_t kUsersMost = 1024;    // a fair sample of all users seen
  static constexpr size_t kServersMost = 1024;  // the least recently used are dropped

  explicit Pace(const Nonce& secret);
  ~Pace();
  Pace(const Pace&) = delete;

  // Records a server's time. `user`: one in the map; empty: an unknown one.
  void Add(Step step, std::string_view user, std::string_view destination, uint64_t microseconds);

  // One of the last 32 times in microseconds, chosen at random, at most a second, or 1.2 for
  // kKeptDenial; 0 if there is none. It is that of `destination`; if that is empty or has no times,
  // that of the server that represents the name.
  uint64_t Pick(Step step, std::string_view user, const std::string* destination);

  // The destination of the server that represents the name. nullopt: none is known.
  std::optional<std::string> FindStandIn(std::string_view user);

  // A timer expires late by its wake-up time, which the servers' times already include. So waits
  // are shortened by the median lateness of timers, which is tracked in small steps.
  uint64_t Shorten(uint64_t microseconds);
  void TimerWasLate(uint64_t microseconds);

 private:
  struct Ring {
    std::array<uint64_t, 32> values{};
    uint64_t added = 0;
  };
  struct Server {
    Ring rings[kSteps];
    std::string destination;  // users may have it when it was forgotten
    std::list<std::string>::iterator age;
  };
  struct Known {
    uint64_t rank;
    std::shared_ptr<Server> server;
  };
  // A name's position on the circle of all names, and its rank: high ranks leave the sample first.
  struct Place {
    uint64_t position, rank;
  };
  Place PlaceOf(std::string_view user);
  std::shared_ptr<Server> ServerOf(std::string_view destination);
  void Remember(const Place& place, const std::shared_ptr<Server>& server);
  std::shared_ptr<Server> StandIn(Step step, std::string_view user);

  const Nonce secret_;
  std::mutex mutex_;          // guards the members below
  EVP_MD_CTX* const digest_;  // reused: a new one needs a dozen allocations
  std::map<std::string, std::shared_ptr<Server>, std::less<>> servers_;
  std::list<std::string> ages_;                    // destinations; most recently used last
  std::map<uint64_t, Known> users_;                // by position
  std::set<std::pair<uint64_t, uint64_t>> ranks_;  // (rank, position) of the same users
  uint64_t late_ = 0;                              // microseconds
  uint64_t random_ = 1;
};

}  // namespace rum::mysql

// Remembers how long servers took for the two steps of a refused login, so that rum's own refusal
// of an unknown user can take as long. One for all workers.
//
// Each server is remembered apart: the owner of a slow one must not see by the time which names are
// unknown. An unknown name takes the time of the server of one known user, always the same one, so
// that times are spread over unknown names as over known ones. What anybody can bring about by
// logging in often changes nothing of that: a user counts once.
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
    kSwitch,  // from the client's response to the switch of the plugin
    kDenial,  // from the client's answer to the error
    // The same where the connection was kept: it is there already, and MariaDB takes a second to
    // refuse a change of the user.
    kKeptSwitch,
    kKeptDenial,
  };
  static constexpr size_t kSteps = 4;
  static constexpr size_t kUsersMost = 1024;    // a fair sample of all that were seen
  static constexpr size_t kServersMost = 1024;  // then those that were heard of least recently go

  explicit Pace(const Nonce& secret);
  ~Pace();
  Pace(const Pace&) = delete;

  // A server took so long. `user`: one that the map knows; empty: one that it does not.
  void Add(Step step, std::string_view user, std::string_view destination, uint64_t microseconds);

  // One of the last 32 times in microseconds, at random, at most a second, or 1.2 for kKeptDenial;
  // 0 before the first. Of `destination`, where there is one; else, or when nothing is known of it,
  // of the server that stands in for the name.
  uint64_t Pick(Step step, std::string_view user, const std::string* destination);

  // The destination of the server that stands in for the name. Nothing: none is known.
  std::optional<std::string> FindStandIn(std::string_view user);

  // A timer comes late by what it takes to wake up, which the servers' own answers have in them
  // already. Waits are shortened by what timers usually are late: the median, followed in small
  // steps.
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
  // Where a name is on the circle of all names, and how early it is left out of the sample.
  struct Place {
    uint64_t position, rank;
  };
  Place PlaceOf(std::string_view user);
  std::shared_ptr<Server> ServerOf(std::string_view destination);
  void Remember(const Place& place, const std::shared_ptr<Server>& server);
  std::shared_ptr<Server> StandIn(Step step, std::string_view user);

  const Nonce secret_;
  std::mutex mutex_;          // guards all that follows
  EVP_MD_CTX* const digest_;  // kept: a new one takes a dozen allocations
  std::map<std::string, std::shared_ptr<Server>, std::less<>> servers_;
  std::list<std::string> ages_;                    // destinations; who was heard of last is last
  std::map<uint64_t, Known> users_;                // by position
  std::set<std::pair<uint64_t, uint64_t>> ranks_;  // of the same, with the position
  uint64_t late_ = 0;                              // microseconds
  uint64_t random_ = 1;
};

}  // namespace rum::mysql

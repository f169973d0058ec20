// The users with the most sessions in the last hours: a sample a minute, in a ring of fixed size.
#pragma once

#include <event2/event.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace rum {

class UserHistory {
 public:
  static constexpr size_t kSamples = 240;   // four hours
  static constexpr size_t kUsers = 50;      // of a sample
  static constexpr size_t kNameMost = 128;  // bytes of a name; longer ones are cut
  static constexpr int kSeconds = 60;

  using Users = std::vector<std::pair<std::string, uint32_t>>;  // name, sessions

  // [main] Calls `take` for at most that many users, now and once a minute. Null base: only when
  // Take() is called.
  UserHistory(event_base* base, std::function<Users(size_t most)> take);
  ~UserHistory();
  UserHistory(const UserHistory&) = delete;

  struct Entry {
    std::string user;
    uint32_t most = 0;  // sessions in one sample
    double mean = 0;    // over all samples; 0 where it was not among the first
  };
  struct Answer {
    size_t samples = 0;
    std::vector<Entry> users;  // by mean, then most, then name
  };
  // [main] Of the last `seconds`.
  Answer Since(uint64_t seconds, size_t most) const;

  void Take();

 private:
  static void OnMinute(evutil_socket_t, short, void* self);

  const std::function<Users(size_t)> take_;
  std::deque<Users> samples_;  // the newest last
  event* minute_ = nullptr;
};

}  // namespace rum

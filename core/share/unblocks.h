// The unblocks of operators on their way to other processes: a sorted set in Redis, with the time
// of each by the clock of Redis. Everybody acts on each once; a block that comes later stands.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/resp.h"

namespace rum {

class Unblocks {
 public:
  static constexpr size_t kMost = 500;            // two elements of a reply each
  static constexpr uint64_t kLifeSeconds = 3600;  // in Redis: for processes that do not reach it

  // Of an address in text form, by an operator of this process.
  void Add(std::string address);
  const std::unordered_set<std::string>& waiting() const { return waiting_; }

  // What waits is under way from here on, with this time in microseconds since 1970.
  std::vector<std::string> Send(uint64_t micros);
  // It has arrived. If it has not, it waits still.
  void Sent();

  // A list with times as Redis has it: the addresses whose unblock was not in the one before, and
  // is not of this process. The first list since the start has none.
  std::vector<std::string> Read(const RespReply& list);

 private:
  std::unordered_set<std::string> waiting_;
  std::vector<std::string> sent_;
  uint64_t time_ = 0;  // of those in sent_
  bool read_ = false;
  std::unordered_map<std::string, double> known_;  // with their times
};

}  // namespace rum

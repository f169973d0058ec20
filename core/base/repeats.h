// Suppresses repeated log lines: the first is written; its repetitions within ten seconds are
// summed up in one line.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace rum::log {

class Repeats {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::seconds kSpan{10};
  static constexpr size_t kMost = 256;  // texts remembered; others are not suppressed

  struct Gathered {
    std::string text;
    int level;
    uint64_t more;
  };

  // Returns true if the line should be written.
  bool Pass(Time now, int level, const std::string& text) {
    auto found = texts_.find(text);
    if (found != texts_.end()) {
      ++found->second.more;
      return false;
    }
    if (texts_.size() < kMost) texts_.emplace(text, Entry{now + kSpan, level, 0});
    return true;
  }

  // Removes expired entries (or all) and returns those that were repeated.
  std::vector<Gathered> Take(Time now, bool all = false) {
    std::vector<Gathered> over;
    std::erase_if(texts_, [&](const auto& one) {
      const auto& [text, entry] = one;
      if (!all && now < entry.until) return false;
      if (entry.more) over.push_back({text, entry.level, entry.more});
      return true;
    });
    return over;
  }

  // The earliest time at which Take() returns an entry; nullopt: none is pending.
  std::optional<Time> next() const {
    std::optional<Time> first;
    for (const auto& [text, entry] : texts_) {
      if (entry.more && (!first || entry.until < *first)) first = entry.until;
    }
    return first;
  }

 private:
  struct Entry {
    Time until;
    int level;
    uint64_t more;
  };
  std::unordered_map<std::string, Entry> texts_;
};

}  // namespace rum::log

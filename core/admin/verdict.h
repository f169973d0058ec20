// One line that says whether rum serves, and why not or not fully: the head of the status page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "admin/servers.h"

namespace rum {

// What the verdict is made from.
struct VerdictFacts {
  std::string why_not_ready;  // empty: ready
  bool draining = false;
  const ServerList* servers = nullptr;
  size_t workers_stuck = 0;
  uint64_t sessions = 0, most_sessions = 0;  // and --max-connections; 0: unlimited
  uint64_t memory = 0, most_memory = 0;      // bytes, and --max-memory; 0: unlimited
  int64_t certificate_end = 0;               // seconds since 1970, as below; 0: no certificate
  bool has_map = false;
  std::vector<std::string> source_faults;  // of the map's sources on other machines
  std::string share_fault;                 // why limits are not shared; empty: nothing is wrong
  int64_t map_loaded_at = 0;               // 0: never
  uint64_t map_records = 0;
  bool map_refused = false;  // the newest file; the one before is in use
  size_t older = 0;  // processes from before a hand-over, their sessions, and how many are silent
  uint64_t older_sessions = 0;
  size_t older_silent = 0;
  int64_t now = 0;
};

struct Verdict {
  enum class Level : uint8_t { kGood, kWarning, kBad };
  struct Reason {
    Level level;
    std::string text;
  };
  Level level = Level::kGood;
  std::string word;             // "serving", "degraded", "draining", "down"
  std::vector<Reason> reasons;  // the worst first

  // "1 of 300 servers is down · 1 in drain · map 3 min old".
  std::string Text() const;
};

Verdict Judge(const VerdictFacts& facts);

}  // namespace rum

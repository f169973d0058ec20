// The state of the scripted host for "rum.worker/1" and "rum.shared/1".
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rum/module.h"

namespace rum {

// Timers and posts of the only worker. End() drops them before worker_stop; the destructor does
// not.
class ScriptedWork {
 public:
  using Run = void (*)(void* worker_data, void* argument);
  using Drop = void (*)(void* argument);

  ScriptedWork();
  uint64_t ticket() const { return ticket_; }
  // Returns 0 at the limit of timers, or after the worker's end.
  uint64_t AddTimer(uint64_t due, Run run, void* argument, Drop drop);
  void CancelTimer(uint64_t timer);
  int32_t Post(Run run, void* argument, Drop drop);  // [any]
  std::optional<uint64_t> NextTimer() const;         // when it expires
  // Runs what is posted and due. False: there was nothing to run.
  bool RunDue(uint64_t now, void* worker_data);
  void End();

 private:
  struct Job {
    Run run;
    void* argument;
    Drop drop;
  };
  const uint64_t ticket_;
  std::map<uint64_t, std::pair<uint64_t, Job>> timers_;  // by ticket: expiry time
  uint64_t last_timer_ = 0;
  std::mutex mutex_;  // guards the next two
  bool ended_ = false;
  std::vector<Job> posted_;
};

class ScriptedShared {
 public:
  // `session`: any number that is never reused.
  int32_t Put(uint64_t session, const std::string& user, std::string key, std::string value,
              uint64_t lifetime, uint64_t now);
  int32_t Find(const std::string& key, void* value, size_t* size, bool take,
               uint64_t now);  // [any]
  int32_t Remove(uint64_t session, const std::string& key);
  void EndSession(uint64_t session);

 private:
  struct Entry {
    std::string value;
    uint64_t session;  // 0: it expires
    std::string user;
    uint64_t expires;
    bool seen = false;  // by somebody who looked it up
  };
  std::mutex mutex_;  // guards entries_
  std::map<std::string, Entry> entries_;
};

}  // namespace rum

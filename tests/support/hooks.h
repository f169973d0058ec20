// A module inside the test program: the test assigns its hooks. Checks around every hook that rum
// keeps the promises of rum/module.h to all modules: no hook within a hook, one thread per session,
// session_close once and last, and the right pointers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "rum/module.h"

namespace rum {
class ModuleConfig;
}

namespace rum::test {

// The host table, as given to init.
extern const rum_host* host;

// Hooks that are not assigned are NULL in the table, except session_open and session_close.
struct Hooks {
  std::function<int32_t(rum_session*)> session_open;
  bool without_session_open = false;
  std::function<int32_t(rum_session*, const rum_probe& probe)> probe_open;
  std::function<int64_t(rum_session*, std::string_view bytes)> client_data, upstream_data;
  std::function<void(rum_session*, uint32_t reason)> upstream_open;
  std::function<void(rum_session*, int32_t status, std::string_view value)> looked_up;
  std::function<int32_t(rum_session*, uint32_t side)> side_end;
  std::function<void(rum_session*, uint64_t ticket)> timeout;
  std::function<void(rum_session*, uint32_t side)> drained;
  std::function<void(rum_session*, uint64_t ticket, int32_t status, void* payload)> resumed;
  std::function<void(rum_session*, uint32_t reason)> session_close;

  std::function<int32_t(const char* const* values, size_t count, void** config)> config_new;
  std::function<void(void* config)> config_free;
  std::function<int32_t(rum_worker*, void** data)> worker_start;
  std::function<void(void* data)> worker_stop;
  std::function<size_t(uint32_t reason, uint8_t* bytes, size_t size)> refusal;
  std::function<int32_t(rum_session*, uint32_t reason)> refused_open;
  std::function<size_t(char* json, size_t size)> stats;
  std::vector<rum_option> options;
  std::vector<rum_metric> metrics;
  std::string_view farewell;
};

// Creates the module with these hooks; there is one at a time. nullptr fails the test.
std::shared_ptr<const ModuleConfig> MakeTestModule(Hooks hooks);

// rum's violations of the contract since the last call.
std::vector<std::string> TakeViolations();
// Sessions that still wait for session_close.
size_t OpenSessions();

// A record of events: hooks write it, and tests wait for entries.
class Journal {
 public:
  void Add(std::string entry) {
    std::lock_guard lock(mutex_);
    entries_.push_back(std::move(entry));
  }
  std::vector<std::string> entries() const {
    std::lock_guard lock(mutex_);
    return entries_;
  }
  // True as soon as the entry exists.
  bool WaitFor(std::string_view entry) const;
  size_t Count(std::string_view entry) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> entries_;
};

// The host calls with C++ types.
inline int32_t Send(rum_session* s, uint32_t side, std::string_view bytes) {
  return host->send(s, side, bytes.data(), bytes.size());
}
inline int32_t Connect(rum_session* s, std::string_view address) {
  return host->connect(s, address.data(), address.size());
}
inline int32_t Lookup(rum_session* s, std::string_view key) {
  return host->lookup(s, key.data(), key.size());
}
inline int32_t Identify(rum_session* s, std::string_view user) {
  return host->identify(s, user.data(), user.size());
}
inline int32_t Note(rum_session* s, const char* key, std::string_view value) {
  return host->note(s, key, value.data(), value.size());
}
inline void Close(rum_session* s, uint32_t reason, std::string_view text = {}) {
  host->close(s, reason, text.data(), text.size());
}
std::string PeerOf(rum_session* s, uint32_t side);

}  // namespace rum::test

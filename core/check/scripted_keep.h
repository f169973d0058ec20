// The scripted host's side of "rum.keep/1": connections that wait for another session, and what a
// session does with them. Only for the scripted session and its host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rum/module.h"

namespace rum {

// A connection to a server that outlived its session.
struct ScriptedKept {
  std::string server, key, value;
  bool tls = false;
  uint64_t until = 0;  // ms of the scripted clock
};

// Those of the only worker.
class ScriptedKeeps {
 public:
  // False: as many are kept of the server as may, `most` of them.
  bool HasRoom(std::string_view server, uint32_t most, uint64_t now);
  void Add(ScriptedKept kept) { all_.push_back(std::move(kept)); }
  // The newest of this server and key.
  std::optional<ScriptedKept> Take(std::string_view server, std::string_view key, uint64_t now);
  bool Has(std::string_view server, std::string_view key, uint64_t now);
  void Drop(std::string_view server);

 private:
  void DropOld(uint64_t now);
  std::vector<ScriptedKept> all_;  // oldest first
};

// What a session has asked of the group.
struct ScriptedKeeping {
  bool used = false;                 // want() or forward_until() was called
  std::string wanted;                // by want(), until a connection is taken
  std::optional<std::string> value;  // of the connection that was taken
  std::string tail[2];               // of forward_until(); empty: none
  uint64_t asked_at[2] = {0, 0};     // the other side's bytes when this one's were forwarded last
  bool parts = false;                // part() was called, in the running hook
  bool parted = false;
  uint64_t parted_until = 0;            // ms
  std::optional<ScriptedKept> keeping;  // by keep(), in the running hook
};

namespace host_table {

extern const rum_keep kKeep;

}  // namespace host_table

}  // namespace rum

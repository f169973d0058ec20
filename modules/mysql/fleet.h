// Knows the servers behind rum, and derives the greeting from them; one per process. Workers read
// an immutable snapshot; new knowledge replaces it by the next one.
//
// The operator may not trust every server's owner. So one server can change the greeting of the
// other servers' users only within limits: not below what each supported server has (see
// IsSupported), once a minute, at a cost independent of the number of servers; and a server without
// new greetings or probes is forgotten.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "mysql/capabilities.h"
#include "mysql/handshake.h"

namespace rum::mysql {

// The parts of a greeting that a client relies on.
struct Promise {
  std::string version;
  uint64_t capabilities = 0;
  uint8_t charset = 45;
  std::string plugin = std::string(kNativePlugin);
  bool operator==(const Promise&) const = default;
};

struct Server {
  std::string version;  // as in its greeting
  uint64_t capabilities = 0;
  std::string plugin;
  uint8_t charset = 0;      // 0: unknown
  bool is_default = false;  // a probe said that it belongs to -d
  int64_t seen = 0;         // its last greeting, seconds since 1970
  int64_t interval = 0;     // between its last two probes, seconds; 0: unknown
  bool SameAs(const Server& other) const {
    return version == other.version && capabilities == other.capabilities &&
           plugin == other.plugin && charset == other.charset;
  }
};

// By connected address, "192.0.2.7:3306" or "unix:/path".
using Servers = std::map<std::string, Server, std::less<>>;

// Whether a server may affect the greeting of all: those of -d always may, as they are the
// operator's own; others only from MySQL 5.5.7 and MariaDB 5.5 on, and with kFloor. Any other
// server still serves logins that need nothing it lacks; the rest of its logins are refused.
bool IsSupported(const Server& server);

// Counts the properties of servers, so that a change costs the same for any number of servers.
class Census {
 public:
  void Add(const Server& server) { Count(server, 1); }
  void Remove(const Server& server) { Count(server, -1); }

  // The greeting for these servers.
  // Family: that of the default servers if they agree, else that of more servers.
  // Version: the lowest in the family, ignoring one server in a hundred.
  // Capabilities: those that change the format, and kFloor, if all servers have them; others if
  // half of the servers do, as rum clears them toward the rest.
  // Character set and plugin: those of the family's default servers if they agree, else the most
  // frequent in the family. Only plugins that rum knows.
  // nullopt: there are no supported servers.
  std::optional<Promise> promise() const;
  // There are servers of both families.
  bool mixed() const;
  // The family of the greeting.
  bool is_mariadb() const;
  // Number of unsupported servers.
  size_t unsupported() const { return unsupported_; }

 private:
  struct Group {
    size_t all = 0;
    std::map<std::pair<uint32_t, std::string>, size_t> versions;  // by number and text
    std::map<uint8_t, size_t> charsets;
    std::map<std::string, size_t, std::less<>> plugins;
  };
  struct Family {
    Group all, defaults;
  };

  void Count(const Server& server, int by);

  Family families_[2];  // MySQL, MariaDB
  size_t all_ = 0;
  size_t having_[64] = {};  // by capability
  size_t unsupported_ = 0;
};

// The file that keeps them across restarts: JSON. Entries that are invalid, too old or from the
// future are left out; `why` if nothing is usable.
std::string WriteServers(const Servers& servers);
Parsed<Servers> ReadServers(std::string_view text, int64_t now);

class Fleet {
 public:
  static constexpr size_t kServersMost = 4096;
  // Shortest time between two changes of a known server's greeting. Seconds, as are the others.
  static constexpr int64_t kChangeAgain = 60;
  // A server is forgotten this long after its last greeting; if it is probed, after three times the
  // interval of its probes, but not before ten minutes.
  static constexpr int64_t kForgotten = 3600;
  static constexpr int64_t kForgottenLeast = 600;

  // What all workers see until the next change.
  struct Snapshot {
    std::optional<Promise> promise;
    bool mixed = false;
    bool operator==(const Snapshot&) const = default;
  };
  // For statistics.
  struct Summary {
    size_t servers = 0;
    size_t unsupported = 0;
    std::map<std::string, size_t> versions;  // only some, if there are many
  };
  using Log = std::function<void(uint32_t level, const std::string& text)>;
  using Keep = std::function<void(const std::string& text)>;

  // [any] The copy of the snapshot that one worker or thread uses.
  class View {
   public:
    // Takes the lock only if the snapshot has changed since the last call.
    const Snapshot& Look(Fleet& fleet);

   private:
    friend class Fleet;
    struct Reported {
      size_t hash = 0;
      int64_t at = 0;
    };
    uint64_t generation_ = 0;
    std::shared_ptr<const Snapshot> snapshot_;
    std::map<std::string, Reported, std::less<>> reported_;  // to the fleet, by this view
  };

  // `log` receives RUM_LOG_... and a line, `keep` the text to keep across a restart. Any thread may
  // call them, with a lock held that no View needs.
  Fleet(Log log, Keep keep);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // [main] Loads what an earlier process kept.
  void Remember(std::string_view text, int64_t now);

  // [any] Reports a server's greeting. `is_default`: known after a probe, nullopt after a login. A
  // login costs a look at the view; the lock is taken only for news, or once in minutes.
  void Saw(View& view, std::string_view address, const Greeting& greeting,
           std::optional<bool> is_default, int64_t now);

  // [any]
  Summary Summarize();

 private:
  // Log lines and files per minute.
  struct Budget {
    int64_t minute = 0;
    int used = 0;
    bool Take(int64_t now);
  };
  struct Known {
    Server server;
    int64_t changed = 0, probed = 0, expires = 0;
  };

  // False: new, or different.
  bool Learn(std::string_view address, Server server, std::optional<bool> is_default, int64_t now);
  bool Enter(std::string_view address, Server server, std::optional<bool> is_default, int64_t now);
  bool Forget(int64_t now);
  void Publish(const std::string& because, int64_t now);
  Servers Copy();

  std::mutex mutex_;  // guards the members below
  std::map<std::string, Known, std::less<>> servers_;
  Census census_;
  int64_t looked_through_ = 0;  // when it last looked for servers to forget
  Budget lines_;
  bool line_due_ = false;     // the last promise is not yet logged
  int64_t warned_mixed_ = 0;  // when it last warned
  Budget files_;
  bool file_due_ = false;
  int64_t kept_ = 0;  // when it last called keep_

  std::mutex keep_mutex_;  // held while keep_ runs; locked before mutex_

  std::atomic<uint64_t> generation_ = 1;
  std::mutex snapshot_mutex_;  // guards snapshot_; held briefly, locked after mutex_
  std::shared_ptr<const Snapshot> snapshot_;

  const Log log_;
  const Keep keep_;
};

}  // namespace rum::mysql

// What the servers behind rum are, and the greeting that follows from it: one for the process.
// Workers read a share that does not change; who learns something new makes the next one.
//
// Some of the servers may belong to somebody whom the operator does not trust. So what one server
// says moves the greeting of the others' users within bounds only: not below what each supported
// server has (see IsSupported), once a minute, at a cost that does not grow with their number; and
// a server that is no longer asked is forgotten.
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

// What a greeting says in which a client may trust.
struct Promise {
  std::string version;
  uint64_t capabilities = 0;
  uint8_t charset = 45;
  std::string plugin = std::string(kNativePlugin);
  bool operator==(const Promise&) const = default;
};

struct Server {
  std::string version;  // as it greets
  uint64_t capabilities = 0;
  std::string plugin;
  uint8_t charset = 0;      // 0: unknown
  bool is_default = false;  // a probe said that it is one of -d
  int64_t seen = 0;         // when it greeted last, seconds since 1970
  int64_t interval = 0;     // between its last two probes, seconds; 0: unknown
  bool SameAs(const Server& other) const {
    return version == other.version && capabilities == other.capabilities &&
           plugin == other.plugin && charset == other.charset;
  }
};

// By the address that is connected to, "192.0.2.7:3306" or "unix:/path".
using Servers = std::map<std::string, Server, std::less<>>;

// Whether what a server says may move the greeting of all: that of those of -d, which are the
// operator's own, always; that of others only from MySQL 5.5.7 and MariaDB 5.5 on, and if they have
// kFloor. Those that are not are served where a login needs nothing that they lack, and are refused
// alone where it does.
bool IsSupported(const Server& server);

// Counts what servers are, so that one more or less costs the same however many there are.
class Census {
 public:
  void Add(const Server& server) { Count(server, 1); }
  void Remove(const Server& server) { Count(server, -1); }

  // The greeting for these servers.
  // Family: that of the default servers if they agree, else the one with more servers.
  // Version: the lowest in the family, but for one server in a hundred.
  // Capabilities: those without which server and client would misread each other, and kFloor, if
  // all servers have them; the others if half of them do, for rum takes them off toward the rest.
  // Character set and plugin: those of the family's default servers if they agree, else those of
  // most servers in it. Only plugins that rum knows are named.
  // Nothing: there are no supported servers.
  std::optional<Promise> promise() const;
  // There are servers of both families.
  bool mixed() const;
  // The family that is greeted as.
  bool is_mariadb() const;
  // Not supported.
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

// The file between two processes: JSON. What is not understood, too old or from the future is left
// out; `why` when nothing of it can be used.
std::string WriteServers(const Servers& servers);
Parsed<Servers> ReadServers(std::string_view text, int64_t now);

class Fleet {
 public:
  static constexpr size_t kServersMost = 4096;
  // A known server's changed greeting is learned no more often. Seconds, as the others.
  static constexpr int64_t kChangeAgain = 60;
  // A server that was not heard of for so long is forgotten; or for three times as long as there is
  // between two of its probes, but for ten minutes at least.
  static constexpr int64_t kForgotten = 3600;
  static constexpr int64_t kForgottenLeast = 600;

  // What all workers see until something is learned.
  struct Snapshot {
    std::optional<Promise> promise;
    bool mixed = false;
    bool operator==(const Snapshot&) const = default;
  };
  // For people.
  struct Summary {
    size_t servers = 0;
    size_t unsupported = 0;
    std::map<std::string, size_t> versions;  // some of them, if there are many
  };
  using Log = std::function<void(uint32_t level, const std::string& text)>;
  using Keep = std::function<void(const std::string& text)>;

  // [any] One worker's or thread's share of the snapshot.
  class View {
   public:
    // No lock unless something was learned since the last call.
    const Snapshot& Look(Fleet& fleet);

   private:
    friend class Fleet;
    struct Reported {
      size_t hash = 0;
      int64_t at = 0;
    };
    uint64_t generation_ = 0;
    std::shared_ptr<const Snapshot> snapshot_;
    std::map<std::string, Reported, std::less<>> reported_;  // what this one has told the fleet
  };

  // `log` takes RUM_LOG_... and a line, `keep` what is to be there at the next start. Both are
  // called with a lock held that no View needs, on any thread.
  Fleet(Log log, Keep keep);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // [main] What an earlier process kept.
  void Remember(std::string_view text, int64_t now);

  // [any] A server has greeted. `is_default`: told by a probe; nothing by a login. A login costs a
  // look at the view, and a lock only when there is something new, or once in minutes.
  void Saw(View& view, std::string_view address, const Greeting& greeting,
           std::optional<bool> is_default, int64_t now);

  // [any]
  Summary Summarize();

 private:
  // Of lines in the log, and of files: so many in a minute.
  struct Budget {
    int64_t minute = 0;
    int used = 0;
    bool Take(int64_t now);
  };
  struct Known {
    Server server;
    int64_t changed = 0, probed = 0, expires = 0;
  };

  // False: it is not known as this yet.
  bool Learn(std::string_view address, Server server, std::optional<bool> is_default, int64_t now);
  bool Enter(std::string_view address, Server server, std::optional<bool> is_default, int64_t now);
  bool Forget(int64_t now);
  void Publish(const std::string& because, int64_t now);
  Servers Copy();

  std::mutex mutex_;  // guards what follows
  std::map<std::string, Known, std::less<>> servers_;
  Census census_;
  int64_t looked_through_ = 0;  // for what is to be forgotten
  Budget lines_;
  bool line_due_ = false;     // the last promise is not in the log yet
  int64_t warned_mixed_ = 0;  // when
  Budget files_;
  bool file_due_ = false;
  int64_t kept_ = 0;  // when it was given to keep_ last

  std::mutex keep_mutex_;  // held around keep_, before mutex_

  std::atomic<uint64_t> generation_ = 1;
  std::mutex snapshot_mutex_;  // guards snapshot_; held for a moment only, after mutex_
  std::shared_ptr<const Snapshot> snapshot_;

  const Log log_;
  const Keep keep_;
};

}  // namespace rum::mysql

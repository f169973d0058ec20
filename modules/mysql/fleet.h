// What the servers behind rum are, and the greeting that follows from it: one for the process.
// Workers read a share that does not change; who learns something new makes the next one.
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

#include "mysql/handshake.h"

namespace rum::mysql {

// What a greeting says in which a client may trust.
struct Promise {
  std::string version;
  uint64_t capabilities = 0;
  uint8_t charset = 45;
  bool operator==(const Promise&) const = default;
};

struct Server {
  std::string version;  // as it greets
  uint64_t capabilities = 0;
  std::string plugin;
  bool is_default = false;  // a probe said that it is one of -d
  int64_t seen = 0;         // when it greeted last, seconds since 1970
  bool SameAs(const Server& other) const {
    return version == other.version && capabilities == other.capabilities && plugin == other.plugin;
  }
};

// By the address that is connected to, "192.0.2.7:3306" or "unix:/path".
using Servers = std::map<std::string, Server, std::less<>>;

// The greeting for these servers: the lowest version of one family, and the capabilities that every
// server has and rum can pass on. The family is that of the default servers if they agree, else the
// one with more servers. Nothing: there are no servers whose version can be read.
std::optional<Promise> PromiseOf(const Servers& servers);
// There are servers of both families.
bool AreMixed(const Servers& servers);

// The file between two processes: JSON. What is not understood, too old or from the future is left
// out; `why` when nothing of it can be used.
std::string WriteServers(const Servers& servers);
Parsed<Servers> ReadServers(std::string_view text, int64_t now);

class Fleet {
 public:
  // What all workers see until something is learned.
  struct Sight {
    Servers servers;
    std::optional<Promise> promise;
    bool mixed = false;
  };
  using Log = std::function<void(uint32_t level, const std::string& text)>;
  using Keep = std::function<void(const std::string& text)>;

  // [any] One worker's or thread's share of the sight.
  class View {
   public:
    // No lock unless something was learned since the last call.
    const Sight& Look(Fleet& fleet);

   private:
    uint64_t generation_ = 0;
    std::shared_ptr<const Sight> sight_;
  };

  // `log` takes RUM_LOG_... and a line, `keep` what is to be there at the next start. Both are
  // called with a lock held, on any thread.
  Fleet(Log log, Keep keep);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // [main] What an earlier process kept.
  void Remember(std::string_view text, int64_t now);

  // [any] A server has greeted. `is_default`: nothing when that is not known. Costs a look at the
  // view, and a lock only when there is something new, or the entry is minutes old.
  void Saw(View& view, std::string_view address, const Greeting& greeting,
           std::optional<bool> is_default, int64_t now);

 private:
  void Learn(const std::string& address, Server server, int64_t now);
  void Publish(Servers servers, const std::string& because);

  std::atomic<uint64_t> generation_ = 1;
  std::mutex mutex_;  // guards what follows
  std::shared_ptr<const Sight> sight_;
  int64_t kept_ = 0;  // when it was given to keep_ last
  const Log log_;
  const Keep keep_;
};

}  // namespace rum::mysql

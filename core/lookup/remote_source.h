// A source of records on another machine, and what it needs from its surroundings.
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "config.h"
#include "lookup/map_source.h"
#include "lookup/record_cache.h"
#include "tls/tls_context.h"

namespace rum {

// Serves a source; the sources of a process share it. [look-up thread]
class SourceHost {
 public:
  virtual event_base* base() = 0;
  // Calls `found` later on this thread, without addresses if there are none; not if the host ends
  // first.
  virtual void Resolve(const std::string& name,
                       std::function<void(std::vector<SocketAddress>)> found) = 0;
  // The addresses of the name do not respond: others may be found next.
  virtual void SuspectName(const std::string& name) = 0;
  // The answer to one Ask().
  virtual void Answer(size_t source, const std::string& user, RemoteAnswer answer) = 0;
  virtual void Forget(size_t source, std::string_view user) = 0;
  virtual void ForgetAll(size_t source) = 0;
  virtual void Suspect(size_t source) = 0;
  // `usable`: questions are answered, or wait for a first connection. `fault`: what an operator
  // should know; empty: nothing.
  virtual void Report(size_t source, bool usable, const std::string& fault) = 0;

 protected:
  ~SourceHost() = default;
};

// What a source is made from, beside its own line of -M.
struct SourceOptions {
  std::string password;                   // of Redis; empty: none
  std::string sentinel_password;          // of all Sentinels; empty: none
  std::string token;                      // for HTTP
  std::shared_ptr<const TlsContext> tls;  // verifies; nullptr: no source has TLS
  std::string authorities;                // the file that tls was made from; empty: the system's
  uint64_t timeout = 2000;                // ms for a look-up, and for a connection
};

class RemoteSource {
 public:
  virtual ~RemoteSource() = default;
  virtual void Start() = 0;
  // Begins a look-up; the host gets exactly one Answer(), perhaps before this returns.
  virtual void Ask(const std::string& user) = 0;
};

// `index`: how the host names it.
std::unique_ptr<RemoteSource> MakeRedisSource(SourceHost& host, size_t index,
                                              const MapSource& source,
                                              const SourceOptions& options);

#ifdef HAVE_CURL
std::unique_ptr<RemoteSource> MakeHttpSource(SourceHost& host, size_t index,
                                             const MapSource& source, const SourceOptions& options);
void StartHttp();  // [main] before the first of them
#endif

}  // namespace rum

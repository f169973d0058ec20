// The state that the sessions and probes of one worker share.
#pragma once

#include <rum/module.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "mysql/config.h"
#include "mysql/fleet.h"
#include "mysql/pace.h"

namespace rum::mysql {

// All functions are [worker].
class Worker {
 public:
  // Throws what allocating throws.
  Worker(rum_worker* handle, const Config& config);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // A new configuration applies to later sessions.
  void Reload(const Config& config);

  // A server offers TLS, and rum offers none to clients: warns once per configuration.
  void ServerHasTls(const Config& config);

  Pace& pace() { return *pace_; }
  Fleet::View& view() { return view_; }

  // Warns once that MariaDB's connections are not kept over links that others can read.
  void ProofsCanBeRead(const Config& config);

  // Whether rum's own account is let in by the server: one that has refused it is left alone for a
  // while, since MariaDB takes a second to refuse.
  bool TakesOwnUser(const std::string& server, uint64_t now) const;
  // `why`: for the log, which has one line of a server in that time.
  void OwnUserRefused(const std::string& server, uint64_t now, std::string_view why);
  // Likewise: a kept connection takes a place that a client needs.
  void HasTooManyConnections(const std::string& server, uint64_t now);

 private:
  void KeepNothing(const std::string& server, uint64_t now, const std::string& why);

  std::map<std::string, uint64_t> refuses_own_user_;  // until when, microseconds
  rum_worker* const handle_;
  const std::shared_ptr<Pace> pace_;  // shared by all workers
  Fleet::View view_;
};

}  // namespace rum::mysql

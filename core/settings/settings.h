// The configuration of a run of rum: one immutable value, made from the options.
#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/cidr.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/proxy_header.h"
#include "limits/access_control.h"
#include "limits/admission.h"
#include "lookup/map_source.h"
#include "tls/tls_contexts.h"
#include "upstream/balance.h"
#include "upstream/server_health.h"

namespace rum {

// Which sessions have a line in the log.
enum class LogSessions { kAll, kFailed, kNone };
// What becomes of sessions whose user the map sends elsewhere.
enum class MapMoved { kKeep, kEndIdle, kEnd };

// How many of the known servers must be up for /ready; 0: any number.
struct ReadyServers {
  uint32_t number = 0;
  bool percent = false;
};

// The settings of one configuration; immutable once made.
struct Settings {
  // The texts below were parsed from, by long name.
  std::map<std::string, std::vector<std::string>> given;

  std::vector<Address> listeners;
  mode_t socket_mode = 0777;
  // Source addresses of connections to servers; port 0.
  std::vector<SocketAddress> source_addresses;
  CidrSet proxy_from;  // clients that must send a PROXY header
  ProxyVersion send_proxy = ProxyVersion::kOff;
  std::vector<Address> destinations;
  Balance balance = Balance::kFirst;
  BreakerSettings breaker;

  std::string protocol;  // file of the module
  std::string module_dir;
  std::vector<MapSource> map_sources;  // of -M, in order; empty: no map
  std::string map;                     // the one that is a file; empty: none is
  uint64_t map_cache = 64 << 20;       // bytes, for records of remote sources
  std::string map_password_file, map_sentinel_password_file, map_token_file, map_ca;
  std::optional<MapSource> share;  // the Redis of --share
  std::string share_password_file, share_ca, share_name, share_key_file;
  std::string geo_db;  // empty: no country database
  std::optional<Address> stats;
  std::string stats_token_file;  // empty: the statistics need no token
  std::optional<Address> control;
  ReadyServers ready_servers;

  bool background = false;
  bool check = false;
  std::string explain;                        // the user of --explain; empty: not given
  std::optional<SocketAddress> explain_from;  // the address in --explain
  std::string pidfile;
  std::string user, group;  // to switch to; empty: unchanged
  std::string chroot;       // empty: off
  unsigned workers = 1;
  uint32_t metrics_servers = 1000;  // servers that have metrics of their own
  uint32_t metrics_users = 0;       // users that have a metric of their own
  uint32_t nofile = 0;              // 0: the hard limit
  log::Options log;
  bool log_logins = false;
  LogSessions log_sessions = LogSessions::kAll;
  MapMoved map_moved = MapMoved::kKeep;

  TlsSettings tls;

  AccessControl::Settings access_control;
  Admission::Settings admission;

  Millis connect_timeout{6000};
  Millis first_byte_timeout{6000};
  Millis login_timeout{8000};
  Millis half_close_timeout{30000};
  Millis idle_timeout{0};
  Millis drain_delay{0};
  Millis drain_timeout{30000};
  Millis handover_timeout{0};
  Millis health_check{10000};
  Millis dns_refresh{30000};
  Millis dns_timeout{4000};
  Millis map_ttl{60000};
  Millis map_negative_ttl{5000};
  Millis map_stale{3600000};
  Millis map_timeout{2000};
  std::string resolv_conf = "/etc/resolv.conf";

  // In the order of the module's option table.
  std::vector<std::optional<std::string>> module_values;
};

}  // namespace rum

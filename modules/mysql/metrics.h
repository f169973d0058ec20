// The module's counters: indexes and descriptions in one table.
#pragma once

#include <rum/module.h>

#include <cstddef>
#include <cstdint>

namespace rum::mysql {

enum Metric : uint32_t {
  kRelayedLogins,
  kRewrittenLogins,
  kWrongPasswords,
  kUnknownUsers,
  kServerDenials,
  kSwitches,
  kTranslatedPasswords,
  kVouchedLogins,
  kKills,
  kUnkillable,
  kUserChanges,
  kDeniedUserChanges,
  kClientFaults,
  kServerFaults,
  kFarewells,
  kReusedLogins,
  kKeptConnections,
  kNotClean,
  kMetricTotal,
};

inline constexpr rum_metric kMetrics[] = {
    {"mysql_relayed_logins", "Logins that the server checked"},
    {"mysql_rewritten_logins", "Logins whose password was checked against the map"},
    {"mysql_wrong_passwords", "Logins refused by the stored hash, before any server was asked"},
    {"mysql_unknown_users", "Logins refused because the map does not know the user"},
    {"mysql_server_denials", "Logins that a server refused"},
    {"mysql_switches", "Times that a server asked a client for another authentication plugin"},
    {"mysql_translated_passwords",
     "Passwords encrypted for a server without TLS, or decrypted from a client without TLS"},
    {"mysql_vouched_logins", "Logins with the proof for rum's certificate"},
    {"mysql_kills", "KILLs whose connection id was replaced by the server's"},
    {"mysql_unkillable_sessions", "Sessions that no KILL finds, for lack of room for their ids"},
    {"mysql_user_changes", "COM_CHANGE_USERs that rum handled"},
    {"mysql_denied_user_changes",
     "COM_CHANGE_USERs refused by --mysql-change-user, rules or limits"},
    {"mysql_client_faults", "Logins ended because the client violated the protocol"},
    {"mysql_server_faults", "Logins ended because a server violated the protocol or is too old"},
    {"mysql_farewells", "Incomplete logins that were ended properly toward the server"},
    {"mysql_reused_logins", "Logins on a kept connection"},
    {"mysql_kept_connections", "Connections that were kept when their client left"},
    {"mysql_not_clean",
     "Connections that were not kept because the server did not prove them to be clean"},
};
static_assert(sizeof kMetrics / sizeof kMetrics[0] == kMetricTotal);

}  // namespace rum::mysql

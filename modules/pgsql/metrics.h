// The module's counters: index and description in one table.
#pragma once

#include <rum/module.h>

#include <cstddef>
#include <cstdint>

namespace rum::pgsql {

enum Metric : uint32_t {
  kTrustLogins,
  kPasswordLogins,
  kMd5Logins,
  kScramLogins,
  kScramPlusLogins,
  kOauthLogins,
  kGssLogins,
  kStoredLogins,
  kWrongPasswords,
  kUnknownUsers,
  kServerDenials,
  kOtherVerifiers,
  kOtherCertificates,
  kRefusedClearText,
  kCancels,
  kUnknownCancels,
  kRefusedCancels,
  kLostCancelKeys,
  kClientFaults,
  kServerFaults,
  kMetricTotal,
};

inline constexpr rum_metric kMetrics[] = {
    {"pgsql_trust_logins", "Logins that a server accepted without a proof"},
    {"pgsql_password_logins", "Logins by a password in clear text"},
    {"pgsql_md5_logins", "Logins by MD5, without those that rum checked"},
    {"pgsql_scram_logins", "Logins by SCRAM without channel binding, which the server checked"},
    {"pgsql_scram_plus_logins", "Logins by SCRAM with channel binding, which the server checked"},
    {"pgsql_oauth_logins", "Logins by OAUTHBEARER"},
    {"pgsql_gss_logins", "Logins by GSSAPI or SSPI"},
    {"pgsql_stored_logins", "Logins whose password was checked against the map"},
    {"pgsql_wrong_passwords",
     "Logins refused by the stored verifier or hash, before any server was "
     "asked"},
    {"pgsql_unknown_users", "Logins refused because the map does not know the user"},
    {"pgsql_server_denials", "Logins that a server refused"},
    {"pgsql_other_verifiers",
     "Logins that failed because a server does not hold what the map holds"},
    {"pgsql_other_certificates",
     "Logins refused because of channel binding to another certificate than the server's"},
    {"pgsql_refused_clear_text",
     "Logins refused because the password would have gone to a server in clear text"},
    {"pgsql_cancels", "Cancel requests that were passed on to a server"},
    {"pgsql_unknown_cancels", "Cancel requests whose key no session has"},
    {"pgsql_refused_cancels", "Cancel requests of an address that had too many under way"},
    {"pgsql_lost_cancel_keys",
     "Sessions that cannot be cancelled because the table of keys is full"},
    {"pgsql_client_faults", "Logins ended because the client broke the protocol"},
    {"pgsql_server_faults", "Logins ended because a server broke the protocol"},
};
static_assert(sizeof kMetrics / sizeof kMetrics[0] == kMetricTotal);

}  // namespace rum::pgsql

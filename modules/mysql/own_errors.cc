#include "mysql/own_errors.h"

#include <rum/module.h>

#include <string>

namespace rum::mysql {
namespace {

constexpr size_t kShownUser = 128;
constexpr size_t kShownHost = 64;

constexpr char kNetwork[] = "08S01";  // drivers treat class 08 as a lost connection, may retry
constexpr char kGeneral[] = "HY000";

struct ReasonRow {
  uint32_t reason;
  uint16_t code;
  const char* state;
  const char* text;
};
constexpr ReasonRow kReasons[] = {
    {RUM_CLOSE_LOGIN_TIMEOUT, 1159, kNetwork, "The login took too long"},
    {RUM_CLOSE_CONNECT_TIMEOUT, 1159, kNetwork,
     "The database server of this account does not answer"},
    {RUM_CLOSE_FIRST_BYTE_TIMEOUT, 1159, kNetwork,
     "The database server of this account does not answer"},
    {RUM_CLOSE_CONNECT_REFUSED, 1105, kNetwork,
     "The database server of this account cannot be reached"},
    {RUM_CLOSE_CONNECT_FAILED, 1105, kNetwork,
     "The database server of this account cannot be reached"},
    {RUM_CLOSE_UNRESOLVED, 1105, kNetwork, "The database server of this account cannot be reached"},
    {RUM_CLOSE_UPSTREAM_GONE, 1158, kNetwork,
     "The database server of this account ended the connection during the login"},
    {RUM_CLOSE_UPSTREAM_RESET, 1158, kNetwork,
     "The database server of this account ended the connection during the login"},
    {RUM_CLOSE_UPSTREAM_PROTOCOL, 1105, kNetwork,
     "The database server of this account sent an unexpected answer"},
    {RUM_CLOSE_TLS, 1105, kNetwork,
     "The database server of this account cannot be reached by TLS, or its certificate is wrong"},
    {RUM_CLOSE_BAD_DESTINATION, 1105, kGeneral,
     "This account is misconfigured: its database server is unknown"},
    {RUM_CLOSE_MAP_UNAVAILABLE, 1105, kNetwork,
     "Logins are not possible at the moment: the list of accounts is not available"},
    {RUM_CLOSE_MAINTENANCE, 1105, kNetwork,
     "The database server of this account is out of service for maintenance"},
    {RUM_CLOSE_LIMIT, 1040, "08004", "Too many connections"},
    {RUM_CLOSE_NO_RESOURCES, 1040, "08004", "Too many connections"},
    {RUM_CLOSE_DRAIN, 1053, kNetwork, "Server shutdown in progress"},
    {RUM_CLOSE_KILLED, 1927, "70100", "Connection was killed"},
    {RUM_CLOSE_BLOCKED, 1129, kGeneral,
     "Your address is blocked for a while because of too many failed logins"},
    {RUM_CLOSE_NOT_ALLOWED, 1130, kGeneral,
     "Your address is not allowed to connect to this MySQL server"},
};

}  // namespace

ServerError BadHandshake() { return {1043, kNetwork, "Bad handshake"}; }

ServerError ClientTooOld(bool knows_states) {
  return {1251, knows_states ? "08004" : "",
          "Client does not support authentication protocol requested by server; consider upgrading "
          "the client"};
}

ServerError TlsRequired() {
  return {3159, kGeneral,
          "Connections using insecure transport are prohibited while "
          "--require_secure_transport=ON."};
}

ServerError ServerWithoutTls() {
  return {1105, kNetwork,
          "The password of this account would go to its database server without TLS; rum did not "
          "ask for it"};
}

ServerError ForeignKey() {
  return {1105, kGeneral,
          "The password was encrypted with a key of the database server, which is behind a proxy; "
          "request the public key at each login, or use TLS"};
}

ServerError CannotEncrypt() {
  return {1105, kGeneral,
          "The password of this account cannot be encrypted for its database server, which has no "
          "TLS"};
}

ServerError OutOfOrder() { return {1156, kNetwork, "Got packets out of order"}; }

ServerError TlsNotOffered() { return {1043, kNetwork, "Bad handshake: TLS is not offered here"}; }

ServerError AccessDenied(std::string_view user, std::string_view host, bool with_password) {
  std::string text = "Access denied for user '";
  text.append(user.substr(0, kShownUser)).append("'@'").append(host.substr(0, kShownHost));
  text.append("' (using password: ").append(with_password ? "YES)" : "NO)");
  return {1045, "28000", std::move(text)};
}

ServerError UserLimitReached(std::string_view user, std::string_view resource) {
  std::string text = "User '";
  text.append(user.substr(0, kShownUser)).append("' has exceeded the '").append(resource);
  return {1226, "42000", text.append("' resource")};
}

ServerError UserDisabled(std::string_view text) { return {1053, kNetwork, std::string(text)}; }

ServerError ServerLacks(std::string_view capabilities) {
  std::string text = "The database server of this account is too old for this login: it lacks ";
  return {1105, kGeneral, text.append(capabilities)};
}

ServerError ServerWantsOldPassword() {
  return {1251, "08004",
          "The password of this account is stored in the format before MySQL 4.1; set it again"};
}

ServerError CannotCompress() {
  return {1105, kGeneral, "This account can only be used without compression here"};
}

ServerError CharsetNotForClients(std::string_view charset) {
  std::string text = "Variable 'character_set_client' can't be set to the value of '";
  return {1231, "42000", text.append(charset).append("'")};
}

ServerError ErrorForReason(uint32_t reason) {
  for (const ReasonRow& row : kReasons) {
    if (row.reason == reason) return {row.code, row.state, row.text};
  }
  return {1105, kGeneral, "The proxy failed during the login"};
}

}  // namespace rum::mysql

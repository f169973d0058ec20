// rum's own errors: SQLSTATE and text for each end of a login. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rum::pgsql {

struct OwnError {
  const char* sqlstate;
  std::string text;
};

// For an end reason of rum/module.h. An unreachable server is 57P03: libpq then tries its next
// host, and does not retry without TLS.
OwnError ErrorForReason(uint32_t reason);

// For a verdict of "rum.limits/1"; for one that looks like a wrong password, use WrongPassword().
bool LooksLikeAWrongPassword(int32_t verdict);
OwnError ErrorForVerdict(int32_t verdict, std::string_view user);
uint32_t ReasonForVerdict(int32_t verdict);
std::string_view TextForVerdict(int32_t verdict);  // for the log

// `text`: printable, from the map.
OwnError UserDisabled(std::string_view text);

// The same for a wrong password and for an unknown name, as servers do.
OwnError WrongPassword(std::string_view user);

// Replaces a message in which servers name the address and encryption of rum's link.
OwnError NoEntry(std::string_view user, std::string_view database);

}  // namespace rum::pgsql

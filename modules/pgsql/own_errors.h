// What rum itself tells clients: SQLSTATE and text for each end of a login. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rum::pgsql {

struct OwnError {
  const char* sqlstate;
  std::string text;
};

// For an end reason of rum/module.h. What cannot be reached is 57P03: at that libpq goes on to its
// next host, and does not try once more without TLS.
OwnError ErrorForReason(uint32_t reason);

// For a verdict of "rum.limits/1"; those that look like a wrong password are WrongPassword()'s.
bool LooksLikeAWrongPassword(int32_t verdict);
OwnError ErrorForVerdict(int32_t verdict, std::string_view user);
uint32_t ReasonForVerdict(int32_t verdict);
std::string_view TextForVerdict(int32_t verdict);  // for the log

// `text`: printable, from the map.
OwnError UserDisabled(std::string_view text);

// As a server says it to a wrong password and to an unknown name.
OwnError WrongPassword(std::string_view user);

// A message that servers write with the address and the encryption of the link that they see, which
// is rum's.
OwnError NoEntry(std::string_view user, std::string_view database);

}  // namespace rum::pgsql

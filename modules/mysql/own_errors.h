// Errors that rum itself sends to a client whose login fails: well-known codes, and texts that a
// user understands and that name no internal address.
#pragma once

#include <cstdint>
#include <string_view>

#include "mysql/reply.h"

namespace rum::mysql {

ServerError BadHandshake();
// Clients before 4.1 have no SQL states; 4.1 clients without SECURE_CONNECTION do.
ServerError ClientTooOld(bool knows_states);
ServerError OutOfOrder();
ServerError TlsNotOffered();
ServerError TlsRequired();
ServerError ServerWithoutTls();
// The client encrypted the password with a key other than rum's.
ServerError ForeignKey();
ServerError CannotEncrypt();
// In the servers' words. Names are cut to the length that servers show.
ServerError AccessDenied(std::string_view user, std::string_view host, bool with_password);
// The user has reached a limit: connections, or logins per time.
ServerError UserLimitReached(std::string_view user, std::string_view resource);
// `text`: printable, from the map.
ServerError UserDisabled(std::string_view text);
ServerError ServerLacks(std::string_view capabilities);
ServerError ServerWantsOldPassword();
ServerError CannotCompress();
// In the servers' words.
ServerError CharsetNotForClients(std::string_view charset);

// For a session that rum ends with one of its reasons (RUM_CLOSE_...) before the login is complete.
ServerError ErrorForReason(uint32_t reason);

}  // namespace rum::mysql

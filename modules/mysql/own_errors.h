// What rum itself says to a client whose login fails: well-known codes, and sentences that a user
// understands and that name no internal address.
#pragma once

#include <cstdint>
#include <string_view>

#include "mysql/reply.h"

namespace rum::mysql {

ServerError BadHandshake();
// A client from before 4.1 does not know SQL states; one with 4.1 that lacks SECURE_CONNECTION
// does.
ServerError ClientTooOld(bool knows_states);
ServerError OutOfOrder();
ServerError TlsNotOffered();
ServerError TlsRequired();
ServerError ServerWithoutTls();
// The client encrypted the password with a key that is not rum's.
ServerError ForeignKey();
ServerError CannotEncrypt();
// As the servers word it. Names are cut to what they show of them.
ServerError AccessDenied(std::string_view user, std::string_view host, bool with_password);
// The user has more of a resource than its limit: connections, or logins within a time.
ServerError UserLimitReached(std::string_view user, std::string_view resource);
ServerError ServerLacks(std::string_view capabilities);
ServerError ServerWantsOldPassword();
ServerError CannotCompress();
// As the servers word it.
ServerError CharsetNotForClients(std::string_view charset);

// For a session that ends with one of rum's reasons (RUM_CLOSE_...) before its login is over.
ServerError ErrorForReason(uint32_t reason);

}  // namespace rum::mysql

// rum-map set and unset: change single users of a map by its journal.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rum {

// How many changes were made; or problems of single lines, as "FILE:LINE: what is wrong", and an
// error.

// Gives a user a new destination. The secret stays, and so do the rules if none are given. The
// words are as in the text form.
Result<size_t> SetUser(const std::string& map, const std::string& user,
                       const std::string& destination, const std::vector<std::string>& rules);
// The lines of a text are whole records.
Result<size_t> SetUsers(const std::string& map, std::string_view text,
                        std::vector<std::string>* problems);
// 0: there is no such user.
Result<size_t> UnsetUser(const std::string& map, const std::string& user);

}  // namespace rum

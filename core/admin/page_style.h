// The style sheet and the script of the status page, and the policy that allows only these two.
#pragma once

#include <string>
#include <string_view>

namespace rum {

extern const std::string_view kPageStyle, kPageScript;

// The header Content-Security-Policy of the page: nothing but kPageStyle and kPageScript, by their
// hashes, and requests to rum itself.
const std::string& PagePolicy();

}  // namespace rum

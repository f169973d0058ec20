// The module that this process has loaded, by its name: what modules keep is theirs.
#pragma once

#include <string>
#include <string_view>

namespace rum {

// [main] Before the module's init is called.
void SetCurrentModule(const std::string& name);
// [any] Empty: none is loaded.
std::string_view CurrentModule();

}  // namespace rum

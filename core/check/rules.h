// Which rule of rum/module.h a violation breaks.
#pragma once

#include <string>

namespace rum {

// The sentence of ScriptedHost::violations() with the rule behind it, in parentheses.
std::string WithRule(const std::string& violation);

}  // namespace rum

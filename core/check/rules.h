// Names the rule of rum/module.h that a violation breaks.
#pragma once

#include <string>

namespace rum {

// The sentence from ScriptedHost::violations(), then the rule in parentheses.
std::string WithRule(const std::string& violation);

}  // namespace rum

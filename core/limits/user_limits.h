// Sessions by name: of users, and those on their way to a server.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "limits/places.h"

namespace rum {

struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

using UserLimit = PlaceLimit;
using NamedPlaces = Places<std::string, std::string_view, NameHash>;
using UserLimits = NamedPlaces;

}  // namespace rum

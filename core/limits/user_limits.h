// Sessions by name: of users, and those on their way to a server.
#pragma once

#include <string>
#include <string_view>

#include "base/keyed_hash.h"
#include "limits/places.h"

namespace rum {

using UserLimit = PlaceLimit;
using NamedPlaces = Places<std::string, std::string_view, NameHash>;
using UserLimits = NamedPlaces;

}  // namespace rum

// The order of names with numbers for people: db2 before db10, 10.0.0.9 before 10.0.0.10.
#pragma once

#include <string_view>

namespace rum {

// A strict order: digits compare as numbers, all else byte by byte. Texts that only differ in
// leading zeros are in the order of their bytes.
bool NaturalLess(std::string_view a, std::string_view b);

}  // namespace rum

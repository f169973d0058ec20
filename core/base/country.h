// Countries by their two letters in ISO 3166-1 ("CZ"), and sets of them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace rum {

class Country {
 public:
  Country() = default;  // none: unknown
  // Two letters, of which lower-case ones count as upper-case ones. None for any other text.
  static Country From(std::string_view letters);

  explicit operator bool() const { return code_ != 0; }
  std::string text() const;  // empty if unknown

  auto operator<=>(const Country&) const = default;

 private:
  uint16_t code_ = 0;  // both letters
};

class CountrySet {
 public:
  // Parses a comma-separated list; at least one country.
  static Result<CountrySet> Parse(std::string_view text);

  void Add(Country country);
  void Add(const CountrySet& other);
  // False for an unknown country.
  bool Contains(Country country) const;
  bool empty() const { return countries_.empty(); }
  std::string text() const;  // in alphabetical order: "CZ,SK"

 private:
  std::vector<Country> countries_;  // sorted
};

}  // namespace rum

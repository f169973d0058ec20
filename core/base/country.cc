#include "base/country.h"

#include <algorithm>

namespace rum {

Country Country::From(std::string_view letters) {
  Country country;
  if (letters.size() != 2) return country;
  for (char c : letters) {
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (upper < 'A' || upper > 'Z') return {};
    country.code_ = static_cast<uint16_t>(country.code_ << 8 | upper);
  }
  return country;
}

std::string Country::text() const {
  if (code_ == 0) return {};
  return {static_cast<char>(code_ >> 8), static_cast<char>(code_ & 255)};
}

Result<CountrySet> CountrySet::Parse(std::string_view text) {
  CountrySet set;
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    const std::string_view one = rest.substr(0, comma);
    const Country country = Country::From(one);
    if (!country) {
      return Error{Fault::kUsage,
                   "'" + std::string(one) + "': not a country (write its two letters, such as CZ)"};
    }
    set.Add(country);
    if (comma == rest.npos) return set;
    rest.remove_prefix(comma + 1);
  }
}

void CountrySet::Add(Country country) {
  auto at = std::lower_bound(countries_.begin(), countries_.end(), country);
  if (at == countries_.end() || *at != country) countries_.insert(at, country);
}

void CountrySet::Add(const CountrySet& other) {
  for (Country country : other.countries_) Add(country);
}

bool CountrySet::Contains(Country country) const {
  return country && std::binary_search(countries_.begin(), countries_.end(), country);
}

std::string CountrySet::text() const {
  std::string all;
  for (Country country : countries_) (all += all.empty() ? "" : ",") += country.text();
  return all;
}

}  // namespace rum

// Where options of configuration files stand, to say so in errors that come up later.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "settings/settings_reader.h"

namespace rum {

class OptionOrigins {
 public:
  OptionOrigins() = default;
  OptionOrigins(const OptionTexts& texts, const OptionPlaces& places);

  // Puts "FILE:LINE: option: " before an error that begins with an option, as "--map: ...", or
  // names the file that an option has. Leaves others as they are, and those of the command line.
  std::string Locate(const std::string& error) const;

 private:
  struct Origin {
    std::string name, value, place;
  };
  std::vector<Origin> origins_;
};

}  // namespace rum

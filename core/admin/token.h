// The token that readers of the statistics must send (--stats-token-file).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace rum {

class StatisticsToken {
 public:
  // [main] Reads the token, the only line of the file. The error does not contain the file's text.
  static Result<StatisticsToken> Read(const std::string& path);

  // Whether the value of an Authorization header contains the token: as "Bearer TOKEN", or as the
  // password of any user ("Basic ..."), which browsers ask for. Takes as long for a wrong token as
  // for the right one.
  bool IsIn(std::string_view authorization) const;

 private:
  using Digest = std::array<uint8_t, 32>;  // SHA-256

  static Digest DigestOf(std::string_view token);

  Digest digest_ = {};
};

}  // namespace rum

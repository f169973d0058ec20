// The hash for tables with untrusted keys: SipHash-1-3 with a random key of this process, so that
// nobody can choose keys that collide.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace rum {

// https://www.aumasson.jp/siphash/siphash.pdf, with one round per word and three final rounds.
uint64_t SipHash(const std::array<uint64_t, 2>& key, std::string_view bytes);

// [any] SipHash with a random key, which the first call generates.
uint64_t KeyedHash(std::string_view bytes);

// For std::unordered_map and KeyedLimiter with string keys.
struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return KeyedHash(text); }
};

}  // namespace rum

// The hash of tables whose keys come from outside: SipHash-1-3 under a key of this process, so that
// nobody can choose keys that meet in one bucket.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace rum {

// https://www.aumasson.jp/siphash/siphash.pdf, with one round for each word and three at the end.
uint64_t SipHash(const std::array<uint64_t, 2>& key, std::string_view bytes);

// [any] The same with a random key, drawn at the first call.
uint64_t KeyedHash(std::string_view bytes);

// For std::unordered_map and KeyedLimiter with text as keys.
struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return KeyedHash(text); }
};

}  // namespace rum

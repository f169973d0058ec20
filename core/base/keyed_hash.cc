#include "base/keyed_hash.h"

#include <endian.h>

#include <bit>
#include <cstring>
#include <random>

namespace rum {
namespace {

struct State {
  uint64_t a, b, c, d;

  void Round() {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32);
    c += b;
    a += d;
    b = std::rotl(b, 17) ^ c;
    d = std::rotl(d, 21) ^ a;
    c = std::rotl(c, 32);
  }
  void Take(uint64_t word) {
    d ^= word;
    Round();
    a ^= word;
  }
};

uint64_t FullWord(const char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return le64toh(word);
}

// Little endian; at most 8 bytes.
uint64_t WordOf(std::string_view bytes) {
  uint64_t word = 0;
  for (size_t i = bytes.size(); i-- > 0;) word = word << 8 | static_cast<uint8_t>(bytes[i]);
  return word;
}

}  // namespace

uint64_t SipHash(const std::array<uint64_t, 2>& key, std::string_view bytes) {
  const uint64_t size = bytes.size();
  State state = {key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d,
                 key[0] ^ 0x6c7967656e657261, key[1] ^ 0x7465646279746573};
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) state.Take(FullWord(bytes.data()));
  state.Take(size << 56 | WordOf(bytes));
  state.c ^= 0xff;
  for (int i = 0; i < 3; ++i) state.Round();
  return state.a ^ state.b ^ state.c ^ state.d;
}

uint64_t KeyedHash(std::string_view bytes) {
  static const std::array<uint64_t, 2> key = [] {
    std::random_device random;
    auto draw = [&] { return uint64_t{random()} << 32 | random(); };
    return std::array{draw(), draw()};
  }();
  return SipHash(key, bytes);
}

}  // namespace rum

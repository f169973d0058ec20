// Reads the fields of one packet; a read beyond its end fails, as do all later ones, and gives
// zeroes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace rum::mysql {

using Bytes = std::span<const uint8_t>;

inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class Reader {
 public:
  explicit Reader(Bytes bytes) : bytes_(bytes) {}

  // False after the first read that did not fit; values read since then are meaningless.
  bool ok() const { return ok_; }
  size_t left() const { return bytes_.size(); }

  uint8_t ReadU8() { return static_cast<uint8_t>(ReadLittleEndian(1)); }
  uint16_t ReadU16() { return static_cast<uint16_t>(ReadLittleEndian(2)); }
  uint32_t ReadU24() { return static_cast<uint32_t>(ReadLittleEndian(3)); }
  uint32_t ReadU32() { return static_cast<uint32_t>(ReadLittleEndian(4)); }

  // A length-encoded integer. Fails for 0xfb (NULL) and 0xff (an error), which are not lengths.
  uint64_t ReadLength() {
    uint8_t first = ReadU8();
    if (first < 0xfb) return first;
    if (first == 0xfc) return ReadLittleEndian(2);
    if (first == 0xfd) return ReadLittleEndian(3);
    if (first == 0xfe) return ReadLittleEndian(8);
    Fail();
    return 0;
  }

  Bytes ReadBytes(uint64_t size) {
    if (!ok_ || size > bytes_.size()) return Fail();
    Bytes taken = bytes_.first(static_cast<size_t>(size));
    bytes_ = bytes_.subspan(static_cast<size_t>(size));
    return taken;
  }

  // The bytes before the next NUL; consumes the NUL, too.
  Bytes ReadUntilNul() {
    const void* nul = bytes_.empty() ? nullptr : std::memchr(bytes_.data(), 0, bytes_.size());
    if (!ok_ || nul == nullptr) return Fail();
    Bytes taken = ReadBytes(static_cast<size_t>(static_cast<const uint8_t*>(nul) - bytes_.data()));
    bytes_ = bytes_.subspan(1);
    return taken;
  }

  // The same, but the end of the packet counts as a NUL: some senders omit the last one.
  Bytes ReadUntilNulOrEnd() {
    bool nul = !bytes_.empty() && std::memchr(bytes_.data(), 0, bytes_.size()) != nullptr;
    return nul ? ReadUntilNul() : ReadBytes(bytes_.size());
  }

 private:
  Bytes Fail() {
    ok_ = false;
    bytes_ = {};
    return {};
  }

  uint64_t ReadLittleEndian(size_t size) {
    Bytes taken = ReadBytes(size);
    uint64_t value = 0;
    for (size_t i = 0; i < taken.size(); ++i) value |= uint64_t{taken[i]} << (8 * i);
    return value;
  }

  Bytes bytes_;
  bool ok_ = true;
};

// A parsed value, or a sentence that says what is wrong with the bytes.
template <class T>
struct Parsed {
  T value{};
  const char* why = nullptr;  // nullptr: the value is valid

  bool ok() const { return why == nullptr; }
};

}  // namespace rum::mysql

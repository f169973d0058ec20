// Frames packets: three bytes of length, one of sequence, then the payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/reader.h"

namespace rum::mysql {

constexpr size_t kHeaderSize = 4;
// Nothing said during a login is longer. The servers take 64 KiB of connection attributes, and the
// rest of a handshake response is small.
constexpr size_t kMaxPayload = 128 * 1024;

// What the front of a window of bytes holds.
struct Frame {
  enum class Kind : uint8_t {
    kPartial,   // call again when `size` bytes are there
    kWhole,     // `payload` is one packet's, which takes `size` bytes
    kTooLong,   // the header announces more than kMaxPayload
    kBadOrder,  // the header does not have the sequence number that is due
  };
  Kind kind = Kind::kPartial;
  uint8_t sequence = 0;
  size_t size = kHeaderSize;
  Bytes payload;
};

// Looks at the first packet of `bytes`. The header is judged as soon as it is there: bytes of
// another protocol are refused at once and not waited for.
Frame ReadFrame(Bytes bytes, uint8_t sequence_due);

// The header of a packet whose payload is sent behind it.
std::string BuildHeader(size_t payload_size, uint8_t sequence);

// Writes one packet. The payload must stay below 2^24-1 bytes; kMaxPayload keeps it there.
class PacketWriter {
 public:
  PacketWriter() : packet_(kHeaderSize, '\0') {}
  // Room for `payload` bytes at once; more may come.
  explicit PacketWriter(size_t payload) {
    packet_.reserve(kHeaderSize + payload);
    packet_.resize(kHeaderSize);
  }

  PacketWriter& WriteU8(uint8_t value) { return WriteLittleEndian(value, 1); }
  PacketWriter& WriteU16(uint16_t value) { return WriteLittleEndian(value, 2); }
  PacketWriter& WriteU32(uint32_t value) { return WriteLittleEndian(value, 4); }
  PacketWriter& WriteLength(uint64_t value);
  PacketWriter& WriteText(std::string_view text) {
    packet_.append(text);
    return *this;
  }
  PacketWriter& WriteBytes(Bytes bytes) { return WriteText(AsText(bytes)); }
  PacketWriter& WriteNulText(std::string_view text) { return WriteText(text).WriteU8(0); }
  PacketWriter& WriteZeroes(size_t count) {
    packet_.append(count, '\0');
    return *this;
  }

  // Fills the header in and gives the whole packet away.
  std::string Finish(uint8_t sequence);

 private:
  PacketWriter& WriteLittleEndian(uint64_t value, size_t size);

  std::string packet_;
};

}  // namespace rum::mysql

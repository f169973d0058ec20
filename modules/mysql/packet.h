// Frames packets: three bytes of length, one of sequence, then the payload.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "mysql/reader.h"

namespace rum::mysql {

constexpr size_t kHeaderSize = 4;
// No packet of a login is longer: servers accept 64 KiB of connection attributes, and the rest of a
// handshake response is small.
constexpr size_t kMaxPayload = 128 * 1024;

// The content of the front of a window of bytes.
struct Frame {
  enum class Kind : uint8_t {
    kPartial,   // call again when `size` bytes are there
    kWhole,     // `payload` is that of one packet, which has `size` bytes
    kTooLong,   // the header announces more than kMaxPayload
    kBadOrder,  // the sequence number is not the expected one
  };
  Kind kind = Kind::kPartial;
  uint8_t sequence = 0;
  size_t size = kHeaderSize;
  Bytes payload;
};

// Examines the first packet of `bytes`, its header as soon as it is complete: another protocol is
// refused at once instead of waiting for more of it.
Frame ReadFrame(Bytes bytes, uint8_t sequence_due);

// The header of a packet whose payload is sent separately.
std::string BuildHeader(size_t payload_size, uint8_t sequence);

// Builds one packet. The payload must be shorter than 2^24-1 bytes; kMaxPayload ensures it.
class PacketWriter {
 public:
  PacketWriter() : packet_(kHeaderSize, '\0') {}
  // Reserves `payload` bytes; more may follow.
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

  // Completes the header and returns the whole packet.
  std::string Finish(uint8_t sequence);

 private:
  PacketWriter& WriteLittleEndian(uint64_t value, size_t size);

  std::string packet_;
};

}  // namespace rum::mysql

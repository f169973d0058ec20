#include "mysql/packet.h"

#include <utility>

namespace rum::mysql {

Frame ReadFrame(Bytes bytes, uint8_t sequence_due) {
  Frame frame;
  if (bytes.size() < kHeaderSize) return frame;
  Reader header(bytes.first(kHeaderSize));
  size_t length = header.ReadU24();
  frame.sequence = header.ReadU8();
  frame.size = kHeaderSize + length;
  if (frame.sequence != sequence_due) {
    frame.kind = Frame::Kind::kBadOrder;
  } else if (length > kMaxPayload) {
    frame.kind = Frame::Kind::kTooLong;
  } else if (bytes.size() >= frame.size) {
    frame.kind = Frame::Kind::kWhole;
    frame.payload = bytes.subspan(kHeaderSize, length);
  }
  return frame;
}

std::string BuildHeader(size_t payload_size, uint8_t sequence) {
  return {static_cast<char>(payload_size), static_cast<char>(payload_size >> 8),
          static_cast<char>(payload_size >> 16), static_cast<char>(sequence)};
}

PacketWriter& PacketWriter::WriteLength(uint64_t value) {
  if (value < 0xfb) return WriteLittleEndian(value, 1);
  if (value <= 0xffff) return WriteU8(0xfc).WriteLittleEndian(value, 2);
  if (value <= 0xffffff) return WriteU8(0xfd).WriteLittleEndian(value, 3);
  return WriteU8(0xfe).WriteLittleEndian(value, 8);
}

PacketWriter& PacketWriter::WriteLittleEndian(uint64_t value, size_t size) {
  for (size_t i = 0; i < size; ++i) packet_.push_back(static_cast<char>(value >> (8 * i)));
  return *this;
}

std::string PacketWriter::Finish(uint8_t sequence) {
  packet_.replace(0, kHeaderSize, BuildHeader(packet_.size() - kHeaderSize, sequence));
  return std::move(packet_);
}

}  // namespace rum::mysql

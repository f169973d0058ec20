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
  size_t length = packet_.size() - kHeaderSize;
  packet_[0] = static_cast<char>(length);
  packet_[1] = static_cast<char>(length >> 8);
  packet_[2] = static_cast<char>(length >> 16);
  packet_[3] = static_cast<char>(sequence);
  return std::move(packet_);
}

}  // namespace rum::mysql

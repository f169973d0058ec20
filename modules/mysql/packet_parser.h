// Packets as a script waits for them.
#pragma once

#include <cstdint>
#include <optional>
#include <rum/dialogue.hpp>
#include <string_view>

#include "mysql/packet.h"

namespace rum::mysql {

// What a packet holds: good until the next co_await. Nothing: there is none, and what had to be
// said about that was said.
using Payload = std::optional<Bytes>;

// Reads one packet, for Side::Frame(). `frame` holds what was there; after a failed wait it says
// whether the bytes were no packet that is due.
struct PacketParser {
  uint8_t sequence_due;
  Frame* frame;

  dialogue::Parse operator()(std::string_view bytes) const {
    *frame = ReadFrame(AsBytes(bytes), sequence_due);
    switch (frame->kind) {
      case Frame::Kind::kPartial:
        return dialogue::Parse::Need(frame->size);
      case Frame::Kind::kWhole:
        return dialogue::Parse::Whole(frame->size);
      case Frame::Kind::kTooLong:
      case Frame::Kind::kBadOrder:
        break;
    }
    return dialogue::Parse::Bad();
  }
};

}  // namespace rum::mysql

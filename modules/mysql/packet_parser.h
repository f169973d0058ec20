// Lets a script wait for packets.
#pragma once

#include <cstdint>
#include <optional>
#include <rum/dialogue.hpp>
#include <string_view>

#include "mysql/packet.h"

namespace rum::mysql {

// A packet's payload, valid until the next co_await. nullopt: there is none, and any necessary
// answer has been sent.
using Payload = std::optional<Bytes>;

// Reads one packet, for Side::Frame(). `frame` receives the result; after a failed wait it says
// whether the bytes were not the expected packet.
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

#include "mysql/commands.h"

#include <charconv>

#include "mysql/capabilities.h"
#include "mysql/packet.h"

namespace rum::mysql {
namespace {

constexpr uint8_t kQuery = 0x03;
constexpr uint8_t kProcessKill = 0x0c;
constexpr uint8_t kChangeUserCommand = 0x11;
constexpr size_t kFullPacket = 0xffffff;
constexpr uint8_t kLastSequence = 255;
// A KILL with all its words, and space for blanks.
constexpr size_t kMaxKill = 128;
constexpr size_t kProcessKillSize = 5;
constexpr size_t kMaxAttributes = 65535;
constexpr size_t kCompressedHeaderSize = 7;

// Reads words and numbers of a statement.
class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}

  size_t at() const { return at_; }
  bool SkipSpace() {
    size_t before = at_;
    while (at_ < text_.size() && IsSpace(text_[at_])) ++at_;
    return at_ > before;
  }
  // The word and at least one blank after it.
  bool Take(std::string_view word) {
    if (text_.size() - at_ <= word.size()) return false;
    for (size_t i = 0; i < word.size(); ++i) {
      if ((text_[at_ + i] & ~0x20) != word[i]) return false;
    }
    if (!IsSpace(text_[at_ + word.size()])) return false;
    at_ += word.size();
    return SkipSpace();
  }
  std::optional<uint32_t> TakeNumber() {
    uint32_t number = 0;
    const char* begin = text_.data() + at_;
    auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), number);
    if (error != std::errc() || end == begin) return std::nullopt;
    at_ += static_cast<size_t>(end - begin);
    return number;
  }
  // Nothing but the end of the statement.
  bool AtEnd() {
    SkipSpace();
    if (at_ < text_.size() && text_[at_] == ';') ++at_;
    SkipSpace();
    return at_ == text_.size();
  }

 private:
  static bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

  std::string_view text_;
  size_t at_ = 0;
};

ClientPacket::Kind KindOfCommand(uint8_t command, size_t length) {
  switch (command) {
    case kQuery:
      return length <= kMaxKill ? ClientPacket::Kind::kMayKill : ClientPacket::Kind::kOpaque;
    case kProcessKill:
      return length == kProcessKillSize ? ClientPacket::Kind::kMayKill
                                        : ClientPacket::Kind::kOpaque;
    case kChangeUserCommand:
      return length <= kMaxPayload ? ClientPacket::Kind::kChangeUser : ClientPacket::Kind::kTooLong;
    default:
      return ClientPacket::Kind::kOpaque;
  }
}

}  // namespace

ClientPacket CommandReader::Next(Bytes bytes) {
  ClientPacket packet;
  packet.size = kHeaderSize;
  if (bytes.size() < kHeaderSize) return packet;
  Reader header(bytes.first(kHeaderSize));
  size_t length = header.ReadU24();
  uint8_t sequence = header.ReadU8();
  bool command = split_ ? command_ : sequence == 0 && !wraps_;
  ClientPacket::Kind kind = ClientPacket::Kind::kOpaque;
  if (command && !split_ && length > 0) {
    if (bytes.size() == kHeaderSize) {
      ++packet.size;
      return packet;
    }
    kind = KindOfCommand(bytes[kHeaderSize], length);
  }
  packet.size = kHeaderSize + length;
  if (kind == ClientPacket::Kind::kMayKill || kind == ClientPacket::Kind::kChangeUser) {
    if (bytes.size() < packet.size) return packet;
    packet.payload = bytes.subspan(kHeaderSize, length);
  }
  packet.kind = kind;
  bool last = length == 0 && !split_;  // the empty packet that ends the data
  command_ = command;
  wraps_ = !command && !last && sequence == kLastSequence;
  split_ = length == kFullPacket;
  return packet;
}

ClientPacket ReadCompressed(Bytes bytes) {
  ClientPacket packet;
  packet.size = kCompressedHeaderSize;
  if (bytes.size() < kCompressedHeaderSize) return packet;
  Reader header(bytes.first(kCompressedHeaderSize));
  size_t length = header.ReadU24();
  uint8_t sequence = header.ReadU8();
  bool as_it_is = header.ReadU24() == 0;  // otherwise the length when uncompressed
  packet.size += length;
  if (sequence != 0 || !as_it_is || length > kHeaderSize + kMaxKill) {
    packet.kind = ClientPacket::Kind::kOpaque;
    return packet;
  }
  if (bytes.size() < packet.size) return packet;
  Bytes inside = bytes.subspan(kCompressedHeaderSize, length);
  Frame frame = ReadFrame(inside, 0);
  packet.kind = ClientPacket::Kind::kOpaque;
  if (frame.kind == Frame::Kind::kWhole && frame.size == length && !frame.payload.empty() &&
      KindOfCommand(frame.payload[0], frame.payload.size()) == ClientPacket::Kind::kMayKill) {
    packet.kind = ClientPacket::Kind::kMayKill;
    packet.payload = frame.payload;
  }
  return packet;
}

std::string WrapCompressed(std::string_view packet) {
  std::string frame = BuildHeader(packet.size(), 0);
  frame.append(kCompressedHeaderSize - kHeaderSize, '\0').append(packet);
  return frame;
}

std::optional<Kill> FindKill(Bytes payload) {
  Kill kill;
  if (payload.size() == kProcessKillSize && payload[0] == kProcessKill) {
    Reader reader(payload.subspan(1));
    kill.id = reader.ReadU32();
    return kill;
  }
  if (payload.empty() || payload[0] != kQuery) return std::nullopt;
  kill.begin = 1;
  // With QUERY_ATTRIBUTES, the text follows the number of attributes (0) and of their sets.
  if (payload.size() > 3 && payload[1] == 0 && payload[2] == 1) kill.begin = 3;
  Words words(AsText(payload.subspan(kill.begin)));
  words.SkipSpace();
  if (!words.Take("KILL")) return std::nullopt;
  if (!words.Take("HARD")) words.Take("SOFT");
  if (!words.Take("CONNECTION")) words.Take("QUERY");
  size_t digits = words.at();
  std::optional<uint32_t> id = words.TakeNumber();
  if (!id) return std::nullopt;
  kill.id = *id;
  kill.size = words.at() - digits;
  kill.begin += digits;
  if (!words.AtEnd()) return std::nullopt;
  return kill;
}

std::string BuildKill(Bytes payload, const Kill& kill, uint32_t id) {
  PacketWriter packet;
  if (kill.size == 0) return packet.WriteU8(kProcessKill).WriteU32(id).Finish(0);
  return packet.WriteBytes(payload.first(kill.begin))
      .WriteText(std::to_string(id))
      .WriteBytes(payload.subspan(kill.begin + kill.size))
      .Finish(0);
}

bool IsLeave(Bytes bytes) {
  constexpr std::string_view kStatementClose("\x05\0\0\0\x19", 5);
  constexpr size_t kStatementCloseSize = 9;
  std::string_view text = AsText(bytes);
  while (text.size() > kStatementCloseSize && text.starts_with(kStatementClose)) {
    text.remove_prefix(kStatementCloseSize);
  }
  return text == kLeaveTail;
}

std::string BuildQuery(std::string_view text, bool attributes) {
  PacketWriter packet;
  packet.WriteU8(kQuery);
  if (attributes) packet.WriteLength(0).WriteLength(1);  // no attributes, in one set
  return packet.WriteText(text).Finish(0);
}

Parsed<ChangeUser> ParseChangeUser(Bytes payload, uint64_t capabilities) {
  auto has = [&](uint64_t bit) { return (capabilities & bit) != 0; };
  auto text = [](Bytes bytes) { return std::string(AsText(bytes)); };
  Reader reader(payload);
  if (reader.ReadU8() != kChangeUserCommand) return {.why = "this is not a change of the user"};
  ChangeUser change;
  change.user = text(reader.ReadUntilNul());
  if (!reader.ok()) return {.why = "the user name has no end"};
  // One length byte, regardless of PLUGIN_AUTH_LENENC.
  change.auth =
      text(has(kSecureConnection) ? reader.ReadBytes(reader.ReadU8()) : reader.ReadUntilNul());
  if (!reader.ok()) return {.why = "the authentication data are cut short"};
  change.database = text(reader.ReadUntilNulOrEnd());
  if (reader.left() == 0) return {.value = std::move(change)};
  change.charset = reader.ReadU16();
  if (!reader.ok()) return {.why = "the character set is cut short"};
  if (has(kPluginAuth)) change.plugin = text(reader.ReadUntilNulOrEnd());
  if (has(kConnectAttributes) && reader.left() > 0) {
    uint64_t size = reader.ReadLength();
    if (size > kMaxAttributes) return {.why = "more than 65535 bytes of connection attributes"};
    change.attributes = text(reader.ReadBytes(size));
    if (!reader.ok()) return {.why = "the connection attributes are cut short"};
  }
  return {.value = std::move(change)};
}

std::string BuildChangeUser(const ChangeUser& change, uint64_t capabilities) {
  auto has = [&](uint64_t bit) { return (capabilities & bit) != 0; };
  PacketWriter packet;
  packet.WriteU8(kChangeUserCommand).WriteNulText(change.user);
  if (has(kSecureConnection)) {
    std::string_view auth = std::string_view(change.auth).substr(0, 255);
    packet.WriteU8(static_cast<uint8_t>(auth.size())).WriteText(auth);
  } else {
    packet.WriteNulText(change.auth);
  }
  packet.WriteNulText(change.database);
  if (!change.charset) return packet.Finish(0);
  packet.WriteU16(*change.charset);
  if (has(kPluginAuth)) packet.WriteNulText(change.plugin);
  if (has(kConnectAttributes)) {
    packet.WriteLength(change.attributes.size()).WriteText(change.attributes);
  }
  return packet.Finish(0);
}

std::string BuildChangeProof(std::string_view proof) {
  return BuildHeader(proof.size(), 2) + std::string(proof);
}

}  // namespace rum::mysql

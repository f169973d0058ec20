#include "mysql/reply.h"

#include <iterator>

#include "mysql/packet.h"

namespace rum::mysql {
namespace {

constexpr uint8_t kOkMark = 0x00;
constexpr uint8_t kMoreMark = 0x01;
constexpr uint8_t kNextFactorMark = 0x02;
constexpr uint8_t kSwitchMark = 0xfe;
constexpr uint8_t kErrorMark = 0xff;
constexpr uint8_t kFastAuthDone = 0x03;
constexpr size_t kStateSize = 5;

struct StateRow {
  uint16_t code;
  const char* state;
};
// The errors that a server sends before it knows the client's capabilities.
constexpr StateRow kStates[] = {
    {1040, "08004"},  // too many connections
    {1042, "08S01"},  // cannot resolve the host's name
    {1043, "08S01"},  // bad handshake
    {1045, "28000"},  // access denied
    {1053, "08S01"},  // shutdown
    {1152, "08S01"},  // aborted connection
    {1159, "08S01"},  // timeout
    {1203, "42000"},  // this user has too many connections
    {1226, "42000"},  // this user has reached a resource limit
    {1251, "08004"},  // the authentication method is too old
};

}  // namespace

ReplyKind KindOfReply(Bytes payload) {
  if (payload.empty()) return ReplyKind::kMore;
  switch (payload[0]) {
    case kOkMark:
      return ReplyKind::kOk;
    case kErrorMark:
      return ReplyKind::kError;
    case kSwitchMark:
      return payload.size() == 1 ? ReplyKind::kOldSwitch : ReplyKind::kSwitch;
    case kNextFactorMark:
      return ReplyKind::kNextFactor;
    case kMoreMark:
      return payload.size() == 2 && payload[1] == kFastAuthDone ? ReplyKind::kFastAuthOk
                                                                : ReplyKind::kMore;
    default:
      return ReplyKind::kMore;
  }
}

Parsed<ServerError> ParseError(Bytes payload) {
  Reader reader(payload);
  if (reader.ReadU8() != kErrorMark) return {.why = "this is not an error packet"};
  ServerError error;
  error.code = reader.ReadU16();
  if (!reader.ok()) return {.why = "the error packet is cut short"};
  std::string_view text = AsText(reader.ReadBytes(reader.left()));
  if (text.size() > kStateSize && text[0] == '#') {
    error.state = text.substr(1, kStateSize);
    text.remove_prefix(1 + kStateSize);
  }
  error.text = text;
  return {.value = std::move(error)};
}

std::string BuildError(const ServerError& error, uint8_t sequence) {
  PacketWriter packet;
  packet.WriteU8(kErrorMark).WriteU16(error.code);
  if (!error.state.empty()) packet.WriteU8('#').WriteText(error.state);
  return packet.WriteText(error.text).Finish(sequence);
}

std::string_view StateOfError(uint16_t code) {
  for (const StateRow& row : kStates) {
    if (row.code == code) return row.state;
  }
  return "HY000";
}

Parsed<PluginRequest> ParsePluginRequest(Bytes payload) {
  Reader reader(payload);
  uint8_t mark = reader.ReadU8();
  if (mark != kSwitchMark && mark != kNextFactorMark)
    return {.why = "this is not a request for a plugin"};
  Bytes plugin = reader.ReadUntilNulOrEnd();
  if (!reader.ok() || plugin.empty()) return {.why = "the switch names no plugin"};
  return {.value = {.plugin = AsText(plugin), .data = reader.ReadBytes(reader.left())}};
}

std::string BuildNativeSwitch(const Nonce& nonce, uint8_t sequence) {
  PacketWriter packet;
  packet.WriteU8(kSwitchMark).WriteNulText(kNativePlugin).WriteBytes(nonce).WriteU8(0);
  return packet.Finish(sequence);
}

}  // namespace rum::mysql

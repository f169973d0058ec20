#include "mysql/handshake.h"

#include <algorithm>

#include "mysql/capabilities.h"
#include "mysql/packet.h"

namespace rum::mysql {
namespace {

constexpr uint8_t kProtocolVersion = 10;
constexpr size_t kNonceInFirstPart = 8;
// Capabilities, packet size, character set and filler: all of an SSLRequest.
constexpr size_t kFixedResponse = 32;
constexpr size_t kShortRequest = 4;  // only the capabilities

// As sent: LONG_PASSWORD is set if there are no extended flags.
uint32_t LowHalf(uint64_t capabilities) {
  auto low = static_cast<uint32_t>(capabilities);
  return capabilities >> kFurther ? low & ~uint32_t{kLongPassword} : low;
}

// The beginning of the response and of the request for TLS.
PacketWriter BeginResponse(const Response& response, uint64_t more) {
  constexpr size_t kFixed = 32, kLengthsAndNuls = 16;
  uint64_t capabilities = response.capabilities | kLongPassword | more;
  PacketWriter packet(kFixed + response.user.size() + response.auth.size() +
                      response.database.size() + response.plugin.size() +
                      response.attributes.size() + kLengthsAndNuls);
  packet.WriteU32(LowHalf(capabilities))
      .WriteU32(response.max_packet)
      .WriteU8(response.charset)
      .WriteZeroes(19)
      .WriteU32(static_cast<uint32_t>(capabilities >> kFurther));
  return packet;
}

std::string ToString(Bytes bytes) { return std::string(AsText(bytes)); }

void CopyNonce(Bytes bytes, size_t at, Nonce* nonce) {
  std::copy(bytes.begin(), bytes.end(), nonce->begin() + static_cast<ptrdiff_t>(at));
}

}  // namespace

std::string_view NoPluginFor(std::string_view server_version) {
  return server_version.ends_with("-router") ? "sha256_password" : kNoPlugin;
}

std::string BuildGreeting(const Greeting& greeting) {
  bool plugin = (greeting.capabilities & kPluginAuth) != 0;
  Bytes nonce(greeting.nonce);
  constexpr size_t kFixed = 64;
  PacketWriter packet(kFixed + greeting.version.size() + greeting.plugin.size());
  packet.WriteU8(kProtocolVersion)
      .WriteNulText(greeting.version)
      .WriteU32(greeting.connection_id)
      .WriteBytes(nonce.first(kNonceInFirstPart))
      .WriteU8(0)
      .WriteU16(static_cast<uint16_t>(LowHalf(greeting.capabilities)))
      .WriteU8(greeting.charset)
      .WriteU16(greeting.status)
      .WriteU16(static_cast<uint16_t>(greeting.capabilities >> 16))
      .WriteU8(plugin ? kNonceSize + 1 : 0)
      .WriteZeroes(6)
      .WriteU32(static_cast<uint32_t>(greeting.capabilities >> kFurther))
      .WriteBytes(nonce.subspan(kNonceInFirstPart))
      .WriteU8(0);
  if (plugin) packet.WriteNulText(greeting.plugin);
  return packet.Finish(0);
}

Parsed<Greeting> ParseGreeting(Bytes payload) {
  Reader reader(payload);
  if (reader.ReadU8() != kProtocolVersion) return {.why = "the greeting is not of protocol 10"};
  Greeting greeting;
  greeting.version = ToString(reader.ReadUntilNul());
  greeting.connection_id = reader.ReadU32();
  Bytes nonce = reader.ReadBytes(kNonceInFirstPart);
  reader.ReadU8();
  greeting.capabilities = reader.ReadU16();
  greeting.charset = reader.ReadU8();
  greeting.status = reader.ReadU16();
  greeting.capabilities |= uint32_t{reader.ReadU16()} << 16;
  size_t nonce_size = reader.ReadU8();
  reader.ReadBytes(6);
  uint64_t further = reader.ReadU32();
  if ((greeting.capabilities & kLongPassword) == 0) greeting.capabilities |= further << kFurther;
  if (!reader.ok()) return {.why = "the greeting is cut short"};
  CopyNonce(nonce, 0, &greeting.nonce);
  if ((greeting.capabilities & kSecureConnection) != 0) {
    // At least 13 bytes, the last one a NUL; a longer nonce belongs to a plugin that rum never
    // answers.
    Bytes rest =
        reader.ReadBytes(std::max<size_t>(13, nonce_size - std::min<size_t>(nonce_size, 8)));
    if (!reader.ok()) return {.why = "the greeting's nonce is cut short"};
    CopyNonce(rest.first(kNonceSize - kNonceInFirstPart), kNonceInFirstPart, &greeting.nonce);
  }
  if ((greeting.capabilities & kPluginAuth) != 0) {
    greeting.plugin = ToString(reader.ReadUntilNulOrEnd());
  }
  return {.value = std::move(greeting)};
}

ResponseKind KindOfResponse(Bytes payload, bool to_mysql) {
  Reader reader(payload);
  uint32_t low = reader.ReadU16();
  // Without PROTOCOL_41, these two bytes are the only flags.
  if (reader.ok() && (low & kProtocol41) == 0 && payload.size() > 5) return ResponseKind::kTooOld;
  bool request = payload.size() == kFixedResponse || (to_mysql && payload.size() == kShortRequest);
  if (request && (low & kSsl) != 0) return ResponseKind::kSslRequest;
  return ResponseKind::kProtocol41;
}

Parsed<Response> ParseResponse(Bytes payload, uint64_t promised) {
  Reader reader(payload);
  Response response;
  response.capabilities = reader.ReadU32();
  response.max_packet = reader.ReadU32();
  response.charset = reader.ReadU8();
  reader.ReadBytes(19);
  uint64_t further = reader.ReadU32();
  if ((response.capabilities & kLongPassword) == 0) response.capabilities |= further << kFurther;
  if (!reader.ok()) return {.why = "the response is shorter than 32 bytes"};
  auto has = [&](uint64_t bit) { return (response.capabilities & promised & bit) != 0; };

  response.user = ToString(reader.ReadUntilNul());
  if (!reader.ok()) return {.why = "the user name has no end"};

  if (has(kLengthEncodedAuth)) {
    response.auth = ToString(reader.ReadBytes(reader.ReadLength()));
  } else if (has(kSecureConnection)) {
    response.auth = ToString(reader.ReadBytes(reader.ReadU8()));
  } else {
    response.auth = ToString(reader.ReadUntilNul());
  }
  if (!reader.ok()) return {.why = "the authentication data are cut short"};

  if (has(kConnectWithDb)) {
    if (reader.left() == 0) return {.why = "the database is announced but missing"};
    response.database = ToString(reader.ReadUntilNulOrEnd());
  }
  if (has(kPluginAuth)) {  // servers accept a missing name, too
    response.plugin = ToString(reader.ReadUntilNulOrEnd());
  }
  if (has(kConnectAttributes)) {
    uint64_t size = reader.ReadLength();
    if (size > kMaxAttributes) return {.why = "more than 65535 bytes of connection attributes"};
    response.attributes = ToString(reader.ReadBytes(size));
    if (!reader.ok()) return {.why = "the connection attributes are cut short"};
  }
  // Some clients set the flag unasked and omit the field.
  if (has(kZstd) && reader.left() > 0) response.zstd_level = reader.ReadU8();
  return {.value = std::move(response)};
}

std::string_view CharsetOfNoClient(uint8_t charset) {
  struct Row {
    uint8_t first, last;
    std::string_view name;
  };
  static constexpr Row kRows[] = {
      {17, 17, "filename"}, {35, 35, "ucs2"},    {54, 55, "utf16"},   {56, 56, "utf16le"},
      {60, 61, "utf32"},    {62, 62, "utf16le"}, {90, 90, "ucs2"},    {101, 124, "utf16"},
      {128, 151, "ucs2"},   {159, 159, "ucs2"},  {160, 183, "utf32"},
  };
  for (const Row& row : kRows) {
    if (charset >= row.first && charset <= row.last) return row.name;
  }
  return {};
}

std::string BuildResponse(const Response& response, uint8_t sequence) {
  auto has = [&](uint64_t bit) { return (response.capabilities & bit) != 0; };
  PacketWriter packet = BeginResponse(response, 0);
  packet.WriteNulText(response.user);
  if (has(kLengthEncodedAuth)) {
    packet.WriteLength(response.auth.size()).WriteText(response.auth);
  } else if (has(kSecureConnection)) {
    // One length byte: rum's own tokens have 20 bytes.
    std::string_view auth = std::string_view(response.auth).substr(0, 255);
    packet.WriteU8(static_cast<uint8_t>(auth.size())).WriteText(auth);
  } else {
    packet.WriteNulText(response.auth);
  }
  if (has(kConnectWithDb)) packet.WriteNulText(response.database);
  if (has(kPluginAuth)) packet.WriteNulText(response.plugin);
  if (has(kConnectAttributes)) {
    packet.WriteLength(response.attributes.size()).WriteText(response.attributes);
  }
  if (has(kZstd)) packet.WriteU8(response.zstd_level);
  return packet.Finish(sequence);
}

std::string BuildSslRequest(const Response& response, uint8_t sequence) {
  return BeginResponse(response, kSsl).Finish(sequence);
}

}  // namespace rum::mysql

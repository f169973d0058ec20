#include "mysql/kept_server.h"

#include <algorithm>

#include "mysql/packet.h"

namespace rum::mysql {
namespace {

constexpr size_t kVersionMost = 255;

PacketWriter& WriteU64(PacketWriter& packet, uint64_t value) {
  return packet.WriteU32(static_cast<uint32_t>(value)).WriteU32(static_cast<uint32_t>(value >> 32));
}

uint64_t ReadU64(Reader& reader) {
  uint64_t low = reader.ReadU32();
  return low | uint64_t{reader.ReadU32()} << 32;
}

}  // namespace

std::optional<std::string> WriteKeptServer(const KeptServer& server) {
  const Greeting& greeting = server.greeting;
  if (greeting.version.size() > kVersionMost) return std::nullopt;
  PacketWriter packet;
  WriteU64(packet, server.in_force);
  WriteU64(packet, greeting.capabilities).WriteU32(greeting.connection_id);
  packet.WriteBytes(greeting.nonce).WriteU8(greeting.charset).WriteText(greeting.version);
  return packet.Finish(0).substr(kHeaderSize);
}

Parsed<KeptServer> ReadKeptServer(std::string_view text) {
  Reader reader(AsBytes(text));
  KeptServer server;
  server.in_force = ReadU64(reader);
  server.greeting.capabilities = ReadU64(reader);
  server.greeting.connection_id = reader.ReadU32();
  Bytes nonce = reader.ReadBytes(kNonceSize);
  server.greeting.charset = reader.ReadU8();
  if (!reader.ok()) return {.why = "what was kept of a server is cut short"};
  std::copy(nonce.begin(), nonce.end(), server.greeting.nonce.begin());
  server.greeting.version = AsText(reader.ReadBytes(reader.left()));
  return {.value = std::move(server)};
}

std::string WriteReuseKey(const ReuseKey& key) {
  PacketWriter packet;
  WriteU64(packet, key.capabilities).WriteU32(key.max_packet).WriteU8(key.charset);
  packet.WriteU8(static_cast<uint8_t>(key.tls_mode));
  packet.WriteU8(static_cast<uint8_t>(key.client_tls | key.rewrites << 1)).WriteText(key.user);
  return packet.Finish(0).substr(kHeaderSize);
}

}  // namespace rum::mysql

// What a client sends after its login: packets are framed without reading beyond, a KILL keeps its
// form with another id, and a COM_CHANGE_USER that is read can be written and read again.
#include <cstdlib>

#include "mysql/capabilities.h"
#include "mysql/commands.h"
#include "mysql/packet.h"

using namespace rum::mysql;

namespace {

void CheckKill(Bytes payload) {
  auto kill = FindKill(payload);
  if (!kill) return;
  std::string packet = BuildKill(payload, *kill, 7);
  auto again = FindKill(AsBytes(packet).subspan(kHeaderSize));
  if (!again || again->id != 7) std::abort();
}

void CheckChange(Bytes payload, uint64_t capabilities) {
  auto change = ParseChangeUser(payload, capabilities);
  if (!change.ok()) return;
  std::string packet = BuildChangeUser(change.value, capabilities);
  auto again = ParseChangeUser(AsBytes(packet).subspan(kHeaderSize), capabilities);
  if (!again.ok() || again.value.user != change.value.user ||
      again.value.auth != change.value.auth || again.value.database != change.value.database ||
      again.value.charset != change.value.charset || again.value.plugin != change.value.plugin ||
      again.value.attributes != change.value.attributes) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  CommandReader reader;
  while (!bytes.empty()) {
    ClientPacket packet = reader.Next(bytes);
    if (packet.kind == ClientPacket::Kind::kPartial) {
      if (packet.size <= bytes.size()) std::abort();
      break;
    }
    if (packet.kind == ClientPacket::Kind::kMayKill) CheckKill(packet.payload);
    if (packet.size > bytes.size()) break;
    bytes = bytes.subspan(packet.size);
  }
  for (Bytes rest(data, size); !rest.empty();) {
    ClientPacket frame = ReadCompressed(rest);
    if (frame.kind == ClientPacket::Kind::kPartial && frame.size <= rest.size()) std::abort();
    if (frame.kind == ClientPacket::Kind::kMayKill) {
      CheckKill(frame.payload);
      std::string packet = PacketWriter().WriteBytes(frame.payload).Finish(0);
      if (WrapCompressed(packet) != AsText(rest.first(frame.size))) std::abort();
    }
    if (frame.kind == ClientPacket::Kind::kPartial || frame.size > rest.size()) break;
    rest = rest.subspan(frame.size);
  }
  CheckKill({data, size});
  for (uint64_t capabilities :
       {uint64_t{0}, uint64_t{kSecureConnection}, kSecureConnection | kPluginAuth,
        kSecureConnection | kPluginAuth | kConnectAttributes}) {
    CheckChange({data, size}, capabilities);
  }
  return 0;
}

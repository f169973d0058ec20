// What a server says during a login: switch, OK, ERR.
#include <cstdlib>

#include "mysql/packet.h"
#include "mysql/reply.h"

using namespace rum::mysql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  ReplyKind kind = KindOfReply(bytes);
  auto request = ParsePluginRequest(bytes);
  if (request.ok() && kind != ReplyKind::kSwitch && kind != ReplyKind::kNextFactor) std::abort();
  auto error = ParseError(bytes);
  if (!error.ok()) return 0;
  if (kind != ReplyKind::kError) std::abort();
  std::string packet = BuildError(error.value, 2);
  auto again = ParseError(AsBytes(packet).subspan(kHeaderSize));
  if (!again.ok() || again.value.code != error.value.code) std::abort();
  return 0;
}

// A client's response, in its frame: whatever is read can be written for a server and read again.
#include <cstdlib>

#include "mysql/capabilities.h"
#include "mysql/handshake.h"
#include "mysql/packet.h"

using namespace rum::mysql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  Frame frame = ReadFrame(bytes, size > 3 ? data[3] : 0);
  if (frame.kind == Frame::Kind::kWhole && frame.size > size) std::abort();
  KindOfResponse(bytes);
  auto response = ParseResponse(bytes);
  if (!response.ok()) return 0;
  Response& value = response.value;
  if ((value.capabilities & kSecureConnection) == 0 && value.auth.find('\0') != std::string::npos) {
    value.capabilities |= kSecureConnection;
  }
  std::string packet = BuildResponse(value, 1);
  auto again = ParseResponse(AsBytes(packet).subspan(kHeaderSize));
  bool fits = (value.capabilities & kLengthEncodedAuth) != 0 || value.auth.size() <= 255;
  if (!again.ok() || again.value.user != value.user || (fits && again.value.auth != value.auth) ||
      again.value.database != value.database || again.value.plugin != value.plugin ||
      again.value.attributes != value.attributes || again.value.zstd_level != value.zstd_level) {
    std::abort();
  }
  return 0;
}

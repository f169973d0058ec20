// A client's response, in its frame: whatever is read can be written for a server and read again,
// and the name that rum makes of it is the one that the server makes of what rum sends.
#include <cstdlib>

#include "mysql/account_name.h"
#include "mysql/capabilities.h"
#include "mysql/handshake.h"
#include "mysql/packet.h"

using namespace rum::mysql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  Frame frame = ReadFrame(bytes, size > 3 ? data[3] : 0);
  if (frame.kind == Frame::Kind::kWhole && frame.size > size) std::abort();
  KindOfResponse(bytes, true);
  auto response = ParseResponse(bytes);
  if (!response.ok()) return 0;
  Response& value = response.value;
  for (NameIn in : {NameIn::kResponse, NameIn::kChangeUser}) {
    auto account = FoldAccountName(value.user, value.charset, in);
    if (!account.ok()) continue;
    // What is sent means the same account.
    auto again = FoldAccountName(account.value.sent, value.charset, in);
    if (!again.ok() || again.value.name != account.value.name) std::abort();
  }
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

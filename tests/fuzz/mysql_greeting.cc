// A server's greeting: whatever is read can be written and read again.
#include <cstdlib>

#include "mysql/capabilities.h"
#include "mysql/handshake.h"
#include "mysql/packet.h"

using namespace rum::mysql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto greeting = ParseGreeting({data, size});
  if (!greeting.ok()) return 0;
  greeting.value.capabilities |= kSecureConnection;  // rum greets with nothing less
  std::string packet = BuildGreeting(greeting.value);
  auto again = ParseGreeting(AsBytes(packet).subspan(kHeaderSize));
  if (!again.ok() || again.value.version != greeting.value.version ||
      again.value.capabilities != greeting.value.capabilities ||
      again.value.plugin != greeting.value.plugin) {
    std::abort();
  }
  return 0;
}

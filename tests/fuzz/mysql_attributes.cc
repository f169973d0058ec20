// Connection attributes of a client, which rum puts its own before.
#include <cstdlib>

#include "mysql/attributes.h"
#include "mysql/handshake.h"

using namespace rum::mysql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ClientFacts facts{.ip = "192.0.2.1", .port = "7", .user = "u"};
  std::string once = WithClientFacts(AsText({data, size}), facts);
  if (once.size() > kMaxAttributes) std::abort();
  // What it has written it can read, and finds its own there only.
  if (WithClientFacts(once, facts) != once) std::abort();
  return 0;
}

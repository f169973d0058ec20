// Replies of a Redis that nobody trusts.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/resp.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (size_t used = 0;; bytes.remove_prefix(used)) {
    rum::RespReply reply;
    const rum::RespRead read = rum::ReadResp(bytes, &used, &reply);
    if (read != rum::RespRead::kDone) break;
    if (used == 0 || used > bytes.size()) std::abort();
  }
  return 0;
}

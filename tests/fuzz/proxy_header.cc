// A PROXY header: no more is asked for than the protocol allows, a cut one is never good, and the
// addresses that are read can be written and read again.
#include "base/proxy_header.h"

#include <cstdlib>
#include <string_view>

using namespace rum;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using Status = ProxyHeader::Status;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ProxyHeader header = ParseProxyHeader(bytes);
  if (header.status == Status::kMore && size >= ProxyHeader::kV2Most) std::abort();
  if (header.status != Status::kGood) return 0;
  if (header.size == 0 || header.size > size || header.size > ProxyHeader::kV2Most) std::abort();
  if (ParseProxyHeader(bytes.substr(0, header.size - 1)).status != Status::kMore) std::abort();
  if (!header.ends) return 0;
  for (auto version : {ProxyVersion::kV1, ProxyVersion::kV2}) {
    auto again = ParseProxyHeader(BuildProxyHeader(version, header.ends));
    if (again.status != Status::kGood || !again.ends ||
        again.ends->source.text() != header.ends->source.text() ||
        again.ends->destination.text() != header.ends->destination.text()) {
      std::abort();
    }
  }
  return 0;
}

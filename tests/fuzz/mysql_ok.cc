// The OK that ends a login.
#include <cstdlib>

#include "mysql/ok_packet.h"

using namespace rum::mysql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes bytes(data, size);
  auto ok = ParseOk(bytes);
  if (!ok.ok()) return 0;
  if (ok.value.head.size() + ok.value.info.size() + ok.value.tail.size() > size) std::abort();
  ok.value.info = "another";
  std::string written = BuildOk(ok.value);
  auto again = ParseOk(AsBytes(written));
  if (!again.ok() || again.value.info != "another" ||
      AsText(again.value.head) != AsText(ok.value.head) ||
      AsText(again.value.tail) != AsText(ok.value.tail)) {
    std::abort();
  }
  return 0;
}

// A record of the map.
#include <cstdlib>

#include "mysql/record.h"

using namespace rum::mysql;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto record = ParseRecord({data, size});
  if (!record.ok()) return 0;
  if (record.value.destination.empty() ||
      record.value.destination.find('\0') != std::string_view::npos) {
    std::abort();
  }
  return 0;
}

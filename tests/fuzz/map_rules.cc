// Any bytes as the rules of a user: they are read or refused, and written without loss.
#include "map/map_rules.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include "map/map_record.h"
#include "map/map_text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view tail(reinterpret_cast<const char*>(data), size);
  auto rules = rum::ParseMapRules(tail);
  if (!rules && rules.error().text.empty()) std::abort();
  for (const std::string& line : rum::DescribeMapRules(tail)) {
    for (char c : line) {
      if (static_cast<unsigned char>(c) < 0x20) std::abort();
    }
  }
  // As a column of the text form, whatever it is.
  std::string value = rum::FormatMapRecord({{}, "tcp:a:1", tail});
  auto entry = rum::ParseMapLine(rum::FormatMapLine("user", value));
  if (!entry || !*entry || (*entry)->value != value) std::abort();
  return 0;
}

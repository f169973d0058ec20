// A page of sessions that anybody who can write to the Redis of --share may have written.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "share/count_pages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  rum::OtherNodes::Counts counts;
  rum::ChargeTables charges;
  const bool read = rum::AddPage(page, &counts, &charges);
  if (read && rum::PagesOf(page) == 0) std::abort();
  if (counts.users.size() + counts.addresses.size() + counts.charges > size) std::abort();
  for (const auto& [user, sessions] : counts.users) {
    if (sessions == 0 || sessions > rum::kSessionsMost) std::abort();
  }
  return 0;
}

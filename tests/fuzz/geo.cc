// Any bytes as a country database: they are read or refused, and a look-up ends. The first byte
// chooses: raw bytes, or a good file spoiled at as many places as there are groups of three bytes.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "../core/geo/geo_bytes.h"
#include "geo/geo_database.h"

// libmaxminddb 1.7.1 leaks about 5 KiB when it refuses a file with certain damage to its metadata.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libmaxminddb"; }

namespace {

std::string GoodFile() {
  rum::GeoBytes bytes;
  const uint32_t cz = bytes.Data(rum::GeoCountry("CZ"));
  bytes.SetV4({192, 0, 2}, 24, cz);
  bytes.Set({0x20, 0x01, 0x0d, 0xb8}, 32, bytes.Data(rum::GeoCountry("SK")));
  bytes.Set({0x20, 0x02}, 16, bytes.V4Node());
  return bytes.File();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string file(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] % 2) {
    static const std::string good = GoodFile();
    const std::string places = std::move(file);
    file = good;
    for (size_t i = 0; i + 2 < places.size(); i += 3) {
      const size_t at =
          static_cast<unsigned char>(places[i]) << 8 | static_cast<unsigned char>(places[i + 1]);
      file[at % file.size()] = places[i + 2];
    }
  }
  auto database = rum::GeoDatabase::FromBytes("fuzz", file);
  if (!database) {
    if (database.error().text.empty()) std::abort();
    return 0;
  }
  for (const char* host : {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "2001:db8::1",
                           "2002:c000:0201::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) {
    const std::string country = (*database)->Find(*rum::SocketAddress::Numeric(host, 1)).text();
    if (!country.empty() && country.size() != 2) std::abort();
  }
  return 0;
}

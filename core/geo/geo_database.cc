#include "geo/geo_database.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/units.h"
#include "config.h"
#ifdef HAVE_MAXMINDDB
#include "geo/geo_reader.h"
#endif

namespace rum {
namespace {

constexpr const char* kLabel = "country database";

Status CheckSize(uint64_t bytes) {
  if (bytes <= kGeoBytesMost) return Ok();
  return Error{Fault::kMap, "is larger than " + ShowSize(kGeoBytesMost)};
}

}  // namespace

Result<std::shared_ptr<const GeoDatabase>> GeoDatabase::Load(const std::string& path,
                                                             const std::atomic<bool>* stop) {
  auto copy = SealedCopy::Read(path, kLabel, CheckSize, stop);
  if (!copy) return copy.error();
  return Open(path, *copy, stop);
}

Result<std::shared_ptr<const GeoDatabase>> GeoDatabase::FromBytes(const std::string& name,
                                                                  std::string_view bytes) {
  auto copy = SealedCopy::Of(bytes, kLabel);
  if (!copy) return Error{copy.error().fault, name + ": " + copy.error().text};
  return Open(name, *copy, nullptr);
}

#ifdef HAVE_MAXMINDDB

bool GeoDatabase::Available() { return true; }

Result<std::shared_ptr<const GeoDatabase>> GeoDatabase::Open(const std::string& name,
                                                             const SealedCopy& copy,
                                                             const std::atomic<bool>* stop) {
  MMDB_s file;
  const std::string path = "/proc/self/fd/" + std::to_string(copy.fd());
  errno = 0;
  if (int error = MMDB_open(path.c_str(), MMDB_MODE_MMAP, &file); error != MMDB_SUCCESS) {
    if (error == MMDB_FILE_OPEN_ERROR) {
      return Error{Fault::kSystem, name + ": cannot be read through /proc/self/fd (" +
                                       std::strerror(errno) + "): mount /proc"};
    }
    return Error{Fault::kMap, name + ": is no " + kLabel + " (.mmdb): " + MMDB_strerror(error)};
  }
  std::shared_ptr<GeoDatabase> database(new GeoDatabase);
  const Status read = GeoReader(file, *database, stop).Read();
  MMDB_close(&file);
  if (!read) return Error{read.error().fault, name + ": " + read.error().text};
  database->stamp_ = copy.stamp();
  return std::shared_ptr<const GeoDatabase>(std::move(database));
}

#else

bool GeoDatabase::Available() { return false; }

Result<std::shared_ptr<const GeoDatabase>> GeoDatabase::Open(const std::string& name,
                                                             const SealedCopy&,
                                                             const std::atomic<bool>*) {
  return Error{Fault::kConfig, name + ": this rum was built without libmaxminddb"};
}

#endif

Country GeoDatabase::FindIn(const std::vector<Range>& ranges, const Ip& ip) {
  auto next = std::upper_bound(ranges.begin(), ranges.end(), ip,
                               [](const Ip& a, const Range& range) { return a < range.begin; });
  return next == ranges.begin() ? Country() : std::prev(next)->country;
}

Country GeoDatabase::Find(const SocketAddress& any) const {
  if (!any.ip()) return {};
  const SocketAddress address = any.Canonical();
  if (address.family() == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(address.get());
    return FindIn(v4_, {0, ntohl(in->sin_addr.s_addr)});
  }
  const auto* in6 = reinterpret_cast<const sockaddr_in6*>(address.get());
  Ip ip;
  for (size_t i = 0; i < 16; ++i) {
    uint64_t& half = i < 8 ? ip.high : ip.low;
    half = half << 8 | in6->sin6_addr.s6_addr[i];
  }
  for (const Alias& alias : aliases_) {
    const auto bit = [](const Ip& of, unsigned at) {
      return (at < 64 ? of.high : of.low) >> (63 - at % 64) & 1;
    };
    unsigned same = 0;
    while (same < alias.bits && bit(ip, same) == bit(alias.network, same)) ++same;
    if (same < alias.bits) continue;
    uint64_t v4 = 0;
    for (unsigned at = alias.bits; at < alias.bits + 32; ++at) v4 = v4 << 1 | bit(ip, at);
    return FindIn(v4_, {0, v4});
  }
  return FindIn(v6_, ip);
}

}  // namespace rum

// Countries of addresses, from a file in MaxMind's format (.mmdb). libmaxminddb reads it once; rum
// looks up in sorted ranges of its own, so that neither the file nor its contents can delay a
// worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/country.h"
#include "base/file_stamp.h"
#include "base/result.h"
#include "base/sealed_copy.h"

namespace rum {

// Bounds of what a file can cost: bytes read, ranges kept (24 bytes each), time to read it.
inline constexpr uint64_t kGeoBytesMost = uint64_t{1} << 30;
inline constexpr size_t kGeoRangesMost = 16'000'000;
inline constexpr uint64_t kGeoMicrosMost = 60'000'000;

class GeoDatabase {
 public:
  // Whether this build has libmaxminddb; without it, Load() is an error.
  static bool Available();

  // [any] Blocks while reading: about a second for a database of cities. Faults: kMap if the file
  // is missing or bad, kSystem if resources are exhausted. Another thread can abort it by setting
  // `stop`, which is an error. Needs /proc, as libmaxminddb only opens names.
  static Result<std::shared_ptr<const GeoDatabase>> Load(const std::string& path,
                                                         const std::atomic<bool>* stop = nullptr);
  // As Load(), from bytes in memory; `name` is used in errors.
  static Result<std::shared_ptr<const GeoDatabase>> FromBytes(const std::string& name,
                                                              std::string_view bytes);

  // [any] Takes no lock and allocates nothing. Unknown for addresses that are not in the database,
  // such as private ones, and for clients of unix sockets.
  Country Find(const SocketAddress& address) const;

  size_t ranges() const { return v4_.size() + v6_.size(); }
  int64_t built_at() const { return built_at_; }  // seconds since 1970, as the file says
  const FileStamp& stamp() const { return stamp_; }

 private:
  friend class GeoReader;
  // IPv4 addresses are in the low 32 bits of `low`.
  struct Ip {
    uint64_t high = 0, low = 0;
    auto operator<=>(const Ip&) const = default;
  };
  // From this address to the next range's.
  struct Range {
    Ip begin;
    Country country;
  };
  // A network of IPv6 addresses that hold an IPv4 address behind the first `bits`, such as
  // 2002::/16.
  struct Alias {
    Ip network;
    unsigned bits = 0;
  };

  GeoDatabase() = default;
  static Result<std::shared_ptr<const GeoDatabase>> Open(const std::string& name,
                                                         const SealedCopy& copy,
                                                         const std::atomic<bool>* stop);
  static Country FindIn(const std::vector<Range>& ranges, const Ip& ip);

  std::vector<Range> v4_, v6_;  // sorted
  std::vector<Alias> aliases_;
  int64_t built_at_ = 0;
  FileStamp stamp_;
};

}  // namespace rum

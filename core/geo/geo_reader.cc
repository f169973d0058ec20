#include "geo/geo_reader.h"

#include <string_view>

#include "base/clock.h"

namespace rum {
namespace {

constexpr unsigned kBits = 128;
constexpr unsigned kV4Bits = 96;  // where IPv4 addresses begin in an IPv6 tree
// Networks that lead to the IPv4 addresses: files have three (::ffff:0:0/96, 2001::/32, 2002::/16).
constexpr size_t kAliasesMost = 16;
constexpr uint64_t kStepsBetweenLooks = 1 << 16;
constexpr size_t kKnownMost = 1 << 20;  // places whose country is remembered; files share them

Error Bad(std::string text) { return Error{Fault::kMap, std::move(text)}; }

// The text at a path of keys, or empty.
template <class... Keys>
std::string_view TextAt(MMDB_entry_s& entry, Keys... keys) {
  MMDB_entry_data_s data;
  if (MMDB_get_value(&entry, &data, keys..., nullptr) != MMDB_SUCCESS || !data.has_data ||
      data.type != MMDB_DATA_TYPE_UTF8_STRING) {
    return {};
  }
  return {data.utf8_string, data.data_size};
}

}  // namespace

// In a tree each node is reached once. Files that share nodes between networks are read as well,
// but not those that use this to seem endless.
GeoReader::GeoReader(MMDB_s& file, GeoDatabase& database, const std::atomic<bool>* stop)
    : file_(file),
      database_(database),
      stop_(stop),
      deadline_(NowMicros() + kGeoMicrosMost),
      steps_left_(4 * uint64_t{file.metadata.node_count} + 1024) {}

Status GeoReader::Read() {
  const unsigned version = file_.metadata.ip_version;
  if (version != 4 && version != 6) return Bad("has neither IPv4 nor IPv6 addresses");
  const Record root{0, MMDB_RECORD_TYPE_SEARCH_NODE, {}};
  auto v4 = version == 4 ? Result<Record>(root) : FindV4();
  if (!v4) return v4.error();
  if (Status s = Walk(*v4, {}, kV4Bits, database_.v4_); !s) return s;
  if (version == 6) {
    has_v4_node_ = v4->type == MMDB_RECORD_TYPE_SEARCH_NODE;
    v4_node_ = v4->node;
    if (Status s = Walk(root, {}, 0, database_.v6_); !s) return s;
  }
  if (!any_) return Bad("names no country (country.iso_code): is it a database of countries?");
  database_.v4_.shrink_to_fit();
  database_.v6_.shrink_to_fit();
  database_.built_at_ = static_cast<int64_t>(file_.metadata.build_epoch);
  return Ok();
}

Result<GeoReader::Record> GeoReader::Child(uint64_t node, bool right) {
  if (steps_left_-- == 0) return Bad("its search tree is not a tree");
  if (steps_left_ % kStepsBetweenLooks == 0 && stop_ && *stop_) {
    return Bad("was not read to its end: interrupted");
  }
  MMDB_search_node_s both;
  if (node > UINT32_MAX ||
      MMDB_read_node(&file_, static_cast<uint32_t>(node), &both) != MMDB_SUCCESS) {
    return Bad("its search tree is damaged");
  }
  const Record record =
      right ? Record{both.right_record, both.right_record_type, both.right_record_entry}
            : Record{both.left_record, both.left_record_type, both.left_record_entry};
  if (record.type == MMDB_RECORD_TYPE_INVALID) return Bad("its search tree is damaged");
  return record;
}

// The IPv4 addresses are those of ::/96.
Result<GeoReader::Record> GeoReader::FindV4() {
  Record record{0, MMDB_RECORD_TYPE_SEARCH_NODE, {}};
  for (unsigned bit = 0; bit < kV4Bits && record.type == MMDB_RECORD_TYPE_SEARCH_NODE; ++bit) {
    auto child = Child(record.node, false);
    if (!child) return child;
    record = *child;
  }
  return record;
}

// Adds the ranges of the network, of which `bits` are decided. Recursion goes 128 deep at most.
Status GeoReader::Walk(const Record& record, const Ip& network, unsigned bits,
                       std::vector<Range>& ranges) {
  if (record.type == MMDB_RECORD_TYPE_EMPTY) return Add(network, {}, ranges);
  if (record.type == MMDB_RECORD_TYPE_DATA) {
    auto country = CountryOf(record.entry);
    if (!country) return country.error();
    return Add(network, *country, ranges);
  }
  if (has_v4_node_ && record.node == v4_node_) {
    if (bits > kV4Bits) return Bad("its search tree is damaged");
    if (network != Ip{} && database_.aliases_.size() < kAliasesMost) {
      database_.aliases_.push_back({network, bits});
    }
    return Add(network, {}, ranges);
  }
  if (bits == kBits) return Bad("its search tree is damaged");
  for (bool right : {false, true}) {
    auto child = Child(record.node, right);
    if (!child) return child.error();
    Ip half = network;
    if (right) (bits < 64 ? half.high : half.low) |= uint64_t{1} << (63 - bits % 64);
    if (Status s = Walk(*child, half, bits + 1, ranges); !s) return s;
  }
  return Ok();
}

Status GeoReader::Add(const Ip& begin, Country country, std::vector<Range>& ranges) {
  if (!ranges.empty() && ranges.back().country == country) return Ok();
  if (database_.ranges() == kGeoRangesMost) {
    return Bad("has more than " + std::to_string(kGeoRangesMost) + " networks");
  }
  ranges.push_back({begin, country});
  return Ok();
}

// Where an address is; else where its network is registered, as satellites are nowhere. Databases
// of others than MaxMind have the country at the top.
Result<Country> GeoReader::CountryOf(MMDB_entry_s entry) {
  if (known_.size() == kKnownMost) known_.clear();
  auto [known, is_new] = known_.try_emplace(entry.offset);
  if (!is_new) return known->second;
  // One look-up goes through as much of the file as that contains.
  if (NowMicros() > deadline_) return Bad("takes more than a minute to read");
  for (std::string_view text :
       {TextAt(entry, "country", "iso_code"), TextAt(entry, "registered_country", "iso_code"),
        TextAt(entry, "country_code"), TextAt(entry, "country")}) {
    known->second = Country::From(text);
    if (known->second) break;
  }
  any_ |= static_cast<bool>(known->second);
  return known->second;
}

}  // namespace rum

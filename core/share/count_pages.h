// The text in which a process publishes its counts: pages of a few ten kilobytes, each a string in
// Redis. A page is one line with the number of pages, then a line for each entry: "u3 5:alice" for
// three sessions of a user of five bytes, "a3 12:192.0.2.1/32" for those of a client address; and
// "U600000 7 5:alice" for what the user's logins have charged to the user's rate in microseconds,
// in span 7; "A..." and "F..." for the connections and the failures of an address. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "limits/charged_bucket.h"
#include "limits/other_nodes.h"

namespace rum {

inline constexpr size_t kPageMost = 60 * 1024;      // bytes; a reply has at most 64 KiB
inline constexpr size_t kPagesMost = 64;            // of one process
inline constexpr size_t kPublishedMost = 100000;    // users, and as many addresses
inline constexpr size_t kEntriesMost = 1000000;     // of all other processes
inline constexpr size_t kKeyMost = 512;             // bytes; RUM_MOST_USER
inline constexpr uint32_t kSessionsMost = 1000000;  // of one entry; more count as so many

enum class RateKind : uint8_t { kUser, kAddress, kFailures };
inline constexpr size_t kRateKinds = 3;

struct Published {
  KeySessions users{}, addresses{};
  std::array<KeyCharges, kRateKinds> charges{};
};
// At least one page. `complete`: false if entries were left out: of sessions, those with the
// fewest.
std::vector<std::string> WritePages(const Published& published, bool* complete);

// How many pages there are, by the first line of one; 0: it is no page.
size_t PagesOf(std::string_view page);

// What one process has charged to rates.
using ChargeTable = std::unordered_map<std::string, RateCharge, NameHash, std::equal_to<>>;
using ChargeTables = std::array<ChargeTable, kRateKinds>;

// Adds the entries of a page to `counts` and `charges`, as long as there are at most kEntriesMost
// of all processes; entries of a kind that only later versions know are skipped. False: the page is
// malformed or too much, and its rest was left out.
bool AddPage(std::string_view page, OtherNodes::Counts* counts, ChargeTables* charges);

}  // namespace rum

// The text in which a process publishes its counts: pages of a few ten kilobytes, each a string in
// Redis. A page is one line with the number of pages, then a line for each entry: "u3 5:alice" for
// three sessions of a user of five bytes, "a3 12:192.0.2.1/32" for those of a client address. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "limits/other_nodes.h"

namespace rum {

inline constexpr size_t kPageMost = 60 * 1024;      // bytes; a reply has at most 64 KiB
inline constexpr size_t kPagesMost = 64;            // of one process
inline constexpr size_t kPublishedMost = 100000;    // users, and as many addresses
inline constexpr size_t kEntriesMost = 1000000;     // of all other processes
inline constexpr size_t kKeyMost = 512;             // bytes; RUM_MOST_USER
inline constexpr uint32_t kSessionsMost = 1000000;  // of one entry; more count as so many

// At least one page. `complete`: false if entries were left out, those with the fewest sessions.
std::vector<std::string> WritePages(const KeySessions& users, const KeySessions& addresses,
                                    bool* complete);

// How many pages there are, by the first line of one; 0: it is no page.
size_t PagesOf(std::string_view page);

// Adds the entries of a page to `counts`, as long as these have at most kEntriesMost. False: the
// page is malformed or too much, and its rest was left out.
bool AddPage(std::string_view page, OtherNodes::Counts* counts);

}  // namespace rum

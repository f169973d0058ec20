// What the memory of SharedTable looks like; only for its own files. Processes of different
// versions may use it one after the other, so its layout has a number.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>

#include "proxy/shared_table.h"

namespace rum {

namespace shared_memory {

inline constexpr uint32_t kBuckets = SharedTable::kOwnedMost;
inline constexpr uint32_t kAccounts = 65536;          // users with the same hash share one
inline constexpr size_t kInFirst = 56, kInRest = 87;  // bytes of key and value in a cell
inline constexpr size_t kBytesMost = RUM_MOST_SHARED_KEY + RUM_MOST_SHARED_VALUE;
inline constexpr size_t kHeaderBytes = 5 << 20;

enum Kind : uint8_t { kFree = 0, kEntry = 1, kRest = 2, kTimed = 4, kSeen = 8 };

// For so many bytes of key and value together.
constexpr uint32_t CellsFor(size_t bytes) {
  return bytes <= kInFirst ? 1 : 1 + static_cast<uint32_t>((bytes - kInFirst - 1) / kInRest + 1);
}

}  // namespace shared_memory

// All of it is in shared memory. The processes of a hand-over may have different versions of rum:
// `layout` tells whether they are compatible.
struct SharedTable::Header {
  std::atomic<uint64_t> magic;  // written last
  uint64_t layout;
  std::array<uint64_t, 2> hash_key;
  char module[64];
  pthread_mutex_t mutex;
  uint32_t free;     // 1 + first cell of a list; 0: none
  uint32_t fresh;    // cells from here on are unused
  uint32_t hand;     // where Sweep() continues
  uint32_t used[2];  // cells of entries of sessions, and of those with a lifetime
  uint32_t buckets[shared_memory::kBuckets];  // 1 + a cell
  uint32_t accounts[2][shared_memory::kAccounts];
};

// The first cell of an entry, and the others, which have only bytes. The first members are the
// same.
struct SharedTable::Cell {
  uint32_t next;        // in the bucket or the free list: 1 + cell
  uint32_t generation;  // how often the cell was freed
  uint8_t kind;
  uint8_t process;
  uint16_t key_size, value_size;
  uint16_t unused;
  uint64_t hash;
  uint64_t owner;  // the session; or when it expires, in milliseconds of the machine's clock
  uint32_t account;
  uint32_t rest;  // 1 + cell with the next bytes; 0: there are no more
  uint8_t bytes[shared_memory::kInFirst];

  bool timed() const { return kind & shared_memory::kTimed; }
  size_t size() const {
    return std::min<size_t>(size_t{key_size} + value_size, shared_memory::kBytesMost);
  }
};

struct SharedTable::Rest {
  uint32_t next, generation;
  uint8_t kind;
  uint8_t bytes[shared_memory::kInRest];
};

}  // namespace rum

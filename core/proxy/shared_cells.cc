// The cells of SharedTable: how entries are found, written and removed. Held under its lock.
#include <string.h>

#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>

#include "proxy/shared_memory.h"

namespace rum {

using namespace shared_memory;

namespace {

constexpr uint32_t kSweepForRoom = 1024;

}  // namespace

SharedTable::Cell& SharedTable::cell(uint32_t index) const {
  static_assert(sizeof(Cell) == 96 && sizeof(Rest) == sizeof(Cell));
  auto* bytes = reinterpret_cast<uint8_t*>(header_) + kHeaderBytes;
  return reinterpret_cast<Cell*>(bytes)[index % kCells];
}

SharedTable::Rest& SharedTable::rest(uint32_t index) const {
  return reinterpret_cast<Rest&>(cell(index));
}

void SharedTable::Clear() {
  Header& header = *header_;
  for (uint32_t i = 0; i < std::min(header.fresh, kCells); ++i) {
    const uint32_t generation = cell(i).generation;
    ::explicit_bzero(&cell(i), sizeof(Cell));
    cell(i).generation = generation + 1;
  }
  header.free = header.fresh = header.hand = header.used[0] = header.used[1] = 0;
  std::memset(header.buckets, 0, sizeof header.buckets);
  std::memset(header.accounts, 0, sizeof header.accounts);
}

// An entry with a lifetime outlives its process.
bool SharedTable::Gone(const Cell& entry, uint64_t now) {
  return entry.timed() ? entry.owner <= now : !Alive(entry.process);
}

void SharedTable::Sweep(uint32_t count, uint64_t now) {
  const uint32_t fresh = std::min(header_->fresh, kCells);
  for (count = std::min(count, fresh); count > 0; --count) {
    const uint32_t index = header_->hand >= fresh ? 0 : header_->hand;
    header_->hand = index + 1;
    if ((cell(index).kind & kEntry) && Gone(cell(index), now)) Drop(index);
  }
}

// 1 + cell; 0: none. The number of steps is bounded, whatever the memory holds.
uint32_t SharedTable::Seek(uint64_t hash, std::string_view key, uint64_t now) {
  uint32_t at = header_->buckets[hash % kBuckets];
  char buffer[kBytesMost];
  for (uint32_t steps = 0; at != 0 && steps < kCells; ++steps) {
    const Cell& entry = cell(at - 1);
    if (entry.hash == hash && entry.key_size == key.size() &&
        Read(entry, buffer).substr(0, key.size()) == key) {
      if (!Gone(entry, now)) return at;
      Drop(at - 1);
      return 0;
    }
    at = entry.next;
  }
  return 0;
}

// The key and the value behind it. `buffer`, of kBytesMost bytes, is used if they are long.
std::string_view SharedTable::Read(const Cell& entry, char* buffer) const {
  const size_t size = entry.size();
  const auto* first = reinterpret_cast<const char*>(entry.bytes);
  if (size <= kInFirst) return {first, size};
  std::memcpy(buffer, first, kInFirst);
  uint32_t at = entry.rest;
  for (size_t read = kInFirst; read < size && at != 0; read += kInRest) {
    const Rest& more = rest(at - 1);
    std::memcpy(buffer + read, more.bytes, std::min(kInRest, size - read));
    at = more.next;
  }
  return {buffer, size};
}

void SharedTable::Write(Cell& entry, std::string_view key, std::string_view value) {
  if (key.size() + value.size() <= kInFirst) {
    std::memcpy(entry.bytes, key.data(), key.size());
    if (!value.empty()) std::memcpy(entry.bytes + key.size(), value.data(), value.size());
    return;
  }
  char bytes[kBytesMost];
  const size_t size = key.copy(bytes, key.size()) + value.copy(bytes + key.size(), value.size());
  std::memcpy(entry.bytes, bytes, kInFirst);
  uint32_t* link = &entry.rest;
  for (size_t written = kInFirst; written < size; written += kInRest) {
    const uint32_t index = TakeCell();
    Rest& more = rest(index);
    more.kind = kRest;
    std::memcpy(more.bytes, bytes + written, std::min(kInRest, size - written));
    *link = index + 1;
    link = &more.next;
    *link = 0;
  }
  ::explicit_bzero(bytes, size);
}

void SharedTable::Drop(uint32_t index) {
  Cell& entry = cell(index);
  uint32_t* link = &header_->buckets[entry.hash % kBuckets];
  for (uint32_t steps = 0; *link != 0 && *link != index + 1 && steps < kCells; ++steps) {
    link = &cell(*link - 1).next;
  }
  if (*link == index + 1) *link = entry.next;
  const uint32_t cells = CellsFor(entry.size());
  header_->used[entry.timed()] -= cells;
  header_->accounts[entry.timed()][entry.account % kAccounts] -= cells;
  uint32_t more = entry.rest;
  for (uint32_t left = cells - 1; left > 0 && more != 0; --left) {
    const uint32_t next = rest(more - 1).next;
    FreeCell(more - 1);
    more = next;
  }
  FreeCell(index);
}

uint32_t SharedTable::TakeCell() {
  if (header_->free == 0) return header_->fresh++;
  const uint32_t index = header_->free - 1;
  header_->free = cell(index).next;
  return index;
}

void SharedTable::FreeCell(uint32_t index) {
  Cell& freed = cell(index);
  const uint32_t generation = freed.generation;
  ::explicit_bzero(&freed, sizeof freed);
  freed.generation = generation + 1;
  freed.next = std::exchange(header_->free, index + 1);
}

// Of both kinds together there are never more than kCells, so that one is free then.
bool SharedTable::HasRoom(bool timed, uint32_t account, uint32_t cells, uint64_t now) {
  auto fits = [&] {
    return header_->used[timed] + cells <= (timed ? kTimedMost : kOwnedMost) &&
           header_->accounts[timed][account] + cells <= (timed ? kTimedPerUser : kPerUser);
  };
  if (fits()) return true;
  Sweep(kSweepForRoom, now);
  return fits();
}

// How many entries of the session are still there; forgets the others.
size_t SharedTable::Holds(uint64_t session) {
  size_t count = 0;
  for (auto [at, end] = sessions_.equal_range(session); at != end;) {
    const bool there = cell(at->second.index).generation == at->second.generation;
    count += there;
    at = there ? std::next(at) : sessions_.erase(at);
  }
  return count;
}

}  // namespace rum

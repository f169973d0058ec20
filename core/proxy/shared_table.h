// The table behind "rum.shared/1": small entries by key, for all workers and, after a hand-over,
// the next process, which maps the same memory. Fixed size, locked for each call; entries of a
// process that has died are not found, and their space is reused.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/fd.h"
#include "rum/module.h"
#include "share/shared_answer.h"

namespace rum {

class SharedTable {
 public:
  // In cells; an entry has one, and more if it is long. About 110 MiB if all are used.
  static constexpr uint32_t kOwnedMost = 1048576;       // of entries that end with their session
  static constexpr uint32_t kTimedMost = 131072;        // of those with a lifetime
  static constexpr uint32_t kPerUser = kOwnedMost / 8;  // of one user
  static constexpr uint32_t kTimedPerUser = 256;
  static constexpr uint32_t kCells = kOwnedMost + kTimedMost;

  // Who puts an entry: the owning session, and the user who is charged.
  struct Owner {
    uint64_t session;
    std::string_view user;
  };

  // [any] The table of this process: the one given to Inherit() if it is for the loaded module,
  // else a new one. nullptr: out of memory.
  static SharedTable* Get();
  // [main] Before a module is loaded: takes the previous process's table; closes anything else.
  static void Inherit(Fd memory);
  // [main] For the next process; -1: there is no table.
  static int Descriptor();
  // [worker] Removes the entries of a session.
  static void SessionEnded(uint64_t session);

  // For `module`; nullptr: out of memory, or `memory` is not a table of this layout.
  static std::unique_ptr<SharedTable> Make(std::string_view module);
  static std::unique_ptr<SharedTable> Open(Fd memory, std::string_view module);
  ~SharedTable();
  SharedTable(const SharedTable&) = delete;
  SharedTable& operator=(const SharedTable&) = delete;

  // [any] The calls of rum/module.h; they check the sizes, too.
  int32_t Put(const Owner& owner, std::string_view key, std::string_view value, uint64_t lifetime);
  int32_t Find(std::string_view key, void* value, size_t* size, bool take);
  int32_t Remove(uint64_t session, std::string_view key);
  void End(uint64_t session);
  uint32_t used();  // cells, including those of expired entries
  int fd() const { return memory_.get(); }

 private:
  struct Header;
  struct Cell;
  struct Rest;
  class Lock;

  SharedTable(Fd memory, Header* header);
  static std::unique_ptr<SharedTable> Map(Fd memory);
  Cell& cell(uint32_t index) const;
  Rest& rest(uint32_t index) const;
  void Format(std::string_view module);
  void Clear();
  void Attach();
  bool Gone(const Cell& entry, uint64_t now);
  bool Alive(uint8_t process);
  void Sweep(uint32_t count, uint64_t now);
  uint32_t Seek(uint64_t hash, std::string_view key, uint64_t now);
  bool HasRoom(bool timed, uint32_t account, uint32_t cells, uint64_t now);
  uint32_t TakeCell();
  void FreeCell(uint32_t index);
  void Drop(uint32_t index);
  std::string_view Read(const Cell& entry, char* buffer) const;
  void Write(Cell& entry, std::string_view key, std::string_view value);
  size_t Holds(uint64_t session);

  const Fd memory_;
  Header* const header_;
  // Guards the members below; held together with the memory's lock, for which then only processes
  // compete.
  std::mutex mutex_;
  int process_ = -1;          // this process's number among the users of the memory
  uint64_t known_ = 0;        // within one call: processes that were checked
  uint64_t known_alive_ = 0;  // of these, those that are alive

  struct Held {
    uint32_t index, generation;
  };
  std::unordered_multimap<uint64_t, Held> sessions_;  // this process's entries
};

// [any] What the table of this process has: RUM_FOUND, RUM_NOT_FOUND, or RUM_E_FAILED if that
// cannot be said.
SharedAnswer FindInSharedTable(std::string_view key);

}  // namespace rum

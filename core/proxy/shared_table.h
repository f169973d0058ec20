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
#include <vector>

#include "base/fd.h"
#include "rum/module.h"

namespace rum {

class SharedTable {
 public:
  static constexpr uint32_t kSlots = 131072;          // entries; about 100 MiB if all are used
  static constexpr uint32_t kTimedMost = kSlots / 4;  // of these, those with a lifetime
  static constexpr uint32_t kOwnedMost = kSlots - kTimedMost;
  static constexpr uint32_t kPerUser = kOwnedMost / 8;  // entries of sessions, for one user
  static constexpr uint32_t kTimedPerUser = 256;

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
  void End(uint64_t session);
  uint32_t used();  // entries, including expired ones
  int fd() const { return memory_.get(); }

 private:
  struct Header;
  struct Slot;
  class Lock;

  SharedTable(Fd memory, Header* header);
  static std::unique_ptr<SharedTable> Map(Fd memory);
  Slot& slot(uint32_t index) const;
  void Format(std::string_view module);
  void Clear();
  void Attach();
  bool Gone(const Slot& slot, uint64_t now);
  bool Alive(uint8_t process);
  void Sweep(uint32_t count, uint64_t now);
  uint32_t Seek(uint64_t hash, std::string_view key, uint64_t now);
  void Remove(uint32_t index);
  bool HasRoom(bool timed, uint32_t account, uint64_t now);
  uint32_t TakeSlot();

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
  std::unordered_map<uint64_t, std::vector<Held>> sessions_;  // this process's entries
};

}  // namespace rum

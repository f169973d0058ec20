// The table behind "rum.shared/1": small entries by key, which all workers see and the next process
// after a hand-over, since both map the same memory. Of a fixed size, locked for each call; what a
// process that has died left behind is not found, and its room is used again.
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
  static constexpr uint32_t kSlots = 131072;          // entries; about 100 MiB when all are in use
  static constexpr uint32_t kTimedMost = kSlots / 4;  // of these, such that have a lifetime
  static constexpr uint32_t kOwnedMost = kSlots - kTimedMost;
  static constexpr uint32_t kPerUser = kOwnedMost / 8;  // of sessions, for one user
  static constexpr uint32_t kTimedPerUser = 256;

  // Who puts an entry: the session it goes with, and the user that it is charged to.
  struct Owner {
    uint64_t session;
    std::string_view user;
  };

  // [any] The table of this process: the one of the process before, if it was given by Inherit()
  // and is for the module that is loaded, else a new one. nullptr: no memory for it.
  static SharedTable* Get();
  // [main] Before a module is loaded: what the process before has. Anything else is closed.
  static void Inherit(Fd memory);
  // [main] For the next process; -1: there is no table.
  static int Descriptor();
  // [worker] What was put for a session goes.
  static void SessionEnded(uint64_t session);

  // For `module`; nullptr: no memory, or (of `memory`) not that of a table of this form.
  static std::unique_ptr<SharedTable> Make(std::string_view module);
  static std::unique_ptr<SharedTable> Open(Fd memory, std::string_view module);
  ~SharedTable();
  SharedTable(const SharedTable&) = delete;
  SharedTable& operator=(const SharedTable&) = delete;

  // [any] The calls of rum/module.h; the sizes are judged here, too.
  int32_t Put(const Owner& owner, std::string_view key, std::string_view value, uint64_t lifetime);
  int32_t Find(std::string_view key, void* value, size_t* size, bool take);
  void End(uint64_t session);
  uint32_t used();  // entries, those included whose time is over
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
  // Guards what follows, and is held with the lock of the memory, which then only processes meet
  // at.
  std::mutex mutex_;
  int process_ = -1;          // which process of those that use the memory this one is
  uint64_t known_ = 0;        // in one call: processes that were asked for
  uint64_t known_alive_ = 0;  // of these, those that live

  struct Held {
    uint32_t index, generation;
  };
  std::unordered_map<uint64_t, std::vector<Held>> sessions_;  // what each of this process has put
};

}  // namespace rum

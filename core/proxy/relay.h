// Moves bytes one way between two sides: copies small messages, splices bulk, never reads what the
// other side cannot accept, and passes the end on.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "net/buffer.h"
#include "net/pipes.h"
#include "rum/module.h"

namespace rum {

class Side;
class Worker;

// The last bytes that a side has sent, as far as they were copied: bulk that is spliced is not
// seen.
class LastBytes {
 public:
  void Add(const uint8_t* bytes, size_t size);
  bool EndWith(std::string_view tail) const;

 private:
  uint8_t bytes_[RUM_MOST_FAREWELL] = {};
};

// One direction of a session in the relay. A session owns two.
class Flow {
 public:
  enum class Moved {
    kAll,   // until the sender had no more, the receiver accepted no more, or a side broke
    kSome,  // a turn's share; there is more, call again in a later turn
  };

  static constexpr uint64_t kAll = ~uint64_t{0};

  // [worker] Moves bytes, at most a turn's share. A `most` other than kAll limits the bytes taken
  // from the sender; its end is then not looked for. `last`, if any, sees the bytes.
  [[nodiscard]] Moved Move(Side& from, Side& to, Worker& worker, uint64_t most = kAll,
                           LastBytes* last = nullptr);

  // The same, until a read ends with `tail`: its bytes go to `held`, and nothing more is moved. The
  // sender's end is not passed on. Reads are not checked while bytes are spliced, as in bulk.
  [[nodiscard]] Moved MoveUntil(Side& from, Side& to, Worker& worker, std::string_view tail,
                                Buffer* held, LastBytes* last);

  // The receiver accepts nothing now, so the sender is not read.
  bool blocked(const Side& to) const;

  // All bytes of the sender and its end have been passed on.
  static bool Done(const Side& from, const Side& to);

  // Moves the bytes in the pipe to the receiver's queue and releases the pipe: bytes queued for the
  // receiver later then follow them. Costs at most kPipeSize of memory.
  void Empty(Side& to, Worker& worker);

  // Releases the pipe; the bytes in it are lost.
  void Release(Worker& worker);

 private:
  template <class Stop>
  Moved MoveBy(Side& from, Side& to, Worker& worker, uint64_t most, Stop stop, LastBytes* last);
  bool DrainPipe(Side& to);

  std::unique_ptr<Pipe> pipe_;
  uint32_t in_pipe_ = 0;
  uint8_t full_reads_ = 0;
  bool leave_ = false;  // release the pipe once it is empty
};

}  // namespace rum

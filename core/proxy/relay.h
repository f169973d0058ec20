// Moves bytes one way between two sides: copies small messages, splices bulk, never reads what the
// other side cannot take, and passes the end on.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "net/buffer.h"
#include "net/pipes.h"

namespace rum {

class Side;
class Worker;

// One direction of a session in the relay. The session owns two.
class Flow {
 public:
  enum class Moved {
    kAll,   // until the sender had no more, the receiver took no more, or a side broke
    kSome,  // a turn's share; there is more, call again in a later turn
  };

  static constexpr uint64_t kAll = ~uint64_t{0};

  // [worker] Moves what can be moved now, at most a turn's share. With `most` other than kAll at
  // most so many bytes are taken from the sender, and its end is not looked for behind them.
  [[nodiscard]] Moved Move(Side& from, Side& to, Worker& worker, uint64_t most = kAll);

  // The same, until a read ends with `tail`: its bytes go to `held`, and so far and no farther. The
  // sender's end is not passed on. A read is not looked at while bytes are spliced, as many come.
  [[nodiscard]] Moved MoveUntil(Side& from, Side& to, Worker& worker, std::string_view tail,
                                Buffer* held);

  // The receiver takes nothing now, so the sender is not read.
  bool blocked(const Side& to) const;

  // Everything that the sender sent before its end has been passed on, and the end too.
  static bool Done(const Side& from, const Side& to);

  // Takes what is in the pipe out of it, into what waits for the receiver, and gives the pipe back:
  // what is queued for the receiver from now on comes behind it. Costs at most kPipeSize of memory.
  void Empty(Side& to, Worker& worker);

  // Gives the pipe back; what is in it is lost.
  void Release(Worker& worker);

 private:
  template <class Stop>
  Moved MoveBy(Side& from, Side& to, Worker& worker, uint64_t most, Stop stop);
  bool DrainPipe(Side& to);

  std::unique_ptr<Pipe> pipe_;
  uint32_t in_pipe_ = 0;
  uint8_t full_reads_ = 0;
  bool leave_ = false;  // give the pipe back once it is empty
};

}  // namespace rum

// Moves bytes one way between two sides: copies small messages, splices bulk, never reads what the
// other side cannot take, and passes the end on.
#pragma once

#include <cstdint>
#include <memory>

#include "proxy/pipes.h"

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

  // [worker] Moves what can be moved now, at most a turn's share.
  [[nodiscard]] Moved Move(Side& from, Side& to, Worker& worker);

  // The receiver takes nothing now, so the sender is not read.
  bool blocked(const Side& to) const;

  // Everything that the sender sent before its end has been passed on, and the end too.
  static bool Done(const Side& from, const Side& to);

  // Gives the pipe back; what is in it is lost.
  void Release(Worker& worker);

 private:
  bool DrainPipe(Side& to);

  std::unique_ptr<Pipe> pipe_;
  uint32_t in_pipe_ = 0;
  uint8_t full_reads_ = 0;
  bool leave_ = false;  // give the pipe back once it is empty
};

}  // namespace rum

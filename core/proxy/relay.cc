#include "proxy/relay.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "net/side.h"
#include "proxy/worker.h"

namespace rum {
namespace {

// One turn's share of a direction, so that a bulk transfer cannot starve other sessions.
constexpr size_t kShare = 512 * 1024;
// Switches from copying to splice after this many consecutive reads that filled the buffer, and
// back when a splice moves less than this. Both figures were measured: switching back sooner costs
// a third.
constexpr uint8_t kFullReads = 2;
constexpr size_t kSmall = 16 * 1024;

}  // namespace

bool Flow::DrainPipe(Side& to) {
  while (in_pipe_ > 0) {
    size_t n = to.SpliceOut(*pipe_, in_pipe_);
    if (n == 0) return false;
    in_pipe_ -= static_cast<uint32_t>(n);
  }
  return true;
}

void LastBytes::Add(const uint8_t* bytes, size_t size) {
  constexpr size_t kSize = sizeof bytes_;
  const size_t added = std::min(size, kSize);
  std::memmove(bytes_, bytes_ + added, kSize - added);
  std::memcpy(bytes_ + kSize - added, bytes + size - added, added);
}

bool LastBytes::EndWith(std::string_view tail) const {
  return !tail.empty() && tail.size() <= sizeof bytes_ &&
         std::memcmp(bytes_ + sizeof bytes_ - tail.size(), tail.data(), tail.size()) == 0;
}

// `stop`, which costs nothing where it is empty: whether the bytes that were read are not to go on.
template <class Stop>
Flow::Moved Flow::MoveBy(Side& from, Side& to, Worker& worker, uint64_t most, Stop stop,
                         LastBytes* last) {
  for (size_t moved = 0;;) {
    if (to.write_failed()) return Moved::kAll;
    if (to.waiting() && !to.Flush()) return Moved::kAll;
    if (pipe_) {
      if (!DrainPipe(to)) return Moved::kAll;
      if (leave_ || moved == most) Release(worker);
    }
    if (moved == most) return Moved::kAll;
    if (!from.readable() || from.ended() || from.broken()) break;
    if (moved >= kShare) return Moved::kSome;
    if (pipe_) {
      size_t n = from.SpliceIn(*pipe_, std::min<uint64_t>(kPipeSize, most - moved));
      in_pipe_ = static_cast<uint32_t>(n);
      worker.counters.spliced_bytes.Add(n);
      leave_ = n > 0 && n < kSmall;
      moved += n;
      continue;
    }
    size_t n = from.Read(worker.buffer(), std::min<uint64_t>(Worker::kBufferSize, most - moved));
    if (n == 0) continue;
    moved += n;
    if (last) last->Add(worker.buffer(), n);
    if (stop(worker.buffer(), n)) return Moved::kAll;
    size_t written = to.Write(worker.buffer(), n, from.ended() && !stop.keeps_end);
    if (written < n) to.Queue(worker.buffer() + written, n - written);
    full_reads_ = n == Worker::kBufferSize && full_reads_ < kFullReads ? full_reads_ + 1 : 0;
    if (full_reads_ >= kFullReads && from.plain() && to.plain()) {
      pipe_ = worker.pipes.Borrow();
      full_reads_ = 0;
    }
  }
  if (from.ended() && !stop.keeps_end) {
    if (pipe_) Release(worker);
    bool closing = to.ended() && from.shut();  // both directions have ended: it is closed next
    // A stream that was cut must not look complete. And servers that check for a client's end while
    // they work may check for unread bytes: they would continue for a client that was killed.
    from.cut() ? to.CutWrite(closing) : to.ShutWrite(closing);
  }
  return Moved::kAll;
}

namespace {

struct NoStop {
  static constexpr bool keeps_end = false;
  constexpr bool operator()(const uint8_t*, size_t) const { return false; }
};

struct StopAt {
  static constexpr bool keeps_end = true;
  bool operator()(const uint8_t* bytes, size_t size) const {
    if (size < tail.size() || std::memcmp(bytes + size - tail.size(), tail.data(), tail.size())) {
      return false;
    }
    held->Append(bytes, size);
    return true;
  }
  std::string_view tail;
  Buffer* held;
};

}  // namespace

Flow::Moved Flow::Move(Side& from, Side& to, Worker& worker, uint64_t most, LastBytes* last) {
  return MoveBy(from, to, worker, most, NoStop(), last);
}

Flow::Moved Flow::MoveUntil(Side& from, Side& to, Worker& worker, std::string_view tail,
                            Buffer* held, LastBytes* last) {
  return MoveBy(from, to, worker, kAll, StopAt{tail, held}, last);
}

bool Flow::blocked(const Side& to) const { return to.waiting() > 0 || in_pipe_ > 0; }

void Flow::Empty(Side& to, Worker& worker) {
  while (in_pipe_ > 0) {
    size_t most = std::min<size_t>(in_pipe_, Worker::kBufferSize);
    ssize_t n = TEMP_FAILURE_RETRY(::read(pipe_->out.get(), worker.buffer(), most));
    if (n <= 0) break;  // impossible: the bytes are there
    to.Queue(worker.buffer(), static_cast<size_t>(n));
    in_pipe_ -= static_cast<uint32_t>(n);
  }
  Release(worker);
}

bool Flow::Done(const Side& from, const Side& to) { return from.ended() && to.shut(); }

void Flow::Release(Worker& worker) {
  if (!pipe_) return;
  if (in_pipe_ == 0) {
    worker.pipes.GiveBack(std::move(pipe_));
  } else {
    worker.pipes.Lost();
    pipe_.reset();
    in_pipe_ = 0;
  }
  leave_ = false;
}

}  // namespace rum

// One end of a session: a socket, plain or TLS, whether it can be read and written, and the bytes
// that wait to be written. Events are edge-triggered, registered once; no epoll_ctl in the flow.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string_view>

#include "base/address.h"
#include "base/fd.h"
#include "net/buffer.h"
#include "net/loop.h"
#include "net/tls_stream.h"

namespace rum {

class Session;
class Worker;
struct Pipe;

class Side {
 public:
  Side() = default;
  Side(const Side&) = delete;
  ~Side() { Close(); }

  // [worker] Takes the socket (non-blocking) and begins to watch it; false: no memory.
  // `local`: it is a unix socket.
  [[nodiscard]] bool Attach(Loop& loop, Fd fd, Loop::Watcher& watcher, uint32_t which, bool local);
  bool attached() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  // Without a family when there is none.
  SocketAddress LocalAddress() const;
  SocketAddress PeerAddress() const;
  // Notes what the loop told.
  void Notice(uint32_t what);

  // Makes the next Read() ask the kernel though nothing was reported.
  void LookAgain() { readable_ = tls_readable_ = attached(); }
  // Notes a pending error of the socket, for a side that is not being read.
  void AskError();

  // Reads at most `size` bytes. More than 0: that many. 0: nothing now, see ended() and broken().
  size_t Read(uint8_t* bytes, size_t size);
  // Writes what the socket takes now and returns how much; the rest is the caller's.
  size_t Write(const uint8_t* bytes, size_t size);
  // Moves bytes between the socket and a pipe, as Read and Write. Only when plain().
  size_t SpliceIn(const Pipe& pipe, size_t size);
  size_t SpliceOut(const Pipe& pipe, size_t size);

  // Queues bytes behind those that wait already; Flush() writes them.
  void Queue(const void* bytes, size_t size) { out_.Append(bytes, size); }
  // Writes what waits; true when nothing waits any more.
  bool Flush();
  size_t waiting() const { return out_.size(); }
  void DropWaiting() { out_.Clear(); }

  // Says to the peer that no more comes. Once. `closing`: the socket is closed in this turn, which
  // says it too.
  void ShutWrite(bool closing = false);
  // The peer's end was no end of TLS: it was killed, or somebody between cut the stream.
  bool cut() const { return tls_ ? tls_->cut() : end_is_cut_; }
  // Without TLS, too, the peer's end will not mean that the stream is complete.
  void EndIsCut() { end_is_cut_ = true; }
  // As ShutWrite(), but TLS says nothing of it.
  void CutWrite(bool closing);
  // Lets the kernel find out when a silent peer has gone. Once.
  void KeepAlive();
  bool shut() const { return shut_; }

  // Begins TLS. What waits goes out in plain text first, or inside TLS when the whole of this side
  // is TLS; `early` is what the peer sent already. Until Handshake() is done nothing else is read
  // or written. False: no memory.
  [[nodiscard]] bool StartTls(std::shared_ptr<const TlsContext> context, bool server,
                              std::string_view name, std::string_view early, bool whole);
  bool plain() const { return !tls_; }
  bool handshaking() const { return tls_ && !tls_->open(); }
  bool turning() const { return tls_ && tls_->turning(); }
  TlsStream::Handshake Handshake();
  const TlsStream* tls() const { return tls_.get(); }

  // For TLS: read(2) and write(2) on the socket, with EAGAIN known beforehand.
  ssize_t RawRead(uint8_t* bytes, size_t size);
  ssize_t RawWrite(const uint8_t* bytes, size_t size);

  bool readable() const { return tls_ ? tls_readable_ : readable_; }
  bool writable() const { return writable_; }
  bool ended() const { return ended_; }                // the peer will send no more
  bool read_on() const { return read_on_; }            // its end or a fault was announced
  bool broken() const { return broken_; }              // reset: a read failed
  bool write_failed() const { return write_failed_; }  // takes no more; what had come is readable

  uint64_t received() const { return received_; }
  uint64_t sent() const { return sent_; }

  // Stops watching and closes; with `reset` the peer is told by RST that bytes were lost.
  void Close(bool reset = false);

 private:
  ssize_t Receive(uint8_t* bytes, size_t size);
  size_t Took(ssize_t result, size_t asked, bool may_be_short);
  size_t TlsRead(uint8_t* bytes, size_t size);
  size_t TlsWrite(const uint8_t* bytes, size_t size);
  size_t Gave(ssize_t result, size_t asked);
  void NoteFault();

  Loop* loop_ = nullptr;
  Loop::Ticket ticket_ = 0;
  Fd fd_;
  bool readable_ = false, writable_ = false;
  bool tls_readable_ = false;
  // A short read does not mean that there is no more: an end or a fault has been announced and will
  // come, or there was something at which reads stop, urgent data or descriptors.
  bool read_on_ = false;
  bool local_ = false;
  bool ended_ = false, broken_ = false, write_failed_ = false, shut_ = false;
  bool kept_alive_ = false, end_is_cut_ = false;
  bool fault_told_ = false;  // to a write: no read will tell that the connection broke
  Buffer out_;
  std::unique_ptr<TlsStream> tls_;
  uint64_t received_ = 0, sent_ = 0;
};

}  // namespace rum

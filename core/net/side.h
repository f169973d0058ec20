// One end of a session: a plain or TLS socket, its readiness, and the bytes queued for writing.
// Events are edge-triggered and registered once; the data path makes at most one epoll_ctl call,
// when a socket is full for the first time.
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

  // [worker] Takes the non-blocking socket and starts to watch it. Returns false if out of memory.
  // `local`: it is a unix socket. `connecting`: an event is to report the connection.
  [[nodiscard]] bool Attach(Loop& loop, Fd fd, Loop::Watcher& watcher, uint32_t which, bool local,
                            bool connecting = false);
  // [worker] Takes the connection of another side of the same loop, with its TLS and what is known
  // of it; `from` has none then. This side has none before. Counts begin at 0.
  void TakeOver(Side& from, Loop::Watcher& watcher, uint32_t which);
  bool attached() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  // AF_UNSPEC if the socket has no address.
  SocketAddress LocalAddress() const;
  SocketAddress PeerAddress() const;
  // Records events of the loop.
  void Notice(uint32_t what);

  // Makes the next Read() try the socket even if no event was reported.
  void LookAgain() { readable_ = tls_readable_ = attached(); }
  // Nothing has come that was not read, nothing waits to be sent, and the peer has not ended: by a
  // look into the socket.
  bool Quiet();
  // The peer will send no more, though its last bytes may not have been read: by a look into the
  // socket.
  bool EndHasArrived() const;
  // Records a pending socket error, for a side that is not being read.
  void AskError();

  // Reads at most `size` bytes. Returns 0 if none are available; see ended() and broken().
  size_t Read(uint8_t* bytes, size_t size);
  // Writes what the socket accepts now and returns the number of bytes; the caller keeps the rest.
  // `last`: the caller shuts down or closes next, so that the end goes in the same segment; without
  // TLS only.
  size_t Write(const uint8_t* bytes, size_t size, bool last = false);
  // Moves bytes between the socket and a pipe, like Read() and Write(). Only if plain().
  size_t SpliceIn(const Pipe& pipe, size_t size);
  size_t SpliceOut(const Pipe& pipe, size_t size);

  // Appends bytes to the output queue; Flush() writes them.
  void Queue(const void* bytes, size_t size) { out_.Append(bytes, size); }
  // Writes queued bytes; true if none are left.
  bool Flush();
  size_t waiting() const { return out_.size(); }
  void DropWaiting() { out_.Clear(); }

  // Shuts down writing; later calls do nothing. `closing`: the caller closes the socket in this
  // turn, so that no FIN needs to be sent separately.
  void ShutWrite(bool closing = false);
  // The peer's stream ended without close_notify: it was killed, or the stream was truncated on the
  // way.
  bool cut() const { return tls_ ? tls_->cut() : end_is_cut_; }
  // Marks the end of a plain stream as truncated, too.
  void EndIsCut() { end_is_cut_ = true; }
  // As ShutWrite(), but without TLS's close_notify.
  void CutWrite(bool closing);
  // Enables TCP keepalive, to detect silent peers that are gone. Later calls do nothing.
  void KeepAlive();
  bool shut() const { return shut_; }

  // Starts TLS. Queued bytes are sent first, in plain text, or inside TLS if `whole`: TLS from the
  // first byte on. `early`: bytes already received from the peer. Until Handshake() is done,
  // nothing else is read or written. Returns false if out of memory.
  [[nodiscard]] bool StartTls(std::shared_ptr<const TlsContext> context, bool server,
                              std::string_view name, std::string_view early, bool whole);
  // After StartTls(), as TlsStream::SetAlpn().
  [[nodiscard]] bool SetAlpn(std::string_view list) { return tls_->SetAlpn(list); }
  bool plain() const { return !tls_; }
  bool handshaking() const { return tls_ && !tls_->open(); }
  bool turning() const { return tls_ && tls_->turning(); }
  TlsStream::Handshake Handshake();
  const TlsStream* tls() const { return tls_.get(); }

  // For TLS: read(2) and write(2) on the socket; they return EAGAIN without a system call while it
  // is not ready.
  ssize_t RawRead(uint8_t* bytes, size_t size);
  ssize_t RawWrite(const uint8_t* bytes, size_t size);

  bool readable() const { return tls_ ? tls_readable_ : readable_; }
  bool writable() const { return writable_; }
  bool ended() const { return ended_; }      // the peer will send no more
  bool read_on() const { return read_on_; }  // an end or an error was reported
  bool broken() const { return broken_; }    // reset: a read failed
  // Takes no more bytes; received bytes can still be read.
  bool write_failed() const { return write_failed_; }

  uint64_t received() const { return received_; }
  uint64_t sent() const { return sent_; }

  // Stops watching and closes; with `reset`, an RST tells the peer that bytes were lost.
  void Close(bool reset = false);

 private:
  ssize_t Receive(uint8_t* bytes, size_t size);
  size_t FinishRead(ssize_t result, size_t asked, bool may_be_short);
  size_t TlsRead(uint8_t* bytes, size_t size);
  size_t TlsWrite(const uint8_t* bytes, size_t size);
  size_t FinishWrite(ssize_t result, size_t asked);
  void AwaitWritable();
  void NoteFault();

  Loop* loop_ = nullptr;
  Loop::Ticket ticket_ = 0;
  Fd fd_;
  bool readable_ = false, writable_ = false;
  bool tls_readable_ = false;
  // An end or a fault was reported, or a read stopped at urgent data or descriptors: read until the
  // end has arrived.
  bool read_on_ = false;
  // A short read has not always reached that end: a unix socket, or there was urgent data or a
  // fault.
  bool short_early_ = false;
  bool awaits_writable_ = false;  // the loop reports when the socket becomes writable
  bool local_ = false;
  bool ended_ = false, broken_ = false, write_failed_ = false, shut_ = false;
  bool kept_alive_ = false, end_is_cut_ = false;
  bool fault_reported_ = false;  // to a write: reads will not report the broken connection
  Buffer out_;
  std::unique_ptr<TlsStream> tls_;
  uint64_t received_ = 0, sent_ = 0;
};

}  // namespace rum

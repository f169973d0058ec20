// A session as its script sees it: two sides, the calls that a script can make, and their results.
#pragma once

#include <rum/module.h>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <rum/dialogue/host.hpp>
#include <rum/dialogue/script.hpp>
#include <string>
#include <string_view>
#include <utility>

#if defined(__clang__)
#define RUM_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define RUM_LIFETIMEBOUND
#endif

namespace rum::dialogue {

// What was read, or why nothing was. The bytes are consumed, and valid until the next co_await.
class [[nodiscard]] View {
 public:
  View(std::string_view text, Reason reason) : text_(text), reason_(reason) {}
  View(const View&) = delete;
  View& operator=(const View&) = delete;
  explicit operator bool() const { return !reason_; }
  Reason reason() const { return reason_; }
  std::string_view text() const RUM_LIFETIMEBOUND { return text_; }
  const uint8_t* data() const RUM_LIFETIMEBOUND {
    return reinterpret_cast<const uint8_t*>(text_.data());
  }
  size_t size() const { return text_.size(); }

 private:
  std::string_view text_;
  Reason reason_;
};

// The answer of the user map. The value is valid until the next co_await.
class [[nodiscard]] Record {
 public:
  enum Status : uint8_t {
    kFound,
    kNotFound,     // also: there is no map (-M)
    kUnavailable,  // the map is unavailable: not the same as not found
    kEnded,        // the session ends; reason()
  };
  Record(Status status, std::string_view value, Reason reason)
      : value_(value), reason_(reason), status_(status) {}
  Record(const Record&) = delete;
  Record& operator=(const Record&) = delete;
  Status status() const { return status_; }
  Reason reason() const { return reason_; }  // RUM_CLOSE_MAP_UNAVAILABLE, or why the session ends
  std::string_view value() const RUM_LIFETIMEBOUND { return value_; }
  // Its parts, as those of RecordParts.
  std::string_view destination() const RUM_LIFETIMEBOUND;
  std::string_view secret() const RUM_LIFETIMEBOUND;
  std::optional<std::string> Column(const char* name) const;

 private:
  std::string_view value_;
  Reason reason_;
  Status status_;
};

// The answer to FindShared(). The value is valid until the next co_await.
class [[nodiscard]] SharedValue {
 public:
  SharedValue(int32_t status, std::string_view value, Reason reason)
      : value_(value), reason_(reason), status_(status) {}
  SharedValue(const SharedValue&) = delete;
  SharedValue& operator=(const SharedValue&) = delete;
  // RUM_FOUND; RUM_NOT_FOUND: nobody has it. Otherwise negative: it is unknown, or the session
  // ends.
  int32_t status() const { return status_; }
  explicit operator bool() const { return status_ == RUM_FOUND; }
  Reason reason() const { return reason_; }  // why the session ends; false: it does not
  std::string_view value() const RUM_LIFETIMEBOUND { return value_; }

 private:
  std::string_view value_;
  Reason reason_;
  int32_t status_;
};

// The parts of a record of the map, or of a copy of it; valid as long as the record is.
class RecordParts {
 public:
  explicit RecordParts(std::string_view record) : record_(record) {
    parts_.struct_size = sizeof parts_;
    if (host.records && !record.empty()) {
      host.records->parse(record.data(), record.size(), &parts_);
    }
  }
  std::string_view destination() const { return {parts_.destination, parts_.destination_size}; }
  std::string_view secret() const { return {parts_.secret, parts_.secret_size}; }
  // The module's own column, "pgsql-db"; nullopt: there is none, or the rules cannot be read, and
  // then Admit() refuses the user.
  std::optional<std::string> Column(const char* name) const {
    std::string value;
    size_t size = 0;
    if (!host.records || record_.empty()) return std::nullopt;
    int32_t status = Ask(name, value, &size);
    if (status == RUM_E_LIMIT && size > 0) {
      value.resize(size);
      status = Ask(name, value, &size);
    }
    return status == RUM_FOUND ? std::optional(std::move(value)) : std::nullopt;
  }

 private:
  int32_t Ask(const char* name, std::string& value, size_t* size) const {
    *size = value.size();
    return host.records->column(record_.data(), record_.size(), name, value.data(), size);
  }

  std::string_view record_;
  rum_record parts_{};  // size 0: no destination, or this rum has no records
};

inline std::string_view Record::destination() const { return RecordParts(value_).destination(); }
inline std::string_view Record::secret() const { return RecordParts(value_).secret(); }
inline std::optional<std::string> Record::Column(const char* name) const {
  return RecordParts(value_).Column(name);
}

// The result of Frame()'s parser: the bytes contain a whole frame of `size` bytes; or the parser
// needs `size` bytes in all, more than there are; or the bytes violate the protocol.
struct Parse {
  enum Kind : uint8_t { kWhole, kNeed, kBad } kind;
  size_t size;
  static constexpr Parse Whole(size_t size) { return {kWhole, size}; }
  static constexpr Parse Need(size_t size) { return {kNeed, size}; }
  static constexpr Parse Bad() { return {kBad, 0}; }
};

// The target of a session's `data`. Small, since it stays until the session ends, and the dialogue
// does not.
struct Handle {
  Dialogue* dialogue;  // nullptr: its script has returned
  Pool* pool;
  void (*at_close)(uint64_t) = nullptr;
  uint64_t at_close_value = 0;
};

// The result of First().
enum class Event : uint8_t { kClient, kUpstream, kTime, kEnded };

// One side of the session.
class Side {
 public:
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  // The host calls of these names.
  int32_t Send(std::string_view bytes) const;
  int32_t Send(const void* bytes, size_t size) const {
    return Send({static_cast<const char*>(bytes), size});
  }
  int32_t Forward(uint64_t size);

  // Those of "rum.keep/1". RUM_E_UNSUPPORTED if this rum does not have it, here and below.
  int32_t ForwardUntil(std::string_view tail);
  bool Answered() const;

  // Exactly `size` bytes, at most 256 KiB.
  auto Read(size_t size);
  // All bytes that are there, at least `size`. Consumes none.
  auto Peek(size_t size);
  // A line, with its line feed. `most` bytes without a line feed violate the protocol.
  auto Line(size_t most);
  // A frame: `parser(std::string_view bytes)` gives a Parse. It may be called again and again with
  // the same bytes and more behind them. No frame is shorter than `at_least`.
  template <class Parser>
  auto Frame(Parser parser, size_t at_least = 1);
  // Consumes bytes that Peek() or a parser of Frame() has shown since the last wait.
  void Consume(size_t size) { used_ += size < rest().size() ? size : rest().size(); }

  // Starts TLS: bytes after those that have been read go to the TLS engine. On the upstream side
  // `server_name` is sent and verified; empty: the destination's host.
  auto StartTls(std::string_view server_name = {});

  // Waits until at most `below` bytes wait for this side, or it takes none any more. Returns a
  // Reason if the session ends first, or this rum has no "rum.queue/1".
  auto WhenDrained(uint64_t below = 0);
  // Bytes that were sent and wait for this side.
  uint64_t Waiting() const;

  bool ended() const { return ended_; }  // it sends no more
  // Whether the session continues if this side ends while the script waits for something else. By
  // default the session ends, too. If it continues, the next read of the side fails.
  void GoOnAfterEnd(bool go_on) { goes_on_ = go_on; }

 private:
  friend class Dialogue;
  friend struct Hook;
  template <class Parser>
  friend struct FrameWait;
  friend struct FirstWait;
  friend struct TlsWait;
  friend struct ConnectWait;
  friend struct TryLoginWait;
  friend struct DrainWait;
  Side(Dialogue& d, uint32_t number) : d_(d), number_(number) {}

  // The unconsumed bytes of the running data hook.
  std::string_view rest() const { return shown_.substr(used_); }
  // The script no longer sees the unconsumed bytes.
  void Hide() { shown_ = shown_.substr(0, used_); }
  // Requests the data hook for when so many bytes are there.
  int32_t Need(size_t size) const;
  // The side has ended, and no unconsumed bytes are left.
  bool Drained() const { return ended_ && !live_ && (left_ == 0 || ending_); }
  Reason Gone() const {
    return number_ == RUM_CLIENT ? RUM_CLOSE_CLIENT_GONE : RUM_CLOSE_UPSTREAM_GONE;
  }
  // The side is a new connection.
  void Renew() {
    shown_ = {};
    used_ = left_ = 0;
    ended_ = false;
  }

  Dialogue& d_;
  const uint32_t number_;
  std::string_view shown_;  // by the running data hook
  size_t used_ = 0;         // of that
  size_t left_ = 0;         // not consumed when the data hook returned last
  bool live_ = false;       // the data hook of this side runs
  bool ended_ = false;
  bool ending_ = false;  // the hook side_end of this side runs
  bool goes_on_ = false;
  bool drained_ = false;  // the hook of this name ran
};

class Dialogue {
 public:
  Dialogue(rum_session* session, Handle& handle, void* worker)
      : client(*this, RUM_CLIENT),
        upstream(*this, RUM_UPSTREAM),
        session_(session),
        handle_(handle),
        worker_(worker) {}
  ~Dialogue() {
    if (script_) script_.destroy();
    if (resumed_.there && drop_ != nullptr) drop_(resumed_.payload);
  }
  Dialogue(const Dialogue&) = delete;
  Dialogue& operator=(const Dialogue&) = delete;

  Side client, upstream;

  // Looks up a key of 1 to 65535 bytes in the user map (-M). Returns a Record.
  auto Lookup(std::string_view key);
  // find() of "rum.shared/1": in the tables of all processes that share. Returns a SharedValue.
  auto FindShared(std::string_view key);
  // Connects to "tcp:host:port[,tcp:host:port...]" or "sock:path"; empty: the default destination
  // (-d). Returns a Reason: RUM_CLOSE_BAD_DESTINATION if the address is malformed,
  // RUM_CLOSE_NO_DESTINATION if there is no default, otherwise that of the hook upstream_open.
  // With an upstream there, that one is given up for the new one; RUM_CLOSE_LIMIT after
  // RUM_MOST_CONNECTS calls. To do something between the beginning and the outcome:
  //   auto connection = d.Connect(address);
  //   Reason failed = connection.Begin();  // the first two reasons
  //   if (!failed) failed = co_await connection;
  auto Connect(std::string_view address);
  // In a probe: waits for the connection that rum makes. Returns a Reason.
  auto Connected();
  // Waits until a proof of the client may be judged or passed on, see try_login in rum/module.h.
  // Returns RUM_OK, RUM_REFUSED_BLOCKED, or RUM_E_STATE if the client or the session ends
  // meanwhile. RUM_OK if this rum has no limits.
  auto TryLogin();
  // Returns a Reason if the session ends first. At most 24 hours.
  auto Sleep(uint64_t milliseconds);
  auto SleepMicros(uint64_t microseconds);  // in milliseconds if this rum has no "rum.clock/1"
  // Waits for the first of several events, and consumes nothing:
  //   Event event = co_await d.First().Client(1).Upstream(4).After(500);
  // kEnded: a named side has ended with fewer bytes, or the session ends.
  auto First();
  // For work on another thread. Stops the session's data hooks until the work is done:
  //   auto pause = d.Pause(free);
  //   StartWork(pause.ticket());         // calls host.calls->resume(ticket, 0, payload, free)
  //   Resumed resumed = co_await pause;  // the script owns the payload now
  // `drop` frees a payload that arrives when the script no longer waits.
  auto Pause(void (*drop)(void*) = nullptr);

  // The host calls of these names.
  int32_t Relay() {
    int32_t status = host.calls->relay(session_);
    relays_ |= status == RUM_OK;
    return status;
  }
  int32_t RelayFrom(const Side& side) {
    int32_t status = host.calls->relay_from(session_, side.number_);
    watches_ |= status == RUM_OK;
    return status;
  }
  int32_t TakeBack(const Side& side) {
    int32_t status = host.calls->take_back(session_, side.number_);
    watches_ &= status != RUM_OK;
    return status;
  }
  int32_t Identify(std::string_view user) const {
    return host.calls->identify(session_, user.data(), user.size());
  }
  // RUM_OK if this rum has no limits.
  int32_t Admit(std::string_view record) const {
    return host.limits ? host.limits->admit(session_, record.data(), record.size()) : RUM_OK;
  }
  // put() and remove() of "rum.shared/1". To look a key up in this machine's table only, use
  // host.shared, which needs no session.
  int32_t Share(std::string_view key, std::string_view value, uint64_t lifetime = 0) const {
    return host.shared ? host.shared->put(session_, key.data(), key.size(), value.data(),
                                          value.size(), lifetime)
                       : RUM_E_UNSUPPORTED;
  }
  int32_t RemoveShared(std::string_view key) const {
    return host.shared ? host.shared->remove(session_, key.data(), key.size()) : RUM_E_UNSUPPORTED;
  }
  // Those of "rum.keep/1". After Keep() the script returns. After Renew() it awaits Connected().
  int32_t Want(std::string_view key) const {
    return host.keep ? host.keep->want(session_, key.data(), key.size()) : RUM_E_UNSUPPORTED;
  }
  // The value of the connection that was taken; nothing: it is new.
  std::optional<std::string> Taken() const {
    std::string value(RUM_MOST_KEEP_VALUE, '\0');
    size_t size = value.size();
    if (!host.keep || host.keep->taken(session_, value.data(), &size) != RUM_FOUND) return {};
    value.resize(size);
    return value;
  }
  int32_t Renew() {
    connected_ = {};
    return host.keep ? host.keep->renew(session_) : RUM_E_UNSUPPORTED;
  }
  int32_t Spend(std::string_view address, std::string_view key) const {
    return host.keep
               ? host.keep->spend(session_, address.data(), address.size(), key.data(), key.size())
               : RUM_E_UNSUPPORTED;
  }
  int32_t DropKept() const { return host.keep ? host.keep->drop(session_) : RUM_E_UNSUPPORTED; }
  int32_t Part() const { return host.keep ? host.keep->part(session_) : RUM_E_UNSUPPORTED; }
  int32_t Keep(std::string_view key, std::string_view value, uint32_t most, uint64_t milliseconds) {
    int32_t status = host.keep ? host.keep->keep(session_, key.data(), key.size(), value.data(),
                                                 value.size(), most, milliseconds)
                               : RUM_E_UNSUPPORTED;
    keeps_ |= status == RUM_OK;
    return status;
  }
  // RUM_OK if this rum has no limits.
  int32_t Confirm() const { return host.limits ? host.limits->confirm(session_) : RUM_OK; }
  void LoginFailed() const {
    if (host.limits) host.limits->login_failed(session_);
  }
  bool Blocked() const { return host.limits && host.limits->blocked(session_) == 1; }
  int32_t TlsMode(const Side& side) const {
    return host.tls ? host.tls->mode(session_, side.number_) : RUM_TLS_OFF;
  }
  bool TlsActive(const Side& side) const {
    return host.tls && host.tls->active(session_, side.number_) == 1;
  }
  int32_t Fingerprint(uint8_t* digest) const {
    return host.tls ? host.tls->fingerprint(session_, digest) : RUM_E_UNSUPPORTED;
  }
  // Before StartTls(): the protocols to offer, or of which the first that the client offers is
  // selected; each of 1 to 255 bytes, at most RUM_MOST_ALPN bytes in all.
  int32_t SetAlpn(const Side& side, std::initializer_list<std::string_view> protocols) const;
  // After StartTls(), and empty without TLS and where there is none: the protocol that was agreed
  // on, the server name that the client asked for, the peer's certificate (DER), and the channel
  // binding tls-server-end-point.
  std::string Alpn(const Side& side) const;
  std::string ServerName() const;
  std::string Certificate(const Side& side) const;
  std::string EndPoint(const Side& side) const;
  // 0x0303 is TLS 1.2, 0x0304 is TLS 1.3; negative: no TLS.
  int32_t TlsVersion(const Side& side) const {
    return host.tls ? host.tls->version(session_, side.number_) : RUM_E_UNSUPPORTED;
  }
  void EndIsCut(const Side& side) const {
    if (host.tls) host.tls->end_is_cut(session_, side.number_);
  }
  // Microseconds on a clock that never jumps.
  uint64_t Now() const { return host.clock ? host.clock->now() : host.calls->now() * 1000; }
  int32_t Note(const char* key, std::string_view value) const {
    return host.calls->note(session_, key, value.data(), value.size());
  }
  void Log(uint32_t level, std::string_view text) const {
    host.calls->log(session_, level, text.data(), text.size());
  }
  void Count(uint32_t metric, uint64_t delta = 1) const {
    host.calls->metric_add(session_, metric, delta);
  }
  // The destination of the connected upstream, in the form for Connect(); empty: not connected.
  std::string Destination() const {
    return Value(host.sessions != nullptr, [this](char* to, size_t* size) {
      return host.sessions->destination(session_, to, size);
    });
  }
  // The session will relay something other than a login.
  int32_t NoLogin() const {
    return host.sessions ? host.sessions->no_login(session_) : RUM_E_UNSUPPORTED;
  }
  size_t Peer(const Side& side, char* text, size_t size) const {
    return host.calls->peer(session_, side.number_, text, size);
  }

  // Calls `call(value)` when the session ends, even if the script has returned long before. The
  // last call counts. `call` must not throw.
  void AtClose(void (*call)(uint64_t), uint64_t value) {
    handle_.at_close = call;
    handle_.at_close_value = value;
  }

  // Ends the session; rum delivers what was sent. Every further wait fails with this reason. The
  // first call counts. `reason`: one of those marked (module) in rum/module.h, or that of the last
  // wait. Any other becomes RUM_CLOSE_MODULE.
  void Close(Reason reason, std::string_view text = {}) {
    if (closed_) return;
    // After a failed connection or handshake, rum itself ends the session when the hook returns.
    if (rum_ends_ && reason == last_) {
      closed_ = reason;
      return;
    }
    closed_ = detail::IsOfModules(reason) ? reason : Reason(RUM_CLOSE_MODULE);
    host.calls->close(session_, closed_.number(), text.data(), text.size());
  }

  // The end reason of the session; false: it does not end.
  Reason closed() const { return closed_; }
  // Why the last wait that failed has failed.
  Reason failed() const { return last_; }
  rum_session* session() const { return session_; }
  // What Hooks<> made for the worker, or nullptr.
  void* worker() const { return worker_; }

 private:
  friend class Side;
  friend struct Hook;
  template <class Self>
  friend struct WaitFor;
  template <class Parser>
  friend struct FrameWait;
  friend struct TlsWait;
  friend struct LookupWait;
  friend struct SharedWait;
  friend struct ConnectWait;
  friend struct SleepWait;
  friend struct FirstWait;
  friend struct PauseWait;
  friend struct TryLoginWait;
  friend struct DrainWait;
  friend void detail::MarkFailed(Dialogue& d);
  friend bool detail::HasFailed(const Dialogue& d);

  // A script that ignores the end of its session is destroyed after so many waits.
  static constexpr int kWaitsAfterEnd = 100;

  // The value that `ask(room, &size)` copies; empty: there is none.
  template <class Ask>
  static std::string Value(bool there, Ask ask) {
    size_t size = 0;
    if (!there || ask(nullptr, &size) != RUM_E_LIMIT) return {};
    std::string value(size, '\0');
    return ask(value.data(), &size) == RUM_OK ? value : std::string();
  }
  Side& side(uint32_t number) { return number == RUM_CLIENT ? client : upstream; }
  // False: no memory for the frame.
  bool Begin(Script script) {
    script_ = std::exchange(script.frame_, nullptr);
    if (!script_) return false;
    script_.resume();
    return true;
  }
  // Resumes the script while what it waits for is there. Returns how often.
  int Pump() {
    int resumed = 0;
    while (wait_ != nullptr && !failed_ && wait_->poll(*wait_)) {
      ++resumed;
      std::exchange(wait_, nullptr)->script.resume();
    }
    return resumed;
  }
  bool over() const { return failed_ || script_.done(); }

  rum_session* const session_;
  Handle& handle_;
  void* const worker_;
  std::coroutine_handle<Script::promise_type> script_{};
  Wait* wait_ = nullptr;
  Reason closed_, last_;  // last_: of the last wait that failed
  bool failed_ = false;   // an exception, or no memory
  bool relays_ = false;
  bool keeps_ = false;     // after Keep(): rum ends the session
  bool watches_ = false;   // after RelayFrom()
  bool rum_ends_ = false;  // the session, when the hook returns, unless the script connects again
  int waits_after_end_ = 0;

  // The results that hooks have brought, until a wait takes them.
  struct {
    bool there = false;
    int32_t status = 0;
    std::string_view value;
  } looked_up_, shared_found_;
  struct {
    bool there = false;
    uint32_t reason = 0;
  } connected_;
  struct {
    bool there = false;
    int32_t status = 0;
  } tls_[2];
  struct {
    bool there = false;
    int32_t status = 0;
    void* payload = nullptr;
  } resumed_;
  void (*drop_)(void*) = nullptr;
  uint64_t fired_ = 0;  // the ticket of the last timer that expired
};

inline void detail::MarkFailed(Dialogue& d) { d.failed_ = true; }
inline bool detail::HasFailed(const Dialogue& d) { return d.failed_; }

inline int32_t Side::Send(std::string_view bytes) const {
  return host.calls->send(d_.session_, number_, bytes.data(), bytes.size());
}
inline int32_t Side::Forward(uint64_t size) {
  Hide();
  return host.calls->forward(d_.session_, number_, size);
}
inline int32_t Side::ForwardUntil(std::string_view tail) {
  Hide();
  return host.keep ? host.keep->forward_until(d_.session_, number_, tail.data(), tail.size())
                   : RUM_E_UNSUPPORTED;
}
inline bool Side::Answered() const {
  return host.keep && host.keep->answered(d_.session_, number_) == 1;
}
inline int32_t Side::Need(size_t size) const {
  return host.calls->need(d_.session_, number_, size);
}

inline uint64_t Side::Waiting() const {
  return host.queue ? host.queue->size(d_.session_, number_) : 0;
}
inline int32_t Dialogue::SetAlpn(const Side& side,
                                 std::initializer_list<std::string_view> protocols) const {
  if (!host.tls) return RUM_E_UNSUPPORTED;
  std::string list;
  for (std::string_view name : protocols) {
    if (name.size() > 255) return RUM_E_ARGUMENT;
    (list += static_cast<char>(name.size())) += name;
  }
  return host.tls->set_alpn(session_, side.number_, list.data(), list.size());
}
inline std::string Dialogue::Alpn(const Side& side) const {
  return Value(host.tls != nullptr, [&](char* to, size_t* size) {
    return host.tls->alpn(session_, side.number_, to, size);
  });
}
inline std::string Dialogue::ServerName() const {
  return Value(host.tls != nullptr,
               [&](char* to, size_t* size) { return host.tls->server_name(session_, to, size); });
}
inline std::string Dialogue::Certificate(const Side& side) const {
  return Value(host.tls != nullptr, [&](char* to, size_t* size) {
    return host.tls->certificate(session_, side.number_, to, size);
  });
}
inline std::string Dialogue::EndPoint(const Side& side) const {
  return Value(host.tls != nullptr, [&](char* to, size_t* size) {
    return host.tls->end_point(session_, side.number_, to, size);
  });
}

}  // namespace rum::dialogue

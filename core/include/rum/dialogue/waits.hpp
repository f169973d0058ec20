// What a script can wait for. A wait starts, is polled by each hook, and ends when its result is
// there or the session ends.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <rum/dialogue/session.hpp>
#include <string_view>
#include <utility>

namespace rum::dialogue {

// The base of all waits. `Self` has Start(), which begins the wait, and Poll(). Both return whether
// the wait has ended, and set `reason` if it failed.
template <class Self>
struct WaitFor : Wait {
  explicit WaitFor(Dialogue& dialogue)
      : Wait{[](Wait& wait) {
          auto& self = static_cast<Self&>(wait);
          if (!self.d.closed_) return self.Poll();
          self.reason = self.d.closed_;
          return true;
        }},
        d(dialogue) {}
  WaitFor(const WaitFor&) = delete;
  WaitFor& operator=(const WaitFor&) = delete;

  bool await_ready() {
    if (!d.closed_) return static_cast<Self*>(this)->Start();
    reason = d.closed_;
    return ++d.waits_after_end_ < Dialogue::kWaitsAfterEnd;
  }
  void await_suspend(std::coroutine_handle<> who) {
    script = who;
    if (!d.closed_) d.wait_ = this;  // otherwise it waited too often and is not resumed
  }
  bool Fail(Reason why) {
    reason = d.last_ = why;
    return true;
  }
  Reason Result() const {
    if (reason) d.last_ = reason;
    return reason;
  }

  Dialogue& d;
  Reason reason;
};

template <class Parser>
struct FrameWait : WaitFor<FrameWait<Parser>> {
  FrameWait(Dialogue& of_session, Side& of, Parser parse, size_t at_least, bool taken)
      : WaitFor<FrameWait>(of_session),
        side(of),
        parser(std::move(parse)),
        least(at_least),
        takes(taken) {}

  bool Start() {
    if (side.live_) return Poll();
    if (side.Drained()) return this->Fail(side.Gone());
    return Ask(least);
  }
  bool Poll() {
    if (!side.live_) return side.Drained() && this->Fail(side.Gone());
    std::string_view rest = side.rest();
    Parse found = rest.empty() ? Parse::Need(least) : parser(rest);
    switch (found.kind) {
      case Parse::kWhole:
        if (found.size > rest.size()) break;
        text = takes ? rest.substr(0, found.size) : rest;
        if (takes) side.used_ += found.size;
        return true;
      case Parse::kNeed:
        if (side.ended_) return this->Fail(side.Gone());
        return Ask(found.size > rest.size() ? found.size : rest.size() + 1);
      case Parse::kBad:
        break;
    }
    return this->Fail(side.number_ == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL
                                                 : RUM_CLOSE_UPSTREAM_PROTOCOL);
  }
  bool Ask(size_t size) {
    switch (side.Need(size)) {
      case RUM_OK:
        return false;
      case RUM_E_LIMIT:
        return this->Fail(RUM_CLOSE_LIMIT);
      default:
        return this->Fail(RUM_CLOSE_MODULE);  // there is no such side
    }
  }
  View await_resume() { return View(text, this->Result()); }

  Side& side;
  Parser parser;
  const size_t least;  // the length of the shortest frame
  const bool takes;
  std::string_view text;
};

struct TlsWait : WaitFor<TlsWait> {
  TlsWait(Dialogue& of_session, Side& of, std::string_view name)
      : WaitFor(of_session), side(of), server_name(name) {}
  bool Start() {
    auto& outcome = d.tls_[side.number_];
    outcome.there = false;
    int32_t status =
        host.calls->start_tls(d.session_, side.number_, server_name.data(), server_name.size());
    if (status != RUM_OK) {
      return Fail(status == RUM_E_UNSUPPORTED ? RUM_CLOSE_UNSUPPORTED : RUM_CLOSE_MODULE);
    }
    side.Hide();
    return false;
  }
  bool Poll() {
    auto& outcome = d.tls_[side.number_];
    if (!std::exchange(outcome.there, false)) return false;
    if (outcome.status == RUM_OK) return true;
    d.rum_ends_ = true;
    return Fail(RUM_CLOSE_TLS);
  }
  Reason await_resume() { return Result(); }

  Side& side;
  const std::string_view server_name;
};

struct LookupWait : WaitFor<LookupWait> {
  LookupWait(Dialogue& of_session, std::string_view name) : WaitFor(of_session), key(name) {}
  bool Start() {
    d.looked_up_.there = false;
    switch (host.calls->lookup(d.session_, key.data(), key.size())) {
      case RUM_OK:
        return false;
      case RUM_E_UNSUPPORTED:
        status = Record::kNotFound;
        return true;
      default:
        status = Record::kUnavailable;
        return Fail(RUM_CLOSE_MAP_UNAVAILABLE);
    }
  }
  bool Poll() {
    if (!std::exchange(d.looked_up_.there, false)) return false;
    switch (d.looked_up_.status) {
      case RUM_FOUND:
        status = Record::kFound;
        value = d.looked_up_.value;
        return true;
      case RUM_NOT_FOUND:
        status = Record::kNotFound;
        return true;
      default:
        status = Record::kUnavailable;
        return Fail(RUM_CLOSE_MAP_UNAVAILABLE);
    }
  }
  Record await_resume() { return Record(status, value, Result()); }

  const std::string_view key;
  Record::Status status = Record::kEnded;
  std::string_view value;
};

struct SharedWait : WaitFor<SharedWait> {
  SharedWait(Dialogue& of_session, std::string_view name) : WaitFor(of_session), key(name) {}
  bool Start() {
    d.shared_found_.there = false;
    if (host.shared) status = host.shared->find(d.session_, key.data(), key.size());
    return status != RUM_OK;
  }
  bool Poll() {
    if (!std::exchange(d.shared_found_.there, false)) return false;
    status = d.shared_found_.status;
    value = d.shared_found_.value;
    return true;
  }
  SharedValue await_resume() {
    const Reason ends = Result();
    return SharedValue(ends ? RUM_E_STATE : status, value, ends);
  }

  const std::string_view key;
  int32_t status = RUM_E_UNSUPPORTED;
  std::string_view value;
};

struct ConnectWait : WaitFor<ConnectWait> {
  ConnectWait(Dialogue& of_session, std::string_view where, bool by_rum)
      : WaitFor(of_session), address(where), begun(by_rum) {}
  // Begins the connection before it is awaited.
  Reason Begin() {
    if (d.closed_) return d.closed_;
    (void)Start();
    return Result();
  }
  bool Start() {
    if (reason) return true;
    if (std::exchange(begun, true)) return Poll();
    d.connected_.there = false;
    switch (host.calls->connect(d.session_, address.data(), address.size())) {
      case RUM_OK:
        d.rum_ends_ = false;
        return false;
      case RUM_E_UNSUPPORTED:
        return Fail(address.empty() ? RUM_CLOSE_NO_DESTINATION : RUM_CLOSE_BAD_DESTINATION);
      case RUM_E_ARGUMENT:
        return Fail(RUM_CLOSE_BAD_DESTINATION);
      case RUM_E_LIMIT:
        return Fail(RUM_CLOSE_LIMIT);
      default:
        return Fail(RUM_CLOSE_MODULE);
    }
  }
  bool Poll() {
    if (!std::exchange(d.connected_.there, false)) return false;
    if (d.connected_.reason != 0) {
      d.rum_ends_ = true;
      return Fail(d.connected_.reason);
    }
    d.upstream.Renew();
    return true;
  }
  Reason await_resume() { return Result(); }

  const std::string_view address;
  bool begun;
};

struct TryLoginWait : WaitFor<TryLoginWait> {
  explicit TryLoginWait(Dialogue& of_session) : WaitFor(of_session) {}
  bool Start() {
    d.drop_ = nullptr;
    d.resumed_ = {};
    status = host.limits ? host.limits->try_login(d.session_) : RUM_OK;
    return status != RUM_E_AGAIN;
  }
  bool Poll() {
    if (d.client.ended_) return Fail(d.client.Gone());
    return d.resumed_.there && Start();
  }
  int32_t await_resume() { return Result() ? RUM_E_STATE : status; }

  int32_t status = RUM_OK;
};

struct SleepWait : WaitFor<SleepWait> {
  SleepWait(Dialogue& of_session, uint64_t microseconds)
      : WaitFor(of_session), micros(microseconds) {}
  bool Start() {
    ticket = host.clock ? host.clock->timer(d.session_, micros)
                        : host.calls->timer(d.session_, (micros + 999) / 1000);
    return ticket == 0 && Fail(RUM_CLOSE_LIMIT);
  }
  bool Poll() const { return d.fired_ == ticket; }
  Reason await_resume() { return Result(); }

  const uint64_t micros;
  uint64_t ticket = 0;
};

struct DrainWait : WaitFor<DrainWait> {
  DrainWait(Dialogue& of_session, Side& of, uint64_t most)
      : WaitFor(of_session), side(of), below(most) {}
  bool Start() {
    side.drained_ = false;
    if (!host.queue) return Fail(RUM_CLOSE_UNSUPPORTED);
    return host.queue->await(d.session_, side.number_, below) != RUM_OK && Fail(RUM_CLOSE_MODULE);
  }
  bool Poll() const { return side.drained_; }
  Reason await_resume() { return Result(); }

  Side& side;
  const uint64_t below;
};

// What First() waits for.
struct Wanted {
  Dialogue& d;
  size_t bytes[2] = {0, 0};  // of each side; 0: not this side
  uint64_t after = 0;        // milliseconds
  bool timed = false;
};

struct FirstWait : WaitFor<FirstWait> {
  explicit FirstWait(const Wanted& what) : WaitFor(what.d), wanted(what) {}

  bool Start() {
    if (Poll()) return true;
    for (uint32_t number : {RUM_CLIENT, RUM_UPSTREAM}) {
      if (wanted.bytes[number] == 0) continue;
      int32_t status = d.side(number).Need(wanted.bytes[number]);
      if (status != RUM_OK) {
        return Fail(status == RUM_E_LIMIT ? RUM_CLOSE_LIMIT : RUM_CLOSE_MODULE);
      }
    }
    if (!wanted.timed) return false;
    ticket = host.calls->timer(d.session_, wanted.after);
    return ticket == 0 && Fail(RUM_CLOSE_LIMIT);
  }
  bool Poll() {
    for (uint32_t number : {RUM_CLIENT, RUM_UPSTREAM}) {
      Side& side = d.side(number);
      if (wanted.bytes[number] == 0) continue;
      if (side.live_ && side.rest().size() >= wanted.bytes[number]) {
        event = number == RUM_CLIENT ? Event::kClient : Event::kUpstream;
        return true;
      }
      if (side.live_ ? side.ended_ : side.Drained()) return Fail(side.Gone());
      // The hook ran for fewer bytes than are wanted, or for other bytes.
      if (side.live_ && ticket != 0) (void)side.Need(wanted.bytes[number]);
    }
    if (ticket == 0 || d.fired_ != ticket) return false;
    ticket = 0;
    event = Event::kTime;
    return true;
  }
  Event await_resume() {
    if (ticket != 0) host.calls->timer_cancel(d.session_, ticket);
    return Result() ? Event::kEnded : event;
  }

  const Wanted wanted;
  uint64_t ticket = 0;
  Event event = Event::kEnded;
};

class First {
 public:
  explicit First(Dialogue& d) : wanted_{d} {}
  First Client(size_t size) const { return With(RUM_CLIENT, size); }
  First Upstream(size_t size) const { return With(RUM_UPSTREAM, size); }
  First After(uint64_t milliseconds) const {
    First next = *this;
    next.wanted_.after = milliseconds;
    next.wanted_.timed = true;
    return next;
  }
  FirstWait operator co_await() const { return FirstWait(wanted_); }

 private:
  First With(uint32_t side, size_t size) const {
    First next = *this;
    next.wanted_.bytes[side] = size;
    return next;
  }
  Wanted wanted_;
};

struct [[nodiscard]] Resumed {
  Reason reason;  // the end reason of the session; false: the work is done
  int32_t status = 0;
  void* payload = nullptr;
};

struct PauseWait : WaitFor<PauseWait> {
  PauseWait(Dialogue& of_session, void (*drop)(void*)) : WaitFor(of_session) {
    d.drop_ = drop;
    d.resumed_ = {};
    if (!d.closed_) ticket_ = host.calls->pause(d.session_);
  }
  // For the other thread's resume(). 0: the session could not be paused, and the wait fails.
  uint64_t ticket() const { return ticket_; }
  bool Start() { return ticket_ == 0 ? Fail(RUM_CLOSE_MODULE) : Poll(); }
  bool Poll() {
    if (!std::exchange(d.resumed_.there, false)) return false;
    resumed.status = d.resumed_.status;
    resumed.payload = d.resumed_.payload;
    return true;
  }
  Resumed await_resume() {
    resumed.reason = Result();
    return resumed;
  }

  Resumed resumed;
  uint64_t ticket_ = 0;
};

inline auto Side::Read(size_t size) {
  auto parse = [size](std::string_view bytes) {
    return bytes.size() < size ? Parse::Need(size) : Parse::Whole(size);
  };
  return FrameWait<decltype(parse)>(d_, *this, parse, size, true);
}
inline auto Side::Peek(size_t size) {
  auto parse = [size](std::string_view bytes) {
    return bytes.size() < size ? Parse::Need(size) : Parse::Whole(0);
  };
  return FrameWait<decltype(parse)>(d_, *this, parse, size, false);
}
inline auto Side::Line(size_t most) {
  auto parse = [most](std::string_view bytes) {
    size_t end = bytes.substr(0, most).find('\n');
    if (end != bytes.npos) return Parse::Whole(end + 1);
    return bytes.size() >= most ? Parse::Bad() : Parse::Need(bytes.size() + 1);
  };
  return FrameWait<decltype(parse)>(d_, *this, parse, 1, true);
}
template <class Parser>
auto Side::Frame(Parser parser, size_t at_least) {
  return FrameWait<Parser>(d_, *this, std::move(parser), at_least, true);
}
inline auto Side::StartTls(std::string_view server_name) { return TlsWait(d_, *this, server_name); }
inline auto Side::WhenDrained(uint64_t below) { return DrainWait(d_, *this, below); }
inline auto Dialogue::Lookup(std::string_view key) { return LookupWait(*this, key); }
inline auto Dialogue::FindShared(std::string_view key) { return SharedWait(*this, key); }
inline auto Dialogue::Connect(std::string_view address) {
  return ConnectWait(*this, address, false);
}
inline auto Dialogue::Connected() { return ConnectWait(*this, {}, true); }
inline auto Dialogue::TryLogin() { return TryLoginWait(*this); }
inline auto Dialogue::Sleep(uint64_t milliseconds) { return SleepWait(*this, milliseconds * 1000); }
inline auto Dialogue::SleepMicros(uint64_t microseconds) { return SleepWait(*this, microseconds); }
inline auto Dialogue::First() { return dialogue::First(*this); }
inline auto Dialogue::Pause(void (*drop)(void*)) { return PauseWait(*this, drop); }

}  // namespace rum::dialogue

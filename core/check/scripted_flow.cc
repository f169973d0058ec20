// How bytes pass through a session of the scripted host: from the wire to the window, to the hooks
// or past them, and to the other side; and the end of each side.
#include <algorithm>
#include <cstring>

#include "check/host_table.h"

namespace rum {
namespace {

using namespace scripted;
using Kind = Deed::Kind;

}  // namespace

// Moves bytes from the wire to the window, as far as rum would read.
void ScriptedSession::Fill(Side& s, const Side& other) {
  if (other.waiting > kHighWater || s.window.size() >= s.limit()) return;
  size_t n = std::min(s.limit() - s.window.size(), s.wire.size());
  if (n == 0) return;
  if (refusal) {
    n = std::min(n, RUM_MOST_REFUSED_BYTES - refused_read_);
    refused_read_ += n;
    if (n == 0) return EndWith(refusal);
  }
  s.window.append(s.wire, 0, n);
  s.wire.erase(0, n);
  s.read += n;
  s.fresh = true;
}

bool ScriptedSession::Pump(uint32_t side) {
  Side& s = sides[side];
  Side& other = sides[Other(side)];
  if (!s.there || Ending() || handed == side) return false;
  if (s.tls == Tls::kHandshake) {
    std::string input = std::move(s.window) + std::move(s.wire);
    s.window.clear();
    s.wire.clear();
    s.fresh = false;
    s.need = 0;
    if (!input.empty()) {
      Deed* last = host_.deeds_.empty() ? nullptr : &host_.deeds_.back();
      if (last && last->kind == Kind::kTlsInput && last->side == side && last->session == number_) {
        last->bytes += input;
      } else {
        host_.deeds_.push_back({Kind::kTlsInput, side, 0, {}, std::move(input)});
      }
      return true;
    }
    if (s.ended) return TlsOutcome(side, RUM_E_FAILED);
    return false;
  }
  bool hook = side == RUM_CLIENT ? module_.client_data : module_.upstream_data;
  if (!hook && !s.forward) return false;  // no hook reads them: the bytes wait
  if (!handed || other.waiting == 0) Fill(s, other);
  if (Ending()) return true;
  if (StopsAtTail(side)) return true;
  if (s.forward && s.window.size() > HeldForTail(side)) {
    if (!other.there) return false;
    size_t n = std::min<uint64_t>(s.forward, s.window.size() - HeldForTail(side));
    keeping_.asked_at[side] = other.read;
    Out(Other(side), std::string_view(s.window).substr(0, n));
    s.window.erase(0, n);
    s.forward -= n;
    s.fresh = !s.window.empty();
    idle_hooks_ = 0;
    return true;
  }
  if (pause || !hook || s.window.empty() || HeldForTail(side)) return false;
  bool at_end = s.ended && s.wire.empty();
  bool due = s.need && s.window.size() >= s.need ? true : s.fresh && (!s.need || at_end);
  return due && CallData(side);
}

bool ScriptedSession::CallData(uint32_t side) {
  Side& s = sides[side];
  std::string name = side == RUM_CLIENT ? "client_data" : "upstream_data";
  auto hook = side == RUM_CLIENT ? module_.client_data : module_.upstream_data;
  size_t limit = s.limit();
  s.need = 0;
  s.fresh = false;
  need_refused_[side] = false;
  ++hook_calls;
  // A copy of exactly this size, overwritten afterwards, exposes a module that keeps the pointer.
  size_t size = s.window.size();
  auto copy = std::make_unique_for_overwrite<uint8_t[]>(size);
  std::memcpy(copy.get(), s.window.data(), size);
  int64_t consumed = 0;
  bool fine = Run(side == RUM_CLIENT ? "client_data" : "upstream_data",
                  [&] { consumed = hook(data_, handle(), copy.get(), size); });
  ScriptedHost::World& world = *host_.world_;
  if (std::memcmp(copy.get(), s.window.data(), size) != 0) {
    host_table::Violate(world, name + " changed the bytes it was shown");
  }
  std::memset(copy.get(), 0xdd, size);
  std::swap(copy, spoiled_);  // lives until the next copy exists, so that their addresses differ
  if (fine) JudgeConsumed(side, consumed, size, limit);
  return true;
}

// What a data hook has consumed of `size` bytes, which had room for `limit`.
void ScriptedSession::JudgeConsumed(uint32_t side, int64_t consumed, size_t size, size_t limit) {
  Side& s = sides[side];
  ScriptedHost::World& world = *host_.world_;
  const std::string name = side == RUM_CLIENT ? "client_data" : "upstream_data";
  if (consumed < 0) {
    EndWith(side == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL);
    return;
  }
  if (static_cast<uint64_t>(consumed) > size) {
    host_table::Violate(world, name + " consumed " + std::to_string(consumed) + " bytes of " +
                                   std::to_string(size));
    EndWith(RUM_CLOSE_MODULE, "the module consumed more bytes than there were");
    return;
  }
  if (side == RUM_UPSTREAM && gives_up_) return;
  if (consumed > 0) {
    idle_hooks_ = 0;
    s.window.erase(0, static_cast<size_t>(consumed));
    s.fresh = !s.window.empty();
    return;
  }
  if (s.forward || relay || s.tls == Tls::kHandshake || Ending()) return;
  if (need_refused_[side]) {
    host_table::Violate(world, name +
                                   ": need() answered RUM_E_LIMIT, and the hook neither consumed " +
                                   "nor closed: the session waits for its deadline");
    EndWith(RUM_CLOSE_MODULE);
    return;
  }
  if (s.need && s.need <= size && !pause) {
    host_table::Violate(world, name + " asked by need() for " + std::to_string(s.need) +
                                   " bytes, had " + std::to_string(size) +
                                   " and consumed none: it would be called again without end");
    s.need = 0;
  }
  bool waits = lookup || finding || connect || pause || sides[RUM_UPSTREAM].there;
  if (size >= limit && size >= s.limit() && !waits) {
    EndWith(side == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL,
            "more bytes than the module's window");
  }
}

bool ScriptedSession::CallEnd(uint32_t side) {
  Side& s = sides[side];
  bool hook = side == RUM_CLIENT ? module_.client_data : module_.upstream_data;
  if (!s.there || !s.ended || s.end_reported || pause || Ending() || handed == side) return false;
  if (!s.wire.empty() || s.tls == Tls::kHandshake) return false;
  if (!hook && !s.forward) return false;  // not read, so not reported
  int32_t answer = ReportEnd(side);
  if (answer == RUM_END && handed) {
    Relay();
  } else if (answer == RUM_END) {
    EndWith(side == RUM_CLIENT ? RUM_CLOSE_CLIENT_GONE : RUM_CLOSE_UPSTREAM_GONE);
  }
  return true;
}

int32_t ScriptedSession::ReportEnd(uint32_t side) {
  sides[side].end_reported = true;
  if (!module_.side_end) return RUM_END;
  int32_t answer = RUM_END;
  Run("side_end", [&] { answer = module_.side_end(data_, handle(), side); });
  if (answer == RUM_END || answer == RUM_KEEP) return answer;
  host_table::Violate(*host_.world_, "side_end returned " + std::to_string(answer) +
                                         ", which is neither RUM_END nor RUM_KEEP");
  return RUM_END;
}

bool ScriptedSession::PumpRelay(uint32_t side) {
  if (!sides[RUM_UPSTREAM].there || Ending()) return false;
  Side& s = sides[side];
  Side& other = sides[Other(side)];
  if (s.tls == Tls::kHandshake) return Pump(side);
  if (!(s.window.empty() && s.wire.empty()) && other.waiting <= kHighWater) {
    s.read += s.wire.size();
    Out(Other(side), s.window);
    Out(Other(side), s.wire);
    s.window.clear();
    s.wire.clear();
    return true;
  }
  if (!s.ended || end_passed_[side] || !s.wire.empty() || !s.window.empty()) return false;
  end_passed_[side] = true;
  if (!ended_first_) ended_first_ = 1 + side;
  host_.deeds_.push_back({Kind::kEnd, Other(side), 0, {}, {}});
  if (end_passed_[Other(side)]) {
    EndWith(ended_first_ == 1 + RUM_CLIENT ? RUM_CLOSE_CLIENT : RUM_CLOSE_UPSTREAM);
  }
  return true;
}

void ScriptedSession::Out(uint32_t side, std::string_view bytes) {
  if (bytes.empty()) return;
  Side& s = sides[side];
  s.sent += bytes;
  if (!s.reading) s.waiting += bytes.size();
  if (!host_.deeds_.empty()) {
    Deed& last = host_.deeds_.back();
    if (last.kind == Kind::kSend && last.side == side && last.session == number_) {
      last.bytes += bytes;
      return;
    }
  }
  host_.deeds_.push_back({Kind::kSend, side, 0, {}, std::string(bytes)});
}

}  // namespace rum

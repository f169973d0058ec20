#include "check/expectation.h"

#include "check/bytes_text.h"
#include "check/scribe.h"

namespace rum {
namespace {

using Word = TranscriptLine::Word;
using Kind = Deed::Kind;

}  // namespace

bool IsStrict(Kind kind) {
  switch (kind) {
    case Kind::kEnd:
    case Kind::kLookup:
    case Kind::kIdentify:
    case Kind::kConnect:
    case Kind::kRelay:
    case Kind::kRelayFrom:
    case Kind::kTakeBack:
    case Kind::kStartTls:
    case Kind::kClose:
      return true;
    default:
      return false;
  }
}

void Expectation::Keep(const Captures& captured) {
  for (const auto& [name, bytes] : captured) captures_[name] = bytes;
}

bool Expectation::Not(std::string why) {
  why_ = std::move(why);
  return false;
}

bool Expectation::Holds() {
  switch (line_.word) {
    case Word::kExpectBytes:
      return HoldsBytes();
    case Word::kExpectEnd:
      return TakeStrict(Kind::kEnd, false);
    case Word::kExpectLookup:
      return TakeStrict(Kind::kLookup, true);
    case Word::kExpectIdentify:
      return TakeStrict(Kind::kIdentify, true);
    case Word::kExpectConnect:
      return TakeStrict(Kind::kConnect, true);
    case Word::kExpectRelay:
      return TakeStrict(Kind::kRelay, false);
    case Word::kExpectRelayFrom:
      return TakeStrict(Kind::kRelayFrom, false);
    case Word::kExpectTakeBack:
      return TakeStrict(Kind::kTakeBack, false);
    case Word::kExpectTls:
      return TakeStrict(Kind::kStartTls, true);
    case Word::kExpectClose:
      return TakeStrict(Kind::kClose, line_.name == "text");
    case Word::kExpectNote: {
      auto notes = host_.notes();
      auto found = notes.find(line_.name);
      if (found == notes.end()) return Not("there is no note '" + line_.name + "'");
      return Same(found->second);
    }
    case Word::kExpectMetric: {
      uint64_t sum = host_.metric(line_.name);
      return sum == line_.number || Not("the metric " + line_.name + " is " + std::to_string(sum));
    }
    case Word::kExpectOpen:
      return host_.open() ||
             Not("the session has ended: " + CloseReasonName(host_.closed().value_or(0)));
    case Word::kExpectLog:
      return Did(Kind::kLog, "nothing like it was logged at that level");
    case Word::kExpectTimer:
      return Did(Kind::kTimer, "no timer of that length was started");
    case Word::kExpectPause:
      return Did(Kind::kPause, "pause() was not called");
    case Word::kExpectAdmit:
      return Did(Kind::kAdmit, "admit() was not called with such a record");
    case Word::kExpectLoginFailed:
      return Did(Kind::kLoginFailed, "login_failed() was not called");
    case Word::kExpectConfirm:
      return Did(Kind::kConfirm, "confirm() was not called");
    case Word::kExpectNoLogin:
      return Did(Kind::kNoLogin, "no_login() was not called");
    case Word::kExpectPart:
      return Did(Kind::kPart, "part() was not called");
    case Word::kExpectKeep:
      return Did(Kind::kKeep, "keep() was not called with this time");
    case Word::kExpectWant:
      return Did(Kind::kWant, "want() was not called");
    case Word::kExpectRenew:
      return Did(Kind::kRenew, "renew() was not called");
    case Word::kExpectAlpn:
      return DidSetAlpn();
    case Word::kExpectAwait:
      return Did(Kind::kAwait, "await() of that side was not called with this number");
    default:
      return Not("a line that cannot be played");
  }
}

// Looks for an event anywhere in this session, as its order does not matter.
bool Expectation::Did(Kind kind, const char* otherwise) {
  auto part = RenderPattern(line_.pattern, captures_);
  if (!part) return Not(part.error().text);
  const auto& deeds = host_.deeds();
  for (size_t i = talk_.first_deed; i < deeds.size(); ++i) {
    const Deed& deed = deeds[i];
    if (deed.kind != kind || deed.session != host_.selected()) continue;
    bool numbered =
        kind == Kind::kLog || kind == Kind::kTimer || kind == Kind::kAwait || kind == Kind::kKeep;
    if (kind == Kind::kAwait && deed.side != line_.side) continue;
    if (numbered && deed.number != line_.number) continue;
    if (deed.bytes.find(*part) != std::string::npos) return true;
  }
  return Not(otherwise);
}

bool Expectation::DidSetAlpn() {
  const auto& deeds = host_.deeds();
  for (size_t i = talk_.first_deed; i < deeds.size(); ++i) {
    const Deed& deed = deeds[i];
    if (deed.kind != Kind::kSetAlpn || deed.session != host_.selected()) continue;
    if (deed.side == line_.side && deed.bytes == line_.text) return true;
  }
  return Not("set_alpn() was not called with these protocols");
}

// All of `got` must match.
bool Expectation::Same(const std::string& got) {
  auto verdict = MatchPattern(line_.pattern, got, captures_);
  if (!verdict) return Not(verdict.error().text);
  if (verdict->kind == Verdict::Kind::kMatch && verdict->size == got.size()) {
    Keep(verdict->captured);
    return true;
  }
  return Not("expected\n" + DumpPattern(line_.pattern, captures_) + "  got\n" + HexDump(got));
}

bool Expectation::TakeStrict(Kind kind, bool with_bytes) {
  if (talk_.strict.empty()) return Not("that did not happen");
  const Deed deed = talk_.strict.front();
  bool same = deed.kind == kind;
  if (kind == Kind::kEnd || kind == Kind::kStartTls) same &= deed.side == line_.side;
  if (kind == Kind::kClose) same &= deed.number == line_.number;
  if (!same) return Not("that did not happen; instead: " + DescribeDeed(deed));
  if (with_bytes && !Same(deed.bytes)) return false;
  talk_.strict.pop_front();
  return true;
}

bool Expectation::HoldsBytes() {
  std::string& got = talk_.sent[line_.side];
  auto verdict = MatchPattern(line_.pattern, got, captures_);
  if (!verdict) return Not(verdict.error().text);
  if (verdict->kind == Verdict::Kind::kMatch) {
    got.erase(0, verdict->size);
    Keep(verdict->captured);
    return true;
  }
  std::string shown = "\n  expected\n" + DumpPattern(line_.pattern, captures_) + "  got " +
                      (got.empty() ? "nothing\n" : "\n" + HexDump(got));
  if (verdict->kind == Verdict::Kind::kShort) {
    return Not(std::to_string(got.size()) + " bytes went to the " + SideWord(line_.side) + ", " +
               std::to_string(verdict->size) + " are expected" + shown);
  }
  return Not("the bytes to the " + std::string(SideWord(line_.side)) + " differ at byte " +
             std::to_string(verdict->size) + shown);
}

}  // namespace rum

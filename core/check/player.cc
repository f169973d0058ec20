#include "check/player.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <random>

#include "check/pattern.h"
#include "check/scripted_host.h"

namespace rum {
namespace {

using Line = TranscriptLine;
using Word = TranscriptLine::Word;
using Kind = Deed::Kind;

char line_being_played[512] = "";

const char* SideWord(uint32_t side) { return side == RUM_CLIENT ? "client" : "upstream"; }

// What must be expected by a line; the rest may be.
bool Strict(Kind kind) {
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

const char* LevelWord(uint64_t level) {
  static constexpr const char* kWords[] = {"error", "warning", "info", "debug"};
  return level < 4 ? kWords[level] : "?";
}

// A deed as the line that would expect it; a comment where no line does.
std::string Describe(const Deed& deed) {
  std::string bytes = WriteBytes(deed.bytes);
  switch (deed.kind) {
    case Kind::kSend:
      return std::string("expect ") + SideWord(deed.side) + " < " + bytes;
    case Kind::kEnd:
      return std::string("expect end ") + SideWord(deed.side);
    case Kind::kLookup:
      return "expect lookup " + bytes;
    case Kind::kIdentify:
      return "expect identify " + bytes;
    case Kind::kConnect:
      return "expect connect " + (deed.bytes.empty() ? "default" : bytes);
    case Kind::kRelay:
      return "expect relay";
    case Kind::kRelayFrom:
      return std::string("expect relay-from ") + SideWord(deed.side);
    case Kind::kTakeBack:
      return std::string("expect take-back ") + SideWord(deed.side);
    case Kind::kStartTls:
      return std::string("expect tls ") + SideWord(deed.side) +
             (deed.bytes.empty() ? "" : " " + bytes);
    case Kind::kTlsInput:
      return std::string("# to the TLS engine from the ") + SideWord(deed.side) + ": " + bytes;
    case Kind::kClose:
      return "expect close " + CloseReasonName(static_cast<uint32_t>(deed.number)) +
             (deed.bytes.empty() ? "" : " " + bytes);
    case Kind::kPause:
      return "expect pause";
    case Kind::kTimer:
      return "expect timer " + std::to_string(deed.number) + "ms";
    case Kind::kNote:
      return "expect note " + deed.name + " = " + bytes;
    case Kind::kLog:
      return std::string("expect log ") + LevelWord(deed.number) + " " + bytes;
    case Kind::kMetric:
      return "# metric " + deed.name + " + " + std::to_string(deed.number);
    case Kind::kRefused:
      return "# " + deed.name + "() was refused: error -" + std::to_string(deed.number);
    case Kind::kAdmit:
      return "expect admit " + bytes;
    case Kind::kLoginFailed:
      return "expect login-failed";
    case Kind::kConfirm:
      return "expect confirm";
  }
  return "#";
}

class Player {
 public:
  Player(const rum_module& module, const Transcript& transcript, Cut cut,
         const PlayOptions& options)
      : host_(module), transcript_(transcript), cut_(cut), options_(options), random_(cut.seed) {}

  std::optional<std::string> Play() {
    bool fine = Start();
    for (size_t i = 0; fine && i < transcript_.lines.size();) {
      line_ = &transcript_.lines[i];
      std::snprintf(line_being_played, sizeof line_being_played, "%s:%d", transcript_.file.c_str(),
                    line_->number_of_line);
      size_t next = i + 1;
      if (line_->word == Word::kFeed) {
        while (next < transcript_.lines.size() && Continues(transcript_.lines[next])) ++next;
      }
      fine = Step(i, next) && KeepsRules();
      Trace(i, next);
      i = next;
    }
    fine = fine && Leftovers();
    Trace(0, 0);
    fine = fine && Finish();
    line_being_played[0] = 0;
    if (fine) return {};
    return report_;
  }

 private:
  bool Continues(const Line& next) const {
    return next.word == Word::kFeed && next.side == line_->side;
  }

  bool Fail(const std::string& text) {
    int number = line_ ? line_->number_of_line : 1;
    report_ = transcript_.file + ":" + std::to_string(number) + ": " + text + "\n";
    if (line_) report_ += "  in the line: " + line_->source + "\n";
    Collect();
    const auto& deeds = host_.deeds();
    size_t from = deeds.size() - std::min<size_t>(deeds.size(), 8);
    if (from < deeds.size()) report_ += "  the last that the module did:\n";
    for (size_t i = from; i < deeds.size(); ++i) {
      std::string text_of_deed = Describe(deeds[i]);
      if (text_of_deed.size() > 200) text_of_deed = text_of_deed.substr(0, 197) + "...";
      report_ += "    " + text_of_deed + "\n";
    }
    return false;
  }

  bool Start() {
    ScriptedHost::Options options;
    for (const Line& line : transcript_.lines) {
      if (line.word != Word::kOption) continue;
      line_ = &line;
      options[line.name] = line.text;
    }
    Status status = host_.Start(options);
    if (!status) return Fail("the module does not start: " + status.error().text);
    return KeepsRules();
  }

  // Ends what the transcript left open; what the module still says is nobody's business.
  bool Finish() {
    host_.CloseByRum(RUM_CLOSE_KILLED);
    return KeepsRules();
  }

  bool KeepsRules() {
    auto violations = host_.violations();
    if (violations.empty()) return true;
    std::string all;
    for (const std::string& one : violations) all += "\n  " + one;
    return Fail("the module breaks the rules of rum/module.h:" + all);
  }

  // Takes over what happened since the last time.
  void Collect() {
    for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) sent_[side] += host_.TakeSent(side);
    const auto& deeds = host_.deeds();
    for (; next_deed_ < deeds.size(); ++next_deed_) {
      if (Strict(deeds[next_deed_].kind)) strict_.push_back(deeds[next_deed_]);
    }
  }

  // Everything that happened before an input must have been expected.
  bool Leftovers() {
    Collect();
    for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
      if (sent_[side].empty()) continue;
      return Fail("before this, something went to the " + std::string(SideWord(side)) +
                  " that no line expects, " + std::to_string(sent_[side].size()) + " bytes:\n" +
                  HexDump(sent_[side]));
    }
    if (strict_.empty()) return true;
    return Fail("before this, something happened that no line expects: " +
                Describe(strict_.front()));
  }

  bool Open() {
    Collect();
    if (host_.open()) return Fail("a session is open already");
    session_deeds_ = host_.deeds().size();
    opened_ = true;
    if (line_->word != Word::kProbe) {
      return host_.Open() || Fail("the session cannot be opened");
    }
    auto user = line_->name.empty() ? std::nullopt : std::optional(line_->name);
    return host_.OpenProbe(line_->text, user) || Fail("the module has no hook probe_open");
  }

  bool Step(size_t i, size_t next) {
    if (line_->word < Word::kOpen) return SetWorld();
    if (line_->word == Word::kRefusal) return Refuse();
    if (!line_->expects() && !Leftovers()) return false;
    if (line_->word == Word::kOpen || line_->word == Word::kProbe) return Open();
    if (!opened_ && !Open()) return false;
    if (line_->expects()) return Expect();
    if (line_->word == Word::kFeed) return Feed(i, next);
    if (!host_.open()) return SessionIsOver();
    return Happen();
  }

  bool SessionIsOver() {
    return Fail("the session has ended before (" + CloseReasonName(host_.closed().value_or(0)) +
                ")");
  }

  bool SetWorld() {
    switch (line_->word) {
      case Word::kDestination:
        host_.default_destination = line_->text;
        return true;
      case Word::kTls:
        host_.tls_mode[line_->side] = static_cast<uint32_t>(line_->number);
        return true;
      case Word::kPeer:
        host_.peer[line_->side] = line_->text;
        return true;
      case Word::kAdmission:
        host_.admission = static_cast<int32_t>(line_->number);
        return true;
      case Word::kConfirmation:
        host_.confirmation = static_cast<int32_t>(line_->number);
        return true;
      case Word::kMapNone:
        host_.has_map = false;
        return true;
      case Word::kMapBroken:
        host_.BreakMap();
        return true;
      case Word::kMap: {
        auto key = RenderPattern(line_->key, captures_);
        auto value = RenderPattern(line_->pattern, captures_);
        if (!key || !value) return Fail((key ? value : key).error().text);
        host_.AddToMap(*key, *value);
        return true;
      }
      default:
        return true;  // options were read at the start
    }
  }

  bool Refuse() {
    if (!Leftovers()) return false;
    sent_[RUM_CLIENT] = host_.Refusal(static_cast<uint32_t>(line_->number));
    return true;
  }

  bool Feed(size_t i, size_t next) {
    std::string bytes;
    for (; i < next; ++i) {
      auto rendered = RenderPattern(transcript_.lines[i].pattern, captures_);
      if (!rendered) return Fail(rendered.error().text);
      bytes += *rendered;
    }
    if (!host_.open()) return SessionIsOver();
    if (cut_.kind == Cut::Kind::kRandom && (random_() & 1)) host_.HoldAnswers(true);
    std::string_view rest = bytes;
    bool fed = true;
    // A session that the module ends on the way does not hear the rest.
    while (!rest.empty() && fed && host_.open()) {
      size_t n = PieceSize(rest.size());
      fed = host_.Feed(line_->side, rest.substr(0, n));
      rest.remove_prefix(n);
    }
    host_.HoldAnswers(false);
    if (fed) return true;
    return Fail(std::string("the ") + SideWord(line_->side) +
                (line_->side == RUM_UPSTREAM && !host_.connected() ? " is not connected"
                                                                   : " has ended before"));
  }

  // The distributions of <random> differ between libraries; a seed shall mean the same everywhere.
  size_t PieceSize(size_t rest) {
    if (cut_.kind == Cut::Kind::kWhole) return rest;
    if (cut_.kind == Cut::Kind::kBytes) return 1;
    constexpr size_t kUpTo[] = {1, 3, 8, 40, 1500, 70'000};
    size_t up_to = kUpTo[random_() % std::size(kUpTo)];
    return std::min<size_t>(rest, 1 + random_() % up_to);
  }

  bool Happen() {
    switch (line_->word) {
      case Word::kEnd:
        return host_.End(line_->side) || Fail("that side is not there, or has ended before");
      case Word::kReset:
        return host_.Reset(line_->side) || Fail("that side is not there");
      case Word::kConnect:
        return host_.ConnectOutcome(static_cast<uint32_t>(line_->number)) ||
               Fail("the module has no connect() under way");
      case Word::kTlsOutcome:
        return host_.TlsOutcome(line_->side, line_->number ? RUM_OK : RUM_E_FAILED) ||
               Fail("the module has no start_tls() of that side under way");
      case Word::kReading:
        return (line_->number ? host_.StartReading(line_->side) : host_.StopReading(line_->side)) ||
               Fail("that side is not there");
      case Word::kAdvance:
        host_.Advance(line_->number);
        return true;
      case Word::kWait:
        return !host_.paused() || host_.WaitResumed(options_.wait_millis) ||
               Fail("the pause was not ended by resume() within " +
                    std::to_string(options_.wait_millis) + " ms");
      case Word::kClose:
        return host_.CloseByRum(static_cast<uint32_t>(line_->number));
      case Word::kAnswer:
        return Answer();
      default:
        return Fail("a line that cannot be played");
    }
  }

  bool Answer() {
    auto value = RenderPattern(line_->pattern, captures_);
    if (!value) return Fail(value.error().text);
    constexpr int32_t kStatus[] = {RUM_FOUND, RUM_NOT_FOUND, RUM_E_FAILED};
    return host_.MapAnswer(kStatus[line_->number], *value) ||
           Fail("the module has no lookup() under way");
  }

  // Waits for another thread when a pause is out and the line does not hold yet.
  bool Expect() {
    for (;;) {
      Collect();
      if (Holds()) return true;
      if (!host_.paused() || !host_.WaitResumed(options_.wait_millis)) return Fail(why_);
    }
  }

  void Keep(const Captures& captured) {
    for (const auto& [name, bytes] : captured) captures_[name] = bytes;
  }

  bool Not(std::string why) {
    why_ = std::move(why);
    return false;
  }

  bool Holds() {
    switch (line_->word) {
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
        return TakeStrict(Kind::kClose, line_->name == "text");
      case Word::kExpectNote: {
        auto notes = host_.notes();
        auto found = notes.find(line_->name);
        if (found == notes.end()) return Not("there is no note '" + line_->name + "'");
        return Same(found->second);
      }
      case Word::kExpectMetric: {
        uint64_t sum = host_.metric(line_->name);
        return sum == line_->number ||
               Not("the metric " + line_->name + " is " + std::to_string(sum));
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
      default:
        return Not("a line that cannot be played");
    }
  }

  // Something that may have happened at any time of this session.
  bool Did(Kind kind, const char* otherwise) {
    auto part = RenderPattern(line_->pattern, captures_);
    if (!part) return Not(part.error().text);
    const auto& deeds = host_.deeds();
    for (size_t i = session_deeds_; i < deeds.size(); ++i) {
      const Deed& deed = deeds[i];
      if (deed.kind != kind) continue;
      bool numbered = kind == Kind::kLog || kind == Kind::kTimer;
      if (numbered && deed.number != line_->number) continue;
      if (deed.bytes.find(*part) != std::string::npos) return true;
    }
    return Not(otherwise);
  }

  // The whole of `got` must match.
  bool Same(const std::string& got) {
    auto verdict = MatchPattern(line_->pattern, got, captures_);
    if (!verdict) return Not(verdict.error().text);
    if (verdict->kind == Verdict::Kind::kMatch && verdict->size == got.size()) {
      Keep(verdict->captured);
      return true;
    }
    return Not("expected\n" + DumpPattern(line_->pattern, captures_) + "  got\n" + HexDump(got));
  }

  bool TakeStrict(Kind kind, bool with_bytes) {
    if (strict_.empty()) return Not("that did not happen");
    const Deed deed = strict_.front();
    bool same = deed.kind == kind;
    if (kind == Kind::kEnd || kind == Kind::kStartTls) same &= deed.side == line_->side;
    if (kind == Kind::kClose) same &= deed.number == line_->number;
    if (!same) return Not("that did not happen; instead: " + Describe(deed));
    if (with_bytes && !Same(deed.bytes)) return false;
    strict_.pop_front();
    return true;
  }

  bool HoldsBytes() {
    std::string& got = sent_[line_->side];
    auto verdict = MatchPattern(line_->pattern, got, captures_);
    if (!verdict) return Not(verdict.error().text);
    if (verdict->kind == Verdict::Kind::kMatch) {
      got.erase(0, verdict->size);
      Keep(verdict->captured);
      return true;
    }
    std::string shown = "\n  expected\n" + DumpPattern(line_->pattern, captures_) + "  got " +
                        (got.empty() ? "nothing\n" : "\n" + HexDump(got));
    if (verdict->kind == Verdict::Kind::kShort) {
      return Not(std::to_string(got.size()) + " bytes went to the " + SideWord(line_->side) + ", " +
                 std::to_string(verdict->size) + " are expected" + shown);
    }
    return Not("the bytes to the " + std::string(SideWord(line_->side)) + " differ at byte " +
               std::to_string(verdict->size) + shown);
  }

  // Writes what was played and what it led to. Bytes may have joined the deed written last.
  void Trace(size_t i, size_t next) {
    if (!options_.trace) return;
    std::string& trace = *options_.trace;
    for (; i < next; ++i) {
      if (!transcript_.lines[i].expects()) trace += transcript_.lines[i].source + "\n";
    }
    const auto& deeds = host_.deeds();
    if (next_traced_ > 0 && deeds[next_traced_ - 1].bytes.size() > traced_bytes_) {
      Deed rest = deeds[next_traced_ - 1];
      rest.bytes.erase(0, traced_bytes_);
      trace += Describe(rest) + "\n";
    }
    for (; next_traced_ < deeds.size(); ++next_traced_) {
      trace += Describe(deeds[next_traced_]) + "\n";
    }
    if (!deeds.empty()) traced_bytes_ = deeds.back().bytes.size();
  }

  ScriptedHost host_;
  const Transcript& transcript_;
  Cut cut_;
  const PlayOptions& options_;
  std::mt19937_64 random_;
  const Line* line_ = nullptr;
  Captures captures_;
  std::string sent_[2];      // not expected by any line yet
  std::deque<Deed> strict_;  // the same
  size_t next_deed_ = 0;
  size_t next_traced_ = 0;
  size_t traced_bytes_ = 0;   // of the deed before that
  size_t session_deeds_ = 0;  // where this session's deeds begin
  bool opened_ = false;
  std::string why_;
  std::string report_;
};

}  // namespace

std::optional<std::string> PlayTranscript(const rum_module& module, const Transcript& transcript,
                                          Cut cut, const PlayOptions& options) {
  return Player(module, transcript, cut, options).Play();
}

const char* LineBeingPlayed() { return line_being_played; }

}  // namespace rum

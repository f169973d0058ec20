#include "check/player.h"

#include <algorithm>
#include <deque>
#include <random>

#include "check/bytes_text.h"
#include "check/expectation.h"
#include "check/input.h"
#include "check/isolated_run.h"
#include "check/rules.h"
#include "check/scribe.h"

namespace rum {
namespace {

using Line = TranscriptLine;
using Word = TranscriptLine::Word;

constexpr size_t kShownMost = 64;  // bytes in a report of what was sent

class Player {
 public:
  Player(const rum_module& module, const Transcript& transcript, Cut cut,
         const PlayOptions& options)
      : host_(module),
        transcript_(transcript),
        cut_(cut),
        options_(options),
        random_(cut.seed),
        scribe_(host_, [this](std::string_view text) { options_.trace->append(text); }) {}

  std::optional<std::string> Play() {
    bool fine = Start();
    for (size_t i = 0; fine && i < transcript_.lines.size();) {
      line_ = &transcript_.lines[i];
      board().place.Clear();
      board().place.Append(transcript_.file + ":" + std::to_string(line_->number_of_line));
      size_t next = i + 1;
      if (line_->word == Word::kFeed) {
        while (next < transcript_.lines.size() && Continues(transcript_.lines[next])) ++next;
      }
      fine = Step(i, next) && KeepsRules();
      Trace(i, next);
      i = next;
    }
    for (size_t n = 0; fine && n < talks_.size(); ++n) {
      Turn(n);
      fine = Leftovers();
    }
    if (options_.trace) scribe_.WriteDeeds();
    fine = fine && Finish();
    board().place.Clear();
    if (fine) return {};
    return report_;
  }

 private:
  // Writes what was played and what it led to.
  void Trace(size_t i, size_t next) {
    if (!options_.trace) return;
    for (; i < next; ++i) {
      const Line& line = transcript_.lines[i];
      if (line.expects() || line.word == Word::kSession) continue;
      scribe_.WriteInput(host_.selected(), line.source);
    }
    scribe_.WriteDeeds();
  }

  bool Continues(const Line& next) const {
    return next.word == Word::kFeed && next.side == line_->side;
  }

  bool Fail(const std::string& text) {
    int number = line_ ? line_->number_of_line : 1;
    report_ = transcript_.file + ":" + std::to_string(number) + ": " + text + "\n";
    if (line_) report_ += "  in the line: " + line_->source + "\n";
    Collect();
    report_ += "  in this session:\n" + DescribeState();
    const auto& deeds = host_.deeds();
    size_t from = deeds.size() - std::min<size_t>(deeds.size(), 8);
    if (from < deeds.size()) report_ += "  the last that the module did:\n";
    for (size_t i = from; i < deeds.size(); ++i) {
      std::string deed = DescribeDeed(deeds[i]);
      if (deed.size() > 200) deed = deed.substr(0, 197) + "...";
      if (talks_.size() > 1) deed = talks_[deeds[i].session].name + ": " + deed;
      report_ += "    " + deed + "\n";
    }
    return false;
  }

  // What is under way, and what was sent so far.
  std::string DescribeState() const {
    std::string text = DescribeSession(host_);
    for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
      uint64_t size = talk().sent_size[side];
      if (size == 0) continue;
      const std::string& last = talk().sent_last[side];
      text += std::string("    sent to the ") + SideWord(side) +
              " so far: " + std::to_string(size) + " bytes, " +
              (size > last.size() ? "the last: " : "") + WriteBytes(last) + "\n";
    }
    return text;
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
    for (size_t n = 0; n < talks_.size(); ++n) {
      host_.Select(n);
      host_.CloseByRum(RUM_CLOSE_KILLED);
    }
    return KeepsRules();
  }

  bool KeepsRules() {
    auto violations = host_.violations();
    if (violations.empty()) return true;
    std::string all;
    for (const std::string& one : violations) all += "\n  " + WithRule(one);
    return Fail("the module breaks the rules of rum/module.h:" + all);
  }

  Talk& talk() { return talks_[host_.selected()]; }
  const Talk& talk() const { return talks_[host_.selected()]; }

  void Turn(size_t session) { host_.Select(session); }

  // Goes over to the session of that name, which may be a new one.
  bool TurnTo(const std::string& name) {
    Collect();
    size_t n = 0;
    while (n < talks_.size() && talks_[n].name != name) ++n;
    if (n == talks_.size()) {
      talks_.emplace_back(name);
      scribe_.Name(n, name);
    }
    Turn(n);
    return true;
  }

  // Takes over what happened since the last time, in all sessions.
  void Collect() {
    size_t selected = host_.selected();
    for (size_t n = 0; n < talks_.size(); ++n) {
      host_.Select(n);
      for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) Sent(talks_[n], side, host_.TakeSent(side));
    }
    host_.Select(selected);
    const auto& deeds = host_.deeds();
    for (; next_deed_ < deeds.size(); ++next_deed_) {
      const Deed& deed = deeds[next_deed_];
      if (IsStrict(deed.kind)) talks_[deed.session].strict.push_back(deed);
    }
  }

  static void Sent(Talk& talk, uint32_t side, const std::string& bytes) {
    talk.sent[side] += bytes;
    talk.sent_size[side] += bytes.size();
    std::string& last = talk.sent_last[side];
    last += bytes;
    if (last.size() > kShownMost) last.erase(0, last.size() - kShownMost);
  }

  // Everything that happened before an input must have been expected.
  bool Leftovers() {
    Collect();
    for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
      if (talk().sent[side].empty()) continue;
      return Fail("before this, something went to the " + std::string(SideWord(side)) +
                  " that no line expects, " + std::to_string(talk().sent[side].size()) +
                  " bytes:\n" + HexDump(talk().sent[side]));
    }
    if (talk().strict.empty()) return true;
    return Fail("before this, something happened that no line expects: " +
                DescribeDeed(talk().strict.front()));
  }

  bool Open() {
    Collect();
    if (host_.open()) return Fail("a session is open already");
    talk().first_deed = host_.deeds().size();
    talk().opened = true;
    if (line_->word == Word::kOpen && line_->number) {
      return host_.OpenRefused(static_cast<uint32_t>(line_->number)) ||
             Fail("the module has no hook refused_open");
    }
    if (line_->word != Word::kProbe) {
      return host_.Open() || Fail("the session cannot be opened");
    }
    auto user = line_->name.empty() ? std::nullopt : std::optional(line_->name);
    return host_.OpenProbe(line_->text, user) || Fail("the module has no hook probe_open");
  }

  bool Step(size_t i, size_t next) {
    if (line_->word == Word::kSession) return TurnTo(line_->name);
    if (line_->word < Word::kOpen) return Does(PlayWorld(host_, *line_, captures_));
    if (line_->word == Word::kRefusal) return Refuse();
    if (!line_->expects() && !Leftovers()) return false;
    if (line_->word == Word::kOpen || line_->word == Word::kProbe) return Open();
    if (!talk().opened && !Open()) return false;
    if (line_->expects()) return Expect();
    if (line_->word == Word::kFeed) return Feed(i, next);
    if (!host_.open()) return SessionIsOver();
    return Does(PlayEvent(host_, *line_, captures_, options_.wait_millis));
  }

  bool Does(const Status& status) { return status || Fail(status.error().text); }

  bool SessionIsOver() {
    return Fail("the session has ended before (" + CloseReasonName(host_.closed().value_or(0)) +
                ")");
  }

  bool Refuse() {
    if (!Leftovers()) return false;
    Sent(talk(), RUM_CLIENT, host_.Refusal(static_cast<uint32_t>(line_->number)));
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

  // Waits for another thread when a pause is out and the line does not hold yet.
  bool Expect() {
    for (;;) {
      Collect();
      Expectation expectation(host_, talk(), captures_, *line_);
      if (expectation.Holds()) return true;
      if (!host_.paused() || !host_.WaitResumed(options_.wait_millis)) {
        return Fail(expectation.why());
      }
    }
  }

  ScriptedHost host_;
  const Transcript& transcript_;
  Cut cut_;
  const PlayOptions& options_;
  std::mt19937_64 random_;
  Scribe scribe_;
  const Line* line_ = nullptr;
  Captures captures_;
  std::deque<Talk> talks_{Talk("1")};  // by the number of the session
  size_t next_deed_ = 0;
  std::string report_;
};

}  // namespace

std::optional<std::string> PlayTranscript(const rum_module& module, const Transcript& transcript,
                                          Cut cut, const PlayOptions& options) {
  return Player(module, transcript, cut, options).Play();
}

}  // namespace rum

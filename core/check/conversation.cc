#include "check/conversation.h"

#include <algorithm>
#include <utility>

#include "check/bytes_text.h"
#include "check/input.h"
#include "check/module_table.h"
#include "check/transcript_line.h"
#include "limits/verdicts.h"

namespace rum {
namespace {

using Line = TranscriptLine;
using Word = TranscriptLine::Word;

constexpr uint64_t kWaitMillis = 20;       // for resume() from another thread, during the session
constexpr uint64_t kLastWaitMillis = 300;  // the same, before rum ends the session
constexpr int kLastRounds = 64;            // answers and timers after both sides have ended
constexpr size_t kHeardMost = 64 * 1024;
constexpr size_t kSessionsMost = 6;
constexpr const char* kTlsWords[] = {"off", "off", "on", "require", "mirror", "verify"};
constexpr const char* kOutcomes[] = {"ok",      "ok",     "ok",         "ok",          "refused",
                                     "timeout", "failed", "unresolved", "no-resources"};
constexpr const char* kReasons[] = {"LOGIN_TIMEOUT", "IDLE_TIMEOUT", "HALF_CLOSE_TIMEOUT",
                                    "DRAIN",         "KILLED",       "FIRST_BYTE_TIMEOUT",
                                    "NO_RESOURCES",  "BLOCKED"};

}  // namespace

Conversation::Conversation(ScriptedHost& host, const TryMaterial& material, uint64_t seed,
                           uint64_t number, std::function<void(std::string_view)> write)
    : host_(host),
      material_(material),
      number_(number),
      dice_(seed * 0x9e3779b97f4a7c15u + number),
      source_(material.vocabulary, dice_),
      scribing_(write != nullptr),
      scribe_(host, std::move(write)) {
  if (!material.transcripts.empty() && !dice_.OneIn(4)) sample_ = &dice_.Of(material.transcripts);
}

ScriptedHost::Options Conversation::Options() {
  ScriptedHost::Options options = material_.options;
  if (sample_) {
    for (const Line& line : sample_->lines) {
      if (line.word == Word::kOption) options[line.name] = line.text;
    }
  } else if (dice_.OneIn(4)) {
    for (const rum_option& option : ModuleOptions(host_.module())) {
      if (options.contains(option.name) || !dice_.OneIn(3)) continue;
      std::string choices = option.value ? option.value : "";
      if (option.type == RUM_OPTION_FLAG) options[option.name] = "1";
      if (option.type != RUM_OPTION_CHOICE) continue;
      for (size_t skip = dice_.Below(4); skip > 0 && choices.find('|') != choices.npos; --skip) {
        choices.erase(0, choices.find('|') + 1);
      }
      options[option.name] = choices.substr(0, choices.find('|'));
    }
  }
  if (scribing_) {
    for (const auto& [name, text] : options) scribe_.WriteInput(0, "option " + name + " = " + text);
  }
  return options;
}

std::string Conversation::Play() {
  host_.has_map = true;
  host_.Select(0);
  for (size_t n = 0; n < kSessionsMost; ++n) scribe_.Name(n, std::to_string(n + 1));
  SetWorld();
  if (sample_) {
    PlaySample(*sample_);
  } else {
    sessions_ = dice_.OneIn(2) ? 1 : 1 + dice_.Below(kSessionsMost);
    size_t steps = 3 + dice_.Below(std::min<size_t>(60, 4 + number_ / 4));
    while (steps-- > 0 && Fine()) StepAtRandom();
  }
  Finish();
  return wrong_;
}

// -- playing a line -------------------------------------------------------------------------------

bool Conversation::Do(const std::string& text) {
  auto line = ReadTranscriptLine(text);
  return line && Do(*line);
}

bool Conversation::Do(const Line& line) {
  if (scribing_) scribe_.WriteInput(host_.selected(), line.source);
  bool done = true;
  if (line.word < Word::kOpen) {
    done = PlayWorld(host_, line, captures_).ok();
  } else if (line.word == Word::kOpen) {
    done = line.number ? host_.OpenRefused(static_cast<uint32_t>(line.number)) : host_.Open();
  } else if (line.word == Word::kProbe) {
    auto user = line.name.empty() ? std::nullopt : std::optional(line.name);
    done = host_.OpenProbe(line.text, user);
  } else if (line.word == Word::kFeed) {
    auto bytes = RenderPattern(line.pattern, captures_);
    done = bytes && host_.Feed(line.side, *bytes);
  } else if (line.word == Word::kRefusal) {
    host_.Refusal(static_cast<uint32_t>(line.number));
  } else if (host_.open()) {
    done = PlayEvent(host_, line, captures_, kWaitMillis).ok();
  }
  if (scribing_) scribe_.WriteDeeds();
  Listen();
  return done;
}

// Keeps what went to each side, for echoes and captures.
void Conversation::Listen() {
  for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
    std::string& heard = heard_[side][host_.selected()];
    heard += host_.TakeSent(side);
    if (heard.size() > kHeardMost) heard.erase(0, heard.size() - kHeardMost);
  }
}

// -- at random ------------------------------------------------------------------------------------

void Conversation::SetWorld() {
  Do(dice_.OneIn(6) ? "destination none" : "destination tcp:192.0.2.7:1");
  for (const char* side : {"client", "upstream"}) {
    Do(std::string("tls ") + side + " " + dice_.Of(kTlsWords));
  }
  if (dice_.OneIn(4)) Do("tls-peer client name db.test");
  if (dice_.OneIn(4)) Do("tls-peer client alpn other");
  for (const char* side : {"client", "upstream"}) {
    if (dice_.OneIn(4)) Do(std::string("tls-peer ") + side + " end-point none");
    if (dice_.OneIn(4)) Do(std::string("tls-peer ") + side + " certificate 3000");
  }
  Do(dice_.OneIn(8) ? "peer client unix:" : "peer client 192.0.2.1:40112");
  for (const char* word : {"admission ", "confirmation "}) {
    std::string verdict = dice_.OneIn(4) ? std::string(dice_.Of(kAdmissionVerdicts).word) : "ok";
    Do(word + verdict);
  }
  constexpr const char* kTurns[] = {"ok", "ok", "ok", "waits", "blocked"};
  Do(std::string("try-login ") + dice_.Of(kTurns));
  if (!sample_ && dice_.OneIn(10)) Do("map none");
}

void Conversation::StepAtRandom() {
  host_.Select(dice_.Below(sessions_));
  if (host_.open()) {
    StepOfSession();
    return;
  }
  if (dice_.OneIn(12)) Do(std::string("refusal ") + (dice_.OneIn(2) ? "LIMIT" : "NOT_ALLOWED"));
  if (host_.module().refused_open && dice_.OneIn(8)) {
    Do(dice_.OneIn(2) ? "open refused LIMIT" : "open refused BLOCKED");
  } else if (host_.module().probe_open && dice_.OneIn(8)) {
    Do(dice_.OneIn(3) ? "probe user alice" : "probe tcp:192.0.2.3:1");
  } else {
    Do("open");
  }
}

// Half of all steps settle a pending call, so that sessions get far.
bool Conversation::StepOfSession() {
  bool go_on = dice_.OneIn(2);
  if (go_on && SettleSomething()) return true;
  switch (dice_.Below(24)) {
    case 0:
      return Do(dice_.OneIn(2) ? "end client" : "end upstream");
    case 1:
      return Do(dice_.OneIn(2) ? "reset client" : "reset upstream");
    case 2:
      return dice_.OneIn(3) && Do(std::string("close ") + dice_.Of(kReasons));
    case 3: {
      constexpr const char* kTimes[] = {"1ms", "100ms", "1s", "10s"};
      return Do(std::string("advance ") + dice_.Of(kTimes));
    }
    case 4:
      return Do(dice_.OneIn(2) ? "stop-reading client" : "stop-reading upstream");
    case 5:
      return Do(dice_.OneIn(2) ? "start-reading client" : "start-reading upstream");
    case 6:
      host_.Stats();
      return true;
    default:
      Say(host_.connected() && dice_.OneIn(2) ? RUM_UPSTREAM : RUM_CLIENT);
      return true;
  }
}

void Conversation::Say(uint32_t side) {
  std::string bytes = source_.Say(side, heard_[side][host_.selected()]);
  Do(std::string(SideWord(side)) + " > " + WriteBytes(bytes));
}

std::string Conversation::Record() {
  static const std::string kDestinations[] = {"tcp:192.0.2.9:1", "tcp:192.0.2.9:1", "sock:/s", "",
                                              "nowhere",         "tcp:a:1,tcp:b:2"};
  std::string nul(1, '\0');
  switch (dice_.Below(8)) {
    case 0:
      return "";
    case 1:
      return source_.Say(RUM_CLIENT, "");
    case 2:
      return dice_.Of(kDestinations);
    default:
      return std::string(dice_.OneIn(2) ? "" : "secret") + nul + dice_.Of(kDestinations) + nul;
  }
}

void Conversation::AnswerLookup() {
  auto known = map_.find(host_.looking_up().value_or(""));
  if (map_broken_ || dice_.OneIn(12)) {
    Do("answer unavailable");
  } else if (known != map_.end() && !dice_.OneIn(8)) {
    Do("answer found " + WriteBytes(known->second));
  } else if (sample_ ? known == map_.end() && !dice_.OneIn(4) : dice_.OneIn(4)) {
    Do("answer not-found");
  } else {
    std::string record = known != map_.end() ? Mutate(known->second, dice_) : Record();
    Do("answer found " + WriteBytes(record));
  }
}

// Delivers one of the events that the session waits for.
bool Conversation::SettleSomething() {
  if (host_.looking_up()) return AnswerLookup(), true;
  if (host_.can_take_kept() && dice_.OneIn(2)) return Do("connect kept");
  if (host_.connecting()) return Do(std::string("connect ") + dice_.Of(kOutcomes));
  for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
    if (!host_.tls_wanted(side)) continue;
    return Do(std::string("tls ") + SideWord(side) + (dice_.OneIn(5) ? " failed" : " ok"));
  }
  if (host_.paused()) return Do(host_.waits_for_login() ? "turn" : "wait");
  return false;
}

// -- by a sample ----------------------------------------------------------------------------------

void Conversation::PlaySample(const Transcript& transcript) {
  size_t disturbed = dice_.Below(transcript.lines.size() + 1);
  std::map<std::string, size_t> names = {{"1", 0}};
  for (size_t i = 0; i < transcript.lines.size() && Fine(); ++i) {
    const Line& line = transcript.lines[i];
    if (line.word == Word::kSession) {
      size_t n = names.emplace(line.name, names.size()).first->second;
      sessions_ = std::max(sessions_, n + 1);
      host_.Select(n);
      continue;
    }
    if (i >= disturbed && (i == disturbed || dice_.OneIn(8))) Disturb(line);
    if (Fine()) PlayLine(line);
  }
}

void Conversation::PlayLine(const Line& line) {
  if (line.expects()) return TakeCaptures(line);
  if (line.word == Word::kOption) return;
  if (line.word == Word::kMap) {
    auto key = RenderPattern(line.key, captures_);
    auto value = RenderPattern(line.pattern, captures_);
    if (key && value) map_[*key] = *value;
    return;
  }
  if (line.word == Word::kMapBroken) {
    map_broken_ = true;
    return;
  }
  // Input during a pending call deserves a test, but a rare one.
  bool late = dice_.OneIn(6);
  while (!late && host_.looking_up() && line.word != Word::kAnswer && Fine()) AnswerLookup();
  while (!late && host_.paused() && line.word != Word::kTurn && SettleSomething() && Fine()) {
  }
  if (line.word > Word::kOpen && line.word != Word::kProbe && line.word != Word::kRefusal &&
      !host_.closed() && !host_.open()) {
    Do("open");
  }
  if (line.word != Word::kFeed) {
    Do(line);
    return;
  }
  if (auto bytes = RenderPattern(line.pattern, captures_)) FeedPieces(line.side, *bytes);
}

void Conversation::FeedPieces(uint32_t side, const std::string& bytes) {
  std::string_view rest = bytes;
  while (!rest.empty() && Fine()) {
    size_t n = dice_.OneIn(2) ? rest.size() : 1 + dice_.Below(rest.size());
    if (!Do(std::string(SideWord(side)) + " > " + WriteBytes(rest.substr(0, n)))) return;
    rest.remove_prefix(n);
  }
}

// Sends something that the sample does not contain, before or instead of a part of its line.
void Conversation::Disturb(const Line& line) {
  if (!host_.open()) return;
  switch (dice_.Below(9)) {
    case 0:
    case 1: {  // cut within what a side sends, then end of file
      std::string side = SideWord(line.side);
      auto bytes = line.word == Word::kFeed ? RenderPattern(line.pattern, captures_)
                                            : Result<std::string>(std::string());
      if (bytes && !bytes->empty()) {
        FeedPieces(line.side, bytes->substr(0, dice_.Below(bytes->size() + 1)));
      }
      Do((dice_.OneIn(2) ? "end " : "reset ") + side);
      break;
    }
    case 2:
      Do(dice_.OneIn(2) ? "end upstream" : "reset upstream");
      break;
    case 3:
      Do(dice_.OneIn(2) ? "end client" : "reset client");
      break;
    case 4:
      Do(std::string("close ") + dice_.Of(kReasons));
      break;
    case 5:
    case 6: {
      if (line.word != Word::kFeed) break;
      auto bytes = RenderPattern(line.pattern, captures_);
      if (bytes) FeedPieces(line.side, Mutate(*bytes, dice_));
      break;
    }
    default:
      StepOfSession();
  }
}

void Conversation::TakeCaptures(const Line& line) {
  if (line.word != Word::kExpectBytes) return;
  std::string& heard = heard_[line.side][host_.selected()];
  auto verdict = MatchPattern(line.pattern, heard, captures_);
  if (!verdict || verdict->kind != Verdict::Kind::kMatch) return;
  for (const auto& [name, bytes] : verdict->captured) captures_[name] = bytes;
  heard.erase(0, std::min(heard.size(), verdict->size));
}

// -- the end --------------------------------------------------------------------------------------

void Conversation::Finish() {
  for (size_t n = 0; n < sessions_; ++n) {
    if (!Fine()) return;
    host_.Select(n);
    if (!host_.open()) continue;
    if (dice_.OneIn(3)) {
      Do(std::string("close ") + dice_.Of(kReasons));
    } else {
      FinishSession();
    }
  }
}

// Denies every request of the session: it must stop asking. RUM_E_LIMIT bounds its connects.
void Conversation::DenyAll() {
  int lookups = 0;
  while (host_.open() && Fine() && lookups < kLastRounds) {
    if (host_.connecting()) {
      Do("connect refused");
    } else if (host_.looking_up()) {
      ++lookups;
      Do("answer not-found");
    } else {
      return;
    }
  }
  if (lookups < kLastRounds) return;
  wrong_ =
      "looked_up calls lookup() again after each answer, forever (a hook answers what has "
      "happened; it must not call for itself forever)";
}

void Conversation::EndSides() {
  if (host_.open() && !host_.ended(RUM_CLIENT)) Do("end client");
  if (host_.connected() && !host_.ended(RUM_UPSTREAM)) Do("end upstream");
}

// Ends both sides and answers all pending calls: the session must end, too.
void Conversation::FinishSession() {
  int timers = 0;
  for (int rounds = 0; rounds < kLastRounds && Fine(); ++rounds) {
    DenyAll();
    if (!host_.probing()) EndSides();
    if (!host_.open() || !Fine()) return;
    if (host_.connecting() || host_.looking_up()) continue;
    if (host_.paused() && !host_.waits_for_login()) {
      if (!host_.WaitResumed(kLastWaitMillis)) break;
    } else if (!SettleSomething()) {
      auto next = host_.next_timer();
      if (!next) break;
      ++timers;
      Do("advance " + std::to_string(*next) + "ms");
    }
  }
  if (!host_.open() || !Fine()) return;
  if (host_.forgotten()) {
    wrong_ =
        "side_end answered RUM_KEEP for the last side that was there, and nothing is under way: "
        "the "
        "session would wait for its deadline (side_end: RUM_KEEP is for a side that can still be "
        "sent to)";
  } else if (timers > kLastRounds / 2) {
    wrong_ =
        "timeout calls timer() again and again although both sides have ended: the session would "
        "wait for its deadline (side_end: RUM_KEEP is for a side that can still be sent to)";
  } else {
    Do("close IDLE_TIMEOUT");
  }
}

}  // namespace rum

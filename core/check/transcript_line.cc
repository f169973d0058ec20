#include "check/transcript_line.h"

#include <charconv>
#include <utility>

#include "base/address.h"
#include "base/clock.h"
#include "limits/verdicts.h"
#include "rum/module.h"

namespace rum {
namespace {

using Line = TranscriptLine;
using Word = TranscriptLine::Word;

Error Bad(std::string text) { return Error{Fault::kUsage, std::move(text)}; }

bool Blank(char c) { return c == ' ' || c == '\t'; }

struct Choice {
  std::string_view word;
  uint64_t number;
};
constexpr Choice kOutcomes[] = {{"ok", 0},
                                {"refused", RUM_CLOSE_CONNECT_REFUSED},
                                {"timeout", RUM_CLOSE_CONNECT_TIMEOUT},
                                {"failed", RUM_CLOSE_CONNECT_FAILED},
                                {"unresolved", RUM_CLOSE_UNRESOLVED},
                                {"no-resources", RUM_CLOSE_NO_RESOURCES}};
constexpr Choice kLevels[] = {{"error", RUM_LOG_ERROR},
                              {"warning", RUM_LOG_WARNING},
                              {"info", RUM_LOG_INFO},
                              {"debug", RUM_LOG_DEBUG}};
constexpr uint64_t kWaits = 1;
constexpr Choice kTurns[] = {{"ok", 0}, {"waits", kWaits}, {"blocked", RUM_REFUSED_BLOCKED}};
constexpr Choice kAnswers[] = {{"found", 0}, {"not-found", 1}, {"unavailable", 2}};
constexpr uint64_t kTlsFailed = 100, kTlsOk = 101;
constexpr Choice kTlsWords[] = {{"off", RUM_TLS_OFF},         {"on", RUM_TLS_ON},
                                {"require", RUM_TLS_REQUIRE}, {"mirror", RUM_TLS_MIRROR},
                                {"verify", RUM_TLS_VERIFY},   {"ok", kTlsOk},
                                {"failed", kTlsFailed}};

// Parses one line word by word.
class LineReader {
 public:
  explicit LineReader(std::string_view text) : rest_(TrimLine(text)) { line_.source = rest_; }

  Result<Line> Read() {
    Status status = ReadWords();
    if (!status) return status.error();
    return std::move(line_);
  }

 private:
  std::string Next() {
    size_t end = 0;
    while (end < rest_.size() && !Blank(rest_[end])) ++end;
    std::string word(rest_.substr(0, end));
    rest_ = TrimLine(rest_.substr(end));
    return word;
  }

  Status Done() {
    if (rest_.empty()) return Ok();
    return Bad("'" + std::string(rest_) + "' is unexpected");
  }

  Status Just(Word word) {
    line_.word = word;
    return Done();
  }

  Status Side() {
    std::string word = Next();
    if (word != "client" && word != "upstream") {
      return Bad("expected 'client' or 'upstream', not '" + word + "'");
    }
    line_.side = word == "client" ? RUM_CLIENT : RUM_UPSTREAM;
    return Ok();
  }

  Status JustSide(Word word) {
    line_.word = word;
    Status side = Side();
    return side ? Done() : side;
  }

  Status Bytes(bool wildcards) {
    auto pattern = ParsePattern(rest_, wildcards);
    if (!pattern) return pattern.error();
    line_.pattern = std::move(*pattern);
    return Ok();
  }

  Status SomeBytes(bool wildcards) {
    return rest_.empty() ? Status(Bad("the bytes are missing")) : Bytes(wildcards);
  }

  template <size_t N>
  Status OneOf(const Choice (&choices)[N]) {
    std::string word = Next(), all;
    for (const Choice& choice : choices) {
      if (choice.word == word) {
        line_.number = choice.number;
        return Ok();
      }
      all += (all.empty() ? "" : ", ") + std::string(choice.word);
    }
    return Bad("'" + word + "' is not one of " + all);
  }

  Status ReasonWord() {
    std::string word = Next();
    line_.number = CloseReasonByName(word);
    if (line_.number != 0) return Ok();
    return Bad("'" + word + "' is not a reason: write one such as CLIENT_PROTOCOL");
  }

  Status VerdictWord() {
    std::string word = Next(), all = "ok";
    if (word == all) return Ok();
    for (const AdmissionVerdict& verdict : kAdmissionVerdicts) {
      line_.number = static_cast<uint64_t>(verdict.number);
      if (word == verdict.word) return Ok();
      (all += ", ") += verdict.word;
    }
    return Bad("'" + word + "' is not one of " + all);
  }

  Status Duration() {
    auto duration = ParseDuration(Next());
    if (!duration) return duration.error();
    line_.number = static_cast<uint64_t>(duration->count());
    return Done();
  }

  Status Number() {
    std::string word = Next();
    auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), line_.number);
    if (error == std::errc() && end == word.data() + word.size()) return Done();
    return Bad("'" + word + "' is not a number");
  }

  Status KeyAndValue() {
    size_t sign = FindOutside(rest_, '=');
    if (sign == rest_.npos) return Bad("write: KEY = VALUE");
    auto key = ParsePattern(TrimLine(rest_.substr(0, sign)), false);
    if (!key) return key.error();
    if (key->empty()) return Bad("the key is missing");
    line_.key = std::move(*key);
    rest_ = TrimLine(rest_.substr(sign + 1));
    return Bytes(false);
  }

  // "NAME", "NAME=VALUE" or "NAME = VALUE"; the value extends to the end of the line.
  Status NameAndText() {
    size_t sign = rest_.find('=');
    line_.name = TrimLine(rest_.substr(0, sign));
    line_.text = sign == rest_.npos ? "1" : std::string(TrimLine(rest_.substr(sign + 1)));
    if (line_.name.empty() || line_.name.find_first_of(" \t-") == 0 ||
        line_.name.find_first_of(" \t") != line_.name.npos) {
      return Bad("write: option NAME=VALUE, the name without its dashes");
    }
    return Ok();
  }

  Status ReadFeed(const std::string& word) {
    line_.word = Word::kFeed;
    line_.side = word == "client" ? RUM_CLIENT : RUM_UPSTREAM;
    if (Next() != ">") {
      return Bad("write '" + word + " > BYTES' for what it sends, 'expect " + word +
                 " < BYTES' for what it gets");
    }
    return SomeBytes(false);
  }

  Status ReadWords() {
    std::string word = Next();
    if (word == "client" || word == "upstream") return ReadFeed(word);
    if (word == "expect") return ReadExpect();
    if (word == "option") {
      line_.word = Word::kOption;
      return NameAndText();
    }
    if (word == "destination") {
      line_.word = Word::kDestination;
      line_.text = Next();
      if (line_.text == "none") {
        line_.text.clear();
      } else if (auto all = ParseAddresses(line_.text); !all) {
        return all.error();
      }
      return Done();
    }
    if (word == "tls") {
      if (Status side = Side(); !side) return side;
      if (Status choice = OneOf(kTlsWords); !choice) return choice;
      line_.word = line_.number >= kTlsFailed ? Word::kTlsOutcome : Word::kTls;
      if (line_.number >= kTlsFailed) line_.number -= kTlsFailed;
      return Done();
    }
    if (word == "tls-peer") return ReadTlsPeer();
    if (word == "peer") {
      line_.word = Word::kPeer;
      if (Status side = Side(); !side) return side;
      line_.text = Next();
      return line_.text.empty() ? Status(Bad("the address is missing")) : Done();
    }
    if (word == "admission" || word == "confirmation") {
      line_.word = word == "admission" ? Word::kAdmission : Word::kConfirmation;
      Status verdict = VerdictWord();
      return verdict ? Done() : verdict;
    }
    if (word == "session") {
      line_.word = Word::kSession;
      line_.name = Next();
      return line_.name.empty() ? Status(Bad("the name of the session is missing")) : Done();
    }
    if (word == "try-login") {
      line_.word = Word::kTryLogin;
      Status choice = OneOf(kTurns);
      return choice ? Done() : choice;
    }
    if (word == "map") {
      if (rest_ == "broken" || rest_ == "none") {
        line_.word = rest_ == "broken" ? Word::kMapBroken : Word::kMapNone;
        return Ok();
      }
      line_.word = Word::kMap;
      return KeyAndValue();
    }
    if (word == "elsewhere") {
      line_.word = rest_ == "broken" ? Word::kElsewhereBroken : Word::kElsewhere;
      return rest_ == "broken" ? Ok() : KeyAndValue();
    }
    return ReadEvent(word);
  }

  // "tls-peer SIDE alpn|name|version TEXT" or "tls-peer SIDE certificate|end-point BYTES".
  Status ReadTlsPeer() {
    line_.word = Word::kTlsPeer;
    if (Status side = Side(); !side) return side;
    line_.name = Next();
    if (line_.name == "certificate") return Bytes(false);
    if (line_.name == "end-point" && rest_ != "none") return SomeBytes(false);
    line_.text = Next();
    const bool known = line_.name == "alpn" || line_.name == "name" || line_.name == "end-point" ||
                       (line_.name == "version" && (line_.text == "1.2" || line_.text == "1.3"));
    if (known) return Done();
    return Bad("write: tls-peer " + std::string(line_.side == RUM_CLIENT ? "client" : "upstream") +
               " alpn NAME,NAME or name NAME, version 1.2, certificate BYTES, end-point BYTES");
  }

  Status ReadEvent(const std::string& word) {
    if (word == "open") {
      line_.word = Word::kOpen;
      if (rest_.empty()) return Ok();
      if (Next() != "refused") return Bad("write: open, or open refused REASON");
      Status reason = ReasonWord();
      return reason ? Done() : reason;
    }
    if (word == "probe") return ReadProbe();
    if (word == "wait") return Just(Word::kWait);
    if (word == "turn") return Just(Word::kTurn);
    if (word == "end") return JustSide(Word::kEnd);
    if (word == "reset") return JustSide(Word::kReset);
    if (word == "connect") {
      if (rest_ == "kept") {
        line_.word = Word::kTakeKept;
        return Ok();
      }
      line_.word = Word::kConnect;
      Status outcome = OneOf(kOutcomes);
      return outcome ? Done() : outcome;
    }
    if (word == "answer") {
      line_.word = Word::kAnswer;
      if (Status kind = OneOf(kAnswers); !kind) return kind;
      return line_.number == 0 ? Bytes(false) : Done();
    }
    if (word == "stop-reading" || word == "start-reading") {
      line_.number = word == "start-reading";
      return JustSide(Word::kReading);
    }
    if (word == "advance") {
      line_.word = Word::kAdvance;
      return Duration();
    }
    if (word == "close" || word == "refusal") {
      line_.word = word == "close" ? Word::kClose : Word::kRefusal;
      Status reason = ReasonWord();
      return reason ? Done() : reason;
    }
    return Bad("'" + word + "' is not a kind of line: see rum-check --help");
  }

  // "probe ADDRESS", "probe ADDRESS user NAME" or "probe user NAME".
  Status ReadProbe() {
    line_.word = Word::kProbe;
    std::string word = Next();
    if (word != "user") {
      if (auto all = ParseAddresses(word); !all) return all.error();
      line_.text = std::exchange(word, rest_.empty() ? "" : Next());
    }
    if (word == "user") {
      line_.name = Next();
      if (line_.name.empty()) return Bad("the user is missing");
    } else if (!word.empty()) {
      return Bad("write: probe ADDRESS [user NAME], or probe user NAME");
    }
    return Done();
  }

  Status ReadExpect() {
    std::string word = Next();
    if (word == "client" || word == "upstream") {
      line_.word = Word::kExpectBytes;
      line_.side = word == "client" ? RUM_CLIENT : RUM_UPSTREAM;
      if (Next() != "<") return Bad("write 'expect " + word + " < BYTES'");
      return SomeBytes(true);
    }
    if (word == "end") return JustSide(Word::kExpectEnd);
    if (word == "relay") return Just(Word::kExpectRelay);
    if (word == "relay-from") return JustSide(Word::kExpectRelayFrom);
    if (word == "take-back") return JustSide(Word::kExpectTakeBack);
    if (word == "pause") return Just(Word::kExpectPause);
    if (word == "login-failed") return Just(Word::kExpectLoginFailed);
    if (word == "confirm") return Just(Word::kExpectConfirm);
    if (word == "no-login") return Just(Word::kExpectNoLogin);
    if (word == "part") return Just(Word::kExpectPart);
    if (word == "want") return Just(Word::kExpectWant);
    if (word == "renew") return Just(Word::kExpectRenew);
    if (word == "keep") {
      line_.word = Word::kExpectKeep;
      return Duration();
    }
    if (word == "await") {
      line_.word = Word::kExpectAwait;
      if (Status side = Side(); !side) return side;
      return Number();
    }
    if (word == "alpn") {
      line_.word = Word::kExpectAlpn;
      if (Status side = Side(); !side) return side;
      line_.text = Next();
      return Done();
    }
    if (word == "admit") {
      line_.word = Word::kExpectAdmit;
      return Bytes(false);
    }
    if (word == "open") return Just(Word::kExpectOpen);
    if (word == "lookup" || word == "identify") {
      line_.word = word == "lookup" ? Word::kExpectLookup : Word::kExpectIdentify;
      return SomeBytes(true);
    }
    if (word == "connect") {
      line_.word = Word::kExpectConnect;
      return rest_ == "default" ? Ok() : SomeBytes(true);
    }
    if (word == "tls") {
      line_.word = Word::kExpectTls;
      if (Status side = Side(); !side) return side;
      return Bytes(true);
    }
    if (word == "close") {
      line_.word = Word::kExpectClose;
      if (Status reason = ReasonWord(); !reason) return reason;
      line_.name = rest_.empty() ? "" : "text";
      return Bytes(true);
    }
    if (word == "note" || word == "metric") {
      line_.word = word == "note" ? Word::kExpectNote : Word::kExpectMetric;
      line_.name = Next();
      if (Next() != "=") return Bad("write: expect " + word + " NAME = VALUE");
      return word == "note" ? Bytes(true) : Number();
    }
    if (word == "log") {
      line_.word = Word::kExpectLog;
      if (Status level = OneOf(kLevels); !level) return level;
      return SomeBytes(false);
    }
    if (word == "timer") {
      line_.word = Word::kExpectTimer;
      return Duration();
    }
    return Bad("'expect " + word + "' is not a kind of line: see rum-check --help");
  }

  std::string_view rest_;
  Line line_ = {};
};

}  // namespace

size_t FindOutside(std::string_view line, char wanted) {
  bool inside = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (inside && line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      inside = !inside;
    } else if (line[i] == wanted && !inside && (wanted != '#' || i == 0 || Blank(line[i - 1]))) {
      return i;
    }
  }
  return line.npos;
}

std::string_view TrimLine(std::string_view text) {
  while (!text.empty() && Blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && (Blank(text.back()) || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

Result<TranscriptLine> ReadTranscriptLine(std::string_view text) { return LineReader(text).Read(); }

}  // namespace rum

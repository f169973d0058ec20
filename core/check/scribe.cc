#include "check/scribe.h"

#include "check/bytes_text.h"
#include "check/transcript.h"

namespace rum {
namespace {

using Kind = Deed::Kind;

const char* LevelWord(uint64_t level) {
  static constexpr const char* kWords[] = {"error", "warning", "info", "debug"};
  return level < 4 ? kWords[level] : "?";
}

}  // namespace

const char* SideWord(uint32_t side) { return side == RUM_CLIENT ? "client" : "upstream"; }

std::string DescribeDeed(const Deed& deed) {
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
    case Kind::kNoLogin:
      return "expect no-login";
    case Kind::kAwait:
      return std::string("expect await ") + SideWord(deed.side) + " " + std::to_string(deed.number);
    case Kind::kPart:
      return "expect part";
    case Kind::kKeep:
      return "expect keep " + std::to_string(deed.number) + "ms";
    case Kind::kWant:
      return "expect want";
    case Kind::kRenew:
      return "expect renew";
    case Kind::kSetAlpn:
      return std::string("expect alpn ") + SideWord(deed.side) + " " + deed.bytes;
  }
  return "#";
}

std::string DescribeSession(const ScriptedHost& host) {
  std::string text;
  auto add = [&](const std::string& line) { text += "    " + line + "\n"; };
  if (auto reason = host.closed()) add("it has ended: " + CloseReasonName(*reason));
  if (!host.open()) return text.empty() ? "    none is open\n" : text;
  for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
    size_t waiting = host.unconsumed(side).size(), needed = host.needed(side);
    if (waiting == 0 && needed == 0) continue;
    std::string line = std::string("the ") + SideWord(side) + ": " + std::to_string(waiting) +
                       " bytes are not consumed, need() ";
    add(line + (needed ? "waits for " + std::to_string(needed) : "asks for no number"));
  }
  if (auto key = host.looking_up()) add("lookup() of " + WriteBytes(*key) + " has no answer");
  if (auto to = host.connecting()) {
    add("connect() to " + (to->empty() ? "the default destination" : *to) + " has no outcome");
  }
  for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
    if (host.tls_wanted(side))
      add(std::string("start_tls() of the ") + SideWord(side) + " has no outcome");
  }
  if (host.paused()) add("pause() is not ended");
  if (auto next = host.next_timer()) add("a timer is due in " + std::to_string(*next) + "ms");
  if (host.relaying()) add("relay() was called");
  return text.empty() ? "    nothing is under way\n" : text;
}

void Scribe::Name(size_t session, const std::string& name) {
  if (session >= names_.size()) names_.resize(session + 1);
  names_[session] = name;
}

void Scribe::Turn(size_t session) {
  if (session == session_) return;
  session_ = session;
  write_("session " + (session < names_.size() ? names_[session] : "?") + "\n");
}

void Scribe::WriteInput(size_t session, std::string_view line) {
  Turn(session);
  write_(std::string(line) + "\n");
}

// The last deed written may have received more bytes since.
void Scribe::WriteDeeds() {
  const auto& deeds = host_.deeds();
  if (next_ > 0 && deeds[next_ - 1].bytes.size() > last_bytes_) {
    Deed rest = deeds[next_ - 1];
    rest.bytes.erase(0, last_bytes_);
    Turn(rest.session);
    write_(DescribeDeed(rest) + "\n");
  }
  for (; next_ < deeds.size(); ++next_) {
    Turn(deeds[next_].session);
    write_(DescribeDeed(deeds[next_]) + "\n");
  }
  if (!deeds.empty()) last_bytes_ = deeds.back().bytes.size();
}

}  // namespace rum

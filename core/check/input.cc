#include "check/input.h"

#include <algorithm>

namespace rum {
namespace {

using Word = TranscriptLine::Word;

Error Bad(std::string text) { return Error{Fault::kUsage, std::move(text)}; }

Status When(bool done, std::string otherwise) {
  return done ? Ok() : Status(Bad(std::move(otherwise)));
}

Status Answer(ScriptedHost& host, const TranscriptLine& line, const Captures& captures) {
  auto value = RenderPattern(line.pattern, captures);
  if (!value) return value.error();
  constexpr int32_t kStatus[] = {RUM_FOUND, RUM_NOT_FOUND, RUM_E_FAILED};
  return When(host.MapAnswer(kStatus[line.number], *value), "the module has no lookup() under way");
}

Status SetTlsPeer(ScriptedHost::TlsPeer& peer, const TranscriptLine& line,
                  const Captures& captures) {
  auto bytes = RenderPattern(line.pattern, captures);
  if (!bytes) return bytes.error();
  if (line.name == "alpn") {
    peer.alpn.clear();
    for (std::string_view rest = line.text; !rest.empty();) {
      const size_t comma = std::min(rest.find(','), rest.size());
      peer.alpn.emplace_back(rest.substr(0, comma));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  } else if (line.name == "name") {
    peer.server_name = line.text;
  } else if (line.name == "version") {
    peer.version = line.text == "1.2" ? 0x0303 : 0x0304;
  } else if (line.name == "certificate") {
    peer.certificate = *bytes;
  } else {
    peer.end_point = line.text == "none" ? std::nullopt : std::optional(*bytes);
  }
  return Ok();
}

}  // namespace

Status PlayWorld(ScriptedHost& host, const TranscriptLine& line, const Captures& captures) {
  switch (line.word) {
    case Word::kDestination:
      host.default_destination = line.text;
      return Ok();
    case Word::kTls:
      host.tls_mode[line.side] = static_cast<uint32_t>(line.number);
      return Ok();
    case Word::kTlsPeer:
      return SetTlsPeer(host.tls_peer[line.side], line, captures);
    case Word::kPeer:
      host.peer[line.side] = line.text;
      return Ok();
    case Word::kAdmission:
      host.admission = static_cast<int32_t>(line.number);
      return Ok();
    case Word::kConfirmation:
      host.confirmation = static_cast<int32_t>(line.number);
      return Ok();
    case Word::kTryLogin:
      host.blocked = line.number == RUM_REFUSED_BLOCKED;
      host.login_waits = line.number != 0 && !host.blocked;
      return Ok();
    case Word::kMapNone:
      host.has_map = false;
      return Ok();
    case Word::kMapBroken:
      host.BreakMap();
      return Ok();
    case Word::kElsewhereBroken:
      host.BreakElsewhere();
      return Ok();
    case Word::kElsewhere:
    case Word::kMap: {
      auto key = RenderPattern(line.key, captures);
      auto value = RenderPattern(line.pattern, captures);
      if (!key || !value) return (key ? value : key).error();
      if (line.word == Word::kMap) {
        host.AddToMap(*key, *value);
      } else {
        host.AddElsewhere(*key, *value);
      }
      return Ok();
    }
    default:
      return Ok();  // options were read at the start
  }
}

Status PlayEvent(ScriptedHost& host, const TranscriptLine& line, const Captures& captures,
                 uint64_t wait_millis) {
  switch (line.word) {
    case Word::kEnd:
      return When(host.End(line.side), "that side is not connected, or has already ended");
    case Word::kReset:
      return When(host.Reset(line.side), "that side is not connected");
    case Word::kConnect:
      return When(host.ConnectOutcome(static_cast<uint32_t>(line.number)),
                  "the module has no connect() under way");
    case Word::kTakeKept:
      return When(host.TakeKept(),
                  "no kept connection will do for connect(), or want() was not called");
    case Word::kTlsOutcome:
      return When(host.TlsOutcome(line.side, line.number ? RUM_OK : RUM_E_FAILED),
                  "the module has no start_tls() of that side under way");
    case Word::kReading:
      return When((line.number ? host.StartReading(line.side) : host.StopReading(line.side)),
                  "that side is not connected");
    case Word::kAdvance:
      host.Advance(line.number);
      return Ok();
    case Word::kWait:
      return When(
          !host.paused() || host.WaitResumed(wait_millis),
          "the pause was not ended by resume() within " + std::to_string(wait_millis) + " ms");
    case Word::kTurn:
      return When(host.EndLoginWait(), "the module does not wait in try_login()");
    case Word::kClose:
      host.CloseByRum(static_cast<uint32_t>(line.number));
      return Ok();
    case Word::kAnswer:
      return Answer(host, line, captures);
    default:
      return Bad("a line that cannot be played");
  }
}

}  // namespace rum

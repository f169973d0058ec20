// The parsers of a login, and whole logins on the scripted host: the input is what client and
// server send, in pieces. A client must hear whole messages, and nothing may break rum/module.h.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "check/scripted_host.h"
#include "pgsql/message.h"
#include "pgsql/startup.h"

using namespace rum::pgsql;
using rum::ScriptedHost;

namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

void Parse(std::string_view bytes) {
  FirstPacket first = ReadFirst(bytes);
  if (first.kind == FirstPacket::Kind::kStartup) {
    std::string_view packet = bytes.substr(0, first.size);
    ParsedStartup parsed = ParseStartup(packet);
    if (parsed.ok()) {
      Require(!parsed.value.user.empty() && parsed.value.user.size() <= kMaxName, "a user");
      Require(ChangeStartup(packet, {}) == packet, "an unchanged Startup");
      std::string changed = ChangeStartup(packet, {.only_3_0 = true, .application = "x"});
      Require(changed.size() <= kMaxFirst, "the bound of a Startup");
      ParsedStartup again = ParseStartup(changed);
      Require(again.ok() && again.value.user == parsed.value.user, "the same user");
      Require(again.value.database == parsed.value.database, "the same database");
    }
  }
  ParseAuth(bytes);
  ListMechanisms(bytes);
  ParsePassword(bytes);
  ParseError(bytes);
  ParseKeyData(bytes);
}

// What the client hears is single bytes, then messages.
void Listen(ScriptedHost& host, bool messages) {
  std::string heard = host.TakeSent(RUM_CLIENT);
  std::string_view left = heard;
  while (messages && !left.empty()) {
    if (left[0] == 'N' && (left.size() == 1 || ReadFrame(left).kind != Frame::Kind::kWhole)) {
      left.remove_prefix(1);
      continue;
    }
    Frame frame = ReadFrame(left);
    if (left[0] == 'E' && frame.kind != Frame::Kind::kWhole) return;  // of the old protocol
    if (left[0] == 0x15) return;                                      // an alert of TLS
    Require(frame.kind == Frame::Kind::kWhole, "the client hears whole messages");
    left.remove_prefix(frame.size);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Parse(input);
  if (size < 2) return 0;
  ScriptedHost host(rum_module_v1);
  const uint8_t settings = data[0];
  if (settings & 1) host.tls_mode[RUM_UPSTREAM] = RUM_TLS_MIRROR;
  if (settings & 2) host.peer[RUM_UPSTREAM] = "unix:/s";
  if (settings & 4) host.default_destination = "";
  if (!host.Start({{"pgsql-key", (settings & 8) ? "user" : "user@database"}}).ok()) std::abort();
  using namespace std::string_view_literals;
  if (settings & 16) host.AddToMap("alice", std::string("\0tcp:db:5432\0"sv));
  if (settings & 32)
    host.AddToMap("*", std::string("md5900150983cd24fb0d6963f7d28e17f72\0tcp:db:1\0"sv));
  host.Open();
  input.remove_prefix(1);
  // Each piece: whose it is and how long, in one byte.
  while (!input.empty() && host.open() && !host.relaying()) {
    const auto head = static_cast<uint8_t>(input[0]);
    input.remove_prefix(1);
    std::string_view piece = input.substr(0, head >> 1);
    input.remove_prefix(piece.size());
    host.ConnectOutcome(0);
    if (host.tls_wanted(RUM_UPSTREAM)) host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
    host.MapAnswer(RUM_NOT_FOUND);
    host.Feed(head & 1, piece);
    Listen(host, !host.relaying());
  }
  const bool led = !host.relaying();
  if (host.open()) host.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT);
  Listen(host, led);
  for (const std::string& violation : host.violations()) Require(false, violation.c_str());
  return 0;
}

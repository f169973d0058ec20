// A server that means ill, in a login that comes by TLS and goes on without: the input is its
// greeting, its switches, and the RSA key under which it wants the password. Besides crashes it
// finds a client that hears a broken packet, and a password that goes out in the clear.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "check/scripted_host.h"
#include "mysql/capabilities.h"
#include "mysql/handshake.h"
#include "mysql/packet.h"
#include "mysql/reply.h"
#include "mysql/rsa.h"

using namespace rum::mysql;
using rum::ScriptedHost;

namespace {

constexpr char kPassword[] = "the password of the client";

std::string Packet(uint8_t sequence, std::string_view payload) {
  return PacketWriter().WriteText(payload).Finish(sequence);
}

// Cut off the front of the input: a size of two bytes, and as much of what follows.
std::string Take(Bytes* left) {
  if (left->size() < 2) return {};
  size_t size = std::min<size_t>((*left)[0] | (*left)[1] << 8, left->size() - 2);
  std::string text(AsText(left->subspan(2, size)));
  *left = left->subspan(2 + size);
  return text;
}

[[noreturn]] void Fail(const char* why) {
  std::fprintf(stderr, "%s\n", why);
  std::abort();
}

// Both sides' packets are whole and in order, and the server reads no password.
void Listen(ScriptedHost& host, uint8_t (&due)[2]) {
  for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
    std::string bytes = host.TakeSent(side);
    if (side == RUM_UPSTREAM && bytes.find(kPassword) != bytes.npos) Fail("the password is told");
    Bytes left = AsBytes(bytes);
    while (!left.empty()) {
      Frame frame = ReadFrame(left, left.size() > 3 ? left[3] : 0);
      if (frame.kind != Frame::Kind::kWhole) Fail("the module said a broken packet");
      due[side] = static_cast<uint8_t>(frame.sequence + 1);
      left = left.subspan(frame.size);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Bytes left(data, size);
  // The key alone: it must be refused, or encrypt.
  auto cipher = EncryptPassword({data, size}, AsBytes(kPassword), Nonce{});
  if (cipher.ok() && cipher.value.find(kPassword) != std::string::npos) Fail("not encrypted");

  ScriptedHost host(rum_module_v1);
  if (!host.Start({})) std::abort();
  host.default_destination = "";
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  host.tls_mode[RUM_UPSTREAM] = RUM_TLS_OFF;
  uint8_t due[2] = {0, 0};
  host.Open();
  Listen(host, due);
  host.Feed(RUM_CLIENT,
            Packet(1, std::string("\x85\xae\xff\x19\0\0\0\1\xff", 9) + std::string(23, '\0')));
  host.TlsOutcome(RUM_CLIENT, RUM_OK);
  Response response;
  response.capabilities = kProtocol41 | kSecureConnection | kPluginAuth | kConnectWithDb;
  response.user = "alice";
  response.database = "shop";
  response.plugin = std::string(kCachingSha2Plugin);
  host.Feed(RUM_CLIENT, BuildResponse(response, 2));
  if (host.open()) host.ConnectOutcome(0);
  for (int i = 0; i < 16 && !left.empty() && host.open() && !host.relaying() && !host.handed_over();
       ++i) {
    std::string said = Take(&left);
    Listen(host, due);
    host.Feed(RUM_UPSTREAM, Packet(due[RUM_UPSTREAM], said));
    if (!host.open() || host.relaying() || host.handed_over()) break;
    // The client gives its password to who asks for it by TLS.
    std::string heard = host.TakeSent(RUM_CLIENT);
    if (heard.empty()) continue;
    Bytes last = AsBytes(heard);
    while (!last.empty()) {
      Frame frame = ReadFrame(last, last.size() > 3 ? last[3] : 0);
      if (frame.kind != Frame::Kind::kWhole) Fail("the client heard a broken packet");
      due[RUM_CLIENT] = static_cast<uint8_t>(frame.sequence + 1);
      last = last.subspan(frame.size);
    }
    bool wants_all = heard.substr(kHeaderSize) == "\1\4" ||
                     heard.find("sha256_password") != heard.npos ||
                     heard.find("clear") != heard.npos || heard.find("dialog") != heard.npos;
    std::string answer =
        wants_all ? std::string(kPassword, sizeof kPassword) : std::string(32, 'p');
    host.Feed(RUM_CLIENT, Packet(due[RUM_CLIENT], answer));
  }
  bool led = !host.relaying() && !host.handed_over();
  if (host.open()) host.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT);
  if (led) Listen(host, due);
  for (const std::string& violation : host.violations()) Fail(violation.c_str());
  return 0;
}

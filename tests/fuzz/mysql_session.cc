// Whole logins on the scripted host: the input is a play of client, map, server, time and ends.
// Besides crashes it finds what rum/module.h forbids, and a client that hears a broken packet.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "check/scripted_host.h"
#include "mysql/auth.h"
#include "mysql/capabilities.h"
#include "mysql/handshake.h"
#include "mysql/packet.h"
#include "mysql/reply.h"

using namespace rum::mysql;
using rum::ScriptedHost;

namespace {

constexpr size_t kMostSteps = 64;
constexpr char kServerKey[] =
    "\1-----BEGIN PUBLIC KEY-----\n"
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDL2fZ6PzPMKJP9E+DWPSd/Pk1R\n"
    "PN5oIOSb12FelOMm9ALeipmXsSP08MUo25tdHiXom4A29gtCPvuU8AkKVN+ylf9/\n"
    "UrJSMV7etcQE1wUCXRB+oP5btKp8EfufR9o7jGqFYt/tfTPPnaE2awrRA6TNqM7m\n"
    "Duz8L5v3AZf5pDGdLwIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

class Play {
 public:
  explicit Play(Bytes bytes) : left_(bytes) {}
  bool over() const { return left_.empty(); }
  uint8_t Byte() {
    if (left_.empty()) return 0;
    uint8_t byte = left_[0];
    left_ = left_.subspan(1);
    return byte;
  }
  std::string Text() {
    size_t size = Byte();
    if (size >= 250) size = (size - 249) * 16384;  // some that do not fit the first window
    std::string text(size, 'x');
    for (size_t i = 0; i < size && !left_.empty(); ++i) text[i] = static_cast<char>(Byte());
    return text;
  }

 private:
  Bytes left_;
};

std::string Packet(uint8_t sequence, std::string_view payload) {
  return PacketWriter().WriteText(payload).Finish(sequence);
}

// Both peers, who know the protocol when the input lets them.
class World {
 public:
  World(ScriptedHost& host, Play& play) : host_(host), play_(play) {}

  // Plays the first steps of a good login, so that the input begins in the middle of one.
  void Begin(uint8_t steps);
  void Step();
  // The module leads both ways: from the relay on, and behind what is handed over, peers hear each
  // other's own bytes.
  bool Led() const { return !host_.relaying() && !host_.handed_over(); }
  // Reads what the module said. It must be whole packets, in order.
  void Listen();

 private:
  void Say(uint32_t side, std::string_view payload) {
    uint8_t sequence = play_.Byte();
    host_.Feed(side, Packet(sequence < 250 ? due_[side] : sequence, payload));
    ++due_[side];
  }
  void Respond();
  void Greet();
  void Reply();

  ScriptedHost& host_;
  Play& play_;
  uint8_t due_[2] = {0, 0};  // the sequence number that is due, whoever speaks
  Nonce nonce_{};            // of the last nonce that the client heard
};

void World::Listen() {
  for (uint32_t side : {RUM_CLIENT, RUM_UPSTREAM}) {
    std::string bytes = host_.TakeSent(side);
    Bytes left = AsBytes(bytes);
    while (!left.empty()) {
      Frame frame = ReadFrame(left, left.size() > 3 ? left[3] : 0);
      if (frame.kind != Frame::Kind::kWhole) {
        std::fprintf(stderr, "the module said a broken packet\n");
        std::abort();
      }
      left = left.subspan(frame.size);
      due_[side] = static_cast<uint8_t>(frame.sequence + 1);
      if (side == RUM_UPSTREAM) continue;
      auto greeting = ParseGreeting(frame.payload);
      if (greeting.ok()) nonce_ = greeting.value.nonce;
      if (KindOfReply(frame.payload) == ReplyKind::kSwitch && frame.payload.size() == 44) {
        std::copy_n(frame.payload.begin() + 23, nonce_.size(), nonce_.begin());
      }
    }
  }
}

std::string TokenFor(const Nonce& nonce) {
  // SHA1 and SHA1(SHA1) of "secret".
  constexpr Hash kOnce = {0xe5, 0xe9, 0xfa, 0x1b, 0xa3, 0x1e, 0xcd, 0x1a, 0xe8, 0x4f,
                          0x75, 0xca, 0xaa, 0x47, 0x4f, 0x3a, 0x66, 0x3f, 0x05, 0xf4};
  constexpr Hash kTwice = {0x14, 0xe6, 0x55, 0x67, 0xab, 0xdb, 0x51, 0x35, 0xd0, 0xcf,
                           0xd9, 0xa7, 0x0b, 0x30, 0x32, 0xc1, 0x79, 0xa4, 0x9e, 0xe7};
  return std::string(AsText(*MakeToken(kOnce, nonce, kTwice)));
}

void World::Respond() {
  Response response;
  response.capabilities = kProtocol41 | kSecureConnection | uint32_t{play_.Byte()} << 16;
  response.user = play_.Byte() < 200 ? "alice" : play_.Text();
  response.auth = play_.Byte() < 200 ? TokenFor(nonce_) : play_.Text().substr(0, 300);
  response.plugin = play_.Byte() < 200 ? "mysql_native_password" : "another";
  response.attributes = play_.Text();
  Say(RUM_CLIENT, BuildResponse(response, 1).substr(kHeaderSize));
}

void World::Greet() {
  Greeting greeting;
  greeting.version = "8.0.40";
  greeting.capabilities = 0xffff | uint32_t(play_.Byte() ^ 0xff) << 16 | kDeprecateEof;
  if (play_.Byte() > 200) greeting.capabilities &= ~kDeprecateEof;
  greeting.plugin = "mysql_native_password";
  Say(RUM_UPSTREAM, BuildGreeting(greeting).substr(kHeaderSize));
}

void World::Reply() {
  using namespace std::string_literals;
  // The last is a key of 1024 bits, the smallest that is taken.
  const std::string replies[] = {
      "\0\0\0\2\0\0\0"s,
      BuildNativeSwitch(nonce_, 0).substr(kHeaderSize),
      "\xff\x15\x04#28000Access denied",
      "\xff\x10\x04Too many connections",
      "\1\3",
      "\1\4",
      "\xfe",
      "\xfe"
      "client_ed25519\0nonce"s,
      "\xfe"
      "caching_sha2_password\0abcdefghijklmnopqrst\0"s,
      "\xfe"
      "sha256_password\0abcdefghijklmnopqrst\0"s,
      "\2mysql_clear_password\0"s,
      "\0\0\0\2\x40\0\0\3abc\3\0\1\2"s,
      kServerKey,
  };
  Say(RUM_UPSTREAM, replies[play_.Byte() % (sizeof replies / sizeof replies[0])]);
}

void World::Begin(uint8_t steps) {
  using namespace std::string_literals;
  for (uint8_t step = 0; step < steps && Led(); ++step) {
    switch (step) {
      case 0:
        Respond();
        break;
      case 1:
        host_.MapAnswer(RUM_FOUND, "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7\0tcp:db:3306\0"s);
        break;
      case 2:
        host_.ConnectOutcome(0);
        break;
      case 3:
        Greet();
        break;
      case 4:
        Reply();
        break;
    }
    if (Led()) Listen();
  }
}

void World::Step() {
  using namespace std::string_literals;
  uint8_t what = play_.Byte() % 22;
  uint32_t side = what & 1;
  switch (what) {
    case 0:
    case 1:
      host_.Feed(side, play_.Text());
      break;
    case 2:
    case 3:
      Say(side, play_.Text());
      break;
    case 4:
      Respond();
      break;
    case 5:
      Greet();
      break;
    case 6:
      host_.MapAnswer(RUM_FOUND, "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7\0tcp:db:3306\0"s);
      break;
    case 7:
      host_.MapAnswer(static_cast<int8_t>(play_.Byte()) % 8, play_.Text());
      break;
    case 8:
      host_.ConnectOutcome(0);
      break;
    case 9: {
      constexpr uint32_t kOutcomes[] = {RUM_CLOSE_CONNECT_TIMEOUT, RUM_CLOSE_CONNECT_REFUSED,
                                        RUM_CLOSE_CONNECT_FAILED, RUM_CLOSE_UNRESOLVED,
                                        RUM_CLOSE_NO_RESOURCES};
      host_.ConnectOutcome(kOutcomes[play_.Byte() % 5]);
      break;
    }
    case 10:
    case 11:
      host_.End(side);
      break;
    case 12:
    case 13:
      host_.Reset(side);
      break;
    case 14:
      host_.Advance(play_.Byte() * 10);
      break;
    case 15:
      host_.CloseByRum(1 + play_.Byte() % 28);
      break;
    case 16:
      Reply();
      break;
    case 17:
      Say(RUM_CLIENT, TokenFor(nonce_));
      break;
    case 18:
    case 19:
      host_.TlsOutcome(side, play_.Byte() < 200 ? RUM_OK : RUM_E_FAILED);
      break;
    case 20:
      Say(RUM_CLIENT, "\x85\xae\xff\x19\0\0\0\1\xff"s + std::string(23, '\0'));
      break;
    case 21:
      Say(RUM_CLIENT, (play_.Byte() & 1) != 0 ? "\1" : "\2");
      if (host_.paused()) host_.WaitResumed(60'000);
      break;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Play play({data, size});
  constexpr const char* kModes[] = {"auto", "relay", "rewrite"};
  uint8_t settings = play.Byte();
  ScriptedHost host(rum_module_v1);
  if (!host.Start({{"mysql-auth", kModes[settings % 3]},
                   {"mysql-client-attrs", (settings & 8) != 0 ? "on" : "off"},
                   {"mysql-version", (settings & 4) != 0 ? "mysql51" : "mysql80"}})) {
    std::abort();
  }
  if ((settings & 8) == 0) host.default_destination = "";
  if (settings & 16) host.admission = settings % 9;
  uint8_t world_settings = play.Byte();
  constexpr uint32_t kClientTls[] = {RUM_TLS_OFF, RUM_TLS_ON, RUM_TLS_REQUIRE, RUM_TLS_ON};
  constexpr uint32_t kServerTls[] = {RUM_TLS_OFF, RUM_TLS_MIRROR, RUM_TLS_REQUIRE, RUM_TLS_VERIFY};
  host.tls_mode[RUM_CLIENT] = kClientTls[world_settings >> 2 & 3];
  host.tls_mode[RUM_UPSTREAM] = kServerTls[world_settings >> 4 & 3];
  if (world_settings % 4 == 0) host.peer[RUM_UPSTREAM] = "unix";
  host.Open();
  World world(host, play);
  world.Listen();
  world.Begin(settings >> 5);
  for (size_t step = 0; step < kMostSteps && !play.over() && host.open() && world.Led(); ++step) {
    world.Step();
    if (world.Led()) world.Listen();
  }
  const bool led = world.Led();
  while (host.handed_over() && !play.over()) {
    host.Feed(play.Byte() % 2 ? RUM_CLIENT : RUM_UPSTREAM, play.Text());
  }
  if (host.open() && led) {
    host.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT);
    world.Listen();
  }
  for (const std::string& violation : host.violations()) {
    std::fprintf(stderr, "%s\n", violation.c_str());
    std::abort();
  }
  return 0;
}

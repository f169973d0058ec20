// The reader of ClientHellos, and the module on the scripted host.
#include <gtest/gtest.h>
#include <rum/module.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "check/scripted_host.h"
#include "sni/client_hello.h"

namespace rum {
namespace {

using sni::Alert;
using sni::HelloReader;

std::string Number(size_t value, size_t width) {
  std::string out;
  for (size_t i = width; i-- > 0;) out += static_cast<char>(value >> 8 * i);
  return out;
}
std::string Vector(std::string_view content, size_t width) {
  return Number(content.size(), width) + std::string(content);
}
std::string NameExtension(std::string_view name) {
  return Number(0, 2) + Vector(Vector(std::string(1, '\0') + Vector(name, 2), 2), 2);
}
std::string Message(std::string_view extensions, std::string_view version = "\x03\x03") {
  std::string body(version);
  body += std::string(32, 'r') + Vector(std::string(32, 's'), 1) + Vector("\x13\x01", 2) +
          Vector(std::string(1, '\0'), 1) + Vector(extensions, 2);
  return '\x01' + Vector(body, 3);
}
// In records of at most `piece` bytes each.
std::string Records(std::string_view message, size_t piece = 16384,
                    std::string_view version = "\x03\x01") {
  std::string out;
  for (; !message.empty(); message.remove_prefix(std::min(piece, message.size()))) {
    out += '\x16' + std::string(version) + Vector(message.substr(0, piece), 2);
  }
  return out;
}
std::string HelloFor(std::string_view name, size_t piece = 16384) {
  return Records(Message(Number(0x0a0a, 2) + Vector("", 2) + NameExtension(name)), piece);
}

struct Outcome {
  HelloReader::State state;
  std::string name;
  Alert alert;
};
// Read byte by byte; that the same comes of the whole is looked at, too.
Outcome Read(std::string_view bytes) {
  HelloReader whole, pieces;
  HelloReader::State state = HelloReader::State::kNeeds;
  for (size_t i = 0; i <= bytes.size() && state == HelloReader::State::kNeeds; ++i) {
    state = pieces.Read(bytes.substr(0, i));
    EXPECT_TRUE(state != HelloReader::State::kNeeds || pieces.needed() > i) << i;
  }
  EXPECT_EQ(whole.Read(bytes), state);
  EXPECT_EQ(whole.name(), pieces.name());
  if (state == HelloReader::State::kBad) {
    EXPECT_EQ(whole.alert(), pieces.alert());
    EXPECT_STRNE(whole.why(), "");
  }
  return {state, pieces.name(), pieces.alert()};
}

void ExpectName(const std::string& bytes, std::string_view name) {
  Outcome outcome = Read(bytes);
  EXPECT_EQ(outcome.state, HelloReader::State::kWhole);
  EXPECT_EQ(outcome.name, name);
}
void ExpectBad(const std::string& bytes, Alert alert) {
  Outcome outcome = Read(bytes);
  EXPECT_EQ(outcome.state, HelloReader::State::kBad);
  EXPECT_EQ(outcome.alert, alert);
  EXPECT_EQ(outcome.name, "");
}

TEST(ClientHello, IsReadInAnyNumberOfRecords) {
  for (size_t piece : {16384, 100, 4, 3, 1}) {
    SCOPED_TRACE(piece);
    ExpectName(HelloFor("www.example.com", piece), "www.example.com");
  }
  std::string large = Number(21, 2) + Vector(std::string(60000, 'p'), 2);
  ExpectName(Records(Message(large + NameExtension("a.example"))), "a.example");
}

TEST(ClientHello, MayCallItsRecordAnyVersionOfThree) {
  for (std::string_view version : {std::string_view("\x03\x00", 2), std::string_view("\x03\x04"),
                                   std::string_view("\x03\xff")}) {
    ExpectName(Records(Message(NameExtension("a.example")), 16384, version), "a.example");
  }
  ExpectBad(Records(Message(NameExtension("a.example")), 16384, std::string_view("\x02\x00", 2)),
            Alert::kProtocolVersion);
  ExpectBad(Records(Message(NameExtension("a.example"), std::string_view("\x02\x00", 2))),
            Alert::kProtocolVersion);
}

TEST(ClientHello, NamesAreLoweredAndLoseTheirLastDot) {
  ExpectName(HelloFor("WWW.Example.COM."), "www.example.com");
  ExpectName(HelloFor("m\xc3\xbcller.example"), "m\xc3\xbcller.example");
  ExpectName(HelloFor(std::string(255, 'a')), std::string(255, 'a'));
}

TEST(ClientHello, MayHaveNoName) {
  ExpectName(Records(Message("")), "");
  ExpectName(Records(Message(Number(43, 2) + Vector("\x02\x03\x04", 2))), "");
  std::string body = "\x03\x03" + std::string(32, 'r') + std::string(1, '\0') +
                     Vector("\x13\x01", 2) + Vector(std::string(1, '\0'), 1);
  ExpectName(Records('\x01' + Vector(body, 3)), "");  // no extensions at all
}

TEST(ClientHello, WithAnOddNameIsRefused) {
  using namespace std::string_literals;
  for (const std::string& name : {""s, "."s, "a b.example"s, "a\0b.example"s, "a\x7f.example"s,
                                  "a\n.example"s, std::string(256, 'a')}) {
    SCOPED_TRACE(testing::PrintToString(name));
    ExpectBad(HelloFor(name), Alert::kIllegalParameter);
  }
  ExpectBad(Records(Message(NameExtension("a.example") + NameExtension("b.example"))),
            Alert::kIllegalParameter);
  std::string one = std::string(1, '\0') + Vector("a.example", 2);
  ExpectBad(Records(Message(Number(0, 2) + Vector(Vector(one + one, 2), 2))),
            Alert::kIllegalParameter);
}

TEST(ClientHello, WithLengthsThatDoNotFitIsRefused) {
  std::string one = std::string(1, '\0') + Vector("a.example", 2);
  ExpectBad(Records(Message(Number(0, 2) + Vector("", 2))), Alert::kDecodeError);
  ExpectBad(Records(Message(Number(0, 2) + Vector(Vector("", 2), 2))), Alert::kDecodeError);
  ExpectBad(Records(Message(Number(0, 2) + Vector(Vector(one, 2) + "x", 2))), Alert::kDecodeError);
  ExpectBad(Records(Message(Number(0, 2) + Vector(Number(50, 2) + one, 2))), Alert::kDecodeError);
  ExpectBad(Records(Message("\x0a")), Alert::kDecodeError);
  std::string message = Message(NameExtension("a.example"));
  ExpectBad(Records(message.substr(0, 1) + Number(message.size() - 3, 3) + message.substr(4) + "x"),
            Alert::kDecodeError);
  ExpectBad(Records('\x01' + Vector("\x03\x03", 3)), Alert::kDecodeError);
}

TEST(ClientHello, IsNotAnythingElse) {
  ExpectBad("GET / HTTP/1.1\r\n", Alert::kUnexpectedMessage);
  ExpectBad("\x15\x03\x01", Alert::kUnexpectedMessage);
  ExpectBad(Records('\x02' + Vector("abc", 3)), Alert::kUnexpectedMessage);
  ExpectBad(std::string("\x16\x03\x01\x00\x00", 5), Alert::kDecodeError);
  ExpectBad("\x16\x03\x01\x40\x01", Alert::kDecodeError);
  ExpectBad(Records('\x01' + Number(sni::kHelloMost + 1, 3)), Alert::kDecodeError);
}

struct Sni : testing::Test {
  ~Sni() override { EXPECT_EQ(host.violations(), std::vector<std::string>{}); }
  // Where a client with this name is sent.
  std::string WayOf(std::string_view name) {
    if (host.open()) host.CloseByRum(RUM_CLOSE_KILLED);
    EXPECT_TRUE(host.Open());
    host.Feed(RUM_CLIENT, HelloFor(name));
    return host.connecting() ? "to " + *host.connecting() : "refused";
  }
  ScriptedHost host{rum_module_v1};
};

std::string To(std::string_view destination) {
  return std::string(1, '\0') + std::string(destination) + '\0';
}

TEST_F(Sni, FindsTheNameThenTheWildcardsOfItsParentsThenTheDefault) {
  host.AddToMap("a.b.example", To("tcp:exact:1"));
  host.AddToMap("*.b.example", To("tcp:near:1"));
  host.AddToMap("*.example", To("tcp:far:1"));
  EXPECT_EQ(WayOf("A.b.example."), "to tcp:exact:1");
  EXPECT_EQ(WayOf("x.b.example"), "to tcp:near:1");
  EXPECT_EQ(WayOf("y.x.b.example"), "to tcp:near:1");
  EXPECT_EQ(WayOf("b.example"), "to tcp:far:1");
  EXPECT_EQ(WayOf("example"), "to ") << "the default destination";
  EXPECT_EQ(WayOf("other.test"), "to ");
}

TEST_F(Sni, PassesTheHelloAndWhatIsBehindItOnByteForByte) {
  host.AddToMap("a.example", To("tcp:one:1"));
  std::string bytes = HelloFor("A.Example.", 7) + std::string(
                                                      "\x17\x03\x03\x00\x05"
                                                      "early",
                                                      10);
  host.Open();
  for (char c : bytes) host.Feed(RUM_CLIENT, {&c, 1});
  EXPECT_EQ(host.connecting(), "tcp:one:1");
  host.ConnectOutcome(0);
  EXPECT_TRUE(host.relaying());
  EXPECT_EQ(host.TakeSent(RUM_UPSTREAM), bytes);
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "");
  EXPECT_EQ(host.user(), "a.example");
}

std::string AlertOf(Alert alert) {
  return std::string("\x15\x03\x03\x00\x02\x02", 6) + static_cast<char>(alert);
}

TEST_F(Sni, TellsClientsByAFatalAlertWhyTheyAreRefused) {
  host.AddToMap("a.example", To("tcp:one:1"));
  host.default_destination = "";
  EXPECT_EQ(WayOf("b.example"), "refused");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), AlertOf(Alert::kUnrecognizedName));
  EXPECT_EQ(host.closed(), RUM_CLOSE_NO_DESTINATION);
  EXPECT_EQ(host.metric("sni_unknown_names"), 1u);
  host.Open();
  host.Feed(RUM_CLIENT, "GET / HTTP/1.1\r\n");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), AlertOf(Alert::kUnexpectedMessage));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_PROTOCOL);
  EXPECT_FALSE(host.looking_up());
  EXPECT_EQ(WayOf("a.example"), "to tcp:one:1");
  host.ConnectOutcome(RUM_CLOSE_CONNECT_REFUSED);
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), AlertOf(Alert::kInternalError));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CONNECT_REFUSED);
  host.admission = RUM_REFUSED_DISABLED;
  EXPECT_EQ(WayOf("a.example"), "refused");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), AlertOf(Alert::kUnrecognizedName));
  host.admission = RUM_REFUSED_CONNECTIONS;
  EXPECT_EQ(WayOf("a.example"), "refused");
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), AlertOf(Alert::kInternalError));
  host.admission = RUM_OK;
  host.BreakMap();
  EXPECT_EQ(WayOf("a.example"), "refused");
  EXPECT_EQ(host.closed(), RUM_CLOSE_MAP_UNAVAILABLE);
}

}  // namespace
}  // namespace rum

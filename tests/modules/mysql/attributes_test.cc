#include "mysql/attributes.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "mysql/handshake.h"
#include "mysql/packet.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;

std::string Text(std::string_view text) {
  return PacketWriter().WriteLength(text.size()).WriteText(text).Finish(0).substr(kHeaderSize);
}
std::string Pair(std::string_view name, std::string_view value) { return Text(name) + Text(value); }

constexpr ClientFacts kFacts{.ip = "2001:db8::7", .port = "40112", .user = "alice"};
const std::string kOurs = Pair("_client_ip", "2001:db8::7") + Pair("_client_port", "40112") +
                          Pair("_client_user", "alice");
const std::string kUsual = Pair("_client_name", "libmariadb") + Pair("_pid", "17");

TEST(Attributes, PutsTheFactsBeforeTheClientsOwn) {
  EXPECT_EQ(WithClientFacts(kUsual, kFacts), kOurs + kUsual);
  EXPECT_EQ(WithClientFacts("", kFacts), kOurs);
}

TEST(Attributes, LeavesEmptyFactsOut) {
  EXPECT_EQ(WithClientFacts(kUsual, {.ip = "localhost", .port = "", .user = "x"}),
            Pair("_client_ip", "localhost") + Pair("_client_user", "x") + kUsual);
}

TEST(Attributes, AClientCannotTellThemItself) {
  for (const char* name : {"_client_ip", "_client_port", "_client_user", "_CLIENT_IP",
                           "_Client_User", "_client_ip ", "_client_port   "}) {
    std::string all = Pair("a", "b") + Pair(name, "203.0.113.9") + kUsual;
    EXPECT_EQ(WithClientFacts(all, kFacts), kOurs + Pair("a", "b") + kUsual) << name;
    EXPECT_EQ(WithClientFacts(all, {}), Pair("a", "b") + kUsual) << name;
  }
  for (const char* name : {"_client_ipx", "client_ip", "_client_", "", " _client_ip", " "}) {
    std::string all = Pair(name, "203.0.113.9");
    EXPECT_EQ(WithClientFacts(all, kFacts), kOurs + all) << name;
  }
}

TEST(Attributes, WritesEachLengthInItsShortestForm) {
  std::string odd = FromHex("fc0a00") + "_client_ip" + "\1x" + FromHex("fc0100") + "a" +
                    FromHex("fd010000") + "b";
  EXPECT_EQ(WithClientFacts(odd, kFacts), kOurs + Pair("a", "b"));
}

TEST(Attributes, DropsWhatCannotBeRead) {
  for (const std::string& broken : {"\x05"s + "ab", "\1a"s, "\1a\xfb"s, "\1a\x02z"s, "\xff"s}) {
    EXPECT_EQ(WithClientFacts(kUsual + broken, kFacts), kOurs + kUsual);
  }
}

TEST(Attributes, StayWithinWhatServersTake) {
  std::string many;
  while (many.size() + 1010 < kMaxAttributes) many += Pair("name", std::string(1000, 'v'));
  std::string result = WithClientFacts(many, kFacts);
  EXPECT_LE(result.size(), kMaxAttributes);
  EXPECT_TRUE(result.starts_with(kOurs));
  EXPECT_EQ(result.size() % 1008, kOurs.size()) << "only whole pairs";
  std::string one = Pair("name", std::string(kMaxAttributes - 8, 'v'));
  EXPECT_EQ(one.size(), kMaxAttributes);
  EXPECT_EQ(WithClientFacts(one, kFacts), kOurs);
  EXPECT_EQ(WithClientFacts(one, {}), one);
}

TEST(Attributes, SurvivesEveryCutAndChange) {
  auto read = [](Bytes bytes) {
    EXPECT_TRUE(WithClientFacts(AsText(bytes), kFacts).starts_with(kOurs));
  };
  ForEachCut(kUsual, read);
  ForEachChange(kUsual, read);
}

}  // namespace
}  // namespace rum::mysql

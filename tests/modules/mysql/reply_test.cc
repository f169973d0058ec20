#include "mysql/reply.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "mysql/packet.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;

Bytes Payload(const std::string& packet) { return AsBytes(packet).subspan(kHeaderSize); }

TEST(Reply, TellsWhatAServerSaysDuringALogin) {
  struct {
    std::string payload;
    ReplyKind kind;
  } const cases[] = {
      {FromHex("00000002000000"), ReplyKind::kOk},
      {FromHex("ff150423"), ReplyKind::kError},
      {FromHex("ff"), ReplyKind::kError},
      {"\xfe"s + "client_ed25519\0nonce"s, ReplyKind::kSwitch},
      {FromHex("fe"), ReplyKind::kOldSwitch},
      {FromHex("0103"), ReplyKind::kFastAuthOk},
      {FromHex("0104"), ReplyKind::kMore},
      {FromHex("010300"), ReplyKind::kMore},
      {FromHex("01"), ReplyKind::kMore},
      {"\x01-----BEGIN PUBLIC KEY-----", ReplyKind::kMore},
      {"\x02mysql_clear_password\0"s, ReplyKind::kNextFactor},
      {"\x04Password: ", ReplyKind::kMore},
      {"", ReplyKind::kMore},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(KindOfReply(AsBytes(one.payload)), one.kind) << one.payload;
  }
}

TEST(Reply, ReadsAnErrorWithAState) {
  auto error = ParseError(AsBytes("\xff\x15\x04#28000Access denied"));
  ASSERT_TRUE(error.ok());
  EXPECT_EQ(error.value.code, 1045);
  EXPECT_EQ(error.value.state, "28000");
  EXPECT_EQ(error.value.text, "Access denied");
}

TEST(Reply, ReadsAnErrorInPlaceOfAGreeting) {
  auto error = ParseError(AsBytes("\xff\x10\x04Too many connections"));
  ASSERT_TRUE(error.ok());
  EXPECT_EQ(error.value.code, 1040);
  EXPECT_EQ(error.value.state, "");
  EXPECT_EQ(error.value.text, "Too many connections");
}

TEST(Reply, RefusesAnErrorThatIsCutShort) {
  EXPECT_FALSE(ParseError(AsBytes("\xff\x15")).ok());
  EXPECT_FALSE(ParseError(AsBytes("")).ok());
  EXPECT_FALSE(ParseError(AsBytes("\xfe\x15\x04")).ok());
  EXPECT_TRUE(ParseError(AsBytes("\xff\x15\x04")).ok());
  auto no_text = ParseError(AsBytes("\xff\x15\x04#2800"));
  ASSERT_TRUE(no_text.ok());
  EXPECT_EQ(no_text.value.text, "#2800");
}

TEST(Reply, WritesErrorsAsTheServersDo) {
  EXPECT_EQ(BuildError({1043, "08S01", "Bad handshake"}, 2),
            "\x16\x00\x00\x02\xff\x13\x04#08S01Bad handshake"s);
  EXPECT_EQ(BuildError({1040, "", "Too many connections"}, 0),
            "\x17\x00\x00\x00\xff\x10\x04Too many connections"s);
}

TEST(Reply, KnowsTheStatesOfErrorsThatComeWithoutOne) {
  EXPECT_EQ(StateOfError(1040), "08004");
  EXPECT_EQ(StateOfError(1129), "HY000");
  EXPECT_EQ(StateOfError(1045), "28000");
}

TEST(Reply, WritesTheSwitchInItsExactBytes) {
  Nonce nonce;
  nonce.fill('n');
  EXPECT_EQ(BuildNativeSwitch(nonce, 2),
            FromHex("2c000002fe") + "mysql_native_password\0"s + std::string(20, 'n') + "\0"s);
}

TEST(Reply, ReadsWhichPluginIsAskedForAndWhatItIsTold) {
  const std::string change =
      "\xfe"
      "client_ed25519\0abc\0d"s;
  auto request = ParsePluginRequest(AsBytes(change));
  EXPECT_EQ(request.value.plugin, "client_ed25519");
  EXPECT_EQ(AsText(request.value.data), "abc\0d"s);
  const std::string factor = "\x02mysql_clear_password\0"s;
  request = ParsePluginRequest(AsBytes(factor));
  EXPECT_EQ(request.value.plugin, "mysql_clear_password");
  EXPECT_TRUE(request.value.data.empty());
  const std::string short_one =
      "\xfe"
      "dialog";
  EXPECT_EQ(ParsePluginRequest(AsBytes(short_one)).value.plugin, "dialog");
  for (const std::string& wrong : {"\xfe"s, "\xfe\0abc"s, "\x02"s, "\x01\x61\0"s, ""s}) {
    EXPECT_FALSE(ParsePluginRequest(AsBytes(wrong)).ok());
  }
  std::string own = BuildNativeSwitch(Nonce{}, 2);
  EXPECT_EQ(ParsePluginRequest(Payload(own)).value.plugin, kNativePlugin);
}

TEST(Reply, SurvivesEveryCutAndChange) {
  auto read = [](Bytes bytes) {
    KindOfReply(bytes);
    auto error = ParseError(bytes);
    if (error.ok()) {
      EXPECT_TRUE(error.value.state.empty() || error.value.state.size() == 5);
    }
    ParsePluginRequest(bytes);
  };
  for (const std::string& payload : {"\xff\x15\x04#28000Access denied"s,
                                     "\xfe"
                                     "plugin\0nonce\0"s}) {
    ForEachCut(payload, read);
    ForEachChange(payload, read);
  }
}

}  // namespace
}  // namespace rum::mysql

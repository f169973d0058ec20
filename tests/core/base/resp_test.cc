#include "base/resp.h"

#include <gtest/gtest.h>

#include <string>

namespace rum {
namespace {

using Type = RespReply::Type;

RespReply Done(const std::string& bytes) {
  RespReply reply;
  size_t used = 0;
  EXPECT_EQ(ReadResp(bytes, &used, &reply), RespRead::kDone) << bytes;
  EXPECT_EQ(used, bytes.size()) << bytes;
  return reply;
}

RespRead Read(const std::string& bytes) {
  RespReply reply;
  size_t used = 0;
  return ReadResp(bytes, &used, &reply);
}

TEST(Resp, ReadsEachKindOfReply) {
  EXPECT_TRUE(Done("+OK\r\n").is("OK"));
  EXPECT_EQ(Done("-ERR no\r\n").text, "ERR no");
  EXPECT_EQ(Done("-ERR no\r\n").type, Type::kError);
  EXPECT_EQ(Done(":-12\r\n").number, -12);
  EXPECT_EQ(Done("#t\r\n").number, 1);
  EXPECT_EQ(Done("$3\r\na\r\n\r\n").text, "a\r\n");
  EXPECT_EQ(Done("$0\r\n\r\n").type, Type::kText);
  EXPECT_EQ(Done("!3\r\nERR\r\n").type, Type::kError);
  EXPECT_EQ(Done("=7\r\ntxt:abc\r\n").text, "txt:abc");
  for (const char* nil : {"$-1\r\n", "*-1\r\n", "_\r\n"}) EXPECT_EQ(Done(nil).type, Type::kNil);
  EXPECT_EQ(Done("*2\r\n+a\r\n*1\r\n:1\r\n").items[1].items[0].number, 1);
  EXPECT_EQ(Done("%1\r\n+a\r\n+b\r\n").items.size(), 2u);
  EXPECT_EQ(Done(">2\r\n+invalidate\r\n_\r\n").type, Type::kPush);
}

TEST(Resp, LeavesWhatComesBehindAReply) {
  RespReply reply;
  size_t used = 0;
  ASSERT_EQ(ReadResp("+a\r\n+b\r\n", &used, &reply), RespRead::kDone);
  EXPECT_EQ(used, 4u);
}

TEST(Resp, AwaitsTheRestOfAReplyAtEachByte) {
  const std::string whole = "*3\r\n$5\r\nhello\r\n:1\r\n%1\r\n+a\r\n_\r\n";
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(Read(whole.substr(0, i)), RespRead::kMore);
  Done(whole);
}

TEST(Resp, RefusesWhatIsNoReply) {
  for (const char* bytes :
       {"HTTP/1.1 200 OK\r\n", "\r\n", "+a\n", "$\r\n", "$x\r\n", "$-2\r\n", ":\r\n", ":1x\r\n",
        "*-2\r\n", "$1\r\nabc", "#x\r\n", "_x\r\n", "*1\r\n>1\r\n+a\r\n", "\n"}) {
    EXPECT_EQ(Read(bytes), RespRead::kBroken) << bytes;
  }
}

TEST(Resp, RefusesSizesBeforeTheirBytesCome) {
  EXPECT_EQ(Read("$65537\r\n"), RespRead::kBroken);
  EXPECT_EQ(Read("$65536\r\n"), RespRead::kMore);
  EXPECT_EQ(Read("$99999999999999999999\r\n"), RespRead::kBroken);
  EXPECT_EQ(Read("*1025\r\n"), RespRead::kBroken);
  EXPECT_EQ(Read("+" + std::string(kRespLineMost + 2, 'x')), RespRead::kBroken);
  std::string nested, wide = "*1024\r\n";
  for (int i = 0; i < 7; ++i) nested += "*1\r\n";
  EXPECT_EQ(Read(nested + ":1\r\n"), RespRead::kBroken);
  for (int i = 0; i < 1024; ++i) wide += ":1\r\n";
  EXPECT_EQ(Read(wide), RespRead::kBroken);  // with the array itself, one too many
  std::string large = "*10\r\n";
  for (int i = 0; i < 5; ++i) large += "$60000\r\n" + std::string(60000, 'x') + "\r\n";
  EXPECT_EQ(Read(large), RespRead::kBroken);
}

TEST(Resp, WritesCommandsWhoseWordsHaveAnyBytes) {
  std::string out;
  AppendResp(out, {"GET", std::string_view("a\r\n\0b", 5)});
  EXPECT_EQ(out, std::string("*2\r\n$3\r\nGET\r\n$5\r\na\r\n\0b\r\n", 24));
}

}  // namespace
}  // namespace rum

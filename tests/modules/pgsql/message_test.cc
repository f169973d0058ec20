// Messages of a login: framing, what servers ask, errors and keys.
#include "pgsql/message.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "pgsql/wire.h"

namespace rum::pgsql {
namespace {

using namespace std::string_literals;

TEST(MessageFrame, WaitsForItsLengthAndItsEnd) {
  const std::string message = BuildMessage('R', "body");
  for (size_t i = 0; i < message.size(); ++i) {
    Frame frame = ReadFrame(std::string_view(message).substr(0, i));
    EXPECT_EQ(frame.kind, Frame::Kind::kPartial);
    EXPECT_EQ(frame.size, i < kHeaderSize ? kHeaderSize : message.size());
  }
  Frame frame = ReadFrame(message + "more");
  EXPECT_EQ(frame.kind, Frame::Kind::kWhole);
  EXPECT_EQ(frame.size, message.size());
  EXPECT_EQ((Message{message}).type(), 'R');
  EXPECT_EQ((Message{message}).body(), "body");
}

TEST(MessageFrame, IsBadBeyondItsBounds) {
  EXPECT_EQ(ReadFrame("p" + U32(3)).kind, Frame::Kind::kBad);
  EXPECT_EQ(ReadFrame("p" + U32(4)).kind, Frame::Kind::kWhole);
  EXPECT_EQ(ReadFrame("p" + U32(kMaxMessage - 1)).kind, Frame::Kind::kPartial);
  EXPECT_EQ(ReadFrame("p" + U32(kMaxMessage)).kind, Frame::Kind::kBad);
  EXPECT_EQ(ReadFrame("p" + U32(UINT32_MAX)).kind, Frame::Kind::kBad);
}

TEST(AuthenticationRequest, IsOneThatIsKnownAndWellFormed) {
  for (uint32_t kind = 0; kind < 20; ++kind) {
    const bool known = kind == 0 || kind == 3 || (kind >= 7 && kind <= 12);
    EXPECT_EQ(ParseAuth(U32(kind)).has_value(), known) << kind;
  }
  EXPECT_TRUE(ParseAuth(U32(5) + "salt"));
  EXPECT_FALSE(ParseAuth(U32(5) + "sal"));
  EXPECT_FALSE(ParseAuth(U32(0) + "x"));
  EXPECT_FALSE(ParseAuth(""));
  EXPECT_EQ(ParseAuth(U32(11) + "r=x")->data, "r=x");
}

TEST(MechanismList, EndsWithAnEmptyName) {
  const std::string list = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s;
  auto names = ListMechanisms(list);
  ASSERT_TRUE(names);
  EXPECT_EQ(*names, (std::vector<std::string_view>{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}));
  EXPECT_EQ(BuildMechanisms(*names),
            BuildMessage('R', U32(10) + "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s));
  EXPECT_FALSE(ListMechanisms(""));
  EXPECT_FALSE(ListMechanisms("SCRAM-SHA-256"));
  EXPECT_FALSE(ListMechanisms("SCRAM-SHA-256\0"s));
  EXPECT_FALSE(ListMechanisms("A\0\0B"s));
  std::string many;
  for (int i = 0; i < 100; ++i) many += "M\0"s;
  EXPECT_FALSE(ListMechanisms(many + "\0"s));
}

TEST(PasswordMessage, IsOneTextWithItsEnd) {
  EXPECT_EQ(ParsePassword("secret\0"s), "secret");
  EXPECT_EQ(ParsePassword("\0"s), "");
  EXPECT_FALSE(ParsePassword("secret"));
  EXPECT_FALSE(ParsePassword("secret\0x"s));
  EXPECT_FALSE(ParsePassword(""));
}

TEST(ErrorResponse, IsReadAsItIsWritten) {
  const std::string message = BuildError("57P03", "later");
  auto error = ParseError(Message{message}.body());
  ASSERT_TRUE(error);
  EXPECT_EQ(error->sqlstate, "57P03");
  EXPECT_EQ(error->text, "later");
  EXPECT_NE(message.find("SFATAL\0VFATAL\0"s), std::string::npos);
}

TEST(ErrorResponse, MayLackFieldsButNotItsEnd) {
  EXPECT_TRUE(ParseError("\0"s));
  EXPECT_TRUE(ParseError("SFATAL\0C28000\0Mno\0\0"s));
  EXPECT_FALSE(ParseError(""));
  EXPECT_FALSE(ParseError("C28000\0"s));
  EXPECT_FALSE(ParseError("C28000"));
  EXPECT_FALSE(ParseError("C28000\0\0x"s));
}

TEST(OldError, HasNoLength) { EXPECT_EQ(BuildOldError("too old"), "Etoo old\0"s); }

TEST(BackendKey, HasAKeyOf4To256Bytes) {
  for (size_t size : {0, 4, 7, 8, 36, 260, 261}) {
    EXPECT_EQ(ParseKeyData(std::string(size, 'k')).has_value(), size >= 8 && size <= 260) << size;
  }
}

TEST(Negotiation, NamesTheWholeVersion) {
  EXPECT_EQ(BuildNegotiation(0x30000, {}), BuildMessage('v', U32(0x30000) + U32(0)));
  EXPECT_EQ(BuildNegotiation(0x30000, {"_pq_.a", "_pq_.b"}),
            BuildMessage('v', U32(0x30000) + U32(2) + "_pq_.a\0_pq_.b\0"s));
}

}  // namespace
}  // namespace rum::pgsql

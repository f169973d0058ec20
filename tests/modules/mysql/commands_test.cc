// Where commands begin in what a client sends, the forms of KILL, and COM_CHANGE_USER.
#include "mysql/commands.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bytes.h"
#include "mysql/capabilities.h"
#include "mysql/packet.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;
using Kind = ClientPacket::Kind;

std::string Header(size_t length, uint8_t sequence) { return BuildHeader(length, sequence); }

// Says for packets, given as (sequence, length), which of them are read as commands. Each is made
// to look like a COM_CHANGE_USER or, when that does not fit, like one that is too long.
std::vector<int> Commands(const std::vector<std::pair<uint8_t, size_t>>& packets) {
  CommandReader reader;
  std::vector<int> commands;
  int number = 0;
  for (auto [sequence, length] : packets) {
    std::string bytes = Header(length, sequence);
    bytes.append(std::min<size_t>(length, 200), '\x11');
    ClientPacket packet = reader.Next(AsBytes(bytes));
    EXPECT_NE(packet.kind, Kind::kPartial);
    EXPECT_EQ(packet.size, kHeaderSize + length);
    if (packet.kind == Kind::kChangeUser || packet.kind == Kind::kTooLong) {
      commands.push_back(number);
    }
    ++number;
  }
  return commands;
}

constexpr size_t kFull = 0xffffff;

TEST(Commands, BeginWithSequenceZero) {
  EXPECT_EQ(Commands({{0, 5}, {0, 5}, {1, 5}, {0, 5}, {200, 5}}), (std::vector<int>{0, 1, 3}));
}

TEST(Commands, APacketOfSixteenMegabytesIsContinuedWhateverTheNumber) {
  EXPECT_EQ(Commands({{0, kFull}, {1, 7}, {0, 5}}), (std::vector<int>{0, 2}));
  EXPECT_EQ(Commands({{0, kFull}, {0, 7}, {0, 5}}), (std::vector<int>{0, 2}));
  // The empty packet that ends one is not the one that ends data.
  EXPECT_EQ(Commands({{0, kFull}, {1, kFull}, {2, 0}, {0, 5}}), (std::vector<int>{0, 3}));
}

// LOAD DATA LOCAL: the server's question has number 1, so the data begin with 2.
TEST(Commands, DataWhoseNumbersWrapAreNone) {
  std::vector<std::pair<uint8_t, size_t>> packets = {{0, 5}};
  for (int n = 2; n < 1000; ++n) packets.push_back({static_cast<uint8_t>(n), 5});
  packets.push_back({static_cast<uint8_t>(1000), 0});
  packets.push_back({0, 5});
  EXPECT_EQ(Commands(packets), (std::vector<int>{0, 1000}));
}

TEST(Commands, TheEmptyPacketEndsDataAtEveryNumber) {
  for (int last = 2; last < 600; ++last) {
    std::vector<std::pair<uint8_t, size_t>> packets = {{0, 5}};
    for (int n = 2; n < last; ++n) packets.push_back({static_cast<uint8_t>(n), 5});
    packets.push_back({static_cast<uint8_t>(last), 0});
    packets.push_back({0, 5});
    packets.push_back({0, 5});
    EXPECT_EQ(Commands(packets), (std::vector<int>{0, last, last + 1})) << last;
  }
}

TEST(Commands, DataPacketsOfSixteenMegabytesThatWrapAreNone) {
  // 254 is the first half of one packet of data, 255 the second; 0 is data, and ends it.
  EXPECT_EQ(Commands({{0, 5}, {254, kFull}, {255, 3}, {0, 5}, {1, 0}, {0, 5}}),
            (std::vector<int>{0, 5}));
  // The same, where the second half is empty, which ends the packet and not the data.
  EXPECT_EQ(Commands({{0, 5}, {254, kFull}, {255, 0}, {0, 5}, {1, 0}, {0, 5}}),
            (std::vector<int>{0, 5}));
  // And where it has number 0 itself.
  EXPECT_EQ(Commands({{0, 5}, {255, kFull}, {0, 0}, {1, 5}, {2, 0}, {0, 5}}),
            (std::vector<int>{0, 5}));
}

TEST(Commands, ACommandOfManyPacketsDoesNotHideTheNext) {
  std::vector<std::pair<uint8_t, size_t>> packets;
  for (int n = 0; n < 255; ++n) packets.push_back({static_cast<uint8_t>(n), kFull});
  packets.push_back({255, 9});
  packets.push_back({0, 5});
  EXPECT_EQ(Commands(packets), (std::vector<int>{0, 256}));
}

TEST(Commands, AnEmptyPacketIsNoCommandThatMatters) {
  EXPECT_EQ(Commands({{0, 0}, {0, 5}}), (std::vector<int>{1}));
}

TEST(Commands, AreToldWithAsLittleAsIsNeeded) {
  auto first = [](std::string_view bytes) {
    CommandReader reader;
    return reader.Next(Exact(bytes).get());
  };
  EXPECT_EQ(first("").size, 4u);
  EXPECT_EQ(first("\x05\0\0"s).size, 4u);
  EXPECT_EQ(first("\x05\0\0\0"s).kind, Kind::kPartial);
  EXPECT_EQ(first("\x05\0\0\0"s).size, 5u);
  // A prepared statement, a long query: passed on before they are there.
  EXPECT_EQ(first("\x05\0\0\0\x17"s).kind, Kind::kOpaque);
  EXPECT_EQ(first("\0\1\0\0\x03"s).kind, Kind::kOpaque);
  EXPECT_EQ(first("\0\1\0\0\x03"s).size, 260u);
  // A short query is waited for.
  EXPECT_EQ(first("\x05\0\0\0\x03"s).kind, Kind::kPartial);
  EXPECT_EQ(first("\x05\0\0\0\x03"s).size, 9u);
  EXPECT_EQ(first("\x05\0\0\0\x03KILL"s).kind, Kind::kMayKill);
  EXPECT_EQ(first("\xff\xff\xff\0\x11"s).kind, Kind::kTooLong);
}

TEST(Commands, ReadTheSameWhateverTheCuts) {
  std::string bytes = PacketWriter().WriteText("\x03KILL 5").Finish(0);
  CommandReader reader;
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(reader.Next(AsBytes(bytes.substr(0, size))).kind, Kind::kPartial);
  }
  EXPECT_EQ(reader.Next(AsBytes(bytes)).kind, Kind::kMayKill);
}

std::string Killed(const std::string& payload) {
  Exact exact(payload);
  auto kill = FindKill(exact.get());
  if (!kill) return "no";
  std::string packet = BuildKill(exact.get(), *kill, 7);
  EXPECT_EQ(ReadFrame(AsBytes(packet), 0).kind, Frame::Kind::kWhole);
  return std::to_string(kill->id) + " " + packet.substr(kHeaderSize);
}

TEST(KillText, IsReadAsClientsWriteIt) {
  EXPECT_EQ(Killed("\x03KILL 1073741825"), "1073741825 \x03KILL 7");
  EXPECT_EQ(Killed("\x03KILL QUERY 1073741825"), "1073741825 \x03KILL QUERY 7");
  EXPECT_EQ(Killed("\x03KILL CONNECTION 5"), "5 \x03KILL CONNECTION 7");
  EXPECT_EQ(Killed("\x03\0\1KILL QUERY 5"s), "5 \x03\0\1KILL QUERY 7"s);
  EXPECT_EQ(Killed("\x03kill hard query  5 ; "), "5 \x03kill hard query  7 ; ");
  EXPECT_EQ(Killed("\x03\n Kill\tSoft\nConnection 4294967295;"),
            "4294967295 \x03\n Kill\tSoft\nConnection 7;");
  EXPECT_EQ(Killed("\x0c\x01\0\0\x40"s), "1073741825 \x0c\7\0\0\0"s);
}

TEST(KillText, IsNothingElse) {
  for (const char* text : {"KILL",
                           "KILL ",
                           "KILL QUERY",
                           "KILL QUERY ",
                           "KILL QUERY ID 5",
                           "KILL USER a",
                           "KILL5",
                           "KILL 5 6",
                           "KILL 5;;",
                           "KILL 5; DROP TABLE t",
                           "KILL -5",
                           "KILL +5",
                           "KILL 4294967296",
                           "KILL 99999999999999999999",
                           "KILL 5.0",
                           "KILL '5'",
                           "KILL (5)",
                           "KILL QUERY QUERY 5",
                           "SELECT 5",
                           "KILLS 5",
                           "",
                           " ",
                           "K\tLL 5",
                           "KILL 0x5"}) {
    EXPECT_EQ(Killed("\x03" + std::string(text)), "no") << text;
  }
  EXPECT_EQ(Killed(""), "no");
  EXPECT_EQ(Killed("\x0c\1\0\0"s), "no");
  EXPECT_EQ(Killed("\x0c\1\0\0\0\0"s), "no");
  EXPECT_EQ(Killed("\x16KILL 5"), "no");
  EXPECT_EQ(Killed("\x03\0\1"s), "no");
}

constexpr uint32_t kFull41 = kProtocol41 | kSecureConnection | kPluginAuth | kConnectAttributes;

TEST(ChangeUserPacket, IsReadAndWrittenWithAllItsFields) {
  std::string payload = "\x11" + "bob\0\x14"s + std::string(20, 't') + "db\0\x2d\0plug\0\4\1a\1b"s;
  auto change = ParseChangeUser(Exact(payload).get(), kFull41);
  ASSERT_TRUE(change.ok()) << change.why;
  EXPECT_EQ(change.value.user, "bob");
  EXPECT_EQ(change.value.auth, std::string(20, 't'));
  EXPECT_EQ(change.value.database, "db");
  EXPECT_EQ(change.value.charset, 45);
  EXPECT_EQ(change.value.plugin, "plug");
  EXPECT_EQ(change.value.attributes, "\1a\1b");
  EXPECT_EQ(BuildChangeUser(change.value, kFull41), PacketWriter().WriteText(payload).Finish(0));
  // What the server has not is left out.
  EXPECT_EQ(BuildChangeUser(change.value, kProtocol41 | kSecureConnection),
            PacketWriter().WriteText(payload.substr(0, payload.size() - 10)).Finish(0));
}

TEST(ChangeUserPacket, MayEndAfterTheDatabase) {
  for (const std::string& payload : {"\x11"
                                     "bob\0\0db\0"s,
                                     "\x11"
                                     "bob\0\0db"s}) {
    auto change = ParseChangeUser(Exact(payload).get(), kFull41);
    ASSERT_TRUE(change.ok()) << change.why;
    EXPECT_EQ(change.value.database, "db");
    EXPECT_EQ(change.value.charset, std::nullopt);
    EXPECT_EQ(BuildChangeUser(change.value, kFull41), PacketWriter()
                                                          .WriteText("\x11"
                                                                     "bob\0\0db\0"s)
                                                          .Finish(0));
  }
}

TEST(ChangeUserPacket, BadOnesAreRefusedAndNeverReadBeyond) {
  for (const std::string& payload : {""s, "\x03"s, "\x11"s,
                                     "\x11"
                                     "bob"s,
                                     "\x11"
                                     "bob\0"s,
                                     "\x11"
                                     "bob\0\x05"
                                     "abc"s,
                                     "\x11"
                                     "bob\0\0db\0\x2d"s,
                                     "\x11"
                                     "bob\0\0db\0\x2d\0p\0\x05"
                                     "abc"s,
                                     "\x11"
                                     "bob\0\0db\0\x2d\0p\0\xff"s}) {
    EXPECT_FALSE(ParseChangeUser(Exact(payload).get(), kFull41).ok()) << payload.size();
  }
  std::string good = "\x11" + "bob\0\x14"s + std::string(20, 't') + "db\0\x2d\0plug\0\4\1a\1b"s;
  ForEachCut(good, [](Bytes bytes) { ParseChangeUser(bytes, kFull41); });
  ForEachChange(good, [](Bytes bytes) { ParseChangeUser(bytes, kFull41); });
}

}  // namespace
}  // namespace rum::mysql

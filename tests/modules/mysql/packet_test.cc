#include "mysql/packet.h"

#include <gtest/gtest.h>

#include "bytes.h"

namespace rum::mysql {
namespace {

TEST(Reader, ReadsLengthsOfEachForm) {
  struct {
    const char* hex;
    uint64_t value;
  } const cases[] = {{"00", 0},
                     {"fa", 250},
                     {"fc fb00", 251},
                     {"fc ffff", 65535},
                     {"fd 000001", 65536},
                     {"fd ffffff", 0xffffff},
                     {"fe 0000000100000000", 0x1000000},
                     {"fe ffffffffffffffff", UINT64_MAX}};
  for (const auto& one : cases) {
    Exact bytes(FromHex(one.hex));
    Reader reader(bytes.get());
    EXPECT_EQ(reader.ReadLength(), one.value) << one.hex;
    EXPECT_TRUE(reader.ok()) << one.hex;
    EXPECT_EQ(reader.left(), 0u) << one.hex;
    ForEachCut(FromHex(one.hex), [&](Bytes cut) {
      Reader short_reader(cut);
      short_reader.ReadLength();
      EXPECT_FALSE(short_reader.ok()) << one.hex << " cut to " << cut.size();
    });
  }
}

TEST(Reader, TakesNullAndErrorForNoLength) {
  for (const char* hex : {"fb", "ff", "fb0000000000000000", "ff0000000000000000"}) {
    Exact bytes(FromHex(hex));
    Reader reader(bytes.get());
    reader.ReadLength();
    EXPECT_FALSE(reader.ok()) << hex;
  }
}

TEST(Reader, FailsForGoodAtTheFirstReadBeyondTheEnd) {
  Exact bytes("abc");
  Reader reader(bytes.get());
  EXPECT_EQ(reader.ReadBytes(UINT64_MAX).size(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.ReadU8(), 0);
  EXPECT_EQ(reader.left(), 0u);
}

TEST(Reader, ReadsTextUpToANulOrTheEnd) {
  Exact bytes(std::string_view("ab\0cd", 5));
  Reader reader(bytes.get());
  EXPECT_EQ(AsText(reader.ReadUntilNul()), "ab");
  Reader rest = reader;
  EXPECT_EQ(AsText(rest.ReadUntilNulOrEnd()), "cd");
  EXPECT_TRUE(rest.ok());
  reader.ReadUntilNul();
  EXPECT_FALSE(reader.ok());
}

TEST(Writer, WritesLengthsThatTheReaderReads) {
  for (uint64_t value :
       {uint64_t{0}, uint64_t{250}, uint64_t{251}, uint64_t{252}, uint64_t{255}, uint64_t{65535},
        uint64_t{65536}, uint64_t{0xffffff}, uint64_t{0x1000000}, UINT64_MAX}) {
    PacketWriter writer;
    std::string packet = writer.WriteLength(value).Finish(0);
    Reader reader(AsBytes(packet).subspan(kHeaderSize));
    EXPECT_EQ(reader.ReadLength(), value);
    EXPECT_TRUE(reader.ok());
    EXPECT_EQ(reader.left(), 0u);
  }
}

TEST(Writer, WritesTheHeader) {
  PacketWriter writer;
  std::string packet = writer.WriteU16(0x0102).WriteZeroes(0x010201).Finish(0xfe);
  EXPECT_EQ(packet.substr(0, 6), FromHex("030201fe 0201"));
  EXPECT_EQ(PacketWriter().Finish(3), FromHex("00000003"));
}

TEST(Frame, WaitsForTheWholePacketAndSaysHowMuchThatIs) {
  std::string two = FromHex("03000001 616263 01000002 64");
  for (size_t size = 0; size < 7; ++size) {
    Exact bytes(two.substr(0, size));
    Frame frame = ReadFrame(bytes.get(), 1);
    EXPECT_EQ(frame.kind, Frame::Kind::kPartial) << size;
    EXPECT_EQ(frame.size, size < 4 ? 4u : 7u) << size;
  }
  Exact bytes(two);
  Frame frame = ReadFrame(bytes.get(), 1);
  EXPECT_EQ(frame.kind, Frame::Kind::kWhole);
  EXPECT_EQ(frame.size, 7u);
  EXPECT_EQ(AsText(frame.payload), "abc");
}

TEST(Frame, HoldsAnEmptyPayload) {
  Exact bytes(FromHex("00000003"));
  Frame frame = ReadFrame(bytes.get(), 3);
  EXPECT_EQ(frame.kind, Frame::Kind::kWhole);
  EXPECT_EQ(frame.size, 4u);
  EXPECT_TRUE(frame.payload.empty());
}

TEST(Frame, RefusesByTheHeaderAlone) {
  EXPECT_EQ(ReadFrame(Exact(FromHex("05000002")).get(), 1).kind, Frame::Kind::kBadOrder);
  EXPECT_EQ(ReadFrame(Exact(FromHex("ffffff01")).get(), 1).kind, Frame::Kind::kTooLong);
  EXPECT_EQ(ReadFrame(Exact(FromHex("01000201")).get(), 1).kind, Frame::Kind::kTooLong);
  EXPECT_EQ(ReadFrame(Exact(FromHex("00000201")).get(), 1).kind, Frame::Kind::kPartial);
}

TEST(Frame, RefusesOtherProtocolsAtTheirFirstFourBytes) {
  for (std::string_view text : {std::string_view("GET / HTTP/1.1"), std::string_view("SSH-2.0-x"),
                                std::string_view("\x16\x03\x01\x02\x00\x01", 6)}) {
    Frame frame = ReadFrame(Exact(text).get(), 1);
    EXPECT_EQ(frame.kind, Frame::Kind::kBadOrder) << text;
  }
}

}  // namespace
}  // namespace rum::mysql

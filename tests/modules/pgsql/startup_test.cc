// The first packets of clients, whole, byte by byte, and bent.
#include "pgsql/startup.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pgsql/wire.h"

namespace rum::pgsql {
namespace {

using namespace std::string_literals;
using Kind = FirstPacket::Kind;
using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string Packet(uint32_t code, std::string_view body) {
  std::string packet = U32(static_cast<uint32_t>(8 + body.size())) + U32(code);
  return packet.append(body);
}
std::string Of(const Pairs& pairs, uint32_t version = kVersion3) {
  std::string body;
  for (const auto& [name, value] : pairs) body += name + "\0"s + value + "\0"s;
  return Packet(version, body + "\0"s);
}
Startup Read(const Pairs& pairs, uint32_t version = kVersion3) {
  ParsedStartup parsed = ParseStartup(Of(pairs, version));
  EXPECT_TRUE(parsed.ok()) << parsed.why;
  return parsed.value;
}

TEST(FirstPacket, IsRecognisedByItsCodeAndWaitsForTheRest) {
  const std::pair<std::string, Kind> all[] = {
      {Packet(80877103, ""), Kind::kSslRequest},     {Packet(80877104, ""), Kind::kGssRequest},
      {Packet(80877102, "idxxkeyx"), Kind::kCancel}, {Of({{"user", "alice"}}), Kind::kStartup},
      {Packet(0x20000, "old"), Kind::kStartup},
  };
  for (const auto& [packet, kind] : all) {
    for (size_t i = 0; i < packet.size(); ++i) {
      FirstPacket first = ReadFirst(std::string_view(packet).substr(0, i));
      EXPECT_EQ(first.kind, Kind::kPartial);
      EXPECT_EQ(first.size, i < 4 ? 4 : packet.size());
    }
    FirstPacket first = ReadFirst(packet + "surplus");
    EXPECT_EQ(first.kind, kind);
    EXPECT_EQ(first.size, packet.size());
  }
}

TEST(FirstPacket, HasTheBoundsOfServers) {
  EXPECT_EQ(ReadFirst(U32(7)).kind, Kind::kNone);
  EXPECT_EQ(ReadFirst(U32(8)).kind, Kind::kPartial);
  EXPECT_EQ(ReadFirst(U32(10004)).kind, Kind::kPartial);
  EXPECT_EQ(ReadFirst(U32(10005)).kind, Kind::kNone);
  EXPECT_EQ(ReadFirst("GET / HTTP/1.1\r\n").kind, Kind::kNone);
  EXPECT_EQ(ReadFirst("PROXY TCP4 ").kind, Kind::kNone);
  EXPECT_EQ(ReadFirst("\x16\x03").kind, Kind::kTls);
}

TEST(CancelRequest, HasAKeyOf4To256Bytes) {
  for (size_t size : {0, 3, 4, 32, 256, 257}) {
    std::string packet = BuildCancel("pidx" + std::string(size, 'k'));
    auto key = ReadCancel(packet);
    ASSERT_EQ(key.has_value(), size >= 4 && size <= 256) << size;
    if (key) {
      EXPECT_EQ(key->size(), 4 + size);
    }
    EXPECT_EQ(ReadFirst(packet).kind, Kind::kCancel);
  }
}

TEST(StartupPacket, TakesParametersInAnyOrderAndTheLastOfRepeatedOnes) {
  Startup startup = Read({{"client_encoding", "UTF8"},
                          {"database", "one"},
                          {"user", "bob"},
                          {"user", "alice"},
                          {"database", "two"},
                          {"Application_Name", "shop"}});
  EXPECT_EQ(startup.user, "alice");
  EXPECT_EQ(startup.database, "two");
  EXPECT_EQ(startup.application, "shop");
  EXPECT_FALSE(startup.NeedsNegotiation());
}

TEST(StartupPacket, NamesTheUserAsDatabaseWhereThereIsNone) {
  EXPECT_EQ(Read({{"user", "alice"}}).database, "alice");
  EXPECT_EQ(Read({{"user", "alice"}, {"database", ""}}).database, "alice");
}

TEST(StartupPacket, CutsNamesWhereServersDo) {
  std::string name(70, 'u');
  Startup startup = Read({{"user", name}, {"database", name}});
  EXPECT_EQ(startup.user.size(), kMaxName);
  EXPECT_EQ(startup.database.size(), kMaxName);
  EXPECT_EQ(Read({{"user", std::string(62, 'u') + "\xc3\xa4"}}).user.size(), 63u);
}

TEST(StartupPacket, KnowsWhenTheServerIgnoresTheDatabase) {
  auto ignores = [](const Pairs& more) {
    Pairs pairs = more;
    pairs.insert(pairs.begin(), {"user", "alice"});
    return Read(pairs).without_database;
  };
  for (const char* yes : {"true", "t", "TRUE", "on", "1", "yes", "Y"}) {
    EXPECT_TRUE(ignores({{"replication", yes}})) << yes;
  }
  for (const char* no : {"false", "off", "0", "", "maybe", "trued", "o", "database"}) {
    EXPECT_FALSE(ignores({{"replication", no}})) << no;
  }
  EXPECT_FALSE(ignores({{"replication", "true"}, {"replication", "off"}}));
  EXPECT_TRUE(ignores({{"replication", "off"}, {"replication", "true"}}));
  EXPECT_FALSE(ignores({{"replication", "database"}, {"replication", "true"}}));
}

TEST(StartupPacket, NeedsNegotiationForNewerVersionsAndUnknownOptions) {
  EXPECT_TRUE(Read({{"user", "a"}}, 0x30002).NeedsNegotiation());
  Startup startup = Read({{"user", "a"}, {"_pq_.one", "1"}, {"_pq_.two", ""}});
  EXPECT_TRUE(startup.NeedsNegotiation());
  EXPECT_EQ(startup.extensions, (std::vector<std::string>{"_pq_.one", "_pq_.two"}));
}

TEST(StartupPacket, IsRefusedWithTheErrorOfAServer) {
  const std::pair<std::string, const char*> bad[] = {
      {Packet(0x40000, "\0"s), "0A000"},
      {Packet(0x20000, "x"), "0A000"},
      {Packet(kVersion3, ""), "08P01"},
      {Packet(kVersion3, "\0"s), "28000"},
      {Packet(kVersion3, "user\0alice\0"s), "08P01"},
      {Packet(kVersion3, "user\0alice\0\0more"s), "08P01"},
      {Packet(kVersion3, "user\0alice\0\0\0"s), "08P01"},
      {Packet(kVersion3, "user\0alice\0name\0"s), "08P01"},
      {Packet(kVersion3, "user\0alice"s), "08P01"},
      {Packet(kVersion3, "user\0\0\0"s), "28000"},
      {Packet(kVersion3, "User\0alice\0\0"s), "28000"},
      {Packet(kVersion3, "database\0one\0\0"s), "28000"},
  };
  for (const auto& [packet, sqlstate] : bad) {
    ParsedStartup parsed = ParseStartup(packet);
    EXPECT_FALSE(parsed.ok());
    EXPECT_STREQ(parsed.sqlstate, sqlstate) << packet.substr(8);
    EXPECT_STRNE(parsed.why, "");
  }
}

TEST(ChangedStartup, KeepsWhatIsNotChanged) {
  const std::string packet =
      Of({{"user", "alice"}, {"options", "-c a=b"}, {"_pq_.x", "1"}}, 0x30002);
  EXPECT_EQ(ChangeStartup(packet, {}), packet);
  EXPECT_EQ(ChangeStartup(packet, {.only_3_0 = true, .application = {}}),
            Of({{"user", "alice"}, {"options", "-c a=b"}}));
}

TEST(ChangedStartup, HasOneApplicationName) {
  const std::string packet =
      Of({{"application_name", "a"}, {"user", "u"}, {"APPLICATION_NAME", "b"}});
  EXPECT_EQ(ChangeStartup(packet, {.application = "c"}),
            Of({{"user", "u"}, {"application_name", "c"}}));
}

TEST(ChangedStartup, StaysAsItWasWhenItWouldBeTooLong) {
  const std::string packet = Of({{"user", "alice"}, {"options", std::string(9960, ' ')}});
  ASSERT_LE(packet.size(), kMaxFirst);
  EXPECT_EQ(ChangeStartup(packet, {.application = std::string(50, 'x')}), packet);
}

TEST(ApplicationName, KeepsTheWholeAddress) {
  EXPECT_EQ(AppendAddress("shop", "192.0.2.1:5"), "shop - 192.0.2.1:5");
  EXPECT_EQ(AppendAddress("", "192.0.2.1:5"), "192.0.2.1:5");
  EXPECT_EQ(AppendAddress(std::string(80, 's'), "192.0.2.1:5"),
            std::string(49, 's') + " - 192.0.2.1:5");
  EXPECT_EQ(AppendAddress("shop", std::string(100, 'a')).size(), kMaxName);
}

}  // namespace
}  // namespace rum::pgsql

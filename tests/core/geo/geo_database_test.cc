#include "geo/geo_database.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <random>
#include <string>

#include "core/geo/geo_bytes.h"
#include "support/folder.h"

// libmaxminddb 1.7.1 leaks about 5 KiB when it refuses a file with certain damage to its metadata.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libmaxminddb"; }

namespace rum {
namespace {

std::string CountryOf(const GeoDatabase& database, const std::string& host) {
  if (host == "unix") return database.Find(SocketAddress()).text();
  return database.Find(*SocketAddress::Numeric(host, 1)).text();
}

std::shared_ptr<const GeoDatabase> Good(const std::string& bytes) {
  auto database = GeoDatabase::FromBytes("x.mmdb", bytes);
  EXPECT_TRUE(database.ok()) << (database.ok() ? "" : database.error().text);
  return database.ok() ? *database : nullptr;
}

std::string Why(const std::string& bytes) {
  auto database = GeoDatabase::FromBytes("x.mmdb", bytes);
  return database.ok() ? "accepted" : database.error().text;
}

// Networks of both families, as the files of MaxMind have them.
GeoBytes Small() {
  GeoBytes bytes;
  const uint32_t cz = bytes.Data(GeoCountry("CZ")), sk = bytes.Data(GeoCountry("SK"));
  bytes.SetV4({192, 0, 2}, 24, cz);
  bytes.SetV4({198, 51, 100}, 25, sk);
  bytes.SetV4({198, 51, 100, 128}, 25, cz);
  bytes.SetV4({203, 0, 113, 7}, 32, sk);
  bytes.Set({0x20, 0x01, 0x0d, 0xb8}, 32, cz);
  bytes.Set({0x20, 0x01, 0x0d, 0xb9, 0, 0, 0, 0, 0x80}, 65, sk);
  return bytes;
}

TEST(GeoDatabase, KnowsTheCountriesOfBothFamilies) {
  auto database = Good(Small().File());
  ASSERT_TRUE(database);
  const std::pair<const char*, const char*> expected[] = {{"192.0.2.0", "CZ"},
                                                          {"192.0.2.255", "CZ"},
                                                          {"192.0.1.255", ""},
                                                          {"192.0.3.0", ""},
                                                          {"198.51.100.127", "SK"},
                                                          {"198.51.100.128", "CZ"},
                                                          {"198.51.101.0", ""},
                                                          {"203.0.113.7", "SK"},
                                                          {"203.0.113.6", ""},
                                                          {"203.0.113.8", ""},
                                                          {"0.0.0.0", ""},
                                                          {"255.255.255.255", ""},
                                                          {"10.0.0.1", ""},
                                                          {"127.0.0.1", ""},
                                                          {"::ffff:192.0.2.1", "CZ"},
                                                          {"2001:db8::1", "CZ"},
                                                          {"2001:db7:ffff::", ""},
                                                          {"2001:db9::", ""},
                                                          {"2001:db9:0:0:8000::", "SK"},
                                                          {"::1", ""},
                                                          {"fe80::1", ""},
                                                          {"fd00::1", ""},
                                                          {"ffff::", ""},
                                                          {"unix", ""}};
  for (const auto& [host, country] : expected)
    EXPECT_EQ(CountryOf(*database, host), country) << host;
  EXPECT_EQ(database->built_at(), 1767225600);
}

TEST(GeoDatabase, ReadsFilesOfIPv4Alone) {
  GeoBytes bytes(4);
  bytes.SetV4({192, 0, 2}, 24, bytes.Data(GeoCountry("CZ")));
  auto database = Good(bytes.File());
  ASSERT_TRUE(database);
  EXPECT_EQ(CountryOf(*database, "192.0.2.1"), "CZ");
  EXPECT_EQ(CountryOf(*database, "::ffff:192.0.2.1"), "CZ");
  EXPECT_EQ(CountryOf(*database, "2001:db8::1"), "");
}

TEST(GeoDatabase, FindsTheIPv4AddressInsideOfAnIPv6One) {
  GeoBytes bytes = Small();
  bytes.Set({0x20, 0x02}, 16, bytes.V4Node());
  auto database = Good(bytes.File());
  ASSERT_TRUE(database);
  EXPECT_EQ(CountryOf(*database, "2002:c000:0201::1"), "CZ");  // 192.0.2.1
  EXPECT_EQ(CountryOf(*database, "2002:c000:0301::1"), "");
  EXPECT_EQ(CountryOf(*database, "2003:c000:0201::1"), "");
  EXPECT_EQ(CountryOf(*database, "2001:db8::1"), "CZ");
}

TEST(GeoDatabase, ReadsTheFieldsOfSeveralMakers) {
  auto registered = [](const char* code) {
    return std::pair{std::string("registered_country"), GeoMap({{"iso_code", GeoText(code)}})};
  };
  GeoBytes bytes(4);
  bytes.SetV4({1}, 8, bytes.Data(GeoMap({registered("AT")})));
  bytes.SetV4(
      {2}, 8,
      bytes.Data(GeoMap({registered("AT"), {"country", GeoMap({{"iso_code", GeoText("DE")}})}})));
  bytes.SetV4({3}, 8, bytes.Data(GeoMap({{"country_code", GeoText("pl")}})));
  bytes.SetV4({4}, 8, bytes.Data(GeoMap({{"country", GeoText("HU")}})));
  bytes.SetV4(
      {5}, 8,
      bytes.Data(GeoMap({{"country", GeoText("Hungary")}, {"country_code", GeoText("HU")}})));
  bytes.SetV4({6}, 8, bytes.Data(GeoMap({{"country", GeoText("Hungary")}})));
  bytes.SetV4({7}, 8, bytes.Data(GeoText("HU")));
  auto database = Good(bytes.File());
  ASSERT_TRUE(database);
  const char* expected[] = {"", "AT", "DE", "PL", "HU", "HU", "", ""};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(CountryOf(*database, std::to_string(i) + ".1.1.1"), expected[i]) << i;
  }
}

TEST(GeoDatabase, RefusesWhatIsNone) {
  const std::string file = Small().File();
  EXPECT_NE(Why(""), "accepted");
  EXPECT_NE(Why("no database"), "accepted");
  EXPECT_NE(Why(file.substr(0, file.size() / 2)), "accepted");
  EXPECT_NE(Why(file.substr(file.size() / 2)), "accepted");
  EXPECT_EQ(Why(GeoBytes().File()),
            "x.mmdb: names no country (country.iso_code): is it a database of countries?");
  GeoBytes asn;
  asn.SetV4({192, 0, 2}, 24, asn.Data(GeoMap({{"autonomous_system_number", GeoNumber(6, 1, 4)}})));
  EXPECT_NE(Why(asn.File()), "accepted");
  for (const char* path : {"/nowhere/x.mmdb", "/dev/null", "/"}) {
    EXPECT_FALSE(GeoDatabase::Load(path).ok()) << path;
  }
}

TEST(GeoDatabase, RefusesTreesThatAreNone) {
  const std::string damaged = "x.mmdb: its search tree is damaged";
  GeoBytes loop = Small();
  loop.Set({0x20, 0x03}, 16, 0);
  EXPECT_EQ(Why(loop.File()), damaged) << "a network leads back to the beginning";
  // Each node leads to the next one twice: 2 to the power of 100 networks.
  GeoBytes doubling = Small();
  uint32_t node = doubling.NewNode();
  doubling.Set({0x20, 0x03}, 16, node);
  for (int i = 0; i < 100; ++i) {
    const uint32_t next = doubling.NewNode();
    doubling.nodes[node] = {next, next};
    node = next;
  }
  EXPECT_EQ(Why(doubling.File()), "x.mmdb: its search tree is not a tree");
  GeoBytes beyond = Small();
  beyond.nodes[3].second = 0xfffff0;
  EXPECT_NE(Why(beyond.File()), "accepted");
  GeoBytes more = Small();
  more.node_count = 1u << 31;
  EXPECT_NE(Why(more.File()), "accepted");
}

// libmaxminddb reads these; none may crash it, nor take long.
TEST(GeoDatabase, SurvivesDamagedFiles) {
  const std::string file = Small().File();
  std::minstd_rand random(1);
  size_t refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = file;
    // The metadata is a small part at the end.
    const size_t from = i % 2 ? 0 : file.size() - 200;
    for (int n = 0; n < 1 + i % 3; ++n) {
      damaged[from + random() % (file.size() - from)] = static_cast<char>(random());
    }
    if (i % 7 == 0) damaged.resize(random() % damaged.size());
    auto database = GeoDatabase::FromBytes("x.mmdb", damaged);
    refused += !database.ok();
    if (database.ok()) (void)(*database)->Find(*SocketAddress::Numeric("192.0.2.1", 1));
  }
  EXPECT_GT(refused, 300u);
  EXPECT_LT(refused, 3000u);
}

TEST(GeoDatabase, DoesNotCareWhatBecomesOfItsFile) {
  test::Folder folder;
  const std::string path = folder / "x.mmdb";
  std::ofstream(path) << Small().File();
  auto database = GeoDatabase::Load(path);
  ASSERT_TRUE(database.ok()) << database.error().text;
  EXPECT_EQ((*database)->stamp().bytes, Small().File().size());
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  EXPECT_EQ(CountryOf(**database, "192.0.2.1"), "CZ");
  EXPECT_FALSE(GeoDatabase::Load(path).ok());
  std::atomic<bool> stop = true;
  std::ofstream(path) << Small().File();
  EXPECT_FALSE(GeoDatabase::Load(path, &stop).ok()) << "interrupted";
}

}  // namespace
}  // namespace rum

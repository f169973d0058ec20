// Which clients are accepted: lists, numbers and rates, and what a reload makes of those who are in
// already.
#include "limits/access_control.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/geo/geo_bytes.h"
#include "geo/geo_database.h"

namespace rum {
namespace {

uint64_t now = 0;
uint64_t Clock() { return now; }
constexpr uint64_t kSecond = 1'000'000;

SocketAddress At(const std::string& host) { return *SocketAddress::Numeric(host, 40112); }
AccessList Set(const char* text) { return *AccessList::Parse(text); }

class AccessControlTest : public testing::Test {
 protected:
  AccessControlTest() { now = 1000 * kSecond; }
  Refusal Enter(const std::string& host, AccessControl::Lease* lease) {
    return access_control.Enter(settings, At(host), nullptr, lease);
  }
  Refusal Passing(const std::string& host) {
    AccessControl::Lease lease;
    return Enter(host, &lease);
  }
  void ExpectNobody() {
    EXPECT_EQ(access_control.connections(), 0u);
    EXPECT_EQ(access_control.connecting(), 0u);
    EXPECT_EQ(access_control.addresses(), 0u);
    EXPECT_EQ(access_control.destinations(), 0u);
  }

  AccessControl access_control{Clock};
  AccessControl::Settings settings;
};

TEST_F(AccessControlTest, LetsEverybodyInByDefault) {
  std::vector<AccessControl::Lease> leases(1000);
  for (AccessControl::Lease& lease : leases) EXPECT_EQ(Enter("192.0.2.1", &lease), Refusal::kNone);
  EXPECT_EQ(access_control.connections(), 1000u);
  EXPECT_EQ(access_control.connecting(), 1000u);
  EXPECT_EQ(access_control.addresses(), 0u) << "what is off is not counted";
  leases.clear();
  ExpectNobody();
}

TEST_F(AccessControlTest, DenyCountsMoreThanAllow) {
  settings.deny = Set("10.0.0.0/8,2001:db8::/32");
  EXPECT_EQ(Passing("10.1.1.1"), Refusal::kDeny);
  EXPECT_EQ(Passing("::ffff:10.1.1.1"), Refusal::kDeny);
  EXPECT_EQ(Passing("2001:db8::7"), Refusal::kDeny);
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kNone);
  settings.allow = Set("10.0.0.0/8,192.0.2.0/24");
  EXPECT_EQ(Passing("10.1.1.1"), Refusal::kDeny);
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kNone);
  EXPECT_EQ(Passing("198.51.100.1"), Refusal::kAllow);
  EXPECT_EQ(Passing("::1"), Refusal::kAllow);
  ExpectNobody();
}

TEST_F(AccessControlTest, ListsAndLimitsByAddressAreNotForUnixSockets) {
  settings.allow = Set("10.0.0.0/8");
  settings.deny = Set("0.0.0.0/0,::/0");
  settings.max_connections_per_ip = 1;
  settings.rate_per_ip = {1, Millis(3600000)};
  settings.max_connections = 2;
  std::vector<AccessControl::Lease> leases(3);
  for (size_t i : {0u, 1u}) {
    EXPECT_EQ(access_control.Enter(settings, SocketAddress(), nullptr, &leases[i]), Refusal::kNone);
  }
  EXPECT_EQ(access_control.Enter(settings, SocketAddress(), nullptr, &leases[2]),
            Refusal::kMaxConnections);
}

TEST(AccessLists, NameCountries) {
  if (!GeoDatabase::Available()) GTEST_SKIP() << "there is no libmaxminddb";
  GeoBytes bytes;
  bytes.SetV4({192, 0, 2}, 24, bytes.Data(GeoCountry("CZ")));
  bytes.SetV4({198, 51, 100}, 24, bytes.Data(GeoCountry("DE")));
  auto loaded = GeoDatabase::FromBytes("x.mmdb", bytes.File());
  ASSERT_TRUE(loaded.ok()) << loaded.error().text;
  const GeoDatabase* geo = loaded->get();
  const AccessLists only{Set("10.0.0.0/8,country:CZ"), {}}, but{{}, Set("country:DE")};
  EXPECT_EQ(only.Judge(At("192.0.2.1"), geo), Refusal::kNone);
  EXPECT_EQ(only.Judge(At("10.1.1.1"), geo), Refusal::kNone);
  EXPECT_EQ(only.Judge(At("198.51.100.1"), geo), Refusal::kAllow);
  EXPECT_EQ(only.Judge(At("203.0.113.1"), geo), Refusal::kAllow) << "without a country";
  EXPECT_EQ(but.Judge(At("192.0.2.1"), geo), Refusal::kNone);
  EXPECT_EQ(but.Judge(At("198.51.100.1"), geo), Refusal::kDeny);
  EXPECT_EQ(but.Judge(At("203.0.113.1"), geo), Refusal::kNone) << "without a country";
  EXPECT_EQ(only.Judge(At("192.0.2.1"), nullptr), Refusal::kAllow);
  EXPECT_EQ(only.Judge(SocketAddress(), geo), Refusal::kNone) << "a unix socket";
  const AccessLists both{Set("country:CZ"), Set("192.0.2.7")};
  EXPECT_EQ(both.Judge(At("192.0.2.7"), geo), Refusal::kDeny);
}

TEST_F(AccessControlTest, CountsAllAndThoseOfAnAddress) {
  settings.max_connections = 3;
  settings.max_connections_per_ip = 2;
  std::vector<AccessControl::Lease> leases(4);
  EXPECT_EQ(Enter("192.0.2.1", &leases[0]), Refusal::kNone);
  EXPECT_EQ(Enter("192.0.2.1", &leases[1]), Refusal::kNone);
  EXPECT_EQ(Enter("192.0.2.1", &leases[2]), Refusal::kMaxConnectionsPerIp);
  EXPECT_EQ(Enter("192.0.2.2", &leases[2]), Refusal::kNone);
  EXPECT_EQ(Enter("192.0.2.3", &leases[3]), Refusal::kMaxConnections);
  EXPECT_EQ(access_control.connections(), 3u);
  EXPECT_EQ(access_control.addresses(), 2u);
  leases[0].Release();
  EXPECT_EQ(Enter("192.0.2.3", &leases[3]), Refusal::kNone);
  leases.clear();
  ExpectNobody();
}

TEST_F(AccessControlTest, TakesAnIpv6NetworkForOneAddress) {
  settings.max_connections_per_ip = 1;
  AccessControl::Lease one, other;
  EXPECT_EQ(Enter("2001:db8::1", &one), Refusal::kNone);
  EXPECT_EQ(Enter("2001:db8::2", &other), Refusal::kMaxConnectionsPerIp);
  EXPECT_EQ(Enter("2001:db8:0:1::2", &other), Refusal::kNone);
  settings.ip_prefix = 128;
  EXPECT_EQ(Passing("2001:db8::2"), Refusal::kNone);
  settings.ip_prefix = 32;
  AccessControl::Lease wide;
  EXPECT_EQ(Enter("2001:db8::3", &wide), Refusal::kNone);
  EXPECT_EQ(Passing("2001:db8:ffff::3"), Refusal::kMaxConnectionsPerIp);
}

TEST_F(AccessControlTest, CountsThoseWhoseLoginIsNotOver) {
  settings.max_connecting = 1;
  AccessControl::Lease one, other;
  EXPECT_EQ(Enter("192.0.2.1", &one), Refusal::kNone);
  EXPECT_EQ(Enter("192.0.2.2", &other), Refusal::kMaxConnecting);
  one.LoggedIn();
  EXPECT_EQ(Enter("192.0.2.2", &other), Refusal::kNone);
  other.Release();
  one.LoggedIn();  // once is enough
  one.Release();
  ExpectNobody();
}

TEST_F(AccessControlTest, KeepsRatesAndARefusalCostsNothing) {
  settings.rate = {3, Millis(3000)};
  settings.rate_per_ip = {2, Millis(10000)};
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kNone);
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kNone);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Passing("192.0.2.1"), Refusal::kConnectionRatePerIp);
  EXPECT_EQ(Passing("192.0.2.2"), Refusal::kNone);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Passing("192.0.2.3"), Refusal::kConnectionRate);
  now += kSecond;
  EXPECT_EQ(Passing("192.0.2.3"), Refusal::kNone);
  EXPECT_EQ(Passing("192.0.2.4"), Refusal::kConnectionRate);
}

TEST_F(AccessControlTest, AFasterRateAppliesToWhatASlowerOneHasTaken) {
  settings.rate = settings.rate_per_ip = {1, Millis(86400000)};
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kNone);
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kConnectionRate);
  settings.rate = {10, Millis(1000)};
  EXPECT_EQ(Passing("192.0.2.2"), Refusal::kConnectionRate) << "the bucket is empty";
  now += 2 * kSecond;
  EXPECT_EQ(Passing("192.0.2.2"), Refusal::kNone);
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kConnectionRatePerIp);
  settings.rate_per_ip = {10, Millis(1000)};
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kConnectionRatePerIp) << "the bucket is empty";
  now += 2 * kSecond;
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kNone);
}

TEST_F(AccessControlTest, CountsThoseOnTheirWayToADestination) {
  settings.max_connecting_per_destination = 2;
  Address one = *ParseAddress("tcp:db1:3306"), other = *ParseAddress("sock:/run/db");
  std::vector<AccessControl::ByDestination::Lease> leases(4);
  EXPECT_EQ(access_control.Connect(settings, one, &leases[0]), Refusal::kNone);
  EXPECT_EQ(access_control.Connect(settings, one, &leases[1]), Refusal::kNone);
  EXPECT_EQ(access_control.Connect(settings, one, &leases[2]),
            Refusal::kMaxConnectingPerDestination);
  EXPECT_EQ(access_control.Connect(settings, other, &leases[2]), Refusal::kNone);
  EXPECT_EQ(access_control.destinations(), 2u);
  // Who goes on to another one is not on the way to the first any more.
  EXPECT_EQ(access_control.Connect(settings, other, &leases[0]), Refusal::kNone);
  EXPECT_EQ(access_control.Connect(settings, one, &leases[3]), Refusal::kNone);
  leases.clear();
  ExpectNobody();
}

TEST_F(AccessControlTest, CountsAfterAReloadThoseWhoWereInBefore) {
  std::vector<AccessControl::Lease> leases(3);
  for (AccessControl::Lease& lease : leases) EXPECT_EQ(Enter("192.0.2.1", &lease), Refusal::kNone);
  settings.max_connections_per_ip = 3;
  for (AccessControl::Lease& lease : leases)
    access_control.Recount(settings, At("192.0.2.1"), &lease);
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kMaxConnectionsPerIp);
  for (AccessControl::Lease& lease : leases)
    access_control.Recount(settings, At("192.0.2.1"), &lease);  // again
  leases[0].Release();
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kNone);
  access_control.Recount(settings, At("192.0.2.1"), &leases[0]);  // who is gone stays so
  EXPECT_EQ(access_control.connections(), 2u);
  settings.max_connections_per_ip = 0;
  for (AccessControl::Lease& lease : leases)
    access_control.Recount(settings, At("192.0.2.1"), &lease);
  EXPECT_EQ(access_control.addresses(), 0u);
  EXPECT_EQ(access_control.connections(), 2u);
}

TEST_F(AccessControlTest, CountsByTheNewPrefixAfterAReload) {
  settings.max_connections_per_ip = 2;
  settings.ip_prefix = 128;
  AccessControl::Lease one, other;
  EXPECT_EQ(Enter("2001:db8::1", &one), Refusal::kNone);
  EXPECT_EQ(Enter("2001:db8::2", &other), Refusal::kNone);
  EXPECT_EQ(access_control.addresses(), 2u);
  settings.ip_prefix = 64;
  access_control.Recount(settings, At("2001:db8::1"), &one);
  access_control.Recount(settings, At("2001:db8::2"), &other);
  EXPECT_EQ(access_control.addresses(), 1u);
  EXPECT_EQ(Passing("2001:db8::3"), Refusal::kMaxConnectionsPerIp);
}

TEST_F(AccessControlTest, CountsAfterAReloadThoseWhoAreOnTheirWay) {
  Address where = *ParseAddress("tcp:db1:3306");
  AccessControl::ByDestination::Lease one, other;
  EXPECT_EQ(access_control.Connect(settings, where, &one), Refusal::kNone);
  settings.max_connecting_per_destination = 1;
  access_control.Recount(settings, where, &one);
  access_control.Recount(settings, where, &one);
  EXPECT_EQ(access_control.Connect(settings, where, &other), Refusal::kMaxConnectingPerDestination);
  settings.max_connecting_per_destination = 0;
  access_control.Recount(settings, where, &one);
  EXPECT_EQ(access_control.destinations(), 0u);
}

}  // namespace
}  // namespace rum

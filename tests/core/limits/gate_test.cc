// Who may come in: lists, numbers and rates, and what a reload makes of those who are in already.
#include "limits/gate.h"

#include <gtest/gtest.h>

#include <vector>

namespace rum {
namespace {

uint64_t now = 0;
uint64_t Clock() { return now; }
constexpr uint64_t kSecond = 1'000'000;

SocketAddress At(const std::string& host) { return *SocketAddress::Numeric(host, 40112); }
CidrSet Set(const char* text) { return *CidrSet::Parse(text); }

class GateTest : public testing::Test {
 protected:
  GateTest() { now = 1000 * kSecond; }
  Refusal Enter(const std::string& host, Gate::Place* place) {
    return gate.Enter(settings, At(host), place);
  }
  Refusal Passing(const std::string& host) {
    Gate::Place place;
    return Enter(host, &place);
  }
  void ExpectNobody() {
    EXPECT_EQ(gate.connections(), 0u);
    EXPECT_EQ(gate.connecting(), 0u);
    EXPECT_EQ(gate.addresses(), 0u);
    EXPECT_EQ(gate.destinations(), 0u);
  }

  Gate gate{Clock};
  Gate::Settings settings;
};

TEST_F(GateTest, LetsEverybodyInByDefault) {
  std::vector<Gate::Place> places(1000);
  for (Gate::Place& place : places) EXPECT_EQ(Enter("192.0.2.1", &place), Refusal::kNone);
  EXPECT_EQ(gate.connections(), 1000u);
  EXPECT_EQ(gate.connecting(), 1000u);
  EXPECT_EQ(gate.addresses(), 0u) << "what is off is not counted";
  places.clear();
  ExpectNobody();
}

TEST_F(GateTest, DenyCountsMoreThanAllow) {
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

TEST_F(GateTest, ListsAndLimitsByAddressAreNotForUnixSockets) {
  settings.allow = Set("10.0.0.0/8");
  settings.deny = Set("0.0.0.0/0,::/0");
  settings.max_connections_per_ip = 1;
  settings.rate_per_ip = {1, Millis(3600000)};
  settings.max_connections = 2;
  std::vector<Gate::Place> places(3);
  for (size_t i : {0u, 1u}) {
    EXPECT_EQ(gate.Enter(settings, SocketAddress(), &places[i]), Refusal::kNone);
  }
  EXPECT_EQ(gate.Enter(settings, SocketAddress(), &places[2]), Refusal::kMaxConnections);
}

TEST_F(GateTest, CountsAllAndThoseOfAnAddress) {
  settings.max_connections = 3;
  settings.max_connections_per_ip = 2;
  std::vector<Gate::Place> places(4);
  EXPECT_EQ(Enter("192.0.2.1", &places[0]), Refusal::kNone);
  EXPECT_EQ(Enter("192.0.2.1", &places[1]), Refusal::kNone);
  EXPECT_EQ(Enter("192.0.2.1", &places[2]), Refusal::kMaxConnectionsPerIp);
  EXPECT_EQ(Enter("192.0.2.2", &places[2]), Refusal::kNone);
  EXPECT_EQ(Enter("192.0.2.3", &places[3]), Refusal::kMaxConnections);
  EXPECT_EQ(gate.connections(), 3u);
  EXPECT_EQ(gate.addresses(), 2u);
  places[0].Release();
  EXPECT_EQ(Enter("192.0.2.3", &places[3]), Refusal::kNone);
  places.clear();
  ExpectNobody();
}

TEST_F(GateTest, TakesAnIpv6NetworkForOneAddress) {
  settings.max_connections_per_ip = 1;
  Gate::Place one, other;
  EXPECT_EQ(Enter("2001:db8::1", &one), Refusal::kNone);
  EXPECT_EQ(Enter("2001:db8::2", &other), Refusal::kMaxConnectionsPerIp);
  EXPECT_EQ(Enter("2001:db8:0:1::2", &other), Refusal::kNone);
  settings.ip_prefix = 128;
  EXPECT_EQ(Passing("2001:db8::2"), Refusal::kNone);
  settings.ip_prefix = 32;
  Gate::Place wide;
  EXPECT_EQ(Enter("2001:db8::3", &wide), Refusal::kNone);
  EXPECT_EQ(Passing("2001:db8:ffff::3"), Refusal::kMaxConnectionsPerIp);
}

TEST_F(GateTest, CountsThoseWhoseLoginIsNotOver) {
  settings.max_connecting = 1;
  Gate::Place one, other;
  EXPECT_EQ(Enter("192.0.2.1", &one), Refusal::kNone);
  EXPECT_EQ(Enter("192.0.2.2", &other), Refusal::kMaxConnecting);
  one.LoggedIn();
  EXPECT_EQ(Enter("192.0.2.2", &other), Refusal::kNone);
  other.Release();
  one.LoggedIn();  // once is enough
  one.Release();
  ExpectNobody();
}

TEST_F(GateTest, KeepsRatesAndARefusalCostsNothing) {
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

TEST_F(GateTest, CountsThoseOnTheirWayToADestination) {
  settings.max_connecting_per_destination = 2;
  Address one = *ParseAddress("tcp:db1:3306"), other = *ParseAddress("sock:/run/db");
  std::vector<Gate::ByDestination::Place> places(4);
  EXPECT_EQ(gate.Connect(settings, one, &places[0]), Refusal::kNone);
  EXPECT_EQ(gate.Connect(settings, one, &places[1]), Refusal::kNone);
  EXPECT_EQ(gate.Connect(settings, one, &places[2]), Refusal::kMaxConnectingPerDestination);
  EXPECT_EQ(gate.Connect(settings, other, &places[2]), Refusal::kNone);
  EXPECT_EQ(gate.destinations(), 2u);
  // Who goes on to another one is not on the way to the first any more.
  EXPECT_EQ(gate.Connect(settings, other, &places[0]), Refusal::kNone);
  EXPECT_EQ(gate.Connect(settings, one, &places[3]), Refusal::kNone);
  places.clear();
  ExpectNobody();
}

TEST_F(GateTest, CountsAfterAReloadThoseWhoWereInBefore) {
  std::vector<Gate::Place> places(3);
  for (Gate::Place& place : places) EXPECT_EQ(Enter("192.0.2.1", &place), Refusal::kNone);
  settings.max_connections_per_ip = 3;
  for (Gate::Place& place : places) gate.Recount(settings, At("192.0.2.1"), &place);
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kMaxConnectionsPerIp);
  for (Gate::Place& place : places) gate.Recount(settings, At("192.0.2.1"), &place);  // again
  places[0].Release();
  EXPECT_EQ(Passing("192.0.2.1"), Refusal::kNone);
  gate.Recount(settings, At("192.0.2.1"), &places[0]);  // who is gone stays so
  EXPECT_EQ(gate.connections(), 2u);
  settings.max_connections_per_ip = 0;
  for (Gate::Place& place : places) gate.Recount(settings, At("192.0.2.1"), &place);
  EXPECT_EQ(gate.addresses(), 0u);
  EXPECT_EQ(gate.connections(), 2u);
}

TEST_F(GateTest, CountsByTheNewPrefixAfterAReload) {
  settings.max_connections_per_ip = 2;
  settings.ip_prefix = 128;
  Gate::Place one, other;
  EXPECT_EQ(Enter("2001:db8::1", &one), Refusal::kNone);
  EXPECT_EQ(Enter("2001:db8::2", &other), Refusal::kNone);
  EXPECT_EQ(gate.addresses(), 2u);
  settings.ip_prefix = 64;
  gate.Recount(settings, At("2001:db8::1"), &one);
  gate.Recount(settings, At("2001:db8::2"), &other);
  EXPECT_EQ(gate.addresses(), 1u);
  EXPECT_EQ(Passing("2001:db8::3"), Refusal::kMaxConnectionsPerIp);
}

TEST_F(GateTest, CountsAfterAReloadThoseWhoAreOnTheirWay) {
  Address where = *ParseAddress("tcp:db1:3306");
  Gate::ByDestination::Place one, other;
  EXPECT_EQ(gate.Connect(settings, where, &one), Refusal::kNone);
  settings.max_connecting_per_destination = 1;
  gate.Recount(settings, where, &one);
  gate.Recount(settings, where, &one);
  EXPECT_EQ(gate.Connect(settings, where, &other), Refusal::kMaxConnectingPerDestination);
  settings.max_connecting_per_destination = 0;
  gate.Recount(settings, where, &one);
  EXPECT_EQ(gate.destinations(), 0u);
}

}  // namespace
}  // namespace rum

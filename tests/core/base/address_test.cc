#include "base/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/un.h>

#include <string>

namespace rum {
namespace {

std::string ErrorOf(std::string_view text, bool any_port = false) {
  auto address = ParseAddress(text, any_port);
  return address ? "no error: " + address->text() : address.error().text;
}

// The sentence begins with what was written and goes on with what is wrong about it.
void ExpectError(const std::string& text, const std::string& why) {
  auto address = ParseAddress(text);
  ASSERT_FALSE(address.ok()) << text;
  EXPECT_EQ(address.error().fault, Fault::kUsage);
  EXPECT_TRUE(address.error().text.starts_with("'" + text + "': " + why)) << address.error().text;
  EXPECT_NE(address.error().text.find("tcp:HOST:PORT"), std::string::npos)
      << "how to write it right is missing: " << address.error().text;
  EXPECT_NE(address.error().text.back(), '.');
}

TEST(Address, ReadsAHostAndItsPort) {
  auto address = ParseAddress("tcp:db0.example.net:3306");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->kind, Address::Kind::kTcp);
  EXPECT_EQ(address->host, "db0.example.net");
  EXPECT_EQ(address->port, 3306);
}

TEST(Address, ReadsIpv6InBracketsAndKeepsItWithoutThem) {
  auto address = ParseAddress("tcp:[2001:db8::1]:65535");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->host, "2001:db8::1");
  EXPECT_EQ(address->port, 65535);
  EXPECT_EQ(ParseAddress("tcp:[::]:1")->host, "::");
  EXPECT_EQ(ParseAddress("tcp:[::ffff:192.0.2.1]:1")->host, "::ffff:192.0.2.1");
}

TEST(Address, ReadsThePathOfASocketWithAnythingInItButNul) {
  auto address = ParseAddress("sock:/run/a b,c:d\xff.sock");
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->kind, Address::Kind::kUnix);
  EXPECT_EQ(address->host, "/run/a b,c:d\xff.sock");
  EXPECT_EQ(address->port, 0);
}

TEST(Address, TextIsWhatWasWritten) {
  for (const char* text :
       {"tcp:a:1", "tcp:127.0.0.1:3306", "tcp:[::1]:3306", "tcp:my_host-1.net.:65535",
        "sock:/var/run/mysqld/mysqld.sock", "sock:relative"}) {
    auto address = ParseAddress(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(address->text(), text);
    EXPECT_EQ(*ParseAddress(address->text()), *address);
  }
}

TEST(Address, EqualWhenAllPartsAre) {
  EXPECT_EQ(*ParseAddress("tcp:a:1"), *ParseAddress("tcp:a:1"));
  EXPECT_NE(*ParseAddress("tcp:a:1"), *ParseAddress("tcp:a:2"));
  EXPECT_NE(*ParseAddress("tcp:a:1"), *ParseAddress("tcp:b:1"));
  Address unix_path = *ParseAddress("sock:a");
  Address tcp_host = *ParseAddress("tcp:a:1");
  tcp_host.port = 0;
  EXPECT_NE(unix_path, tcp_host);
}

TEST(Address, NamesEveryMistake) {
  ExpectError("", "not an address");
  ExpectError("tcp", "not an address");
  ExpectError("TCP:a:1", "not an address");
  ExpectError("udp:a:1", "not an address");
  ExpectError("localhost:3306", "not an address");
  ExpectError(" tcp:a:1", "not an address");
  ExpectError("tcp:", "the port is missing");
  ExpectError("tcp:host", "the port is missing");
  ExpectError("tcp:[::1]", "the port is missing");
  ExpectError("tcp:[::1]3306", "the port is missing");
  ExpectError("tcp:[::1:3306", "'[' is not closed");
  ExpectError("tcp:[", "'[' is not closed");
  ExpectError("tcp:::1:3306", "put an IPv6 address in brackets");
  ExpectError("tcp:2001:db8::1:3306", "put an IPv6 address in brackets");
  ExpectError("tcp::3306", "the host is missing");
  ExpectError("tcp:[]:3306", "the host is missing");
  ExpectError("tcp:[127.0.0.1]:3306", "the text in brackets is not an IPv6 address");
  ExpectError("tcp:[fe80::1%eth0]:3306", "the text in brackets is not an IPv6 address");
  ExpectError("tcp:[::1::2]:3306", "the text in brackets is not an IPv6 address");
  ExpectError("sock:", "the path is missing");
}

TEST(Address, RefusesPortsThatAreNone) {
  for (const char* port : {"", "0", "65536", "4294967297", "99999999999999999999", "-1", "+1", " 1",
                           "1 ", "0x10", "1.5", "http", "1,"}) {
    ExpectError(std::string("tcp:host:") + port, "the port is not a number from 1 to 65535");
    ExpectError(std::string("tcp:[::1]:") + port, "the port is not a number from 1 to 65535");
  }
}

TEST(Address, TakesPortZeroOnlyWhereAnyPortWillDo) {
  auto address = ParseAddress("tcp:127.0.0.1:0", true);
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(address->port, 0);
  EXPECT_FALSE(ParseAddress("tcp:127.0.0.1:65536", true).ok());
  EXPECT_FALSE(ParseAddress("tcp:127.0.0.1:", true).ok());
}

TEST(Address, RefusesHostsThatAreNeitherNameNorNumber) {
  for (std::string host : {"a b", "a/b", "a\nb", "a%b", "a@b", "\xc3\xa4", "a,b", "*", ".", "..",
                           ".a", "a..b", "a.."}) {
    ExpectError("tcp:" + host + ":1", "the host is not a name or an address");
  }
  ExpectError(std::string("tcp:a\0b:1", 9), "the host is not a name or an address");
}

TEST(Address, HostsHaveAtMost253Bytes) {
  EXPECT_TRUE(ParseAddress("tcp:" + std::string(253, 'a') + ":1").ok());
  EXPECT_TRUE(ParseAddress("tcp:" + std::string(253, 'a') + ".:1").ok()) << "an absolute name";
  ExpectError("tcp:" + std::string(254, 'a') + ".:1", "the host is not a name or an address");
  ExpectError("tcp:" + std::string(254, 'a') + ":1", "the host is not a name or an address");
}

TEST(Address, PathsFitASocketAddress) {
  static_assert(sizeof(sockaddr_un::sun_path) == 108);
  EXPECT_TRUE(ParseAddress("sock:" + std::string(107, 'a')).ok());
  ExpectError("sock:" + std::string(108, 'a'), "the path is longer than 107 bytes");
  ExpectError(std::string("sock:a\0b", 8), "the path has a NUL byte");
}

TEST(Address, ANulInBracketsDoesNotHideTheRest) {
  EXPECT_NE(ErrorOf(std::string("tcp:[::1\0x]:1", 13)).find("not an IPv6 address"),
            std::string::npos);
}

TEST(Addresses, ReadsAListInItsOrder) {
  auto list = ParseAddresses("tcp:b:2,sock:/x,tcp:[::1]:3");
  ASSERT_TRUE(list.ok());
  ASSERT_EQ(list->size(), 3u);
  EXPECT_EQ((*list)[0].text(), "tcp:b:2");
  EXPECT_EQ((*list)[1].text(), "sock:/x");
  EXPECT_EQ((*list)[2].text(), "tcp:[::1]:3");
}

TEST(Addresses, RefusesAListWithAHole) {
  for (const char* text :
       {"", ",", "tcp:a:1,", ",tcp:a:1", "tcp:a:1,,tcp:b:1", "tcp:a:1, tcp:b:1"}) {
    auto list = ParseAddresses(text);
    ASSERT_FALSE(list.ok()) << text;
    EXPECT_NE(list.error().text.find("not an address"), std::string::npos) << list.error().text;
  }
}

TEST(Addresses, NamesTheOneThatIsWrong) {
  auto list = ParseAddresses("tcp:a:1,tcp:b:x,tcp:c:3");
  ASSERT_FALSE(list.ok());
  EXPECT_TRUE(list.error().text.starts_with("'tcp:b:x': ")) << list.error().text;
}

TEST(Addresses, TakesSixtyFourAndNoMore) {
  std::string list = "tcp:a:1";
  for (int i = 1; i < 64; ++i) list += ",tcp:a:1";
  auto all = ParseAddresses(list);
  ASSERT_TRUE(all.ok());
  EXPECT_EQ(all->size(), 64u);
  auto more = ParseAddresses(list + ",tcp:a:1");
  ASSERT_FALSE(more.ok());
  EXPECT_NE(more.error().text.find("more than 64 addresses"), std::string::npos);
}

TEST(SocketAddress, IsNumericOrNothing) {
  auto v4 = SocketAddress::Numeric("192.0.2.1", 80);
  ASSERT_TRUE(v4.ok());
  EXPECT_EQ(v4->family(), AF_INET);
  EXPECT_EQ(v4->port(), 80);
  EXPECT_EQ(v4->text(), "192.0.2.1:80");
  EXPECT_EQ(v4->host(), "192.0.2.1");
  EXPECT_EQ(v4->size(), sizeof(sockaddr_in));
  auto v6 = SocketAddress::Numeric("2001:DB8::0001", 3306);
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->family(), AF_INET6);
  EXPECT_EQ(v6->text(), "[2001:db8::1]:3306");
  EXPECT_EQ(v6->size(), sizeof(sockaddr_in6));
  for (const char* text : {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "[::1]", "::1%lo"}) {
    EXPECT_FALSE(SocketAddress::Numeric(text, 1).ok()) << text;
  }
}

TEST(SocketAddress, TakesItsPortLater) {
  auto v6 = *SocketAddress::Numeric("::1", 0);
  v6.set_port(65535);
  EXPECT_EQ(v6.port(), 65535);
  SocketAddress none;
  none.set_port(5);
  EXPECT_EQ(none.port(), 0);
  EXPECT_FALSE(none.ip());
}

TEST(SocketAddress, OfAUnixSocketIsOnlyItsKind) {
  sockaddr_un un = {};
  un.sun_family = AF_UNIX;
  // accept(2) tells of a client without a name as two bytes.
  auto address = SocketAddress::From(reinterpret_cast<sockaddr*>(&un),
                                     static_cast<socklen_t>(sizeof(sa_family_t)));
  EXPECT_EQ(address.family(), AF_UNIX);
  EXPECT_FALSE(address.ip());
  EXPECT_EQ(address.text(), "unix");
  EXPECT_EQ(address.host(), "unix");
}

TEST(SocketAddress, OfAClientIsNumericOrUnix) {
  EXPECT_EQ(SocketAddress::Client("192.0.2.1")->host(), "192.0.2.1");
  EXPECT_EQ(SocketAddress::Client("2001:db8::1")->host(), "2001:db8::1");
  EXPECT_EQ(SocketAddress::Client("unix")->family(), AF_UNIX);
  for (const char* text : {"", "Unix", "unix ", "sock:/run/a", "localhost"}) {
    EXPECT_FALSE(SocketAddress::Client(text).ok()) << text;
  }
}

TEST(UserAtAddress, IsSplitAtTheLastAtBeforeAnAddress) {
  const struct {
    const char* text;
    const char* user;
    const char* address;  // empty: none
  } cases[] = {
      {"alice", "alice", ""},
      {"alice@192.0.2.7", "alice", "192.0.2.7"},
      {"alice@2001:db8::1", "alice", "2001:db8::1"},
      {"alice@[2001:db8::1]", "alice", "2001:db8::1"},
      {"alice@::ffff:192.0.2.7", "alice", "192.0.2.7"},
      {"alice@unix", "alice", "unix"},
      {"alice@example.net", "alice@example.net", ""},
      {"alice@example.net@192.0.2.7", "alice@example.net", "192.0.2.7"},
      {"alice@192.0.2.7@unix", "alice@192.0.2.7", "unix"},
      {"alice@@192.0.2.7", "alice@", "192.0.2.7"},
      {"@192.0.2.7", "", "192.0.2.7"},
      {"alice@", "alice@", ""},
      {"@", "@", ""},
      {"", "", ""},
      {"alice@192.0.2.300", "alice@192.0.2.300", ""},
      {"alice@192.0.2.7:3306", "alice@192.0.2.7:3306", ""},
      {"alice@[192.0.2.7]", "alice@[192.0.2.7]", ""},
      {"alice@[unix]", "alice@[unix]", ""},
      {"alice@[2001:db8::1", "alice@[2001:db8::1", ""},
      {"alice@[]", "alice@[]", ""},
      {"alice@10.0.0.0/8", "alice@10.0.0.0/8", ""},
  };
  for (const auto& c : cases) {
    UserAtAddress who = SplitUserAtAddress(c.text);
    EXPECT_EQ(who.user, c.user) << c.text;
    EXPECT_EQ(who.address ? who.address->host() : "", c.address) << c.text;
  }
}

TEST(SocketAddress, IsNotReadBeyondItsSize) {
  sockaddr_in v4 = {};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(80);
  auto cut = SocketAddress::From(reinterpret_cast<sockaddr*>(&v4), sizeof v4 - 1);
  EXPECT_EQ(cut.port(), 0);
  auto whole = SocketAddress::From(reinterpret_cast<sockaddr*>(&v4), sizeof v4);
  EXPECT_EQ(whole.port(), 80);
}

TEST(SocketAddress, OneFormForAnIpv4AddressHoweverASocketHasIt) {
  auto canonical = [](const char* host) {
    return SocketAddress::Numeric(host, 3306)->Canonical().text();
  };
  EXPECT_EQ(canonical("::ffff:192.0.2.1"), "192.0.2.1:3306");
  EXPECT_EQ(canonical("192.0.2.1"), "192.0.2.1:3306");
  EXPECT_EQ(canonical("::1"), "[::1]:3306");
  EXPECT_EQ(canonical("::192.0.2.1"), "[::192.0.2.1]:3306");
  EXPECT_EQ(canonical("64:ff9b::192.0.2.1"), "[64:ff9b::c000:201]:3306");
  EXPECT_EQ(SocketAddress::Client("::FFFF:192.0.2.1")->host(), "192.0.2.1");
  EXPECT_EQ(SocketAddress::Client("2001:DB8:0::1")->host(), "2001:db8::1");
  EXPECT_EQ(SocketAddress::Client("unix")->Canonical().host(), "unix");
  auto four = *SocketAddress::Numeric("192.0.2.1", 3306);
  EXPECT_EQ(four.AsV6().text(), "[::ffff:192.0.2.1]:3306");
  EXPECT_EQ(four.AsV6().Canonical().text(), four.text());
}

}  // namespace
}  // namespace rum

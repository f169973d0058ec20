#include "base/cidr.h"

#include <gtest/gtest.h>

#include <string>
#include <unordered_set>

namespace rum {
namespace {

SocketAddress At(const std::string& host) { return *SocketAddress::Numeric(host, 1); }

std::string TextOf(std::string_view text) {
  auto cidr = Cidr::Parse(text);
  return cidr ? cidr->text() : "error: " + cidr.error().text;
}

TEST(Cidr, ReadsNetworksOfBothFamilies) {
  EXPECT_EQ(TextOf("192.0.2.0/24"), "192.0.2.0/24");
  EXPECT_EQ(TextOf("0.0.0.0/0"), "0.0.0.0/0");
  EXPECT_EQ(TextOf("10.128.0.0/9"), "10.128.0.0/9");
  EXPECT_EQ(TextOf("2001:db8::/32"), "2001:db8::/32");
  EXPECT_EQ(TextOf("::/0"), "::/0");
}

TEST(Cidr, ALoneAddressIsANetworkOfItsOwn) {
  EXPECT_EQ(TextOf("192.0.2.1"), "192.0.2.1/32");
  EXPECT_EQ(TextOf("2001:db8::1"), "2001:db8::1/128");
}

TEST(Cidr, IsNotWhatIsNoNetwork) {
  for (std::string text :
       {std::string(), std::string("/"), std::string("/8"), std::string("db0"),
        std::string("10.0/8"), std::string("10.0.0.0/"), std::string("10.0.0.0/33"),
        std::string("10.0.0.0/-1"), std::string("10.0.0.0/8x"), std::string("10.0.0.0/99999999999"),
        std::string("::/129"), std::string("10.0.0.0 /8"), std::string("[::1]"),
        std::string("10.0.0.1\0", 9), std::string("::ffff:0.0.0.0/95")}) {
    auto cidr = Cidr::Parse(text);
    ASSERT_FALSE(cidr.ok()) << text;
    EXPECT_EQ(cidr.error().fault, Fault::kUsage);
    EXPECT_TRUE(cidr.error().text.starts_with("'" + text + "': ")) << cidr.error().text;
  }
}

TEST(Cidr, SaysHowToWriteANetworkWithBitsTooMany) {
  EXPECT_EQ(TextOf("192.0.2.1/24"),
            "error: '192.0.2.1/24': address bits are set beyond the prefix length; write "
            "192.0.2.0/24");
  EXPECT_NE(TextOf("2001:db8::1/64").find("write 2001:db8::/64"), std::string::npos);
}

TEST(Cidr, ContainsWhatHasTheSameFirstBits) {
  Cidr nine = *Cidr::Parse("10.128.0.0/9");
  EXPECT_TRUE(nine.Contains(At("10.128.0.0")));
  EXPECT_TRUE(nine.Contains(At("10.255.255.255")));
  EXPECT_FALSE(nine.Contains(At("10.127.255.255")));
  EXPECT_FALSE(nine.Contains(At("11.128.0.0")));
  Cidr v6 = *Cidr::Parse("2001:db8:0:fff0::/60");
  EXPECT_TRUE(v6.Contains(At("2001:db8:0:ffff::1")));
  EXPECT_FALSE(v6.Contains(At("2001:db8:0:ffe0::1")));
}

TEST(Cidr, EveryLengthKeepsTheBitBeforeItAndIgnoresTheOneBehind) {
  for (unsigned bits = 1; bits <= 128; ++bits) {
    auto flipped = [&](unsigned bit) {
      sockaddr_in6 v6 = {};
      v6.sin6_family = AF_INET6;
      v6.sin6_addr.s6_addr[0] = 0x20;
      if (bit < 128) v6.sin6_addr.s6_addr[bit / 8] ^= static_cast<uint8_t>(0x80 >> bit % 8);
      return SocketAddress::From(reinterpret_cast<sockaddr*>(&v6), sizeof v6);
    };
    Cidr network = Cidr::Around(flipped(128), 0, bits);
    EXPECT_TRUE(network.Contains(flipped(128))) << bits;
    EXPECT_FALSE(network.Contains(flipped(bits - 1))) << bits;
    if (bits < 128) {
      EXPECT_TRUE(network.Contains(flipped(bits))) << bits;
    }
  }
}

TEST(Cidr, AllOfOneFamilyIsNothingOfTheOther) {
  EXPECT_TRUE(Cidr::Parse("0.0.0.0/0")->Contains(At("255.255.255.255")));
  EXPECT_FALSE(Cidr::Parse("0.0.0.0/0")->Contains(At("::1")));
  EXPECT_FALSE(Cidr::Parse("::/0")->Contains(At("127.0.0.1")));
  EXPECT_FALSE(Cidr::Parse("0.0.0.0/0")->Contains(SocketAddress()));
}

TEST(Cidr, AWrappedIpv4AddressIsThatAddress) {
  EXPECT_TRUE(Cidr::Parse("192.0.2.0/24")->Contains(At("::ffff:192.0.2.7")));
  EXPECT_FALSE(Cidr::Parse("::/0")->Contains(At("::ffff:192.0.2.7")));
  EXPECT_EQ(TextOf("::ffff:192.0.2.0/120"), "192.0.2.0/24");
  EXPECT_EQ(TextOf("::ffff:192.0.2.1"), "192.0.2.1/32");
  EXPECT_EQ(Cidr::Around(At("::ffff:192.0.2.7"), 32, 64), Cidr::Around(At("192.0.2.7"), 32, 64));
}

TEST(Cidr, AroundCutsAnAddressByItsFamily) {
  EXPECT_EQ(Cidr::Around(At("192.0.2.7"), 32, 64).text(), "192.0.2.7/32");
  EXPECT_EQ(Cidr::Around(At("192.0.2.7"), 24, 64).text(), "192.0.2.0/24");
  EXPECT_EQ(Cidr::Around(At("2001:db8:1:2:3::4"), 32, 64).text(), "2001:db8:1:2::/64");
}

TEST(Cidr, HashesTellNeighboursApart) {
  std::unordered_set<size_t> hashes;
  for (int i = 0; i < 4096; ++i) {
    auto host = "2001:db8:0:" + std::to_string(i) + "::1";
    hashes.insert(Cidr::Hash()(Cidr::Around(At(host), 32, 64)));
  }
  EXPECT_EQ(hashes.size(), 4096u);
}

TEST(CidrSet, ReadsAListOfBothFamiliesAndUnix) {
  auto set = CidrSet::Parse("10.0.0.0/8,2001:db8::/32,unix");
  ASSERT_TRUE(set.ok());
  EXPECT_TRUE(set->Contains(At("10.1.2.3")));
  EXPECT_TRUE(set->Contains(At("2001:db8::1")));
  EXPECT_TRUE(set->Contains(SocketAddress())) << "a peer of a unix socket has no address";
  EXPECT_FALSE(set->Contains(At("11.1.2.3")));
}

TEST(CidrSet, WithoutTheWordUnixContainsNoUnixPeer) {
  auto set = CidrSet::Parse("0.0.0.0/0,::/0");
  ASSERT_TRUE(set.ok());
  EXPECT_FALSE(set->Contains(SocketAddress()));
}

TEST(CidrSet, NamesTheEntryThatIsWrong) {
  for (const char* text : {"", "10.0.0.0/8,", ",10.0.0.0/8", "10.0.0.0/8,,unix", "UNIX"}) {
    EXPECT_FALSE(CidrSet::Parse(text).ok()) << text;
  }
  EXPECT_TRUE(CidrSet::Parse("10.0.0.0/8,10.0.0.0/40").error().text.starts_with("'10.0.0.0/40'"));
}

TEST(CidrSet, StartsEmptyAndGrowsByOthers) {
  CidrSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(set.Contains(At("10.0.0.1")));
  EXPECT_FALSE(set.Contains(SocketAddress()));
  set.Add(*CidrSet::Parse("10.0.0.1"));
  set.Add(*CidrSet::Parse("unix"));
  EXPECT_FALSE(set.empty());
  EXPECT_TRUE(set.Contains(At("10.0.0.1")));
  EXPECT_TRUE(set.Contains(SocketAddress()));
}

}  // namespace
}  // namespace rum

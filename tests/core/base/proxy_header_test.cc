#include "base/proxy_header.h"

#include <gtest/gtest.h>

#include <string>

namespace rum {
namespace {

using Status = ProxyHeader::Status;

const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::string V2(uint8_t command, uint8_t family, const std::string& rest) {
  std::string out = kSignature;
  out += static_cast<char>(command);
  out += static_cast<char>(family);
  out += static_cast<char>(rest.size() >> 8);
  out += static_cast<char>(rest.size() & 0xff);
  return out + rest;
}

// 192.0.2.1:40112 to 198.51.100.7:3306.
const std::string kFour("\xc0\x00\x02\x01\xc6\x33\x64\x07\x9c\xb0\x0c\xea", 12);

ProxyEnds Ends(const char* source, uint16_t from, const char* destination, uint16_t to) {
  return {*SocketAddress::Numeric(source, from), *SocketAddress::Numeric(destination, to)};
}

void ExpectEnds(const ProxyHeader& header, const std::string& source,
                const std::string& destination) {
  ASSERT_EQ(header.status, Status::kGood) << header.fault;
  ASSERT_TRUE(header.ends);
  EXPECT_EQ(header.ends->source.text(), source);
  EXPECT_EQ(header.ends->destination.text(), destination);
}

// Whatever comes byte by byte is "more" until it is whole, and what stands behind it changes
// nothing.
void ExpectWhole(const std::string& bytes) {
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ParseProxyHeader(bytes.substr(0, size)).status, Status::kMore) << size;
  }
  for (const std::string& behind : {std::string(), std::string("x"), bytes}) {
    auto header = ParseProxyHeader(bytes + behind);
    EXPECT_EQ(header.status, Status::kGood) << header.fault;
    EXPECT_EQ(header.size, bytes.size());
  }
}

TEST(ProxyHeader, ReadsVersion1) {
  std::string four = "PROXY TCP4 192.0.2.1 198.51.100.7 40112 3306\r\n";
  ExpectEnds(ParseProxyHeader(four), "192.0.2.1:40112", "198.51.100.7:3306");
  ExpectWhole(four);
  std::string six = "PROXY TCP6 2001:db8::1 ::1 65535 0\r\n";
  ExpectEnds(ParseProxyHeader(six), "[2001:db8::1]:65535", "[::1]:0");
  ExpectWhole(six);
}

TEST(ProxyHeader, OfAnUnknownConnectionTellsNoAddress) {
  for (std::string text : {std::string("PROXY UNKNOWN\r\n"), std::string("PROXY UNKNOWN a b c\r\n"),
                           "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n"}) {
    ExpectWhole(text);
    EXPECT_FALSE(ParseProxyHeader(text).ends);
  }
}

TEST(ProxyHeader, OfVersion1MustBeWrittenAsTheProtocolSays) {
  for (const char* wrong : {"PROXY TCP4 192.0.2.1 198.51.100.7 40112\r\n",
                            "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n",
                            "PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n",
                            "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 \r\n",
                            "PROXY TCP4 192.0.2.1 198.51.100.7 65536 2\r\n",
                            "PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n",
                            "PROXY TCP4 192.0.2.1 198.51.100.7 -1 2\r\n",
                            "PROXY TCP4 192.0.2.1 198.51.100.7 +1 2\r\n",
                            "PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n",
                            "PROXY TCP4 ::1 ::1 1 2\r\n",
                            "PROXY TCP6 192.0.2.1 198.51.100.7 1 2\r\n",
                            "PROXY TCP5 192.0.2.1 198.51.100.7 1 2\r\n",
                            "PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n",
                            "PROXY tcp4 192.0.2.1 198.51.100.7 1 2\r\n",
                            "PROXY \r\n",
                            "PROXY UNKNOWNX\r\n",
                            "proxy ",
                            "PROXY\tTCP4",
                            "GET / HTTP/1.1\r\n",
                            "X",
                            "\r\nPROXY",
                            "\x16\x03\x01"}) {
    EXPECT_EQ(ParseProxyHeader(wrong).status, Status::kBad) << wrong;
    EXPECT_STRNE(ParseProxyHeader(wrong).fault, "") << wrong;
  }
}

TEST(ProxyHeader, OfVersion1HasAtMost107Bytes) {
  std::string most = "PROXY UNKNOWN " + std::string(91, 'x') + "\r\n";
  ASSERT_EQ(most.size(), ProxyHeader::kV1Most);
  std::string longer = "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n";
  EXPECT_EQ(ParseProxyHeader(longer).status, Status::kBad);
  EXPECT_EQ(ParseProxyHeader(longer.substr(0, 106)).status, Status::kMore);
  EXPECT_EQ(ParseProxyHeader(longer.substr(0, 107)).status, Status::kBad);
}

TEST(ProxyHeader, ReadsVersion2) {
  std::string four = V2(0x21, 0x11, kFour);
  ExpectEnds(ParseProxyHeader(four), "192.0.2.1:40112", "198.51.100.7:3306");
  ExpectWhole(four);
  std::string addresses(32, '\0');
  addresses[0] = 0x20, addresses[1] = 0x01, addresses[15] = 1, addresses[31] = 2;
  std::string six = V2(0x21, 0x21, addresses + std::string("\x9c\xb0\x0c\xea", 4));
  ExpectEnds(ParseProxyHeader(six), "[2001::1]:40112", "[::2]:3306");
  ExpectWhole(six);
}

TEST(ProxyHeader, OfVersion2MayHaveMoreBehindTheAddresses) {
  std::string text = V2(0x21, 0x11,
                        kFour + std::string("\x04\x00\x03"
                                            "abc",
                                            6));
  ExpectEnds(ParseProxyHeader(text), "192.0.2.1:40112", "198.51.100.7:3306");
  ExpectWhole(text);
  ExpectWhole(V2(0x21, 0x11, kFour + std::string(4096 - 12, 'x')));
  EXPECT_EQ(ParseProxyHeader(V2(0x21, 0x11, kFour + std::string(4097 - 12, 'x'))).status,
            Status::kBad);
  // Its length alone is enough to know.
  EXPECT_EQ(ParseProxyHeader(V2(0x20, 0x00, std::string(4097, 'x')).substr(0, 16)).status,
            Status::kBad);
}

TEST(ProxyHeader, OfVersion2TellsNoAddressForWhatIsNotTcp) {
  for (std::string text :
       {V2(0x20, 0x00, ""), V2(0x20, 0x11, kFour), V2(0x20, 0x21, ""), V2(0x21, 0x00, ""),
        V2(0x21, 0x00, "whatever"), V2(0x21, 0x12, kFour), V2(0x21, 0x22, std::string(36, 'x')),
        V2(0x21, 0x31, std::string(216, 'x')), V2(0x21, 0x32, std::string(216, 'x'))}) {
    ExpectWhole(text);
    EXPECT_FALSE(ParseProxyHeader(text).ends);
  }
}

TEST(ProxyHeader, OfVersion2MustBeWrittenAsTheProtocolSays) {
  for (std::string wrong :
       {V2(0x22, 0x11, kFour), V2(0x11, 0x11, kFour), V2(0x31, 0x11, kFour), V2(0x21, 0x13, kFour),
        V2(0x21, 0x41, kFour), V2(0x20, 0xff, kFour), V2(0x21, 0x11, kFour.substr(1)),
        V2(0x21, 0x21, std::string(35, 'x')), V2(0x21, 0x31, std::string(215, 'x'))}) {
    EXPECT_EQ(ParseProxyHeader(wrong).status, Status::kBad);
  }
  EXPECT_EQ(ParseProxyHeader("\r\n\r\n\1").status, Status::kBad);
}

TEST(ProxyHeader, ThatWasWrittenIsReadAgain) {
  for (auto version : {ProxyVersion::kV1, ProxyVersion::kV2}) {
    for (const ProxyEnds& ends :
         {Ends("192.0.2.1", 40112, "198.51.100.7", 3306), Ends("2001:db8::1", 1, "::1", 65535)}) {
      std::string text = BuildProxyHeader(version, ends);
      ExpectWhole(text);
      ExpectEnds(ParseProxyHeader(text), ends.source.text(), ends.destination.text());
    }
    // Of two families: the same addresses are told, both as IPv6.
    std::string mixed = BuildProxyHeader(version, Ends("192.0.2.1", 1, "2001:db8::1", 2));
    ExpectWhole(mixed);
    ExpectEnds(ParseProxyHeader(mixed), "192.0.2.1:1", "[2001:db8::1]:2");
    // A unix socket's client, and rum itself.
    for (const std::optional<ProxyEnds>& none :
         {std::optional<ProxyEnds>(), std::optional(ProxyEnds())}) {
      std::string text = BuildProxyHeader(version, none);
      ExpectWhole(text);
      EXPECT_FALSE(ParseProxyHeader(text).ends);
    }
  }
  EXPECT_EQ(BuildProxyHeader(ProxyVersion::kV1, Ends("192.0.2.1", 40112, "198.51.100.7", 3306)),
            "PROXY TCP4 192.0.2.1 198.51.100.7 40112 3306\r\n");
  EXPECT_EQ(BuildProxyHeader(ProxyVersion::kV1, std::nullopt), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(BuildProxyHeader(ProxyVersion::kV2, Ends("192.0.2.1", 40112, "198.51.100.7", 3306)),
            V2(0x21, 0x11, kFour));
  EXPECT_EQ(BuildProxyHeader(ProxyVersion::kV2, std::nullopt), V2(0x20, 0x00, ""));
}

// A proxy with a socket for both families tells its IPv4 clients so.
TEST(ProxyHeader, AnAddressThatOnlyWrapsAnIpv4OneIsThatOne) {
  ExpectEnds(ParseProxyHeader("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.7 40112 3306\r\n"),
             "192.0.2.1:40112", "198.51.100.7:3306");
  std::string wrapped(10, '\0');
  wrapped += std::string("\xff\xff\xc0\x00\x02\x01", 6);
  ExpectEnds(ParseProxyHeader(V2(0x21, 0x21, wrapped + wrapped + "\x9c\xb0\x0c\xea")),
             "192.0.2.1:40112", "192.0.2.1:3306");
}

}  // namespace
}  // namespace rum

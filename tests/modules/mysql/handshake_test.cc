#include "mysql/handshake.h"

#include <gtest/gtest.h>

#include "bytes.h"
#include "mysql/capabilities.h"
#include "mysql/packet.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;

// Greetings of real servers, with their headers.
const std::string kMySql97 = FromHex(
    "4b0000000a392e372e342d320008000000686253107c0d410100ffffff0200ffdf1500000000000000000000"
    "16310a64453120034b7d74120063616368696e675f736861325f70617373776f726400");
const std::string kMariaDb1011 = FromHex(
    "640000000a352e352e352d31302e31312e31392d4d6172696144422d302b6465623132753100030000005826"
    "534e6d59572b00fef7080200ff81150000000000001d0000006d643061764f653160703657006d7973716c5f"
    "6e61746976655f70617373776f726400");
// The SSLRequest of the mysql 9.7 client.
const std::string kSslRequest =
    FromHex("20000001 85aeff19 00000001 ff 0000000000000000000000000000000000000000000000");

Bytes Payload(const std::string& packet) { return AsBytes(packet).subspan(kHeaderSize); }

constexpr uint32_t kUsual = kLongPassword | kProtocol41 | kSecureConnection | kPluginAuth;

// The fixed part of a response with these flags, and what a test writes after it.
std::string ResponseOf(uint32_t capabilities, std::string_view rest) {
  PacketWriter writer;
  writer.WriteU32(capabilities).WriteU32(0x01000000).WriteU8(45).WriteZeroes(23).WriteText(rest);
  return writer.Finish(1).substr(kHeaderSize);
}

TEST(Greeting, ReadsMySql97) {
  auto greeting = ParseGreeting(Payload(kMySql97));
  ASSERT_TRUE(greeting.ok()) << greeting.why;
  EXPECT_EQ(greeting.value.version, "9.7.4-2");
  EXPECT_EQ(greeting.value.connection_id, 8u);
  EXPECT_EQ(greeting.value.capabilities, 0xdfffffffu);
  EXPECT_EQ(greeting.value.charset, 255);
  EXPECT_EQ(greeting.value.status, 2);
  EXPECT_EQ(AsText(greeting.value.nonce), FromHex("686253107c0d4101 16310a64453120034b7d7412"));
  EXPECT_EQ(greeting.value.plugin, "caching_sha2_password");
}

TEST(Greeting, ReadsMariaDb1011) {
  auto greeting = ParseGreeting(Payload(kMariaDb1011));
  ASSERT_TRUE(greeting.ok()) << greeting.why;
  EXPECT_EQ(greeting.value.version, "5.5.5-10.11.19-MariaDB-0+deb12u1");
  EXPECT_EQ(greeting.value.connection_id, 3u);
  EXPECT_EQ(greeting.value.capabilities, 0x1d81fff7feu);
  EXPECT_EQ(greeting.value.charset, 8);
  EXPECT_EQ(AsText(greeting.value.nonce), "X&SNmYW+md0avOe1`p6W");
  EXPECT_EQ(greeting.value.plugin, "mysql_native_password");
}

TEST(Greeting, IsWrittenAsMariaDbWritesIt) {
  auto greeting = ParseGreeting(Payload(kMariaDb1011));
  ASSERT_TRUE(greeting.ok());
  EXPECT_EQ(BuildGreeting(greeting.value), kMariaDb1011);
  greeting.value.capabilities |= kLongPassword;
  EXPECT_EQ(BuildGreeting(greeting.value), kMariaDb1011) << "the flag follows from the others";
}

TEST(Greeting, IsWrittenAsMySqlWritesIt) {
  auto greeting = ParseGreeting(Payload(kMySql97));
  ASSERT_TRUE(greeting.ok());
  EXPECT_EQ(BuildGreeting(greeting.value), kMySql97);
}

TEST(Greeting, LeavesThePluginOutWithoutItsFlag) {
  Greeting greeting;
  greeting.version = "5.1.73";
  greeting.capabilities = 0xf7df;
  greeting.plugin = kNativePlugin;
  std::string packet = BuildGreeting(greeting);
  EXPECT_EQ(packet.find("native"), packet.npos);
  auto read = ParseGreeting(Payload(packet));
  ASSERT_TRUE(read.ok()) << read.why;
  EXPECT_EQ(read.value.plugin, "");
}

TEST(Greeting, ReadsOneWithoutALastNul) {
  auto greeting = ParseGreeting(Payload(kMariaDb1011.substr(0, kMariaDb1011.size() - 1)));
  ASSERT_TRUE(greeting.ok());
  EXPECT_EQ(greeting.value.plugin, "mysql_native_password");
}

TEST(Greeting, RefusesOtherProtocols) {
  EXPECT_FALSE(ParseGreeting(AsBytes("\x09"
                                     "3.20.0\0"s))
                   .ok());
  EXPECT_FALSE(ParseGreeting(AsBytes("220 mail ESMTP")).ok());
  EXPECT_FALSE(ParseGreeting({}).ok());
}

TEST(Greeting, RefusesEveryCutOfItsFixedPart) {
  size_t fixed = kMariaDb1011.find("mysql_native") - kHeaderSize;
  for (size_t size = 0; size < fixed; ++size) {
    Exact bytes(AsText(Payload(kMariaDb1011)).substr(0, size));
    EXPECT_FALSE(ParseGreeting(bytes.get()).ok()) << size;
  }
}

TEST(Greeting, SurvivesEveryChange) {
  for (const std::string& packet : {kMySql97, kMariaDb1011}) {
    ForEachChange(AsText(Payload(packet)), [](Bytes bytes) { ParseGreeting(bytes); });
  }
}

TEST(Response, KnowsWhatIsToCome) {
  for (bool to_mysql : {false, true}) {
    auto kind = [&](Bytes payload) { return KindOfResponse(payload, to_mysql); };
    EXPECT_EQ(kind(Payload(kSslRequest)), ResponseKind::kSslRequest);
    EXPECT_EQ(kind(AsBytes(ResponseOf(kUsual | kSsl, "n\0\0\0"s))), ResponseKind::kProtocol41);
    EXPECT_EQ(kind(AsBytes(FromHex("0100ffffff") + "n\0abcdefgh\0"s)), ResponseKind::kTooOld);
    EXPECT_EQ(kind(AsBytes("\x01")), ResponseKind::kProtocol41);  // COM_QUIT
    EXPECT_EQ(kind({}), ResponseKind::kProtocol41);
    for (size_t size = 2; size < 32; ++size) {
      bool request = size == 4 && to_mysql;
      EXPECT_EQ(kind(Payload(kSslRequest).first(size)),
                request ? ResponseKind::kSslRequest : ResponseKind::kProtocol41)
          << size;
    }
  }
}

TEST(Response, ReadsEveryField) {
  std::string payload = ResponseOf(kUsual | kConnectWithDb | kConnectAttributes,
                                   "alice\0\x03tok"s + "shop\0"s + "mysql_native_password\0"s +
                                       "\x04\x01"
                                       "a\x01"
                                       "b");
  auto response = ParseResponse(AsBytes(payload));
  ASSERT_TRUE(response.ok()) << response.why;
  EXPECT_EQ(response.value.capabilities, kUsual | kConnectWithDb | kConnectAttributes);
  EXPECT_EQ(response.value.max_packet, 0x01000000u);
  EXPECT_EQ(response.value.charset, 45);
  EXPECT_EQ(response.value.user, "alice");
  EXPECT_EQ(response.value.auth, "tok");
  EXPECT_EQ(response.value.database, "shop");
  EXPECT_EQ(response.value.plugin, "mysql_native_password");
  EXPECT_EQ(response.value.attributes,
            "\x01"
            "a\x01"
            "b");
}

TEST(Response, ReadsNamesAsBytesAndEmptyNames) {
  auto response =
      ParseResponse(AsBytes(ResponseOf(kUsual | kConnectWithDb, "\xff\xc3\x28'\"%n\0\0\0\0"s)));
  ASSERT_TRUE(response.ok()) << response.why;
  EXPECT_EQ(response.value.user, "\xff\xc3\x28'\"%n");
  EXPECT_EQ(response.value.auth, "");
  EXPECT_EQ(response.value.database, "");
  EXPECT_EQ(response.value.plugin, "");
  EXPECT_EQ(ParseResponse(AsBytes(ResponseOf(kUsual, "\0\0\0"s))).value.user, "");
}

TEST(Response, ReadsEachCodingOfTheProof) {
  std::string long_token(300, 't');
  auto lenenc = ParseResponse(
      AsBytes(ResponseOf(kUsual | kLengthEncodedAuth, "n\0\xfc\x2c\x01"s + long_token + "p\0"s)));
  ASSERT_TRUE(lenenc.ok()) << lenenc.why;
  EXPECT_EQ(lenenc.value.auth, long_token);
  EXPECT_EQ(lenenc.value.plugin, "p");
  auto one_byte =
      ParseResponse(AsBytes(ResponseOf(kUsual, "n\0\xff"s + std::string(255, 't') + "p\0"s)));
  ASSERT_TRUE(one_byte.ok()) << one_byte.why;
  EXPECT_EQ(one_byte.value.auth, std::string(255, 't'));
  auto nul = ParseResponse(AsBytes(ResponseOf(kProtocol41 | kPluginAuth, "n\0abc\0p\0"s)));
  ASSERT_TRUE(nul.ok()) << nul.why;
  EXPECT_EQ(nul.value.auth, "abc");
  EXPECT_EQ(nul.value.plugin, "p");
}

TEST(Response, RefusesAFlagWithoutItsField) {
  EXPECT_FALSE(ParseResponse(AsBytes(ResponseOf(kUsual, "n\0"s))).ok());
  EXPECT_FALSE(ParseResponse(AsBytes(ResponseOf(kUsual | kConnectWithDb, "n\0\0"s))).ok());
  EXPECT_FALSE(ParseResponse(AsBytes(ResponseOf(kUsual | kConnectAttributes, "n\0\0p\0"s))).ok());
  EXPECT_FALSE(ParseResponse(AsBytes(ResponseOf(kUsual & ~kPluginAuth, ""))).ok());
  EXPECT_TRUE(ParseResponse(AsBytes(ResponseOf(kUsual & ~kPluginAuth, "n\0\0"s))).ok());
}

// The server's own reading; both kinds take it.
TEST(Response, MayLeaveOutTheNameOfThePluginAtItsEnd) {
  auto response = ParseResponse(AsBytes(ResponseOf(kUsual, "n\0\x01x"s)));
  ASSERT_TRUE(response.ok()) << response.why;
  EXPECT_EQ(response.value.plugin, "");
  EXPECT_EQ(response.value.auth, "x");
}

// As libmysqlclient, libmariadb and PyMySQL write it for a server that has neither.
TEST(Response, HasNoFieldsThatWereNotPromised) {
  constexpr uint32_t kSet = kUsual | kConnectWithDb | kConnectAttributes | kLengthEncodedAuth;
  auto left_out = ParseResponse(AsBytes(ResponseOf(kSet, "n\0\x01xshop\0"s)),
                                kProtocol41 | kSecureConnection | kConnectWithDb);
  ASSERT_TRUE(left_out.ok()) << left_out.why;
  EXPECT_EQ(left_out.value.database, "shop");
  EXPECT_EQ(left_out.value.plugin + left_out.value.attributes, "");
  EXPECT_EQ(left_out.value.capabilities, kSet);
  // Others write all that their flags say.
  auto there = ParseResponse(AsBytes(ResponseOf(kSet, "n\0\x01xshop\0plug\0\x04\1a\1b"s)),
                             kProtocol41 | kSecureConnection | kConnectWithDb);
  ASSERT_TRUE(there.ok()) << there.why;
  EXPECT_EQ(there.value.database, "shop");
}

TEST(Response, DoesWithoutTheLastNulAndIgnoresWhatFollows) {
  auto cut = ParseResponse(AsBytes(ResponseOf(kUsual, "n\0\0plug"s)));
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ(cut.value.plugin, "plug");
  auto more = ParseResponse(AsBytes(ResponseOf(kUsual, "n\0\0plug\0more"s)));
  ASSERT_TRUE(more.ok());
  EXPECT_EQ(more.value.plugin, "plug");
}

TEST(Response, RefusesLengthsThatLie) {
  for (const char* length :
       {"fb", "ff", "fc", "fc00", "fcffff", "fdffffff", "feffffffffffffffff", "14"}) {
    std::string payload = ResponseOf(kUsual | kLengthEncodedAuth, "n\0"s + FromHex(length) + "x");
    EXPECT_FALSE(ParseResponse(AsBytes(payload)).ok()) << length;
    payload = ResponseOf(kUsual | kConnectAttributes, "n\0\0p\0"s + FromHex(length) + "x");
    EXPECT_FALSE(ParseResponse(AsBytes(payload)).ok()) << length;
  }
}

TEST(Response, TakesAttributesOf65535BytesAndNotOfMore) {
  auto with = [](size_t size) {
    PacketWriter rest;
    std::string text =
        rest.WriteText("n\0\0p\0"s).WriteLength(size).WriteText(std::string(size, 'a')).Finish(0);
    return ParseResponse(
        AsBytes(ResponseOf(kUsual | kConnectAttributes, text.substr(kHeaderSize))));
  };
  auto most = with(65535);
  ASSERT_TRUE(most.ok()) << most.why;
  EXPECT_EQ(most.value.attributes.size(), 65535u);
  EXPECT_FALSE(with(65536).ok());
}

TEST(Response, RefusesEveryCutButThatOfTheLastString) {
  std::string payload = ResponseOf(kUsual | kConnectWithDb | kConnectAttributes,
                                   "alice\0\x03tok"s + "shop\0"s + "mysql_native_password\0"s +
                                       "\x04\x01"
                                       "a\x01"
                                       "b");
  ForEachCut(payload, [](Bytes cut) { EXPECT_FALSE(ParseResponse(cut).ok()) << cut.size(); });
  ForEachChange(payload, [](Bytes changed) {
    KindOfResponse(changed, true);
    auto response = ParseResponse(changed);
    if (response.ok()) {
      EXPECT_LE(response.value.user.size(), changed.size());
    }
  });
}

// What a server would read in what rum writes.
Response Again(const Response& response) {
  std::string packet = BuildResponse(response, 1);
  EXPECT_EQ(packet[3], 1);
  auto read = ParseResponse(Payload(packet));
  EXPECT_TRUE(read.ok()) << read.why;
  return read.value;
}

TEST(Response, IsWrittenInTheFormThatItsFlagsDemand) {
  Response response;
  response.user = "alice";
  response.auth = "token";
  response.database = "shop";
  response.plugin = "plug";
  response.attributes = std::string(300, 'a');
  response.charset = 8;
  response.max_packet = 77;
  response.zstd_level = 22;
  for (uint32_t bits = 0; bits < 32; ++bits) {
    response.capabilities = kProtocol41 | kSecureConnection | kLongPassword;
    if (bits & 16) response.capabilities |= kZstd;
    if (bits & 1) response.capabilities |= kConnectWithDb;
    if (bits & 2) response.capabilities |= kPluginAuth;
    if (bits & 4) response.capabilities |= kConnectAttributes;
    if (bits & 8) response.capabilities |= kLengthEncodedAuth;
    Response read = Again(response);
    EXPECT_EQ(read.capabilities, response.capabilities);
    EXPECT_EQ(read.user, "alice");
    EXPECT_EQ(read.auth, "token");
    EXPECT_EQ(read.charset, 8);
    EXPECT_EQ(read.max_packet, 77u);
    EXPECT_EQ(read.database, bits & 1 ? "shop" : "");
    EXPECT_EQ(read.plugin, bits & 2 ? "plug" : "");
    EXPECT_EQ(read.attributes, bits & 4 ? response.attributes : "");
    EXPECT_EQ(read.zstd_level, bits & 16 ? 22 : 0);
  }
}

TEST(Response, TellsMariaDbsFurtherCapabilitiesByTheMissingFlag) {
  Response response;
  response.capabilities = kProtocol41 | kSecureConnection | kBulkOperations | kCacheMetadata;
  for (std::string packet : {BuildResponse(response, 1), BuildSslRequest(response, 1)}) {
    EXPECT_EQ(packet[kHeaderSize] & 1, 0);
    EXPECT_EQ(packet.substr(kHeaderSize + 9, 19), std::string(19, '\0'));
    EXPECT_EQ(packet.substr(kHeaderSize + 28, 4), std::string("\x14\0\0\0", 4));
  }
  EXPECT_EQ(Again(response).capabilities, response.capabilities);
  std::string packet = BuildResponse(response, 1);
  packet[kHeaderSize] |= 1;
  auto read = ParseResponse(Payload(packet));
  ASSERT_TRUE(read.ok()) << read.why;
  EXPECT_EQ(read.value.capabilities, kProtocol41 | kSecureConnection | kLongPassword)
      << "a client of MySQL may leave anything there";
}

TEST(Response, DoesNotClaimThemWithoutNeed) {
  Response response;
  response.capabilities = kProtocol41 | kSecureConnection;
  std::string packet = BuildResponse(response, 1);
  EXPECT_EQ(packet[kHeaderSize] & 1, 1);
  EXPECT_EQ(packet.substr(kHeaderSize + 9, 23), std::string(23, '\0'));
}

// MariaDB 10.11 and 11.8 refuse these and no others of the 256.
TEST(Charset, ThatServersRefuseIsNoClients) {
  int count = 0;
  for (int charset = 0; charset < 256; ++charset) {
    count += CharsetOfNoClient(static_cast<uint8_t>(charset)).empty() ? 0 : 1;
  }
  EXPECT_EQ(count, 82);
  for (uint8_t charset : {8, 33, 45, 46, 63, 192, 224, 255}) {
    EXPECT_EQ(CharsetOfNoClient(charset), "") << int{charset};
  }
  EXPECT_EQ(CharsetOfNoClient(17), "filename");
  EXPECT_EQ(CharsetOfNoClient(54), "utf16");
  EXPECT_EQ(CharsetOfNoClient(62), "utf16le");
  EXPECT_EQ(CharsetOfNoClient(183), "utf32");
}

}  // namespace
}  // namespace rum::mysql

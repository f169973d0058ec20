// What rum adds to a login that it passes on: the proof that its certificate is meant, and who the
// client is.
#include "mysql/attributes.h"
#include "mysql/commands.h"
#include "mysql/ok_packet.h"
#include "tls_login.h"

namespace rum::mysql {
namespace {

const std::string kPublicKey =
    FromHex("648814444520e4f56043a2ec9215e63be7992d2d270bc6dee873e36164786096");
const std::string kSaltedKey =
    "P\0"s + FromHex("d95c9d33198ff42509e633f3ffd32e68b57b") + kPublicKey;
const std::string kSaltedKeyText =
    "parsec:P0:2VydMxmP9CUJ5jPz/9MuaLV7:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY";
const std::string kPublicKeyText = "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY";

class Vouching : public TlsLogin {
 protected:
  Vouching() {
    AddUser("curve", kPublicKeyText, "tcp:db1.internal:3306");
    AddUser("salted", kSaltedKeyText, "tcp:db1.internal:3306");
    Offer(RUM_TLS_ON);
  }

  static std::string Proof(const std::string& hash, const Nonce& scramble) {
    Fingerprint certificate;
    certificate.fill(0x5a);  // what the scripted host shows
    return *MakeCertificateProof(AsBytes(hash), scramble, certificate);
  }

  void ReachAnswer(const std::string& user, const std::string& plugin) {
    GreetByTls();
    RespondByTls(user, "");
    Connect();
    ServerSays(2, Asking(plugin));
    ClientHears();
    ClientSays(4, plugin == "parsec" ? "" : kProof);
    ServerHears();
  }

  // The client hears this in place of the server's OK, and the session is over.
  void ExpectOk(uint8_t sequence, const std::string& ok) {
    EXPECT_EQ(ClientHears(), Packet(sequence, ok));
    EXPECT_TRUE(LoggedIn());
    host.CloseByRum(RUM_CLOSE_KILLED);
  }

  static std::string OkWith(const std::string& info, const std::string& tail = {}) {
    return FromHex("00000002000000") + std::string(1, static_cast<char>(info.size())) + info + tail;
  }
};

TEST_F(Vouching, AnOkWithoutInfoGetsTheProofOfRumsCertificate) {
  ReachAnswer("alice", "mysql_native_password");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  ExpectOk(5, OkWith(Proof(kStoredBytes, kServerNonce)));
  EXPECT_EQ(host.metric("mysql_vouched_logins"), 1u);
}

TEST_F(Vouching, TheServersProofIsReplacedAndWhatFollowsStays) {
  ReachAnswer("alice", "mysql_native_password");
  ServerSays(4, OkWith("\1" + std::string(64, '0'), FromHex("03000102")));
  ExpectOk(5, OkWith(Proof(kStoredBytes, kServerNonce), FromHex("03000102")));
}

TEST_F(Vouching, OfRewrittenLoginsTheNonceIsRumsOwn) {
  Start({{"mysql-auth", "rewrite"}});
  GreetByTls();
  RespondByTls("alice", TokenFor(greeting.nonce));
  Connect();
  host.Feed(RUM_UPSTREAM, OkPacket(2));
  ExpectOk(3, OkWith(Proof(kStoredBytes, greeting.nonce)));
}

TEST_F(Vouching, OfRewrittenLoginsWithASwitchTheNonceIsThatOfTheSwitch) {
  Start({{"mysql-auth", "rewrite"}});
  GreetByTls();
  std::string response = ResponsePacket("alice", "", kClient, "caching_sha2_password");
  response[3] = 2;
  host.Feed(RUM_CLIENT, response);
  auto said = Split(ClientHears());
  ASSERT_EQ(said.size(), 1u);
  auto request = ParsePluginRequest(AsBytes(said[0].payload));
  Nonce nonce = ArrayOf<Nonce>(AsText(request.value.data.first(kNonceSize)));
  ClientSays(4, TokenFor(nonce));
  Connect();
  host.Feed(RUM_UPSTREAM, OkPacket(2));
  ExpectOk(5, OkWith(Proof(kStoredBytes, nonce)));
}

TEST_F(Vouching, OfEd25519TheNonceIsThatOfTheGreeting) {
  ReachAnswer("curve", "client_ed25519");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  ExpectOk(5, OkWith(Proof(kPublicKey, greeting.nonce)));
}

TEST_F(Vouching, OfParsecTheSaltAndItsRoundsAreInIt) {
  ReachAnswer("salted", "parsec");
  ServerSays(4, "\1P\0salt"s);
  ClientHears();
  ClientSays(6, std::string(96, 'p'));
  ServerHears();
  host.Feed(RUM_UPSTREAM, OkPacket(6));
  ExpectOk(7, OkWith(Proof(kSaltedKey, greeting.nonce)));
}

TEST_F(Vouching, WithoutAHashOfThePluginTheOkStaysAsItIs) {
  struct {
    const char* user;
    const char* plugin;
  } const cases[] = {{"plain", "mysql_native_password"},
                     {"alice", "client_ed25519"},
                     {"curve", "mysql_native_password"},
                     {"alice", "parsec"},
                     {"salted", "client_ed25519"},
                     {"salted", "mysql_native_password"},
                     {"curve", "parsec"}};
  const std::string ok = OkWith("\1" + std::string(64, '0'));
  for (const auto& one : cases) {
    ReachAnswer(one.user, one.plugin);
    ServerSays(4, ok);
    SCOPED_TRACE(std::string(one.user) + " " + one.plugin);
    ExpectOk(5, ok);
  }
  EXPECT_EQ(host.metric("mysql_vouched_logins"), 0u);
}

TEST_F(Vouching, WithoutTlsTheOkStaysAsItIs) {
  Greet();
  Respond("alice", "");
  Connect();
  ServerSwitches();
  ClientHears();
  ClientSays(3, "proof");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_EQ(ClientHears(), OkPacket(4));
}

TEST_F(Vouching, AnInfoOfAnotherKindAndAnOkOfAnotherFormStay) {
  for (const std::string& ok : {OkWith("welcome"), "\0\0\0\2\0\0\0\x50welcome"s, "\0\0"s, "\0"s}) {
    ReachAnswer("alice", "mysql_native_password");
    ServerSays(4, ok);
    ExpectOk(5, ok);
  }
}

TEST_F(Vouching, TheStoredSecretsAreNotShown) {
  ReachAnswer("curve", "client_ed25519");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  for (const Deed& deed : host.deeds()) {
    // The record goes back to rum alone.
    if (deed.kind == Deed::Kind::kSend || deed.kind == Deed::Kind::kAdmit) continue;
    EXPECT_EQ(deed.bytes.find(kPublicKeyText.substr(8)), std::string::npos);
  }
}

std::string Pair(const std::string& name, const std::string& value) {
  return std::string(1, static_cast<char>(name.size())) + name +
         std::string(1, static_cast<char>(value.size())) + value;
}

class ClientAttributes : public Login {
 protected:
  Response AttributesOf(const std::string& attributes, uint32_t capabilities,
                        uint64_t server = kServer) {
    Greet();
    Response response;
    response.capabilities = capabilities;
    response.user = "alice";
    response.plugin = "mysql_native_password";
    response.attributes = attributes;
    host.Feed(RUM_CLIENT, BuildResponse(response, 1));
    Response asked = Connect(server);
    host.CloseByRum(RUM_CLOSE_KILLED);
    return asked;
  }
};

TEST_F(ClientAttributes, TellTheServerWhoTheClientIs) {
  Start({{"mysql-client-attrs", "on"}});
  const std::string own = Pair("_client_name", "libmariadb");
  EXPECT_EQ(AttributesOf(own + Pair("_client_ip", "203.0.113.9"), kClient | kConnectAttributes)
                .attributes,
            Pair("_client_ip", "192.0.2.1") + Pair("_client_port", "40112") +
                Pair("_client_user", "alice") + own);
  host.peer[RUM_CLIENT] = "[2001:db8::7]:5";
  EXPECT_EQ(AttributesOf("", kClient | kConnectAttributes).attributes,
            Pair("_client_ip", "2001:db8::7") + Pair("_client_port", "5") +
                Pair("_client_user", "alice"));
  host.peer[RUM_CLIENT] = "unix:/run/rum.sock";
  EXPECT_EQ(AttributesOf("", kClient | kConnectAttributes).attributes,
            Pair("_client_ip", "localhost") + Pair("_client_user", "alice"));
}

TEST_F(ClientAttributes, AreLeftOutWhereTheyAreNotInForce) {
  Start({{"mysql-client-attrs", "on"}});
  Response asked = AttributesOf("", kClient);
  EXPECT_EQ(asked.capabilities & kConnectAttributes, 0u);
  EXPECT_EQ(asked.attributes, "");
  asked = AttributesOf(Pair("a", "b"), kClient | kConnectAttributes, kServer & ~kConnectAttributes);
  EXPECT_EQ(asked.capabilities & kConnectAttributes, 0u);
  EXPECT_EQ(asked.attributes, "");
}

TEST_F(ClientAttributes, TellTheServerWhoTheClientIsAfterAChangeOfTheUserToo) {
  Start({{"mysql-client-attrs", "on"}});
  constexpr uint32_t kWithAttributes = kClient | kConnectAttributes;
  const std::string own = Pair("program_name", "x");
  Greet();
  Respond("alice", "", kWithAttributes);
  Connect();
  ServerSwitches();
  ClientSays(3, "");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  ASSERT_TRUE(LoggedIn());
  for (int i = 0; i < 5; ++i) host.Feed(RUM_CLIENT, Packet(0, "\x03SELECT 1"));
  ServerHears();
  ChangeUser change;
  change.user = "plain";
  change.charset = 45;
  change.plugin = kNativePlugin;
  change.attributes = Pair("_client_ip", "203.0.113.9") + Pair("_client_user", "root") + own;
  host.Feed(RUM_CLIENT, BuildChangeUser(change, kWithAttributes));
  change.plugin = kNoPlugin;
  change.attributes = Pair("_client_ip", "192.0.2.1") + Pair("_client_port", "40112") +
                      Pair("_client_user", "plain") + own;
  GrantQuiet();
  EXPECT_EQ(ServerHears(), BuildChangeUser(change, kWithAttributes));
}

TEST_F(ClientAttributes, ThatAreNotInForceNeedNoWatch) {
  Start({{"mysql-client-attrs", "on"}});
  Greet();
  Respond("alice", "");
  Connect();
  ServerSwitches();
  ClientSays(3, "");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  for (int i = 0; i < 5; ++i) host.Feed(RUM_CLIENT, Packet(0, "\x03SELECT 1"));
  EXPECT_TRUE(host.relaying());
}

TEST_F(ClientAttributes, StayTheClientsOwnUnlessAskedFor) {
  const std::string own = Pair("_client_ip", "203.0.113.9");
  EXPECT_EQ(AttributesOf(own, kClient | kConnectAttributes).attributes, own);
}

}  // namespace
}  // namespace rum::mysql

// Passwords of sha2 plugins between a link with TLS and one without.
#include "mysql/own_key.h"
#include "mysql/rsa.h"
#include "tls_login.h"

namespace rum::mysql {
namespace {

const std::string kPassword = "secret\0"s;
const std::string kFull = "\1\4";

class Translation : public TlsLogin {
 protected:
  static void SetUpTestSuite() { server_key_ = RsaKey::Make().release(); }
  static void TearDownTestSuite() {
    delete server_key_;
    server_key_ = nullptr;
  }

  void TearDown() override {
    TlsLogin::TearDown();
    for (const Deed& deed : host.deeds()) {
      bool shown = deed.kind == Deed::Kind::kLog || deed.kind == Deed::Kind::kNote ||
                   deed.kind == Deed::Kind::kClose;
      EXPECT_TRUE(!shown || deed.bytes.find("secret") == std::string::npos);
    }
  }

  // A client with TLS has answered the switch of a server without.
  void AnswerByTls(const std::string& plugin, const std::string& answer) {
    Offer(RUM_TLS_ON);
    GreetByTls();
    RespondByTls("alice", "");
    Connect();
    ServerSays(2, Asking(plugin));
    EXPECT_EQ(ClientHears(), Packet(3, Asking(plugin)));
    ClientSays(4, answer);
  }

  // The same, and the server wants the password of caching_sha2_password itself.
  void ReachFullByTls() {
    AnswerByTls("caching_sha2_password", std::string(32, 'p'));
    EXPECT_EQ(ServerHears(), Packet(3, std::string(32, 'p')));
    ServerSays(4, kFull);
    EXPECT_EQ(ClientHears(), Packet(5, kFull));
  }

  // A client without TLS has answered the switch of a server with TLS.
  void AnswerPlain(const std::string& plugin, const std::string& answer) {
    Offer(RUM_TLS_OFF, RUM_TLS_REQUIRE);
    Greet();
    Respond("alice", "");
    ASSERT_TRUE(host.ConnectOutcome(0));
    host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer));
    ServerHears();
    host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
    ServerHears();
    ServerSays(3, Asking(plugin));
    EXPECT_EQ(ClientHears(), Packet(2, Asking(plugin)));
    ClientSays(3, answer);
  }

  void ReachFullPlain() {
    AnswerPlain("caching_sha2_password", std::string(32, 'p'));
    EXPECT_EQ(ServerHears(), Packet(4, std::string(32, 'p')));
    ServerSays(5, kFull);
    EXPECT_EQ(ClientHears(), Packet(4, kFull));
  }

  // What a client that asked for it hears: rum's key, PEM.
  std::string OwnKey(uint8_t sequence) {
    if (host.paused()) {
      EXPECT_TRUE(host.WaitResumed(60'000));
    }
    auto said = Split(ClientHears());
    EXPECT_EQ(said.size(), 1u);
    if (said.size() != 1) return {};
    EXPECT_EQ(said[0].sequence, sequence);
    EXPECT_EQ(said[0].payload[0], 1);
    return said[0].payload.substr(1);
  }

  std::string Decrypted(const std::string& cipher) {
    auto secret = server_key_->Decrypt(AsBytes(cipher), kServerNonce);
    return secret ? std::string(AsText(secret->get())) : "nothing";
  }

  static std::string Encrypted(const std::string& pem, const std::string& password) {
    return EncryptPassword(AsBytes(pem), AsBytes(password), kServerNonce).value;
  }

  void ExpectLoggedIn(uint8_t server, uint8_t client) {
    host.Feed(RUM_UPSTREAM, OkPacket(server));
    EXPECT_EQ(ClientHears(), OkPacket(client));
    EXPECT_TRUE(LoggedIn());
    host.CloseByRum(RUM_CLOSE_KILLED);
  }

  static const RsaKey* server_key_;
};
const RsaKey* Translation::server_key_ = nullptr;

TEST_F(Translation, EncryptsWhatCachingSha2SendsByTlsToAServerWithout) {
  ReachFullByTls();
  ClientSays(6, kPassword);
  EXPECT_EQ(ServerHears(), Packet(5, "\2"));
  ServerSays(6, "\1" + server_key_->pem());
  EXPECT_EQ(ClientHears(), "") << "the key is for rum";
  auto said = Split(ServerHears());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].sequence, 7);
  EXPECT_EQ(Decrypted(said[0].payload), kPassword);
  ExpectLoggedIn(8, 7);
  EXPECT_EQ(host.metric("mysql_translated_passwords"), 1u);
}

TEST_F(Translation, EncryptsWhatSha256SendsByTlsToAServerWithout) {
  AnswerByTls("sha256_password", kPassword);
  EXPECT_EQ(ServerHears(), Packet(3, "\1"));
  ServerSays(4, "\1" + server_key_->pem());
  auto said = Split(ServerHears());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].sequence, 5);
  EXPECT_EQ(Decrypted(said[0].payload), kPassword);
  ExpectLoggedIn(6, 5);
}

TEST_F(Translation, TheFastPathOfCachingSha2NeedsNone) {
  AnswerByTls("caching_sha2_password", std::string(32, 'p'));
  ServerHears();
  ServerSays(4, "\1\3");
  EXPECT_EQ(ClientHears(), Packet(5, "\1\3"));
  ExpectLoggedIn(5, 6);
  EXPECT_EQ(host.metric("mysql_translated_passwords"), 0u);
}

TEST_F(Translation, AnEmptyPasswordNeedsNone) {
  for (const char* plugin : {"caching_sha2_password", "sha256_password"}) {
    for (const std::string& empty : {""s, "\0"s}) {
      AnswerByTls(plugin, empty);
      EXPECT_EQ(ServerHears(), Packet(3, empty));
      ExpectLoggedIn(4, 5);
    }
  }
}

TEST_F(Translation, AUnixSocketIsSafeOnEitherSide) {
  host.peer[RUM_CLIENT] = "unix:/run/rum.sock";
  Greet();
  Respond("alice", "");
  Connect();
  ServerSays(2, Asking("sha256_password"));
  ClientHears();
  ClientSays(3, kPassword);
  EXPECT_EQ(ServerHears(), Packet(3, "\1"));
  host.CloseByRum(RUM_CLOSE_KILLED);

  host.peer[RUM_CLIENT] = "192.0.2.1:40112";
  host.peer[RUM_UPSTREAM] = "unix:/run/db.sock";
  Greet();
  Respond("alice", "");
  Connect();
  ServerSays(2, Asking("caching_sha2_password"));
  ClientHears();
  ClientSays(3, std::string(32, 'p'));
  ServerHears();
  ServerSays(4, kFull);
  ClientHears();
  ClientSays(5, "\2");
  EXPECT_EQ(ServerHears(), "");
  EXPECT_NE(OwnKey(6), "");
}

TEST_F(Translation, WithoutTlsOnEitherSideTheServersKeyIsPassedOn) {
  Greet();
  Respond("alice", "");
  Connect();
  ServerSays(2, Asking("caching_sha2_password"));
  ClientHears();
  ClientSays(3, std::string(32, 'p'));
  ServerHears();
  ServerSays(4, kFull);
  EXPECT_EQ(ClientHears(), Packet(4, kFull));
  ClientSays(5, "\2");
  EXPECT_EQ(ServerHears(), Packet(5, "\2"));
  ServerSays(6, "\1" + server_key_->pem());
  EXPECT_EQ(ClientHears(), Packet(6, "\1" + server_key_->pem()));
  ClientSays(7, std::string(256, 'c'));
  EXPECT_EQ(ServerHears(), Packet(7, std::string(256, 'c')));
  ExpectLoggedIn(8, 8);
}

TEST_F(Translation, ByTlsOnBothSidesThePasswordIsPassedOn) {
  Offer(RUM_TLS_ON);
  GreetByTls();
  RespondByTls("alice", "");
  ASSERT_TRUE(host.ConnectOutcome(0));
  host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer));
  host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
  ServerHears();
  ServerSays(3, Asking("sha256_password"));
  ClientHears();
  ClientSays(4, kPassword);
  EXPECT_EQ(ServerHears(), Packet(4, kPassword));
  ExpectLoggedIn(5, 5);
}

TEST_F(Translation, TheServersErrorInPlaceOfItsKeyReachesTheClient) {
  ReachFullByTls();
  ClientSays(6, kPassword);
  ServerHears();
  ServerSays(6, "\xff\x15\x04#28000Access denied");
  ExpectError(7, 1045, "28000", RUM_CLOSE_UPSTREAM_DENIED);
  EXPECT_NE(host.close_text().find("RSA key"), std::string::npos);
  EXPECT_EQ(ServerHears(), "") << "it has refused, and waits for nothing";
}

TEST_F(Translation, AServerWithoutAUsableKeyIsLeftWell) {
  for (const std::string& answer :
       {"\1"s, ""s, "\1not a key"s, "\0\0\0\2\0\0\0"s, "\1" + std::string(9000, 'k')}) {
    ReachFullByTls();
    ClientSays(6, kPassword);
    ServerHears();
    ServerSays(6, answer);
    ExpectError(7, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);
    EXPECT_EQ(ServerHears(), Packet(7, kWrongProof));
  }
}

TEST_F(Translation, APasswordThatDoesNotFitTheServersKeyIsRefused) {
  ReachFullByTls();
  ClientSays(6, std::string(300, 'x') + "\0"s);
  EXPECT_EQ(ServerHears(), Packet(5, "\2"));
  ServerSays(6, "\1" + server_key_->pem());
  ExpectError(7, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);

  ReachFullByTls();
  ClientSays(6, std::string(5000, 'x') + "\0"s);
  ExpectError(7, 1043, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
  EXPECT_EQ(ServerHears(), Packet(5, kWrongProof));
}

TEST_F(Translation, AClientThatLeavesBeforeTheServersKeyIsThere) {
  ReachFullByTls();
  ClientSays(6, kPassword);
  ServerHears();
  host.End(RUM_CLIENT);
  EXPECT_EQ(ServerHears(), "");
  ServerSays(6, "\1" + server_key_->pem());
  EXPECT_EQ(ServerHears(), Packet(7, kWrongProof)) << "no password for one who has left";
  ServerSays(8, BuildError({1045, "28000", "Access denied"}, 0).substr(4));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(Translation, GivesAClientWithoutTlsItsOwnKeyForCachingSha2) {
  ReachFullPlain();
  ClientSays(5, "\2");
  std::string pem = OwnKey(6);
  EXPECT_EQ(ServerHears(), "");
  ClientSays(7, Encrypted(pem, kPassword));
  EXPECT_EQ(ServerHears(), Packet(6, kPassword));
  ExpectLoggedIn(7, 8);
  EXPECT_EQ(host.metric("mysql_translated_passwords"), 1u);
}

TEST_F(Translation, GivesAClientWithoutTlsItsOwnKeyForSha256) {
  AnswerPlain("sha256_password", "\1");
  std::string pem = OwnKey(4);
  ClientSays(5, Encrypted(pem, kPassword));
  EXPECT_EQ(ServerHears(), Packet(4, kPassword));
  ExpectLoggedIn(5, 6);
}

TEST_F(Translation, HasOneKeyForEachServer) {
  AnswerPlain("sha256_password", "\1");
  std::string first = OwnKey(4);
  host.CloseByRum(RUM_CLOSE_KILLED);
  AnswerPlain("sha256_password", "\1");
  EXPECT_FALSE(host.paused());
  EXPECT_EQ(OwnKey(4), first);
  host.CloseByRum(RUM_CLOSE_KILLED);
  host.peer[RUM_UPSTREAM] = "10.6.6.6:3306";
  AnswerPlain("sha256_password", "\1");
  std::string second = OwnKey(4);
  EXPECT_NE(second, "");
  EXPECT_NE(second, first);
}

// Who owns a server could have what he reads on the wire of another's logins decrypted for it.
TEST_F(Translation, APasswordForOneServerIsNotDecryptedForAnother) {
  ReachFullPlain();
  ClientSays(5, "\2");
  std::string cipher = Encrypted(OwnKey(6), kPassword);
  ClientSays(7, cipher);
  EXPECT_EQ(ServerHears(), Packet(6, kPassword));
  host.CloseByRum(RUM_CLOSE_KILLED);

  host.peer[RUM_UPSTREAM] = "10.6.6.6:3306";
  ReachFullPlain();
  ClientSays(5, "\2");
  OwnKey(6);
  ClientSays(7, cipher);
  ExpectError(8, 1045, "28000", RUM_CLOSE_DENIED);
  EXPECT_EQ(ServerHears(), Packet(6, kWrongProof)) << "nothing of it";
}

TEST_F(Translation, ACipherThatIsNotForItsKeyIsAWrongPassword) {
  for (const std::string& wrong : {std::string(256, 'c'), ""s, kPassword, std::string(2000, 'x'),
                                   Encrypted(server_key_->pem(), kPassword)}) {
    ReachFullPlain();
    ClientSays(5, "\2");
    OwnKey(6);
    ClientSays(7, wrong);
    ExpectError(8, 1045, "28000", RUM_CLOSE_DENIED);
    EXPECT_EQ(ServerHears(), Packet(6, kWrongProof));
  }
}

TEST_F(Translation, AClientThatHasTheServersKeyAlreadyIsToldWhyItCannotLogIn) {
  ReachFullPlain();
  ClientSays(5, std::string(256, 'c'));
  ExpectError(6, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);
  EXPECT_EQ(ServerHears(), Packet(6, kWrongProof));
}

TEST_F(Translation, AServerThatLosesPatienceIsHeard) {
  ReachFullPlain();
  ClientSays(5, "\2");
  OwnKey(6);
  ServerSays(6, "\xff\x87\x04#08S01Got timeout reading communication packets");
  ExpectError(7, 1159, "08S01", RUM_CLOSE_UPSTREAM_DENIED);
}

TEST_F(Translation, ASecondFactorAfterATranslationIsJudgedAnew) {
  AnswerByTls("sha256_password", kPassword);
  ServerHears();
  ServerSays(4, "\1" + server_key_->pem());
  ServerHears();
  ServerSays(6, "\2mysql_clear_password\0"s);
  ExpectError(5, 1105, "08S01", RUM_CLOSE_UNSUPPORTED);
  EXPECT_EQ(ServerHears(), Packet(7, ""));
}

TEST_F(Translation, TwoFactorsByTlsGoOn) {
  Start({{"mysql-version", "mysql80"}});
  Offer(RUM_TLS_ON);
  GreetByTls();
  EXPECT_NE(greeting.capabilities & kMultiFactor, 0u);
  std::string response = ResponsePacket("alice", "", kClient | kMultiFactor);
  response[3] = 2;
  host.Feed(RUM_CLIENT, response);
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer | kMultiFactor));
  host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
  auto said = Split(ServerHears());
  ASSERT_EQ(said.size(), 2u);
  EXPECT_NE(ParseResponse(AsBytes(said[1].payload)).value.capabilities & kMultiFactor, 0u);
  ServerSays(3, Asking("caching_sha2_password"));
  ClientHears();
  ClientSays(4, std::string(32, 'p'));
  ServerHears();
  ServerSays(5, "\1\3");
  ClientHears();
  ServerSays(6, "\2mysql_clear_password\0"s);
  EXPECT_EQ(ClientHears(), Packet(6, "\2mysql_clear_password\0"s));
  ClientSays(7, "second\0"s);
  EXPECT_EQ(ServerHears(), Packet(7, "second\0"s));
  ExpectLoggedIn(8, 8);
  EXPECT_EQ(host.notes()["plugin"], "caching_sha2_password");
}

TEST_F(Translation, ServersWithoutTwoFactorsAreNotToldOfThem) {
  Start({{"mysql-version", "mysql80"}});
  Greet();
  Respond("alice", "", kClient | kMultiFactor);
  EXPECT_EQ(Connect(0x81ffffff & ~kSsl).capabilities & kMultiFactor, 0u);
}

}  // namespace
}  // namespace rum::mysql

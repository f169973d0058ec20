// TLS inside the protocol: asked for by the client, taken on to the server, and what may go where.
#include "tls_login.h"

namespace rum::mysql {
namespace {

class Tls : public TlsLogin {
 protected:
  // Up to the request for TLS that the server hears, which is read and left out.
  void ReachServersTls(const std::string& user = "alice", const std::string& auth = "") {
    GreetByTls();
    RespondByTls(user, auth);
    ASSERT_TRUE(host.ConnectOutcome(0));
    host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer));
    auto said = Split(ServerHears());
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].sequence, 1);
    EXPECT_EQ(KindOfResponse(AsBytes(said[0].payload), false), ResponseKind::kSslRequest);
    ASSERT_TRUE(host.tls_wanted(RUM_UPSTREAM));
  }
};

TEST_F(Tls, IsOfferedWhenRumHasIt) {
  Greet();
  EXPECT_EQ(greeting.capabilities & kSsl, 0u);
  host.CloseByRum(RUM_CLOSE_KILLED);
  Offer(RUM_TLS_ON);
  Greet();
  EXPECT_EQ(greeting.capabilities & kSsl, uint32_t{kSsl});
}

TEST_F(Tls, AClientThatLeavesWhereItIsNotOfferedMayRequireIt) {
  for (uint32_t mode : {RUM_TLS_OFF, RUM_TLS_ON}) {
    Offer(mode);
    Greet();
    host.End(RUM_CLIENT);
    EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
    EXPECT_EQ(host.close_text().find("may require TLS") != std::string::npos, mode == RUM_TLS_OFF);
  }
  // One that has answered wants what it gets.
  Offer(RUM_TLS_OFF);
  Greet();
  Respond("nobody", "12345678901234567890");
  host.End(RUM_CLIENT);
  host.Advance(10000);
  EXPECT_EQ(host.close_text().find("may require TLS"), std::string::npos);
}

TEST_F(Tls, IsNotOfferedInsideTls) {
  for (uint32_t mode : {RUM_TLS_ON, RUM_TLS_REQUIRE}) {
    Offer(mode);
    host.tls_listener = true;
    Greet();
    EXPECT_EQ(greeting.capabilities & kSsl, 0u);
    Respond("alice", "");
    EXPECT_TRUE(host.connecting());
    host.CloseByRum(RUM_CLOSE_KILLED);
  }
}

// A server takes the flag for the beginning of a handshake.
TEST_F(Tls, IsNotAskedForInsideTlsToTheServer) {
  AddUser("inside", "", "tls:db1.internal:3306");
  for (uint32_t mode : {RUM_TLS_OFF, RUM_TLS_MIRROR, RUM_TLS_REQUIRE, RUM_TLS_VERIFY}) {
    for (uint64_t server : {kServer, kTlsServer}) {
      Offer(RUM_TLS_ON, mode);
      GreetByTls();
      RespondByTls("inside", "");
      EXPECT_EQ(Connect(server).capabilities & kSsl, 0u) << mode;
      EXPECT_FALSE(host.tls_wanted(RUM_UPSTREAM)) << mode;
      // A password may go there.
      ServerSays(2, Asking("mysql_clear_password"));
      EXPECT_EQ(Split(ClientHears()).size(), 1u);
      EXPECT_FALSE(host.closed());
      host.CloseByRum(RUM_CLOSE_KILLED);
      ServerHears();
      ClientHears();
    }
  }
}

TEST_F(Tls, ALoginInsideTlsToTheServerIsLeftWithoutTheFlag) {
  AddUser("inside", "", "tls:db1.internal:3306");
  Greet();
  Respond("inside", "");
  host.ConnectOutcome(0);
  host.End(RUM_CLIENT);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer));
  auto said = Split(ServerHears());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(ParseResponse(AsBytes(said[0].payload)).value.capabilities & kSsl, 0u);
}

TEST_F(Tls, AProbeInsideTlsAsksForNoMore) {
  Offer(RUM_TLS_OFF, RUM_TLS_REQUIRE);
  ASSERT_TRUE(host.OpenProbe("tls:db1.internal:3306"));
  ASSERT_TRUE(host.ConnectOutcome(0));
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  EXPECT_FALSE(host.tls_wanted(RUM_UPSTREAM));
  EXPECT_EQ(Split(ServerHears()).size(), 1u);
  EXPECT_FALSE(host.closed());
}

TEST_F(Tls, LogsInByTlsOnBothSides) {
  Offer(RUM_TLS_ON);
  ReachServersTls("plain");
  EXPECT_EQ(host.notes()["tls"], "client");
  host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
  auto said = Split(ServerHears());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].sequence, 2);
  auto response = ParseResponse(AsBytes(said[0].payload));
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response.value.user, "plain");
  EXPECT_NE(response.value.capabilities & kSsl, 0u);
  ServerSwitches(3);
  EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 3));
  ClientSays(4, kProof);
  EXPECT_EQ(ServerHears(), Packet(4, kProof));
  host.Feed(RUM_UPSTREAM, OkPacket(5));
  EXPECT_EQ(ClientHears(), OkPacket(5));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Tls, RewritesByTls) {
  Start({{"mysql-auth", "rewrite"}});
  Offer(RUM_TLS_ON);
  GreetByTls();
  RespondByTls("alice", TokenFor(greeting.nonce));
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer));
  ServerHears();
  host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
  auto said = Split(ServerHears());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(ParseResponse(AsBytes(said[0].payload)).value.auth, TokenFor(kServerNonce));
}

TEST_F(Tls, NeverReadsWhatComesBehindTheRequestAsALogin) {
  Offer(RUM_TLS_ON);
  Greet();
  std::string smuggled = ResponsePacket("alice", "");
  smuggled[3] = 2;
  host.Feed(RUM_CLIENT, SslRequest() + smuggled);
  EXPECT_TRUE(host.tls_wanted(RUM_CLIENT));
  EXPECT_EQ(host.user(), "");
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), "");
  ASSERT_FALSE(host.deeds().empty());
  EXPECT_EQ(host.deeds().back().kind, Deed::Kind::kTlsInput);
  EXPECT_EQ(host.deeds().back().bytes, smuggled);
}

TEST_F(Tls, ARequestInsideTlsIsABadHandshake) {
  Offer(RUM_TLS_ON);
  GreetByTls();
  host.Feed(RUM_CLIENT, SslRequest(2));
  ExpectError(3, 1043, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
}

TEST_F(Tls, ClientsWithoutItAreRefusedWhenItIsRequired) {
  Offer(RUM_TLS_REQUIRE);
  Greet();
  Respond("alice", "");
  ExpectError(2, 3159, "HY000", RUM_CLOSE_DENIED);
  EXPECT_EQ(host.user(), "");
}

TEST_F(Tls, AUnixSocketIsSafeEnough) {
  Offer(RUM_TLS_REQUIRE);
  host.peer[RUM_CLIENT] = "unix:/run/rum.sock";
  Greet();
  Respond("alice", "");
  EXPECT_TRUE(host.connecting());
}

TEST_F(Tls, SaysNothingIntoAHandshake) {
  Offer(RUM_TLS_ON);
  Greet();
  host.Feed(RUM_CLIENT, SslRequest());
  host.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT);
  EXPECT_EQ(ClientHears(), "");
  Greet();
  host.Feed(RUM_CLIENT, SslRequest());
  host.TlsOutcome(RUM_CLIENT, RUM_E_FAILED);
  EXPECT_EQ(ClientHears(), "");
  EXPECT_EQ(host.closed(), RUM_CLOSE_TLS);
}

TEST_F(Tls, MirrorKeepsPlainClientsPlain) {
  Offer(RUM_TLS_ON);
  Greet();
  Respond("alice", "");
  Connect(kTlsServer);
  EXPECT_FALSE(host.tls_wanted(RUM_UPSTREAM));
}

TEST_F(Tls, IsUsedTowardsServersWhenItIsRequired) {
  Offer(RUM_TLS_OFF, RUM_TLS_REQUIRE);
  Greet();
  Respond("alice", "");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer));
  EXPECT_TRUE(host.tls_wanted(RUM_UPSTREAM));
  ServerHears();
  host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
  // The server's numbers are one ahead of the client's.
  EXPECT_EQ(Split(ServerHears())[0].sequence, 2);
  ServerSwitches(3);
  EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 2));
  ClientSays(3, kProof);
  EXPECT_EQ(ServerHears(), Packet(4, kProof));
}

TEST_F(Tls, AServerWithoutItIsRefusedWhenItIsRequired) {
  Offer(RUM_TLS_OFF, RUM_TLS_VERIFY);
  Greet();
  Respond("alice", "");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  ExpectError(2, 1105, "08S01", RUM_CLOSE_UNSUPPORTED);
  EXPECT_NE(error.text.find("TLS"), std::string::npos);
  EXPECT_EQ(Split(ServerHears()).size(), 2u);  // the farewell
}

TEST_F(Tls, TheClientIsToldThatTheServersTlsFailed) {
  Offer(RUM_TLS_ON);
  ReachServersTls();
  host.TlsOutcome(RUM_UPSTREAM, RUM_E_FAILED);
  ExpectError(3, 1105, "08S01", RUM_CLOSE_TLS);
  EXPECT_NE(error.text.find("TLS"), std::string::npos);
  EXPECT_EQ(ServerHears(), "");
}

TEST_F(Tls, ProofsMayGoOnWithoutTlsAndPasswordsMayNot) {
  Offer(RUM_TLS_ON);
  for (const char* plugin : {"mysql_native_password", "client_ed25519", "parsec",
                             "caching_sha2_password", "sha256_password"}) {
    GreetByTls();
    RespondByTls("alice", "");
    Connect();  // without TLS
    ServerSays(2, Asking(plugin));
    EXPECT_EQ(Split(ClientHears()).size(), 1u) << plugin;
    host.CloseByRum(RUM_CLOSE_KILLED);
    ClientHears();
  }
  for (const char* plugin : {"mysql_clear_password", "dialog", "new_one"}) {
    GreetByTls();
    RespondByTls("alice", "");
    Connect();
    ServerSays(2, Asking(plugin));
    ExpectError(3, 1105, "08S01", RUM_CLOSE_UNSUPPORTED);
    EXPECT_EQ(ServerHears(), Packet(3, "")) << plugin;
  }
}

TEST_F(Tls, ASecondFactorInTheClearMayNotGoOnWithoutTls) {
  Offer(RUM_TLS_ON);
  GreetByTls();
  RespondByTls("alice", "");
  Connect();
  ServerSays(2, Asking("mysql_native_password"));
  ClientHears();
  ClientSays(4, kProof);
  ServerHears();
  ServerSays(4, "\x02mysql_clear_password\0"s);
  ExpectError(5, 1105, "08S01", RUM_CLOSE_UNSUPPORTED);
  EXPECT_EQ(ServerHears(), Packet(5, ""));
}

TEST_F(Tls, PasswordsMayGoOnToAUnixSocketAndByTls) {
  Offer(RUM_TLS_ON);
  host.peer[RUM_UPSTREAM] = "unix:/run/db.sock";
  for (const char* plugin : {"mysql_clear_password", "dialog", "new_one"}) {
    GreetByTls();
    RespondByTls("alice", "");
    Connect();
    ServerSays(2, Asking(plugin));
    EXPECT_EQ(ClientHears(), Packet(3, Asking(plugin)));
    ClientSays(4, "password\0"s);
    EXPECT_EQ(ServerHears(), Packet(3, "password\0"s));
    host.CloseByRum(RUM_CLOSE_KILLED);
    ClientHears();
  }
}

TEST_F(Tls, AServerThatAsksForNoPluginGetsNoPasswordWithoutTls) {
  Offer(RUM_TLS_ON);
  GreetByTls();
  RespondByTls("alice", "");
  Connect();
  ServerSays(2, "\x01Password: ");
  ExpectError(3, 1105, "08S01", RUM_CLOSE_UNSUPPORTED);
}

TEST_F(Tls, AfterAProofNoOtherPluginMayAskForThePassword) {
  Offer(RUM_TLS_ON);
  GreetByTls();
  RespondByTls("alice", "");
  Connect();
  ServerSays(2,
             "\xfe"
             "client_ed25519\0nonce"s);
  ClientHears();
  ClientSays(4, kProof);
  ServerSays(4,
             "\xfe"
             "dialog\0"s);
  ExpectError(5, 1105, "08S01", RUM_CLOSE_UNSUPPORTED);
}

TEST_F(Tls, APlainClientDecidesItself) {
  Offer(RUM_TLS_ON);
  Greet();
  Respond("alice", "");
  Connect();
  ServerSays(2, Asking("mysql_clear_password"));
  EXPECT_EQ(ClientHears(), Packet(2, Asking("mysql_clear_password")));
  ClientSays(3, "password\0"s);
  EXPECT_EQ(ServerHears(), Packet(3, "password\0"s));
}

TEST_F(Tls, AClientThatLeavesDuringTheServersHandshakeWaitsForIt) {
  Offer(RUM_TLS_ON);
  ReachServersTls();
  host.End(RUM_CLIENT);
  EXPECT_FALSE(host.closed());
  EXPECT_EQ(ServerHears(), "");
  host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
  auto said = Split(ServerHears());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].sequence, 2);
  EXPECT_EQ(ParseResponse(AsBytes(said[0].payload)).value.user, "rum_client_has_left");
  ServerSays(3, BuildError({1045, "28000", "Access denied"}, 0).substr(4));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

// Servers read what is behind the request by its flags, and count what does not fit them as an
// error of the address.
class SameFlags : public Tls {
 protected:
  // The whole login up to the server's TLS; what the server hears first inside it.
  Response Behind(Response response, bool leaves) {
    GreetByTls();
    host.Feed(RUM_CLIENT, BuildResponse(response, 2));
    EXPECT_TRUE(host.ConnectOutcome(0));
    host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer));
    std::string request = ServerHears();
    if (leaves) host.End(RUM_CLIENT);
    EXPECT_TRUE(host.TlsOutcome(RUM_UPSTREAM, RUM_OK));
    std::string said = ServerHears();
    EXPECT_EQ(request.size(), 36u);
    EXPECT_EQ(said.substr(4, 32), request.substr(4)) << "flags, size of packets, character set";
    auto parsed = ParseResponse(AsBytes(said).subspan(kHeaderSize));
    EXPECT_TRUE(parsed.ok()) << parsed.why;
    host.CloseByRum(RUM_CLOSE_KILLED);
    ClientHears();
    ServerHears();
    return parsed.value;
  }

  Response FullResponse() {
    Response response;
    response.capabilities = kClient | kConnectWithDb | kConnectAttributes | kLengthEncodedAuth;
    response.max_packet = 1234567;
    response.charset = 8;
    response.user = "alice";
    response.auth = kProof;
    response.database = "shop";
    response.plugin = kNativePlugin;
    response.attributes = "\1a\1b";
    return response;
  }
};

TEST_F(SameFlags, StandInTheRequestForTlsAndBehindIt) {
  Start({{"mysql-client-attrs", "on"}});
  Offer(RUM_TLS_ON);
  Response heard = Behind(FullResponse(), false);
  EXPECT_EQ(heard.database, "shop");
  EXPECT_EQ(heard.plugin, kNoPlugin);
  EXPECT_GT(heard.attributes.size(), FullResponse().attributes.size());
}

TEST_F(SameFlags, StandThereWhenTheDatabaseIsPutOff) {
  Offer(RUM_TLS_ON);
  Response response = FullResponse();
  response.database = "sh\xc3\xb6p";
  Response heard = Behind(response, false);
  EXPECT_EQ(heard.capabilities & kConnectWithDb, 0u);
  EXPECT_EQ(heard.plugin, kNoPlugin);
}

TEST_F(SameFlags, StandThereForAClientWithoutPlugins) {
  for (const char* mode : {"rewrite", "relay"}) {
    ScriptedHost::Options options = {{"mysql-auth", mode}};
    ASSERT_TRUE(mode[2] == 'w' ? host.Start(options).ok() : host.Reload(options).ok());
    Offer(RUM_TLS_ON);
    Response response = FullResponse();
    response.capabilities &= ~uint64_t{kPluginAuth};
    GreetByTls();
    response.auth = TokenFor(greeting.nonce);
    host.Feed(RUM_CLIENT, BuildResponse(response, 2));
    EXPECT_TRUE(host.ConnectOutcome(0));
    host.Feed(RUM_UPSTREAM, ServerGreeting(kTlsServer));
    std::string request = ServerHears();
    EXPECT_TRUE(host.TlsOutcome(RUM_UPSTREAM, RUM_OK));
    std::string said = ServerHears();
    EXPECT_EQ(said.substr(4, 32), request.substr(4)) << mode;
    auto parsed = ParseResponse(AsBytes(said).subspan(kHeaderSize));
    EXPECT_EQ(parsed.value.attributes, response.attributes);
    EXPECT_EQ((parsed.value.capabilities & kPluginAuth) != 0, mode[2] == 'l');
    host.CloseByRum(RUM_CLOSE_KILLED);
    ClientHears();
    ServerHears();
  }
}

TEST_F(SameFlags, StandThereWhenTheClientHasLeft) {
  Offer(RUM_TLS_ON);
  Response heard = Behind(FullResponse(), true);
  EXPECT_EQ(heard.user, "rum_client_has_left");
  EXPECT_EQ(heard.database, "");
  EXPECT_EQ(heard.attributes, "");
  EXPECT_EQ(heard.plugin, kNoPlugin);
}

// Another name ends there with error 2059.
TEST_F(Tls, MySqlRouterIsToldAPluginThatItKnows) {
  server_version = "9.7.4-router";
  for (bool leaves : {false, true}) {
    Offer(RUM_TLS_ON);
    ReachServersTls("plain");
    if (leaves) host.End(RUM_CLIENT);
    host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
    auto said = Split(ServerHears());
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(ParseResponse(AsBytes(said[0].payload)).value.plugin, "sha256_password");
    host.CloseByRum(RUM_CLOSE_KILLED);
    ClientHears();
    ServerHears();
  }
}

TEST_F(Tls, IsAskedForByFourBytesWhereMySqlIsGreetedFor) {
  const std::string request = Packet(1, FromHex("85ae0f00"));
  Start({{"mysql-version", "mysql80"}});
  Offer(RUM_TLS_ON);
  Greet();
  host.Feed(RUM_CLIENT, request);
  EXPECT_TRUE(host.TlsOutcome(RUM_CLIENT, RUM_OK));
  RespondByTls("plain", "");
  EXPECT_TRUE(host.connecting());
  host.CloseByRum(RUM_CLOSE_KILLED);
  ClientHears();
  ASSERT_TRUE(host.Reload({{"mysql-version", "mariadb1011"}}).ok());
  Greet();
  host.Feed(RUM_CLIENT, request);
  ExpectError(2, 1043, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
}

}  // namespace
}  // namespace rum::mysql

// Logins that server and client agree on, and how they are left.
#include "login.h"
#include "mysql/exchange.h"

namespace rum::mysql {
namespace {

const std::string kDenial = BuildError({1045, "28000", "Access denied"}, 0).substr(4);

class Relay : public Login {
 protected:
  // Up to the server's switch, which the client has seen.
  void ReachSwitch(uint32_t capabilities = kClient) {
    Greet();
    Respond("alice", TokenFor(greeting.nonce), capabilities);
    Connect();
    ServerSwitches();
    EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 2));
  }
};

TEST_F(Relay, GreetsAtOnceInItsOwnName) {
  Greet();
  EXPECT_EQ(greeting.version, "5.5.5-10.11.0-MariaDB");
  EXPECT_EQ(greeting.capabilities, 0x81fff7dfu);
  EXPECT_EQ(greeting.charset, 45);
  EXPECT_EQ(greeting.status, 2);
  EXPECT_EQ(greeting.plugin, "mysql_native_password");
  EXPECT_GE(greeting.connection_id, 0x40000001u);
  EXPECT_LT(greeting.connection_id, 0x80000000u);
}

TEST_F(Relay, EachSessionHasItsOwnIdAndNonce) {
  Greet();
  Greeting first = greeting;
  host.CloseByRum(RUM_CLOSE_KILLED);
  Greet();
  EXPECT_NE(greeting.connection_id, first.connection_id);
  EXPECT_NE(AsText(greeting.nonce), AsText(first.nonce));
}

TEST_F(Relay, LetsServerAndClientAgreeByOneSwitch) {
  Greet();
  Respond("alice", TokenFor(greeting.nonce));
  EXPECT_EQ(host.user(), "alice");
  EXPECT_EQ(host.connecting(), "tcp:db1.internal:3306");
  Response asked = Connect();
  EXPECT_EQ(asked.user, "alice");
  EXPECT_EQ(asked.plugin, "rum_has_no_plugin");
  EXPECT_EQ(asked.auth, std::string(20, '\0'));
  ServerSwitches();
  EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 2));
  ClientSays(3, TokenFor(kServerNonce));
  EXPECT_EQ(ServerHears(), Packet(3, TokenFor(kServerNonce)));
  EXPECT_FALSE(LoggedIn());
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_EQ(ClientHears(), OkPacket(4));
  EXPECT_TRUE(LoggedIn());
  EXPECT_EQ(host.notes()["auth"], "relay");
  EXPECT_EQ(host.notes()["plugin"], "mysql_native_password");
  EXPECT_EQ(host.metric("mysql_relayed_logins"), 1u);
}

TEST_F(Relay, WorksWhenEveryByteComesAlone) {
  Greet();
  for (char byte : ResponsePacket("alice", "")) host.Feed(RUM_CLIENT, {&byte, 1});
  ASSERT_TRUE(host.ConnectOutcome(0));
  for (char byte : ServerGreeting()) host.Feed(RUM_UPSTREAM, {&byte, 1});
  EXPECT_EQ(Split(ServerHears()).size(), 1u);
  for (char byte : BuildNativeSwitch(kServerNonce, 2)) host.Feed(RUM_UPSTREAM, {&byte, 1});
  EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 2));
  for (char byte : Packet(3, kProof)) host.Feed(RUM_CLIENT, {&byte, 1});
  EXPECT_EQ(ServerHears(), Packet(3, kProof));
  for (char byte : OkPacket(4)) host.Feed(RUM_UPSTREAM, {&byte, 1});
  EXPECT_EQ(ClientHears(), OkPacket(4));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Relay, PassesOnWhatTheClientSentTooEarly) {
  ReachSwitch();
  std::string query = Packet(0, "\x03SELECT 1");
  host.Feed(RUM_CLIENT, Packet(3, TokenFor(kServerNonce)) + query);
  EXPECT_EQ(ServerHears(), Packet(3, TokenFor(kServerNonce)));
  EXPECT_EQ(host.unconsumed(RUM_CLIENT), query);
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_EQ(ServerHears(), query);
}

TEST_F(Relay, FindsAnAnswerThatCameBeforeTheQuestion) {
  Greet();
  host.Feed(RUM_CLIENT, ResponsePacket("alice", "") + Packet(3, kProof));
  Connect();
  ServerSwitches();
  EXPECT_EQ(ServerHears(), Packet(3, kProof));
}

TEST_F(Relay, FastAuthNeedsNoAnswer) {
  ReachSwitch();
  ClientSays(3, "hash");
  ServerHears();
  host.Feed(RUM_UPSTREAM, Packet(4, FromHex("0103")) + OkPacket(5));
  EXPECT_EQ(ClientHears(), Packet(4, FromHex("0103")) + OkPacket(5));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Relay, FullAuthTakesAnAnswerForEachQuestion) {
  Greet();
  Respond("alice", "");
  Connect();
  ServerSays(2,
             "\xfe"
             "caching_sha2_password\0servers-nonce-server\0"s);
  ClientSays(3, "hash");
  ServerSays(4, FromHex("0104"));
  ClientSays(5, "\x02");
  ServerSays(6, "\x01-----BEGIN PUBLIC KEY-----");
  ClientSays(7, std::string(256, 'x'));
  EXPECT_EQ(ServerHears(),
            Packet(3, "hash") + Packet(5, "\x02") + Packet(7, std::string(256, 'x')));
  ServerSays(8, "\x02second_factor");
  ClientSays(9, "");
  EXPECT_EQ(ServerHears(), Packet(9, ""));
  host.Feed(RUM_UPSTREAM, OkPacket(10));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Relay, SaysNothingAfterTheLogin) {
  ReachSwitch();
  ClientSays(3, "");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  ClientHears();
  ServerHears();
  host.CloseByRum(RUM_CLOSE_DRAIN);
  EXPECT_EQ(ClientHears(), "");
  EXPECT_EQ(ServerHears(), "");
}

TEST_F(Relay, AUserWithoutPasswordLogsIn) {
  ReachSwitch();
  ClientSays(3, "");
  EXPECT_EQ(ServerHears(), Packet(3, ""));
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Relay, AClientWithoutPluginsIsTrustedToKnowTheSwitch) {
  Greet();
  Respond("plain", "12345678901234567890", kOldClient);
  Response asked = Connect();
  EXPECT_NE(asked.capabilities & kPluginAuth, 0u);
  EXPECT_EQ(asked.plugin, "rum_has_no_plugin");
  ServerSwitches();
  EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 2));
}

TEST_F(Relay, AClientWithoutPluginsIsNotAskedForAnotherOne) {
  for (const char* plugin : {"client_ed25519", "caching_sha2_password", "mysql_clear_password"}) {
    Greet();
    Respond("plain", "12345678901234567890", kOldClient);
    Connect();
    host.Feed(RUM_UPSTREAM, Packet(2, "\xfe"s + plugin + "\0servers-nonce-server\0"s));
    auto said = Split(ClientHears());
    ASSERT_EQ(said.size(), 1u) << plugin;
    auto error = ParseError(AsBytes(said[0].payload));
    ASSERT_TRUE(error.ok()) << error.why;
    EXPECT_EQ(error.value.code, 1251) << plugin;
    // The server is not left in the middle of the login.
    EXPECT_EQ(ServerHears(), Packet(3, *WrongProof(KindOfPlugin(plugin), 0))) << plugin;
  }
}

TEST_F(Relay, NeverSendsTheClientsFirstProofOn) {
  for (const char* plugin : {"mysql_native_password", "mysql_clear_password", "dialog", ""}) {
    Greet();
    Respond("alice", "hunter2hunter2", kClient, plugin);
    Response asked = Connect();
    EXPECT_EQ(asked.auth.find("hunter"), std::string::npos) << plugin;
    bool shows_length = plugin == "mysql_native_password"s || plugin == ""s;
    EXPECT_EQ(asked.auth.size(), shows_length ? 14u : 0u) << plugin;
    host.CloseByRum(RUM_CLOSE_KILLED);
  }
}

TEST_F(Relay, MasksCapabilitiesThreeWays) {
  Greet();
  Response response;
  // MULTI_STATEMENTS is in force everywhere. QUERY_ATTRIBUTES (27) and ZSTD (26) were not offered,
  // and the server has them.
  response.capabilities = kClient | kConnectWithDb | kConnectAttributes | kLengthEncodedAuth |
                          kMultiStatements | kFoundRows | 1u << 27 | 1u << 26;
  response.user = "alice";
  response.auth = "12345678901234567890";
  response.database = "shop";
  response.plugin = "mysql_native_password";
  response.attributes =
      "\x01"
      "a\x01"
      "b";
  response.charset = 8;
  response.max_packet = 12345;
  ASSERT_TRUE(host.Feed(RUM_CLIENT, BuildResponse(response, 1) + "\x03"));
  Response asked = Connect((kServer | 1u << 27 | 1u << 26) &
                           ~(kConnectAttributes | kLengthEncodedAuth | kFoundRows));
  EXPECT_EQ(asked.capabilities, kClient | kConnectWithDb | kMultiStatements);
  EXPECT_EQ(asked.database, "shop");
  EXPECT_EQ(asked.attributes, "");
  EXPECT_EQ(asked.auth.size(), 20u);
  EXPECT_EQ(asked.charset, 8);
  EXPECT_EQ(asked.max_packet, 12345u);
}

TEST_F(Relay, PassesAttributesOf64KiB) {
  Greet();
  Response response;
  response.capabilities = kClient | kConnectAttributes | kLengthEncodedAuth;
  response.user = "alice";
  response.attributes = std::string(65535, 'a');
  ASSERT_TRUE(host.Feed(RUM_CLIENT, BuildResponse(response, 1)));
  EXPECT_EQ(Connect().attributes, response.attributes);
}

// MariaDB counts a name that is wrong in the client's character set as an error of the address.
class Database : public Relay {
 protected:
  static constexpr uint32_t kWithDatabase = kClient | kConnectWithDb;

  static std::string WithDatabase(const std::string& name, uint32_t capabilities = kWithDatabase) {
    Response response;
    response.capabilities = capabilities;
    response.user = "alice";
    response.database = name;
    response.plugin = kNativePlugin;
    return BuildResponse(response, 1);
  }

  // Up to the server's OK, when it has been told no database.
  void ReachOk() {
    Greet();
    host.Feed(RUM_CLIENT, WithDatabase("sh\xc3\xb6p"));
    EXPECT_EQ(Connect().capabilities & kConnectWithDb, 0u);
    ServerSwitches();
    ClientSays(3, "");
    ServerHears();
    ClientHears();
    host.Feed(RUM_UPSTREAM, OkPacket(4));
    EXPECT_EQ(ClientHears(), "");
    EXPECT_EQ(ServerHears(), Packet(0, "\x02sh\xc3\xb6p"));
  }
};

TEST_F(Database, WhoseNameIsNotAsciiIsChosenBehindTheLogin) {
  ReachOk();
  EXPECT_FALSE(LoggedIn());
  host.Feed(RUM_UPSTREAM, Packet(1, FromHex("00000002000000 77")));
  EXPECT_EQ(ClientHears(), OkPacket(4));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Database, ThatCannotBeChosenEndsTheLogin) {
  ReachOk();
  ServerSays(1, "\xff\x14\x04#42000Access denied to database");
  ExpectError(4, 1044, "42000", RUM_CLOSE_UPSTREAM_DENIED);
  EXPECT_EQ(ServerHears(), Packet(0, "\1")) << "COM_QUIT";
}

TEST_F(Database, IsNotWaitedForByAClientThatHasLeft) {
  ReachOk();
  host.End(RUM_CLIENT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
  EXPECT_EQ(ServerHears(), Packet(0, "\1")) << "COM_QUIT";
}

TEST_F(Database, MustBeAnsweredForByTheServer) {
  ReachOk();
  ServerSwitches(1);
  ExpectError(4, 1105, "08S01", RUM_CLOSE_UPSTREAM_PROTOCOL);
}

TEST_F(Database, IsPassedOnToMySql) {
  server_version = "8.0.40";
  Greet();
  host.Feed(RUM_CLIENT, WithDatabase("sh\xc3\xb6p"));
  EXPECT_EQ(Connect().database, "sh\xc3\xb6p");
}

// A greeting of its own can have a server be told no database.
TEST_F(Database, IsChosenBehindTheLoginOfAServerThatTakesNoneInIt) {
  server_version = "3.0.1";
  Greet();
  std::string packet = WithDatabase("shop", kWithDatabase & ~kDeprecateEof);
  host.Feed(RUM_CLIENT, packet);
  EXPECT_EQ(Connect(kServer & ~uint64_t{kConnectWithDb | kDeprecateEof}).database, "");
  ServerSwitches();
  ClientSays(3, TokenFor(kServerNonce));
  ServerHears();
  ClientHears();
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_EQ(ServerHears(), Packet(0, "\x02shop"));
  host.Feed(RUM_UPSTREAM, OkPacket(1));
  EXPECT_EQ(ClientHears(), OkPacket(4));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Database, WhoseNameIsNotAsciiIsNotForClientsThatCompress) {
  Start({{"mysql-compress", "1"}, {"mysql-version", "mariadb1011"}});
  Greet();
  host.Feed(RUM_CLIENT, WithDatabase("sh\xc3\xb6p", kWithDatabase | kCompress));
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kServer | kCompress));
  ExpectErrorAfterGreeting(2, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);
}

TEST_F(Relay, AServerWithoutWhatTheClientWasPromisedIsNamed) {
  Start({{"mysql-version", "mysql80"}});
  Greet();
  Respond("alice", "");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kServer & ~kDeprecateEof));
  ExpectErrorAfterGreeting(2, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);
  EXPECT_NE(error.text.find("DEPRECATE_EOF"), std::string::npos);
  EXPECT_NE(host.close_text().find("--mysql-version"), std::string::npos);
}

TEST_F(Relay, AServerOfAnOldVersionIsRefusedAloneAndWhatHelpsIsToldToTheOperator) {
  server_version = "3.0.1";
  Greet();
  Greeting before = greeting;
  Respond("alice", "");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kProtocol41));
  ExpectErrorAfterGreeting(2, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);
  EXPECT_NE(host.close_text().find("--mysql-version"), std::string::npos) << host.close_text();
  Greet();
  EXPECT_EQ(greeting.version, before.version);
  EXPECT_EQ(greeting.capabilities, before.capabilities);
}

TEST_F(Relay, GreetsWithTheServersCharacterSetAndPlugin) {
  server_version = "8.4.3";
  server_plugin = "caching_sha2_password";
  server_charset = 255;
  for (int i = 0; i < 2; ++i) {
    Greet();
    EXPECT_EQ(greeting.charset, i ? 255 : 45);
    EXPECT_EQ(greeting.plugin, i ? "caching_sha2_password" : "mysql_native_password");
    Respond("alice", std::string(32, 'p'), kClient, greeting.plugin);
    EXPECT_EQ(Connect(kServer).auth, std::string(32, '\0')) << "it is for rum's nonce";
    ServerSays(2,
               "\xfe"
               "caching_sha2_password\0servers-nonce-server\0"s);
    EXPECT_EQ(ClientHears(), Packet(2,
                                    "\xfe"
                                    "caching_sha2_password\0servers-nonce-server\0"s));
    ClientSays(3, std::string(32, 'q'));
    EXPECT_EQ(ServerHears(), Packet(3, std::string(32, 'q')));
    host.CloseByRum(RUM_CLOSE_KILLED);
    ServerHears(), ClientHears();
  }
  // Of an empty password such a client says a NUL.
  Greet();
  Respond("alice", "\0"s, kClient, greeting.plugin);
  EXPECT_EQ(Connect(kServer).auth, "");
}

TEST_F(Relay, AFixedGreetingHasThemToo) {
  server_version = "8.4.3";
  server_plugin = "caching_sha2_password";
  server_charset = 8;
  Start({{"mysql-version", "mysql80"}});
  for (int i = 0; i < 2; ++i) {
    Greet();
    EXPECT_EQ(greeting.version, "8.0.40");
    EXPECT_EQ(greeting.charset, i ? 8 : 45);
    EXPECT_EQ(greeting.plugin, i ? "caching_sha2_password" : "mysql_native_password");
    Respond("alice", "");
    Connect(kServer);
    host.CloseByRum(RUM_CLOSE_KILLED);
    ServerHears(), ClientHears();
  }
}

TEST_F(Relay, AServerMayLackWhatTheClientDoesNotUse) {
  Greet();
  Respond("alice", "", kClient & ~kDeprecateEof);
  EXPECT_EQ(Connect(kServer & ~kDeprecateEof).capabilities & kDeprecateEof, 0u);
}

TEST_F(Relay, AServerWithoutPluginsCannotBeRelayedTo) {
  Greet();
  Respond("alice", "");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kServer & ~kPluginAuth));
  ExpectErrorAfterGreeting(2, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);
  EXPECT_NE(error.text.find("PLUGIN_AUTH"), std::string::npos);
}

TEST_F(Relay, ADenialNamesTheClientAndNotThisProxy) {
  ReachSwitch();
  ClientSays(3, kProof);
  ServerSays(4,
             "\xff\x15\x04#28000Access denied for user 'alice'@'10.9.9.9' (using password: YES)");
  ExpectError(4, 1045, "28000", RUM_CLOSE_UPSTREAM_DENIED);
  EXPECT_EQ(error.text, "Access denied for user 'alice'@'192.0.2.1' (using password: YES)");
  EXPECT_EQ(host.notes()["error"], "1045");
  EXPECT_EQ(host.metric("mysql_server_denials"), 1u);
  EXPECT_EQ(ServerHears(), Packet(3, kProof));  // and no farewell
}

TEST_F(Relay, ADenialTellsWhetherAPasswordWasUsed) {
  for (const std::string& proof : {""s, "\0"s}) {
    ReachSwitch();
    ClientSays(3, proof);
    ServerSays(4, "\xff\xa2\x06#28000Access denied for user 'alice'@'10.9.9.9'");
    ExpectError(4, 1045, "28000", RUM_CLOSE_UPSTREAM_DENIED);
    EXPECT_EQ(error.text, "Access denied for user 'alice'@'192.0.2.1' (using password: NO)");
    ServerHears();
  }
}

TEST_F(Relay, NamesTheClientsHostAsServersDo) {
  const char* const peers[][2] = {{"192.0.2.1:40112", "192.0.2.1"},
                                  {"[2001:db8::1]:40112", "2001:db8::1"},
                                  {"unix", "localhost"},
                                  {"unix:/run/rum.sock", "localhost"}};
  for (auto& [peer, shown] : peers) {
    host.peer[RUM_CLIENT] = peer;
    Greet();
    Respond("nobody", "x");
    ClientHears();
    ClientSays(3, "x");
    ExpectError(4, 1045, "28000", RUM_CLOSE_NO_DESTINATION);
    EXPECT_EQ(error.text, "Access denied for user 'nobody'@'"s + shown + "' (using password: YES)");
  }
}

TEST_F(Relay, PassesOtherErrorsOnWithTheirText) {
  ReachSwitch();
  ClientSays(3, "right");
  ServerSays(4, "\xff\x19\x04#42000Unknown database 'shop'");
  ExpectError(4, 1049, "42000", RUM_CLOSE_UPSTREAM_DENIED);
  EXPECT_EQ(error.text, "Unknown database 'shop'");
}

TEST_F(Relay, AnErrorInPlaceOfTheGreetingGetsItsStateAndNumber) {
  struct {
    const char* payload;
    uint16_t code;
    const char* state;
  } const cases[] = {{"\xff\x10\x04Too many connections", 1040, "08004"},
                     {"\xff\x69\x04Host 'x' is blocked because of many errors", 1129, "HY000"},
                     {"\xff\x10\x04#08004Too many connections", 1040, "08004"}};
  for (const auto& one : cases) {
    Greet();
    Respond("alice", "");
    host.ConnectOutcome(0);
    ServerSays(0, one.payload);
    ExpectError(2, one.code, one.state, RUM_CLOSE_UPSTREAM_DENIED);
    EXPECT_NE(error.text[0], '#');
    EXPECT_EQ(ServerHears(), "");
  }
}

TEST_F(Relay, AServerErrorBeforeTheClientsAnswerIsPassedOn) {
  ReachSwitch();
  ServerSays(3, "\xff\x87\x04#08S01Got timeout reading communication packets");
  ExpectError(3, 1159, "08S01", RUM_CLOSE_UPSTREAM_DENIED);
}

TEST_F(Relay, PasswordsFromBefore41AreNamed) {
  Greet();
  Respond("alice", "");
  Connect();
  ServerSays(2, "\xfe");
  ExpectError(2, 1251, "08004", RUM_CLOSE_UNSUPPORTED);
  EXPECT_EQ(ServerHears(), Packet(3, ""));
}

TEST_F(Relay, AServerThatBreaksTheProtocolEndsThatLoginOnly) {
  const std::string cases[] = {
      Packet(0, "\x09old"),         // another protocol
      Packet(1, "\x0a"),            // another number
      FromHex("ffffff00"),          // too long
      "SSH-2.0-OpenSSH_9.2p1\r\n",  // another program
      Packet(0,
             "\x0a"
             "8.0\0short"s),  // cut short
      Packet(0, ""),
  };
  for (const std::string& bytes : cases) {
    Greet();
    Respond("alice", "");
    host.ConnectOutcome(0);
    host.Feed(RUM_UPSTREAM, bytes);
    ExpectError(2, 1105, "08S01", RUM_CLOSE_UPSTREAM_PROTOCOL);
    EXPECT_EQ(ServerHears(), "") << bytes;
  }
  EXPECT_EQ(host.metric("mysql_server_faults"), 6u);
}

TEST_F(Relay, AServerMustNotSpeakWhenTheClientIsDue) {
  ReachSwitch();
  ServerSays(3, "\x01more");
  ExpectError(3, 1105, "08S01", RUM_CLOSE_UPSTREAM_PROTOCOL);
}

TEST_F(Relay, AServerMustKeepTheOrder) {
  Greet();
  Respond("alice", "");
  Connect();
  host.Feed(RUM_UPSTREAM, OkPacket(3));
  ExpectError(2, 1105, "08S01", RUM_CLOSE_UPSTREAM_PROTOCOL);
}

TEST_F(Relay, AClientMustKeepTheOrder) {
  ReachSwitch();
  ServerHears();
  ClientSays(4, kProof);
  ExpectError(3, 1156, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
  EXPECT_EQ(ServerHears(), Packet(3, kWrongProof));
}

// MariaDB counts them as errors of the address, and blocks it after some.
TEST_F(Relay, AnAnswerThatNoClientGivesIsNotPassedOn) {
  struct Case {
    std::string_view plugin;
    std::vector<std::string> answers;
    std::string heard;
  };
  for (const Case& one : {Case{"mysql_native_password",
                               {"x", "\0"s, std::string(21, 'x'), std::string(300, 'x')},
                               kWrongProof},
                          Case{"client_ed25519",
                               {"", "x", std::string(63, 'x'), std::string(65, 'x')},
                               std::string(64, '\0')},
                          Case{"parsec", {"x", std::string(96, 'x')}, std::string(1, '\0')}}) {
    for (const std::string& answer : one.answers) {
      SCOPED_TRACE(std::string(one.plugin) + " " + std::to_string(answer.size()));
      Greet();
      Respond("alice", "12345678901234567890");
      Connect();
      ServerSays(2, "\xfe" + std::string(one.plugin) + "\0servers-nonce-server-and-some-mo"s);
      ClientHears();
      ClientSays(3, answer);
      EXPECT_EQ(ServerHears(), Packet(3, one.heard));
      ServerSays(4, kDenial);
      ExpectError(4, 1045, "28000", RUM_CLOSE_UPSTREAM_DENIED);
    }
  }
}

// Whatever is said to parsec now counts, but not that nothing is said.
TEST_F(Relay, AProofForParsecOfAnotherLengthIsRefusedHere) {
  Greet();
  Respond("alice", "");
  Connect();
  ServerSays(2, "\xfeparsec\0servers-nonce-server-and-some-mo"s);
  ClientSays(3, "");
  ServerSays(4, "\x01P\0123456789012345678"s);
  ServerHears();
  ClientHears();
  ClientSays(5, std::string(95, 'x'));
  ExpectError(6, 1045, "28000", RUM_CLOSE_DENIED);
  EXPECT_EQ(ServerHears(), "");
}

TEST_F(Relay, NotesOnlyNamesThatArePlain) {
  Greet();
  Respond("alice", "");
  Connect();
  ServerSays(2,
             "\xfe"
             "a b\nc\0nonce"s);
  EXPECT_EQ(host.notes()["plugin"], "?");
}

TEST_F(Relay, AUnixSocketLetsNobodyInWithoutAProof) {
  AddUser("plain", "", "sock:/run/mysqld/mysqld.sock");
  host.peer[RUM_UPSTREAM] = "unix";
  Greet();
  Respond("plain", "");
  Connect();
  host.Feed(RUM_UPSTREAM, OkPacket(2));
  ExpectError(2, 1045, "28000", RUM_CLOSE_DENIED);
  EXPECT_EQ(ServerHears(), Packet(0, "\x01"));  // COM_QUIT
}

TEST_F(Relay, AUnixSocketLetsInWhoAnsweredASwitch) {
  AddUser("plain", "", "sock:/run/mysqld/mysqld.sock");
  host.peer[RUM_UPSTREAM] = "unix:/run/mysqld/mysqld.sock";
  Greet();
  Respond("plain", "");
  Connect();
  ServerSwitches();
  ClientSays(3, kProof);
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Relay, OverTcpTheServerDecidesAlone) {
  Greet();
  Respond("alice", "");
  Connect();
  host.Feed(RUM_UPSTREAM, OkPacket(2));
  EXPECT_EQ(ClientHears(), OkPacket(2));
  EXPECT_TRUE(LoggedIn());
}

// What a server hears when the login breaks off: never a silent end.

const std::string kNobody = Packet(1, FromHex("01820800 00000001 2d") + std::string(23, '\0') +
                                          "rum_client_has_left\0\0rum_has_no_plugin\0"s);

TEST_F(Relay, AClientThatLeavesBeforeTheGreetingWaitsForIt) {
  Greet();
  Respond("alice", "");
  host.End(RUM_CLIENT);
  EXPECT_FALSE(host.closed());
  host.ConnectOutcome(0);
  EXPECT_FALSE(host.closed());
  EXPECT_EQ(ServerHears(), "");
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  EXPECT_EQ(ServerHears(), kNobody);
  EXPECT_FALSE(host.closed());
  host.Feed(RUM_UPSTREAM, Packet(2, kDenial));
  EXPECT_EQ(ServerHears(), "");
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
  EXPECT_EQ(ClientHears(), "");
  EXPECT_EQ(host.metric("mysql_farewells"), 1u);
  EXPECT_EQ(host.metric("mysql_denied_by_server"), 0u);
}

// An unknown user is asked by the plugin of some account: each wants an answer of its own length,
// or the server counts an error.
TEST_F(Relay, WhoHasLeftAnswersEachPluginAsItWants) {
  struct Case {
    std::string_view plugin;
    std::string answer;
  };
  for (const Case& one :
       {Case{"mysql_native_password", kWrongProof}, Case{"client_ed25519", std::string(64, '\0')},
        Case{"parsec", std::string(1, '\0')}, Case{"caching_sha2_password", kWrongProof},
        Case{"sha256_password", kWrongProof}, Case{"never_heard_of", ""}}) {
    SCOPED_TRACE(one.plugin);
    Greet();
    Respond("alice", "");
    host.ConnectOutcome(0);
    host.End(RUM_CLIENT);
    host.Feed(RUM_UPSTREAM, ServerGreeting());
    ServerHears();
    host.Feed(RUM_UPSTREAM,
              Packet(2, "\xfe" + std::string(one.plugin) + "\0nonce-of-twenty-byte\0"s));
    EXPECT_EQ(ServerHears(), Packet(3, one.answer));
    host.Feed(RUM_UPSTREAM, Packet(4, kDenial));
    EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
    EXPECT_EQ(ClientHears(), "");
  }
}

TEST_F(Relay, WhoHasLeftDoesNotGoOnForEver) {
  Greet();
  Respond("alice", "");
  host.ConnectOutcome(0);
  host.End(RUM_CLIENT);
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  for (uint8_t sequence = 2; !host.closed() && sequence < 100; sequence += 2) {
    host.Feed(RUM_UPSTREAM, Packet(sequence, "\1more"));
  }
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(Relay, AnAccountThatWantsNoPasswordIsLeftAgain) {
  Greet();
  Respond("alice", "");
  Connect();
  host.End(RUM_CLIENT);
  host.Feed(RUM_UPSTREAM, OkPacket(2));
  EXPECT_EQ(ServerHears(), Packet(0, "\1")) << "COM_QUIT";
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(Relay, AClientWhoseConnectionBreaksIsLikeOneThatLeaves) {
  Greet();
  Respond("alice", "");
  host.ConnectOutcome(0);
  host.Reset(RUM_CLIENT);
  EXPECT_FALSE(host.closed());
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  EXPECT_EQ(ServerHears(), kNobody);
}

TEST_F(Relay, AServerThatNeverGreetsHearsTheSame) {
  Greet();
  Respond("alice", "");
  host.ConnectOutcome(0);
  host.CloseByRum(RUM_CLOSE_FIRST_BYTE_TIMEOUT);
  ExpectError(2, 1159, "08S01", RUM_CLOSE_FIRST_BYTE_TIMEOUT);
  EXPECT_EQ(ServerHears(), kNobody + Packet(3, kWrongProof))
      << "all at once, since nothing is waited for";
}

TEST_F(Relay, AClientThatLeavesWhileTheServerThinksLeavesAWrongProof) {
  for (bool reset : {false, true}) {
    Greet();
    Respond("alice", "");
    Connect();
    ServerHears();
    reset ? host.Reset(RUM_CLIENT) : host.End(RUM_CLIENT);
    EXPECT_EQ(ServerHears(), "");
    host.Feed(RUM_UPSTREAM, BuildNativeSwitch(kServerNonce, 2));
    EXPECT_EQ(ServerHears(), Packet(3, kWrongProof));
    host.Feed(RUM_UPSTREAM, Packet(4, kDenial));
    EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
    EXPECT_EQ(ClientHears(), "");
  }
}

TEST_F(Relay, AClientThatLeavesAfterTheSwitchLeavesAWrongProof) {
  for (bool reset : {false, true}) {
    ReachSwitch();
    ServerHears();
    reset ? host.Reset(RUM_CLIENT) : host.End(RUM_CLIENT);
    EXPECT_EQ(ServerHears(), Packet(3, kWrongProof));
    host.Feed(RUM_UPSTREAM, Packet(4, kDenial));
    EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
    EXPECT_EQ(ClientHears(), "");
  }
}

TEST_F(Relay, AClientThatLeavesAfterItsAnswerIsJudgedByIt) {
  ReachSwitch();
  ServerHears();
  ClientSays(3, kProof);
  host.End(RUM_CLIENT);
  EXPECT_EQ(ServerHears(), Packet(3, kProof));
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_EQ(ServerHears(), Packet(0, "\1")) << "COM_QUIT";
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(Relay, AClientThatLeavesBeforeAnyServerWasAskedLeavesNothing) {
  Greet();
  host.End(RUM_CLIENT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
  host.HoldAnswers(true);
  Greet();
  Respond("alice", "");
  host.End(RUM_CLIENT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(Relay, AClientThatLeftHearsNothingWhenTheConnectFails) {
  Greet();
  Respond("alice", "");
  host.End(RUM_CLIENT);
  host.ConnectOutcome(RUM_CLOSE_CONNECT_REFUSED);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CONNECT_REFUSED);
  EXPECT_EQ(ClientHears(), "");
}

TEST_F(Relay, TellsTheClientWhyTheServerCannotBeUsed) {
  struct {
    uint32_t reason;
    uint16_t code;
    const char* state;
  } const cases[] = {{RUM_CLOSE_CONNECT_REFUSED, 1105, "08S01"},
                     {RUM_CLOSE_CONNECT_FAILED, 1105, "08S01"},
                     {RUM_CLOSE_UNRESOLVED, 1105, "08S01"},
                     {RUM_CLOSE_CONNECT_TIMEOUT, 1159, "08S01"},
                     {RUM_CLOSE_NO_RESOURCES, 1040, "08004"}};
  for (const auto& one : cases) {
    Greet();
    Respond("alice", "");
    host.ConnectOutcome(one.reason);
    ExpectError(2, one.code, one.state, one.reason);
    EXPECT_GT(error.text.size(), 10u);
  }
}

TEST_F(Relay, TellsTheClientWhyRumEndedTheLogin) {
  struct {
    uint32_t reason;
    uint16_t code;
    const char* state;
  } const cases[] = {{RUM_CLOSE_LOGIN_TIMEOUT, 1159, "08S01"},
                     {RUM_CLOSE_DRAIN, 1053, "08S01"},
                     {RUM_CLOSE_KILLED, 1927, "70100"},
                     {RUM_CLOSE_LIMIT, 1040, "08004"}};
  for (const auto& one : cases) {
    Greet();
    host.CloseByRum(one.reason);
    ExpectError(1, one.code, one.state, one.reason);
    ReachSwitch();
    ServerHears();
    host.CloseByRum(one.reason);
    ExpectError(3, one.code, one.state, one.reason);
    EXPECT_EQ(ServerHears(), Packet(3, kWrongProof));
  }
}

TEST_F(Relay, TellsTheClientThatTheServerLeft) {
  for (bool reset : {false, true}) {
    ReachSwitch();
    ServerHears();
    reset ? host.Reset(RUM_UPSTREAM) : host.End(RUM_UPSTREAM);
    ExpectError(3, 1158, "08S01", RUM_CLOSE_UPSTREAM_GONE);
    EXPECT_EQ(ServerHears(), "");
  }
}

}  // namespace
}  // namespace rum::mysql

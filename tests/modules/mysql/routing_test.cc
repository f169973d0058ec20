// Who is let through, to where, and what the others read: rewriting, unknown users, bad clients.
#include <algorithm>

#include "login.h"

namespace rum::mysql {
namespace {

class Routing : public Login {
 protected:
  void RespondIn(const std::string& user, uint8_t charset) {
    Response response;
    response.capabilities = kClient;
    response.charset = charset;
    response.user = user;
    response.plugin = "mysql_native_password";
    ASSERT_TRUE(host.Feed(RUM_CLIENT, BuildResponse(response, 1)));
  }
  void ReachRewrite(uint32_t capabilities = kClient) {
    Greet();
    Respond("alice", TokenFor(greeting.nonce), capabilities);
    ASSERT_EQ(host.connecting(), "tcp:db1.internal:3306");
  }
};

class Rewriting : public Routing {
 protected:
  void SetUp() override { Start({{"mysql-auth", "rewrite"}}); }
};

TEST_F(Rewriting, ThePluginIsTheOneThatRumCanJudge) {
  server_version = "8.4.3";
  server_plugin = "caching_sha2_password";
  for (int i = 0; i < 2; ++i) {
    Greet();
    EXPECT_EQ(greeting.plugin, "mysql_native_password");
    Respond("alice", TokenFor(greeting.nonce));
    Connect(kServer);
    host.CloseByRum(RUM_CLOSE_KILLED);
    ServerHears(), ClientHears();
  }
}

TEST_F(Rewriting, MakesTheTokenForTheServersNonce) {
  ReachRewrite();
  Response asked = Connect();
  EXPECT_EQ(asked.plugin, "mysql_native_password");
  EXPECT_EQ(asked.auth, TokenFor(kServerNonce));
  host.Feed(RUM_UPSTREAM, OkPacket(2));
  EXPECT_EQ(ClientHears(), OkPacket(2));
  EXPECT_TRUE(LoggedIn());
  EXPECT_EQ(host.notes()["auth"], "rewrite");
  EXPECT_EQ(host.metric("mysql_rewritten_logins"), 1u);
}

TEST_F(Rewriting, WorksForClientsWithoutPlugins) {
  ReachRewrite(kOldClient);
  Response asked = Connect();
  EXPECT_EQ(asked.capabilities & kPluginAuth, 0u);
  EXPECT_EQ(asked.auth, TokenFor(kServerNonce));
}

TEST_F(Rewriting, WorksForServersWithoutPlugins) {
  ReachRewrite(kOldClient);
  EXPECT_EQ(Connect(kServer & ~kPluginAuth).auth, TokenFor(kServerNonce));
}

TEST_F(Rewriting, AWrongPasswordNeverReachesAServer) {
  for (const std::string& proof : {"12345678901234567890"s, "short"s, ""s}) {
    Greet();
    Respond("alice", proof);
    EXPECT_FALSE(host.connecting());
    ExpectError(2, 1045, "28000", RUM_CLOSE_DENIED);
    EXPECT_EQ(error.text, "Access denied for user 'alice'@'192.0.2.1' (using password: "s +
                              (proof.empty() ? "NO)" : "YES)"));
  }
  EXPECT_EQ(host.metric("mysql_wrong_passwords"), 3u);
  for (const Deed& deed : host.deeds()) EXPECT_NE(deed.kind, Deed::Kind::kConnect);
}

TEST_F(Rewriting, AsksClientsOfAnotherPluginToSwitch) {
  Greet();
  Respond("alice", std::string(32, 's'), kClient, "caching_sha2_password");
  auto said = Split(ClientHears());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(said[0].sequence, 2);
  ASSERT_EQ(said[0].payload.size(), 44u);
  EXPECT_EQ(said[0].payload.substr(0, 23), "\xfemysql_native_password\0"s);
  Nonce nonce = ArrayOf<Nonce>(said[0].payload.substr(23, 20));
  EXPECT_NE(AsText(nonce), AsText(greeting.nonce));
  ClientSays(3, TokenFor(nonce));
  EXPECT_EQ(Connect().auth, TokenFor(kServerNonce));
  // The server's numbers go on from two less than the client's.
  host.Feed(RUM_UPSTREAM, BuildNativeSwitch(kServerNonce, 2));
  EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 4));
  ClientSays(5, kProof);
  EXPECT_EQ(ServerHears(), Packet(3, kProof));
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_EQ(ClientHears(), OkPacket(6));
}

TEST_F(Rewriting, AServerThatWantsAnotherPluginIsRelayed) {
  ReachRewrite();
  Connect();
  ServerSays(2,
             "\xfe"
             "client_ed25519\0"
             "01234567890123456789012345678901"s);
  EXPECT_EQ(ClientHears(), Packet(2,
                                  "\xfe"
                                  "client_ed25519\0"
                                  "01234567890123456789012345678901"s));
  ClientSays(3, std::string(64, 'e'));
  EXPECT_EQ(ServerHears(), Packet(3, std::string(64, 'e')));
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Rewriting, UsersWithoutAHashAreRelayed) {
  Greet();
  Respond("plain", TokenFor(greeting.nonce));
  EXPECT_EQ(Connect().plugin, "rum_has_no_plugin");
  EXPECT_EQ(host.notes()["auth"], "relay");
}

TEST_F(Rewriting, MayUseAUnixSocketWithoutASwitch) {
  AddUser("root", kStoredText, "sock:/run/mysqld/mysqld.sock");
  host.peer[RUM_UPSTREAM] = "unix";
  Greet();
  Respond("root", TokenFor(greeting.nonce));
  Connect();
  host.Feed(RUM_UPSTREAM, OkPacket(2));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Rewriting, ATokenOfAnotherSessionIsWorthless) {
  Greet();
  std::string token = TokenFor(greeting.nonce);
  host.CloseByRum(RUM_CLOSE_KILLED);
  ClientHears();
  Greet();
  Respond("alice", token);
  ExpectError(2, 1045, "28000", RUM_CLOSE_DENIED);
}

TEST_F(Routing, AutoRewritesOnlyForClientsWithoutPlugins) {
  ReachRewrite(kOldClient);
  EXPECT_EQ(Connect().auth, TokenFor(kServerNonce));
  host.CloseByRum(RUM_CLOSE_KILLED);
  ReachRewrite(kClient);
  EXPECT_EQ(Connect().plugin, "rum_has_no_plugin");
}

TEST_F(Routing, RelayNeverRewrites) {
  Start({{"mysql-auth", "relay"}});
  ReachRewrite(kOldClient);
  EXPECT_EQ(Connect().plugin, "rum_has_no_plugin");
}

// All that a client reads when it logs in in vain; `user` has the right size.
struct Heard {
  std::string bytes;
  size_t packets;
};

class InVain : public Routing, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { Start({{"mysql-auth", GetParam()}}); }

  Heard Hear(const std::string& user, const std::string& proof, uint32_t capabilities,
             const std::string& plugin) {
    Greet();
    Respond(user, proof, capabilities, plugin);
    if (host.connecting()) {  // to a server, which denies it after its switch
      Connect();
      ServerSwitches();
    }
    std::string bytes = ClientHears();
    if (!host.closed()) {
      EXPECT_EQ(bytes.substr(0, 27), "\x2c\0\0\x02\xfemysql_native_password\0"s);
      bytes.replace(27, 20, 20, 'n');  // the nonce
      ClientSays(3, proof);
      if (!host.closed()) {
        // What no client answers does not reach the server.
        bool fits = proof.empty() || proof.size() == 20;
        EXPECT_EQ(ServerHears(), Packet(3, fits ? proof : kWrongProof));
        ServerSays(4,
                   "\xff\x15\x04#28000Access denied for user 'x'@'10.1.1.1' (using password: X)");
      }
      bytes += ClientHears();
    }
    EXPECT_TRUE(host.closed());
    return {bytes, Split(bytes).size()};
  }
};

TEST_P(InVain, UnknownUsersAndWrongPasswordsReadTheSame) {
  AddUser("known", kStoredText, "tcp:db1.internal:3306");
  for (uint32_t capabilities : {kClient, kOldClient}) {
    for (const std::string& proof : {"12345678901234567890"s, ""s, "\0"s, "x"s}) {
      for (const char* plugin : {"mysql_native_password", "caching_sha2_password", ""}) {
        Heard known = Hear("known", proof, capabilities, plugin);
        Heard unknown = Hear("knowm", proof, capabilities, plugin);
        size_t name = known.bytes.find("known");
        ASSERT_NE(name, std::string::npos);
        known.bytes[name + 4] = 'm';
        EXPECT_EQ(known.bytes, unknown.bytes)
            << capabilities << " " << plugin << " " << proof.size();
        EXPECT_EQ(known.packets, unknown.packets);
      }
    }
  }
  EXPECT_EQ(host.metric("mysql_unknown_users"), 24u);
}

INSTANTIATE_TEST_SUITE_P(EachMode, InVain, testing::Values("auto", "relay", "rewrite"));

TEST_F(Routing, AnUnknownUsersRefusalTakesAsLongAsAServers) {
  // A server takes 20 ms to ask for the plugin and 300 ms to deny.
  Greet();
  Respond("alice", "x");
  host.ConnectOutcome(0);
  host.Advance(20);
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  ServerSwitches();
  ClientSays(3, "x");
  host.Advance(300);
  ServerSays(4, "\xff\x15\x04#28000Access denied");
  ASSERT_TRUE(host.closed());

  Greet();
  Respond("nobody", "x");
  host.Advance(19);
  EXPECT_EQ(ClientHears(), "");
  host.Advance(1);
  EXPECT_EQ(Split(ClientHears()).size(), 1u);
  ClientSays(3, "x");
  host.Advance(299);
  EXPECT_EQ(ClientHears(), "");
  host.Advance(1);
  ExpectError(4, 1045, "28000", RUM_CLOSE_NO_DESTINATION);
}

TEST_F(Routing, AnUnknownUserWaitsASecondAtMost) {
  Greet();
  Respond("alice", "x");
  host.ConnectOutcome(0);
  host.Advance(5000);
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  ServerSwitches();
  host.CloseByRum(RUM_CLOSE_KILLED);
  Greet();
  Respond("nobody", "x");
  host.Advance(1000);
  EXPECT_EQ(Split(ClientHears()).size(), 1u);
}

// A client that ends its side knows a known user by how long a server takes to deny it.
TEST_F(Routing, AnUnknownUserWhoseClientHasLeftIsGoneAsLateAsAKnownOne) {
  Greet();
  Respond("alice", "x");
  host.ConnectOutcome(0);
  host.Advance(20);
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  ServerSwitches();
  ClientSays(3, "x");
  host.Advance(300);
  ServerSays(4, "\xff\x15\x04#28000Access denied");
  ASSERT_TRUE(host.closed());
  ClientHears();

  for (bool reset : {false, true}) {
    auto leave = [&] { reset ? host.Reset(RUM_CLIENT) : host.End(RUM_CLIENT); };
    auto gone_after = [&](uint64_t milliseconds) {
      host.Advance(milliseconds - 1);
      EXPECT_FALSE(host.closed());
      host.Advance(1);
      EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
      EXPECT_EQ(ClientHears(), "");
    };
    auto failures = [&] {
      return std::count_if(host.deeds().begin(), host.deeds().end(),
                           [](auto& deed) { return deed.kind == Deed::Kind::kLoginFailed; });
    };
    auto before = failures();
    Greet();  // behind the response: a known one is denied without its answer
    Respond("nobody", "x");
    leave();
    gone_after(20 + 300);
    Greet();  // behind the switch
    Respond("nobody", "x");
    host.Advance(20);
    ClientHears();
    leave();
    gone_after(300);
    Greet();  // behind the answer
    Respond("nobody", "x");
    host.Advance(20);
    ClientHears();
    EXPECT_EQ(failures(), before);
    ClientSays(3, "x");
    leave();
    gone_after(300);
    EXPECT_EQ(failures(), before + 1) << "it was a guess";
  }
}

// A change of the user needs no connection, and MariaDB takes a second to deny it.
TEST_F(Routing, TheTimeOfARefusalIsThatOfALoginAndNotOfAChangeOfTheUser) {
  Start({{"mysql-change-user", "same"}});
  Greet();
  Respond("alice", "x");
  host.ConnectOutcome(0);
  host.Advance(20);
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  ServerSwitches();
  ClientSays(3, kProof);
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  ASSERT_TRUE(LoggedIn());
  ServerHears();
  for (int i = 0; i < 40; ++i) {
    ClientSays(0, "\x11" + "alice\0\0\0\x2d\0mysql_native_password\0"s);
    GrantQuiet();
    host.Advance(900);
    ServerSwitches(1);
    ClientSays(2, kProof);
    ServerHears();
    host.Advance(900);
    ServerSays(3, "\xff\x15\x04#28000Access denied");
  }
  ASSERT_TRUE(LoggedIn());
  host.CloseByRum(RUM_CLOSE_KILLED);
  ClientHears();
  Greet();
  Respond("nobody", "x");
  host.Advance(20);
  EXPECT_EQ(Split(ClientHears()).size(), 1u);
  ClientSays(3, "x");
  EXPECT_TRUE(host.closed()) << "no login was denied yet";
}

TEST_F(Rewriting, AnUnknownUserDoesNotWaitForServers) {
  // A user without a hash is relayed, and the server is slow to deny it.
  Greet();
  Respond("plain", "x");
  Connect();
  ServerSwitches();
  ClientSays(3, "x");
  host.Advance(300);
  ServerSays(4, "\xff\x15\x04#28000Access denied");
  Greet();
  Respond("nobody", std::string(32, 's'), kClient, "caching_sha2_password");
  EXPECT_EQ(Split(ClientHears()).size(), 1u);
  ClientSays(3, "x");
  ExpectError(4, 1045, "28000", RUM_CLOSE_NO_DESTINATION);
}

TEST_F(Routing, UnknownUsersGoToTheDefaultDestination) {
  host.default_destination = "tcp:default.test:3306";
  Greet();
  Respond("nobody", "x");
  EXPECT_EQ(host.connecting(), "");
  EXPECT_EQ(Connect().plugin, "rum_has_no_plugin");
  ServerSwitches();
  ClientSays(3, "x");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Routing, UnknownUsersAreDeniedWhenAskedFor) {
  Start({{"mysql-unknown-user", "deny"}});
  host.default_destination = "tcp:default.test:3306";
  Greet();
  Respond("nobody", "x");
  EXPECT_FALSE(host.connecting());
  ClientHears();
  ClientSays(3, "x");
  ExpectError(4, 1045, "28000", RUM_CLOSE_DENIED);
}

TEST_F(Routing, WithoutAMapEverybodyIsUnknown) {
  host.default_destination = "tcp:default.test:3306";
  host.has_map = false;
  Greet();
  Respond("alice", "x");
  EXPECT_EQ(host.connecting(), "");
}

TEST_F(Routing, AMapThatCannotBeAskedIsNotAnUnknownUser) {
  host.default_destination = "tcp:default.test:3306";
  host.BreakMap();
  Greet();
  Respond("alice", "x");
  EXPECT_FALSE(host.connecting());
  ExpectError(2, 1105, "08S01", RUM_CLOSE_MAP_UNAVAILABLE);
}

TEST_F(Routing, ABadRecordEndsThatLoginOnly) {
  AddUser("typo", "", "db1.internal");
  AddUser("comma", "", "tcp:db1.internal:3306,");
  AddUser("empty", "", "");
  host.AddToMap("none", "nothing at all");
  for (const char* user : {"typo", "comma", "empty", "none"}) {
    Greet();
    Respond(user, "x");
    ExpectError(2, 1105, "HY000", RUM_CLOSE_BAD_DESTINATION);
  }
  Greet();
  Respond("alice", "x");
  EXPECT_EQ(host.connecting(), "tcp:db1.internal:3306");
}

TEST_F(Routing, PassesAListOfDestinationsOnForFailover) {
  AddUser("two", "", "tcp:db1.internal:3306,tcp:[::1]:3307,sock:/run/db");
  Greet();
  Respond("two", "x");
  EXPECT_EQ(host.connecting(), "tcp:db1.internal:3306,tcp:[::1]:3307,sock:/run/db");
}

TEST_F(Routing, LooksNamesUpAsTheyCome) {
  std::string user = "\xc5\xbe%n'\"\n";
  AddUser(user, "", "tcp:db2.internal:3306");
  Greet();
  Respond(user, "x");
  EXPECT_EQ(host.user(), user);
  EXPECT_EQ(host.connecting(), "tcp:db2.internal:3306");
}

// Whoever has rules and limits has them under each spelling.
TEST_F(Routing, TakesEachSpellingOfANameForTheAccountThatTheServerTakesItFor) {
  AddUser("h\xc3\xa4ns", "", "tcp:db2.internal:3306");
  struct Row {
    std::string received;
    uint8_t charset;
    std::string name, sent;
  };
  for (const Row& row : {Row{"'alice'", 45, "alice", "alice"}, Row{"''", 45, "", ""},
                         Row{"h\xe4ns", 8, "h\xc3\xa4ns", "h\xe4ns"},
                         Row{"'h\xc3\xa4ns'", 33, "h\xc3\xa4ns", "h\xc3\xa4ns"}}) {
    host.default_destination = "tcp:default.test:3306";
    Greet();
    RespondIn(row.received, row.charset);
    EXPECT_EQ(host.user(), row.name);
    EXPECT_EQ(host.connecting(), row.name.empty()      ? ""
                                 : row.name == "alice" ? "tcp:db1.internal:3306"
                                                       : "tcp:db2.internal:3306");
    EXPECT_EQ(Connect().user, row.sent);
    ServerSays(2, "\xff\x15\x04#28000Access denied");
    ExpectError(2, 1045, "28000", RUM_CLOSE_UPSTREAM_DENIED);
    EXPECT_EQ(error.text,
              "Access denied for user '" + row.sent + "'@'192.0.2.1' (using password: NO)");
  }
}

TEST_F(Routing, ANameThatServersDoNotAgreeAboutReachesNone) {
  host.default_destination = "tcp:default.test:3306";
  for (const auto& [name, charset] :
       std::vector<std::pair<std::string, uint8_t>>{{"alice\xc3", 45},
                                                    {"\xff", 45},
                                                    {"''alice''", 45},
                                                    {"h\xe4ns", 14},
                                                    {"[", 10},
                                                    {std::string(129, 'a'), 45},
                                                    {"\xf0\x9f\x98\x80", 45}}) {
    Greet();
    RespondIn(name, charset);
    EXPECT_FALSE(host.connecting());
    ClientHears();
    ClientSays(3, "");
    ExpectError(4, 1045, "28000", RUM_CLOSE_DENIED);
    EXPECT_NE(host.close_text().find("the user name"), std::string::npos) << host.close_text();
    EXPECT_EQ(host.user(), name) << "for the log";
  }
  for (const Deed& deed : host.deeds()) EXPECT_NE(deed.kind, Deed::Kind::kLookup);
}

// It keeps 96 bytes and looks for the account of that name.
TEST_F(Routing, ANameThatMySqlWouldCutDoesNotReachIt) {
  std::string longest(96, 'u');
  AddUser(longest, "", "tcp:db2.internal:3306");
  AddUser(longest + "u", "", "tcp:db2.internal:3306");
  server_version = "8.0.40";
  Greet();
  Respond(longest, "");
  EXPECT_EQ(Connect().user, longest);
  host.CloseByRum(RUM_CLOSE_KILLED);
  Greet();
  Respond(longest + "u", "");
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting());
  ExpectErrorAfterGreeting(2, 1045, "28000", RUM_CLOSE_DENIED);
}

TEST_F(Routing, TakesNamesOf128CharactersAndDeniesLongerOnes) {
  std::string longest(128, 'u');
  AddUser(longest, "", "tcp:db2.internal:3306");
  Greet();
  Respond(longest, "x");
  EXPECT_EQ(Connect().user, longest);
  host.CloseByRum(RUM_CLOSE_KILLED);
  host.default_destination = "tcp:default.test:3306";
  Greet();
  Respond(longest + "u", "x");
  EXPECT_EQ(std::count_if(host.deeds().begin(), host.deeds().end(),
                          [](auto& deed) { return deed.kind == Deed::Kind::kLookup; }),
            1);
  EXPECT_FALSE(host.connecting());
  ClientHears();
  ClientSays(3, "x");
  ExpectError(4, 1045, "28000", RUM_CLOSE_DENIED);
  EXPECT_LT(error.text.size(), 250u);
}

TEST_F(Routing, AnEmptyNameIsAnUnknownUser) {
  Greet();
  Respond("", "");
  EXPECT_EQ(Split(ClientHears()).size(), 1u);
  ClientSays(3, "");
  ExpectError(4, 1045, "28000", RUM_CLOSE_NO_DESTINATION);
  EXPECT_EQ(error.text, "Access denied for user ''@'192.0.2.1' (using password: NO)");
}

// Anonymous accounts have it.
TEST_F(Routing, AnEmptyNameGoesToTheDefaultDestinationAsOthersDo) {
  host.default_destination = "tcp:default.test:3306";
  Greet();
  Respond("", "12345678901234567890");
  EXPECT_EQ(host.connecting(), "");
  EXPECT_EQ(ClientHears(), "");
  EXPECT_EQ(Connect().user, "");
  ServerSwitches();
  EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 2));
  ClientSays(3, "");
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_TRUE(LoggedIn());
  for (const Deed& deed : host.deeds()) EXPECT_NE(deed.kind, Deed::Kind::kLookup);
}

TEST_F(Routing, TlsThatIsNotOfferedIsRefused) {
  Greet();
  host.Feed(RUM_CLIENT, FromHex("20000001 85aeff19 00000001 ff") + std::string(23, '\0'));
  ExpectError(2, 1043, "08S01", RUM_CLOSE_UNSUPPORTED);
}

TEST_F(Routing, ClientsFromBefore41AreToldWithoutAState) {
  Greet();
  ClientSays(1, FromHex("0100ffffff") + "alice\0abcdefgh\0"s);
  ExpectError(2, 1251, "", RUM_CLOSE_UNSUPPORTED);
}

TEST_F(Routing, ClientsWithOnlyOldPasswordsAreTold) {
  Greet();
  Respond("alice", "abcdefgh", kProtocol41);
  ExpectError(2, 1251, "08004", RUM_CLOSE_UNSUPPORTED);
}

TEST_F(Routing, CharacterSetsThatNoClientMayUseReachNoServer) {
  for (const char* user : {"alice", "nobody"}) {
    Response response;
    response.capabilities = kClient;
    response.user = user;
    response.plugin = kNativePlugin;
    response.charset = 35;
    Greet();
    host.Feed(RUM_CLIENT, BuildResponse(response, 1));
    EXPECT_FALSE(host.connecting());
    ExpectError(2, 1231, "42000", RUM_CLOSE_CLIENT_PROTOCOL);
    EXPECT_EQ(error.text, "Variable 'character_set_client' can't be set to the value of 'ucs2'");
  }
}

TEST_F(Routing, ABrokenResponseIsABadHandshake) {
  std::string good = ResponsePacket("alice", "12345678901234567890").substr(kHeaderSize);
  for (const std::string& payload :
       {""s, "\x01"s, good.substr(0, 31), good.substr(0, 36), good.substr(0, 45)}) {
    Greet();
    ClientSays(1, payload);
    ExpectError(2, 1043, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
    EXPECT_EQ(error.text, "Bad handshake");
  }
  EXPECT_EQ(host.metric("mysql_client_faults"), 5u);
}

TEST_F(Routing, APacketThatIsTooLongIsNotWaitedFor) {
  for (const char* header : {"ffffff01", "01000201"}) {
    Greet();
    host.Feed(RUM_CLIENT, FromHex(header));
    ExpectError(2, 1043, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
  }
}

TEST_F(Routing, OtherProtocolsAreRefusedAtTheirFirstBytes) {
  for (const std::string& bytes :
       {"GET / HTTP/1.0\r\n\r\n"s, "\x16\x03\x01\x02\x00\x01\x00\x01"s}) {
    Greet();
    host.Feed(RUM_CLIENT, bytes);
    ExpectError(1, 1156, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
  }
}

TEST_F(Routing, SaysWhyAClientIsRefused) {
  EXPECT_EQ(host.Refusal(RUM_CLOSE_LIMIT), Packet(0, "\xff\x10\x04Too many connections"));
  EXPECT_EQ(host.Refusal(RUM_CLOSE_NO_RESOURCES), Packet(0, "\xff\x10\x04Too many connections"));
  EXPECT_EQ(host.Refusal(RUM_CLOSE_DRAIN), Packet(0, "\xff\x1d\x04Server shutdown in progress"));
}

TEST_F(Routing, DescribesItself) {
  Start({{"mysql-version", "mysql57"}, {"mysql-auth", "rewrite"}, {"mysql-unknown-user", "deny"}});
  EXPECT_EQ(host.Stats(), R"({"version":"5.7.44","capabilities":"80fff7df","charset":45,)"
                          R"("plugin":"mysql_native_password","greeting":"fixed","servers":0,)"
                          R"("unsupported":0,"mixed":false,"auth":"rewrite","unknown_user":"deny",)"
                          R"("client_attrs":"off","reuse":0,"change_user":"allow","versions":{}})");
}

TEST_F(Routing, GreetsWithTheVersionThatWasAskedFor) {
  Start({{"mysql-version", "8.0.36-hoster"}, {"mysql-capabilities", "0x80fff7df"}});
  Greet();
  EXPECT_EQ(greeting.version, "8.0.36-hoster");
  EXPECT_EQ(greeting.capabilities, 0x80fff7dfu);
}

TEST_F(Routing, WithAVersionBeforePluginsItRewrites) {
  Start({{"mysql-version", "mysql51"}});
  Greet();
  EXPECT_EQ(greeting.version, "5.1.73");
  EXPECT_EQ(greeting.plugin, "");
  Respond("alice", TokenFor(greeting.nonce), kClient & ~kPluginAuth & ~kDeprecateEof);
  EXPECT_EQ(Connect(kServer & ~kPluginAuth).auth, TokenFor(kServerNonce));
}

TEST_F(Routing, RefusesOptionsThatMakeNoSense) {
  const ScriptedHost::Options wrong[] = {
      {{"mysql-version", "new"}},           {{"mysql-version", ""}},
      {{"mysql-version", "8.0\"x"}},        {{"mysql-version", "8.0.40-" + std::string(60, 'x')}},
      {{"mysql-capabilities", "xyz"}},      {{"mysql-capabilities", "81fff7dfff"}},
      {{"mysql-capabilities", "1"}},         // without PROTOCOL_41
      {{"mysql-capabilities", "81fff7d7"}},  // without CONNECT_WITH_DB
      {{"mysql-capabilities", "81ffffff"}},  // with COMPRESS and SSL
      {{"mysql-capabilities", "81fff7de"}},  // as MariaDB, which rum cannot pass on
      {{"mysql-socket-user", ""}},          {{"mysql-socket-user", "rum,,mysql"}},
  };
  for (const auto& options : wrong) {
    ScriptedHost one(rum_module_v1);
    auto status = one.Start(options);
    ASSERT_FALSE(status.ok()) << options.begin()->second;
    EXPECT_NE(status.error().text.find("--" + options.begin()->first), std::string::npos)
        << status.error().text;
  }
}

}  // namespace
}  // namespace rum::mysql

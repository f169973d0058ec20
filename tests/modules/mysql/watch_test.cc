// After the login: KILL, COM_CHANGE_USER, and how long a client is watched.
#include <gtest/gtest.h>
#include <rum/module.h>

#include <optional>
#include <rum/dialogue/host.hpp>

#include "mysql/commands.h"
#include "mysql/kill_target.h"
#include "tls_login.h"

namespace rum::mysql {
namespace {

class Watching : public TlsLogin {
 protected:
  // A login by relay; what was said is forgotten.
  void LogIn(const std::string& user = "alice", uint32_t capabilities = kClient,
             uint64_t server = kServer) {
    Greet();
    Respond(user, TokenFor(greeting.nonce), capabilities);
    Connect(server);
    ServerSwitches();
    ClientSays(3, TokenFor(kServerNonce));
    host.Feed(RUM_UPSTREAM, OkPacket(4));
    ASSERT_TRUE(LoggedIn());
    ClientHears();
    ServerHears();
  }
  // By relay and a plugin whose nonces are its own.
  void LogInByOther(const std::string& user, const std::string& plugin) {
    AddUser("curve", "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY",
            "tcp:db1.internal:3306");
    Greet();
    Respond(user, TokenFor(greeting.nonce));
    Connect();
    ServerSays(2, Asking(plugin));
    ClientSays(3, "proof");
    host.Feed(RUM_UPSTREAM, OkPacket(4));
    ASSERT_TRUE(LoggedIn());
    ClientHears();
    ServerHears();
  }
  // By rewriting: the server does not switch.
  void LogInByHash(uint32_t capabilities = kClient) {
    Greet();
    Respond("alice", TokenFor(greeting.nonce), capabilities);
    Connect(kServer);
    host.Feed(RUM_UPSTREAM, OkPacket(2));
    ASSERT_TRUE(LoggedIn());
    ClientHears();
    ServerHears();
  }

  std::string Changing(const std::string& user, const std::string& auth,
                       const std::string& plugin = "mysql_native_password",
                       uint32_t capabilities = kClient) {
    ChangeUser change;
    change.user = user;
    change.auth = auth;
    change.database = "db";
    change.charset = 45;
    change.plugin = plugin;
    return BuildChangeUser(change, capabilities);
  }

  // What the server was asked, with no proof in it.
  void ExpectDemand(const std::string& user, size_t auth_size = 20) {
    GrantQuiet();
    EXPECT_EQ(ServerHears(), Changing(user, std::string(auth_size, '\0'), "rum_has_no_plugin"));
    EXPECT_EQ(host.handed_over(), std::nullopt) << "the server's answer must be seen";
  }
  // The rest of a change that the server asks a proof for.
  void Prove() {
    ServerSwitches(1);
    EXPECT_EQ(ClientHears(), BuildNativeSwitch(kServerNonce, 1));
    ClientSays(2, TokenFor(kServerNonce));
    EXPECT_EQ(ServerHears(), Packet(2, TokenFor(kServerNonce)));
    host.Feed(RUM_UPSTREAM, OkPacket(3));
    EXPECT_EQ(ClientHears(), OkPacket(3));
    EXPECT_EQ(host.handed_over(), RUM_UPSTREAM);
  }

  // "USER: record" for each time that rum was asked whether a user may come in.
  std::vector<std::string> Asked() const {
    std::vector<std::string> asked;
    std::string user;
    for (const Deed& deed : host.deeds()) {
      if (deed.kind == Deed::Kind::kIdentify) user = deed.bytes;
      if (deed.kind == Deed::Kind::kAdmit) asked.push_back(user + ": " + deed.bytes);
    }
    return asked;
  }
  size_t FailedLogins() const {
    size_t count = 0;
    for (const Deed& deed : host.deeds()) count += deed.kind == Deed::Kind::kLoginFailed;
    return count;
  }

  // The change was refused and the session goes on.
  void ExpectRefusal(uint8_t sequence, const std::string& text, uint16_t code = 1045) {
    auto said = Split(ClientHears());
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].sequence, sequence);
    auto parsed = ParseError(AsBytes(said[0].payload));
    ASSERT_TRUE(parsed.ok()) << parsed.why;
    EXPECT_EQ(parsed.value.code, code);
    EXPECT_EQ(parsed.value.text, text);
    EXPECT_EQ(host.handed_over(), RUM_UPSTREAM);
  }

  uint32_t Other(const std::string& user = "alice", const std::string& peer = "10.1.2.3:3306",
                 uint32_t thread = 4711) {
    const uint32_t id = NextConnectionId();
    host.AddElsewhere(KillKey(id, user, peer), KillValue(thread));
    return id;
  }
  // What a KILL of another session finds in this process.
  static std::optional<uint32_t> Found(uint32_t id, const std::string& user,
                                       const std::string& peer) {
    const std::string key = KillKey(id, user, peer);
    char value[RUM_MOST_SHARED_VALUE];
    size_t size = sizeof value;
    const rum_shared& shared = *dialogue::host.shared;
    if (shared.get(key.data(), key.size(), value, &size) != RUM_FOUND) return {};
    return ThreadOf({value, size});
  }
};

TEST_F(Watching, StopsAfterThreePackets) {
  Start();
  LogIn();
  for (const char* text : {"one", "two", "three"}) {
    EXPECT_FALSE(host.relaying());
    host.Feed(RUM_CLIENT, Query(text));
    EXPECT_EQ(ServerHears(), Query(text));
  }
  EXPECT_TRUE(host.relaying());
  host.Feed(RUM_CLIENT, Changing("bob", "x"));
  EXPECT_EQ(ServerHears(), Changing("bob", "x"));
}

TEST_F(Watching, WhatMustBeLookedAtIsFoundAmongPacketsThatComeTogether) {
  Start({{"mysql-auth", "rewrite"}});
  LogInByHash();
  std::string many;
  for (int i = 0; i < 1000; ++i) many += Query("x") + Packet(0, "");
  uint32_t id = Other();
  host.Feed(RUM_CLIENT, many + Query("KILL " + std::to_string(id)) + many + Query("KILL 1") +
                            Changing("bob", TokenFor(greeting.nonce)));
  std::string before = many + Query("KILL 4711") + many + Query("KILL 1");
  EXPECT_EQ(Mark(before).substr(0, 1), "m");
}

// A client that keeps the nonce of rum's greeting, as libmariadb does after a login by ed25519.
TEST_F(Watching, OfAClientThatKeepsRumsNonceTheProofIsMadeAnewByTheHash) {
  Start();
  LogInByOther("curve", "client_ed25519");
  for (int i = 0; i < 9; ++i) host.Feed(RUM_CLIENT, Query("SELECT 1"));
  EXPECT_FALSE(host.relaying());
  for (const std::string& proof : {TokenFor(greeting.nonce), TokenFor(kServerNonce)}) {
    ClientHears();
    ServerHears();
    host.Feed(RUM_CLIENT, Changing("alice", proof));
    ExpectDemand("alice");
    ServerSwitches(1);
    ClientHears();
    ClientSays(2, proof);
    EXPECT_EQ(ServerHears(), Packet(2, TokenFor(kServerNonce)));
    host.Feed(RUM_UPSTREAM, OkPacket(3));
    EXPECT_EQ(ClientHears(), OkPacket(3));
  }
}

TEST_F(Watching, EndsWhereNoHashCouldHelp) {
  Start();
  LogInByOther("plain", "client_ed25519");
  for (int i = 0; i < 3; ++i) host.Feed(RUM_CLIENT, Query("SELECT 1"));
  EXPECT_TRUE(host.relaying());
}

TEST_F(Watching, EndsWhereTheServerIsOfMySqlWhichAsksAnew) {
  Start();
  server_version = "8.0.40";
  LogInByOther("alice", "caching_sha2_password");
  for (int i = 0; i < 3; ++i) host.Feed(RUM_CLIENT, Query("SELECT 1"));
  EXPECT_TRUE(host.relaying());
}

TEST_F(Watching, ResultsFlowUnseen) {
  Start();
  LogIn();
  host.Feed(RUM_CLIENT, Query("SELECT 1"));
  host.Feed(RUM_UPSTREAM, "no packets at all");
  EXPECT_EQ(ClientHears(), "no packets at all");
  host.End(RUM_CLIENT);
  EXPECT_TRUE(host.relaying());
}

TEST_F(Watching, WhatComesInPiecesGoesOnWhole) {
  Start();
  LogIn();
  std::string big(100000, 'x');
  std::string all = Query("SET x") + Query("SELECT '" + big + "'") + Query("SELECT 2") + "rest";
  for (size_t at = 0; at < all.size(); at += 977) host.Feed(RUM_CLIENT, all.substr(at, 977));
  EXPECT_EQ(ServerHears(), all);
  EXPECT_TRUE(host.relaying());
}

TEST_F(Watching, SaysNothingWhenRumEndsIt) {
  Start();
  LogIn();
  host.Feed(RUM_CLIENT, "\1\0\0"s);
  host.CloseByRum(RUM_CLOSE_DRAIN);
  EXPECT_EQ(ClientHears(), "");
  EXPECT_EQ(ServerHears(), "");
}

TEST_F(Watching, TranslatesAKillOfTheSameUsersSessionOnTheSameServer) {
  Start();
  uint32_t other = Other();
  LogIn();
  host.Feed(RUM_CLIENT, Query("SET AUTOCOMMIT = 0"));
  ServerHears();
  host.Feed(RUM_CLIENT, Query("KILL QUERY " + std::to_string(other)));
  EXPECT_EQ(ServerHears(), Query("KILL QUERY 4711"));
  EXPECT_EQ(host.metric("mysql_kills"), 1u);
}

TEST_F(Watching, TranslatesTheBinaryKillAndTheSessionsOwnId) {
  Start();
  LogIn();
  std::string own = PacketWriter().WriteU8(0x0c).WriteU32(greeting.connection_id).Finish(0);
  host.Feed(RUM_CLIENT, own);
  EXPECT_EQ(ServerHears(), PacketWriter().WriteU8(0x0c).WriteU32(7).Finish(0));
}

TEST_F(Watching, LeavesEveryOtherKillAsItIs) {
  Start();
  std::vector<uint32_t> ids = {Other("bob"), Other("alice", "10.1.2.4:3306"), 12, 0x7ffffffe};
  for (uint32_t id : ids) {
    LogIn();
    std::string kill = Query("KILL " + std::to_string(id));
    host.Feed(RUM_CLIENT, kill);
    EXPECT_EQ(ServerHears(), kill);
    host.CloseByRum(RUM_CLOSE_KILLED);
  }
  EXPECT_EQ(host.metric("mysql_kills"), 0u);
}

TEST_F(Watching, AKillThatNobodyCanPlaceGoesToTheServerAsItIs) {
  Start();
  LogIn();
  const std::string kill = Query("KILL " + std::to_string(Other()));
  host.BreakElsewhere();
  host.Feed(RUM_CLIENT, kill);
  EXPECT_EQ(ServerHears(), kill);
  host.Feed(RUM_CLIENT, Query("SELECT 1"));
  EXPECT_EQ(ServerHears(), Query("SELECT 1"));
}

TEST_F(Watching, WhileOthersAreAskedTheNextPacketsWait) {
  Start();
  LogIn();
  const std::string other = std::to_string(Other());
  host.HoldAnswers(true);
  host.Feed(RUM_CLIENT, Query("KILL " + other) + Query("SELECT 1"));
  EXPECT_EQ(ServerHears(), "");
  host.HoldAnswers(false);
  EXPECT_EQ(ServerHears(), Query("KILL 4711") + Query("SELECT 1"));
}

TEST_F(Watching, ASessionThatIsOverIsNotFound) {
  Start();
  LogIn();
  uint32_t id = greeting.connection_id;
  EXPECT_EQ(Found(id, "alice", "10.1.2.3:3306"), 7u);
  for (int i = 0; i < 3; ++i) host.Feed(RUM_CLIENT, Query("x"));
  EXPECT_TRUE(Found(id, "alice", "10.1.2.3:3306"));
  host.CloseByRum(RUM_CLOSE_KILLED);
  EXPECT_FALSE(Found(id, "alice", "10.1.2.3:3306"));
}

// -- COM_CHANGE_USER ------------------------------------------------------------------------------

TEST_F(Watching, AfterARewrittenLoginAChangeOfTheUserIsLed) {
  Start({{"mysql-auth", "rewrite"}});
  LogInByHash();
  for (int i = 0; i < 10; ++i) host.Feed(RUM_CLIENT, Query("x"));
  ServerHears();
  EXPECT_FALSE(host.relaying());
  for (int i = 0; i < 3; ++i) {
    host.Feed(RUM_CLIENT, Changing("bob", TokenFor(greeting.nonce)));
    ExpectDemand("bob");
    Prove();
    host.Feed(RUM_CLIENT, Query("SELECT 1"));
    EXPECT_EQ(ServerHears(), Query("SELECT 1"));
  }
  EXPECT_EQ(host.metric("mysql_user_changes"), 3u);
  EXPECT_EQ(host.metric("mysql_rewritten_logins"), 1u);
  EXPECT_EQ(host.notes()["changed_to"], "bob");
  EXPECT_EQ(host.user(), "alice");
  EXPECT_EQ(Found(greeting.connection_id, "bob", "10.1.2.3:3306"), 7u);
}

TEST_F(Watching, AClientWithoutPluginsIsGivenTheTokenForTheServersNonce) {
  Start();
  LogInByHash(kOldClient);
  auto change = [&](const std::string& user, const std::string& token) {
    return Changing(user, token, "", kOldClient);
  };
  host.Feed(RUM_CLIENT, change("alice", TokenFor(greeting.nonce)));
  GrantQuiet();
  EXPECT_EQ(ServerHears(), change("alice", TokenFor(kServerNonce)));
  host.Feed(RUM_UPSTREAM, OkPacket(1));
  EXPECT_EQ(ClientHears(), OkPacket(1));
  // Of another user rum knows no hash here.
  host.Feed(RUM_CLIENT, change("bob", TokenFor(greeting.nonce)));
  GrantQuiet();
  EXPECT_EQ(ServerHears(), change("bob", TokenFor(greeting.nonce)));
  ServerSays(1, "\xff\x15\x04#28000Access denied for user 'bob'@'10.9.9.9'");
  ExpectRefusal(1, "Access denied for user 'bob'@'192.0.2.1' (using password: YES)");
}

// mysqljs: it follows a switch, and yet names no plugin. The server was told of plugins by rum.
TEST_F(Watching, AClientWithoutPluginsThatWasRelayedIsLedToo) {
  Start({{"mysql-auth", "relay"}});
  LogIn("plain", kOldClient);
  for (int i = 0; i < 10; ++i) host.Feed(RUM_CLIENT, Query("x"));
  ServerHears();
  EXPECT_FALSE(host.relaying());
  for (const char* user : {"bob", "plain"}) {
    host.Feed(RUM_CLIENT, Changing(user, TokenFor(greeting.nonce), "", kOldClient));
    ExpectDemand(user);
    Prove();
  }
}

// A client that does not wait could have an answer of its own choice taken for the verdict.
TEST_F(Watching, AChangeBeforeAllIsAnsweredEndsTheSession) {
  Start({{"mysql-change-user", "same"}});
  const std::string row = Packet(5, "\x04rows");
  for (const std::string& owed :
       {OkPacket(1), BuildError({1146, "42S02", "There is no table 'm0123'"}, 1), row,
        Packet(0, ""), Packet(2, "\x01\x03"), SyntaxError("m" + std::string(40, '0')),
        "\xff\xff\xff\x01"s}) {
    LogIn();
    host.Feed(RUM_CLIENT, Query("SELECT 1") + Changing("alice", TokenFor(greeting.nonce)));
    std::string mark = Mark(Query("SELECT 1"));
    host.Feed(RUM_UPSTREAM, owed + SyntaxError(mark));
    ExpectError(1, 1156, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
    EXPECT_EQ(ServerHears(), Packet(0, "\x01"));
  }
  // The mark alone is not enough: it must come at the head of an error.
  LogIn();
  host.Feed(RUM_CLIENT, Changing("alice", TokenFor(greeting.nonce)));
  host.Feed(RUM_UPSTREAM, Packet(1, Mark()));
  ExpectError(1, 1156, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
}

TEST_F(Watching, TheMarkIsAnotherEachTimeAndIsFoundInUtf16) {
  Start({{"mysql-change-user", "same"}});
  LogIn();
  std::string first;
  for (int i = 0; i < 2; ++i) {
    host.Feed(RUM_CLIENT, Changing("alice", TokenFor(greeting.nonce)));
    std::string mark = Mark(), wide;
    EXPECT_NE(mark, first);
    first = mark;
    for (char c : mark) wide += {'\0', c};
    host.Feed(RUM_UPSTREAM, BuildError({1064, "42000", "N\0e\0a\0r\0"s + wide}, 1));
    ServerHears();
    Prove();
  }
}

TEST_F(Watching, AChangeThatIsLeftBeforeTheServerIsAskedIsEndedProperly) {
  Start({{"mysql-change-user", "same"}});
  LogIn();
  host.Feed(RUM_CLIENT, Changing("alice", TokenFor(greeting.nonce)));
  Mark();
  host.End(RUM_CLIENT);
  EXPECT_EQ(ServerHears(), Packet(0, "\x01"));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(Watching, ALoginThatDoesNotComeToAnEndIsEnded) {
  Start();
  Greet();
  Respond("plain", TokenFor(greeting.nonce));
  Connect();
  ServerSays(2, Asking("dialog"));
  uint8_t number = 3;
  for (; host.open() && number < 250; number += 2) {
    ClientSays(number, "answer");
    ServerSays(static_cast<uint8_t>(number + 1), "\x01more");
  }
  EXPECT_LT(number, 250);
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM_PROTOCOL);
}

// What libmariadb does: it answers the server's question with the nonce that it keeps.
TEST_F(Watching, AProofForTheNonceThatRumGaveIsTranslated) {
  Start({{"mysql-auth", "rewrite"}});
  AddUser("bob", kStoredText, "tcp:db1.internal:3306");
  LogInByHash();
  for (const char* user : {"bob", "alice", "bob"}) {
    host.Feed(RUM_CLIENT, Changing(user, TokenFor(greeting.nonce)));
    ExpectDemand(user);
    ServerSwitches(1);
    ClientHears();
    ClientSays(2, TokenFor(greeting.nonce));
    EXPECT_EQ(ServerHears(), Packet(2, TokenFor(kServerNonce)));
    host.Feed(RUM_UPSTREAM, OkPacket(3));
    EXPECT_EQ(ClientHears(), OkPacket(3));
  }
  // A wrong password stays what it is.
  host.Feed(RUM_CLIENT, Changing("alice", std::string(20, 'x')));
  ExpectDemand("alice");
  ServerSwitches(1);
  ClientSays(2, std::string(20, 'y'));
  EXPECT_EQ(ServerHears(), Packet(2, std::string(20, 'y')));
}

// Else the owner of a server could have a proof that was seen elsewhere, for a nonce that the
// server then gives itself, turned into one for a nonce that a third server has just sent.
TEST_F(Watching, NoProofIsMadeForAUserOfAnotherServer) {
  const Nonce known = ArrayOf<Nonce>("nonce-of-that-login-");
  const std::string seen = TokenFor(known);
  Start();
  for (const std::string& where : {"tcp:db2.internal:3306"s, "tcp:db1.internal:3306"s}) {
    Offer(RUM_TLS_ON, RUM_TLS_OFF);  // so that the session is watched
    AddUser("carol", kStoredText, where);
    GreetByTls();
    RespondByTls("alice", TokenFor(greeting.nonce));
    Connect();
    host.Feed(RUM_UPSTREAM, BuildNativeSwitch(known, 2));
    ClientSays(4, TokenFor(known));
    host.Feed(RUM_UPSTREAM, OkPacket(4));
    ASSERT_TRUE(LoggedIn());
    ServerHears();
    host.Feed(RUM_CLIENT, Changing("carol", ""));
    GrantQuiet();
    ServerHears();
    ServerSwitches(1);
    ClientSays(2, seen);
    EXPECT_EQ(ServerHears(),
              Packet(2, where == "tcp:db1.internal:3306" ? TokenFor(kServerNonce) : seen));
    host.CloseByRum(RUM_CLOSE_KILLED);
  }
}

// MariaDB keeps the session as it was; a server that does not closes it.
TEST_F(Watching, AfterARefusedChangeTheSessionGoesOnAsTheUserThatItWas) {
  Start({{"mysql-auth", "rewrite"}});
  LogInByHash();
  host.Feed(RUM_CLIENT, Changing("bob", ""));
  ExpectDemand("bob", 0);
  ServerSwitches(1);
  ClientHears();
  ClientSays(2, "");
  ServerHears();
  ServerSays(3, "\xff\x15\x04#28000Access denied for user 'bob'@'10.9.9.9' (using password: NO)");
  ExpectRefusal(3, "Access denied for user 'bob'@'192.0.2.1' (using password: NO)");
  host.Feed(RUM_CLIENT, Query("KILL " + std::to_string(greeting.connection_id)));
  EXPECT_EQ(ServerHears(), Query("KILL 7")) << "it is alice's still";
  host.End(RUM_UPSTREAM);
  host.End(RUM_CLIENT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM);
}

TEST_F(Watching, AChangeThatIsCutShortIsEndedTowardTheServer) {
  Start({{"mysql-auth", "rewrite"}});
  LogInByHash();
  host.Feed(RUM_CLIENT, Changing("bob", ""));
  ExpectDemand("bob", 0);
  ServerSwitches(1);
  ClientHears();
  host.End(RUM_CLIENT);
  EXPECT_EQ(ServerHears(), Packet(2, kWrongProof));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(Watching, WhenOnlyTheClientsLinkIsSafeNoPasswordGoesOn) {
  Start();
  Offer(RUM_TLS_ON, RUM_TLS_OFF);
  GreetByTls();
  RespondByTls("alice", TokenFor(greeting.nonce));
  Connect(kTlsServer);
  ServerSwitches();
  ClientSays(4, TokenFor(kServerNonce));
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  ServerHears(), ClientHears();
  for (int i = 0; i < 10; ++i) host.Feed(RUM_CLIENT, Query("x"));
  EXPECT_FALSE(host.relaying());
  ServerHears();
  // A client whose first plugin sends the password itself.
  host.Feed(RUM_CLIENT, Changing("bob", "secret\0"s, "mysql_clear_password"));
  ExpectDemand("bob", 0);
  ServerSays(1, Asking("mysql_clear_password"));
  ExpectError(1, 1105, "08S01", RUM_CLOSE_UNSUPPORTED);
}

// An account that is rum's own system user needs no proof over a unix socket.
TEST_F(Watching, OverAUnixSocketAChangeThatNeedsNoProofIsRefused) {
  Start();
  host.peer[RUM_UPSTREAM] = "unix:/run/mysqld/mysqld.sock";
  LogIn();
  for (int i = 0; i < 10; ++i) host.Feed(RUM_CLIENT, Query("x"));
  EXPECT_FALSE(host.relaying());
  ServerHears();
  host.Feed(RUM_CLIENT, Changing("daemons", ""));
  ExpectDemand("daemons", 0);
  host.Feed(RUM_UPSTREAM, OkPacket(1));
  ExpectError(1, 1045, "28000", RUM_CLOSE_DENIED);
  EXPECT_EQ(ServerHears(), Packet(0, "\x01"));
}

// An account may have that as a second way, tried after a wrong password.
class SystemUser : public Watching {
 protected:
  static constexpr char kSocket[] = "unix:/run/mysqld/mysqld.sock";

  // By a login; and by a change of the user, from "alice" by rewriting.
  bool RefusesLogin(const std::string& user) {
    host.peer[RUM_UPSTREAM] = kSocket;
    host.default_destination = "sock:/run/mysqld/mysqld.sock";
    Greet();
    Respond(user, TokenFor(greeting.nonce));
    host.ConnectOutcome(0);
    host.Feed(RUM_UPSTREAM, ServerGreeting());
    if (host.closed() != RUM_CLOSE_DENIED) return End();
    ExpectError(2, 1045, "28000", RUM_CLOSE_DENIED);
    return true;
  }
  bool End() {
    host.CloseByRum(RUM_CLOSE_KILLED);
    ClientHears();
    ServerHears();
    return false;
  }
  bool RefusesChange(const std::string& user) {
    host.peer[RUM_UPSTREAM] = kSocket;
    LogInByHash(kOldClient);
    host.Feed(RUM_CLIENT, Changing(user, TokenFor(greeting.nonce), "", kOldClient));
    if (host.closed() != RUM_CLOSE_DENIED) return End();
    ExpectError(1, 1045, "28000", RUM_CLOSE_DENIED);
    EXPECT_EQ(ServerHears(), Packet(0, "\x01"));
    return true;
  }
};

TEST_F(SystemUser, IsRefusedOverAUnixSocketByEachOfItsNames) {
  host.user_names = "rum\0toor\0"s;
  Start();
  for (const char* name : {"rum", "toor", "'rum'"}) EXPECT_TRUE(RefusesLogin(name)) << name;
  for (const char* name : {"rum", "toor"}) EXPECT_TRUE(RefusesChange(name)) << name;
  for (const char* name : {"alice", "ru", "rum2", "Rum", ""}) {
    EXPECT_FALSE(RefusesLogin(name)) << name;
    EXPECT_FALSE(RefusesChange(name)) << name;
  }
  host.peer[RUM_UPSTREAM] = "10.1.2.3:3306";
  LogIn("rum");
}

TEST_F(SystemUser, MayBeAnybodyWhenTheSystemHasNoNameForIt) {
  host.user_names = "";
  Start();
  EXPECT_TRUE(RefusesLogin("bob"));
  EXPECT_NE(host.close_text().find("--mysql-socket-user"), std::string::npos);
  EXPECT_TRUE(RefusesChange("bob"));
  EXPECT_NE(host.close_text().find("--mysql-socket-user"), std::string::npos);
  host.peer[RUM_UPSTREAM] = "10.1.2.3:3306";
  LogIn();
}

TEST_F(SystemUser, HasTheNamesThatAreGiven) {
  Start({{"mysql-socket-user", "mysql,daemons"}});
  for (const char* name : {"mysql", "daemons"}) EXPECT_TRUE(RefusesLogin(name)) << name;
  EXPECT_TRUE(RefusesChange("mysql"));
  EXPECT_FALSE(RefusesLogin("rum"));
}

TEST_F(SystemUser, IsNobodyWhereThatIsGiven) {
  host.user_names = "";
  Start({{"mysql-socket-user", "none"}});
  EXPECT_FALSE(RefusesLogin("rum"));
  EXPECT_FALSE(RefusesChange("rum"));
}

TEST_F(Watching, SameLetsAUserBecomeItselfAndNobodyElse) {
  Start({{"mysql-change-user", "same"}});
  LogIn();
  for (int i = 0; i < 10; ++i) host.Feed(RUM_CLIENT, Query("x"));
  ServerHears();
  host.Feed(RUM_CLIENT, Changing("alice", TokenFor(greeting.nonce)));
  ExpectDemand("alice");
  Prove();
  host.Feed(RUM_CLIENT, Changing("bob", TokenFor(greeting.nonce)) + Query("SELECT 1"));
  EXPECT_EQ(ServerHears(), Packet(0, "\x01"));
  ExpectError(1, 1045, "28000", RUM_CLOSE_DENIED);
  EXPECT_EQ(error.text, "Access denied for user 'bob'@'192.0.2.1' (using password: YES)");
  EXPECT_EQ(host.metric("mysql_denied_user_changes"), 1u);
}

TEST_F(Watching, DenyLetsNobody) {
  Start({{"mysql-change-user", "deny"}});
  LogIn();
  host.Feed(RUM_CLIENT, Changing("alice", TokenFor(greeting.nonce)));
  ExpectError(1, 1045, "28000", RUM_CLOSE_DENIED);
}

TEST_F(Watching, DataThatLookLikeACommandAreNone) {
  Start({{"mysql-change-user", "deny"}});
  LogIn();
  host.Feed(RUM_CLIENT, Query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t"));
  for (int n = 2; n < 600; ++n) {
    host.Feed(RUM_CLIENT, Packet(static_cast<uint8_t>(n),
                                 "\x11"
                                 "bob\0\0"s));
  }
  host.Feed(RUM_CLIENT, Packet(static_cast<uint8_t>(600), ""));
  EXPECT_TRUE(host.open());
  host.Feed(RUM_CLIENT, Changing("bob", ""));
  EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
}

TEST_F(Watching, ACommandThatCannotBeReadEndsTheSession) {
  Start({{"mysql-change-user", "same"}});
  for (const std::string& packet : {Packet(0,
                                           "\x11"
                                           "bob"),
                                    "\xff\xff\xff\0\x11"s + std::string(100, 'x')}) {
    LogIn();
    host.Feed(RUM_CLIENT, packet);
    ExpectError(1, 1043, "08S01", RUM_CLOSE_CLIENT_PROTOCOL);
  }
}

TEST_F(Watching, AServerThatHasEndedIsNotAsked) {
  Start({{"mysql-change-user", "same"}});
  LogIn();
  host.End(RUM_UPSTREAM);
  host.Feed(RUM_CLIENT, Changing("alice", TokenFor(greeting.nonce)));
  EXPECT_EQ(ServerHears(), "");
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM);
}

// -- the rules and limits of the new user ---------------------------------------------------------

class ChangeOfUser : public Watching {
 protected:
  const std::string kAlice = "alice: " + kStoredText + "\0tcp:db1.internal:3306\0"s;
  const std::string kBob = "bob: \0tcp:db1.internal:3306\0\x80max=1"s;

  // A session whose changes of the user are led, though nothing was rewritten.
  void Begin(const ScriptedHost::Options& options = {}) {
    host.AddToMap("bob", kBob.substr(5));
    Start(options);
    host.peer[RUM_UPSTREAM] = "unix:/run/mysqld/mysqld.sock";
    LogIn();
    ASSERT_EQ(Asked(), std::vector{kAlice});
  }
  void Goes(const std::string& user) {
    host.Feed(RUM_CLIENT, Changing(user, TokenFor(greeting.nonce)));
  }
  // Nothing of what was tried has reached the server, and it is alice's session.
  void ExpectUntouched() {
    EXPECT_EQ(ServerHears(), "");
    EXPECT_EQ(host.user(), "alice");
    EXPECT_EQ(Found(greeting.connection_id, "alice", "unix:/run/mysqld/mysqld.sock"), 7u);
    EXPECT_EQ(host.notes().count("changed_to"), 0u);
    host.Feed(RUM_CLIENT, Query("SELECT 1"));
    EXPECT_EQ(ServerHears(), Query("SELECT 1"));
  }
};

TEST_F(ChangeOfUser, IsAskedForWithTheRecordBeforeTheServerIs) {
  Begin();
  host.HoldAnswers(true);
  Goes("bob");
  EXPECT_EQ(ServerHears(), "") << "before the map has answered";
  host.HoldAnswers(false);
  EXPECT_EQ(Asked(), (std::vector{kAlice, kBob}));
  EXPECT_EQ(host.user(), "alice") << "whom the log names";
  ExpectDemand("bob");
  Prove();
  EXPECT_EQ(Asked().size(), 2u) << "the session is bob's";
  // And on from there, to one whom the map does not know.
  Goes("carol");
  EXPECT_EQ(Asked(), (std::vector{kAlice, kBob, "carol: "s}));
  ExpectDemand("carol");
  Prove();
  EXPECT_EQ(host.user(), "alice");
}

TEST_F(ChangeOfUser, IsJudgedAfterARewrittenLoginToo) {
  host.AddToMap("bob", kBob.substr(5));
  Start({{"mysql-auth", "rewrite"}});
  LogInByHash();
  Goes("bob");
  EXPECT_EQ(Asked(), (std::vector{kAlice, kBob}));
  ExpectDemand("bob");
}

TEST_F(ChangeOfUser, ToTheSameUserIsAskedForToo) {
  Begin({{"mysql-change-user", "same"}});
  Goes("alice");
  EXPECT_EQ(Asked(), (std::vector{kAlice, kAlice}));
  ExpectDemand("alice");
  Prove();
}

TEST_F(ChangeOfUser, ThatTheServerRefusesIsTakenBack) {
  Begin();
  Goes("bob");
  ExpectDemand("bob");
  Prove();
  Goes("carol");
  ExpectDemand("carol");
  ServerSwitches(1);
  ClientHears();
  ClientSays(2, "");
  ServerHears();
  ServerSays(3, "\xff\x15\x04#28000Access denied for user 'carol'@'10.9.9.9'");
  ExpectRefusal(3, "Access denied for user 'carol'@'192.0.2.1' (using password: NO)");
  EXPECT_EQ(Asked(), (std::vector{kAlice, kBob, "carol: "s, "bob: "s}));
  EXPECT_EQ(host.user(), "alice");
  // The one before is let in before the server's bytes flow again, else its place were lost.
  std::vector<Deed::Kind> last;
  for (const Deed& deed : host.deeds()) {
    if (deed.kind == Deed::Kind::kAdmit || deed.kind == Deed::Kind::kRelayFrom) {
      last.push_back(deed.kind);
    }
  }
  ASSERT_GE(last.size(), 2u);
  EXPECT_EQ(last[last.size() - 2], Deed::Kind::kAdmit);
  EXPECT_EQ(last.back(), Deed::Kind::kRelayFrom);
}

TEST_F(ChangeOfUser, OverALimitIsToldAndTheSessionGoesOn) {
  Begin();
  for (auto [verdict, code, text] :
       {std::tuple{RUM_REFUSED_CONNECTIONS, 1226,
                   "User 'bob' has exceeded the 'max_user_connections' resource"},
        std::tuple{RUM_REFUSED_RATE, 1226, "User 'bob' has exceeded the 'login_rate' resource"},
        std::tuple{RUM_REFUSED_BLOCKED, 1129,
                   "Your address is blocked for a while because of too many failed logins"}}) {
    host.admission = verdict;
    Goes("bob");
    ExpectRefusal(1, text, static_cast<uint16_t>(code));
    ExpectUntouched();
  }
  EXPECT_EQ(FailedLogins(), 0u);
  EXPECT_EQ(Asked().size(), 4u) << "nothing was admitted, nothing is taken back";
  EXPECT_EQ(host.metric("mysql_denied_user_changes"), 3u);
  EXPECT_EQ(host.metric("mysql_user_changes"), 0u);
  EXPECT_EQ(host.notes()["change_refused"], "the address was blocked during the login");
}

// What a client sees is what the server would have said to a wrong password.
TEST_F(ChangeOfUser, AgainstTheRulesLooksLikeAWrongPassword) {
  Begin();
  size_t failed = 0;
  for (int32_t verdict : {RUM_REFUSED_RULES, RUM_REFUSED_DISABLED, RUM_REFUSED_TIME,
                          RUM_REFUSED_ADDRESS, RUM_REFUSED_TLS, 4711}) {
    host.admission = verdict;
    Goes("bob");
    host.Advance(10000);
    auto said = Split(ClientHears());
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].sequence, 1);
    EXPECT_EQ(said[0].payload.substr(0, 23), "\xfemysql_native_password\0"s);
    ClientSays(2, TokenFor(greeting.nonce));
    host.Advance(10000);
    ExpectRefusal(3, "Access denied for user 'bob'@'192.0.2.1' (using password: YES)");
    ExpectUntouched();
    EXPECT_EQ(FailedLogins(), ++failed);
  }
  // The next one is judged for itself.
  host.admission = RUM_OK;
  Goes("bob");
  ExpectDemand("bob");
  Prove();
}

TEST_F(ChangeOfUser, ToADisabledOneShowsItsText) {
  host.AddToMap("moving",
                "\0tcp:192.0.2.9:3306\0\x80"
                "disabled=back\\sat\\s14:00"s);
  Begin();
  host.admission = RUM_REFUSED_DISABLED;
  Goes("moving");
  ExpectRefusal(1, "back at 14:00", 1053);
  ExpectUntouched();
  host.admission = RUM_OK;
  Goes("bob");
  ExpectDemand("bob");
  Prove();
}

TEST_F(ChangeOfUser, AgainstTheRulesOfAClientWithoutPluginsEndsAsItsServerWould) {
  host.AddToMap("bob", kBob.substr(5));
  Start();
  LogInByHash(kOldClient);
  host.admission = RUM_REFUSED_DISABLED;
  host.Feed(RUM_CLIENT, Changing("bob", TokenFor(greeting.nonce), "", kOldClient));
  host.Advance(10000);
  ExpectRefusal(1, "Access denied for user 'bob'@'192.0.2.1' (using password: YES)");
  EXPECT_EQ(ServerHears(), "");
}

TEST_F(ChangeOfUser, WhoLeavesDuringARefusalLeavesTheServerWell) {
  Begin();
  host.admission = RUM_REFUSED_DISABLED;
  Goes("bob");
  host.Advance(10000);
  ClientHears();
  host.End(RUM_CLIENT);
  EXPECT_EQ(ServerHears(), Packet(0, "\x01"));
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
}

TEST_F(ChangeOfUser, WithoutAMapThatCanBeAskedIsRefused) {
  Begin();
  host.BreakMap();
  Goes("bob");
  ExpectRefusal(1, "Logins are not possible at the moment: the list of accounts is not available",
                1105);
  ExpectUntouched();
  EXPECT_EQ(Asked().size(), 1u);
}

// One of 600 bytes, one of a cut character, and one around which MariaDB and MySQL leave the quotes
// that a login loses there.
TEST_F(ChangeOfUser, ToANameThatIsNoneIsRefused) {
  Begin();
  for (const std::string& name : {std::string(600, 'x'), "bob\xc3"s, "'bob'"s}) {
    Goes(name);
    host.Advance(10000);
    ClientHears();
    ClientSays(2, "");
    host.Advance(10000);
    ExpectRefusal(
        3, "Access denied for user '" + name.substr(0, 128) + "'@'192.0.2.1' (using password: NO)");
    EXPECT_EQ(host.notes()["change_refused"].substr(0, 13), "the user name");
    ExpectUntouched();
  }
  EXPECT_EQ(Asked().size(), 1u);
}

TEST_F(ChangeOfUser, KnowsTheNewUserByTheNameThatTheServerHas) {
  host.AddToMap("h\xc3\xa4ns", "\0tcp:db1.internal:3306\0"s);
  Begin();
  ChangeUser change;
  change.user = "h\xe4ns";
  change.auth = "12345678901234567890";
  change.charset = 8;
  host.Feed(RUM_CLIENT, BuildChangeUser(change, kClient));
  EXPECT_EQ(Asked().back().substr(0, 8), "h\xc3\xa4ns: \0"s.substr(0, 8));
  GrantQuiet();
  auto said = Split(ServerHears());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_EQ(ParseChangeUser(AsBytes(said[0].payload), kClient).value.user, "h\xe4ns");
  EXPECT_EQ(host.notes()["changed_to"], "h\xc3\xa4ns");
}

TEST_F(ChangeOfUser, ThatIsNotSeenIsNotJudged) {
  host.AddToMap("bob", kBob.substr(5));
  Start();
  LogIn();
  Goes("bob");
  EXPECT_EQ(ServerHears(), Changing("bob", TokenFor(greeting.nonce)));
  EXPECT_EQ(Asked(), std::vector{kAlice});
}

// -- compression ----------------------------------------------------------------------------------

TEST_F(Watching, CompressionIsOfferedWhenAskedForAndThreeFramesAreLookedAt) {
  Start({{"mysql-compress", "1"}});
  Greet();
  EXPECT_EQ(greeting.capabilities & kCompresses, kCompress);
  host.CloseByRum(RUM_CLOSE_KILLED);
  LogIn("alice", kClient | kCompress, kServer | kCompress);
  std::string frames = FromHex("05000000100000") + "12345" + WrapCompressed(Query("SELECT 1")) +
                       FromHex("00000100000000");
  for (size_t at = 0; at < frames.size(); ++at) {
    EXPECT_FALSE(host.relaying());
    host.Feed(RUM_CLIENT, frames.substr(at, 1));
  }
  EXPECT_TRUE(host.relaying());
  EXPECT_EQ(ServerHears(), frames);
}

TEST_F(Watching, AKillIsTranslatedInAFrameOfTheCompressedProtocol) {
  Start({{"mysql-compress", "1"}});
  LogIn("alice", kClient | kCompress, kServer | kCompress);
  std::string number = std::to_string(Other());
  host.Feed(RUM_CLIENT, WrapCompressed(Query("KILL QUERY " + number)));
  EXPECT_EQ(ServerHears(), WrapCompressed(Query("KILL QUERY 4711")));
  // What is not such a frame goes on as it is: another number, a longer packet, or two of them.
  std::string kill = Query("KILL QUERY " + number);
  std::string second = WrapCompressed(kill), inner = WrapCompressed(kill), two = kill + kill;
  second[3] = 1;
  inner[7 + 3] = 1;
  for (const std::string& frame : {second, inner, WrapCompressed(two)}) {
    host.CloseByRum(RUM_CLOSE_KILLED);
    LogIn("alice", kClient | kCompress, kServer | kCompress);
    host.Feed(RUM_CLIENT, frame);
    EXPECT_EQ(ServerHears(), frame);
  }
}

TEST_F(Watching, ZstdIsNotOfferedInTheNameOfAServerWithout) {
  Start({{"mysql-compress", "1"}, {"mysql-version", "8.0.17"}});
  Greet();
  EXPECT_EQ(greeting.capabilities & kCompresses, kCompress);
}

TEST_F(Watching, ZstdGoesOnWithItsLevel) {
  Start({{"mysql-compress", "1"}, {"mysql-version", "8.0.18"}});
  Greet();
  EXPECT_EQ(greeting.capabilities & kCompresses, kCompresses);
  Response response;
  response.capabilities = kClient | kZstd;
  response.user = "alice";
  response.zstd_level = 19;
  host.Feed(RUM_CLIENT, BuildResponse(response, 1));
  server_version = "8.0.40";
  Response asked = Connect(kServer | kZstd);
  EXPECT_EQ(asked.capabilities & kCompresses, kZstd);
  EXPECT_EQ(asked.zstd_level, 19);
  ServerSwitches();
  ClientSays(3, TokenFor(kServerNonce));
  host.Feed(RUM_UPSTREAM, OkPacket(4));
  EXPECT_TRUE(LoggedIn());
}

TEST_F(Watching, AServerWithoutCompressionCannotBeUsedByAClientThatCompresses) {
  Start({{"mysql-compress", "1"}});
  Greet();
  Respond("alice", TokenFor(greeting.nonce), kClient | kCompress);
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kServer & ~uint32_t{kCompress}));
  ExpectErrorAfterGreeting(2, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);
}

TEST_F(Watching, CompressionIsRefusedWhereAChangeOfTheUserMustBeSeen) {
  Start({{"mysql-compress", "1"}});
  host.peer[RUM_UPSTREAM] = "unix:/run/mysqld/mysqld.sock";
  Greet();
  Respond("alice", TokenFor(greeting.nonce), kClient | kCompress);
  host.ConnectOutcome(0);
  host.Feed(RUM_UPSTREAM, ServerGreeting(kServer | kCompress));
  ExpectErrorAfterGreeting(2, 1105, "HY000", RUM_CLOSE_UNSUPPORTED);
}

TEST_F(Watching, CompressionAndRulesForChangesExcludeEachOther) {
  auto status = host.Start({{"mysql-compress", "1"}, {"mysql-change-user", "same"}});
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().text.find("--mysql-compress"), std::string::npos);
}

}  // namespace
}  // namespace rum::mysql

// Whole logins on the scripted host, for what real servers and clients do not do: what is split,
// out of turn, broken off, or hostile.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "login_fixture.h"

namespace rum::pgsql {
namespace {

TEST_F(PgsqlLogin, PassesWhateverTheServerAsksFor) {
  for (const std::string& request : {kMd5Request, BuildAuth(Auth::kGss), BuildAuth(Auth::kSspi)}) {
    Reach();
    EXPECT_EQ(ServerHears(), kStartup);
    ServerSays(request);
    EXPECT_EQ(ClientHears(), request);
    host.Feed(RUM_CLIENT, kProof);
    EXPECT_EQ(ServerHears(), kProof);
    ServerSays(kOk + kKey + kReady);
    EXPECT_EQ(ClientHears(), kOk + kKey + kReady);
    EXPECT_TRUE(host.relaying());
    host.CloseByRum(RUM_CLOSE_KILLED);
  }
}

TEST_F(PgsqlLogin, IsTheSameInAnyPieces) {
  const std::string from_server = kMd5Request, rest = kOk + kKey + kReady;
  host.Open();
  for (char byte : kStartup) host.Feed(RUM_CLIENT, std::string(1, byte));
  ASSERT_TRUE(host.ConnectOutcome(0));
  for (char byte : from_server) host.Feed(RUM_UPSTREAM, std::string(1, byte));
  EXPECT_EQ(ClientHears(), from_server);
  for (char byte : kProof) host.Feed(RUM_CLIENT, std::string(1, byte));
  EXPECT_EQ(ServerHears(), kStartup + kProof);
  for (char byte : rest) host.Feed(RUM_UPSTREAM, std::string(1, byte));
  EXPECT_EQ(ClientHears(), rest);
  EXPECT_TRUE(host.relaying());
}

TEST_F(PgsqlLogin, KeepsWhatComesTooEarlyForTheServer) {
  const std::string query = BuildMessage('Q', "SELECT 1\0"s);
  host.Open();
  host.Feed(RUM_CLIENT, kStartup + query);
  host.ConnectOutcome(0);
  EXPECT_EQ(ServerHears(), kStartup);
  ServerSays(kOk + kKey + kReady);
  EXPECT_EQ(ServerHears(), query);
}

TEST_F(PgsqlLogin, SpeaksOfGssUntilTheServerIsContent) {
  Reach();
  ServerSays(BuildAuth(Auth::kGss));
  host.Feed(RUM_CLIENT, BuildMessage('p', "one"));
  ServerSays(BuildAuth(Auth::kGssContinue, "two"));
  host.Feed(RUM_CLIENT, BuildMessage('p', "three"));
  // The server's last word to GSSAPI needs no answer.
  ServerSays(BuildAuth(Auth::kGssContinue, "four") + kOk + kKey + kReady);
  EXPECT_TRUE(host.relaying());
  EXPECT_EQ(host.metric("pgsql_gss_logins"), 1u);
}

TEST_F(PgsqlLogin, TakesNoAnswerThatNobodyAskedFor) {
  Reach();
  ServerHears();
  host.Feed(RUM_CLIENT, kProof + kProof);
  EXPECT_EQ(ServerHears(), "");
  ServerSays(kMd5Request);
  EXPECT_EQ(ServerHears(), kProof);
  ServerSays(kOk + kReady);
  EXPECT_EQ(ServerHears(), kProof) << "the surplus goes behind the login";
}

TEST_F(PgsqlLogin, EndsByAnErrorWhoeverEndsIt) {
  const std::pair<uint32_t, const char*> ends[] = {
      {RUM_CLOSE_LOGIN_TIMEOUT, "08006"}, {RUM_CLOSE_KILLED, "57P01"}, {RUM_CLOSE_DRAIN, "57P03"}};
  for (const auto& [reason, sqlstate] : ends) {
    Reach();
    host.CloseByRum(reason);
    ExpectError(sqlstate, reason);
  }
  Reach();
  ServerSays(kMd5Request);
  ClientHears();
  host.End(RUM_UPSTREAM);
  ExpectError("57P03", RUM_CLOSE_UPSTREAM_GONE);
  Reach();
  host.Reset(RUM_UPSTREAM);
  ExpectError("57P03", RUM_CLOSE_UPSTREAM_GONE);
}

TEST_F(PgsqlLogin, LeavesTheServerWhenTheClientHasGone) {
  Reach();
  ServerSays(kMd5Request);
  host.End(RUM_CLIENT);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
  EXPECT_EQ(ClientHears(), kMd5Request);
}

TEST_F(PgsqlLogin, SaysNothingBeforeTheStartup) {
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  host.Open();
  host.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT);
  EXPECT_EQ(ClientHears(), "");
  host.Open();
  host.Feed(RUM_CLIENT, BuildSslRequest());
  EXPECT_EQ(ClientHears(), "S");
  host.CloseByRum(RUM_CLOSE_DRAIN);
  EXPECT_EQ(ClientHears(), "");
}

TEST_F(PgsqlLogin, AsksTheServerForTlsAndBelievesOneByte) {
  host.tls_mode[RUM_UPSTREAM] = RUM_TLS_MIRROR;
  Reach();
  EXPECT_EQ(ServerHears(), BuildSslRequest());
  ServerSays("S");
  ASSERT_TRUE(host.TlsOutcome(RUM_UPSTREAM, RUM_OK));
  EXPECT_EQ(ServerHears(), kStartup);
  ServerSays(kList);
  EXPECT_EQ(ClientHears(), BuildMechanisms({"SCRAM-SHA-256"})) << "the client has no TLS";
  host.CloseByRum(RUM_CLOSE_KILLED);
  // Who listens in the middle could have said what is behind the byte.
  for (const std::string& bad : {"S" + kOk + kReady, "N" + kOk, kOk, "X"s}) {
    Reach();
    ServerHears();
    ServerSays(bad);
    ExpectError("08P01", RUM_CLOSE_UPSTREAM_PROTOCOL);
    EXPECT_EQ(ServerHears(), "");
  }
  Reach();
  ServerHears();
  ServerSays("N");
  EXPECT_EQ(ServerHears(), kStartup);
}

TEST_F(PgsqlLogin, HasTlsToTheServerAsItIsChosen) {
  struct Case {
    const char* option;  // nullptr: none
    uint32_t mode;       // --upstream-tls
    bool asks, goes_on;  // whether rum asks the server, and goes on when it has none
  };
  constexpr Case kCases[] = {
      {nullptr, RUM_TLS_MIRROR, true, true},  {nullptr, RUM_TLS_REQUIRE, true, false},
      {nullptr, RUM_TLS_VERIFY, true, false}, {nullptr, RUM_TLS_OFF, false, true},
      {"prefer", RUM_TLS_MIRROR, true, true}, {"mirror", RUM_TLS_MIRROR, false, true},
      {"off", RUM_TLS_MIRROR, false, true},   {"require", RUM_TLS_MIRROR, true, false},
  };
  for (const Case& now : kCases) {
    SCOPED_TRACE(now.option ? now.option : "none");
    ScriptedHost::Options options;
    if (now.option) options["pgsql-upstream-tls"] = now.option;
    ScriptedHost other(rum_module_v1);
    other.has_map = false;
    other.tls_mode[RUM_UPSTREAM] = now.mode;
    ASSERT_TRUE(other.Start(options).ok());
    other.Open();
    other.Feed(RUM_CLIENT, kStartup);
    other.ConnectOutcome(0);
    EXPECT_EQ(other.TakeSent(RUM_UPSTREAM), now.asks ? BuildSslRequest() : kStartup);
    if (!now.asks) continue;
    other.Feed(RUM_UPSTREAM, "N");
    EXPECT_EQ(other.open(), now.goes_on);
    EXPECT_EQ(other.TakeSent(RUM_UPSTREAM), now.goes_on ? kStartup : "");
  }
}

TEST_F(PgsqlLogin, AsksForNoPasswordByAnOpenLink) {
  const std::string token = BuildMechanisms({"OAUTHBEARER"});
  for (const std::string& request : {kClearTextRequest, token}) {
    Reach();
    ServerSays(request);
    ExpectError("28000", RUM_CLOSE_UNSUPPORTED);
  }
  EXPECT_EQ(host.metric("pgsql_refused_clear_text"), 2u);
  host.peer[RUM_UPSTREAM] = "unix:/run/s";
  Reach();
  ServerSays(kClearTextRequest);
  EXPECT_EQ(ClientHears(), kClearTextRequest);
}

TEST_F(PgsqlLogin, LetsAProofWaitForItsTurn) {
  host.login_waits = true;
  Reach();
  ServerSays(kMd5Request);
  ServerHears();
  host.Feed(RUM_CLIENT, kProof);
  EXPECT_TRUE(host.waits_for_login());
  EXPECT_EQ(ServerHears(), "");
  host.EndLoginWait();
  EXPECT_EQ(ServerHears(), kProof);
}

TEST_F(PgsqlLogin, OfAnUnknownUserTakesAsLongAsAServer) {
  Reach();
  host.Advance(30);
  ServerSays(kMd5Request);
  host.Feed(RUM_CLIENT, kProof);
  host.Advance(50);
  ServerSays(BuildError("28P01", "no"));
  ClientHears();
  host.Open();
  host.Feed(RUM_CLIENT, BuildStartup("nobody"));
  host.Advance(29);
  EXPECT_EQ(ClientHears(), "");
  host.Advance(1);
  EXPECT_EQ(ClientHears()[0], 'R');
}

TEST_F(PgsqlLogin, CountsWrongPasswordsAndNothingElse) {
  auto failed = [this] {
    size_t count = 0;
    for (const Deed& deed : host.deeds()) count += deed.kind == Deed::Kind::kLoginFailed;
    return count;
  };
  const std::pair<const char*, size_t> codes[] = {
      {"28P01", 1}, {"08P01", 1}, {"53300", 0}, {"57P03", 0}};
  for (const auto& [code, counts] : codes) {
    const size_t before = failed();
    Reach();
    ServerSays(kMd5Request);
    host.Feed(RUM_CLIENT, kProof);
    ClientHears();
    const std::string error = BuildError(code, "no");
    ServerSays(error);
    // A server's own words, in its language, would tell that it has been asked.
    EXPECT_EQ(ClientHears(), code == "28P01"s ? kWrong : error);
    EXPECT_EQ(failed() - before, counts) << code;
  }
}

TEST_F(PgsqlLogin, RefusedAtTheLastMomentHearsAnErrorInPlaceOfTheOk) {
  host.confirmation = RUM_REFUSED_CONNECTIONS;
  Reach();
  ServerHears();
  ServerSays(kOk + kKey + kReady);
  ExpectError("53300", RUM_CLOSE_LIMIT);
  EXPECT_EQ(ServerHears(), BuildMessage('X', ""));
}

TEST_F(PgsqlLogin, CannotBindToAnotherCertificateThanTheServers) {
  host.tls_mode[RUM_CLIENT] = host.tls_mode[RUM_UPSTREAM] = RUM_TLS_ON;
  auto reach = [this] {
    host.Open();
    host.Feed(RUM_CLIENT, BuildSslRequest());
    host.TlsOutcome(RUM_CLIENT, RUM_OK);
    host.Feed(RUM_CLIENT, kStartup);
    host.ConnectOutcome(0);
    ServerSays("S");
    host.TlsOutcome(RUM_UPSTREAM, RUM_OK);
    ServerSays(kList);
    ClientHears();
    ServerHears();
  };
  auto initial = [](std::string_view mechanism, std::string_view text) {
    std::string body(mechanism);
    body.append(1, '\0').append(U32(static_cast<uint32_t>(text.size()))).append(text);
    return BuildMessage('p', body);
  };
  const std::string binds = initial("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=x");
  const std::string could = initial("SCRAM-SHA-256", "y,,n=,r=x");
  const std::string cannot = initial("SCRAM-SHA-256", "n,,n=,r=x");
  reach();
  host.Feed(RUM_CLIENT, binds);
  EXPECT_EQ(ServerHears(), binds) << "the certificates are the same";
  host.CloseByRum(RUM_CLOSE_KILLED);
  for (auto own : {std::optional(std::string(32, 'o')), std::optional<std::string>()}) {
    host.tls_peer[RUM_CLIENT].end_point = own;  // another one, or one of Ed25519
    for (const std::string& first : {binds, could}) {
      reach();
      host.Feed(RUM_CLIENT, first);
      ExpectError("57P03", RUM_CLOSE_UNSUPPORTED);
      EXPECT_EQ(ServerHears(), "");
    }
    reach();
    host.Feed(RUM_CLIENT, cannot);
    EXPECT_EQ(ServerHears(), cannot);
    host.CloseByRum(RUM_CLOSE_KILLED);
  }
  EXPECT_EQ(host.metric("pgsql_other_certificates"), 4u);
}

TEST_F(PgsqlLogin, MayBeginWithTlsForThisProtocolOnly) {
  const std::string hello = "\x16\x03\x01"s;
  host.Open();
  host.Feed(RUM_CLIENT, hello);
  EXPECT_EQ(ClientHears(), "\x15\x03\x01\0\2\2\x28"s) << "there is no TLS";
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  for (bool offers : {false, true}) {
    host.tls_peer[RUM_CLIENT].alpn =
        offers ? std::vector<std::string>{"postgresql"} : std::vector<std::string>{"http/1.1"};
    host.Open();
    host.Feed(RUM_CLIENT, hello);
    EXPECT_TRUE(host.tls_wanted(RUM_CLIENT));
    host.TlsOutcome(RUM_CLIENT, RUM_OK);
    EXPECT_EQ(host.open(), offers);
  }
  host.Feed(RUM_CLIENT, kStartup);
  EXPECT_TRUE(host.connecting());
}

TEST_F(PgsqlLogin, IsNoLoginWhereItCancels) {
  Reach();
  ServerSays(kOk + kKey + kReady);
  host.Select(1);
  host.Open();
  host.Feed(RUM_CLIENT, BuildCancel("pidxkeyx"));
  EXPECT_EQ(host.connecting(), "tcp:db1.internal:5432");
  host.End(RUM_CLIENT);  // a client need not wait
  host.ConnectOutcome(0);
  EXPECT_EQ(ServerHears(), BuildCancel("pidxkeyx"));
  host.End(RUM_UPSTREAM);
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM);
  EXPECT_EQ(host.user(), "");
  for (const std::string& unknown : {"pidxkeyy"s, "pidykeyx"s, std::string(260, 'k')}) {
    host.Open();
    host.Feed(RUM_CLIENT, BuildCancel(unknown));
    EXPECT_FALSE(host.connecting());
    EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
  }
}

TEST_F(PgsqlLogin, GivesAServerThatIsCancelledNoMoreThanATime) {
  Reach();
  ServerSays(kOk + kKey + kReady);
  host.Select(1);
  host.Open();
  host.Feed(RUM_CLIENT, BuildCancel("pidxkeyx"));
  host.ConnectOutcome(0);
  host.Advance(4999);
  EXPECT_TRUE(host.open());
  host.Advance(1);
  EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM);
}

TEST_F(PgsqlLogin, HasOneSentenceForEachRefusalBeforeASession) {
  for (uint32_t reason : {RUM_CLOSE_LIMIT, RUM_CLOSE_NO_RESOURCES, RUM_CLOSE_DRAIN,
                          RUM_CLOSE_BLOCKED, RUM_CLOSE_NOT_ALLOWED}) {
    const std::string words = host.Refusal(reason);
    ASSERT_EQ(ReadFrame(words).size, words.size());
    EXPECT_TRUE(ParseError(Message{words}.body()));
  }
}

TEST_F(PgsqlLogin, ProbesReadTheFirstAnswerAndLeave) {
  auto probe = [this](const std::string& answer) {
    EXPECT_TRUE(host.OpenProbe("tcp:db1:5432"));
    host.ConnectOutcome(0);
    EXPECT_EQ(ServerHears(), BuildStartup("rum_probe"));
    host.Feed(RUM_UPSTREAM, answer);
    EXPECT_EQ(ServerHears(), "");
    return host.closed();
  };
  EXPECT_EQ(probe(kList), RUM_CLOSE_PROBED);
  EXPECT_EQ(probe(kOk), RUM_CLOSE_PROBED);
  EXPECT_EQ(probe(BuildError("28000", "no entry")), RUM_CLOSE_PROBED);
  EXPECT_EQ(probe(BuildError("57P03", "starting up")), RUM_CLOSE_UPSTREAM_DENIED);
  EXPECT_NE(host.close_text().find("starting up"), std::string::npos);
  EXPECT_EQ(probe(BuildError("53300", "too many")), RUM_CLOSE_UPSTREAM_DENIED);
  EXPECT_EQ(probe("HTTP/1.1 400"), RUM_CLOSE_UPSTREAM_PROTOCOL);
}

}  // namespace
}  // namespace rum::pgsql

// Logins with servers that lie, on the scripted host, and clients that want too much.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "login_fixture.h"
#include "pgsql/secret.h"
#include "pgsql/worker.h"

namespace rum::pgsql {
namespace {

using PgsqlHostile = PgsqlLogin;

TEST_F(PgsqlHostile, RefusesServersThatBreakTheProtocol) {
  const std::string all[] = {
      BuildMessage('D', "row"),    BuildMessage('R', U32(99)),
      BuildMessage('R', "x"),      "R\xff\xff\xff\xff"s,
      BuildMessage('E', "C28000"), "HTTP/1.1 400 Bad Request\r\n",
      BuildMessage('S', "early"),  kReady,
  };
  for (const std::string& bad : all) {
    Reach();
    ServerSays(bad);
    ExpectError("08P01", RUM_CLOSE_UPSTREAM_PROTOCOL);
  }
}

TEST_F(PgsqlHostile, KeepsNoMoreThanAMebibyteOfAServer) {
  const std::string notice = BuildMessage('N', std::string(kMaxMessage - 10, 'n'));
  const std::string accepted[] = {"", kOk};
  for (const std::string& before : accepted) {
    Reach();
    ServerSays(before);
    size_t said = before.size();
    for (; said + notice.size() <= kMaxServerSaid; said += notice.size()) ServerSays(notice);
    EXPECT_TRUE(host.open());
    EXPECT_EQ(ClientHears().size(), said);
    ServerSays(notice);
    ExpectError("08P01", RUM_CLOSE_UPSTREAM_PROTOCOL);
  }
}

TEST_F(PgsqlHostile, PassesNoTokenThatNobodyAskedForByAnOpenLink) {
  Reach();
  ServerSays(BuildMechanisms({"SCRAM-SHA-256"}));
  ClientHears();
  ServerHears();
  host.Feed(RUM_CLIENT, BuildMessage('p', "OAUTHBEARER\0\0\0\0\5token"s));
  ExpectError("28000", RUM_CLOSE_UNSUPPORTED);
  EXPECT_EQ(ServerHears(), "");
}

TEST_F(PgsqlHostile, KeepsOneKeyOfAServer) {
  Reach();
  ServerSays(kOk + kKey);
  EXPECT_EQ(ClientHears(), kOk + kKey);
  ServerSays(BuildMessage('K', "pidxkeyy"));
  ExpectError("08P01", RUM_CLOSE_UPSTREAM_PROTOCOL);
}

class PgsqlStoredHash : public PgsqlLogin {
 protected:
  // The client has proved its password, and the server has the Startup.
  void ProveToRum() {
    const std::string hash = "md5" + std::string(32, 'a');
    host.AddToMap("alice", hash + "\0tcp:db1.internal:5432\0"s);
    host.Open();
    host.Feed(RUM_CLIENT, kStartup);
    const std::string asked = ClientHears();
    auto answer = MakeMd5Answer(*ParseMd5Hash(hash), asked.substr(asked.size() - kMd5Salt));
    host.Feed(RUM_CLIENT, BuildMessage('p', *answer + '\0'));
    host.ConnectOutcome(0);
    EXPECT_EQ(ServerHears(), kStartup);
  }
};

TEST_F(PgsqlStoredHash, AnswersOneSaltOfAServer) {
  ProveToRum();
  ServerSays(kMd5Request);
  EXPECT_NE(ServerHears(), "");
  ServerSays(BuildAuth(Auth::kMd5, "tlas"));
  ExpectError("08P01", RUM_CLOSE_UPSTREAM_PROTOCOL);
  EXPECT_EQ(ServerHears(), "");
}

TEST_F(PgsqlStoredHash, NamesTheMethodForWhichItHasNothing) {
  const std::pair<std::string, const char*> requests[] = {
      {kClearTextRequest, "the password in clear text"},
      {BuildAuth(Auth::kGss), "GSSAPI"},
      {kList, "SCRAM or another SASL mechanism"},
  };
  for (const auto& [request, name] : requests) {
    ProveToRum();
    ServerSays(request);
    ExpectError("57P03", RUM_CLOSE_UPSTREAM_DENIED);
    EXPECT_EQ(host.close_text(), "the server requests " + std::string(name) +
                                     ", but the map has an MD5 hash for the user: remove it, or "
                                     "give --pgsql-auth relay");
    EXPECT_EQ(ServerHears(), "");
  }
  EXPECT_EQ(host.metric("pgsql_other_verifiers"), 3u);
}

TEST_F(PgsqlHostile, OffersNoBindingForAServerWithoutTls) {
  host.tls_mode[RUM_CLIENT] = RUM_TLS_ON;
  auto ask = [this](const std::string& startup) {
    host.CloseByRum(RUM_CLOSE_KILLED);
    ASSERT_TRUE(host.Open());
    ClientHears();
    host.Feed(RUM_CLIENT, BuildSslRequest());
    host.TlsOutcome(RUM_CLIENT, RUM_OK);
    ClientHears();
    host.Feed(RUM_CLIENT, startup);
  };
  ASSERT_NO_FATAL_FAILURE(Start({{"pgsql-upstream-tls", "off"}}));
  ask(BuildStartup("nobody"));
  EXPECT_EQ(ClientHears(), kList);
  ask(kStartup);
  host.ConnectOutcome(0);
  ServerSays(kList);
  EXPECT_EQ(ClientHears(), BuildMechanisms({"SCRAM-SHA-256"}));
  // A name that nobody has is offered what others are.
  ask(BuildStartup("nobody"));
  EXPECT_EQ(ClientHears(), BuildMechanisms({"SCRAM-SHA-256"}));
  ask(kStartup);
  host.ConnectOutcome(0);
  ServerSays(BuildMechanisms({"SCRAM-SHA-256-PLUS"}));
  ExpectError("08P01", RUM_CLOSE_UPSTREAM_PROTOCOL);
}

TEST(CancelTurns, AreBoundedForEachAddress) {
  Worker worker;
  std::vector<std::unique_ptr<Worker::Turn>> turns;
  for (size_t i = 0; i < 129; ++i) {
    turns.push_back(std::make_unique<Worker::Turn>(worker, "192.0.2.1"));
    EXPECT_EQ(turns.back()->joined(), i < 128) << i;
    EXPECT_EQ(turns.back()->Take(), i < 16) << i;
  }
  EXPECT_TRUE(Worker::Turn(worker, "192.0.2.2").Take()) << "of another address";
  turns.pop_back();
  turns.erase(turns.begin());
  EXPECT_TRUE(turns.back()->Take()) << "one is over";
  EXPECT_FALSE(turns[100]->Take());
  EXPECT_TRUE(Worker::Turn(worker, "192.0.2.1").joined());
  turns.clear();
  EXPECT_TRUE(Worker::Turn(worker, "192.0.2.1").Take());
}

}  // namespace
}  // namespace rum::pgsql

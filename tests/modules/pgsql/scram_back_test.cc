#include <string>

#include "pgsql/scram.h"
#include "scram_client.h"

namespace rum::pgsql {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Fault = ScramBack::Fault;
using Link = ScramBack::Link;

constexpr auto kPlain = "SCRAM-SHA-256\0\0"sv;
constexpr auto kBoth = "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv;
constexpr std::string_view kNonce = "3rfcNHYJY1ZVvWVs7j1234AB";
const std::string kBinding(32, '\xb1');

// ClientKey, as the login of a client at the edge shows it.
Key ClientKeyOf(std::string_view verifier) {
  ScramEdge edge(VerifierOf(verifier), "");
  PasswordClient client("pencil");
  ScramStep first = edge.Start(kScram, client.First(), kNonce);
  EXPECT_TRUE(edge.Finish(client.Final(first.message)).ok());
  return edge.client_key();
}

ScramBack Back(std::string_view verifier = kRfcVerifier) {
  return ScramBack(VerifierOf(verifier), ClientKeyOf(verifier));
}

// What libpq said to PostgreSQL 15.18, and what that answered.
TEST(ScramBack, MakesARecordedLoginOfPsql) {
  const RecordedLogin login;
  ScramBack back = Back(login.verifier);
  ScramBack::Step first = back.Start(kPlain, Link::kPlain, "", login.client_nonce);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(back.mechanism(), kScram);
  EXPECT_EQ(first.message, login.client_first);
  ScramBack::Step last = back.Continue(login.server_first);
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last.message, login.client_final);
  EXPECT_EQ(back.Finish(login.server_final), Fault::kNone);
}

TEST(ScramBack, ChoosesPlusAndSaysWhenItCouldHave) {
  struct {
    std::string_view offered;
    Link link;
    std::string_view header;  // empty: no login
    std::string_view mechanism;
  } const cases[] = {
      {kBoth, Link::kTlsWithHash, "p=tls-server-end-point,,", kScramPlus},
      {"SCRAM-SHA-256-PLUS\0\0"sv, Link::kTlsWithHash, "p=tls-server-end-point,,", kScramPlus},
      {kPlain, Link::kTlsWithHash, "y,,", kScram},
      {kBoth, Link::kTls, "n,,", kScram},
      {kBoth, Link::kPlain, "n,,", kScram},
      {kPlain, Link::kPlain, "n,,", kScram},
      {"SCRAM-SHA-256-PLUS\0\0"sv, Link::kPlain, "", ""},
      {"OAUTHBEARER\0\0"sv, Link::kTlsWithHash, "", ""},
      {"\0"sv, Link::kPlain, "", ""},
  };
  for (const auto& [offered, link, header, mechanism] : cases) {
    ScramBack back = Back();
    ScramBack::Step first =
        back.Start(offered, link, link == Link::kTlsWithHash ? kBinding : "", kNonce);
    if (header.empty()) {
      EXPECT_EQ(first.fault, Fault::kNoMechanism);
    } else {
      EXPECT_EQ(first.message, std::string(header) + "n=,r=" + std::string(kNonce));
      EXPECT_EQ(back.mechanism(), mechanism);
    }
  }
  EXPECT_EQ(Back().Start("SCRAM-SHA-256", Link::kPlain, "", kNonce).fault, Fault::kMalformed);
  EXPECT_EQ(Back().Start(kBoth, Link::kTlsWithHash, "", kNonce).fault, Fault::kInternal);
  EXPECT_EQ(Back().Start(kBoth, Link::kPlain, kBinding, kNonce).fault, Fault::kInternal);
  EXPECT_EQ(Back().Start(kBoth, Link::kPlain, "", "").fault, Fault::kInternal);
}

TEST(ScramBack, LogsInAtTheEdgeOfAnotherRum) {
  for (bool plus : {false, true}) {
    const std::string binding = plus ? kBinding : "";
    ScramEdge edge(VerifierOf(kRfcVerifier), binding);
    ScramBack back = Back();
    ScramBack::Step first =
        back.Start(edge.mechanisms(), plus ? Link::kTlsWithHash : Link::kPlain, binding, kNonce);
    ScramBack::Step second =
        back.Continue(edge.Start(back.mechanism(), first.message, "other").message);
    ASSERT_TRUE(second.ok());
    ScramStep last = edge.Finish(second.message);
    ASSERT_TRUE(last.ok());
    EXPECT_EQ(back.Finish(last.message), Fault::kNone);
    EXPECT_TRUE(IsSame(edge.client_key(), ClientKeyOf(kRfcVerifier)));
  }
}

Fault ContinueFault(std::string_view server_first) {
  ScramBack back = Back();
  EXPECT_TRUE(back.Start(kPlain, Link::kPlain, "", "abc").ok());
  ScramBack::Step step = back.Continue(server_first);
  EXPECT_EQ(step.message.empty(), !step.ok());
  return step.fault;
}

TEST(ScramBack, SendsNoProofToAServerThatIsNotTheRightOne) {
  EXPECT_EQ(ContinueFault("r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), Fault::kNone);
  EXPECT_EQ(ContinueFault("r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,x=y"), Fault::kNone);
  EXPECT_EQ(ContinueFault("r=abcd,s=W22ZaJ0SNY7soEsUEjb6gA==,i=4096"), Fault::kOtherVerifier);
  EXPECT_EQ(ContinueFault("r=abcd,s=,i=4096"), Fault::kOtherVerifier);
  for (std::string_view count :
       {"1", "4097", "04096", "+4096", "4294971392", "2147483647", "", "x"}) {
    EXPECT_EQ(ContinueFault("r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=" + std::string(count)),
              Fault::kOtherVerifier)
        << count;
  }
  EXPECT_EQ(ContinueFault("r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), Fault::kOtherNonce);
  EXPECT_EQ(ContinueFault("r=Abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), Fault::kOtherNonce);
  EXPECT_EQ(ContinueFault("r=ab,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), Fault::kOtherNonce);
  for (std::string_view bad :
       {""sv, "r=abcd"sv, "r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ=="sv,
        "r=,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"sv, "m=x,r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"sv,
        "r=ab cd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"sv,
        "r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"sv,
        "r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,y"sv,
        "r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096\0"sv, "e=other-error"sv}) {
    EXPECT_EQ(ContinueFault(bad), Fault::kMalformed) << bad;
  }
  EXPECT_EQ(ContinueFault("r=abc" + std::string(kMaxScramMessage, 'd') +
                          ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
            Fault::kMalformed);
}

TEST(ScramBack, BelievesOnlyAServerThatKnowsTheVerifier) {
  const RecordedLogin login;
  auto finish = [&](std::string_view server_final) {
    ScramBack back = Back(login.verifier);
    EXPECT_TRUE(back.Start(kPlain, Link::kPlain, "", login.client_nonce).ok());
    EXPECT_TRUE(back.Continue(login.server_first).ok());
    return back.Finish(server_final);
  };
  const std::string good(login.server_final);
  EXPECT_EQ(finish(good), Fault::kNone);
  EXPECT_EQ(finish(good + ",x=y"), Fault::kNone);
  for (size_t at = 2; at < good.size() - 2; ++at) {
    std::string changed = good;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_EQ(finish(changed), Fault::kOtherServer) << at;
  }
  EXPECT_EQ(finish("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Fault::kOtherServer);
  EXPECT_EQ(finish("e=invalid-proof"), Fault::kRefused);
  for (const std::string& bad :
       {""s, "v"s, "v="s, good.substr(2), good.substr(0, good.size() - 1), good + "A", good + ",",
        good + "\0"s, good + ",x", good + ",x=" + std::string(kMaxScramMessage, 'a')}) {
    EXPECT_EQ(finish(bad), Fault::kMalformed) << bad;
  }
}

TEST(ScramBack, TakesEachStepOnce) {
  const RecordedLogin login;
  EXPECT_EQ(Back().Continue(login.server_first).fault, Fault::kInternal);
  EXPECT_EQ(Back().Finish(login.server_final), Fault::kInternal);
  ScramBack back = Back(login.verifier);
  EXPECT_TRUE(back.Start(kPlain, Link::kPlain, "", login.client_nonce).ok());
  EXPECT_EQ(back.Finish(login.server_final), Fault::kInternal) << "without a proof";
  EXPECT_EQ(back.Continue(login.server_first).fault, Fault::kInternal) << "a fault ends it";
  ScramBack again = Back(login.verifier);
  EXPECT_TRUE(again.Start(kPlain, Link::kPlain, "", login.client_nonce).ok());
  EXPECT_TRUE(again.Continue(login.server_first).ok());
  EXPECT_EQ(again.Finish(login.server_final), Fault::kNone);
  EXPECT_EQ(again.Finish(login.server_final), Fault::kInternal);
}

}  // namespace
}  // namespace rum::pgsql

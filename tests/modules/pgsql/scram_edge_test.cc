#include <functional>
#include <set>
#include <string>

#include "pgsql/scram.h"
#include "scram_client.h"

namespace rum::pgsql {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr std::string_view kNonce = "3rfcNHYJY1ZVvWVs7j1234AB";
const std::string kBinding(32, '\xb1');

ScramEdge Edge(std::string_view binding = "") {
  return ScramEdge(VerifierOf(kRfcVerifier), binding);
}

// RFC 7677, section 3.
TEST(ScramEdge, TakesTheLoginOfTheStandard) {
  ScramEdge edge = Edge();
  EXPECT_EQ(edge.mechanisms(), "SCRAM-SHA-256\0\0"s);
  ScramStep first =
      edge.Start(kScram, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first.message,
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
  ScramStep last = edge.Finish(
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
      "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last.message, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  Key stored;
  ASSERT_TRUE(Sha256(edge.client_key(), &stored));
  EXPECT_TRUE(IsSame(stored, VerifierOf(kRfcVerifier).stored_key)) << "ClientKey";
}

TEST(ScramEdge, TakesARecordedLoginOfPsql) {
  const RecordedLogin login;
  ScramEdge edge(VerifierOf(login.verifier), "");
  EXPECT_EQ(edge.Start(kScram, login.client_first, login.server_nonce).message, login.server_first);
  ScramStep last = edge.Finish(login.client_final);
  EXPECT_TRUE(last.ok());
  EXPECT_EQ(last.message, login.server_final);
}

ScramFault Login(ScramEdge edge, std::string_view mechanism, const PasswordClient& client) {
  ScramStep first = edge.Start(mechanism, client.First(), kNonce);
  return first.ok() ? edge.Finish(client.Final(first.message)).fault : first.fault;
}

TEST(ScramEdge, BindsTheLoginToTheCertificate) {
  EXPECT_EQ(Edge(kBinding).mechanisms(), "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"s);
  EXPECT_EQ(Login(Edge(kBinding), kScramPlus, PasswordClient("pencil", kPlusHeader, kBinding)),
            ScramFault::kNone);
  EXPECT_EQ(Login(Edge(kBinding), kScramPlus,
                  PasswordClient("pencil", kPlusHeader, std::string(32, '\xb2'))),
            ScramFault::kOtherChannel);
  EXPECT_EQ(Login(Edge(kBinding), kScramPlus, PasswordClient("pencil", kPlusHeader, "")),
            ScramFault::kOtherChannel);
  EXPECT_EQ(Login(Edge(kBinding), kScram, PasswordClient("pencil", "n,,")), ScramFault::kNone)
      << "a client without channel binding";
  EXPECT_EQ(Login(Edge(kBinding), kScram, PasswordClient("pencil", "y,,")), ScramFault::kDowngrade);
  EXPECT_EQ(Login(Edge(), kScram, PasswordClient("pencil", "y,,")), ScramFault::kNone);
  EXPECT_EQ(Login(Edge(), kScramPlus, PasswordClient("pencil", kPlusHeader, kBinding)),
            ScramFault::kMechanism)
      << "it was not offered";
}

TEST(ScramEdge, RefusesAWrongPassword) {
  for (std::string_view password : {"", "Pencil", "pencil ", "pencilpencil"}) {
    EXPECT_EQ(Login(Edge(), kScram, PasswordClient(password)), ScramFault::kPassword) << password;
    EXPECT_EQ(Login(Edge(kBinding), kScramPlus, PasswordClient(password, kPlusHeader, kBinding)),
              ScramFault::kPassword);
  }
}

TEST(ScramEdge, RefusesFirstMessagesAsAServerDoes) {
  struct {
    std::string_view message;
    ScramFault fault;
  } const cases[] = {
      {"", ScramFault::kMalformed},
      {"n", ScramFault::kMalformed},
      {"n,", ScramFault::kMalformed},
      {"n,,", ScramFault::kMalformed},
      {"n,,n=", ScramFault::kMalformed},
      {"n,,n=,", ScramFault::kMalformed},
      {"n,,r=abc", ScramFault::kMalformed},
      {"n,,n=,r=", ScramFault::kMalformed},
      {"n,,n=,r=abc,", ScramFault::kMalformed},
      {"n,,n=,r=abc,x", ScramFault::kMalformed},
      {"n,,n=,r=abc,1=x", ScramFault::kMalformed},
      {"n,,n=,x=y,r=abc", ScramFault::kMalformed},
      {"nn,n=,r=abc", ScramFault::kMalformed},
      {"x,,n=,r=abc", ScramFault::kMalformed},
      {",,n=,r=abc", ScramFault::kMalformed},
      {"n,b=x,n=,r=abc", ScramFault::kMalformed},
      {"n,,n=\0,r=abc"sv, ScramFault::kMalformed},
      {"n,,n=,r=abc\0"sv, ScramFault::kMalformed},
      {"p=tls-server-end-point,,n=,r=abc", ScramFault::kMalformed},
      {"n,a=bob,n=,r=abc", ScramFault::kAuthorizationName},
      {"n,,m=x,n=,r=abc", ScramFault::kExtension},
      {"n,,n=,r=a bc", ScramFault::kNonceCharacters},
      {"n,,n=,r=a\x7f", ScramFault::kNonceCharacters},
      {"n,,n=,r=a\xc3\xa9", ScramFault::kNonceCharacters},
      {"n,,n=,r=abc", ScramFault::kNone},
      {"y,,n=,r=abc", ScramFault::kNone},
      {"n,,n=someone=2Celse,r=abc,x=y,z=", ScramFault::kNone},
  };
  for (const auto& [message, fault] : cases) {
    EXPECT_EQ(Edge().Start(kScram, message, kNonce).fault, fault) << message;
  }
  for (std::string_view mechanism :
       {"", "SCRAM-SHA-1", "scram-sha-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256 "}) {
    EXPECT_EQ(Edge().Start(mechanism, "n,,n=,r=abc", kNonce).fault, ScramFault::kMechanism);
  }
}

TEST(ScramEdge, RefusesFirstMessagesOfPlusAsAServerDoes) {
  struct {
    std::string_view message;
    ScramFault fault;
  } const cases[] = {
      {"n,,n=,r=abc", ScramFault::kMalformed},
      {"y,,n=,r=abc", ScramFault::kMalformed},
      {"p,,n=,r=abc", ScramFault::kMalformed},
      {"p=tls-server-end-point", ScramFault::kMalformed},
      {"p=tls-server-end-point,n=,r=abc", ScramFault::kMalformed},
      {"p=tls-exporter,,n=,r=abc", ScramFault::kBindingType},
      {"p=,,n=,r=abc", ScramFault::kBindingType},
      {"p=tls-server-end-point,a=bob,n=,r=abc", ScramFault::kAuthorizationName},
      {"p=tls-server-end-point,,n=,r=abc", ScramFault::kNone},
  };
  for (const auto& [message, fault] : cases) {
    EXPECT_EQ(Edge(kBinding).Start(kScramPlus, message, kNonce).fault, fault) << message;
  }
}

TEST(ScramEdge, BoundsTheSizeOfMessages) {
  const std::string fits = "n,,n=,r=" + std::string(kMaxScramMessage - 8, 'a');
  EXPECT_TRUE(Edge().Start(kScram, fits, kNonce).ok());
  EXPECT_EQ(Edge().Start(kScram, fits + "a", kNonce).fault, ScramFault::kTooLong);
  ScramEdge edge = Edge();
  ASSERT_TRUE(edge.Start(kScram, "n,,n=,r=abc", kNonce).ok());
  EXPECT_EQ(edge.Finish("c=biws,r=abc" + std::string(kMaxScramMessage, 'a')).fault,
            ScramFault::kTooLong);
}

// Changes a good client-final and returns what comes of it.
ScramFault FinalFault(const std::function<std::string(std::string)>& change) {
  ScramEdge edge = Edge();
  PasswordClient client("pencil");
  ScramStep first = edge.Start(kScram, client.First(), kNonce);
  EXPECT_TRUE(first.ok());
  return edge.Finish(change(client.Final(first.message))).fault;
}

TEST(ScramEdge, RefusesFinalMessagesAsAServerDoes) {
  auto replaced = [](std::string_view from, std::string_view to) {
    return FinalFault(
        [&](std::string message) { return message.replace(message.find(from), from.size(), to); });
  };
  EXPECT_EQ(replaced("", ""), ScramFault::kNone);
  EXPECT_EQ(replaced("c=biws", "c=eSws"), ScramFault::kBindingHeader);
  EXPECT_EQ(replaced("c=biws", "c="), ScramFault::kBindingHeader);
  EXPECT_EQ(replaced("c=biws", "c=biwsAA=="), ScramFault::kBindingHeader);
  EXPECT_EQ(replaced("c=biws,", ""), ScramFault::kMalformed);
  EXPECT_EQ(replaced("c=biws", "d=biws"), ScramFault::kMalformed);
  EXPECT_EQ(replaced(",r=fyko", ",r=Fyko"), ScramFault::kOtherNonce);
  EXPECT_EQ(replaced(kNonce, ""), ScramFault::kOtherNonce);
  EXPECT_EQ(replaced(kNonce, std::string(kNonce) + "x"), ScramFault::kOtherNonce);
  EXPECT_EQ(replaced(",p=", ",q="), ScramFault::kMalformed);
  EXPECT_EQ(replaced(",p=", ",x=y,p="), ScramFault::kPassword) << "the proof is of another text";
  EXPECT_EQ(replaced(",p=", ",xy,p="), ScramFault::kMalformed);
  EXPECT_EQ(FinalFault([](auto message) { return message + ",x=y"; }), ScramFault::kMalformed);
  EXPECT_EQ(FinalFault([](auto message) { return message + "\0"s; }), ScramFault::kMalformed);
  EXPECT_EQ(FinalFault([](auto message) { return message + "\n"; }), ScramFault::kMalformed);
  EXPECT_EQ(FinalFault([](auto message) { return message + "AAAA"; }), ScramFault::kMalformed);
  EXPECT_EQ(FinalFault([](auto) { return ""s; }), ScramFault::kMalformed);
}

TEST(ScramEdge, RefusesAFinalMessageThatIsCutOrChangedAnywhere) {
  std::string good;
  FinalFault([&](std::string message) { return good = message; });
  for (size_t at = 0; at < good.size(); ++at) {
    EXPECT_NE(FinalFault([&](std::string message) { return message.substr(0, at); }),
              ScramFault::kNone)
        << at;
    EXPECT_NE(FinalFault([&](std::string message) {
                message[at] = message[at] == 'A' ? 'B' : 'A';
                return message;
              }),
              ScramFault::kNone)
        << at;
  }
}

TEST(ScramEdge, TakesEachStepOnce) {
  const PasswordClient client("pencil");
  EXPECT_EQ(Edge().Finish("c=biws,r=abc,p=").fault, ScramFault::kInternal);
  ScramEdge edge = Edge();
  const std::string first = edge.Start(kScram, client.First(), kNonce).message;
  const std::string last = client.Final(first);
  EXPECT_TRUE(edge.Finish(last).ok());
  EXPECT_EQ(edge.Finish(last).fault, ScramFault::kInternal);
  ScramEdge again = Edge();
  EXPECT_TRUE(again.Start(kScram, client.First(), kNonce).ok());
  EXPECT_EQ(again.Start(kScram, client.First(), kNonce).fault, ScramFault::kInternal);
  EXPECT_EQ(again.Finish(last).fault, ScramFault::kInternal) << "a fault ends the exchange";
  for (std::string_view nonce : {"", "a,b", "a b"}) {
    EXPECT_EQ(Edge().Start(kScram, client.First(), nonce).fault, ScramFault::kInternal);
  }
}

Key SecretOf(char byte) {
  Key secret;
  secret.bytes.fill(static_cast<uint8_t>(byte));
  return secret;
}

TEST(ScramEdge, PlaysALoginForUnknownUsersThatAlwaysFails) {
  const std::string real = Edge().Start(kScram, "n,,n=,r=abc", kNonce).message;
  std::set<std::string> seen;
  for (char key : {'a', 'b'}) {
    for (std::string_view user : {"alice", "bob", ""}) {
      auto mock = [&] { return ScramEdge::MakeMock(SecretOf(key), user, ""); };
      EXPECT_EQ(mock().mechanisms(), Edge().mechanisms());
      const std::string first = mock().Start(kScram, "n,,n=,r=abc", kNonce).message;
      EXPECT_EQ(first, mock().Start(kScram, "n,,n=,r=abc", kNonce).message) << "each time";
      EXPECT_EQ(first.size(), real.size());
      EXPECT_EQ(first.substr(0, 31), real.substr(0, 31)) << "the nonce";
      EXPECT_TRUE(first.ends_with(",i=4096"));
      EXPECT_TRUE(seen.insert(first).second) << "by secret and user";
      EXPECT_EQ(Login(mock(), kScram, PasswordClient("pencil")), ScramFault::kPassword);
    }
  }
  const auto bound = [] { return ScramEdge::MakeMock(SecretOf('a'), "alice", kBinding); };
  EXPECT_EQ(bound().mechanisms(), Edge(kBinding).mechanisms());
  EXPECT_EQ(Login(bound(), kScramPlus, PasswordClient("x", kPlusHeader, kBinding)),
            ScramFault::kPassword);
  EXPECT_EQ(Login(bound(), kScram, PasswordClient("x", "y,,")), ScramFault::kDowngrade);
}

}  // namespace
}  // namespace rum::pgsql

// The rules and limits of users: what clients see of each verdict, and when rum is asked.
#include "login.h"

namespace rum::mysql {
namespace {

size_t CountOf(const ScriptedHost& host, Deed::Kind kind) {
  size_t count = 0;
  for (const Deed& deed : host.deeds()) count += deed.kind == kind;
  return count;
}

// The verdicts that nobody is to learn of.
constexpr int32_t kHidden[] = {RUM_REFUSED_RULES, RUM_REFUSED_DISABLED, RUM_REFUSED_TIME,
                               RUM_REFUSED_ADDRESS, RUM_REFUSED_TLS};

class Admission : public Login {
 protected:
  // All that a client hears of a login with this name, up to the end.
  std::string Refused(const std::string& user, const std::string& mode,
                      uint32_t capabilities = kClient) {
    Greet();
    Respond(user, mode == "rewrite" ? TokenFor(greeting.nonce) : "x", capabilities);
    std::string heard = ClientHears();
    auto said = Split(heard);
    if (!said.empty() && said[0].payload[0] == '\xfe') {
      heard.replace(heard.size() - 21, 20, "the nonce is at random");
      ClientSays(static_cast<uint8_t>(said[0].sequence + 1), "12345678901234567890");
      heard += ClientHears();
    }
    EXPECT_TRUE(host.closed().has_value());
    return heard;
  }

  // The address is blocked while the login goes on.
  void ExpectBlocked(const std::string& user) {
    host.blocked = false;
    Greet();
    host.blocked = true;
    Respond(user, TokenFor(greeting.nonce));
    EXPECT_FALSE(host.connecting());
    ExpectError(2, 1129, "HY000", RUM_CLOSE_BLOCKED);

    host.blocked = false;
    Greet();
    Respond(user, "x", kClient, "caching_sha2_password");
    if (host.connecting()) {
      Connect();
      ServerSwitches();
    }
    ServerHears();
    ASSERT_EQ(Split(ClientHears()).size(), 1u);
    host.blocked = true;
    ClientSays(3, "12345678901234567890");
    ExpectError(4, 1129, "HY000", RUM_CLOSE_BLOCKED);
    EXPECT_EQ(ServerHears().find("1234567890"), std::string::npos);
    EXPECT_EQ(CountOf(host, Deed::Kind::kLoginFailed), 0u);
  }
};

TEST_F(Admission, IsAskedWithTheRecordBeforeTheServerIs) {
  AddUser("ruled", "", "tcp:db1.internal:3306");
  Greet();
  Respond("ruled", "x");
  EXPECT_EQ(host.connecting(), "tcp:db1.internal:3306");
  std::vector<Deed::Kind> kinds;
  for (const Deed& deed : host.deeds()) {
    if (deed.kind == Deed::Kind::kAdmit) {
      EXPECT_EQ(deed.bytes, "\0tcp:db1.internal:3306\0"s);
    }
    if (deed.kind == Deed::Kind::kAdmit || deed.kind == Deed::Kind::kConnect) {
      kinds.push_back(deed.kind);
    }
  }
  EXPECT_EQ(kinds, (std::vector{Deed::Kind::kAdmit, Deed::Kind::kConnect}));
}

TEST_F(Admission, OfAUserWhoGoesToTheDefaultIsAskedWithoutARecord) {
  host.default_destination = "tcp:db0.internal:3306";
  Greet();
  Respond("carol", "x");
  EXPECT_EQ(host.connecting(), "");
  ASSERT_EQ(CountOf(host, Deed::Kind::kAdmit), 1u);
  for (const Deed& deed : host.deeds()) {
    if (deed.kind == Deed::Kind::kAdmit) {
      EXPECT_EQ(deed.bytes, "");
    }
  }
  host.admission = RUM_REFUSED_CONNECTIONS;
  host.ConnectOutcome(RUM_CLOSE_CONNECT_REFUSED);
  ClientHears();
  Greet();
  Respond("carol", "x");
  EXPECT_FALSE(host.connecting());
  ExpectError(2, 1226, "42000", RUM_CLOSE_LIMIT);
}

TEST_F(Admission, IsNotAskedForWhoGoesNowhere) {
  Refused("carol", "auto");
  EXPECT_EQ(CountOf(host, Deed::Kind::kAdmit), 0u);
}

class AdmissionByMode : public Admission, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override { Start({{"mysql-auth", GetParam()}}); }
};
INSTANTIATE_TEST_SUITE_P(Modes, AdmissionByMode, testing::Values("auto", "relay", "rewrite"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(AdmissionByMode, RefusedByRulesReadsLikeAnUnknownUser) {
  for (const std::string user : {"alice", "plain"}) {
    for (uint32_t capabilities : {kClient, kOldClient}) {
      host.admission = RUM_OK;
      std::string unknown = Refused(std::string(user.size(), 'z'), GetParam(), capabilities);
      for (int32_t verdict : kHidden) {
        size_t failures = CountOf(host, Deed::Kind::kLoginFailed);
        host.admission = verdict;
        std::string refused = Refused(user, GetParam(), capabilities);
        for (size_t at; (at = refused.find(user)) != refused.npos;) {
          refused.replace(at, user.size(), user.size(), 'z');
        }
        EXPECT_EQ(refused, unknown) << user << " " << verdict;
        EXPECT_EQ(host.closed(), RUM_CLOSE_DENIED);
        EXPECT_NE(host.close_text(), "");
        // A failure for who watches, or the difference would show by never being blocked.
        EXPECT_EQ(CountOf(host, Deed::Kind::kLoginFailed), failures + 1);
      }
    }
  }
  EXPECT_EQ(CountOf(host, Deed::Kind::kConnect), 0u);
}

TEST_P(AdmissionByMode, RefusedByALimitIsToldAsServersDo) {
  struct Row {
    int32_t verdict;
    uint16_t code;
    const char* state;
    uint32_t reason;
    const char* text;
  };
  const Row rows[] = {
      {RUM_REFUSED_CONNECTIONS, 1226, "42000", RUM_CLOSE_LIMIT,
       "User 'alice' has exceeded the 'max_user_connections' resource"},
      {RUM_REFUSED_RATE, 1226, "42000", RUM_CLOSE_LIMIT,
       "User 'alice' has exceeded the 'login_rate' resource"},
      {RUM_REFUSED_BLOCKED, 1129, "HY000", RUM_CLOSE_BLOCKED,
       "Your address is blocked for a while because of too many failed logins"},
  };
  for (const Row& row : rows) {
    host.admission = row.verdict;
    Greet();
    Respond("alice", TokenFor(greeting.nonce));
    EXPECT_FALSE(host.connecting());
    ExpectError(2, row.code, row.state, row.reason);
    EXPECT_EQ(error.text, row.text);
  }
  EXPECT_EQ(CountOf(host, Deed::Kind::kLoginFailed), 0u);
}

TEST_F(Admission, ShowsTheTextOfADisabledUser) {
  host.AddToMap("moving",
                "\0tcp:192.0.2.9:3306\0\x80"
                "disabled=back\\sat\\s14:00"s);
  host.admission = RUM_REFUSED_DISABLED;
  Greet();
  Respond("moving", TokenFor(greeting.nonce));
  EXPECT_FALSE(host.connecting());
  ExpectError(2, 1053, "08S01", RUM_CLOSE_DENIED);
  EXPECT_EQ(error.text, "back at 14:00");
  host.admission = RUM_REFUSED_TIME;  // of which the text says nothing
  Greet();
  Respond("moving", TokenFor(greeting.nonce));
  host.Advance(10000);
  EXPECT_EQ(ClientHears().find("back"), std::string::npos);
}

TEST_F(Admission, IsAskedAfterThePasswordWhereRumChecksIt) {
  Start({{"mysql-auth", "rewrite"}});
  host.admission = RUM_REFUSED_CONNECTIONS;
  Greet();
  Respond("alice", "12345678901234567890");
  ExpectError(2, 1045, "28000", RUM_CLOSE_DENIED);
  EXPECT_EQ(CountOf(host, Deed::Kind::kAdmit), 0u);
  EXPECT_EQ(CountOf(host, Deed::Kind::kLoginFailed), 1u);
  Greet();
  Respond("alice", TokenFor(greeting.nonce));
  ExpectError(2, 1226, "42000", RUM_CLOSE_LIMIT);
}

// Many logins may have begun before the first of them failed.
TEST_F(Admission, OfABlockedAddressNoProofIsPassedOn) {
  for (const char* user : {"alice", "carol"}) ExpectBlocked(user);
}
TEST_F(Admission, OfABlockedAddressNoProofIsJudged) {
  Start({{"mysql-auth", "rewrite"}});
  for (const char* user : {"alice", "carol"}) ExpectBlocked(user);
}

TEST_F(Admission, AProofWaitsForItsTurnAndIsPassedOnThen) {
  Greet();
  Respond("alice", "x");
  Connect();
  ServerSwitches();
  ClientHears();
  host.login_waits = true;
  ClientSays(3, "12345678901234567890");
  EXPECT_TRUE(host.paused());
  EXPECT_EQ(ServerHears(), "");
  ASSERT_TRUE(host.EndLoginWait());
  EXPECT_EQ(ServerHears(), Packet(3, "12345678901234567890"));
}

TEST_F(Admission, AProofThatRumJudgesWaitsForItsTurnToo) {
  Start({{"mysql-auth", "rewrite"}});
  for (const char* user : {"alice", "carol"}) {
    for (bool blocked : {false, true}) {
      host.blocked = false;
      Greet();
      host.login_waits = true;
      Respond(user, "12345678901234567890");
      EXPECT_TRUE(host.paused());
      EXPECT_EQ(ClientHears(), "");
      host.blocked = blocked;
      ASSERT_TRUE(host.EndLoginWait());
      blocked ? ExpectError(2, 1129, "HY000", RUM_CLOSE_BLOCKED)
              : ExpectError(2, 1045, "28000",
                            user == "alice"s ? RUM_CLOSE_DENIED : RUM_CLOSE_NO_DESTINATION);
    }
  }
}

TEST_F(Admission, WhoIsTooLateForTheLastPlaceIsToldAndTheServerIsLeftProperly) {
  for (int32_t verdict : {RUM_REFUSED_CONNECTIONS, RUM_REFUSED_RATE}) {
    host.confirmation = verdict;
    Greet();
    Respond("alice", "x");
    Connect();
    ServerSwitches();
    ClientHears();
    ClientSays(3, "12345678901234567890");
    ServerHears();
    ServerSays(4, FromHex("00000002000000"));
    ExpectError(4, 1226, "42000", RUM_CLOSE_LIMIT);
    EXPECT_EQ(ServerHears(), Packet(0, "\x01")) << "COM_QUIT";
  }
  EXPECT_EQ(CountOf(host, Deed::Kind::kLoginFailed), 0u);
}

TEST_F(Admission, CountsOnceThePasswordIsProved) {
  Greet();
  Respond("alice", "x");
  Connect();
  ServerSwitches();
  ClientSays(3, "12345678901234567890");
  EXPECT_EQ(CountOf(host, Deed::Kind::kConfirm), 0u);
  ServerSays(4, FromHex("00000002000000"));
  EXPECT_EQ(CountOf(host, Deed::Kind::kConfirm), 1u);
  EXPECT_TRUE(LoggedIn());
}

// The server has said enough of a wrong guess by asking for the whole password.
TEST_F(Admission, AGuesserWhoLetsTheTimeRunOutHasFailed) {
  for (bool server_is_due : {false, true}) {
    const size_t before = CountOf(host, Deed::Kind::kLoginFailed);
    Greet();
    Respond("alice", "x");
    Connect();
    ServerSays(2,
               "\xfe"
               "caching_sha2_password\0"s +
                   std::string(20, 'n') + '\0');
    ClientSays(3, std::string(32, 'g'));
    if (!server_is_due) ServerSays(4, "\x01\x04");
    host.CloseByRum(RUM_CLOSE_LOGIN_TIMEOUT);
    EXPECT_EQ(CountOf(host, Deed::Kind::kLoginFailed) - before, server_is_due ? 0u : 1u);
  }
}

// A server tells a wrong guess by asking for the whole password; a guesser waits for no more.
TEST_F(Admission, AGuesserWhoLeavesBeforeTheVerdictHasFailedAllTheSame) {
  for (bool guesses : {true, false}) {
    const size_t before = CountOf(host, Deed::Kind::kLoginFailed);
    Greet();
    Respond("alice", "x");
    Connect();
    ServerSays(2,
               "\xfe"
               "caching_sha2_password\0"s +
                   std::string(20, 'n') + '\0');
    if (guesses) {
      ClientSays(3, std::string(32, 'g'));
      ServerSays(4, "\x01\x04");
    }
    host.End(RUM_CLIENT);
    ServerSays(guesses ? 6 : 4, "\xff\x15\x04#28000Access denied");
    EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
    EXPECT_EQ(CountOf(host, Deed::Kind::kLoginFailed) - before, guesses ? 1u : 0u);
  }
}

// The owner of a slow server in the map logs in there again and again.
TEST_F(Admission, ASlowServerOfTheMapDoesNotShowWhichNamesAreUnknown) {
  host.default_destination.clear();
  auto log_in = [&](const std::string& user, uint64_t milliseconds) {
    Greet();
    Respond(user, "x");
    Connect();
    host.Advance(milliseconds);
    ServerSwitches();
    host.End(RUM_CLIENT);
    host.Reset(RUM_UPSTREAM);
  };
  for (int i = 0; i < 20; ++i) {
    AddUser("user" + std::to_string(i), "", "tcp:db1.internal:3306");
    log_in("user" + std::to_string(i), 1);
  }
  AddUser("owner", "", "tcp:db2.internal:3306");
  for (int i = 0; i < 64; ++i) log_in("owner", 495);
  int slow = 0;
  for (int i = 0; i < 100; ++i) {
    Greet();
    const size_t before = host.deeds().size();
    Respond("unknown" + std::to_string(i), "x");
    for (size_t d = before; d < host.deeds().size(); ++d) {
      slow += host.deeds()[d].kind == Deed::Kind::kTimer && host.deeds()[d].number > 100;
    }
    host.CloseByRum(RUM_CLOSE_KILLED);
  }
  EXPECT_LT(slow, 50);
}

TEST_F(Admission, AVerdictOfALaterRumIsNoAdmission) {
  for (int32_t verdict : {99, static_cast<int32_t>(RUM_E_STATE)}) {
    host.admission = verdict;
    EXPECT_NE(Refused("alice", "auto").find("Access denied"), std::string::npos);
    EXPECT_EQ(host.close_text(), "rum refuses the user");
  }
}

// Whoever is not let in must leave no connection behind: the server would count one that was left
// without a word.
TEST_F(Admission, WhoIsNotLetInToTheDefaultIsNotConnectedEither) {
  host.default_destination = "tcp:db0.internal:3306";
  for (int32_t verdict : {99, static_cast<int32_t>(RUM_E_STATE), RUM_REFUSED_RULES,
                          RUM_REFUSED_CONNECTIONS, RUM_REFUSED_BLOCKED}) {
    for (const char* user : {"carol", ""}) {
      host.admission = verdict;
      Greet();
      Respond(user, "x");
      EXPECT_TRUE(host.closed().has_value()) << verdict;
      EXPECT_FALSE(host.ConnectOutcome(0)) << verdict;
      EXPECT_EQ(Split(ClientHears()).size(), 1u) << verdict;
    }
  }
}

TEST_F(Admission, ARumWithoutTheGroupLetsEverybodyIn) {
  host.extensions[RUM_LIMITS_1] = nullptr;
  Greet();
  Respond("alice", "x");
  EXPECT_EQ(host.connecting(), "tcp:db1.internal:3306");
  host.ConnectOutcome(RUM_CLOSE_CONNECT_REFUSED);
  ClientHears();
  Refused("carol", "auto");
}

TEST_F(Admission, TheServersDenialIsAFailedLoginAndOtherErrorsAreNot) {
  for (const auto& [code, failures] :
       {std::pair{1045, 1u}, {1698, 2u}, {1049, 2u}, {1203, 2u}, {1862, 2u}}) {
    Greet();
    Respond("alice", "x");
    Connect();
    ServerSwitches();
    ClientSays(3, "12345678901234567890");
    std::string payload = "\xff";
    payload += static_cast<char>(code & 255);
    payload += static_cast<char>(code >> 8);
    ServerSays(4, payload + "#28000no");
    EXPECT_EQ(host.closed(), RUM_CLOSE_UPSTREAM_DENIED);
    EXPECT_EQ(CountOf(host, Deed::Kind::kLoginFailed), failures) << code;
    ClientHears();
    ServerHears();
  }
}

TEST_F(Admission, ABlockedAddressIsToldInPlaceOfAGreeting) {
  EXPECT_EQ(host.Refusal(RUM_CLOSE_BLOCKED),
            Packet(0,
                   "\xff\x69\x04Your address is blocked for a while because of too many failed "
                   "logins"));
}

}  // namespace
}  // namespace rum::mysql

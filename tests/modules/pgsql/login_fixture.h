// The fixture of tests that have whole logins on the scripted host, and messages of them.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "check/scripted_host.h"
#include "pgsql/message.h"
#include "pgsql/startup.h"
#include "pgsql/wire.h"

namespace rum::pgsql {

using namespace std::string_literals;

inline const std::string kStartup = [] {
  std::string body = U32(kVersion3) + "user\0alice\0database\0app\0\0"s;
  return U32(static_cast<uint32_t>(body.size() + 4)) + body;
}();
inline const std::string kOk = BuildAuth(Auth::kOk);
inline const std::string kClearTextRequest = BuildAuth(Auth::kClearText);
inline const std::string kMd5Request = BuildAuth(Auth::kMd5, "salt");
inline const std::string kList = BuildMechanisms({"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"});
inline const std::string kKey = BuildMessage('K', "pidxkeyx");
inline const std::string kReady = BuildMessage('Z', "I");
inline const std::string kWrong =
    BuildError("28P01", "password authentication failed for user \"alice\"");
inline const std::string kProof = BuildMessage('p', "md5proof\0"s);

class PgsqlLogin : public testing::Test {
 protected:
  PgsqlLogin() : host(rum_module_v1) {
    host.default_destination = "";
    host.peer[RUM_UPSTREAM] = "10.1.2.3:5432";
    host.AddToMap("alice", "\0tcp:db1.internal:5432\0"s);
  }
  void TearDown() override { EXPECT_EQ(host.violations(), std::vector<std::string>{}); }

  void Start(const ScriptedHost::Options& options = {}) {
    auto status = host.Start(options);
    ASSERT_TRUE(status.ok()) << status.error().text;
  }
  // The Startup has reached the server.
  void Reach() {
    ASSERT_TRUE(host.Open());
    ASSERT_TRUE(host.Feed(RUM_CLIENT, kStartup));
    ASSERT_EQ(host.connecting(), "tcp:db1.internal:5432");
    ASSERT_TRUE(host.ConnectOutcome(0));
  }
  std::string ClientHears() { return host.TakeSent(RUM_CLIENT); }
  std::string ServerHears() { return host.TakeSent(RUM_UPSTREAM); }
  void ServerSays(const std::string& bytes) { ASSERT_TRUE(host.Feed(RUM_UPSTREAM, bytes)); }
  void ExpectError(const std::string& sqlstate, uint32_t reason) {
    const std::string heard = ClientHears();
    Frame frame = ReadFrame(heard);
    ASSERT_EQ(frame.kind, Frame::Kind::kWhole) << heard;
    ASSERT_EQ(frame.size, heard.size());
    auto error = ParseError(Message{heard}.body());
    ASSERT_TRUE(error && heard[0] == 'E') << heard;
    EXPECT_EQ(error->sqlstate, sqlstate) << error->text;
    EXPECT_EQ(error->text.find("10.1.2.3"), std::string::npos) << error->text;
    EXPECT_EQ(error->text.find("internal"), std::string::npos) << error->text;
    EXPECT_EQ(host.closed(), reason) << host.close_text();
  }

  ScriptedHost host;
};

}  // namespace rum::pgsql

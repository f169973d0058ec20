// A client, the map and a server around the module on the scripted host, for tests of whole logins.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "bytes.h"
#include "check/scripted_host.h"
#include "mysql/auth.h"
#include "mysql/capabilities.h"
#include "mysql/handshake.h"
#include "mysql/packet.h"
#include "mysql/reply.h"

namespace rum::mysql {

using namespace std::string_literals;

// PASSWORD('secret') and SHA1('secret').
inline const std::string kStoredText = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";
inline const std::string kStoredBytes = FromHex("14e65567abdb5135d0cfd9a70b3032c179a49ee7");
inline const std::string kOnceBytes = FromHex("e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4");

constexpr uint32_t kOldClient = kLongPassword | kProtocol41 | kSecureConnection | kTransactions;
constexpr uint32_t kClient = kOldClient | kPluginAuth | kDeprecateEof;
constexpr uint64_t kServer = 0x1d81fff7fe;  // MariaDB 10.11

template <class Array>
Array ArrayOf(std::string_view bytes) {
  Array array{};
  EXPECT_EQ(bytes.size(), array.size());
  bytes.copy(reinterpret_cast<char*>(array.data()), array.size());
  return array;
}

inline std::string Packet(uint8_t sequence, std::string_view payload) {
  return PacketWriter().WriteText(payload).Finish(sequence);
}

inline std::string OkPacket(uint8_t sequence) {
  return Packet(sequence, FromHex("00000002000000"));
}

// What the native plugin answers to a nonce for the password "secret".
inline std::string TokenFor(const Nonce& nonce) {
  auto token = MakeToken(ArrayOf<Hash>(kOnceBytes), nonce, ArrayOf<Hash>(kStoredBytes));
  return std::string(AsText(*token));
}

inline const Nonce kServerNonce = ArrayOf<Nonce>("servers-nonce-server");

// As long as those of the native plugin.
inline const std::string kProof = "proof-of-the-client-";

// What a server hears of rum where it must not let anybody in.
inline const std::string kWrongProof = std::string(19, '\x7f') + '\0';

// Splits bytes into packets; what is no whole packet is the last element.
struct Said {
  uint8_t sequence;
  std::string payload;
};
inline std::vector<Said> Split(std::string_view bytes) {
  std::vector<Said> all;
  while (bytes.size() >= kHeaderSize) {
    Frame frame = ReadFrame(AsBytes(bytes), static_cast<uint8_t>(bytes[3]));
    if (frame.kind != Frame::Kind::kWhole) break;
    all.push_back({frame.sequence, std::string(AsText(frame.payload))});
    bytes.remove_prefix(frame.size);
  }
  if (!bytes.empty()) all.push_back({0, std::string(bytes)});
  return all;
}

class Login : public testing::Test {
 protected:
  Login() : host(rum_module_v1) {
    host.default_destination = "";
    host.peer[RUM_CLIENT] = "192.0.2.1:40112";
    host.peer[RUM_UPSTREAM] = "10.1.2.3:3306";
    AddUser("alice", kStoredText, "tcp:db1.internal:3306");
    AddUser("plain", "", "tcp:db1.internal:3306");
  }

  void TearDown() override {
    EXPECT_EQ(host.violations(), std::vector<std::string>{});
    // Neither hash nor token gets into what an operator reads.
    for (const Deed& deed : host.deeds()) {
      if (deed.kind != Deed::Kind::kLog && deed.kind != Deed::Kind::kNote &&
          deed.kind != Deed::Kind::kClose) {
        continue;
      }
      EXPECT_EQ(deed.bytes.find(kStoredText.substr(1, 8)), std::string::npos);
      EXPECT_EQ(deed.bytes.find(kOnceBytes), std::string::npos);
    }
  }

  void AddUser(const std::string& user, const std::string& secret, const std::string& where) {
    host.AddToMap(user, secret + "\0"s + where + "\0"s);
  }

  void Start(const ScriptedHost::Options& options = {}) {
    auto status = host.Start(options);
    ASSERT_TRUE(status.ok()) << status.error().text;
  }

  // Opens a session and reads the greeting.
  void Greet() {
    ASSERT_TRUE(host.Open());
    auto said = Split(host.TakeSent(RUM_CLIENT));
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].sequence, 0);
    auto parsed = ParseGreeting(AsBytes(said[0].payload));
    ASSERT_TRUE(parsed.ok()) << parsed.why;
    greeting = parsed.value;
  }

  std::string ResponsePacket(const std::string& user, const std::string& auth,
                             uint32_t capabilities = kClient,
                             const std::string& plugin = "mysql_native_password") {
    Response response;
    response.capabilities = capabilities;
    response.user = user;
    response.auth = auth;
    response.plugin = plugin;
    return BuildResponse(response, 1);
  }

  static std::string Query(const std::string& text) { return Packet(0, "\x03" + text); }

  // The mark in what the server is asked before a change; it owes nothing when it comes back.
  std::string Mark(const std::string& before = "") {
    std::string asked = ServerHears();
    EXPECT_EQ(asked.substr(0, before.size()), before);
    asked.erase(0, before.size());
    std::string text = asked.substr(std::min<size_t>(asked.size(), 5), 45);
    EXPECT_EQ(asked, Query(text + ": the user is about to change"));
    EXPECT_EQ(text.substr(0, 5), "rum m");
    return text.substr(4);
  }
  static std::string SyntaxError(const std::string& near, uint8_t sequence = 1) {
    return BuildError({1064, "42000", "You have an error near 'rum " + near + ": the'"}, sequence);
  }
  void GrantQuiet() { host.Feed(RUM_UPSTREAM, SyntaxError(Mark())); }

  void Respond(const std::string& user, const std::string& auth, uint32_t capabilities = kClient,
               const std::string& plugin = "mysql_native_password") {
    ASSERT_TRUE(host.Feed(RUM_CLIENT, ResponsePacket(user, auth, capabilities, plugin)));
  }

  std::string ServerGreeting(uint64_t capabilities = kServer) {
    Greeting server;
    server.version = server_version;
    server.connection_id = 7;
    server.capabilities = capabilities | kSecureConnection;
    if (server_version.find("MariaDB") == server_version.npos) {
      server.capabilities = (server.capabilities & 0xffffffff) | kLongPassword;  // as MySQL does
    }
    server.nonce = kServerNonce;
    server.plugin = server_plugin;
    server.charset = server_charset;
    return BuildGreeting(server);
  }

  // The connection is made, and the server greets; returns what it is answered.
  Response Connect(uint64_t capabilities = kServer) {
    EXPECT_TRUE(host.ConnectOutcome(0));
    EXPECT_TRUE(host.Feed(RUM_UPSTREAM, ServerGreeting(capabilities)));
    auto said = Split(host.TakeSent(RUM_UPSTREAM));
    EXPECT_EQ(said.size(), 1u);
    if (said.size() != 1) return {};
    EXPECT_EQ(said[0].sequence, 1);
    auto response = ParseResponse(AsBytes(said[0].payload));
    EXPECT_TRUE(response.ok()) << response.why;
    return response.value;
  }

  void ServerSays(uint8_t sequence, std::string_view payload) {
    ASSERT_TRUE(host.Feed(RUM_UPSTREAM, Packet(sequence, payload)));
  }
  void ServerSwitches(uint8_t sequence = 2) {
    ASSERT_TRUE(host.Feed(RUM_UPSTREAM, BuildNativeSwitch(kServerNonce, sequence)));
  }
  void ClientSays(uint8_t sequence, std::string_view payload) {
    ASSERT_TRUE(host.Feed(RUM_CLIENT, Packet(sequence, payload)));
  }
  // The server's bytes flow; the client's may still be seen.
  bool LoggedIn() const { return host.relaying() || host.handed_over() == RUM_UPSTREAM; }
  std::string ClientHears() { return host.TakeSent(RUM_CLIENT); }
  std::string ServerHears() { return host.TakeSent(RUM_UPSTREAM); }

  // The client was told this error, and nothing else, and the session is over.
  void ExpectError(uint8_t sequence, uint16_t code, const std::string& state, uint32_t reason) {
    auto said = Split(ClientHears());
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].sequence, sequence);
    auto parsed = ParseError(AsBytes(said[0].payload));
    ASSERT_TRUE(parsed.ok()) << parsed.why;
    error = parsed.value;
    EXPECT_EQ(error.code, code) << error.text;
    EXPECT_EQ(error.state, state);
    EXPECT_EQ(error.text.find("10.1.2.3"), std::string::npos) << error.text;
    EXPECT_EQ(error.text.find("internal"), std::string::npos) << error.text;
    EXPECT_EQ(host.closed(), reason) << host.close_text();
  }

  // The same; the server, which has greeted, is waited for, and may ask nobody for any plugin.
  void ExpectErrorAfterGreeting(uint8_t sequence, uint16_t code, const std::string& state,
                                uint32_t reason) {
    EXPECT_FALSE(host.closed());
    auto said = Split(ServerHears());
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(ParseResponse(AsBytes(said[0].payload)).value.user, "rum_client_has_left");
    ServerSays(2,
               "\xfe"
               "client_ed25519\0a nonce of thirty-two bytes is it"s);
    EXPECT_EQ(ServerHears(), Packet(3, std::string(64, '\0')));
    ServerSays(4, "\xff\x15\x04#28000Access denied");
    ExpectError(sequence, code, state, reason);
  }

  ScriptedHost host;
  Greeting greeting;
  std::string server_version = "5.5.5-10.11.19-MariaDB";
  std::string server_plugin = "mysql_native_password";
  uint8_t server_charset = 45;
  ServerError error;
};

}  // namespace rum::mysql

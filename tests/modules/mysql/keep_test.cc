// The pure parts of kept connections: what is kept, who may take it, and rum's own login.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "bytes.h"
#include "mysql/commands.h"
#include "mysql/kept_server.h"
#include "mysql/own_login.h"
#include "mysql/packet.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;

const std::string kNonce = FromHex("2122232425262728292a2b2c2d2e2f3031323334");

Secret Password() { return Secret(AsBytes("secret\0"s)); }

std::string SwitchTo(std::string_view plugin) {
  return "\xfe"s + std::string(plugin) + '\0' + kNonce + '\0';
}

TEST(KeptServer, WhatIsWrittenIsReadAgain) {
  KeptServer server;
  server.greeting.version = "5.5.5-10.11.19-MariaDB";
  server.greeting.capabilities = 0x3d81fffffe;
  server.greeting.connection_id = 77;
  server.greeting.nonce.fill('n');
  server.greeting.charset = 45;
  server.in_force = 0x1c81ffa285;
  std::string text = WriteKeptServer(server).value();
  Parsed<KeptServer> read = ReadKeptServer(text);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value.in_force, server.in_force);
  EXPECT_EQ(read.value.greeting.version, server.greeting.version);
  EXPECT_EQ(read.value.greeting.capabilities, server.greeting.capabilities);
  EXPECT_EQ(read.value.greeting.connection_id, 77u);
  EXPECT_EQ(read.value.greeting.nonce, server.greeting.nonce);
  EXPECT_EQ(read.value.greeting.charset, 45);
  ForEachCut(text, [](Bytes bytes) { ReadKeptServer(AsText(bytes)); });
  server.greeting.version = std::string(256, '1');
  EXPECT_FALSE(WriteKeptServer(server));
}

TEST(ReuseKey, AnyDifferenceMakesAnotherKey) {
  std::set<std::string> keys;
  for (ReuseKey key :
       {ReuseKey{}, ReuseKey{.capabilities = 1ull << 40}, ReuseKey{.max_packet = 1},
        ReuseKey{.charset = 1}, ReuseKey{.tls_mode = 1}, ReuseKey{.client_tls = true},
        ReuseKey{.rewrites = true}, ReuseKey{.user = "rum_kept"}}) {
    EXPECT_TRUE(keys.insert(WriteReuseKey(key)).second);
  }
}

TEST(Leave, IsAWholeReadOfNothingElse) {
  const std::string close = "\x05\0\0\0\x19\1\0\0\0"s, quit = "\x01\0\0\0\x01"s;
  for (const std::string& text : {quit, close + quit, close + close + close + quit}) {
    EXPECT_TRUE(IsLeave(AsBytes(text)));
    EXPECT_TRUE(text.ends_with(kLeaveTail));
  }
  for (const std::string& text :
       {""s, close, quit + quit, "x" + quit, quit + close, close + "x" + quit, "\x01\0\0\1\x01"s,
        close.substr(0, 8) + quit}) {
    EXPECT_FALSE(IsLeave(AsBytes(text))) << text.size();
  }
}

TEST(OwnLogin, ProvesThePasswordByTwoPlugins) {
  const Secret password = Password();
  OwnLogin native(password, false);
  EXPECT_EQ(native.Answer(AsBytes(SwitchTo(kNativePlugin))),
            FromHex("1f44f306295a10870fd7895d358cb5f975d7d47f"));
  OwnLogin sha2(password, false);
  EXPECT_EQ(sha2.Answer(AsBytes(SwitchTo(kCachingSha2Plugin))),
            FromHex("3e6e1d1225dfe8531b46e47caf897453dba8211b1e2fdca5e10ef0f98718b18e"));
}

TEST(OwnLogin, SaysThePasswordOnlyOnASafeWay) {
  const Secret password = Password();
  for (bool safe : {true, false}) {
    OwnLogin login(password, safe);
    ASSERT_TRUE(login.Answer(AsBytes(SwitchTo(kCachingSha2Plugin))));
    EXPECT_EQ(login.Answer(AsBytes("\1\4"s)), safe ? "secret\0"s : "\2"s);
    if (safe) continue;
    EXPECT_FALSE(login.Answer(AsBytes("\1no key"s)));
  }
}

TEST(OwnLogin, AnswersNothingElse) {
  const Secret password = Password();
  for (const std::string& asked :
       {SwitchTo("mysql_clear_password"), SwitchTo("dialog"), SwitchTo("sha256_password"),
        "\xfe"s + std::string(kNativePlugin) + "\0short"s, "\1\4"s, "\2mysql_clear_password\0"s}) {
    OwnLogin login(password, true);
    EXPECT_FALSE(login.Answer(AsBytes(asked))) << asked;
  }
  OwnLogin native(password, true);
  native.Answer(AsBytes(SwitchTo(kNativePlugin)));
  EXPECT_FALSE(native.Answer(AsBytes("\1\4"s))) << "a switch to another way of asking";
}

}  // namespace
}  // namespace rum::mysql

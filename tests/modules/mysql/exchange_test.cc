#include "mysql/exchange.h"

#include <gtest/gtest.h>

#include "bytes.h"

namespace rum::mysql {
namespace {

using namespace std::string_literals;
using Step = Exchange::Step;

constexpr Links kBothOpen{.client = Link::kOpen, .server = Link::kOpen};
constexpr Links kClientSafe{.client = Link::kTls, .server = Link::kOpen};
constexpr Links kServerSafe{.client = Link::kOpen, .server = Link::kTls};
constexpr Links kBothSafe{.client = Link::kTls, .server = Link::kTls};
constexpr Links kAll[] = {kBothOpen, kClientSafe, kServerSafe, kBothSafe};

const std::string kNonceText = "abcdefghijklmnopqrst";
const std::string kPassword = "secret\0"s;
const std::string kCipher(256, 'c');

Exchange Asked(PluginKind kind) {
  Exchange exchange;
  EXPECT_TRUE(exchange.Begin(kind, AsBytes(kNonceText)));
  return exchange;
}

// caching_sha2_password that does not know the client yet.
Exchange AskedInFull() {
  Exchange exchange = Asked(PluginKind::kCachingSha2);
  EXPECT_EQ(exchange.Judge(AsBytes("thirty-two bytes that are a proof"), kClientSafe), Step::kPass);
  exchange.Hear(AsBytes("\1\4"));
  return exchange;
}

TEST(Exchange, KnowsThePlugins) {
  EXPECT_EQ(KindOfPlugin("mysql_native_password"), PluginKind::kNative);
  EXPECT_EQ(KindOfPlugin("client_ed25519"), PluginKind::kEd25519);
  EXPECT_EQ(KindOfPlugin("parsec"), PluginKind::kParsec);
  EXPECT_EQ(KindOfPlugin("caching_sha2_password"), PluginKind::kCachingSha2);
  EXPECT_EQ(KindOfPlugin("sha256_password"), PluginKind::kSha256);
  for (const char* name : {"mysql_clear_password", "dialog", "", "parsec2", "new"}) {
    EXPECT_EQ(KindOfPlugin(name), PluginKind::kClear) << name;
  }
}

TEST(Exchange, MayAskForAPasswordInTheClearUnlessOnlyTheClientIsSafe) {
  Exchange exchange = Asked(PluginKind::kClear);
  EXPECT_TRUE(exchange.MayAsk(kBothOpen));
  EXPECT_FALSE(exchange.MayAsk(kClientSafe));
  EXPECT_TRUE(exchange.MayAsk(kServerSafe));
  EXPECT_TRUE(exchange.MayAsk(kBothSafe));
  EXPECT_FALSE(exchange.MayAsk({.client = Link::kUnix, .server = Link::kOpen}));
  EXPECT_TRUE(exchange.MayAsk({.client = Link::kTls, .server = Link::kUnix}));
  EXPECT_FALSE(Exchange().MayAsk(kClientSafe)) << "before any plugin was asked for";
  for (PluginKind kind : {PluginKind::kNative, PluginKind::kEd25519, PluginKind::kParsec,
                          PluginKind::kCachingSha2, PluginKind::kSha256}) {
    EXPECT_TRUE(Asked(kind).MayAsk(kClientSafe));
  }
}

TEST(Exchange, PassesProofsOnOverAnyLink) {
  for (Links links : kAll) {
    for (PluginKind kind : {PluginKind::kNative, PluginKind::kEd25519, PluginKind::kParsec,
                            PluginKind::kCachingSha2}) {
      Exchange exchange = Asked(kind);
      EXPECT_EQ(exchange.Judge(AsBytes("proof"), links), Step::kPass);
      EXPECT_EQ(exchange.Judge({}, links), Step::kPass);
    }
  }
}

TEST(Exchange, TranslatesWhatComesWhenTheServerWantsThePassword) {
  for (bool caching : {true, false}) {
    auto begin = [&] { return caching ? AskedInFull() : Asked(PluginKind::kSha256); };
    const std::string request = caching ? "\2" : "\1";
    EXPECT_EQ(begin().key_request(), request[0]);
    // Neither link is safe: the client has asked the server for its key, or has it.
    EXPECT_EQ(begin().Judge(AsBytes(request), kBothOpen), Step::kPass);
    EXPECT_EQ(begin().Judge(AsBytes(kCipher), kBothOpen), Step::kPass);
    EXPECT_EQ(begin().Judge(AsBytes(kPassword), kClientSafe), Step::kEncrypt);
    EXPECT_EQ(begin().Judge(AsBytes(request), kServerSafe), Step::kOfferKey);
    EXPECT_EQ(begin().Judge(AsBytes(kCipher), kServerSafe), Step::kUnreadable);
    EXPECT_EQ(begin().Judge(AsBytes(kPassword), kBothSafe), Step::kPass);
    // Some clients do not take a unix socket for safe.
    EXPECT_EQ(begin().Judge(AsBytes(request), kClientSafe), Step::kPass);
    EXPECT_EQ(begin().Judge(AsBytes(request), kBothSafe), Step::kOfferKey);
    for (Links links : kAll) {
      EXPECT_EQ(begin().Judge({}, links), Step::kPass) << "no password";
      EXPECT_EQ(begin().Judge(AsBytes("\0"s), links), Step::kPass) << "no password";
    }
  }
}

TEST(Exchange, OverAUnixSocketCachingSha2TakesThePasswordAndSha256OnlyACipher) {
  constexpr Links kTlsToUnix{.client = Link::kTls, .server = Link::kUnix};
  constexpr Links kOpenToUnix{.client = Link::kOpen, .server = Link::kUnix};
  EXPECT_EQ(AskedInFull().Judge(AsBytes(kPassword), kTlsToUnix), Step::kPass);
  EXPECT_EQ(AskedInFull().Judge(AsBytes("\2"), kOpenToUnix), Step::kOfferKey);
  EXPECT_EQ(Asked(PluginKind::kSha256).Judge(AsBytes(kPassword), kTlsToUnix), Step::kEncrypt);
  EXPECT_EQ(Asked(PluginKind::kSha256).Judge(AsBytes("\1"), kOpenToUnix), Step::kPass);
  EXPECT_EQ(Asked(PluginKind::kSha256).Judge(AsBytes(kCipher), kOpenToUnix), Step::kPass);
}

TEST(Exchange, AClientMayTakeItsUnixSocketForSafe) {
  constexpr Links kUnixToOpen{.client = Link::kUnix, .server = Link::kOpen};
  constexpr Links kUnixToTls{.client = Link::kUnix, .server = Link::kTls};
  for (bool caching : {true, false}) {
    auto begin = [&] { return caching ? AskedInFull() : Asked(PluginKind::kSha256); };
    EXPECT_EQ(begin().Judge(AsBytes(kPassword), kUnixToOpen), Step::kEncrypt);
    EXPECT_EQ(begin().Judge(AsBytes(kPassword), kUnixToTls), Step::kPass);
    EXPECT_EQ(begin().Judge(AsBytes(caching ? "\2" : "\1"), kUnixToTls), Step::kOfferKey);
  }
}

TEST(Exchange, TheAnswerToARequestThatWasPassedOnIsACipher) {
  for (Exchange exchange : {AskedInFull(), Asked(PluginKind::kSha256)}) {
    uint8_t request = exchange.key_request();
    EXPECT_EQ(exchange.Judge({&request, 1}, kClientSafe), Step::kPass);
    exchange.Hear(AsBytes("\1-----BEGIN PUBLIC KEY-----"));
    EXPECT_EQ(exchange.Judge(AsBytes(kCipher), kClientSafe), Step::kPass);
  }
}

TEST(Exchange, OnlyTheRequestForFullAuthenticationMakesAnAnswerAPassword) {
  for (const std::string& more : {"\1\3"s, "\1"s, "\1\4\0"s, "\4"s, ""s}) {
    Exchange exchange = Asked(PluginKind::kCachingSha2);
    exchange.Hear(AsBytes(more));
    EXPECT_EQ(exchange.Judge(AsBytes(kPassword), kClientSafe), Step::kPass);
  }
  Exchange native = Asked(PluginKind::kNative);
  native.Hear(AsBytes("\1\4"));
  EXPECT_EQ(native.Judge(AsBytes(kPassword), kClientSafe), Step::kPass);
}

TEST(Exchange, KeepsTheNonceOfThePluginThatWasAskedForLast) {
  Exchange exchange = AskedInFull();
  EXPECT_EQ(AsText(exchange.nonce()), kNonceText);
  EXPECT_TRUE(exchange.Begin(PluginKind::kSha256, AsBytes("ABCDEFGHIJKLMNOPQRST\0"s)));
  EXPECT_EQ(AsText(exchange.nonce()), "ABCDEFGHIJKLMNOPQRST");
  EXPECT_EQ(exchange.kind(), PluginKind::kSha256);
}

TEST(Exchange, PluginsThatNeedANonceDoNotBeginWithoutOne) {
  const std::string short_one = kNonceText.substr(1);
  for (PluginKind kind : {PluginKind::kNative, PluginKind::kCachingSha2, PluginKind::kSha256}) {
    Exchange exchange;
    EXPECT_FALSE(exchange.Begin(kind, AsBytes(short_one)));
    EXPECT_FALSE(exchange.Begin(kind, {}));
  }
  for (PluginKind kind : {PluginKind::kEd25519, PluginKind::kParsec, PluginKind::kClear}) {
    EXPECT_TRUE(Exchange().Begin(kind, {}));
  }
}

TEST(Answers, OfMariaDbsPluginsHaveOneLength) {
  for (size_t size : {0, 1, 19, 20, 21, 63, 64, 65, 95, 96, 97, 1000}) {
    EXPECT_EQ(MayBeAnswer(PluginKind::kNative, size, 0), size == 0 || size == 20) << size;
    EXPECT_EQ(MayBeAnswer(PluginKind::kEd25519, size, 0), size == 64) << size;
    EXPECT_EQ(MayBeAnswer(PluginKind::kParsec, size, 0), size == 0) << size;
    EXPECT_EQ(MayBeAnswer(PluginKind::kParsec, size, 1), size == 96) << size;
    EXPECT_TRUE(MayBeAnswer(PluginKind::kCachingSha2, size, 0)) << size;
    EXPECT_TRUE(MayBeAnswer(PluginKind::kClear, size, 0)) << size;
  }
}

TEST(Answers, InPlaceOfOthersLetNobodyIn) {
  // 19 letters and a NUL, which two of them take for a password.
  const std::string wrong = std::string(19, '\x7f') + '\0';
  for (PluginKind kind : {PluginKind::kNative, PluginKind::kCachingSha2, PluginKind::kSha256}) {
    EXPECT_EQ(WrongProof(kind, 0), wrong);
    EXPECT_EQ(WrongProof(kind, 1), wrong);
  }
  EXPECT_EQ(WrongProof(PluginKind::kEd25519, 0), std::string(64, '\0'));
  EXPECT_EQ(WrongProof(PluginKind::kParsec, 0), std::string(1, '\0'));
  EXPECT_EQ(WrongProof(PluginKind::kParsec, 1), std::nullopt);
}

}  // namespace
}  // namespace rum::mysql

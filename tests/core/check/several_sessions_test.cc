// Several sessions at a time, in the scripted host and in transcripts, and what a report says of
// one.
#include <gtest/gtest.h>

#include "check/player.h"
#include "check/transcript.h"
#include "little_module.h"

namespace rum {
namespace {

std::string Play(const LittleModule& little, const std::string& text,
                 std::string* trace = nullptr) {
  auto transcript = ReadTranscript(text, "t");
  if (!transcript) return transcript.error().text;
  return PlayTranscript(little.table(), *transcript, {}, {.trace = trace}).value_or("");
}

// What "cancel" comes with ends the session that said it first.
struct Canceller : LittleModule {
  rum_session* first = nullptr;
  Canceller() {
    open = [this](rum_session* s) {
      if (!first) first = s;
      return Send(s, RUM_CLIENT, "hello");
    };
    client = [this](rum_session* s, std::string_view bytes) {
      if (bytes == "cancel") {
        Send(first, RUM_CLIENT, "cancelled");
        Close(first, RUM_CLOSE_CLIENT_PROTOCOL);
        Close(s, RUM_CLOSE_CLIENT_GONE);
      }
      return All(bytes);
    };
  }
};

TEST(SeveralSessions, AreOpenAtATime) {
  Canceller module;
  ScriptedHost host(module.table());
  ASSERT_TRUE(host.Open());
  host.Select(1);
  EXPECT_FALSE(host.open());
  ASSERT_TRUE(host.Open());
  host.TakeSent(RUM_CLIENT);
  host.Feed(RUM_CLIENT, "cancel");
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_GONE);
  host.Select(0);
  EXPECT_EQ(host.closed(), RUM_CLOSE_CLIENT_PROTOCOL);
  EXPECT_EQ(host.TakeSent(RUM_CLIENT), "hellocancelled");
  EXPECT_EQ(host.deeds().back().kind, Deed::Kind::kClose);
  EXPECT_EQ(module.closed, 2);
  EXPECT_NO_VIOLATION(host);
}

TEST(SeveralSessions, HaveDeedsOfTheirOwn) {
  Canceller module;
  ScriptedHost host(module.table());
  host.Open();
  host.Select(3);
  host.Open();
  host.Feed(RUM_CLIENT, "cancel");
  std::string of[4];
  for (const Deed& deed : host.deeds()) of[deed.session] += deed.bytes;
  EXPECT_EQ(of[0], "hellocancelled");
  EXPECT_EQ(of[3], "hello");
}

TEST(SeveralSessions, HaveOneClock) {
  LittleModule module;
  std::vector<uint64_t> order;
  module.open = [&](rum_session* s) {
    return rum_calls->timer(s, module.opened == 1 ? 20 : 10) ? 0 : -1;
  };
  module.timeout = [&](rum_session*, uint64_t) { order.push_back(rum_calls->now()); };
  ScriptedHost host(module.table());
  host.Open();
  host.Select(1);
  host.Open();
  uint64_t begin = rum_calls->now();
  host.Advance(30);
  EXPECT_EQ(order, (std::vector<uint64_t>{begin + 10, begin + 20}));
}

constexpr char kCancel[] =
    "open\nexpect client < \"hello\"\n"
    "session 2\nopen\nexpect client < \"hello\"\nclient > \"cancel\"\nexpect close CLIENT_GONE\n"
    "session 1\nexpect client < \"cancelled\"\nexpect close CLIENT_PROTOCOL\n";

TEST(SeveralSessions, ArePlayedByATranscript) {
  Canceller module;
  EXPECT_EQ(Play(module, kCancel), "");
}

TEST(SeveralSessions, AreTracedAsATranscriptThatHolds) {
  Canceller module;
  std::string trace, again;
  EXPECT_EQ(Play(module, kCancel, &trace), "");
  EXPECT_NE(trace.find("session 2\n"), trace.npos) << trace;
  Canceller other;
  EXPECT_EQ(Play(other, trace, &again), "") << trace;
  EXPECT_EQ(trace, again);
}

TEST(SeveralSessions, AllHaveToBeExpected) {
  Canceller module;
  std::string text = kCancel;
  text.resize(text.find("session 1"));
  EXPECT_NE(Play(module, text).find("bytes to the client that no line expects"), std::string::npos);
}

TEST(SeveralSessions, ReadTheWord) {
  EXPECT_FALSE(ReadTranscript("session\nexpect open\n", "t"));
  EXPECT_FALSE(ReadTranscript("session a b\nexpect open\n", "t"));
  EXPECT_FALSE(ReadTranscript("session a\noption a=b\nexpect open\n", "t"));
}

// -- reports --------------------------------------------------------------------------------------

TEST(Report, SaysWhichNeedIsOutstandingAndWhatWasSent) {
  LittleModule module;
  module.open = [](rum_session* s) { return Send(s, RUM_CLIENT, "ready"); };
  module.client = [](rum_session* s, std::string_view) -> int64_t {
    rum_calls->need(s, RUM_CLIENT, 20);
    return 0;
  };
  std::string report = Play(module,
                            "open\nexpect client < \"ready\"\nclient > \"seven b\"\n"
                            "expect client < \"yes\"\n");
  EXPECT_NE(report.find("the client: 7 bytes are not consumed, need() waits for 20"), report.npos)
      << report;
  EXPECT_NE(report.find("sent to the client so far: 5 bytes, \"ready\""), report.npos) << report;
}

TEST(Report, SaysWhatIsUnderWay) {
  LittleModule module;
  module.client = [](rum_session* s, std::string_view bytes) {
    rum_calls->lookup(s, "k", 1);
    Connect(s, "tcp:h:1");
    rum_calls->pause(s);
    rum_calls->timer(s, 70);
    return All(bytes);
  };
  auto transcript = ReadTranscript("open\nclient > 00\nexpect relay\n", "t");
  ASSERT_TRUE(transcript);
  std::string report =
      PlayTranscript(module.table(), *transcript, {}, {.wait_millis = 1}).value_or("");
  for (const char* text : {"lookup() of \"k\" has no answer", "connect() to tcp:h:1 has no outcome",
                           "pause() is not ended", "a timer is due in 70ms"}) {
    EXPECT_NE(report.find(text), report.npos) << text << "\n" << report;
  }
}

TEST(TryLogin, WaitsForItsTurnInATranscript) {
  LittleModule module;
  auto judge = [](rum_session* s) {
    auto* limits = static_cast<const rum_limits*>(rum_calls->extension(RUM_LIMITS_1));
    int32_t verdict = limits->try_login(s);
    if (verdict != RUM_E_AGAIN) Send(s, RUM_CLIENT, verdict == RUM_OK ? "go" : "no");
  };
  module.client = [=](rum_session* s, std::string_view bytes) {
    judge(s);
    return All(bytes);
  };
  module.resumed = [=](rum_session* s, uint64_t, int32_t, void*) { judge(s); };
  EXPECT_EQ(Play(module,
                 "try-login waits\nopen\nclient > 00\nexpect pause\nturn\nexpect client < \"go\"\n"
                 "try-login blocked\nclient > 00\nexpect client < \"no\"\n"
                 "try-login ok\nclient > 00\nexpect client < \"go\"\n"),
            "");
}

}  // namespace
}  // namespace rum

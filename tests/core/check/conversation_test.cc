// Conversations that rum-check makes up: the same for a seed, judged by the rules, led by samples.
#include "check/conversation.h"

#include <gtest/gtest.h>

#include <set>

#include "check/rules.h"
#include "little_module.h"

namespace rum {
namespace {

struct Played {
  std::string script;
  std::string wrong;
  Strings violations;
};

Played Play(const LittleModule& module, uint64_t number, const TryMaterial& material = {}) {
  Played played;
  ScriptedHost host(module.table());
  Conversation conversation(host, material, 7, number,
                            [&](std::string_view text) { played.script += text; });
  EXPECT_TRUE(host.Start(conversation.Options()));
  played.wrong = conversation.Play();
  played.violations = host.violations();
  return played;
}

TEST(Conversation, IsTheSameForTheSameSeed) {
  LittleModule module;
  module.client = Swallow();
  std::set<std::string> scripts;
  for (uint64_t number = 1; number <= 20; ++number) {
    Played first = Play(module, number), second = Play(module, number);
    EXPECT_EQ(first.script, second.script);
    EXPECT_EQ(first.wrong, "");
    EXPECT_EQ(first.violations, Strings{});
    scripts.insert(first.script);
  }
  EXPECT_GT(scripts.size(), 15u);
}

TEST(Conversation, IsWrittenAsATranscript) {
  LittleModule module;
  module.client = [](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, bytes);
    return All(bytes);
  };
  for (uint64_t number = 1; number <= 50; ++number) {
    std::string script = Play(module, number).script;
    auto transcript = ReadTranscript(script + "session 1\nexpect client < ...\n", "t");
    EXPECT_TRUE(transcript) << transcript.error().text << "\n" << script;
  }
}

TEST(Conversation, EndsEverySessionThatItOpens) {
  LittleModule module;
  module.client = Swallow();
  module.open = [](rum_session* s) {
    Connect(s, "tcp:h:1");
    return RUM_OK;
  };
  module.connected = [](rum_session*, uint32_t) {};
  module.upstream = Swallow();
  for (uint64_t number = 1; number <= 100; ++number) Play(module, number);
  EXPECT_GT(module.opened, 100);
  EXPECT_EQ(module.opened, module.closed);
}

TEST(Conversation, FindsASessionThatNobodyEverEnds) {
  LittleModule module;
  module.client = Swallow();
  module.end = [](rum_session*, uint32_t) { return RUM_KEEP; };
  size_t found = 0;
  for (uint64_t number = 1; number <= 30; ++number) {
    found += Play(module, number).wrong.starts_with("side_end answered RUM_KEEP");
  }
  EXPECT_GT(found, 5u);
}

TEST(Conversation, LetsAModuleWaitForAServerAfterItsClientHasLeft) {
  LittleModule module;
  module.client = Swallow();
  module.upstream = Swallow();
  module.open = [](rum_session* s) { return Connect(s, "tcp:h:1"); };
  module.connected = [](rum_session*, uint32_t) {};
  module.end = [](rum_session*, uint32_t side) { return side == RUM_CLIENT ? RUM_KEEP : RUM_END; };
  for (uint64_t number = 1; number <= 100; ++number) {
    Played played = Play(module, number);
    EXPECT_EQ(played.wrong, "") << played.script;
  }
}

TEST(Conversation, FindsTimersWithoutEndButRumBoundsConnects) {
  LittleModule module;
  module.open = [](rum_session* s) { return Connect(s, "tcp:h:1"); };
  module.connected = [](rum_session* s, uint32_t reason) {
    if (reason) Connect(s, "tcp:h:1");
  };
  size_t timers = 0;
  for (uint64_t number = 1; number <= 30; ++number) EXPECT_EQ(Play(module, number).wrong, "");
  LittleModule ticking;
  ticking.client = Swallow();
  ticking.end = [](rum_session*, uint32_t) { return RUM_KEEP; };
  ticking.open = [](rum_session* s) { return rum_calls->timer(s, 1000) ? RUM_OK : RUM_E_LIMIT; };
  ticking.timeout = [](rum_session* s, uint64_t) { rum_calls->timer(s, 1000); };
  for (uint64_t number = 1; number <= 30; ++number) {
    timers += Play(ticking, number).wrong.starts_with("timeout calls timer()");
  }
  EXPECT_GT(timers, 5u);
}

TEST(Conversation, GetsFarByASample) {
  LittleModule module;
  size_t relays = 0;
  module.client = [](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes.size() < 6) return 0;
    if (bytes.substr(0, 6) != "magic\n") return -1;
    rum_calls->lookup(s, "k", 1);
    return 6;
  };
  module.looked_up = [](rum_session* s, int32_t status, const std::string&) {
    status == RUM_FOUND ? void(Connect(s, "tcp:h:1")) : Close(s, RUM_CLOSE_DENIED);
  };
  module.connected = [&](rum_session* s, uint32_t reason) {
    if (reason) return;
    ++relays;
    rum_calls->relay(s);
  };
  TryMaterial material;
  for (uint64_t number = 1; number <= 40; ++number) Play(module, number, material);
  EXPECT_EQ(relays, 0u);
  auto sample = ReadTranscript(
      "map \"k\" = \"v\"\nclient > \"magic\\n\"\nexpect lookup \"k\"\nconnect ok\nexpect relay\n",
      "t");
  ASSERT_TRUE(sample);
  material.transcripts.push_back(*sample);
  for (uint64_t number = 1; number <= 40; ++number) {
    Played played = Play(module, number, material);
    EXPECT_EQ(played.wrong, "") << played.script;
    EXPECT_EQ(played.violations, Strings{});
  }
  EXPECT_GT(relays, 10u);
}

// -- rules that the host watches ------------------------------------------------------------------

TEST(Bounds, OfWhatOneHookQueues) {
  LittleModule module;
  module.client = [](rum_session* s, std::string_view bytes) {
    std::string mebibyte(1 << 20, 'x');
    for (int i = 0; i < 65; ++i) Send(s, RUM_CLIENT, mebibyte);
    EXPECT_EQ(rum_calls->send(s, RUM_CLIENT, bytes.data(), SIZE_MAX), RUM_E_LIMIT);
    return All(bytes);
  };
  ScriptedHost host(module.table());
  host.Open();
  host.Feed(RUM_CLIENT, "x");
  EXPECT_TRUE(Violates(host, "more than 64 MiB in one call of a hook"));
}

TEST(Bounds, OfANeedThatIsRefusedAndForgotten) {
  LittleModule module;
  module.client = [](rum_session* s, std::string_view) -> int64_t {
    EXPECT_EQ(rum_calls->need(s, RUM_CLIENT, 300'000), RUM_E_LIMIT);
    return 0;
  };
  ScriptedHost host(module.table());
  host.Open();
  host.Feed(RUM_CLIENT, "x");
  EXPECT_TRUE(Violates(host, "need() answered RUM_E_LIMIT"));
}

TEST(Rules, StandBehindViolations) {
  EXPECT_NE(WithRule("client_data: send() with a session that has ended").find("(rule 3: "),
            std::string::npos);
  EXPECT_EQ(WithRule("something new"), "something new");
}

}  // namespace
}  // namespace rum

// The scripted host keeps the rules of rum/module.h, one test for each: tables, options and
// configurations.
#include <gtest/gtest.h>

#include "check/scripted_host.h"
#include "little_module.h"

namespace rum {
namespace {

// -- tables, options, configurations --------------------------------------------------------------

TEST(Tables, AShorterOneReadsAsNullHooks) {
  LittleModule little;
  little.client = Swallow();
  rum_module table = little.table();
  table.struct_size = offsetof(rum_module, client_data);
  ScriptedHost host(table);
  EXPECT_NE(host.module().session_open, nullptr);
  EXPECT_EQ(host.module().client_data, nullptr);
  EXPECT_EQ(host.module().session_close, nullptr);
}

struct ConfigTrace {
  Strings values;
  int made = 0;
  int freed = 0;
  int reloads = 0;
  int stops = 0;
  const void* seen = nullptr;
};
ConfigTrace trace;

rum_module ConfiguredTable(LittleModule& little) {
  static const rum_option rows[] = {
      {"little-text", "TEXT", nullptr, "a text", RUM_OPTION_TEXT, 0},
      {"little-mode", "fast|slow", "slow", "a choice", RUM_OPTION_CHOICE, 0},
      {"little-flag", nullptr, nullptr, "a flag", RUM_OPTION_FLAG, 0},
      {"little-count", "N", "3", "a number", RUM_OPTION_NUMBER, 0},
      {"little-wait", "TIME", "6s", "a duration", RUM_OPTION_DURATION, 0},
  };
  trace = {};
  rum_module table = little.table();
  table.options = rows;
  table.option_count = 5;
  table.config_new = [](const char* const* values, size_t count, void** config, char*,
                        size_t) -> int32_t {
    trace.values.clear();
    for (size_t i = 0; i < count; ++i) trace.values.push_back(values[i] ? values[i] : "(null)");
    *config = new int(++trace.made);
    return RUM_OK;
  };
  table.config_free = [](void* config) {
    ++trace.freed;
    delete static_cast<int*>(config);
  };
  table.worker_start = [](rum_worker*, const void*, void** data) -> int32_t {
    *data = &trace;
    return RUM_OK;
  };
  table.worker_reload = [](void* data, const void*) {
    EXPECT_EQ(data, &trace);
    ++trace.reloads;
  };
  table.worker_stop = [](void* data) {
    EXPECT_EQ(data, &trace);
    ++trace.stops;
  };
  table.session_open = [](rum_session*, const void* config, void* worker, void** data) -> int32_t {
    EXPECT_EQ(worker, &trace);
    trace.seen = config;
    *data = nullptr;
    return RUM_OK;
  };
  table.session_close = nullptr;
  return table;
}

TEST(Options, ReachConfigNewCheckedAndInOrder) {
  LittleModule little;
  ScriptedHost host(ConfiguredTable(little));
  ASSERT_TRUE(host.Start({{"little-text", "x"}, {"little-flag", "1"}, {"little-wait", "250ms"}}));
  EXPECT_EQ(trace.values, (Strings{"x", "slow", "1", "3", "250"}));
}

TEST(Options, DefaultsAndAbsentOnes) {
  LittleModule little;
  ScriptedHost host(ConfiguredTable(little));
  ASSERT_TRUE(host.Start());
  EXPECT_EQ(trace.values, (Strings{"(null)", "slow", "(null)", "3", "6000"}));
}

TEST(Options, RefusesBadValuesWithASentence) {
  LittleModule little;
  rum_module table = ConfiguredTable(little);
  auto error = [&](const ScriptedHost::Options& options) {
    ScriptedHost host(table);
    Status status = host.Start(options);
    return status ? "" : status.error().text;
  };
  EXPECT_EQ(error({{"little-mode", "medium"}}),
            "--little-mode takes one of fast|slow, not 'medium'");
  EXPECT_EQ(error({{"little-count", "-1"}}),
            "--little-count takes a decimal number of 0 or more, not '-1'");
  EXPECT_NE(error({{"little-count", "9223372036854775808"}}), "");
  EXPECT_EQ(error({{"little-count", "9223372036854775807"}}), "");
  EXPECT_NE(error({{"little-wait", "6x"}}), "");
  EXPECT_EQ(error({{"little-nosuch", "6"}}), "the module little has no option --little-nosuch");
  EXPECT_EQ(error({{"little-flag", "yes"}}), "--little-flag takes no value");
}

TEST(Options, RowsOfAnotherSizeAreRead) {
  LittleModule little;
  rum_module table = ConfiguredTable(little);
  struct Long {
    rum_option row;
    uint64_t later;
  };
  static const Long rows[] = {{{"little-a", "X", "1", "h", RUM_OPTION_TEXT, 0}, 9},
                              {{"little-b", "X", "2", "h", RUM_OPTION_TEXT, 0}, 9}};
  table.options = &rows[0].row;
  table.option_count = 2;
  table.option_size = sizeof(Long);
  ScriptedHost host(table);
  ASSERT_TRUE(host.Start());
  EXPECT_EQ(trace.values, (Strings{"1", "2"}));
}

TEST(Options, RefusesRowsThatBreakTheRules) {
  LittleModule little;
  auto error = [&](rum_option row) {
    rum_module table = little.table();
    table.options = &row;
    table.option_count = 1;
    ScriptedHost host(table);
    Status status = host.Start();
    return status ? "" : status.error().text;
  };
  EXPECT_EQ(error({"little-a", "N", nullptr, "help", RUM_OPTION_NUMBER, 0}), "");
  EXPECT_EQ(error({"little", "N", nullptr, "help", RUM_OPTION_NUMBER, 0}), "");
  EXPECT_NE(error({"littlea", "N", nullptr, "help", RUM_OPTION_NUMBER, 0}), "");
  EXPECT_NE(error({"other-a", "N", nullptr, "help", RUM_OPTION_NUMBER, 0}), "");
  EXPECT_NE(error({"little-a", "N", "x", "help", RUM_OPTION_NUMBER, 0}), "");
  EXPECT_NE(error({"little-a", "N", nullptr, "", RUM_OPTION_NUMBER, 0}), "");
  EXPECT_NE(error({"little-a", "N", nullptr, "help", 77, 0}), "");
  EXPECT_NE(error({"little-a", nullptr, nullptr, "help", RUM_OPTION_CHOICE, 0}), "");
  EXPECT_NE(error({"little-a", nullptr, "1", "help", RUM_OPTION_FLAG, 0}), "");
}

TEST(Metrics, RefusesRowsThatBreakTheRules) {
  LittleModule little;
  auto error = [&](rum_metric row) {
    rum_module table = little.table();
    table.metrics = &row;
    table.metric_count = 1;
    ScriptedHost host(table);
    Status status = host.Start();
    return status ? "" : status.error().text;
  };
  EXPECT_EQ(error({"little_http2_errors", "help"}), "");
  EXPECT_NE(error({"other_errors", "help"}), "");
  EXPECT_NE(error({"littleerrors", "help"}), "");
  EXPECT_NE(error({"little-errors", "help"}), "");
  EXPECT_NE(error({"little_errors", ""}), "");
  EXPECT_NE(error({nullptr, "help"}), "");
}

TEST(Config, LivesAsLongAsTheLastSessionThatUsesIt) {
  LittleModule little;
  {
    ScriptedHost host(ConfiguredTable(little));
    ASSERT_TRUE(host.Start());
    host.Open();
    const void* first = trace.seen;
    ASSERT_TRUE(host.Reload({{"little-mode", "fast"}}));
    EXPECT_EQ(trace.made, 2);
    EXPECT_EQ(trace.freed, 0);
    EXPECT_EQ(trace.reloads, 1);
    host.CloseByRum(RUM_CLOSE_KILLED);
    EXPECT_EQ(trace.freed, 1);
    host.Open();
    EXPECT_NE(trace.seen, first);
    host.CloseByRum(RUM_CLOSE_KILLED);
    EXPECT_EQ(trace.freed, 1);
    EXPECT_EQ(trace.stops, 0);
  }
  EXPECT_EQ(trace.freed, 2);
  EXPECT_EQ(trace.stops, 1);
}

TEST(Config, AFailedReloadKeepsTheOldOne) {
  LittleModule little;
  ScriptedHost host(ConfiguredTable(little));
  ASSERT_TRUE(host.Start());
  EXPECT_FALSE(host.Reload({{"little-mode", "medium"}}));
  EXPECT_TRUE(host.Open());
  EXPECT_NE(trace.seen, nullptr);
  EXPECT_EQ(trace.reloads, 0);
}

TEST(Config, FindsAFailureWithoutASentence) {
  LittleModule little;
  rum_module table = little.table();
  table.config_new = [](const char* const*, size_t, void**, char*, size_t) -> int32_t {
    return RUM_E_FAILED;
  };
  ScriptedHost silent(table);
  EXPECT_FALSE(silent.Start());
  EXPECT_TRUE(Violates(silent, "config_new failed and wrote no sentence"));

  table.config_new = [](const char* const*, size_t, void**, char* error, size_t size) -> int32_t {
    snprintf(error, size, "no such file");
    return RUM_E_FAILED;
  };
  ScriptedHost speaking(table);
  Status status = speaking.Start();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().text, "no such file");
  EXPECT_NO_VIOLATION(speaking);

  table.config_new = [](const char* const*, size_t, void**, char* error, size_t size) -> int32_t {
    memset(error, 'x', size + 1);
    return RUM_E_FAILED;
  };
  ScriptedHost careless(table);
  EXPECT_FALSE(careless.Start());
  EXPECT_TRUE(Violates(careless, "wrote past error_size"));
}

TEST(Stats, MustBeAJsonObjectWithinItsSize) {
  LittleModule little;
  rum_module table = little.table();
  table.stats = [](const void*, char* json, size_t) -> size_t {
    memcpy(json, "{\"a\":1}", 7);
    return 7;
  };
  ScriptedHost good(table);
  EXPECT_EQ(good.Stats(), "{\"a\":1}");
  EXPECT_NO_VIOLATION(good);
  table.stats = [](const void*, char* json, size_t) -> size_t {
    memcpy(json, "[1]", 3);
    return 3;
  };
  ScriptedHost bad(table);
  bad.Stats();
  EXPECT_TRUE(Violates(bad, "not a JSON object"));
}

TEST(Refusal, IsCutOffWhenItWritesTooMuch) {
  LittleModule little;
  rum_module table = little.table();
  table.refusal = [](const void*, uint32_t reason, uint8_t* bytes, size_t) -> size_t {
    memcpy(bytes, "full", 4);
    return reason == RUM_CLOSE_LIMIT ? 4 : 1 << 20;
  };
  ScriptedHost host(table);
  EXPECT_EQ(host.Refusal(RUM_CLOSE_LIMIT), "full");
  EXPECT_NO_VIOLATION(host);
  EXPECT_EQ(host.Refusal(RUM_CLOSE_DRAIN), "");
  EXPECT_TRUE(Violates(host, "refusal wrote more"));
}

}  // namespace
}  // namespace rum

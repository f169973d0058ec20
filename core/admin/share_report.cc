#include "admin/share_report.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/clock.h"
#include "proxy/proxy.h"
#include "share/share.h"
#include "share/share_ask.h"

namespace rum {
namespace {

double AgeOf(const Share::State& state) {
  return state.read_at ? static_cast<double>(NowMillis() - state.read_at) / 1e3 : 0;
}

nlohmann::ordered_json QuestionsJson(const ShareAsk* ask) {
  nlohmann::ordered_json json = {{"configured", ask != nullptr}};
  if (!ask) return json;
  const ShareAsk::State state = ask->state();
  const Questions::Counts& counts = ask->counts();
  json["up"] = state.up;
  json["fault"] = state.fault;
  json["asked"] = counts.asked.load();
  json["answered"] = counts.answered.load();
  json["unanswered"] = counts.unanswered.load();
  json["answers_given"] = counts.given.load();
  json["messages_dropped"] = counts.dropped.load();
  return json;
}

}  // namespace

std::string ShareFault(const Proxy& proxy) {
  if (!proxy.share()) return {};
  const Share::State state = proxy.share()->state();
  return state.known ? state.fault : "";
}

nlohmann::ordered_json ShareJson(const Proxy& proxy) {
  nlohmann::ordered_json json = {{"configured", proxy.share() != nullptr}};
  if (!proxy.share()) return json;
  const Share::State state = proxy.share()->state();
  const auto counts = proxy.other_nodes().counts();
  json["redis"] = proxy.share()->text();
  json["name"] = proxy.share()->name();
  json["up"] = state.up;
  json["fault"] = state.fault;
  json["since"] = state.since;
  json["processes"] = counts ? counts->nodes : 0;
  json["sessions"] = counts ? counts->sessions : 0;
  json["users"] = counts ? counts->users.size() : 0;
  json["addresses"] = counts ? counts->addresses.size() : 0;
  json["blocked_addresses"] = counts ? counts->blocked.size() : 0;
  json["age_seconds"] = AgeOf(state);
  json["exchanges"] = state.exchanges;
  json["failures"] = state.failures;
  json["questions"] = QuestionsJson(proxy.share_ask());
  return json;
}

void WriteShareMetrics(const Proxy& proxy, std::string& out) {
  if (!proxy.share()) return;
  const Share::State state = proxy.share()->state();
  const auto counts = proxy.other_nodes().counts();
  auto one = [&](std::string_view name, std::string_view type, std::string_view help, auto value) {
    fmt::format_to(std::back_inserter(out), "# HELP {0} {1}.\n# TYPE {0} {2}\n{0} {3}\n", name,
                   help, type, value);
  };
  one("rum_share_up", "gauge", "1 when limits are shared with other processes", int{state.up});
  one("rum_share_processes", "gauge", "Other processes whose sessions count here",
      counts ? counts->nodes : 0);
  one("rum_share_age_seconds", "gauge", "Age of what is known of other processes", AgeOf(state));
  one("rum_share_sessions", "gauge", "Sessions in other processes that count here",
      counts ? counts->sessions : 0);
  one("rum_share_users", "gauge", "Users with sessions in other processes",
      counts ? counts->users.size() : 0);
  one("rum_share_blocked_addresses", "gauge", "Addresses that a process blocks in all",
      counts ? counts->blocked.size() : 0);
  one("rum_share_exchanges_total", "counter", "Exchanges with other processes", state.exchanges);
  one("rum_share_failures_total", "counter", "Exchanges with other processes that failed",
      state.failures);
  const ShareAsk* ask = proxy.share_ask();
  if (!ask) return;
  const Questions::Counts& counted = ask->counts();
  one("rum_share_questions_up", "gauge", "1 when other processes can be asked for sessions",
      int{ask->state().up});
  one("rum_share_questions_total", "counter", "Questions to other processes", counted.asked.load());
  one("rum_share_questions_answered_total", "counter", "Questions that were answered",
      counted.answered.load());
  one("rum_share_questions_unanswered_total", "counter", "Questions that were not answered",
      counted.unanswered.load());
  one("rum_share_answers_total", "counter", "Answers to questions of other processes",
      counted.given.load());
  one("rum_share_messages_dropped_total", "counter",
      "Messages in the channels that were not sealed, old, repeated or too many",
      counted.dropped.load());
}

}  // namespace rum

// Connects rum and the login: the table of hooks, options and counters. No exception leaves this
// file.
#include <time.h>

#include <cstdio>
#include <cstring>
#include <memory>
#include <rum/dialogue.hpp>

#include "mysql/config.h"
#include "mysql/fleet.h"
#include "mysql/metrics.h"
#include "mysql/own_errors.h"
#include "mysql/probe.h"
#include "mysql/session.h"
#include "mysql/worker.h"

namespace {

using rum::dialogue::host;
using rum::mysql::Config;
using rum::mysql::Fleet;

// What is known about the servers, and where it is kept across restarts. Freed with the last
// configuration.
std::weak_ptr<Fleet> the_fleet;  // [main]
constexpr char kKeptAs[] = "mysql-fleet";

void Write(const char* text, char* error, size_t error_size) {
  std::snprintf(error, error_size, "%s", text);
}

const rum_state* StateCalls() {
  return static_cast<const rum_state*>(host.calls->extension(RUM_STATE_1));
}

std::shared_ptr<Fleet> ShareFleet() {
  if (auto fleet = the_fleet.lock()) return fleet;
  auto fleet = std::make_shared<Fleet>(
      [](uint32_t level, const std::string& text) {
        std::string line = "mysql: " + text;
        host.calls->log(nullptr, level, line.data(), line.size());
      },
      [](const std::string& text) {
        const rum_state* state = StateCalls();
        if (state != nullptr) state->save(kKeptAs, text.data(), text.size());
      });
  const rum_state* state = StateCalls();
  std::string text(state != nullptr ? state->load(kKeptAs, nullptr, 0) : 0, '\0');
  if (!text.empty() && state->load(kKeptAs, text.data(), text.size()) == text.size()) {
    fleet->Remember(text, ::time(nullptr));
  }
  the_fleet = fleet;
  return fleet;
}

// nullopt: the system has no name for rum's user.
std::optional<std::vector<std::string>> OwnNames() {
  auto* calls = static_cast<const rum_process*>(host.calls->extension(RUM_PROCESS_1));
  std::string text(calls != nullptr ? calls->user_names(nullptr, 0) : 0, '\0');
  if (text.empty() || calls->user_names(text.data(), text.size()) != text.size()) return {};
  std::vector<std::string> names;
  for (size_t at = 0; at < text.size(); at += names.back().size() + 1) {
    names.emplace_back(text.c_str() + at);
  }
  return names;
}

int32_t NewConfig(const char* const* values, size_t count, void** config, char* error,
                  size_t error_size) {
  try {
    auto read = rum::mysql::ReadConfig(values, count);
    if (!read.ok()) {
      Write(read.why, error, error_size);
      return RUM_E_ARGUMENT;
    }
    read.value.fleet = ShareFleet();
    if (!read.value.socket_users) read.value.socket_users = OwnNames();
    *config = new Config(std::move(read.value));
    return RUM_OK;
  } catch (...) {
    Write("the mysql module is out of memory", error, error_size);
    return RUM_E_MEMORY;
  }
}

void FreeConfig(void* config) { delete static_cast<Config*>(config); }

// Instead of a greeting: no SQL state, which clients would show as text.
size_t Refusal(const void*, uint32_t reason, uint8_t* bytes, size_t size) {
  try {
    rum::mysql::ServerError error = rum::mysql::ErrorForReason(reason);
    error.state.clear();
    std::string packet = rum::mysql::BuildError(error, 0);
    if (packet.size() > size) return 0;
    std::memcpy(bytes, packet.data(), packet.size());
    return packet.size();
  } catch (...) {
    return 0;
  }
}

size_t Stats(const void* config, char* json, size_t size) {
  try {
    Fleet::View view;
    const auto& now = *static_cast<const Config*>(config);
    std::string text = rum::mysql::Describe(now, view.Look(*now.fleet), now.fleet->Summarize());
    if (text.size() > size) return 0;
    std::memcpy(json, text.data(), text.size());
    return text.size();
  } catch (...) {
    return 0;
  }
}

constexpr rum_module Table() {
  rum_module table = rum::dialogue::Hooks<rum::mysql::Login, rum::mysql::Probe>::Table();
  table.name = "mysql";
  table.version = "1.0.0";
  table.summary = "routes MySQL and MariaDB logins by user name";
  table.options = rum::mysql::kOptions;
  table.option_count = rum::mysql::kOptionCount;
  table.metrics = rum::mysql::kMetrics;
  table.metric_count = rum::mysql::kMetricTotal;
  table.farewell = rum::mysql::kLeaveTail.data();
  table.farewell_size = rum::mysql::kLeaveTail.size();
  table.config_new = NewConfig;
  table.config_free = FreeConfig;
  table.refusal = Refusal;
  table.stats = Stats;
  return table;
}

}  // namespace

extern "C" RUM_MODULE_EXPORT constexpr rum_module RUM_MODULE_SYMBOL = Table();

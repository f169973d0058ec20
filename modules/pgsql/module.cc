// Connects rum and the login: the table of hooks, options and counters. No exception leaves this
// file.
#include <openssl/rand.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <rum/dialogue.hpp>

#include "pgsql/config.h"
#include "pgsql/message.h"
#include "pgsql/metrics.h"
#include "pgsql/own_errors.h"
#include "pgsql/probe.h"
#include "pgsql/session.h"

namespace {

using rum::dialogue::host;
using rum::pgsql::Config;
using rum::pgsql::Key;

constexpr char kKeptAs[] = "pgsql-mock";

// Kept across restarts: a salt that changes would show that the user does not exist.
bool ShareMockSecret(Key* secret) {
  auto* state = static_cast<const rum_state*>(host.calls->extension(RUM_STATE_1));
  uint8_t* bytes = secret->bytes.data();
  const size_t size = secret->bytes.size();
  if (state != nullptr && state->load(kKeptAs, bytes, size) == size) return true;
  if (RAND_bytes(bytes, static_cast<int>(size)) != 1) return false;
  if (state != nullptr) state->save(kKeptAs, bytes, size);
  return true;
}

void Write(const char* text, char* error, size_t error_size) {
  std::snprintf(error, error_size, "%s", text);
}

int32_t NewConfig(const char* const* values, size_t, void** config, char* error,
                  size_t error_size) {
  try {
    auto fresh = std::make_unique<Config>(rum::pgsql::ReadConfig(values));
    if (!ShareMockSecret(&fresh->mock_secret)) {
      Write("the library gave no random bytes", error, error_size);
      return RUM_E_FAILED;
    }
    *config = fresh.release();
    return RUM_OK;
  } catch (...) {
    Write("the pgsql module is out of memory", error, error_size);
    return RUM_E_MEMORY;
  }
}

void FreeConfig(void* config) { delete static_cast<Config*>(config); }

// For a client that rum has no descriptor for. Others are led through their Startup by Refused().
size_t Refusal(const void*, uint32_t reason, uint8_t* bytes, size_t size) {
  try {
    const rum::pgsql::OwnError error = rum::pgsql::ErrorForReason(reason);
    const std::string message = rum::pgsql::BuildError(error.sqlstate, error.text);
    if (message.size() > size) return 0;
    std::memcpy(bytes, message.data(), message.size());
    return message.size();
  } catch (...) {
    return 0;
  }
}

constexpr rum_module Table() {
  rum_module table =
      rum::dialogue::Hooks<rum::pgsql::Login, rum::pgsql::Probe, rum::pgsql::Refused>::Table();
  table.name = "pgsql";
  table.version = "1.0.0";
  table.summary = "routes PostgreSQL logins by user or database";
  table.options = rum::pgsql::kOptions;
  table.option_count = rum::pgsql::kOptionCount;
  table.metrics = rum::pgsql::kMetrics;
  table.metric_count = rum::pgsql::kMetricTotal;
  table.farewell = rum::pgsql::kTerminate.data();
  table.farewell_size = rum::pgsql::kTerminate.size();
  table.config_new = NewConfig;
  table.config_free = FreeConfig;
  table.refusal = Refusal;
  table.lacks = RUM_LACKS_PROXY_HEADER;
  return table;
}

}  // namespace

extern "C" RUM_MODULE_EXPORT constexpr rum_module RUM_MODULE_SYMBOL = Table();

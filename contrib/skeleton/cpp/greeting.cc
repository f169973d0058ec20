// A small real module in C++: greets the client, reads its name from the first line, asks the user
// map for its server, connects and relays. Copy it, rename it, and change Login(). It is written
// with rum/dialogue.hpp, which has the rules; the contract below it is rum/module.h.
#include <cstdio>
#include <iterator>
#include <memory>
#include <new>
#include <rum/dialogue.hpp>
#include <string>

namespace {

using namespace rum::dialogue;

constexpr size_t kMaxLine =
    66;  // a name of 64 bytes and CR LF; always limit what a client can send

// Options. Each name starts with the module's; rum checks the type.
constexpr rum_option kOptions[] = {
    {"greeting-text", "TEXT", "hello, who are you?", "The line that every client is greeted with",
     RUM_OPTION_TEXT, 0},
};

// Counters: rum_greeting_clients_total in /metrics.
enum { kClients };
constexpr rum_metric kMetrics[] = {
    {"greeting_clients", "Clients that told their name"},
};

// The options in the form that sessions use. Immutable: a reload makes a new one.
struct Config {
  std::string banner;
};

// The user's server in the map. Empty, for unknown users, selects the default destination (-d).
Task<Reason> ConnectUser(Dialogue& d, const std::string& name) {
  Record record = co_await d.Lookup(name);
  if (record.status() != Record::kFound && record.status() != Record::kNotFound) {
    co_return record.reason();
  }
  // Checks the user's rules and limits, which rum reads from the record.
  if (d.Admit(record.value()) != RUM_OK) {
    d.client.Send("you may not\r\n");
    co_return RUM_CLOSE_LIMIT;
  }
  if (record.status() == Record::kFound && record.destination().empty()) {
    co_return RUM_CLOSE_BAD_DESTINATION;
  }
  co_return co_await d.Connect(record.destination());
}

// [worker] The whole conversation, from top to bottom.
Script Login(Dialogue& d, const Config& config) {
  const uint64_t opened = host.calls->now();
  d.client.Send(config.banner);

  View line = co_await d.client.Line(kMaxLine);
  if (!line) co_return;  // rum closes with the reason: too long, gone, too late
  std::string name(line.text().substr(0, line.text().find_last_not_of("\r\n") + 1));
  if (name.empty()) co_return d.Close(RUM_CLOSE_CLIENT_PROTOCOL);

  d.Identify(name);  // in the session's log line
  d.Note("name_after_ms", std::to_string(host.calls->now() - opened));
  d.Count(kClients);

  if (Reason failed = co_await ConnectUser(d, name)) co_return d.Close(failed);
  d.Relay();  // rum relays all bytes from here on, also those after the line
}

// [main]
int32_t ConfigNew(const char* const* values, size_t count, void** out, char* error,
                  size_t error_size) {
  auto config = std::unique_ptr<Config>(new (std::nothrow) Config);
  if (!config) return RUM_E_MEMORY;
  config->banner = std::string(count > 0 && values[0] ? values[0] : "") + "\r\n";
  if (config->banner.size() > 256) {
    std::snprintf(error, error_size, "the banner has more than 254 bytes");
    return RUM_E_ARGUMENT;
  }
  *out = config.release();
  return RUM_OK;
}

// [any]
void ConfigFree(void* config) { delete static_cast<Config*>(config); }

constexpr rum_module Table() {
  rum_module table = Hooks<Login>::Table();
  table.name = "greeting";
  table.version = "1.0";
  table.summary = "greets the client, asks its name, relays to where the map says";
  table.options = kOptions;
  table.option_count = std::size(kOptions);
  table.metrics = kMetrics;
  table.metric_count = std::size(kMetrics);
  table.config_new = ConfigNew;
  table.config_free = ConfigFree;
  return table;
}

}  // namespace

// The only exported symbol.
extern "C" RUM_MODULE_EXPORT constexpr rum_module RUM_MODULE_SYMBOL = Table();

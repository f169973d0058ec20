// Routes TLS by the server name in the ClientHello, without decryption: the module reads the hello
// but does not consume it, so that the server receives every byte as the client sent it.
#include <cstdint>
#include <cstring>
#include <iterator>
#include <rum/dialogue.hpp>
#include <string>
#include <string_view>

#include "sni/client_hello.h"

namespace rum::sni {
namespace {

using namespace rum::dialogue;

enum Metric : uint32_t { kUnknownNames, kWithoutName, kBadHellos };
constexpr rum_metric kMetrics[] = {
    {"sni_unknown_names", "Clients whose server name is not in the map"},
    {"sni_without_name", "Clients that named no server"},
    {"sni_bad_hellos", "Clients whose first message was not a valid ClientHello"},
};

std::string AlertRecord(Alert alert) {
  constexpr char kRecord[] = "\x15\x03\x03\x00\x02\x02";  // an alert of 2 bytes, fatal
  return std::string(kRecord, 6) + static_cast<char>(alert);
}

// Clients report a fatal alert by its name, but a connection that ends without one as a network
// error.
void Refuse(Dialogue& d, Alert alert, Reason reason, std::string_view text) {
  d.client.Send(AlertRecord(alert));
  d.Close(reason, text);
}

struct Route {
  Reason failed;  // the lookup failed, or the session ends
  bool found = false;
  std::string record, destination;
};

// The name, then "*." and each of its parents: a.b.example, *.b.example, *.example. A name of 255
// bytes has at most 128 labels.
Task<Route> FindRoute(Dialogue& d, const std::string& name) {
  Route route;
  std::string key = name;
  for (size_t dot = 0;;) {
    Record record = co_await d.Lookup(key);
    if (record.status() == Record::kFound) {
      route.found = true;
      route.record = record.value();
      route.destination = record.destination();
      co_return route;
    }
    if (record.status() != Record::kNotFound) {
      route.failed = record.reason();
      co_return route;
    }
    dot = name.find('.', dot);
    if (dot == name.npos || dot + 1 == name.size()) co_return route;
    key = "*" + name.substr(dot);
    ++dot;
  }
}

// [worker]
Script Login(Dialogue& d) {
  HelloReader hello;
  HelloReader::State state = HelloReader::State::kNeeds;
  View whole = co_await d.client.Frame([&hello, &state](std::string_view bytes) {
    state = hello.Read(bytes);
    return state == HelloReader::State::kNeeds ? Parse::Need(hello.needed()) : Parse::Whole(0);
  });
  if (!whole) co_return;
  if (state == HelloReader::State::kBad) {
    d.Count(kBadHellos);
    co_return Refuse(d, hello.alert(), RUM_CLOSE_CLIENT_PROTOCOL, hello.why());
  }

  const std::string& name = hello.name();
  Route route;
  if (name.empty()) {
    d.Count(kWithoutName);
  } else {
    d.Identify(name);
    route = co_await FindRoute(d, name);
    if (route.failed) {
      co_return Refuse(d, Alert::kInternalError, route.failed, "the map lookup failed");
    }
    if (int32_t verdict = d.Admit(route.record); verdict != RUM_OK) {
      // Clients may learn of a limit, but not of a name's rules.
      bool limit = verdict == RUM_REFUSED_CONNECTIONS || verdict == RUM_REFUSED_RATE;
      co_return Refuse(d, limit ? Alert::kInternalError : Alert::kUnrecognizedName,
                       limit ? RUM_CLOSE_LIMIT : RUM_CLOSE_DENIED, "the rules refuse the name");
    }
  }

  // No record: the default destination, if there is one.
  if (route.found && route.destination.empty()) {
    co_return Refuse(d, Alert::kInternalError, RUM_CLOSE_BAD_DESTINATION,
                     "the map's record has no destination");
  }
  Reason failed = co_await d.Connect(route.destination);
  if (failed == Reason(RUM_CLOSE_NO_DESTINATION)) {
    d.Count(kUnknownNames, name.empty() ? 0 : 1);
    co_return Refuse(d, Alert::kUnrecognizedName, failed,
                     name.empty() ? "the client names no server, and there is no -d"
                                  : "the map does not know the name");
  }
  if (failed) co_return Refuse(d, Alert::kInternalError, failed, {});
  d.Relay();
}

// [worker] For clients that rum refuses before a session exists.
size_t Refusal(const void*, uint32_t, uint8_t* bytes, size_t size) {
  std::string alert = AlertRecord(Alert::kInternalError);
  if (size < alert.size()) return 0;
  std::memcpy(bytes, alert.data(), alert.size());
  return alert.size();
}

constexpr rum_module Table() {
  rum_module table = Hooks<Login>::Table();
  table.name = "sni";
  table.version = "1.0.0";
  table.summary = "routes TLS by server name, without decrypting it";
  table.metrics = kMetrics;
  table.metric_count = std::size(kMetrics);
  table.refusal = Refusal;
  return table;
}

}  // namespace
}  // namespace rum::sni

extern "C" RUM_MODULE_EXPORT constexpr rum_module RUM_MODULE_SYMBOL = rum::sni::Table();

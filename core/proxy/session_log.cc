#include "proxy/session_log.h"

#include <algorithm>
#include <string>

#include "base/clock.h"
#include "base/close_reasons.h"
#include "base/escape.h"
#include "base/log.h"
#include "proxy/listener.h"

namespace rum {
namespace {

// Writes fields one way or the other: key=value or "key":value.
class Fields {
 public:
  explicit Fields(std::string_view event) : json_(log::Json()) {
    line_ = json_ ? fmt::format("\"event\":\"{}\"", event) : event;
  }
  void Write() { log::WriteFields(log::Level::kInfo, json_, std::move(line_)); }
  void Number(std::string_view key, uint64_t value) { Plain(key, std::to_string(value)); }
  void Seconds(std::string_view key, uint64_t micros) {
    Plain(key, fmt::format("{}.{:06}", micros / 1000000, micros % 1000000));
  }
  // What usually is a word: it gets quotes in the text form only if it needs them.
  void Word(std::string_view key, std::string_view value) {
    bool plain = std::all_of(value.begin(), value.end(),
                             [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\'; });
    json_ || !plain ? Quoted(key, value) : Plain(key, value);
  }
  // Anything a client, a server or a module may have written.
  void Quoted(std::string_view key, std::string_view value) {
    Key(key);
    line_ += '"';
    json_ ? AppendJsonEscaped(line_, value) : AppendEscaped(line_, value);
    line_ += '"';
  }

 private:
  void Key(std::string_view key) {
    if (json_) {
      (line_ += ",\"") += key;
      line_ += "\":";
    } else {
      (line_ += ' ') += key;
      line_ += '=';
    }
  }
  void Plain(std::string_view key, std::string_view value) {
    Key(key);
    line_ += value;
  }

  bool json_;
  std::string line_;
};

void AddWho(Fields& fields, const SessionRecord& record, const Listener& listener,
            const SocketAddress& client, uint64_t id, std::string_view destination) {
  fields.Number("id", id);
  fields.Word("client", client.text());
  if (record.proxied) fields.Word("via", record.proxied->peer.text());
  fields.Word("listener", listener.text());
  if (record.identified) fields.Quoted("user", record.user);
  if (!destination.empty()) fields.Word("destination", destination);
}

}  // namespace

void LogLogin(const SessionRecord& record, const Listener& listener, const SocketAddress& client,
              uint64_t id, std::string_view destination) {
  if (!log::Enabled(log::Level::kInfo)) return;
  Fields fields("login");
  AddWho(fields, record, listener, client, id, destination);
  fields.Write();
}

void LogSession(const SessionEnd& end) {
  if (!log::Enabled(log::Level::kInfo)) return;
  Fields fields("session");
  AddWho(fields, end.record, end.listener, end.client, end.id, end.destination);
  if (end.record.connect_micros) fields.Seconds("connect", end.record.connect_micros);
  fields.Seconds("duration", NowMicros() - end.opened);
  fields.Number("received", end.client_side.received());
  fields.Number("sent", end.client_side.sent());
  fields.Number("upstream_received", end.upstream_side.received());
  fields.Number("upstream_sent", end.upstream_side.sent());
  fields.Word("reason", CloseReasonWord(end.reason));
  if (end.record.no_login) fields.Word("login", "no");
  if (end.record.login_failures) fields.Number("login_failures", end.record.login_failures);
  for (const auto& [key, value] : end.record.notes) fields.Quoted(key, value);
  if (!end.text.empty()) fields.Quoted("detail", end.text);
  fields.Write();
}

}  // namespace rum

#include "settings/settings_reader.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/cores.h"
#include "config.h"
#include "module/module_config.h"
#include "settings/option_rows.h"

namespace rum {
namespace {

constexpr unsigned kWorkersMost = 256;

}  // namespace

bool OnlyRelays(const rum_module& table) {
  return !table.session_open ||
         (!table.client_data && !table.upstream_data && !table.upstream_open && !table.tls_open);
}

std::string Joined(std::string_view list) {
  std::string all;
  for (char c : list) {
    if (c != ' ' || !all.ends_with(',')) all += c;
  }
  return all;
}

void SettingsReader::ReadAll(const Module* module) {
  ReadAddresses();
  ReadBalance();
  if (auto text = One("stats")) s_.stats = Take(ParseAddress(*text, true), "stats");
  BindOnce("stats", s_.stats);
  if (auto text = One("stats-token-file")) s_.stats_token_file = *text;
  if (auto text = One("control")) {
    s_.control = Take(ParseAddress(*text, true), "control");
    if (s_.control && s_.control->kind != Address::Kind::kUnix) {
      Wrong("--control: '" + *text + "' is not a unix socket, such as sock:/run/rum/control.sock");
    }
    BindOnce("control", s_.control);
  }
  ReadMap();
  ReadShare();
  for (const char* name : {"protocol", "module-dir", "config"})
    One(name);  // read before; only check that it is given once
  if (auto text = One("pidfile")) s_.pidfile = *text;
  ReadUser();
  if (auto text = One("chroot")) s_.chroot = *text;
  if (auto text = One("log")) s_.log.target = *text;
  if (auto text = One("resolv-conf")) s_.resolv_conf = *text;
  s_.background = Given("background");
  s_.check = Given("check");
  if (auto text = One("explain")) {
    UserAtAddress who = SplitUserAtAddress(*text);
    s_.explain = who.user;
    s_.explain_from = who.address;
    if (who.user.empty()) Wrong("--explain: the user name is missing");
  }
  s_.log_logins = Given("log-logins");
  if (auto text = One("log-sessions")) {
    s_.log_sessions = *text == "failed" ? LogSessions::kFailed
                      : *text == "none" ? LogSessions::kNone
                                        : LogSessions::kAll;
    if (*text != "all" && *text != "failed" && *text != "none") {
      Wrong("--log-sessions: '" + *text + "' is not all, failed or none");
    }
  }
  if (auto text = One("map-moved")) {
    s_.map_moved = *text == "end"        ? MapMoved::kEnd
                   : *text == "end-idle" ? MapMoved::kEndIdle
                                         : MapMoved::kKeep;
    if (*text != "keep" && *text != "end-idle" && *text != "end") {
      Wrong("--map-moved: '" + *text + "' is not keep, end-idle or end");
    }
  }
  ReadTls();
  ReadClients();
  ReadSourceAddresses();
  ReadNofile();
  ReadReadyServers();
  ReadMetricsBounds();
  ReadLimits();
  ReadLogForm();
  ReadSocketMode();
  ReadWorkers();
  for (const DurationRow& row : kDurationRows) {
    if (auto text = One(row.name)) {
      if (auto duration = Take(ParseDuration(*text), row.name)) s_.*row.member = *duration;
    }
  }
  if (module) ReadModule(*module);
}

void SettingsReader::ReadAddresses() {
  for (size_t i = 0; i < Many("listen").size(); ++i) {
    auto address = Take(ParseAddress(Many("listen")[i], true), "listen", i);
    if (address) s_.listeners.push_back(*address);
    BindOnce("listen", address, i);
  }
  for (size_t i = 0; i < Many("destination").size(); ++i) {
    auto addresses = Take(ParseAddresses(Joined(Many("destination")[i])), "destination", i);
    if (!addresses) continue;
    s_.destinations.insert(s_.destinations.end(), addresses->begin(), addresses->end());
  }
}

// Different spellings of the same address are detected by bind(2).
void SettingsReader::BindOnce(const char* name, const std::optional<Address>& address,
                              size_t index) {
  if (!address || (address->kind == Address::Kind::kTcp && address->port == 0)) return;
  for (const auto& [other, taken] : bound_) {
    if (taken.kind != address->kind || taken.host != address->host || taken.port != address->port) {
      continue;
    }
    return Wrong(
        std::string("--") + name + ": '" + address->text() + "' is given twice" +
            (std::string_view(other) == name ? "" : std::string(", in --") + other + ", too"),
        index);
  }
  bound_.emplace_back(name, *address);
}

void SettingsReader::ReadBalance() {
  if (auto text = One("balance")) {
    auto found = std::find(kBalanceWords.begin(), kBalanceWords.end(), *text);
    if (found == kBalanceWords.end()) {
      Wrong("--balance: '" + *text + "' is not first, round-robin, random, least or source");
    } else {
      s_.balance = static_cast<Balance>(found - kBalanceWords.begin());
    }
  }
  if (auto text = One("breaker")) {
    if (auto breaker = Take(ParseBreaker(*text), "breaker")) s_.breaker = *breaker;
  }
}

void SettingsReader::Judge(const Module* module) {
  if (Many("listen").empty() && !Given("explain")) {
    Wrong("no address to listen on: give one, as in -s tcp:0.0.0.0:3306");
  }
  if (!Given("destination") && !Given("map") && !Given("protocol")) {
    Wrong("no destination: give one, as in -d tcp:db0:3306, or a user map with -M");
  }
  JudgeMap();
  if (module && (module->table().lacks & RUM_LACKS_PROXY_HEADER) != 0 &&
      s_.send_proxy != ProxyVersion::kOff) {
    Wrong("--send-proxy: servers of " + s_.protocol +
          " have no PROXY protocol, and would close each connection; see the module's manual");
  }
  if (module && OnlyRelays(module->table())) {
    JudgeWithoutConversation(s_.protocol);
  } else {
    JudgeNamesToVerify();
  }
  if (Given("stats-token-file") && !Given("stats")) {
    Wrong("--stats-token-file: no statistics are served; give their address by --stats");
  }
  if (s_.background && s_.log.target == "stderr") s_.log.target = "syslog";
  if (s_.check) JudgeFiles(module);
}

// Rejects options that a module which only relays cannot implement, so that nobody relies on them.
void SettingsReader::JudgeWithoutConversation(const std::string& module) {
  if (s_.tls.clients == TlsMode::kOn || s_.tls.clients == TlsMode::kRequire) {
    Wrong("--tls: " + module + " has no TLS inside its protocol; listen on tls:HOST:PORT");
  }
  const bool must = s_.tls.upstreams == TlsMode::kRequire || s_.tls.upstreams == TlsMode::kVerify;
  for (const Address& server : s_.destinations) {
    const bool local = server.kind != Address::Kind::kTcp;
    if (!must || server.tls || (local && s_.tls.upstreams != TlsMode::kVerify)) continue;
    Wrong("--upstream-tls: " + module + " has no TLS inside its protocol; " +
          (local ? server.text() + " cannot be verified: use" : "write " + server.text() + " as") +
          " tls:HOST:PORT");
    break;
  }
  for (const char* name : {"max-connections-per-user", "user-rate", "login-failures"}) {
    auto text = One(name);
    if (text && *text != "off") Wrong(std::string("--") + name + ": " + module + " knows no users");
  }
}

// Destinations of the map are checked when a client is connected.
void SettingsReader::JudgeNamesToVerify() {
  if (s_.tls.upstreams != TlsMode::kVerify || !s_.tls.upstream_name.empty()) return;
  for (const Address& server : s_.destinations) {
    if (server.kind == Address::Kind::kTcp) continue;
    Wrong("--upstream-tls: verify: " + server.text() +
          " has no host name that its certificate could have; give --upstream-tls-name");
    break;
  }
}

std::optional<std::string> SettingsReader::One(const std::string& name) {
  auto& values = Many(name);
  if (values.size() > 1) {
    auto places = places_.find(name);
    Wrong("--" + name + " is given more than once" +
          (places == places_.end() || places->second.empty()
               ? ""
               : ", first at " + places->second.front()));
  }
  return values.empty() ? std::nullopt : std::optional(values.back());
}

const std::vector<std::string>& SettingsReader::Many(const std::string& name) {
  static const std::vector<std::string> none;
  auto found = texts_.find(name);
  return found == texts_.end() ? none : found->second;
}

void SettingsReader::Wrong(const std::string& text, size_t index) {
  size_t end = text.find_first_of(": ");
  auto place = text.starts_with("--") ? places_.find(text.substr(2, end - 2)) : places_.end();
  if (place == places_.end() || place->second.empty()) {
    errors.push_back(text);
  } else {
    errors.push_back(place->second[std::min(index, place->second.size() - 1)] + ": " +
                     text.substr(2));
  }
}

void SettingsReader::ReadTls() {
  TlsSettings& tls = s_.tls;
  ReadTlsMode("tls", {{"off", TlsMode::kOff}, {"on", TlsMode::kOn}, {"require", TlsMode::kRequire}},
              tls.clients);
  ReadTlsMode("upstream-tls",
              {{"mirror", TlsMode::kMirror},
               {"off", TlsMode::kOff},
               {"require", TlsMode::kRequire},
               {"verify", TlsMode::kVerify}},
              tls.upstreams);
  tls.state_dir = RUM_STATE_DIR;
  const std::pair<const char*, std::string*> texts[] = {
      {"tls-cert", &tls.files.certificate},      {"tls-key", &tls.files.key},
      {"tls-ca", &tls.files.authorities},        {"tls-min-version", &tls.files.min_version},
      {"tls-ciphers", &tls.files.ciphers},       {"upstream-tls-ca", &tls.upstream_authorities},
      {"upstream-tls-name", &tls.upstream_name}, {"state-dir", &tls.state_dir},
  };
  for (const auto& [name, target] : texts) {
    if (auto text = One(name)) *target = *text;
  }
  if (Given("tls-key") && !Given("tls-cert")) {
    Wrong("--tls-key: set the certificate by --tls-cert, too");
  }
  tls.statistics = s_.stats && s_.stats->tls;
  for (const Address& address : s_.listeners) {
    tls.first |= address.tls;
    tls.plain |= !address.tls && address.kind == Address::Kind::kTcp;
  }
}

void SettingsReader::ReadTlsMode(const char* name, const std::map<std::string, TlsMode>& modes,
                                 TlsMode& mode) {
  auto text = One(name);
  if (!text) return;
  auto found = modes.find(*text);
  if (found != modes.end()) {
    mode = found->second;
    return;
  }
  std::string words;
  for (const auto& [word, value] : modes) words += (words.empty() ? "" : ", ") + word;
  Wrong(std::string("--") + name + ": '" + *text + "' is not one of " + words);
}

void SettingsReader::ReadLogForm() {
  if (auto text = One("log-format")) {
    s_.log.json = *text == "json";
    if (*text != "json" && *text != "text") {
      Wrong("--log-format: '" + *text + "' is not text or json");
    }
  }
  if (auto text = One("log-level")) {
    if (auto level = log::FindLevel(*text)) {
      s_.log.level = *level;
    } else {
      Wrong("--log-level: '" + *text + "' is not error, warning, info or debug");
    }
  }
}

// "NAME", "NAME:GROUP", or ":GROUP" to change only the group.
void SettingsReader::ReadUser() {
  auto text = One("user");
  if (!text) return;
  const size_t colon = text->find(':');
  s_.user = text->substr(0, colon);
  if (colon != text->npos) s_.group = text->substr(colon + 1);
  if (text->empty() || (colon != text->npos && s_.group.empty())) {
    Wrong("--user: '" + *text + "' is not a user, or a user and a group, such as rum:adm");
  }
}

void SettingsReader::ReadSocketMode() {
  auto text = One("socket-mode");
  if (!text) return;
  unsigned mode = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), mode, 8);
  if (error != std::errc() || end != text->data() + text->size() || mode > 0777) {
    Wrong("--socket-mode: '" + *text + "' is not an octal mode up to 0777");
  }
  s_.socket_mode = mode;
}

void SettingsReader::ReadWorkers() {
  s_.workers = std::clamp(UsableCores(), 1u, kWorkersMost);
  auto text = One("workers");
  if (!text) return;
  unsigned number = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number < 1 ||
      number > kWorkersMost) {
    Wrong("--workers: '" + *text + "' is not a number from 1 to 256");
    return;
  }
  s_.workers = number;
}

void SettingsReader::ReadModule(const Module& module) {
  for (size_t i = 0; i < module.table().option_count; ++i) {
    rum_option option = module.option(i);
    auto value = One(option.name);
    if (value) {
      auto checked = CheckOptionValue(option, *value);
      if (!checked) Wrong(checked.error().text);
    }
    s_.module_values.push_back(std::move(value));
  }
}

}  // namespace rum

// Parses the settings of client addresses, source addresses and limits.
#include <algorithm>
#include <charconv>
#include <string>
#include <tuple>

#include "geo/geo_database.h"
#include "settings/option_rows.h"
#include "settings/settings_reader.h"

namespace rum {
namespace {

// Parses the whole text as a number from `least` to `most`.
bool ReadNumber(const std::string& text, uint32_t least, uint32_t most, uint32_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= least &&
         number <= most;
}

}  // namespace

std::optional<uint64_t> ReadSize(std::string_view text) {
  constexpr std::string_view kUnits = "KMGT";
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  size_t unit = text.size() == 1 ? kUnits.find(text[0]) : kUnits.npos;
  if (error != std::errc() || (!text.empty() && unit == kUnits.npos)) return std::nullopt;
  unsigned shift = text.empty() ? 0 : 10 * (static_cast<unsigned>(unit) + 1);
  if (number > UINT64_MAX >> 1 >> shift || number << shift < 1 << 20) return std::nullopt;
  return number << shift;
}

void SettingsReader::ReadClients() {
  if (auto file = One("geo-db")) {
    s_.geo_db = *file;
    if (!GeoDatabase::Available()) {
      Wrong(
          "--geo-db: this rum was built without libmaxminddb; leave it out, or build rum with it "
          "(Debian: libmaxminddb-dev)");
    }
  }
  ReadNetworks("proxy-from", s_.proxy_from);
  if (auto text = One("send-proxy")) {
    s_.send_proxy = *text == "v1"   ? ProxyVersion::kV1
                    : *text == "v2" ? ProxyVersion::kV2
                                    : ProxyVersion::kOff;
    if (*text != "v1" && *text != "v2" && *text != "off") {
      Wrong("--send-proxy: '" + *text + "' is not off, v1 or v2");
    }
  }
  ReadAccess("allow", &AccessLists::allow);
  ReadAccess("deny", &AccessLists::deny);
}

// Networks and countries for all listeners, or "LISTENER=NET[,NET...]" for one.
void SettingsReader::ReadAccess(const char* name, AccessList AccessLists::*list) {
  for (size_t i = 0; i < Many(name).size(); ++i) {
    std::string text = Joined(Many(name)[i]);
    AccessLists* lists = &s_.access_control;
    if (size_t equals = text.rfind('='); equals != text.npos) {
      auto address = Take(ParseAddress(text.substr(0, equals), true), name, i);
      if (!address) continue;
      if (std::find(s_.listeners.begin(), s_.listeners.end(), *address) == s_.listeners.end()) {
        Wrong(std::string("--") + name + ": " + address->text() + " is not an address of --listen",
              i);
      }
      lists = &s_.access_control.by_listener[address->text()];
      text.erase(0, equals + 1);
    }
    auto more = Take(AccessList::Parse(text), name, i);
    if (!more) continue;
    (lists->*list).Add(*more);
    if (!more->countries.empty() && s_.geo_db.empty()) {
      Wrong(std::string("--") + name + ": country: needs a country database, see --geo-db", i);
    }
    if (!more->networks.has_unix()) continue;
    Wrong(std::string("--") + name + ": clients of unix sockets have no address; see --socket-mode",
          i);
  }
}

void SettingsReader::ReadNetworks(const char* name, CidrSet& set) {
  for (size_t i = 0; i < Many(name).size(); ++i) {
    if (auto networks = Take(CidrSet::Parse(Joined(Many(name)[i])), name, i)) set.Add(*networks);
  }
}

void SettingsReader::ReadSourceAddresses() {
  for (size_t i = 0; i < Many("source-address").size(); ++i) {
    for (std::string rest = Joined(Many("source-address")[i]) + ","; !rest.empty();) {
      size_t comma = rest.find(',');
      auto address = Take(SocketAddress::Numeric(rest.substr(0, comma), 0), "source-address", i);
      if (address) s_.source_addresses.push_back(*address);
      rest.erase(0, comma + 1);
    }
  }
}

void SettingsReader::ReadNofile() {
  if (auto text = One("nofile");
      text && *text != "auto" && !ReadNumber(*text, 64, 1u << 30, s_.nofile)) {
    Wrong("--nofile: '" + *text + "' is not a number from 64 on, or auto");
  }
}

// Parses "2", "50%" or "off".
void SettingsReader::ReadReadyServers() {
  auto text = One("ready-servers");
  if (!text || *text == "off") return;
  ReadyServers& wanted = s_.ready_servers;
  wanted.percent = text->ends_with('%');
  if (!ReadNumber(text->substr(0, text->size() - (wanted.percent ? 1 : 0)), 1,
                  wanted.percent ? 100 : UINT32_MAX, wanted.number)) {
    Wrong("--ready-servers: '" + *text +
          "' is not a number from 1 on, a share from 1% to 100%, or off");
  }
}

// Bounds of the metrics with a label for each server or user.
void SettingsReader::ReadMetricsBounds() {
  const std::tuple<const char*, uint32_t, uint32_t*> rows[] = {
      {"metrics-servers", 10000, &s_.metrics_servers},
      {"metrics-users", 1000, &s_.metrics_users},
  };
  for (const auto& [name, most, value] : rows) {
    auto text = One(name);
    if (!text || ReadNumber(*text, 0, most, *value)) continue;
    Wrong(std::string("--") + name + ": '" + *text + "' is not a number from 0 to " +
          std::to_string(most));
  }
}

void SettingsReader::ReadLimits() {
  AccessControl::Settings& access_control = s_.access_control;
  LoginGuard::Settings& guard = s_.admission.guard;
  for (const auto& [name, most] :
       {std::pair{"max-connections", &access_control.max_connections},
        {"max-connections-per-ip", &access_control.max_connections_per_ip},
        {"max-connecting", &access_control.max_connecting},
        {"max-connecting-per-destination", &access_control.max_connecting_per_destination},
        {"server-backlog", &access_control.server_backlog},
        {"max-connections-per-user", &s_.admission.limit.max}}) {
    auto text = One(name);
    if (text == "off") *most = 0;
    if (text && *text != "off" && !ReadNumber(*text, 1, UINT32_MAX, *most)) {
      Wrong(std::string("--") + name + ": '" + *text + "' is not a number from 1 on, or off");
    }
  }
  if (auto text = One("max-memory")) {
    auto size = *text == "off" ? 0 : ReadSize(*text);
    access_control.max_memory = size.value_or(0);
    if (!size)
      Wrong("--max-memory: '" + *text + "' is not a size from 1M on, such as 512M, or off");
  }
  if (auto text = One("ip-prefix"); text && !ReadNumber(*text, 1, 128, access_control.ip_prefix)) {
    Wrong("--ip-prefix: '" + *text + "' is not a number from 1 to 128");
  }
  for (const auto& [name, target] : {std::pair{"user-rate", &s_.admission.limit.rate},
                                     {"connection-rate", &access_control.rate},
                                     {"connection-rate-per-ip", &access_control.rate_per_ip}}) {
    if (auto text = One(name)) {
      if (auto rate = Take(ParseRate(*text), name)) *target = *rate;
    }
  }
  ReadLoginFailures();
  guard.ip_prefix = access_control.ip_prefix;
  if (Given("login-exempt")) guard.exempt = CidrSet();
  ReadNetworks("login-exempt", guard.exempt);
}

// Parses "20/m" or "20/m,block=10m". Without a block time, the default applies, even if it was
// changed before.
void SettingsReader::ReadLoginFailures() {
  constexpr std::string_view kBlock = "block=";
  auto text = One("login-failures");
  if (!text) return;
  text = Joined(*text);
  LoginGuard::Settings& guard = s_.admission.guard;
  const size_t comma = text->find(',');
  auto rate = Take(ParseRate(text->substr(0, comma)), "login-failures");
  if (!rate) return;
  guard.failures = *rate;
  guard.block = LoginGuard::Settings().block;
  if (comma == text->npos) return;
  std::string block = text->substr(comma + 1);
  if (!guard.failures.on() || !block.starts_with(kBlock)) {
    return Wrong("--login-failures: '" + *text +
                 "' is not one such as 20/m or 20/m,block=10m, or off");
  }
  auto time = Take(ParseDuration(block.substr(kBlock.size())), "login-failures");
  if (!time) return;
  guard.block = *time;
  if (time->count() == 0) {
    Wrong("--login-failures: block= needs a time; to block no one, use --login-failures off");
  }
}

Result<std::shared_ptr<const Settings>> WithLimit(const Settings& running,
                                                  const std::string& option,
                                                  const std::string& value) {
  std::string names;
  bool known = false;
  for (const OptionRow& row : kOptionRows) {
    if (std::string_view(row.group) != kLimitsGroup) continue;
    std::string name = std::string(row.flags).substr(2);
    names += (names.empty() ? "" : ", ") + name;
    known |= name == option;
  }
  if (!known)
    return Error{Fault::kUsage, "'" + option + "' is not a limit; the limits are: " + names};
  auto settings = std::make_shared<Settings>(running);
  const OptionTexts texts = {{option, {value}}};
  const OptionPlaces places;
  SettingsReader reader(texts, places, *settings);
  reader.ReadLimits();
  if (!reader.errors.empty()) return Error{Fault::kUsage, reader.errors.front()};
  settings->given[option] = {value};
  return std::shared_ptr<const Settings>(std::move(settings));
}

}  // namespace rum

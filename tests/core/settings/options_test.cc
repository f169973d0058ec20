#include "settings/options.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "config.h"
#include "geo/geo_database.h"
#include "module/loader.h"
#include "proxy/host_calls.h"
#include "settings/option_rows.h"
#include "support/folder.h"

namespace rum {
namespace {

using test::Folder;

// A folder in which the module "good" stands for each that rum takes by itself.
const std::string& Modules() {
  static Folder folder;
  static bool made = [] {
    for (const char* name : {"passthrough.so", RUM_MAP_MODULE, RUM_OTHER_MAP_MODULE, "good.so"}) {
      std::filesystem::copy_file(RUM_TEST_MODULES "/good.so", folder / name);
    }
    std::filesystem::copy_file(RUM_TEST_MODULES "/only_relays.so", folder / "relays.so");
    return ::setenv("RUM_MODULE_DIR", folder.path().c_str(), 1) == 0;
  }();
  EXPECT_TRUE(made);
  return folder.path();
}

using Prepare = std::function<Status(const BeforeModule&)>;

Result<CommandLine> Read(const std::vector<std::string>& arguments, Prepare prepare = {}) {
  Modules();
  std::vector<std::string> all = {"rum"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return ReadCommandLine(static_cast<int>(all.size()), argv.data(), kHost, nullptr, prepare);
}

// As a shell would split it; no quotes.
Result<CommandLine> ReadLine(const std::string& line, Prepare prepare = {}) {
  std::istringstream words(line);
  std::vector<std::string> arguments;
  for (std::string word; words >> word;) arguments.push_back(word);
  return Read(arguments, std::move(prepare));
}

const Settings* Good(const Result<CommandLine>& line) {
  EXPECT_TRUE(line.ok()) << line.error().text;
  return line && line->settings ? line->settings.get() : nullptr;
}

std::string ErrorOf(const std::string& line, Fault fault = Fault::kUsage) {
  auto result = ReadLine(line);
  EXPECT_FALSE(result.ok()) << line << " is accepted";
  if (result) return "";
  EXPECT_EQ(result.error().fault, fault) << result.error().text;
  return result.error().text;
}

bool Has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// What is to be done before the module is loaded, as "background user", or "not asked".
std::string Prepared(const std::string& line) {
  std::string told = "not asked";
  (void)ReadLine(line, [&](const BeforeModule& first) -> Status {
    told = std::string(first.background ? "background " : "") + (first.other_user ? "user" : "");
    return Ok();
  });
  return told;
}

TEST(Options, SayBeforeTheModuleIsLoadedWhetherToGoToTheBackground) {
  Folder folder;
  auto file = [&](const std::string& text) {
    std::ofstream(folder / "conf") << text;
    return " --config " + (folder / "conf");
  };
  EXPECT_EQ(Prepared("-s tcp:127.0.0.1:1 -d tcp:a:2"), "");
  EXPECT_EQ(Prepared("-b -s tcp:127.0.0.1:1 -d tcp:a:2"), "background ");
  EXPECT_EQ(Prepared("-b --user nobody -P there/is/none.so"), "background user");
  EXPECT_EQ(Prepared("--user :7"), "user");
  EXPECT_EQ(Prepared(file("background = yes\nuser = x\n")), "background user");
  EXPECT_EQ(Prepared(file("background\n")), "background ");
  EXPECT_EQ(Prepared(file("background = no\n")), "");
  EXPECT_EQ(Prepared("-b" + file("background = no\n")), "background ");
  for (const char* other : {"--help", "--version", "--check", "--explain x"}) {
    EXPECT_EQ(Prepared(std::string("-b ") + other), "not asked") << other;
  }
  auto line = ReadLine("-b -P there/is/none.so", [](const BeforeModule&) {
    return Status(Error{Fault::kSystem, "no fork"});
  });
  ASSERT_FALSE(line.ok());
  EXPECT_EQ(line.error().text, "no fork") << "no module is loaded then";
}

TEST(Options, HaveTheDefaultsThatHelpTells) {
  auto line = ReadLine("-s tcp:127.0.0.1:1 -d tcp:a:2");
  const Settings* s = Good(line);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->connect_timeout, Millis(6000));
  EXPECT_EQ(s->first_byte_timeout, Millis(6000));
  EXPECT_EQ(s->login_timeout, Millis(8000));
  EXPECT_EQ(s->half_close_timeout, Millis(30000));
  EXPECT_EQ(s->idle_timeout, Millis(0));
  EXPECT_EQ(s->drain_timeout, Millis(30000));
  EXPECT_EQ(s->socket_mode, 0777u);
  EXPECT_EQ(s->log.target, "stderr");
  EXPECT_FALSE(s->log.json);
  EXPECT_EQ(s->log.level, log::Level::kInfo);
  EXPECT_EQ(s->protocol, "passthrough.so");
  EXPECT_FALSE(s->background);
  EXPECT_FALSE(s->stats.has_value());
  EXPECT_GE(s->workers, 1u);
  EXPECT_LE(s->workers, 256u);
}

// The seed's examples, word for word.
TEST(Options, ReadTheFirstExampleInAnyOrder) {
  std::vector<std::string> parts = {"-s tcp:0.0.0.0:110", "-d tcp:pop3.example.net:110", "-b"};
  std::sort(parts.begin(), parts.end());
  do {
    std::string text;
    for (const std::string& part : parts) text += part + " ";
    auto line = ReadLine(text);
    const Settings* s = Good(line);
    ASSERT_TRUE(s) << text;
    ASSERT_EQ(s->listeners.size(), 1u);
    EXPECT_EQ(s->listeners[0].text(), "tcp:0.0.0.0:110");
    ASSERT_EQ(s->destinations.size(), 1u);
    EXPECT_EQ(s->destinations[0].text(), "tcp:pop3.example.net:110");
    EXPECT_TRUE(s->background);
    EXPECT_EQ(s->log.target, "syslog") << "nobody sees stderr in the background";
  } while (std::next_permutation(parts.begin(), parts.end()));
}

TEST(Options, ReadTheSecondExampleInAnyOrder) {
  std::vector<std::string> parts = {"-s tcp:localhost:3306", "-s sock:/var/run/mysqld/mysqld.sock",
                                    "-d tcp:1.2.3.4:3306", "-b"};
  std::sort(parts.begin(), parts.end());
  do {
    std::string text;
    for (const std::string& part : parts) text += part + " ";
    auto line = ReadLine(text);
    const Settings* s = Good(line);
    ASSERT_TRUE(s) << text;
    std::set<std::string> listeners;
    for (const Address& address : s->listeners) listeners.insert(address.text());
    EXPECT_EQ(listeners,
              (std::set<std::string>{"tcp:localhost:3306", "sock:/var/run/mysqld/mysqld.sock"}));
    EXPECT_EQ(s->destinations[0].text(), "tcp:1.2.3.4:3306");
    EXPECT_TRUE(s->background);
  } while (std::next_permutation(parts.begin(), parts.end()));
}

TEST(Options, ReadTheUsersMapAndTheStatisticsInAnyOrder) {
  std::vector<std::string> parts = {"-s tcp:0.0.0.0:3306", "-d tcp:db0:3306", "-M users.cdb",
                                    "-m tcp:127.0.0.1:8306", "-b"};
  std::sort(parts.begin(), parts.end());
  do {
    std::string text;
    for (const std::string& part : parts) text += part + " ";
    auto line = ReadLine(text);
    const Settings* s = Good(line);
    ASSERT_TRUE(s) << text;
    EXPECT_EQ(s->map, "users.cdb");
    EXPECT_EQ(s->stats->text(), "tcp:127.0.0.1:8306");
    EXPECT_EQ(s->protocol, RUM_MAP_MODULE);
  } while (std::next_permutation(parts.begin(), parts.end()));
}

TEST(Options, MayBeClusteredAndGluedTogether) {
  for (const char* text :
       {"-s tcp:a:1 -bM users.cdb", "-bs tcp:a:1 -Musers.cdb", "-bstcp:a:1 -M users.cdb",
        "-bvLMusers.cdb -s tcp:a:1", "--listen=tcp:a:1 --map=users.cdb --background"}) {
    auto line = ReadLine(text);
    const Settings* s = Good(line);
    ASSERT_TRUE(s) << text;
    EXPECT_TRUE(s->background) << text;
    EXPECT_EQ(s->map, "users.cdb") << text;
    ASSERT_EQ(s->listeners.size(), 1u) << text;
  }
}

TEST(Options, AMapAloneMeansTheModuleForMaps) {
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -M f"))->protocol, RUM_MAP_MODULE);
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -d tcp:b:2"))->protocol, "passthrough.so");
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -M f -P good.so"))->protocol, "good.so");
  EXPECT_EQ(Good(ReadLine("-P good.so -M f -s tcp:a:1"))->protocol, "good.so");
}

TEST(Options, EachMapOfVersion67HasItsModule) {
  Folder folder;
  const std::string file = folder / "rum.conf", other = "--" RUM_OTHER_MAP_OPTION " f ";
  std::ofstream(file) << RUM_OTHER_MAP_OPTION " = g\n";
  const std::string with_file = "--config " + file + " ";
  auto line = ReadLine("-s tcp:a:1 " + other);
  EXPECT_EQ(Good(line)->protocol, RUM_OTHER_MAP_MODULE);
  EXPECT_EQ(Good(line)->map, "f");
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -P good.so " + other))->protocol, "good.so");
  line = ReadLine("-s tcp:a:1 " + with_file);
  EXPECT_EQ(Good(line)->protocol, RUM_OTHER_MAP_MODULE);
  EXPECT_EQ(Good(line)->map, "g");
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -M f " + with_file))->protocol, RUM_MAP_MODULE);
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -P users.cdb", Fault::kModule),
                  "a map of version 6.7 is now -P " RUM_OTHER_MAP_MODULE " -M users.cdb"));
}

// A value for each row, and where it must have arrived.
struct Sample {
  std::string value;
  std::function<bool(const Settings&)> arrived;
};

const std::map<std::string, Sample>& Samples() {
  static const auto duration = [](Millis Settings::*member) {
    return Sample{"1234ms", [member](const Settings& s) { return s.*member == Millis(1234); }};
  };
  static const std::map<std::string, Sample> samples = {
      {"listen", {"tcp:b:2", [](auto& s) { return s.listeners.back().text() == "tcp:b:2"; }}},
      {"destination", {"tcp:b:2", [](auto& s) { return s.destinations[0].text() == "tcp:b:2"; }}},
      {"balance", {"least", [](auto& s) { return s.balance == Balance::kLeast; }}},
      {"breaker",
       {"7/2s",
        [](auto& s) { return s.breaker.failures == 7 && s.breaker.within == Millis(2000); }}},
      {"max-memory", {"512M", [](auto& s) { return s.access_control.max_memory == 512u << 20; }}},
      {"source-address",
       {"127.0.0.2,::1",
        [](auto& s) {
          return s.source_addresses.size() == 2 && s.source_addresses[1].text() == "[::1]:0";
        }}},
      {"nofile", {"4096", [](auto& s) { return s.nofile == 4096; }}},
      {"proxy-from",
       {"10.0.0.0/8,unix",
        [](auto& s) { return s.proxy_from.Contains(*SocketAddress::Numeric("10.1.1.1", 1)); }}},
      {"send-proxy", {"v2", [](auto& s) { return s.send_proxy == ProxyVersion::kV2; }}},
      {"allow",
       {"10.0.0.0/8",
        [](auto& s) {
          return s.access_control.allow.Contains(*SocketAddress::Numeric("10.1.1.1", 1), nullptr);
        }}},
      {"deny",
       {"10.0.0.0/8,::1",
        [](auto& s) {
          return s.access_control.deny.Contains(*SocketAddress::Numeric("::1", 1), nullptr);
        }}},
      {"max-connections", {"8", [](auto& s) { return s.access_control.max_connections == 8; }}},
      {"max-connections-per-ip",
       {"8", [](auto& s) { return s.access_control.max_connections_per_ip == 8; }}},
      {"ip-prefix",
       {"48",
        [](auto& s) {
          return s.access_control.ip_prefix == 48 && s.admission.guard.ip_prefix == 48;
        }}},
      {"max-connecting", {"8", [](auto& s) { return s.access_control.max_connecting == 8; }}},
      {"max-connecting-per-destination",
       {"8", [](auto& s) { return s.access_control.max_connecting_per_destination == 8; }}},
      {"server-backlog", {"8", [](auto& s) { return s.access_control.server_backlog == 8; }}},
      {"connection-rate",
       {"5/s",
        [](auto& s) {
          return s.access_control.rate == Rate{5, Millis(1000)};
        }}},
      {"connection-rate-per-ip",
       {"5/m",
        [](auto& s) {
          return s.access_control.rate_per_ip == Rate{5, Millis(60000)};
        }}},
      {"explain",
       {"u@192.0.2.7",
        [](auto& s) {
          return s.explain == "u" && s.explain_from && s.explain_from->host() == "192.0.2.7";
        }}},
      {"metrics-servers", {"50", [](auto& s) { return s.metrics_servers == 50; }}},
      {"metrics-users", {"5", [](auto& s) { return s.metrics_users == 5; }}},
      {"ready-servers",
       {"50%", [](auto& s) { return s.ready_servers.number == 50 && s.ready_servers.percent; }}},
      {"control", {"sock:/c", [](auto& s) { return s.control && s.control->host == "/c"; }}},
      {"max-connections-per-user", {"7", [](auto& s) { return s.admission.limit.max == 7; }}},
      {"user-rate",
       {"5/m",
        [](auto& s) {
          return s.admission.limit.rate == Rate{5, Millis(60000)};
        }}},
      {"login-failures",
       {"20/90s,block=5m",
        [](auto& s) {
          return s.admission.guard.failures == Rate{20, Millis(90000)} &&
                 s.admission.guard.block == Millis(300000);
        }}},
      {"login-exempt",
       {"10.0.0.0/8,unix",
        [](auto& s) {
          return s.admission.guard.exempt.Contains(*SocketAddress::Numeric("10.1.1.1", 1));
        }}},
      {"socket-mode", {"0660", [](auto& s) { return s.socket_mode == 0660; }}},
      {"protocol", {"good.so", [](auto& s) { return s.protocol == "good.so"; }}},
      {"map", {"users.cdb", [](auto& s) { return s.map == "users.cdb"; }}},
      {"module-dir", {Modules(), [](auto& s) { return s.module_dir == Modules(); }}},
      {"background", {"", [](auto& s) { return s.background; }}},
      {"pidfile", {"/run/x", [](auto& s) { return s.pidfile == "/run/x"; }}},
      {"user",
       {"nobody:daemon", [](auto& s) { return s.user == "nobody" && s.group == "daemon"; }}},
      {"chroot", {"/srv/rum", [](auto& s) { return s.chroot == "/srv/rum"; }}},
      {"workers", {"3", [](auto& s) { return s.workers == 3; }}},
      {"check", {"", [](auto& s) { return s.check; }}},
      {"stats", {"sock:/x", [](auto& s) { return s.stats->text() == "sock:/x"; }}},
      {"stats-token-file", {"/t", [](auto& s) { return s.stats_token_file == "/t"; }}},
      {"log", {"/var/log/x", [](auto& s) { return s.log.target == "/var/log/x"; }}},
      {"log-format", {"json", [](auto& s) { return s.log.json; }}},
      {"log-level", {"warning", [](auto& s) { return s.log.level == log::Level::kWarning; }}},
      {"log-logins", {"", [](auto& s) { return s.log_logins; }}},
      {"log-sessions", {"failed", [](auto& s) { return s.log_sessions == LogSessions::kFailed; }}},
      {"geo-db", {"/x", [](auto& s) { return s.geo_db == "/x" || !GeoDatabase::Available(); }}},
      {"resolv-conf", {"/x", [](auto& s) { return s.resolv_conf == "/x"; }}},
      {"tls", {"require", [](auto& s) { return s.tls.clients == TlsMode::kRequire; }}},
      {"tls-cert", {"/x", [](auto& s) { return s.tls.files.certificate == "/x"; }}},
      {"tls-key", {"/x", [](auto& s) { return s.tls.files.key == "/x"; }}},
      {"tls-ca", {"/x", [](auto& s) { return s.tls.files.authorities == "/x"; }}},
      {"tls-min-version", {"1.3", [](auto& s) { return s.tls.files.min_version == "1.3"; }}},
      {"tls-ciphers", {"HIGH", [](auto& s) { return s.tls.files.ciphers == "HIGH"; }}},
      {"upstream-tls", {"verify", [](auto& s) { return s.tls.upstreams == TlsMode::kVerify; }}},
      {"upstream-tls-ca", {"/x", [](auto& s) { return s.tls.upstream_authorities == "/x"; }}},
      {"upstream-tls-name", {"n", [](auto& s) { return s.tls.upstream_name == "n"; }}},
      {"map-moved", {"end", [](auto& s) { return s.map_moved == MapMoved::kEnd; }}},
      {"map-ttl", duration(&Settings::map_ttl)},
      {"map-negative-ttl", duration(&Settings::map_negative_ttl)},
      {"map-stale", duration(&Settings::map_stale)},
      {"map-timeout", duration(&Settings::map_timeout)},
      {"map-cache", {"2M", [](auto& s) { return s.map_cache == 2 << 20; }}},
      {"map-password-file", {"/w", [](auto& s) { return s.map_password_file == "/w"; }}},
      {"map-sentinel-password-file",
       {"/s", [](auto& s) { return s.map_sentinel_password_file == "/s"; }}},
      {"map-token-file", {"/t", [](auto& s) { return s.map_token_file == "/t"; }}},
      {"map-ca", {"/a", [](auto& s) { return s.map_ca == "/a"; }}},
      {"share", {"redis://r/1", [](auto& s) { return s.share && s.share->database == 1; }}},
      {"share-password-file", {"/w", [](auto& s) { return s.share_password_file == "/w"; }}},
      {"share-ca", {"/a", [](auto& s) { return s.share_ca == "/a"; }}},
      {"share-name", {"here", [](auto& s) { return s.share_name == "here"; }}},
      {"share-key-file", {"/k", [](auto& s) { return s.share_key_file == "/k"; }}},
      {"state-dir", {"/x", [](auto& s) { return s.tls.state_dir == "/x"; }}},
      {"connect-timeout", duration(&Settings::connect_timeout)},
      {"first-byte-timeout", duration(&Settings::first_byte_timeout)},
      {"login-timeout", duration(&Settings::login_timeout)},
      {"half-close-timeout", duration(&Settings::half_close_timeout)},
      {"idle-timeout", duration(&Settings::idle_timeout)},
      {"drain-delay", duration(&Settings::drain_delay)},
      {"drain-timeout", duration(&Settings::drain_timeout)},
      {"handover-timeout", duration(&Settings::handover_timeout)},
      {"health-check", duration(&Settings::health_check)},
      {"dns-refresh", duration(&Settings::dns_refresh)},
      {"dns-timeout", duration(&Settings::dns_timeout)},
  };
  return samples;
}

TEST(Options, EveryRowOfTheTableIsReadByItsLongNameAndItsLetter) {
  std::set<std::string> letters;
  for (const OptionRow& row : kOptionRows) {
    std::string flags = row.flags;
    std::string name = flags.substr(flags.find("--") + 2);
    if (name == "help" || name == "version" || name == "config") continue;  // config_file_test.cc
    auto sample = Samples().find(name);
    ASSERT_NE(sample, Samples().end()) << "no sample for --" << name;
    std::vector<std::string> spellings = {"--" + name};
    if (flags[1] != '-') {
      spellings.push_back(flags.substr(0, 2));
      EXPECT_TRUE(letters.insert(flags.substr(0, 2)).second) << flags;
    }
    for (const std::string& spelling : spellings) {
      std::vector<std::string> arguments = {spelling};
      if (row.value) arguments.push_back(sample->second.value);
      if (name != "listen") arguments.insert(arguments.end(), {"-s", "tcp:a:1"});
      if (name == "stats-token-file") arguments.insert(arguments.end(), {"-m", "sock:/x"});
      if (name == "map-password-file")
        arguments.insert(arguments.end(), {"-M", "redis://r/?key={user}"});
      if (name == "map-sentinel-password-file") {
        arguments.insert(arguments.end(), {"-M", "sentinel://s/m?key={user}"});
      }
      if (name == "map-ca") arguments.insert(arguments.end(), {"-M", "rediss://r/?key={user}"});
      if (name == "map-token-file") arguments.insert(arguments.end(), {"-M", "http://h/{user}"});
      if (name.starts_with("share-")) arguments.insert(arguments.end(), {"--share", "rediss://r/"});
      if (name == "tls-key") arguments.insert(arguments.end(), {"--tls-cert", "/c"});
      if (name != "destination") arguments.insert(arguments.end(), {"-d", "tcp:z:9"});
      auto line = Read(arguments);
      const Settings* s = Good(line);
      ASSERT_TRUE(s) << spelling;
      EXPECT_TRUE(sample->second.arrived(*s)) << spelling;
    }
    EXPECT_STRNE(row.group, "");
    EXPECT_STRNE(row.help, "");
  }
  for (const DurationRow& row : kDurationRows) EXPECT_TRUE(Samples().contains(row.name));
}

TEST(Options, AccessListsAreForAllListenersOrForOne) {
  auto line = Read({"-s", "tcp:0.0.0.0:1", "-s", "tcp:[::1]:2", "-d", "tcp:b:2", "--allow",
                    "10.0.0.0/8", "--allow", "tcp:[::1]:2=192.0.2.0/24,198.51.100.7", "--deny",
                    "tcp:0.0.0.0:1=10.6.0.0/16"});
  const Settings* s = Good(line);
  ASSERT_TRUE(s);
  auto at = [](const char* host) { return *SocketAddress::Numeric(host, 1); };
  EXPECT_TRUE(s->access_control.allow.Contains(at("10.1.1.1"), nullptr));
  EXPECT_FALSE(s->access_control.allow.Contains(at("192.0.2.1"), nullptr));
  EXPECT_TRUE(s->access_control.deny.empty());
  ASSERT_EQ(s->access_control.by_listener.size(), 2u);
  EXPECT_TRUE(
      s->access_control.by_listener.at("tcp:[::1]:2").allow.Contains(at("198.51.100.7"), nullptr));
  EXPECT_TRUE(
      s->access_control.by_listener.at("tcp:0.0.0.0:1").deny.Contains(at("10.6.1.1"), nullptr));
}

TEST(Options, AccessListsNameCountriesIfThereIsADatabase) {
  if (!GeoDatabase::Available()) {
    auto line = Read({"-d", "tcp:b:2", "--geo-db", "x.mmdb"});
    ASSERT_FALSE(line.ok());
    EXPECT_NE(line.error().text.find("built without libmaxminddb"), std::string::npos);
    GTEST_SKIP() << "there is no libmaxminddb";
  }
  for (const char* old : {"--geo-db", "--geoip", "-g"}) {
    auto line = Read({"-s", "tcp:[::1]:2", "-d", "tcp:b:2", old, "x.mmdb", "--allow",
                      "10.0.0.0/8,country:CZ", "--allow", "country:sk", "--deny",
                      "tcp:[::1]:2=country:DE"});
    const Settings* s = Good(line);
    ASSERT_TRUE(s);
    EXPECT_EQ(s->geo_db, "x.mmdb");
    EXPECT_EQ(s->access_control.allow.countries.text(), "CZ,SK");
    EXPECT_FALSE(s->access_control.allow.networks.empty());
    EXPECT_EQ(s->access_control.by_listener.at("tcp:[::1]:2").deny.countries.text(), "DE");
  }
  for (const char* wrong :
       {"country:", "country:CZE", "country:CZ,SK", "Country:CZ", "country=CZ"}) {
    EXPECT_FALSE(
        Read({"-s", "tcp:[::1]:2", "-d", "tcp:b:2", "--geo-db", "x.mmdb", "--allow", wrong}).ok())
        << wrong;
  }
  auto without = Read({"-s", "tcp:[::1]:2", "-d", "tcp:b:2", "--deny", "country:CZ"});
  ASSERT_FALSE(without.ok());
  EXPECT_EQ(without.error().text, "--deny: country: needs a country database, see --geo-db");
}

TEST(Options, AKeyWithoutItsCertificateIsAMistake) {
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --tls-key /k"), "--tls-key: "));
}

TEST(Options, LimitsThatMakeNoSenseAreMistakes) {
  const std::string rest = "-s tcp:a:1 -d tcp:b:2 ";
  for (const char* wrong : {"--max-connections 0",
                            "--max-connections x",
                            "--max-connecting -1",
                            "--ip-prefix 0",
                            "--ip-prefix 129",
                            "--ip-prefix off",
                            "--connection-rate 5",
                            "--allow localhost",
                            "--allow unix",
                            "--allow tcp:other:1=10.0.0.0/8",
                            "--allow tcp:a:1=",
                            "--deny nonsense=10.0.0.0/8",
                            "--deny tcp:a:1=unix",
                            "--deny 10.0.0.0/8,unix",
                            "--deny 10.0.0.1/8",
                            "--send-proxy v3",
                            "--source-address db1",
                            "--source-address 127.0.0.1,",
                            "--source-address 127.0.0.1:80",
                            "--nofile 0",
                            "--max-memory 5",
                            "--max-memory 1X",
                            "--max-memory 1MB",
                            "--max-memory 99999999999T",
                            "--breaker 5",
                            "--balance fastest",
                            "--nofile many",
                            "--proxy-from x",
                            "--max-connections-per-user 0",
                            "--max-connections-per-user x",
                            "--max-connections-per-user -1",
                            "--user-rate 5",
                            "--user-rate 5/d",
                            "--login-failures 0/s",
                            "--login-failures 5/s,block=off",
                            "--login-failures 5/s,block=",
                            "--login-failures 5/s,10m",
                            "--login-failures 5/s,",
                            "--login-failures off,block=10m",
                            "--login-failures 5/s,block=1m,block=2m",
                            "--login-exempt localhost",
                            "--login-exempt 10.0.0.1/8"}) {
    EXPECT_FALSE(ReadLine(rest + wrong).ok()) << wrong;
  }
  auto off = ReadLine(rest + "--max-connections-per-user off --user-rate off --login-failures off");
  const Settings* s = Good(off);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->admission.limit.max, 0u);
  EXPECT_FALSE(s->admission.limit.rate.on() || s->admission.guard.failures.on());
}

TEST(Options, TheOldNamesMeanTheNewOnes) {
  std::set<std::string> letters;
  for (const OldName& old : kOldNames) {
    std::string now = old.now, flags = old.flags;
    if (now == RUM_DBTYPE_OPTION) continue;  // of a module; see tests/integration/test_mysql_map.py
    std::vector<std::string> spellings = {flags.substr(flags.find("--"))};
    if (flags[1] != '-') {
      spellings.push_back(flags.substr(0, 2));
      EXPECT_TRUE(letters.insert(flags.substr(0, 2)).second) << flags;
    }
    for (const std::string& spelling : spellings) {
      const Sample& sample = Samples().at(now);
      std::vector<std::string> arguments = {spelling};
      if (!old.implied) arguments.push_back(sample.value);
      if (now != "listen") arguments.insert(arguments.end(), {"-s", "tcp:a:1"});
      if (now != "destination") arguments.insert(arguments.end(), {"-d", "tcp:z:9"});
      if (now == "tls-key") arguments.insert(arguments.end(), {"--tls-cert", "/c"});
      auto line = Read(arguments);
      const Settings* s = Good(line);
      ASSERT_TRUE(s) << spelling;
      EXPECT_TRUE(old.implied || sample.arrived(*s)) << spelling;
    }
  }
  for (const OptionRow& row : kOptionRows) {
    EXPECT_FALSE(letters.contains(std::string(row.flags).substr(0, 2))) << row.flags;
  }
  const std::string rest = "-s tcp:a:1 -d tcp:b:2 ";
  EXPECT_EQ(Good(ReadLine(rest + "--ssl-server"))->tls.clients, TlsMode::kOn);
  EXPECT_TRUE(Good(ReadLine(rest + "--loglogins"))->log_logins);
  for (const char* verbose : {"-v", "--verbose", "-v -v --verbose"}) {
    EXPECT_EQ(Good(ReadLine(rest + verbose))->log.level, log::Level::kDebug) << verbose;
  }
}

TEST(Options, OldListsOfDestinationsAddUpAndChooseTheBalance) {
  for (const char* all : {"-R tcp:b:2,tcp:c:3", "--failover-r tcp:b:2 -R tcp:c:3",
                          "-d tcp:b:2 -R tcp:c:3", "-R tcp:b:2,tcp:c:3 --balance random"}) {
    auto line = ReadLine(std::string("-s tcp:a:1 ") + all);
    const Settings* s = Good(line);
    ASSERT_TRUE(s) << all;
    ASSERT_EQ(s->destinations.size(), 2u) << all;
    EXPECT_EQ(s->destinations[0].text(), "tcp:b:2") << all;
    EXPECT_EQ(s->balance, Balance::kRandom) << all;
  }
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -f tcp:b:2,tcp:c:3"))->balance, Balance::kFirst);
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -R tcp:b:2 --balance least"), "--balance is given more"));
}

TEST(Options, TheLevelOfTheLogHasTheWordsOfRumctl) {
  const std::string rest = "-s tcp:a:1 -d tcp:b:2 --log-level ";
  const std::pair<const char*, log::Level> levels[] = {{"error", log::Level::kError},
                                                       {"warning", log::Level::kWarning},
                                                       {"info", log::Level::kInfo},
                                                       {"debug", log::Level::kDebug}};
  for (const auto& [word, level] : levels) EXPECT_EQ(Good(ReadLine(rest + word))->log.level, level);
  EXPECT_EQ(ErrorOf(rest + "loud"), "--log-level: 'loud' is not error, warning, info or debug");
  EXPECT_FALSE(Read({"-s", "tcp:a:1", "-d", "tcp:b:2", "--log-level", ""}).ok());
}

TEST(Options, AUserMayHaveAGroup) {
  const std::string rest = "-s tcp:a:1 -d tcp:b:2 --user ";
  auto identity = [&](const std::string& value) {
    auto line = ReadLine(rest + value);
    const Settings* s = Good(line);
    return s ? std::pair(s->user, s->group) : std::pair<std::string, std::string>();
  };
  EXPECT_EQ(identity("rum"), (std::pair<std::string, std::string>("rum", "")));
  EXPECT_EQ(identity("1000:1001"), (std::pair<std::string, std::string>("1000", "1001")));
  EXPECT_EQ(identity(":adm"), (std::pair<std::string, std::string>("", "adm")));
  for (const char* wrong : {"rum:", ":"}) {
    EXPECT_TRUE(Has(ErrorOf(rest + wrong), "such as rum:adm")) << wrong;
  }
  EXPECT_FALSE(Read({"-s", "tcp:a:1", "-d", "tcp:b:2", "--user", ""}).ok());
}

TEST(Options, AUserToExplainMayHaveAnAddressAndHoldAt) {
  auto line = Read({"-d", "tcp:b:2", "--explain", "al@ice@2001:db8::1"});
  const Settings* s = Good(line);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->explain, "al@ice");
  EXPECT_EQ(s->explain_from->host(), "2001:db8::1");
  line = Read({"-d", "tcp:b:2", "--explain", "al@ice"});
  ASSERT_TRUE(Good(line));
  EXPECT_EQ(Good(line)->explain, "al@ice");
  EXPECT_FALSE(Good(line)->explain_from);
  EXPECT_TRUE(Has(ErrorOf("-d tcp:b:2 --explain @192.0.2.7"), "--explain: the user name"));
}

TEST(Options, AReloadAppliesALevelABlockAndAPrefix) {
  const std::string rest = "-s tcp:a:1 -d tcp:b:2 ";
  auto running = ReadLine(rest + "--login-failures 5/m --user rum");
  auto fresh = ReadLine(rest + "--login-failures 5/m,block=9m --ip-prefix 56 -v --user rum:adm");
  ASSERT_TRUE(Good(running) && Good(fresh));
  Reload reload = PlanReload(*running->settings, *fresh->settings);
  EXPECT_EQ(reload.applied, (std::vector<std::string>{"ip-prefix", "log-level", "login-failures"}));
  EXPECT_EQ(reload.kept, std::vector<std::string>{"user"});
  EXPECT_EQ(reload.settings->log.level, log::Level::kDebug);
  EXPECT_EQ(reload.settings->admission.guard.block, Millis(540000));
  EXPECT_EQ(reload.settings->admission.guard.ip_prefix, 56u);
  EXPECT_EQ(reload.settings->group, "");
  // What an operator set holds until the configuration changes the same option.
  ByHand by_hand;
  by_hand.level = log::Level::kError;
  by_hand.Forget({"ip-prefix"});
  EXPECT_EQ(by_hand.Over(reload.settings)->log.level, log::Level::kError);
  by_hand.Forget(reload.applied);
  EXPECT_EQ(by_hand.Over(reload.settings)->log.level, log::Level::kDebug);
}

TEST(Options, ReadyNeedsANumberOrAShareOfTheServers) {
  const std::string rest = "-s tcp:a:1 -d tcp:b:2 --ready-servers ";
  auto running = ReadLine(rest + "off"), fresh = ReadLine(rest + "2");
  ASSERT_TRUE(Good(running) && Good(fresh));
  EXPECT_EQ(Good(running)->ready_servers.number, 0u);
  Reload reload = PlanReload(*running->settings, *fresh->settings);
  EXPECT_EQ(reload.applied, std::vector<std::string>{"ready-servers"});
  EXPECT_EQ(reload.settings->ready_servers.number, 2u);
  EXPECT_FALSE(reload.settings->ready_servers.percent);
  for (const char* wrong : {"0", "0%", "101%", "%", "-1", "1.5", "half", "5%%", "4294967296"}) {
    EXPECT_TRUE(Has(ErrorOf(rest + wrong), "--ready-servers: '" + std::string(wrong) + "' is not"));
  }
}

TEST(Options, ABlockWithoutATimeHasTheDefault) {
  const std::string rest = "-s tcp:a:1 -d tcp:b:2 ";
  EXPECT_EQ(Good(ReadLine(rest + "--login-failures 5/s"))->admission.guard.block, Millis(60000));
  // What rumctl sets says all of it, too.
  auto line = ReadLine(rest + "--login-failures 5/s,block=10m");
  ASSERT_TRUE(Good(line));
  auto set = WithLimit(*line->settings, "login-failures", "6/s");
  ASSERT_TRUE(set.ok());
  EXPECT_EQ((*set)->admission.guard.block, Millis(60000));
  set = WithLimit(*line->settings, "login-failures", "6/s,block=2h");
  ASSERT_TRUE(set.ok());
  EXPECT_EQ((*set)->admission.guard.block, Millis(7200000));
  EXPECT_FALSE(WithLimit(*line->settings, "login-failures", "6/s,block=0").ok());
  set = WithLimit(*line->settings, "ip-prefix", "56");
  ASSERT_TRUE(set.ok());
  EXPECT_EQ((*set)->access_control.ip_prefix, 56u);
  EXPECT_EQ((*set)->admission.guard.ip_prefix, 56u);
}

TEST(Options, WhatAModuleThatOnlyRelaysCannotDoIsAMistake) {
  const std::string rest = "-P relays.so -s tcp:a:1 -d sock:/x,tls:b:2 ";
  for (const char* good :
       {"--tls off", "--upstream-tls require", "--upstream-tls off", "--user-rate off"}) {
    EXPECT_TRUE(Good(ReadLine(rest + good))) << good;
  }
  for (const char* bad : {"on", "require"}) {
    EXPECT_EQ(ErrorOf(rest + "--tls " + bad),
              "--tls: relays.so has no TLS inside its protocol; listen on tls:HOST:PORT");
  }
  EXPECT_EQ(ErrorOf(rest + "-d tcp:c:3 --upstream-tls require"),
            "--upstream-tls: relays.so has no TLS inside its protocol; write tcp:c:3 as "
            "tls:HOST:PORT");
  EXPECT_EQ(ErrorOf(rest + "--upstream-tls verify"),
            "--upstream-tls: relays.so has no TLS inside its protocol; sock:/x cannot be verified: "
            "use tls:HOST:PORT");
  EXPECT_EQ(ErrorOf(rest + "--max-connections-per-user 1 --user-rate 1/s --login-failures 1/m"),
            "--max-connections-per-user: relays.so knows no users\n"
            "--user-rate: relays.so knows no users\n--login-failures: relays.so knows no users");
}

TEST(Options, OldOnesThatAreGoneSayWhatToDoInstead) {
  for (const GoneOption& gone : kGoneOptions) {
    const std::string told =
        std::string("--") + gone.name +
        (gone.version ? " of version 6.7 was removed: " : " is no longer an option: write ");
    EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --" + std::string(gone.name) + " x"), told));
    EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --" + std::string(gone.name) + "=x"), told));
    if (!gone.letter) continue;
    EXPECT_TRUE(Has(ErrorOf(std::string("-s tcp:a:1 -d tcp:b:2 -") + gone.letter + " x"), told));
  }
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --dbtype x"), "unknown option '--dbtype'"))
      << "the module has no such option";
}

TEST(Options, DestinationsMayBeAList) {
  auto line = ReadLine("-s tcp:a:1 -d tcp:b:2,sock:/c,tcp:[::1]:4");
  const Settings* s = Good(line);
  ASSERT_TRUE(s);
  ASSERT_EQ(s->destinations.size(), 3u);
  EXPECT_EQ(s->destinations[1].text(), "sock:/c");
  EXPECT_EQ(s->destinations[2].text(), "tcp:[::1]:4");
  EXPECT_EQ(s->balance, Balance::kFirst);
}

TEST(Options, DurationsHaveUnitsAndOff) {
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 --idle-timeout 5m"))->idle_timeout,
            Millis(300000));
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 --login-timeout off"))->login_timeout, Millis(0));
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 --idle-timeout 90"))->idle_timeout, Millis(90000));
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --idle-timeout 5d"), "--idle-timeout: '5d'"));
}

TEST(Options, AnUnknownOneNamesTheNearest) {
  struct {
    const char* wrong;
    const char* nearest;
  } cases[] = {{"--lisen", "--listen"},
               {"--destinatoin", "--destination"},
               {"--idletimeout", "--idle-timeout"},
               {"--conect-timeout", "--connect-timeout"},
               {"--good-mod", "--good-mode"},
               {"--versoin", "--version"},
               {"--log-fromat", "--log-format"}};
  for (const auto& c : cases) {
    std::string text = ErrorOf("-s tcp:a:1 -d tcp:b:2 -P good.so " + std::string(c.wrong) + " x");
    EXPECT_TRUE(Has(text, std::string("'") + c.wrong + "'")) << text;
    EXPECT_TRUE(Has(text, std::string("did you mean ") + c.nearest + "?")) << text;
    EXPECT_FALSE(Has(text, "\n")) << text;
  }
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --idle-timeuot=5s"), "--idle-timeout?"));
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 -Z"), "'-Z'"));
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --zzzzzzzzzz"), "rum -P MODULE --help"));
}

TEST(Options, WhatIsNoOptionIsRefused) {
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 stray"), "'stray'"));
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 tcp:c:3 -d tcp:b:2"), "'tcp:c:3'"));
  EXPECT_FALSE(Read({"-s", "tcp:a:1", "-d", "tcp:b:2", ""}).ok());
  EXPECT_FALSE(Read({"-s", "tcp:a:1", "-d", "tcp:b:2", "-"}).ok());
  EXPECT_FALSE(Read({"-s", "tcp:a:1", "-d", "tcp:b:2", "--", "x"}).ok());
}

TEST(Options, AnUnknownOneMayBeThatOfAnotherModule) {
  EXPECT_EQ(
      ErrorOf("-s tcp:a:1 -d tcp:b:2 -P good.so --remarkably-different"),
      "unknown option '--remarkably-different' (rum -P MODULE --help lists all, with those of "
      "good.so here)");
}

TEST(Options, AMissingValueIsNamed) {
  EXPECT_EQ(ErrorOf("-d tcp:b:2 -s"), "--listen needs a value");
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --map"), "map"));
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 -P good.so --good-text"), "good-text"));
}

TEST(Options, EmptyValuesAreMistakes) {
  for (const char* option : {"--listen", "--destination", "--stats", "--workers", "--socket-mode",
                             "--log-format", "--idle-timeout", "--tls"}) {
    auto line = Read({"-s", "tcp:a:1", "-d", "tcp:b:2", option, ""});
    EXPECT_FALSE(line.ok()) << option;
  }
}

TEST(Options, TellEveryMistakeAtOnce) {
  std::string text = ErrorOf(
      "-s nonsense -d tcp:b -w 0 --idle-timeout 5d --log-format xml --socket-mode 999 "
      "--stats tcp:x --tls maybe -P good.so --good-mode blue --good-number x --good-time soon");
  for (const char* part :
       {"--listen: 'nonsense'", "--destination: 'tcp:b'", "--workers: '0'", "--idle-timeout: '5d'",
        "--log-format: 'xml'", "--socket-mode: '999'", "--stats: 'tcp:x'", "--tls: 'maybe'",
        "--good-mode: 'blue'", "--good-number: 'x'", "--good-time: 'soon'"}) {
    EXPECT_TRUE(Has(text, part)) << part << " is not in:\n" << text;
  }
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10) << text;
}

TEST(Options, WhatMayStandOnceIsRefusedTwice) {
  for (const char* twice : {"-m tcp:a:1 -m tcp:a:2", "-w 1 -w 2", "-l x --log y", "-M a -M b",
                            "--idle-timeout 1s --idle-timeout 2s", "-p a -p b"}) {
    EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 " + std::string(twice)), "more than once"))
        << twice;
  }
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -P good.so -P good.so -d tcp:b:2"), "more than once"));
  EXPECT_TRUE(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 -v -v -b -b")));
}

TEST(Options, NeedAnAddressAndADestination) {
  EXPECT_TRUE(Has(ErrorOf(""), "no address to listen on"));
  EXPECT_TRUE(Has(ErrorOf("-d tcp:b:2"), "no address to listen on"));
  EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1"), "no destination"));
  EXPECT_TRUE(Good(ReadLine("-s tcp:a:1 -M users.cdb")));
  EXPECT_TRUE(Good(ReadLine("-s tcp:a:1 -P good.so"))) << "a module may know its destinations";
}

TEST(Options, WorkersAreFromOneTo256) {
  for (std::string wrong : {"0", "257", "-1", "x", "1.5", "4294967297", "1x"}) {
    EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --workers=" + wrong), "--workers")) << wrong;
  }
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 -w 256"))->workers, 256u);
}

TEST(Options, ModesAreOctal) {
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 --socket-mode 600"))->socket_mode, 0600u);
  for (std::string wrong : {"8", "1000", "0x1ff", "rwx", "-1", "77777777777777"}) {
    EXPECT_TRUE(Has(ErrorOf("-s tcp:a:1 -d tcp:b:2 --socket-mode=" + wrong), "--socket-mode"));
  }
}

TEST(Options, OfTheModuleAreReadAndKeptInItsOrder) {
  auto line = ReadLine("-s tcp:a:1 -d tcp:b:2 -P good.so -t hello --good-flag --good-time 3s");
  const Settings* s = Good(line);
  ASSERT_TRUE(s);
  ASSERT_EQ(s->module_values.size(), 5u);
  EXPECT_EQ(s->module_values[0], "hello");
  EXPECT_FALSE(s->module_values[1].has_value());
  EXPECT_TRUE(s->module_values[2].has_value());
  EXPECT_FALSE(s->module_values[3].has_value());
  EXPECT_EQ(s->module_values[4], "3s");
  EXPECT_STREQ(line->module->table().name, "good");
}

TEST(Options, OfTheModuleMayStandBeforeItIsNamed) {
  auto line = ReadLine("-t hello --good-mode green -s tcp:a:1 -d tcp:b:2 -P good.so");
  const Settings* s = Good(line);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->module_values[0], "hello");
  EXPECT_EQ(s->module_values[1], "green");
}

TEST(Options, AModuleThatIsMissingIsTheModulesFaultAndOtherMistakesAreToldToo) {
  std::string text =
      ErrorOf("-s nonsense -d tcp:b:2 -P nothing.so --nothing-mode x", Fault::kModule);
  EXPECT_TRUE(Has(text, "nothing.so: no such file")) << text;
  EXPECT_TRUE(Has(text, "--listen: 'nonsense'")) << text;
  EXPECT_FALSE(Has(text, "--nothing-mode")) << "it may be the module's: " << text;
}

TEST(Options, CheckAnswersWithOneForEveryKindOfMistakeAndTellsThemAll) {
  for (const char* line :
       {"--check -s nonsense -d tcp:b:2", "--check -s tcp:a:1 -d tcp:b:2 --lisen x",
        "--check -s tcp:a:1 -d tcp:b:2 -P nothing.so", "--check", "--check -s",
        "--check -s tcp:a:1 -d tcp:b:2 stray"}) {
    EXPECT_NE(ErrorOf(line, Fault::kConfig), "") << line;
  }
  std::string text = ErrorOf("--check -s nonsense --lisen x -w 0", Fault::kConfig);
  for (const char* part : {"--lisen", "--listen: 'nonsense'", "--workers: '0'"}) {
    EXPECT_TRUE(Has(text, part)) << text;
  }
  EXPECT_TRUE(Good(ReadLine("--check -s tcp:a:1 -d tcp:b:2"))->check);
}

TEST(Options, AnAddressIsBoundOnce) {
  for (const char* check : {"", "--check "}) {
    std::string text =
        ErrorOf(std::string(check) +
                    "-s tcp:127.0.0.1:7 -s tcp:b:7 -s tls:127.0.0.1:7 -d tcp:c:1 -w 0 "
                    "-s sock:/run/a -m tcp:b:7 --control sock:/run/a",
                *check ? Fault::kConfig : Fault::kUsage);
    for (const char* part :
         {"--listen: 'tls:127.0.0.1:7' is given twice\n",
          "--stats: 'tcp:b:7' is given twice, in --listen, too",
          "--control: 'sock:/run/a' is given twice, in --listen, too", "--workers: '0'"}) {
      EXPECT_TRUE(Has(text, part)) << text;
    }
  }
  std::string text = ErrorOf("-s tcp:a:1 -d tcp:a:2 -m sock:/run/a --control sock:/run/a");
  EXPECT_TRUE(Has(text, "--control: 'sock:/run/a' is given twice, in --stats, too")) << text;
  // The same number is not the same place, and port 0 is another one each time.
  EXPECT_TRUE(
      Good(ReadLine("-s tcp:a:7 -s tcp:[::1]:7 -s tcp:a:8 -s tcp:b:7 -s tcp:a:0 -s tcp:a:0 "
                    "-d tcp:a:7 -m tcp:a:0")));
}

TEST(Options, CheckLooksForTheRootFolder) {
  std::string text = ErrorOf("--check -s tcp:a:1 -d tcp:b:2 -w 0 --chroot /nope", Fault::kConfig);
  EXPECT_TRUE(Has(text, "--chroot: '/nope' cannot be the root directory: No such file")) << text;
  EXPECT_TRUE(Has(text, "--workers: '0'")) << text;
  text = ErrorOf("--check -s tcp:a:1 -d tcp:b:2 --chroot /dev/null", Fault::kConfig);
  EXPECT_TRUE(Has(text, "Not a directory")) << text;
  EXPECT_TRUE(Good(ReadLine("--check -s tcp:a:1 -d tcp:b:2 --chroot /")));
  // At a reload it is the root folder already, and not below itself.
  EXPECT_TRUE(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 --chroot /nope")));
}

TEST(Options, CheckLooksForTheFoldersOfSockets) {
  Folder folder;
  std::ofstream(folder / "file") << "x";
  auto check = [&](const std::string& path) {
    auto line = ReadLine("--check -d tcp:b:2 -s sock:" + path);
    return line.ok() ? "good" : line.error().text;
  };
  EXPECT_EQ(check(folder / "s"), "good");
  EXPECT_TRUE(Has(check(folder / "none/s"), "/none/s: its folder: No such file"));
  EXPECT_TRUE(Has(check(folder / "file/s"), "/file/s: its folder: Not a directory"));
  EXPECT_TRUE(Has(check(folder / "file"), "/file: the path exists and is not a socket"));
  // Made when the service starts.
  EXPECT_EQ(check("/run/there-is-none/s"), "good");
  // Paths are inside of the root directory.
  std::filesystem::create_directories(folder / "inside");
  const std::string rest = "--check -d tcp:b:2 --chroot " + folder.path() + " -s sock:";
  EXPECT_TRUE(ReadLine(rest + "/inside/s -p /inside/pid").ok());
  EXPECT_TRUE(Has(ErrorOf(rest + "/none/s", Fault::kConfig), "/none/s: its folder"));
  EXPECT_TRUE(Has(ErrorOf(rest + "/s -p /none/pid", Fault::kConfig), "--pidfile: '/none/pid'"));
}

TEST(Options, CheckFindsACertificateThatNoClientSees) {
  const std::string rest = "--check -d tcp:b:2 --tls-cert /c -s ";
  EXPECT_TRUE(
      Has(ErrorOf(rest + "tcp:a:1", Fault::kConfig), "--tls-cert: no client can use TLS; add "));
  EXPECT_FALSE(Has(ErrorOf(rest + "tcp:a:1 -P relays.so", Fault::kConfig), "add --tls"));
  for (const char* fine :
       {"tcp:a:1 --tls on", "tcp:a:1 --tls off", "tls:a:1", "tcp:a:1 -m tls:c:3"}) {
    EXPECT_TRUE(ReadLine(rest + fine).ok()) << fine;
  }
  EXPECT_TRUE(ReadLine("-d tcp:b:2 --tls-cert /c -s tcp:a:1").ok())
      << "it does not prevent a start";
}

TEST(Options, HelpIsGroupedAndShowsTheModulesOptions) {
  for (const char* line : {"--help", "-h", "-P good.so --help", "--help -s nonsense --wrong"}) {
    auto result = ReadLine(line);
    ASSERT_TRUE(result.ok()) << line << ": " << result.error().text;
    for (const OptionRow& row : kOptionRows) {
      std::string name = std::string(row.flags).substr(std::string(row.flags).find("--"));
      EXPECT_TRUE(Has(result->text, name)) << name << " is missing in " << line;
      EXPECT_TRUE(Has(result->text, row.group)) << row.group;
    }
  }
  auto result = ReadLine("-P good.so --help");
  for (const char* part : {"Module good 1.2.3: does nothing, well", "--good-text", "-t",
                           "red|green", "--good-flag", "a choice (red)", "a time (1s)"}) {
    EXPECT_TRUE(Has(result->text, part)) << part << " is missing in:\n" << result->text;
  }
}

TEST(Options, HelpWithAModuleThatCannotBeLoadedSaysSo) {
  auto result = ReadLine("-P nothing.so --help");
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(Has(result->text, "--listen"));
  EXPECT_TRUE(Has(result->text, "nothing.so: no such file"));
}

TEST(Options, VersionIsOneLine) {
  for (const char* line : {"--version", "--version -s nonsense", "-P nothing.so --version"}) {
    auto result = ReadLine(line);
    ASSERT_TRUE(result.ok()) << line;
    EXPECT_EQ(result->text, "rum " PACKAGE_VERSION "\n");
  }
}

TEST(Options, ALogFileIsKeptInTheBackground) {
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 -b -l /var/log/rum"))->log.target, "/var/log/rum");
  EXPECT_EQ(Good(ReadLine("-s tcp:a:1 -d tcp:b:2 -b"))->log.target, "syslog");
}

TEST(Options, SurviveArgumentsOfEverySort) {
  // None of these may crash, whatever is said of them.
  for (const char* odd :
       {"-", "--", "---", "--=", "-=x", "--=x", "-s=", "--listen=", "-s-s", "@file", "[a,b]",
        "-s[a,b]", "%%", "-\xff", "--\xff\xfe", "-bbbbbb", "-1", "--1"}) {
    (void)Read({odd});
    (void)Read({"-s", "tcp:a:1", "-d", "tcp:b:2", odd, "x"});
  }
  std::string huge(100000, 'x');
  EXPECT_FALSE(Read({"--" + huge}).ok());
  EXPECT_FALSE(Read({"-s", "tcp:a:1", "-d", "tcp:" + huge + ":1"}).ok());
}

}  // namespace
}  // namespace rum

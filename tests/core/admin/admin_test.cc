// Statistics over HTTP: the two documents, readiness, and what an unfriendly client may try.
#include <dirent.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>

#include <atomic>
#include <cctype>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "admin/http.h"
#include "admin/user_history.h"
#include "config.h"
#include "map/map_watcher.h"
#include "module/loader.h"
#include "proxy/proxy.h"
#include "proxy/server_counters.h"
#include "support/few_descriptors.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

struct Answer {
  int code = 0;
  std::map<std::string, std::string> headers;
  std::string body;
};

Answer ReadAnswer(const std::string& text) {
  Answer answer;
  size_t end = text.find("\r\n\r\n");
  if (text.size() > 12 && text.starts_with("HTTP/1.")) answer.code = std::stoi(text.substr(9, 3));
  if (end == text.npos) return answer;
  std::istringstream head(text.substr(0, end));
  for (std::string line; std::getline(head, line);) {
    size_t colon = line.find(": ");
    if (colon == line.npos) continue;
    if (line.ends_with('\r')) line.pop_back();
    answer.headers[line.substr(0, colon)] = line.substr(colon + 2);
  }
  answer.body = text.substr(end + 4);
  return answer;
}

// A proxy with statistics beside it, on the same main loop, as main.cc has them.
class Admin : public testing::Test {
 protected:
  ~Admin() override { Stop(); }

  void Start(Hooks hooks = {}, const RunningProxy::Change& change = {}, const std::string& map = "",
             const std::string& path = "") {
    proxy_ = std::make_unique<RunningProxy>(std::move(hooks), change);
    proxy_->OnMain([&](Proxy& proxy) {
      if (!map.empty()) {
        watcher_ = std::make_unique<MapWatcher>(
            proxy_->base(), map,
            [&proxy](std::shared_ptr<const MapFile> loaded) { proxy.SetMap(std::move(loaded)); },
            [](const Error&) {}, 20ms);
        EXPECT_TRUE(watcher_->Start().ok());
      }
      uint16_t port = 0;
      if (path.empty()) {  // a port that is free now
        port = Server().port();
        address_ = "tcp:127.0.0.1:" + std::to_string(port);
      } else {
        address_ = "sock:" + path;
      }
      auto server = StatisticsServer::Open(
          proxy_->base(), *ParseAddress(address_), 0600,
          [this, &proxy] {
            return Overview{proxy, proxy_->prober(), proxy_->explainer(), watcher_.get(),
                            0,     draining_};
          },
          {}, nullptr, times_);
      ASSERT_TRUE(server.ok()) << server.error().text;
      server_ = std::move(*server);
    });
  }
  void Stop() {
    if (!proxy_) return;
    proxy_->OnMain([&](Proxy&) {
      server_.reset();
      watcher_.reset();
    });
    proxy_.reset();
  }

  Peer Connect() const { return Peer::Connect(address_); }
  Answer Ask(const std::string& path, const std::string& method = "GET") {
    Peer client = Connect();
    client.Send(method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return ReadAnswer(client.ReceiveAll());
  }
  nlohmann::json Stats() {
    auto json = nlohmann::json::parse(Ask("/stats").body, nullptr, false);
    EXPECT_TRUE(json.is_object());
    return json.is_object() ? json : nlohmann::json::object();
  }

  Folder folder_;
  std::atomic<bool> draining_ = false;
  ConnectionTimes times_;
  std::unique_ptr<RunningProxy> proxy_;
  std::unique_ptr<MapWatcher> watcher_;
  std::unique_ptr<StatisticsServer> server_;
  std::string address_;
};

// -- the text form of Prometheus, read strictly ---------------------------------------------------

bool IsMetricName(const std::string& name) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '_' || c == ':'; });
}

// Samples by "name{labels}"; fails the test for every breach of the format.
std::map<std::string, std::string> ReadMetrics(const std::string& text) {
  std::map<std::string, std::string> samples, types;
  std::set<std::string> helped, finished;
  std::string current;
  EXPECT_TRUE(text.ends_with("\n"));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    for (char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
    if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) {
      size_t space = line.find(' ', 7);
      EXPECT_NE(space, line.npos) << line;
      std::string name = line.substr(7, space - 7);
      EXPECT_TRUE(IsMetricName(name)) << line;
      if (line[2] == 'H') {
        EXPECT_TRUE(helped.insert(name).second) << "two HELP lines: " << name;
        EXPECT_FALSE(line.substr(space + 1).empty()) << line;
      } else {
        std::string type = line.substr(space + 1);
        EXPECT_TRUE(types.emplace(name, type).second) << "two TYPE lines: " << name;
        EXPECT_TRUE(type == "counter" || type == "gauge" || type == "histogram") << line;
        EXPECT_EQ(type == "counter", name.ends_with("_total")) << line;
        if (!current.empty()) finished.insert(current);
        EXPECT_FALSE(finished.contains(name)) << "samples of " << name << " are scattered";
        current = name;
      }
      continue;
    }
    EXPECT_FALSE(line.starts_with("#")) << line;
    size_t name_end = line.find_first_of("{ ");
    std::string name = line.substr(0, name_end);
    std::string family = name;
    if (types[current] == "histogram") {
      for (std::string_view part : {"_bucket", "_sum", "_count"}) {
        if (family == current + std::string(part)) family = current;
      }
    }
    EXPECT_EQ(family, current) << "a sample without its TYPE before it: " << line;
    size_t value = line.rfind(' ');
    if (name_end == line.npos || value == line.npos) {
      ADD_FAILURE() << line;
      continue;
    }
    if (line[name_end] == '{') {
      EXPECT_EQ(line[value - 1], '}') << line;
      std::string labels = line.substr(name_end + 1, value - name_end - 2);
      size_t at = 0;
      while (at < labels.size()) {
        size_t equals = labels.find("=\"", at);
        if (equals == labels.npos) {
          ADD_FAILURE() << line;
          break;
        }
        EXPECT_TRUE(IsMetricName(labels.substr(at, equals - at))) << line;
        at = equals + 2;
        while (at < labels.size() && labels[at] != '"') at += labels[at] == '\\' ? 2 : 1;
        EXPECT_LT(at, labels.size()) << "a label is not closed: " << line;
        at += labels.substr(at + 1).starts_with(",") ? 2 : 1;
      }
    }
    std::string number = line.substr(value + 1);
    EXPECT_FALSE(number.empty());
    const bool fraction = name.ends_with("_sum") || name.starts_with("rum_server_c");
    EXPECT_EQ(number.find_first_not_of(fraction ? ".0123456789" : "0123456789"), number.npos)
        << line;
    EXPECT_TRUE(samples.emplace(line.substr(0, value), number).second) << "twice: " << line;
  }
  for (const auto& [name, type] : types) EXPECT_TRUE(helped.contains(name)) << name;
  return samples;
}

// -- the documents --------------------------------------------------------------------------------

TEST_F(Admin, StatsHasEveryFieldOfTheManual) {
  Start({}, [](Settings& s) {
    s.workers = 2;
    s.destinations = *ParseAddresses("tcp:a:1,sock:/x");
  });
  auto json = Stats();
  EXPECT_EQ(json["rum"]["version"], PACKAGE_VERSION);
  EXPECT_EQ(json["rum"]["pid"], ::getpid());
  EXPECT_TRUE(json["rum"]["uptime_seconds"].is_number_unsigned());
  EXPECT_EQ(json["rum"]["workers"], 2);
  EXPECT_EQ(json["rum"]["ready"], true);
  EXPECT_EQ(json["rum"]["draining"], false);
  EXPECT_EQ(json["verdict"]["word"], "serving");
  EXPECT_EQ(json["verdict"]["reasons"][0], "2 servers, not checked");
  EXPECT_EQ(json["listeners"][0]["address"], proxy_->address());
  EXPECT_EQ(json["destinations"][0]["address"], "tcp:a:1");
  EXPECT_EQ(json["destinations"][1]["address"], "sock:/x");
  const std::pair<const char*, std::set<std::string>> groups[] = {
      {"sessions", {"accepted", "active", "relaying", "connecting", "refused", "accept_failures"}},
      {"upstream", {"connects", "connect_failures"}},
      {"bytes", {"client_received", "upstream_received", "spliced"}},
      {"map", {"lookups", "misses", "lookup_failures"}},
      {"log", {"dropped"}},
  };
  for (const auto& [group, names] : groups) {
    for (const std::string& name : names) {
      EXPECT_TRUE(json[group][name].is_number_unsigned()) << group << "." << name;
    }
  }
  for (const CloseReason& reason : kCloseReasons) {
    EXPECT_EQ(json["sessions"]["ended"][std::string(reason.word)], 0) << reason.word;
  }
  EXPECT_EQ(json["sessions"]["ended"].size(), kCloseReasonCount);
  EXPECT_EQ(json["map"]["configured"], false);
  EXPECT_FALSE(json["map"].contains("records"));
  EXPECT_EQ(json["module"]["name"], "test");
  EXPECT_EQ(json["module"]["version"], "1.0");
}

TEST_F(Admin, ListsServersByTheirNumbersAndThoseOfTheOptionsAsWritten) {
  Start({}, [](Settings& s) { s.destinations = *ParseAddresses("tcp:b10:1,tcp:b2:1"); });
  proxy_->OnMain([](Proxy& proxy) {
    for (const char* name :
         {"tcp:a10:1", "tcp:a2:1", "tcp:a1:1", "tcp:10.0.0.10:1", "tcp:10.0.0.9:1"}) {
      EXPECT_TRUE(proxy.server_health().Set(name, AdminState::kDrain));
    }
  });
  std::vector<std::string> listed;
  const auto stats = Stats();
  for (const auto& one : stats["destinations"]) listed.push_back(one["address"]);
  EXPECT_EQ(listed, (std::vector<std::string>{"tcp:10.0.0.9:1", "tcp:10.0.0.10:1", "tcp:a1:1",
                                              "tcp:a2:1", "tcp:a10:1", "tcp:b10:1", "tcp:b2:1"}));
}

TEST_F(Admin, BothDocumentsTellWhatHappened) {
  Server server;
  Hooks hooks;
  hooks.metrics = {{"test_logins", "Logins"}};
  hooks.session_open = [&](rum_session* s) {
    host->metric_add(s, 0, 5);
    test::Connect(s, server.address());
    return host->relay(s);
  };
  Start(hooks, [](Settings& s) { s.workers = 2; });
  Peer first = proxy_->Client();
  Peer first_server = server.Accept();
  Peer second = proxy_->Client();
  Peer second_server = server.Accept();
  first.Send("12345");
  first_server.Receive(5);
  first_server.Send("123");
  first.Receive(3);
  first.Close();
  first_server.Close();
  // The second server has accepted by itself; its session may not know yet.
  ASSERT_TRUE(Eventually([&] {
    return proxy_->Sum(&Counters::active) == 1 && proxy_->Sum(&Counters::connects) == 2 &&
           proxy_->Sum(&Counters::relaying) == 1;
  }));
  auto json = Stats();
  EXPECT_EQ(json["sessions"]["accepted"], 2);
  EXPECT_EQ(json["sessions"]["active"], 1);
  EXPECT_EQ(json["sessions"]["relaying"], 1);
  EXPECT_EQ(json["sessions"]["ended"]["client_closed"], 1);
  EXPECT_EQ(json["upstream"]["connects"], 2);
  EXPECT_EQ(json["bytes"]["client_received"], 5);
  EXPECT_EQ(json["bytes"]["upstream_received"], 3);
  EXPECT_EQ(json["module"]["counters"]["test_logins"], 10);
  auto metrics = ReadMetrics(Ask("/metrics").body);
  EXPECT_EQ(metrics["rum_sessions_total"], "2");
  EXPECT_EQ(metrics["rum_sessions_active"], "1");
  EXPECT_EQ(metrics["rum_sessions_ended_total{reason=\"client_closed\"}"], "1");
  EXPECT_EQ(metrics["rum_sessions_ended_total{reason=\"client_reset\"}"], "0");
  EXPECT_EQ(metrics["rum_client_received_bytes_total"], "5");
  EXPECT_EQ(metrics["rum_test_logins_total"], "10");
  EXPECT_EQ(metrics["rum_ready"], "1");
  EXPECT_EQ(metrics["rum_workers"], "2");
  EXPECT_EQ(metrics["rum_info{version=\"" PACKAGE_VERSION "\",module=\"test\"}"], "1");
  second.Close();  // the test's own descriptors are not the proxy's
  second_server.Close();
  Stop();  // while the server, which the proxy goes to, is still there
}

TEST_F(Admin, ServersHaveMetricsOfTheirOwnUpToABound) {
  Server good, other;
  uint16_t free = 0;
  {
    Server gone;
    free = gone.port();
  }
  const std::string dead = "tcp:127.0.0.1:" + std::to_string(free);
  const std::string addresses[] = {good.address(), dead, other.address()};
  std::atomic<int> next = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    test::Connect(s, addresses[next]);
    return host->relay(s);
  };
  Start(hooks, [](Settings& s) {
    s.workers = 2;
    s.metrics_servers = 2;
  });
  Peer first = proxy_->Client();
  Peer first_server = good.Accept();
  first.Send("12345");
  first_server.Receive(5);
  first_server.Send("123");
  first.Receive(3);
  Peer second = proxy_->Client();
  Peer second_server = good.Accept();
  next = 1;
  proxy_->Client().ReceiveAll();
  next = 2;
  Peer third = proxy_->Client();
  Peer third_server = other.Accept();
  ASSERT_TRUE(Eventually([&] { return proxy_->Sum(&Counters::relaying) == 3; }));
  auto metrics = ReadMetrics(Ask("/metrics").body);
  const std::string label = "{server=\"" + good.address() + "\"}";
  EXPECT_EQ(metrics["rum_server_sessions" + label], "2");
  EXPECT_EQ(metrics["rum_server_logins_total" + label], "2");
  EXPECT_EQ(metrics["rum_server_connects_total" + label], "2");
  EXPECT_NE(metrics["rum_server_connect_seconds_total" + label], "");
  EXPECT_EQ(metrics["rum_server_sent_bytes_total" + label], "5");
  EXPECT_EQ(metrics["rum_server_received_bytes_total" + label], "3");
  EXPECT_EQ(metrics["rum_server_circuit_open" + label], "0");
  EXPECT_EQ(
      metrics["rum_server_failures_total{server=\"" + dead + "\",reason=\"connect_refused\"}"],
      "1");
  EXPECT_EQ(metrics["rum_server_logins_total{server=\"" + dead + "\"}"], "0");
  EXPECT_FALSE(metrics.contains("rum_server_logins_total{server=\"" + other.address() + "\"}"));
  EXPECT_EQ(metrics["rum_servers_omitted_total"], "1") << "the third server has no counters";
  EXPECT_EQ(metrics["rum_servers_known"], "2") << "the dead one is in use by nobody";
  EXPECT_EQ(metrics["rum_lookup_seconds_count"], "4");
  EXPECT_EQ(metrics["rum_authentication_seconds_count"], "3");
  for (Peer* peer : {&first, &first_server, &second, &second_server, &third, &third_server}) {
    peer->Close();
  }
  Stop();
}

TEST(ServerPlaces, AreBoundedAndTheSameForAllWorkers) {
  ServerPlaces places(2);
  WorkerServers one(places), two(places);
  EXPECT_EQ(one.Find("a"), 1);
  EXPECT_EQ(two.Find("b"), 2);
  EXPECT_EQ(two.Find("a"), 1);
  EXPECT_EQ(two.Find("c"), 0);
  EXPECT_EQ(two.Find("d"), 0);
  EXPECT_EQ(two.omitted().get(), 2u);
  EXPECT_EQ(places.taken(), 2u);
  EXPECT_EQ(places.name(2), "b");
  EXPECT_EQ(one.Read(2), nullptr) << "it has not used that server";
  one.at(1).logins.Add(3);
  two.at(1).logins.Add(4);
  two.at(0).logins.Add(5);  // of no server: lost
  EXPECT_EQ(one.Read(1)->logins.get() + two.Read(1)->logins.get(), 7u);
  ServerPlaces none(0);
  EXPECT_EQ(WorkerServers(none).Find("a"), 0);
}

TEST(UserHistory, KnowsWhoHadTheMostSessionsAndNoMoreThanThat) {
  UserHistory::Users now = {{"alice", 4}, {"bob", 2}};
  UserHistory history(nullptr, [&](size_t most) {
    EXPECT_EQ(most, UserHistory::kUsers);
    return now;
  });
  now = {{"bob", 9}};
  history.Take();
  now = {};
  history.Take();
  auto answer = history.Since(3600, 10);
  EXPECT_EQ(answer.samples, 3u);
  ASSERT_EQ(answer.users.size(), 2u);
  EXPECT_EQ(answer.users[0].user, "bob");
  EXPECT_EQ(answer.users[0].most, 9u);
  EXPECT_NEAR(answer.users[0].mean, 11.0 / 3, 1e-9);
  EXPECT_EQ(answer.users[1].user, "alice");
  answer = history.Since(60, 10);
  EXPECT_EQ(answer.samples, 2u);
  EXPECT_EQ(answer.users.size(), 1u);
  EXPECT_EQ(history.Since(3600, 1).users.size(), 1u);
  EXPECT_EQ(history.Since(UINT64_MAX, 10).samples, 3u);
  now.assign(1000, {std::string(5000, 'x'), 1});
  for (size_t i = 0; i < 2 * UserHistory::kSamples; ++i) history.Take();
  answer = history.Since(UINT64_MAX, 10);
  EXPECT_EQ(answer.samples, UserHistory::kSamples);
  EXPECT_EQ(answer.users.at(0).user.size(), UserHistory::kNameMost);
}

// The loader refuses modules whose metrics have these names.
TEST_F(Admin, HasNoCounterThatTheLoaderDoesNotKnow) {
  Start();
  std::istringstream lines(Ask("/metrics").body);
  int counters = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("# TYPE ") || !line.ends_with(" counter")) continue;
    const std::string name = line.substr(7, line.size() - 15);
    if (name.starts_with("rum_test_")) continue;
    ++counters;
    EXPECT_TRUE(IsCoreMetric(name)) << name;
  }
  EXPECT_GT(counters, 20);
}

TEST_F(Admin, AnswersSayWhatTheyAreAndAreNotToBeKept) {
  Start();
  auto stats = Ask("/stats");
  EXPECT_EQ(stats.code, 200);
  EXPECT_TRUE(stats.headers["Content-Type"].starts_with("application/json"));
  EXPECT_EQ(stats.headers["Cache-Control"], "no-store");
  EXPECT_EQ(stats.headers["Content-Length"], std::to_string(stats.body.size()));
  EXPECT_TRUE(Ask("/metrics").headers["Content-Type"].starts_with("text/plain; version=0.0.4"));
}

TEST_F(Admin, AModulesOwnJsonIsPartOfItIfItIsJson) {
  std::string json = "{\"servers\": 3}";
  Hooks hooks;
  hooks.stats = [&](char* text, size_t size) {
    std::copy_n(json.data(), std::min(size, json.size()), text);
    return json.size();
  };
  Start(hooks);
  EXPECT_EQ(Stats()["module"]["details"]["servers"], 3);
  json = "no JSON";
  EXPECT_FALSE(Stats()["module"].contains("details"));
  json = "";
  EXPECT_FALSE(Stats()["module"].contains("details"));
  json = "{\"much\": \"" + std::string(1 << 20, 'x') + "\"}";  // more than there is room
  EXPECT_FALSE(Stats()["module"].contains("details"));
  json = "{\"broken\": \"\xff\"}";
  EXPECT_TRUE(Stats().contains("module"));
}

TEST_F(Admin, HelpOfAModulesMetricCannotBreakTheFormat) {
  Hooks hooks;
  hooks.metrics = {{"test_odd", "a \\ backslash and \"quotes\""}, {"test_none", nullptr}};
  Start(hooks);
  auto metrics = ReadMetrics(Ask("/metrics").body);
  EXPECT_EQ(metrics["rum_test_odd_total"], "0");
  EXPECT_EQ(metrics["rum_test_none_total"], "0");
}

// -- readiness ------------------------------------------------------------------------------------

TEST_F(Admin, IsReadyUntilItDrains) {
  Start();
  EXPECT_EQ(Ask("/live").code, 200);
  auto ready = Ask("/ready");
  EXPECT_EQ(ready.code, 200);
  EXPECT_EQ(ready.body, "ready\n");
  draining_ = true;
  ready = Ask("/ready");
  EXPECT_EQ(ready.code, 503);
  EXPECT_EQ(ready.body, "draining\n");
  EXPECT_EQ(Ask("/live").code, 200);
  EXPECT_EQ(Stats()["rum"]["draining"], true);
  EXPECT_EQ(Stats()["verdict"]["word"], "draining");
  EXPECT_EQ(Stats()["rum"]["ready"], false);
  EXPECT_EQ(ReadMetrics(Ask("/metrics").body)["rum_ready"], "0");
}

std::string TinyMap(const std::string& user) {
  // A CDB of one record, written by hand: see map_cdb_bytes.h for the format.
  std::string record = user + std::string("\0tcp:a:1\0", 9);
  auto word = [](uint32_t n) {
    std::string four;
    for (int i = 0; i < 4; ++i) four += static_cast<char>(n >> 8 * i);
    return four;
  };
  uint32_t hash = 5381;
  for (char c : user) hash = (hash * 33) ^ static_cast<unsigned char>(c);
  std::string body = word(static_cast<uint32_t>(user.size())) + word(9) + record;
  auto tables = static_cast<uint32_t>(2048 + body.size());
  std::string head, table;
  for (uint32_t i = 0; i < 256; ++i) {
    bool here = i == (hash & 255);
    head += word(tables + static_cast<uint32_t>(table.size())) + word(here ? 2 : 0);
    if (!here) continue;
    std::string slots[2] = {word(0) + word(0), word(0) + word(0)};
    slots[(hash >> 8) % 2] = word(hash) + word(2048);
    table += slots[0] + slots[1];
  }
  return head + body + table;
}

TEST_F(Admin, WithAMapIsReadyOnceItIsLoaded) {
  std::string path = folder_ / "users.cdb";
  Start({}, {}, path);
  auto ready = Ask("/ready");
  EXPECT_EQ(ready.code, 503);
  EXPECT_EQ(ready.body, "no user map is loaded\n");
  auto json = Stats();
  EXPECT_EQ(json["map"]["configured"], true);
  EXPECT_EQ(json["map"]["loaded"], false);
  EXPECT_NE(json["map"]["last_error"], "");
  EXPECT_EQ(json["map"]["loaded_at"], 0);
  std::ofstream(folder_ / "new", std::ios::binary) << TinyMap("alice");
  ASSERT_EQ(::rename((folder_ / "new").c_str(), path.c_str()), 0);
  ASSERT_TRUE(Eventually([&] { return Ask("/ready").code == 200; }));
  json = Stats();
  EXPECT_EQ(json["map"]["loaded"], true);
  EXPECT_EQ(json["map"]["records"], 1);
  EXPECT_EQ(json["map"]["loads"], 1);
  EXPECT_EQ(json["map"]["last_error"], "");
  EXPECT_GT(json["map"]["loaded_at"], 0);
  // A bad one later changes nothing but the counters.
  std::ofstream(folder_ / "new", std::ios::binary) << "rubbish";
  ASSERT_EQ(::rename((folder_ / "new").c_str(), path.c_str()), 0);
  ASSERT_TRUE(Eventually(
      [&] { return ReadMetrics(Ask("/metrics").body)["rum_map_load_failures_total"] == "2"; }));
  EXPECT_EQ(Ask("/ready").code, 200);
  auto metrics = ReadMetrics(Ask("/metrics").body);
  EXPECT_EQ(metrics["rum_map_records"], "1");
  EXPECT_EQ(metrics["rum_map_loads_total"], "1");
}

// -- HTTP -----------------------------------------------------------------------------------------

TEST_F(Admin, IsServedOnAUnixSocketThatGoesWithIt) {
  std::string path = folder_ / "stats";
  Start({}, {}, "", path);
  EXPECT_EQ(Ask("/live").body, "alive\n");
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  Stop();
  EXPECT_NE(::stat(path.c_str(), &status), 0);
}

TEST_F(Admin, DoesNotTakeAnAddressThatIsTaken) {
  Start();
  proxy_->OnMain([&](Proxy& proxy) {
    auto again = StatisticsServer::Open(proxy_->base(), *ParseAddress(address_), 0600, [&] {
      return Overview{proxy, proxy_->prober(), proxy_->explainer(), nullptr, 0, false};
    });
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().fault, Fault::kBind);
    EXPECT_NE(again.error().text.find(address_), std::string::npos) << again.error().text;
  });
  EXPECT_EQ(Ask("/live").code, 200);
}

TEST_F(Admin, KnowsItsPathsAndNoOthers) {
  Start();
  EXPECT_EQ(Ask("/").code, 200);
  EXPECT_EQ(Ask("/stats?pretty=1").code, 200);
  for (const char* path : {"/nothing", "/stats/", "/STATS", "/stats%00", "//stats", "/../stats",
                           "/stats\\", "/%2e%2e/etc/passwd"}) {
    auto answer = Ask(path);
    EXPECT_EQ(answer.code, 404) << path;
    EXPECT_EQ(answer.body.find(path), std::string::npos) << "echoes what was asked";
  }
}

TEST_F(Admin, HeadHasNoBody) {
  Start();
  for (const char* path : {"/stats", "/live", "/nothing"}) {
    auto answer = Ask(path, "HEAD");
    EXPECT_EQ(answer.code, std::string(path) == "/nothing" ? 404 : 200);
    EXPECT_EQ(answer.body, "") << path;
  }
}

TEST_F(Admin, RefusesToBeChanged) {
  Start();
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE", "BREW"}) {
    auto answer = Ask("/stats", method);
    EXPECT_TRUE(answer.code == 0 || (answer.code >= 400 && answer.code < 600))
        << method << " " << answer.code;
    EXPECT_EQ(answer.body.find("\"sessions\""), std::string::npos) << method;
  }
  EXPECT_EQ(Ask("/live").code, 200);
}

TEST_F(Admin, SurvivesGarbage) {
  Start();
  using namespace std::string_literals;
  for (std::string garbage :
       {"\r\n\r\n"s, "\0\0\0\0"s, "GET\r\n\r\n"s, "GET / HTTP/9.9\r\n\r\n"s,
        "GET / HTTP/1.1\r\n: x\r\n\r\n"s, "GET  HTTP/1.1\r\n\r\n"s,
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"s,
        "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"s,
        "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"s,
        "GET http://[::1/ HTTP/1.1\r\n\r\n"s, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s,
        Noise(4096, 1), Noise(100000, 2)}) {
    Peer client = Connect();
    client.SendUntilStuck(garbage, 100);
    client.ShutWrite();
    client.ReceiveWithin(50);
    client.Close();
    ASSERT_EQ(Ask("/live").code, 200) << "after " << garbage.substr(0, 40);
  }
}

TEST_F(Admin, HugeRequestsAreCutOff) {
  Start();
  for (std::string beginning :
       {"GET /", "GET / HTTP/1.1\r\nX: ", "GET / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n"}) {
    Peer client = Connect();
    client.Send(beginning);
    // Much less than this is taken before the connection is closed.
    std::string much(64 << 20, 'x');
    EXPECT_LT(client.SendUntilStuck(much, 2000), much.size()) << beginning;
    client.Close();
    EXPECT_EQ(Ask("/live").code, 200);
  }
}

TEST_F(Admin, SlowClientsAreInNobodysWayAndAreDropped) {
  Start();
  std::vector<Peer> slow;
  for (int i = 0; i < 20; ++i) {
    slow.push_back(Connect());
    slow.back().Send("GET /st");
  }
  EXPECT_EQ(Ask("/live").code, 200);
  Ending ending;
  for (Peer& client : slow) {
    client.ReceiveAll(&ending);  // within the timeout of a test, which is longer than theirs
    EXPECT_NE(ending, Ending::kNone);
  }
}

// A byte now and then, which is all that evhttp waits for.
TEST_F(Admin, ARequestIsCompleteInTimeOrItsConnectionEnds) {
  times_.request = 300ms;
  Start();
  Peer slow = Connect();
  auto ended = [](const Peer& peer) {
    pollfd one = {peer.fd(), POLLIN, 0};
    return ::poll(&one, 1, 20) == 1;
  };
  EXPECT_TRUE(Eventually([&] { return !slow.Send("x") || ended(slow); }, 8s));
  Peer idle = Connect();
  idle.Send("GET /live HTTP/1.1\r\nHost: x\r\n\r\n");
  Ending ending;
  EXPECT_NE(idle.ReceiveAll(&ending).find("alive\n"), std::string::npos);
  EXPECT_EQ(ending, Ending::kEnd);
}

TEST_F(Admin, AnAnswerIsTakenInTimeOrItsConnectionEnds) {
  times_.answer = 300ms;
  Start();
  const size_t before = OpenDescriptors();
  Peer stuck = Peer::Connect(address_, 1024);
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "GET /stats HTTP/1.1\r\nHost: x\r\n\r\n";
  stuck.SendUntilStuck(many, 200);
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() == before + 1; }, 8s))
      << "only the client's";
  EXPECT_EQ(Ask("/live").code, 200);
}

TEST_F(Admin, TheNumberOfConnectionsLeavesDescriptorsForClients) {
  EXPECT_EQ(Connections::MostFor(64), 4u);
  EXPECT_EQ(Connections::MostFor(256), 16u);
  EXPECT_EQ(Connections::MostFor(1024), 32u);
  EXPECT_EQ(Connections::MostFor(RLIM_INFINITY), 32u);
  Start();
  const size_t before = OpenDescriptors();
  std::vector<Peer> crowd;
  for (int i = 0; i < 200; ++i) {
    crowd.push_back(Connect());
    crowd.back().Send("GET /st");
  }
  EXPECT_EQ(Ask("/live").code, 200);
  EXPECT_TRUE(Eventually([&] { return OpenDescriptors() <= before + 200 + Connections::kMost; }));
}

TEST_F(Admin, ServesManyAtOnceAndSeveralOnOneConnection) {
  Start();
  std::vector<Peer> clients;
  for (size_t i = 0; i < Connections::kMost - 1; ++i) clients.push_back(Connect());
  for (Peer& client : clients) {
    client.Send(
        "GET /live HTTP/1.1\r\nHost: x\r\n\r\nGET /ready HTTP/1.1\r\nHost: x\r\nConnection: "
        "close\r\n\r\n");
  }
  for (Peer& client : clients) {
    std::string both = client.ReceiveAll();
    EXPECT_NE(both.find("alive\n"), std::string::npos);
    EXPECT_NE(both.find("ready\n"), std::string::npos);
  }
}

TEST_F(Admin, AReaderThatStopsCostsNothingButItsOwnAnswer) {
  Start();
  Peer stuck = Peer::Connect(address_, 1024);
  std::string many;
  for (int i = 0; i < 2000; ++i) many += "GET /stats HTTP/1.1\r\nHost: x\r\n\r\n";
  stuck.SendUntilStuck(many, 200);
  EXPECT_EQ(Ask("/live").code, 200);
}

TEST_F(Admin, WithoutDescriptorsItDoesNotSpin) {
  Start();
  Peer before = Connect();
  before.Send("GET /live HTTP/1.1\r\nHost: here\r\n\r\n");
  EXPECT_EQ(before.Receive(8), "HTTP/1.1");  // it has been accepted, and takes no descriptor later
  {
    FewDescriptors few(1);
    Peer client = Connect();  // takes the last one, so that it cannot be accepted
    auto spent = [] {
      rusage usage;
      ::getrusage(RUSAGE_SELF, &usage);
      return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
             (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    };
    auto start = spent();
    std::this_thread::sleep_for(1s);
    EXPECT_LT(spent() - start, 500) << "milliseconds of a second in which nothing happened";
  }
  EXPECT_EQ(Ask("/live").code, 200);
}

TEST_F(Admin, IsThereWhileTheProxyDrains) {
  Start();
  proxy_->OnMain([](Proxy& proxy) { proxy.Drain(); });
  draining_ = true;
  EXPECT_EQ(Ask("/ready").code, 503);
  EXPECT_EQ(Stats()["rum"]["draining"], true);
}

}  // namespace
}  // namespace rum

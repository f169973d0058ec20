#include "upstream/resolver.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/log.h"

namespace rum {
namespace {

using Kind = DnsClient::Answer::Kind;

// ms after a failure during which a name is not queried again.
constexpr uint64_t kRetry = 1000;
// Names come from operators' maps; this bounds a broken one.
constexpr size_t kNamesMost = 100000;
// Bounds look-ups in progress and their questions, including those of abandoned look-ups, which
// c-ares still retransmits. A larger burst would overflow socket buffers, and each lost packet
// costs a timeout.
constexpr size_t kLookUpsMost = 256;
constexpr size_t kQuestionsMost = 8 * kLookUpsMost;
// ms of silence after which the next server is queried as well.
constexpr uint64_t kNextServer = 500;
// ms for which a failed server is queried last; then it is queried in parallel with the others.
constexpr uint64_t kServerPause = 10000;
// The timeout of a look-up if none is configured.
constexpr Millis kLongest(30000);
// ms to wait for the other family once one has addresses.
constexpr uint64_t kOtherFamily = 1000;

std::string Hostname() {
  char name[HOST_NAME_MAX + 1] = "";
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

// IPv4 first, each in answer order. If both are long, each gets half of the space.
std::vector<SocketAddress> Join(std::vector<SocketAddress> v4, std::vector<SocketAddress> v6) {
  constexpr size_t kMost = DnsClient::kAddressesMost;
  if (v4.size() + v6.size() > kMost) {
    v4.resize(std::min(v4.size(), std::max(kMost / 2, kMost - std::min(v6.size(), kMost))));
    v6.resize(std::min(v6.size(), kMost - v4.size()));
  }
  v4.insert(v4.end(), v6.begin(), v6.end());
  return v4;
}

}  // namespace

struct Resolver::Server {
  std::unique_ptr<DnsClient> asked;
  uint64_t heard = 0;   // last answer, monotonic ms
  uint64_t bad = 0;     // queried last until then; 0: it works
  bool silent = false;  // the silence was logged
};

struct Resolver::Servers : std::enable_shared_from_this<Servers> {
  ResolvConf conf;
  std::vector<Server> all;
};

struct Resolver::Family {
  int family = 0;
  size_t next = 0;    // index in `order` of the next server to query
  uint64_t sent = 0;  // time of the last question, monotonic ms
  size_t out = 0;     // open questions
  bool done = false;
  DnsClient::Answer answer;  // if kFailed: of the latest server
};

struct Resolver::LookUp {
  Resolver* resolver;
  uint64_t id;
  std::string host;
  std::shared_ptr<Servers> servers;
  std::vector<std::string> candidates;
  size_t candidate = 0;
  std::vector<size_t> order;  // indexes of servers, in query order
  Family families[2];
  uint64_t deadline = 0;      // monotonic ms, also below
  uint64_t next_server = 0;   // 0: all servers were queried
  uint64_t other_family = 0;  // 0: no family has addresses yet
  std::unique_ptr<event, decltype(&event_free)> due = {nullptr, event_free};
};

struct Resolver::Arrived {
  uint64_t look_up;
  size_t candidate;
  int family;
  std::shared_ptr<Servers> servers;
  size_t server;
  DnsClient::Answer answer;
};

Resolver::Resolver(event_base* base, Millis refresh, Millis timeout, const std::string& resolv_conf,
                   const std::string& hosts)
    : base_(base),
      refresh_(refresh),
      timeout_(timeout.count() ? timeout : kLongest),
      path_(resolv_conf),
      queue_(base),
      hosts_(hosts),
      arrived_event_(event_new(base, -1, 0, OnArrived, this)) {
  ares_library_init(ARES_LIB_INIT_ALL);
  ReadServers();
}

Resolver::~Resolver() {
  closing_ = true;  // no callbacks from here on
  look_ups_.clear();
  former_.clear();
  servers_.reset();
  arrived_.clear();
  if (arrived_event_) event_free(arrived_event_);
  ares_library_cleanup();
}

Status Resolver::status() const {
  if (queue_.works() && arrived_event_) return Ok();
  return Error{Fault::kSystem, "no descriptors or memory to look up names"};
}

void Resolver::ReadServers() {
  stamp_ = FileStamp::Of(path_);
  std::ifstream file(path_);
  auto servers = std::make_shared<Servers>();
  servers->conf = ReadResolvConf(file, Hostname());
  for (const std::string& text : servers->conf.servers) {
    servers->all.push_back({.asked = std::make_unique<DnsClient>(base_, text, timeout_)});
  }
  if (servers_) former_.push_back(std::move(servers_));
  servers_ = std::move(servers);
}

void Resolver::Reread() {
  ReadServers();
  hosts_.Forget();
  std::lock_guard lock(mutex_);
  for (auto& [host, name] : names_) name.due = 0;
}

std::optional<std::vector<SocketAddress>> Resolver::Known(const std::string& host) {
  std::lock_guard lock(mutex_);
  auto found = names_.find(host);
  if (found == names_.end() || found->second.addresses.empty()) return std::nullopt;
  Name& name = found->second;
  if (!name.asking && NowMillis() >= name.due) {
    name.asking = true;
    Post(host);
  }
  return name.addresses;
}

void Resolver::Suspect(const std::string& host) {
  if (!refresh_.count()) return;
  std::lock_guard lock(mutex_);
  auto found = names_.find(host);  // numeric addresses are not in names_
  if (found == names_.end()) return;
  found->second.due = std::min(found->second.due, found->second.answered + kRetry);
}

void Resolver::Ask(const std::string& host, Found found) {
  std::unique_lock lock(mutex_);
  if (names_.size() >= kNamesMost && !names_.contains(host)) {
    lock.unlock();
    return found({});
  }
  Name& name = names_[host];
  if (!name.addresses.empty()) {
    auto addresses = name.addresses;
    lock.unlock();
    return found(std::move(addresses));
  }
  if (!name.asking && name.due > NowMillis()) {  // it failed moments ago
    lock.unlock();
    return found({});
  }
  name.waiting.push_back(std::move(found));
  if (name.asking) return;
  name.asking = true;
  Post(host);
}

void Resolver::Post(std::string host) {
  queue_.Post([this, host = std::move(host)] { Begin(host); });
}

size_t Resolver::OpenQuestions() const {
  size_t open = 0;
  const auto count = [&open](const Servers& servers) {
    for (const Server& server : servers.all) open += server.asked->open();
  };
  count(*servers_);
  for (const auto& servers : former_) count(*servers);
  return open;
}

void Resolver::Begin(const std::string& host) {
  if (look_ups_.size() >= kLookUpsMost || OpenQuestions() >= kQuestionsMost) {
    held_.push_back(host);
    return;
  }
  auto in_file = hosts_.Find(host);
  if (!in_file.empty()) return Answer(host, std::move(in_file), false);
  // If the file is missing, perhaps during its replacement, keep the servers.
  if (auto stamp = FileStamp::Of(path_); stamp && stamp != stamp_) {
    log::Info("{} has changed, reading it again", path_);
    ReadServers();
  }
  auto look_up = std::make_unique<LookUp>();
  LookUp& l = *look_up;
  l.resolver = this;
  l.id = ++last_look_up_;
  l.host = host;
  l.servers = servers_;
  l.candidates = CandidatesOf(servers_->conf, host);
  l.deadline = NowMillis() + static_cast<uint64_t>(timeout_.count());
  l.due.reset(evtimer_new(base_, OnDue, &l));
  look_ups_.emplace(l.id, std::move(look_up));
  if (!l.due) return Finish(l, {}, "out of memory");
  BeginCandidate(l);
}

// Queries both families in parallel: a name with addresses of one family is valid.
void Resolver::BeginCandidate(LookUp& l) {
  const uint64_t now = NowMillis();
  auto& servers = l.servers->all;
  l.order.clear();
  for (bool bad : {false, true}) {
    for (size_t i = 0; i < servers.size(); ++i) {
      if ((servers[i].bad != 0) == bad) l.order.push_back(i);
    }
  }
  l.other_family = 0;
  for (int i : {0, 1}) {
    l.families[i] = Family();
    l.families[i].family = i == 0 ? AF_INET : AF_INET6;
    AskNext(l, l.families[i]);
  }
  // Servers that failed are probed by extra questions, so that no look-up waits for them.
  for (size_t i = 0; i < servers.size(); ++i) {
    if (i == l.order[0] || servers[i].bad == 0 || now < servers[i].bad) continue;
    servers[i].bad = now + kServerPause;
    AskServer(l, l.families[0], i);
  }
  l.next_server = servers.size() > 1 ? now + kNextServer : 0;
  Arm(l);
}

bool Resolver::AskNext(LookUp& l, Family& family) {
  if (family.next == l.order.size()) return false;
  AskServer(l, family, l.order[family.next++]);
  return true;
}

void Resolver::AskServer(LookUp& l, Family& family, size_t server) {
  family.sent = NowMillis();
  ++family.out;
  // Answers are queued: they can arrive before Ask() returns, and can end the look-up.
  auto answered = [this, id = l.id, candidate = l.candidate, kind = family.family,
                   servers = l.servers.get(), server](DnsClient::Answer answer) {
    if (closing_) return;
    arrived_.push_back(
        {id, candidate, kind, servers->shared_from_this(), server, std::move(answer)});
    event_active(arrived_event_, EV_TIMEOUT, 0);
  };
  l.servers->all[server].asked->Ask(l.candidates[l.candidate], family.family, std::move(answered));
}

void Resolver::OnArrived(evutil_socket_t, short, void* self) {
  auto& resolver = *static_cast<Resolver*>(self);
  auto arrived = std::exchange(resolver.arrived_, {});
  for (Arrived& one : arrived) resolver.Take(one);
  arrived.clear();
  std::erase_if(resolver.former_, [](const auto& servers) {
    return servers.use_count() == 1 && std::all_of(servers->all.begin(), servers->all.end(),
                                                   [](auto& one) { return !one.asked->open(); });
  });
  for (size_t held = resolver.held_.size(); held > 0; --held) {
    if (resolver.look_ups_.size() >= kLookUpsMost) break;
    std::string host = std::move(resolver.held_.front());
    resolver.held_.pop_front();
    resolver.Begin(host);
  }
}

void Resolver::Take(Arrived& arrived) {
  const bool failed = arrived.answer.kind == Kind::kFailed;
  Server& server = arrived.servers->all[arrived.server];
  if (failed) {
    SetBad(server, arrived.answer);
  } else {
    server.heard = NowMillis();
    server.bad = 0;
    if (std::exchange(server.silent, false)) {
      log::Info("the name server {} answers again", server.asked->text());
    }
  }
  auto found = look_ups_.find(arrived.look_up);
  if (found == look_ups_.end() || found->second->candidate != arrived.candidate) return;
  LookUp& l = *found->second;
  Family& family = l.families[arrived.family == AF_INET ? 0 : 1];
  --family.out;
  if (family.done) return;
  family.answer = std::move(arrived.answer);
  if (failed && (AskNext(l, family) || family.out > 0)) return;
  family.done = true;
  Decide(l);
}

void Resolver::Decide(LookUp& l) {
  const auto& [v4, v6] = l.families;
  if (v4.done && v6.done) return Conclude(l);
  const Family& done = v4.done ? v4 : v6;
  if (done.answer.kind == Kind::kAddresses) l.other_family = NowMillis() + kOtherFamily;
  Arm(l);
}

// A candidate does not exist only if both families say so; then the next candidate is tried. A
// record of either family, or a server failure, ends the search.
void Resolver::Conclude(LookUp& l) {
  auto& [v4, v6] = l.families;
  auto addresses = Join(std::move(v4.answer.addresses), std::move(v6.answer.addresses));
  if (!addresses.empty()) return Finish(l, std::move(addresses), {});
  for (const Family& family : l.families) {
    if (!family.done) return Finish(l, {}, "no name server answered in time");
    if (family.answer.kind == Kind::kFailed) return Finish(l, {}, family.answer.why);
  }
  if (v4.answer.kind != Kind::kNoName || v6.answer.kind != Kind::kNoName) {
    return Finish(l, {}, l.candidates[l.candidate] + " has no address");
  }
  if (l.candidate + 1 == l.candidates.size()) return Finish(l, {}, "no such name");
  ++l.candidate;
  BeginCandidate(l);
}

void Resolver::Finish(LookUp& l, std::vector<SocketAddress> addresses, const std::string& why) {
  if (addresses.empty()) log::Warning("cannot resolve {}: {}", l.host, why);
  const std::string host = std::move(l.host);
  const bool outdated = l.servers != servers_;
  look_ups_.erase(l.id);
  if (!held_.empty()) event_active(arrived_event_, EV_TIMEOUT, 0);
  Answer(host, std::move(addresses), outdated);
}

void Resolver::Arm(LookUp& l) {
  uint64_t due = l.deadline;
  for (uint64_t other : {l.next_server, l.other_family}) {
    if (other) due = std::min(due, other);
  }
  const uint64_t now = NowMillis();
  const uint64_t wait = due > now ? due - now : 0;
  const timeval room = {static_cast<time_t>(wait / 1000),
                        static_cast<suseconds_t>(wait % 1000 * 1000)};
  evtimer_add(l.due.get(), &room);
}

void Resolver::OnDue(evutil_socket_t, short, void* look_up) {
  LookUp& l = *static_cast<LookUp*>(look_up);
  Resolver& resolver = *l.resolver;
  const uint64_t now = NowMillis();
  if (now >= l.deadline || (l.other_family && now >= l.other_family)) return resolver.Conclude(l);
  if (l.next_server && now >= l.next_server) {
    DnsClient::Answer nothing;
    nothing.why = "no answer";
    nothing.silent = true;
    bool more = false;
    for (Family& family : l.families) {
      if (family.done) continue;
      Server& silent = l.servers->all[l.order[family.next - 1]];
      if (silent.heard < family.sent) SetBad(silent, nothing);
      resolver.AskNext(l, family);
      more = more || family.next < l.order.size();
    }
    l.next_server = more ? now + kNextServer : 0;
  }
  resolver.Arm(l);
}

void Resolver::SetBad(Server& server, const DnsClient::Answer& answer) {
  server.bad = NowMillis() + kServerPause;
  if (!answer.silent) {  // the failure may concern this name only
    server.heard = NowMillis();
  } else if (!std::exchange(server.silent, true)) {
    log::Warning("the name server {} does not answer: {}", server.asked->text(), answer.why);
  }
}

void Resolver::Answer(const std::string& host, std::vector<SocketAddress> addresses,
                      bool outdated) {
  std::vector<Found> waiting;
  {
    std::lock_guard lock(mutex_);
    Name& name = names_[host];
    name.asking = false;
    name.answered = NowMillis();
    if (addresses.empty()) {
      name.due = name.answered + kRetry;
    } else {
      name.due =
          refresh_.count() ? name.answered + static_cast<uint64_t>(refresh_.count()) : UINT64_MAX;
      name.addresses = std::move(addresses);
    }
    if (outdated) name.due = 0;  // resolv.conf was reread meanwhile
    addresses = name.addresses;  // a failed refresh keeps the previous addresses
    waiting.swap(name.waiting);
  }
  for (Found& found : waiting) found(addresses);
}

}  // namespace rum

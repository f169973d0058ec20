// Many sessions at once whose ends do at random what peers do: send little or much, read slowly,
// end one way, close, reset. Whatever they do, bytes are exact as far as they come, whole when
// nobody cut them, and rum is as before at the end: gauges, counters, log lines and descriptors
// agree.
#include <errno.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

// What one end does. Both ends know both plans, by the session's seed.
struct Plan {
  enum class End { kGraceful, kClose, kReset };
  size_t size;   // of what it has to send
  size_t sends;  // that many of them before it ends
  End end;       // graceful: sends all, ends its way, reads to the other's end
  bool reads_slowly;
  uint64_t seed;
};

Plan MakePlan(uint64_t seed) {
  std::mt19937_64 random(seed);
  Plan plan;
  plan.seed = seed;
  plan.size = random() % (size_t{1} << (random() % 22));
  uint64_t dice = random() % 8;
  plan.end = dice == 0 ? Plan::End::kReset : dice == 1 ? Plan::End::kClose : Plan::End::kGraceful;
  plan.sends = plan.end == Plan::End::kGraceful ? plan.size : random() % (plan.size + 1);
  plan.reads_slowly = random() % 4 == 0;
  return plan;
}

struct Outcome {
  std::string received;
  Ending ending = Ending::kNone;
};

// Plays one end to its own end. `prefix` is sent first and does not count.
Outcome Play(Peer& peer, const Plan& plan, const std::string& prefix) {
  std::mt19937_64 random(plan.seed ^ 0x5eed);
  std::string bytes = prefix + Noise(plan.size, plan.seed);
  size_t stop = prefix.size() + plan.sends;
  size_t sent = 0;
  bool writing = true;
  Outcome outcome;
  std::string block(128 * 1024, '\0');
  while (outcome.ending == Ending::kNone || writing) {
    if (writing && sent == stop) {
      writing = false;
      if (plan.end == Plan::End::kReset) return peer.Reset(), outcome;
      if (plan.end == Plan::End::kClose) return peer.Close(), outcome;
      peer.ShutWrite();
      continue;
    }
    short events = 0;
    if (outcome.ending == Ending::kNone) events |= POLLIN;
    if (writing) events |= POLLOUT;
    pollfd p = {peer.fd(), events, 0};
    if (::poll(&p, 1, 60000) != 1) {
      ADD_FAILURE() << "a session stands still: sent " << sent << " of " << stop << ", received "
                    << outcome.received.size();
      return outcome;
    }
    if (p.revents & (POLLIN | POLLHUP | POLLERR) && outcome.ending == Ending::kNone) {
      size_t most = plan.reads_slowly ? 1 + random() % 20000 : block.size();
      ssize_t n = ::recv(peer.fd(), block.data(), most, MSG_DONTWAIT);
      if (n > 0) outcome.received.append(block, 0, static_cast<size_t>(n));
      if (n == 0) outcome.ending = Ending::kEnd;
      if (n < 0 && errno != EAGAIN) outcome.ending = Ending::kReset;
      if (plan.reads_slowly && random() % 8 == 0) std::this_thread::sleep_for(1ms);
    }
    if (writing && p.revents & (POLLOUT | POLLHUP | POLLERR)) {
      size_t most = std::min<size_t>(1 + random() % (size_t{1} << (random() % 18)), stop - sent);
      ssize_t n = ::send(peer.fd(), bytes.data() + sent, most, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<size_t>(n);
      if (n < 0 && errno != EAGAIN) writing = false;
    }
  }
  return outcome;
}

// The seed that the client of a session sends first, so that its server knows the plans.
constexpr size_t kHead = 8;

Plan ClientPlan(uint64_t seed) { return MakePlan(seed * 2 + 1); }
Plan ServerPlan(uint64_t seed) { return MakePlan(seed * 2 + 2); }

void Judge(const Outcome& outcome, const Plan& own, const Plan& other) {
  std::string whole = Noise(other.size, other.seed);
  ASSERT_LE(outcome.received.size(), whole.size());
  EXPECT_TRUE(whole.starts_with(outcome.received)) << "bytes were changed, seed " << other.seed;
  if (own.end == Plan::End::kGraceful && other.end == Plan::End::kGraceful) {
    EXPECT_EQ(outcome.received.size(), whole.size()) << "seed " << other.seed;
    EXPECT_EQ(outcome.ending, Ending::kEnd);
  }
}

// A module that passes everything on, in ways that change at random: it looks at both sides, at one
// of them while the other flows, lets bytes through, leaves some lying, and at last steps aside.
class Meddler {
 public:
  explicit Meddler(uint64_t seed) : random_(seed) {}

  void Begin(rum_session* s) {
    begun_ = true;
    HandOver(s);
  }
  bool begun() const { return begun_; }

  int64_t Data(rum_session* s, uint32_t side, std::string_view bytes) {
    size_t n = 1 + random_() % bytes.size();
    switch (random_() % 12) {
      case 0:  // wait for more, unless that is all
        if (asked_) break;
        asked_ = true;
        host->need(s, side, bytes.size() + 1);
        return 0;
      case 1:
      case 2:
        host->forward(s, side, random_() % (size_t{1} << (random_() % 22)));
        break;
      case 3:
        if (watching_ && random_() % 2) {
          // Refused when the end of that side has been passed on.
          if (host->take_back(s, 1 - side) == RUM_OK) watching_ = false;
        } else if (!watching_) {
          HandOver(s);
        }
        break;
      case 4:
        if (random_() % 8 == 0) host->relay(s);
        break;
      default:
        break;
    }
    asked_ = false;
    Send(s, 1 - side, bytes.substr(0, n));
    return static_cast<int64_t>(n);
  }

  int32_t End(rum_session* s) {
    if (watching_ || !begun_) return begun_ ? RUM_END : RUM_KEEP;
    host->relay(s);
    return RUM_KEEP;
  }

 private:
  void HandOver(rum_session* s) {
    watching_ = true;
    EXPECT_EQ(host->relay_from(s, random_() % 2), RUM_OK);
  }

  std::mt19937_64 random_;
  bool begun_ = false;
  bool watching_ = false;
  bool asked_ = false;
};

class RandomSessions : public testing::TestWithParam<std::tuple<const char*, bool>> {};

INSTANTIATE_TEST_SUITE_P(Sockets, RandomSessions,
                         testing::Combine(testing::Values("tcp", "unix"), testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)) +
                                  (std::get<1>(info.param) ? "Watched" : "Relayed");
                         });

TEST_P(RandomSessions, KeepBytesExactAndLeaveNothingBehind) {
  constexpr int kThreads = 8;
  constexpr int kEach = 25;
  bool unix_sockets = std::get<0>(GetParam()) == std::string("unix");
  bool watched = std::get<1>(GetParam());
  Folder folder;
  auto server =
      unix_sockets ? std::make_unique<Server>(folder / "server") : std::make_unique<Server>();
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, server->address());
    return watched ? RUM_OK : host->relay(s);
  };
  std::atomic<int> closed = 0;
  hooks.session_close = [&](rum_session*, uint32_t) { closed++; };
  std::mutex meddlers_mutex;
  std::map<rum_session*, std::shared_ptr<Meddler>> meddlers;
  uint64_t meddlers_made = 0;
  auto meddler = [&](rum_session* s) {
    std::lock_guard lock(meddlers_mutex);
    auto& one = meddlers[s];
    if (!one) one = std::make_shared<Meddler>(++meddlers_made);
    return one;
  };
  if (watched) {
    hooks.upstream_open = [&](rum_session* s, uint32_t reason) {
      if (reason == 0) meddler(s)->Begin(s);
    };
    // What a client says before its server is there waits.
    hooks.client_data = [&](rum_session* s, std::string_view bytes) -> int64_t {
      return meddler(s)->begun() ? meddler(s)->Data(s, RUM_CLIENT, bytes) : 0;
    };
    hooks.side_end = [&](rum_session* s, uint32_t) { return meddler(s)->End(s); };
    hooks.upstream_data = [&](rum_session* s, std::string_view bytes) {
      return meddler(s)->Data(s, RUM_UPSTREAM, bytes);
    };
    hooks.session_close = [&](rum_session* s, uint32_t) {
      closed++;
      std::lock_guard lock(meddlers_mutex);
      meddlers.erase(s);
    };
  }
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.workers = 2;
    s.half_close_timeout = 60s;
    if (unix_sockets) s.listeners[0] = *ParseAddress("sock:" + (folder / "here"));
  });

  std::atomic<bool> over = false;
  std::mutex mutex;
  std::vector<std::thread> conversations;
  std::thread acceptor([&] {
    while (!over) {
      if (!server->SomebodyComes(20)) continue;
      Peer peer = server->Accept();
      std::lock_guard lock(mutex);
      conversations.emplace_back([peer = std::move(peer)]() mutable {
        // A client may be gone before it said who it is.
        std::string head;
        while (head.size() < kHead) {
          char byte;
          if (TEMP_FAILURE_RETRY(::recv(peer.fd(), &byte, 1, 0)) != 1) return;
          head += byte;
        }
        uint64_t seed;
        std::memcpy(&seed, head.data(), sizeof seed);
        Judge(Play(peer, ServerPlan(seed), ""), ServerPlan(seed), ClientPlan(seed));
      });
    }
  });
  std::vector<std::thread> clients;
  for (int t = 0; t < kThreads; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        auto seed = static_cast<uint64_t>(t * 1000 + i);
        std::string head(kHead, '\0');
        std::memcpy(head.data(), &seed, sizeof seed);
        Peer client = proxy.Client();
        Judge(Play(client, ClientPlan(seed), head), ClientPlan(seed), ServerPlan(seed));
      }
    });
  }
  for (auto& t : clients) t.join();
  EXPECT_TRUE(Eventually([&] { return proxy.Sum(&Counters::active) == 0; }));
  over = true;
  acceptor.join();
  for (auto& t : conversations) t.join();

  constexpr uint64_t kSessions = kThreads * kEach;
  EXPECT_EQ(proxy.Sum(&Counters::accepted), kSessions);
  EXPECT_EQ(static_cast<uint64_t>(closed), kSessions);
  uint64_t received = 0, upstream_received = 0;
  std::map<std::string, uint64_t> reasons;
  for (uint64_t i = 0; i < kSessions; ++i) {
    auto end = proxy.NextEnd();
    received += end["received"].get<uint64_t>();
    upstream_received += end["upstream_received"].get<uint64_t>();
    EXPECT_LE(end["sent"].get<uint64_t>(), end["upstream_received"].get<uint64_t>());
    EXPECT_LE(end["upstream_sent"].get<uint64_t>(), end["received"].get<uint64_t>());
    ++reasons[end["reason"]];
  }
  EXPECT_EQ(received, proxy.Sum(&Counters::client_bytes));
  EXPECT_EQ(upstream_received, proxy.Sum(&Counters::upstream_bytes));
  for (const CloseReason& reason : kCloseReasons) {
    EXPECT_EQ(reasons[std::string(reason.word)], proxy.Ended(reason.number)) << reason.word;
  }
  EXPECT_GT(reasons["client_closed"] + reasons["upstream_closed"], kSessions / 3);
}

// Sessions that begin and end as fast as they can, by every kind of end, while the map is swapped.
TEST(ShortSessions, OfEveryKindLeaveNothingBehind) {
  Server server;
  std::string refusing = RefusingAddress();
  std::atomic<uint64_t> count = 0;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) -> int64_t {
    switch (count++ % 8) {
      case 0:
        Close(s, RUM_CLOSE_DENIED);
        break;
      case 1:
        Connect(s, refusing);
        break;
      case 2:
        return RUM_E_FAILED;
      case 3:
        host->pause(s);
        break;
      case 4:
        host->timer(s, 1);
        break;
      case 5:
        Connect(s, server.address()), host->relay(s);
        return 0;
      case 6:
        Lookup(s, bytes);
        break;
      default:
        Send(s, RUM_CLIENT, bytes);
        break;
    }
    return static_cast<int64_t>(bytes.size());
  };
  hooks.timeout = [](rum_session* s, uint64_t) { Close(s, RUM_CLOSE_LIMIT); };
  hooks.looked_up = [](rum_session* s, int32_t status, std::string_view) {
    Close(s, status == RUM_FOUND ? RUM_CLOSE_DENIED : RUM_CLOSE_MAP_UNAVAILABLE);
  };
  RunningProxy proxy(hooks, [](Settings& s) {
    s.workers = 2;
    s.map = "users.cdb";
    s.login_timeout = 500ms;
    s.half_close_timeout = 500ms;
  });
  std::vector<std::thread> clients;
  for (int t = 0; t < 4; ++t) {
    clients.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < 100; ++i) {
        Peer client = proxy.Client();
        if (random() % 4) client.Send("alice");
        if (random() % 2) client.ReceiveWithin(2);
        if (random() % 2) client.ShutWrite();
        if (random() % 3 == 0) client.Reset();
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    proxy.SetMap({{i % 2 ? "alice" : "bob", std::string("\0tcp:a:1\0", 9)}});
    std::this_thread::sleep_for(5ms);
  }
  for (auto& t : clients) t.join();
  while (server.SomebodyComes(100)) server.Accept();
  EXPECT_TRUE(Eventually([&] {
    while (server.SomebodyComes(0)) server.Accept();
    return proxy.Sum(&Counters::active) == 0;
  }));
  EXPECT_EQ(proxy.Sum(&Counters::accepted), 400u);
}

}  // namespace
}  // namespace rum

// Many threads that log users in, fail and end at random: a user never has more sessions than the
// limit, none is refused without need, and at the end nothing is left. One thread at a time is
// compared with a model that knows every session by name.
#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "limits/user_limits.h"

namespace rum {
namespace {

using Answer = UserLimits::Answer;
using Lease = UserLimits::Lease;

std::atomic<uint64_t> now = 1'000'000;
uint64_t Clock() { return now; }

// What a user may be thought to be: sessions, and when each login of the last period was.
struct ModelUser {
  uint32_t sessions = 0;
  uint64_t full_at = 0;
};

class Model {
 public:
  Answer Take(const std::string& user, const UserLimit& limit) {
    ModelUser& u = users_[user];
    if (limit.max && u.sessions >= limit.max) return Answer::kTooMany;
    if (limit.rate.on()) {
      uint64_t each = static_cast<uint64_t>(limit.rate.period.count()) * 1000 / limit.rate.count;
      uint64_t start = std::max<uint64_t>(u.full_at, now);
      if (start - now > (limit.rate.count - 1) * each) return Answer::kTooFast;
      u.full_at = start + each;
    }
    ++u.sessions;
    return Answer::kTaken;
  }
  void End(const std::string& user) { --users_[user].sessions; }
  size_t users() const {
    size_t sum = 0;
    for (const auto& [name, user] : users_) sum += user.sessions != 0;
    return sum;
  }

 private:
  std::map<std::string, ModelUser> users_;
};

struct Open {
  std::string user;
  Lease lease;
};

TEST(RandomLogins, AgreeWithAModelInAnyOrder) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random(seed);
    UserLimits limits(Clock);
    Model model;
    std::deque<Open> open;
    for (int step = 0; step < 5000; ++step) {
      std::string user = "user" + std::to_string(random() % 12);
      // Limits change between logins, as by a new map.
      UserLimit limit;
      if (random() % 4) limit.max = 1 + static_cast<uint32_t>(random() % 4);
      if (random() % 2) limit.rate = {1 + static_cast<uint32_t>(random() % 5), Millis(100)};
      switch (random() % 4) {
        case 0:
        case 1: {
          Open session{user, {}};
          Answer expected = model.Take(user, limit);
          ASSERT_EQ(limits.Take(user, limit, &session.lease), expected)
              << "seed " << seed << " step " << step;
          ASSERT_EQ(static_cast<bool>(session.lease), expected == Answer::kTaken);
          if (expected == Answer::kTaken) open.push_back(std::move(session));
          break;
        }
        case 2:
          if (!open.empty()) {
            size_t at = random() % open.size();
            model.End(open[at].user);
            open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
          }
          break;
        default:
          now += random() % 40'000;
      }
      ASSERT_EQ(limits.active(), model.users());
    }
    open.clear();
    EXPECT_EQ(limits.active(), 0u);
  }
}

TEST(RandomLogins, OfManyThreadsNeverExceedTheLimitAndLeaveNothing) {
  constexpr int kThreads = 8, kUsers = 3;
  constexpr int kLimit = 5;
  UserLimits limits(Clock);
  std::atomic<int> inside[kUsers] = {};
  std::atomic<int> most = 0;
  std::atomic<uint64_t> taken = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937_64 random(static_cast<uint64_t>(t));
      std::vector<std::pair<int, Lease>> mine;
      for (int i = 0; i < 20000; ++i) {
        if (mine.size() < 4 && random() % 2) {
          int user = static_cast<int>(random() % kUsers);
          Lease lease;
          if (limits.Take("user" + std::to_string(user), {kLimit, {}}, &lease) == Answer::kTaken) {
            int now_inside = ++inside[user];
            int seen = most;
            while (now_inside > seen && !most.compare_exchange_weak(seen, now_inside)) {
            }
            ++taken;
            mine.emplace_back(user, std::move(lease));
          }
        } else if (!mine.empty()) {
          size_t at = random() % mine.size();
          --inside[mine[at].first];  // before the place is given back
          mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(at));
        }
      }
      for (auto& [user, lease] : mine) --inside[user];
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(most, kLimit);
  EXPECT_GT(taken, 0u);
  EXPECT_EQ(limits.active(), 0u);
  EXPECT_EQ(limits.entries(), 0u);
  // All places are free again.
  std::vector<Lease> leases(kLimit);
  for (Lease& lease : leases) {
    EXPECT_EQ(limits.Take("user0", {kLimit, {}}, &lease), Answer::kTaken);
  }
}

}  // namespace
}  // namespace rum

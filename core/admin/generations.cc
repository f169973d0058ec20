#include "admin/generations.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "admin/merge.h"
#include "base/clock.h"
#include "base/http_answer.h"
#include "base/log.h"

namespace rum {
namespace {

constexpr Millis kCommandTime(2000);
constexpr Millis kListTime(1500);       // rumctl top waits 2 s for one
constexpr Millis kSilentTime(200);      // for lists of one that did not answer the last time
constexpr size_t kBytesMost = 8 << 20;  // of an answer: 10,000 sessions have less
constexpr uint64_t kFresh = 1000;       // ms
constexpr size_t kListsMost = 4;        // complete answers that are kept
constexpr timeval kLook = {5, 0};       // notices in time that one has ended

}  // namespace

Generations::Generations(event_base* base, std::vector<Generation> processes)
    : base_(base), look_(event_new(base, -1, EV_PERSIST, OnLook, this)) {
  for (Generation& one : processes) {
    const SocketFile file = SocketFile::Of(one.socket);
    states_.push_back({.process = std::move(one), .file = file});
  }
  if (!states_.empty()) event_add(look_, &kLook);
}

Generations::~Generations() { event_free(look_); }

std::vector<Generation> Generations::processes() const {
  std::vector<Generation> all;
  for (const GenerationState& state : states_) all.push_back(state.process);
  return all;
}

uint64_t Generations::SumOf(uint64_t GenerationState::*member) const {
  uint64_t sum = 0;
  for (const GenerationState& state : states_) sum += state.*member;
  return sum;
}

uint64_t Generations::SessionsAt(const std::string& server) const {
  uint64_t sum = 0;
  for (const GenerationState& state : states_) {
    auto found = state.servers.find(server);
    if (found != state.servers.end()) sum += found->second;
  }
  return sum;
}

GenerationState* Generations::Find(pid_t pid) {
  auto found = std::find_if(states_.begin(), states_.end(),
                            [pid](const auto& state) { return state.process.pid == pid; });
  return found == states_.end() ? nullptr : &*found;
}

void Generations::Command(const std::string& what, Done done) {
  Ask("POST", what, [this, done = std::move(done)](std::shared_ptr<const Answers> answers) {
    // What was kept is from before the command.
    std::erase_if(lists_, [](const auto& entry) { return entry.second.answers != nullptr; });
    refreshed_at_ = 0;
    done(std::move(answers));
  });
}

void Generations::List(const std::string& what, Done done) {
  DropOld();
  if (states_.empty()) return done(std::make_shared<Answers>());
  Kept& kept = lists_[what];
  if (kept.answers) return done(kept.answers);
  kept.waiting.push_back(std::move(done));
  if (kept.waiting.size() > 1) return;
  Ask("GET", what, [this, what](std::shared_ptr<const Answers> answers) {
    Kept& complete = lists_[what];
    complete.at = NowMillis();
    complete.answers = std::move(answers);
    const auto same = complete.answers;
    for (const Done& one : std::exchange(complete.waiting, {})) one(same);
  });
}

void Generations::DropOld() {
  const uint64_t now = NowMillis();
  std::erase_if(lists_, [now](const auto& entry) {
    return entry.second.answers && now - entry.second.at >= kFresh;
  });
  while (lists_.size() > kListsMost) {
    auto oldest = lists_.end();
    for (auto one = lists_.begin(); one != lists_.end(); ++one) {
      const bool older = oldest == lists_.end() || one->second.at < oldest->second.at;
      if (one->second.answers && older) oldest = one;
    }
    if (oldest == lists_.end()) return;
    lists_.erase(oldest);
  }
}

// Asks all at the same time.
void Generations::Ask(const char* method, const std::string& what, Done done) {
  struct Round {
    Answers answers;
    size_t missing;
    Done done;
  };
  auto round = std::make_shared<Round>(Round{{}, states_.size(), std::move(done)});
  if (round->missing == 0) return round->done(std::make_shared<Answers>());
  const std::string request = HttpRequest(method, what);
  const bool command = std::string_view(method) == "POST";
  round->answers.resize(states_.size());
  for (size_t i = 0; i < states_.size(); ++i) {
    const Generation& process = states_[i].process;
    const Millis time = command ? kCommandTime : states_[i].silent ? kSilentTime : kListTime;
    auto place = open_.emplace(open_.end());
    *place = std::make_unique<SocketQuery>(
        base_, SocketQuery::Target{process.pid, process.socket}, request,
        SocketQuery::Bounds{time, kBytesMost},
        [this, place, pid = process.pid, i, round](QueryAnswer answer) {
          open_.erase(place);
          OnAnswer(pid, std::move(answer), round->answers[i]);
          if (--round->missing) return;
          // One that is gone has nothing to tell, and is not missed.
          std::erase_if(round->answers, [](const auto& one) { return one.pid == 0; });
          round->done(std::make_shared<Answers>(std::move(round->answers)));
        });
  }
}

void Generations::OnAnswer(pid_t pid, QueryAnswer answer, GenerationAnswer& result) {
  if (answer.outcome == QueryAnswer::Outcome::kGone) return OnGone(pid);
  result.pid = pid;
  if (answer.outcome != QueryAnswer::Outcome::kAnswered) return;
  result.status = answer.status;
  result.json = nlohmann::json::parse(answer.body, nullptr, false);
  if (result.json.is_discarded()) result.json = nullptr;
}

void Generations::Refresh(std::function<void()> done) {
  const bool fresh = refreshed_at_ && NowMillis() - refreshed_at_ < kFresh;
  if (states_.empty() || (fresh && !refreshing_)) return done();
  waiting_.push_back(std::move(done));
  if (std::exchange(refreshing_, true)) return;
  Ask("GET", "/stats", [this](std::shared_ptr<const Answers> stats) {
    TakeStatistics(*stats);
    Ask("GET", "/users?limit=1000", [this](std::shared_ptr<const Answers> users) {
      TakeUsers(*users);
      OnRefreshed();
    });
  });
}

void Generations::TakeStatistics(const Answers& answers) {
  for (const GenerationAnswer& answer : answers) {
    GenerationState* state = Find(answer.pid);
    if (!state) continue;
    state->silent = answer.status != 200 || !answer.json.is_object();
    if (!state->silent) ReadStatistics(answer.json, *state);
  }
}

void Generations::TakeUsers(const Answers& answers) {
  for (const GenerationAnswer& answer : answers) {
    GenerationState* state = Find(answer.pid);
    if (state && answer.status == 200) state->users = ReadUsers(answer.json);
  }
}

void Generations::OnRefreshed() {
  refreshing_ = false;
  refreshed_at_ = NowMillis();
  for (const auto& one : std::exchange(waiting_, {})) one();
}

// Its file is left behind if it was killed.
void Generations::OnGone(pid_t pid) {
  GenerationState* state = Find(pid);
  if (!state) return;
  log::Info("process {}, which had handed over, has ended", pid);
  state->file.Remove(state->process.socket);
  std::erase_if(states_, [pid](const auto& one) { return one.process.pid == pid; });
  if (states_.empty()) event_del(look_);
}

void Generations::Forget() {
  states_.clear();
  event_del(look_);
}

void Generations::OnLook(evutil_socket_t, short, void* self) {
  auto& generations = *static_cast<Generations*>(self);
  generations.DropOld();
  generations.Refresh([] {});
}

}  // namespace rum

// The processes from before a hand-over, which end with their sessions. This process speaks for
// them: it asks each over its control socket, for statistics no more than once a second.
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "admin/generation.h"
#include "admin/socket_query.h"
#include "net/inherited_sockets.h"

namespace rum {

// What it last said. Untrusted: checked and bounded, but names may have any bytes.
struct GenerationState {
  Generation process;
  SocketFile file{};
  bool silent = false;  // did not answer when asked last
  std::string version{};
  uint64_t uptime_seconds = 0;
  uint64_t sessions = 0, relaying = 0, connecting = 0;
  std::map<std::string, uint64_t> servers{}, users{};  // with their sessions
};

// The answer of one of them to a request. `json` is null if it has not answered, or not in JSON.
struct GenerationAnswer {
  pid_t pid;
  int status;  // of HTTP; 0: no answer
  nlohmann::json json;
};

class Generations {
 public:
  static constexpr size_t kNamesMost = 4096;  // servers and users that are kept of each
  using Answers = std::vector<GenerationAnswer>;
  using Done = std::function<void(std::shared_ptr<const Answers>)>;

  // [main, and all below]
  Generations(event_base* base, std::vector<Generation> processes);
  ~Generations();
  Generations(const Generations&) = delete;

  const std::vector<GenerationState>& states() const { return states_; }
  std::vector<Generation> processes() const;
  // The sum of what they last said.
  uint64_t SumOf(uint64_t GenerationState::*member) const;
  uint64_t SessionsAt(const std::string& server) const;

  // Brings states() up to date, then calls `done`: at once if there is nothing to ask.
  void Refresh(std::function<void()> done);
  // Gives each a command, and calls `done` with their answers: at once if there are none.
  void Command(const std::string& what, Done done);
  // As Command(), for a list. Its answers are used for a second.
  void List(const std::string& what, Done done);
  // Another process speaks for them.
  void Forget();

 private:
  struct Kept {
    uint64_t at = 0;                         // monotonic ms
    std::shared_ptr<const Answers> answers;  // nullptr: not complete yet
    std::vector<Done> waiting;
  };

  void Ask(const char* method, const std::string& what, Done done);
  void OnAnswer(pid_t pid, QueryAnswer answer, GenerationAnswer& result);
  void TakeStatistics(const Answers& answers);
  void TakeUsers(const Answers& answers);
  void OnRefreshed();
  void OnGone(pid_t pid);
  GenerationState* Find(pid_t pid);
  void DropOld();
  static void OnLook(evutil_socket_t, short, void* self);

  event_base* const base_;
  std::vector<GenerationState> states_;
  std::list<std::unique_ptr<SocketQuery>> open_;
  std::map<std::string, Kept> lists_;           // by what is asked
  std::vector<std::function<void()>> waiting_;  // for the refresh that is in progress
  bool refreshing_ = false;
  uint64_t refreshed_at_ = 0;  // monotonic ms; 0: never
  event* look_;
};

}  // namespace rum

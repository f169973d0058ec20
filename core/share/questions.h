// Questions for entries of "rum.shared/1" between processes: those of this process with their
// answers, and the answers to those of others. Bounds both. Knows neither Redis nor time: its owner
// passes on what is published, and the time. [one thread], but counts().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>

#include "share/question_text.h"
#include "share/sealed_message.h"

namespace rum {

class Questions {
 public:
  static constexpr uint64_t kAnswerTime = 1000;   // ms until a question is given up
  static constexpr uint64_t kConflictTime = 100;  // ms in which another may answer differently
  static constexpr uint64_t kClockMost = 30;      // s that clocks of processes may differ
  static constexpr uint32_t kAnswersMost = 200;   // in a second, by one process
  static constexpr uint64_t kRemember =
      (2 * kClockMost + 1) * 1000;  // ms: ids of others' questions

  using Found = std::function<void(SharedAnswer)>;
  struct Link {
    // Publishes; for a question OnReceivers() or Fail() follows.
    std::function<void(const std::string& channel, const std::string& message, bool question)>
        publish;
    std::function<SharedAnswer(std::string_view key)> find;  // in this process
    std::function<uint64_t()> now;                           // monotonic ms
    std::function<uint64_t()> seconds;                       // since 1970
  };
  // `prefix`: of the channels; `name`: of this process, unique.
  Questions(std::string_view secret, const std::string& prefix, std::string module,
            std::string name, Link link);

  const std::string& questions_channel() const { return questions_channel_; }
  const std::string& answers_channel() const { return answers_channel_; }

  // Asks all others; `found` may be called at once.
  void Ask(std::string key, Found found);
  // How many have received the question that was published first of those not reported yet; this
  // process is one of them.
  void OnReceivers(int64_t count);
  void OnMessage(std::string_view channel, std::string_view message);
  // Gives up what is late. Returns when to call it next, monotonic ms; nullopt: nothing waits.
  std::optional<uint64_t> OnTime();
  // No answer will come.
  void Fail();

  struct Counts {
    std::atomic<uint64_t> asked = 0;       // questions that this process had
    std::atomic<uint64_t> answered = 0;    // of these: by all others, or found
    std::atomic<uint64_t> unanswered = 0;  // of these: the others
    std::atomic<uint64_t> given = 0;       // answers to others
    std::atomic<uint64_t> dropped = 0;     // messages of others: not sealed, repeated, too many
  };
  const Counts& counts() const { return counts_; }  // [any]

 private:
  // At most so many in a second.
  struct Rate {
    uint64_t begun = 0;
    uint32_t count = 0;
    bool Take(uint64_t now, uint32_t most);
  };
  struct Pending {
    Found found;
    uint64_t due = 0;
    std::optional<int64_t> others;  // how many will answer; nullopt: not known yet
    std::set<std::string> answered;
    std::optional<std::string> value;
    bool unknown = false;  // one of them cannot say
    bool differ = false;   // two of them have different values
  };
  using Waiting = std::map<std::string, Pending>;

  void OnQuestion(std::string_view message);
  void OnAnswer(std::string_view message);
  void Judge(Waiting::iterator one);
  void Conclude(Waiting::iterator one, bool all);
  void End(Waiting::iterator one, SharedAnswer answer);
  bool Remember(const std::string& id, uint64_t now);

  const SealedMessages sealed_;
  const std::string questions_channel_, answers_prefix_, answers_channel_, name_;
  const Link link_;
  Waiting waiting_;                       // by id
  std::map<uint64_t, std::string> sent_;  // ids whose receivers are not known yet, in their order
  uint64_t last_sent_ = 0;
  Rate asking_, answering_;
  std::unordered_set<std::string> seen_, seen_before_;  // ids of others' questions
  uint64_t seen_since_ = 0;
  Counts counts_;
};

}  // namespace rum

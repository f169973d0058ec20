#include "share/questions.h"

#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "rum/module.h"

namespace rum {

bool Questions::Rate::Take(uint64_t now, uint32_t most) {
  if (now - begun >= 1000) {
    begun = now;
    count = 0;
  }
  return count < most && ++count > 0;
}

Questions::Questions(std::string_view secret, const std::string& prefix, std::string module,
                     std::string name, Link link)
    : sealed_(secret),
      questions_channel_(prefix + "ask:" + module),
      answers_prefix_(prefix + "answer:" + module + ":"),
      answers_channel_(answers_prefix_ + name),
      name_(std::move(name)),
      link_(std::move(link)) {}

void Questions::Ask(std::string key, Found found) {
  ++counts_.asked;
  const uint64_t now = link_.now();
  std::string id(kQuestionId, '\0');
  std::optional<std::string> message;
  if (waiting_.size() < RUM_MOST_SHARED_FINDS && asking_.Take(now, RUM_MOST_SHARED_FINDS_SECOND) &&
      RAND_bytes(reinterpret_cast<unsigned char*>(id.data()), kQuestionId) == 1) {
    message = sealed_.Seal(
        questions_channel_,
        WriteQuestion({.id = id, .time = link_.seconds(), .asker = name_, .key = std::move(key)}));
  }
  if (!message) {
    ++counts_.unanswered;
    return found({RUM_E_FAILED, {}});
  }
  Pending& pending = waiting_[id];
  pending.found = std::move(found);
  pending.due = now + kAnswerTime;
  sent_[++last_sent_] = id;
  link_.publish(questions_channel_, *message, true);
}

void Questions::OnReceivers(int64_t count) {
  if (sent_.empty()) return;
  const auto one = waiting_.find(sent_.begin()->second);
  sent_.erase(sent_.begin());
  if (one == waiting_.end()) return;
  one->second.others = std::max<int64_t>(count - 1, 0);
  Judge(one);
}

void Questions::OnMessage(std::string_view channel, std::string_view message) {
  if (channel == questions_channel_) return OnQuestion(message);
  if (channel == answers_channel_) return OnAnswer(message);
  ++counts_.dropped;
}

// The mark that it leaves comes before the answer: when the asker acts on it, the owner knows.
void Questions::OnQuestion(std::string_view message) {
  const auto plain = sealed_.Open(questions_channel_, message);
  const auto question = plain ? ReadQuestion(*plain) : std::nullopt;
  if (question && question->asker == name_) return;  // published by this process, to all
  const uint64_t now = link_.now(), seconds = link_.seconds();
  if (!question || question->time + kClockMost < seconds || seconds + kClockMost < question->time ||
      !answering_.Take(now, kAnswersMost) || !Remember(question->id, now)) {
    ++counts_.dropped;
    return;
  }
  const std::string channel = answers_prefix_ + question->asker;
  const auto answer = sealed_.Seal(
      channel,
      WriteAnswer({.id = question->id, .from = name_, .answer = link_.find(question->key)}));
  if (!answer) return;
  ++counts_.given;
  link_.publish(channel, *answer, false);
}

// False: it is known already. Ids are remembered for as long as their questions are accepted.
bool Questions::Remember(const std::string& id, uint64_t now) {
  if (now - seen_since_ >= kRemember) {
    seen_before_ = std::exchange(seen_, {});
    seen_since_ = now;
  }
  return !seen_before_.contains(id) && seen_.insert(id).second;
}

void Questions::OnAnswer(std::string_view message) {
  const auto plain = sealed_.Open(answers_channel_, message);
  auto answer = plain ? ReadAnswer(*plain) : std::nullopt;
  const auto one = answer ? waiting_.find(answer->id) : waiting_.end();
  if (one == waiting_.end() || !one->second.answered.insert(answer->from).second) {
    ++counts_.dropped;
    return;
  }
  Pending& pending = one->second;
  SharedAnswer& said = answer->answer;
  if (said.status == RUM_FOUND) {
    if (pending.value && *pending.value != said.value) pending.differ = true;
    if (!pending.value) pending.due = std::min(pending.due, link_.now() + kConflictTime);
    pending.value = std::move(said.value);
  } else if (said.status != RUM_NOT_FOUND) {
    pending.unknown = true;
  }
  Judge(one);
}

// Better no target than the wrong one: so all that can answer are awaited.
void Questions::Judge(Waiting::iterator one) {
  Pending& pending = one->second;
  const bool all =
      pending.others && static_cast<int64_t>(pending.answered.size()) >= *pending.others;
  if (all) Conclude(one, true);
}

// `all`: all others have answered.
void Questions::Conclude(Waiting::iterator one, bool all) {
  Pending& pending = one->second;
  if (pending.value && !pending.differ) return End(one, {RUM_FOUND, std::move(*pending.value)});
  const bool nobody = all && !pending.differ && !pending.unknown;
  End(one, {nobody ? RUM_NOT_FOUND : RUM_E_FAILED, {}});
}

void Questions::End(Waiting::iterator one, SharedAnswer answer) {
  ++(answer.status == RUM_E_FAILED ? counts_.unanswered : counts_.answered);
  const Found found = std::move(one->second.found);
  waiting_.erase(one);
  found(std::move(answer));
}

std::optional<uint64_t> Questions::OnTime() {
  const uint64_t now = link_.now();
  std::optional<uint64_t> next;
  for (auto one = waiting_.begin(); one != waiting_.end();) {
    const auto current = one++;
    Pending& pending = current->second;
    if (pending.due > now) {
      next = std::min(next.value_or(pending.due), pending.due);
    } else {
      Conclude(current, false);
    }
  }
  return next;
}

void Questions::Fail() {
  sent_.clear();
  while (!waiting_.empty()) End(waiting_.begin(), {RUM_E_FAILED, {}});
}

}  // namespace rum

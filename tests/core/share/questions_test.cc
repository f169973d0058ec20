// Questions between processes: who answers, what is not believed, and how much is done.
#include "share/questions.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rum/module.h"

namespace rum {
namespace {

const std::string kSecret(32, 's');

class QuestionsTest : public testing::Test {
 protected:
  struct Process {
    std::map<std::string, std::string> table;
    int32_t fails = 0;     // instead of an answer
    uint64_t seconds = 0;  // its clock
    std::vector<std::string> looked_for;
    std::unique_ptr<Questions> questions;
  };
  struct Message {
    std::string channel, text;
  };

  Process& Add(const std::string& name, const std::string& secret = kSecret,
               const std::string& module = "m") {
    auto process = std::make_unique<Process>();
    Process& p = *process;
    p.seconds = 1'000'000;
    p.questions = std::make_unique<Questions>(
        secret, "rum:", module, name,
        Questions::Link{
            .publish =
                [this, &p](const std::string& channel, const std::string& text, bool question) {
                  sent.push_back({channel, text});
                  if (question) asked.push_back(&p);
                },
            .find =
                [&p](std::string_view key) {
                  p.looked_for.emplace_back(key);
                  auto found = p.table.find(std::string(key));
                  if (p.fails) return SharedAnswer{p.fails, {}};
                  if (found == p.table.end()) return SharedAnswer{RUM_NOT_FOUND, {}};
                  return SharedAnswer{RUM_FOUND, found->second};
                },
            .now = [this] { return now; },
            .seconds = [&p] { return p.seconds; }});
    processes.push_back(std::move(process));
    return p;
  }
  // Redis: delivers what was published, and says to how many.
  void Deliver() {
    while (!sent.empty()) {
      const Message message = sent.front();
      sent.pop_front();
      heard.push_back(message);
      int64_t receivers = deaf;
      for (auto& p : processes) {
        if (message.channel != p->questions->questions_channel() &&
            message.channel != p->questions->answers_channel()) {
          continue;
        }
        ++receivers;
        p->questions->OnMessage(message.channel, message.text);
      }
      if (message.channel.find(":ask:") == std::string::npos) continue;
      asked.front()->questions->OnReceivers(receivers);
      asked.pop_front();
    }
  }
  static std::string Text(const SharedAnswer& answer) {
    return answer.status == RUM_FOUND       ? answer.value
           : answer.status == RUM_NOT_FOUND ? "none"
                                            : "unknown";
  }
  std::string* Ask(Process& p, const std::string& key) {
    answers.push_back(std::make_unique<std::string>("waits"));
    std::string* answer = answers.back().get();
    p.questions->Ask(key, [answer](SharedAnswer found) { *answer = Text(found); });
    return answer;
  }
  std::string AskAndDeliver(Process& p, const std::string& key) {
    const std::string* answer = Ask(p, key);
    Deliver();
    return *answer;
  }
  void Pass(uint64_t milliseconds) {
    now += milliseconds;
    for (auto& p : processes) p->questions->OnTime();
  }

  uint64_t now = 5'000'000;
  int64_t deaf = 0;  // subscribers that never answer
  std::deque<Message> sent;
  std::deque<Process*> asked;
  std::vector<Message> heard;
  std::vector<std::unique_ptr<Process>> processes;
  std::vector<std::unique_ptr<std::string>> answers;
};

TEST_F(QuestionsTest, FindsWhatAnotherProcessHas) {
  Process &one = Add("one"), &two = Add("two"), &three = Add("three");
  three.table["key"] = std::string("\0value", 6);
  EXPECT_EQ(AskAndDeliver(one, "key"), std::string("\0value", 6));
  EXPECT_EQ(AskAndDeliver(two, "key"), std::string("\0value", 6));
  EXPECT_EQ(AskAndDeliver(one, "other"), "none");
  EXPECT_EQ(one.looked_for, (std::vector<std::string>{"key"})) << "not its own questions";
  EXPECT_EQ(one.questions->counts().asked, 2u);
  EXPECT_EQ(one.questions->counts().answered, 2u);
  EXPECT_EQ(one.questions->counts().unanswered, 0u);
  EXPECT_EQ(three.questions->counts().given, 3u);
  EXPECT_EQ(one.questions->counts().dropped, 0u);
}

TEST_F(QuestionsTest, AloneIsAnsweredAtOnce) {
  EXPECT_EQ(AskAndDeliver(Add("one"), "key"), "none");
}

TEST_F(QuestionsTest, WhatNotAllHaveAnsweredIsUnknownAfterASecond) {
  Process& one = Add("one");
  Add("two");
  deaf = 1;
  const std::string* answer = Ask(one, "key");
  Deliver();
  EXPECT_EQ(*answer, "waits");
  EXPECT_EQ(one.questions->OnTime(), now + Questions::kAnswerTime);
  Pass(Questions::kAnswerTime - 1);
  EXPECT_EQ(*answer, "waits");
  Pass(1);
  EXPECT_EQ(*answer, "unknown");
  EXPECT_EQ(one.questions->OnTime(), std::nullopt);
  EXPECT_EQ(one.questions->counts().unanswered, 1u);
}

TEST_F(QuestionsTest, WhatOneHasIsBelievedSoonEvenIfAnotherDoesNotAnswer) {
  Process &one = Add("one"), &two = Add("two"), &three = Add("three");
  two.table["key"] = "value";
  three.fails = RUM_E_FAILED;
  EXPECT_EQ(AskAndDeliver(one, "key"), "value");
  EXPECT_EQ(AskAndDeliver(one, "other"), "unknown") << "three cannot say";
  deaf = 1;
  const std::string* answer = Ask(one, "key");
  Deliver();
  EXPECT_EQ(*answer, "waits");
  Pass(Questions::kConflictTime);
  EXPECT_EQ(*answer, "value");
}

TEST_F(QuestionsTest, DifferentValuesAreNone) {
  Process &one = Add("one"), &two = Add("two"), &three = Add("three");
  two.table["key"] = three.table["key"] = "same";
  EXPECT_EQ(AskAndDeliver(one, "key"), "same");
  three.table["key"] = "other";
  EXPECT_EQ(AskAndDeliver(one, "key"), "unknown");
}

TEST_F(QuestionsTest, OtherSecretsAndModulesAreNotAnswered) {
  Process &one = Add("one"), &stranger = Add("stranger", std::string(32, 'x')),
          &other = Add("other", kSecret, "n");
  stranger.table["key"] = other.table["key"] = "value";
  const std::string* answer = Ask(one, "key");
  Deliver();
  Pass(Questions::kAnswerTime);
  EXPECT_EQ(*answer, "unknown") << "the stranger listens, but cannot answer";
  EXPECT_TRUE(stranger.looked_for.empty());
  EXPECT_TRUE(other.looked_for.empty());
  EXPECT_EQ(stranger.questions->counts().dropped, 1u);
}

TEST_F(QuestionsTest, RepeatedOldAndForgedMessagesAreDropped) {
  Process &one = Add("one"), &two = Add("two");
  two.table["key"] = "value";
  EXPECT_EQ(AskAndDeliver(one, "key"), "value");
  ASSERT_EQ(heard.size(), 2u);
  const Message question = heard[0], answer = heard[1];
  for (int i = 0; i < 3; ++i) {
    two.questions->OnMessage(question.channel, question.text);
    one.questions->OnMessage(answer.channel, answer.text);
  }
  EXPECT_EQ(two.questions->counts().dropped, 3u);
  EXPECT_EQ(one.questions->counts().dropped, 3u);
  EXPECT_EQ(two.looked_for.size(), 1u);
  // In the other direction, and on channels that are not theirs.
  two.questions->OnMessage(two.questions->answers_channel(), question.text);
  two.questions->OnMessage(two.questions->questions_channel(), answer.text);
  two.questions->OnMessage("rum:x", question.text);
  two.questions->OnMessage(question.channel, "");
  two.questions->OnMessage(question.channel, std::string(100000, 'x'));
  EXPECT_EQ(two.questions->counts().dropped, 8u);
  // As long as it would be accepted by its time, it is known.
  for (uint64_t second = 1; second <= Questions::kClockMost; ++second) {
    now += 1000;
    ++two.seconds;
    two.questions->OnMessage(question.channel, question.text);
  }
  two.seconds += 1;
  now += Questions::kRemember * 2;
  two.questions->OnMessage(question.channel, question.text);
  EXPECT_EQ(two.looked_for.size(), 1u);
  EXPECT_TRUE(sent.empty());
}

TEST_F(QuestionsTest, ClocksMayDifferALittle) {
  Process &one = Add("one"), &two = Add("two");
  two.table["key"] = "value";
  two.seconds += Questions::kClockMost;
  EXPECT_EQ(AskAndDeliver(one, "key"), "value");
  EXPECT_EQ(AskAndDeliver(two, "key"), "none");
  two.seconds += 1;
  const std::string *first = Ask(one, "key"), *second = Ask(two, "key");
  Deliver();
  Pass(Questions::kAnswerTime);
  EXPECT_EQ(*first + *second, "unknownunknown");
}

TEST_F(QuestionsTest, BoundsWhatIsAskedAndAnswered) {
  Process &one = Add("one"), &two = Add("two");
  for (uint32_t i = 0; i < RUM_MOST_SHARED_FINDS; ++i) Ask(one, "k" + std::to_string(i));
  EXPECT_EQ(*Ask(one, "more"), "unknown") << "so many at once";
  Deliver();
  for (auto& answer : answers) EXPECT_EQ(*answer, answer == answers.back() ? "unknown" : "none");
  for (uint32_t i = RUM_MOST_SHARED_FINDS; i < RUM_MOST_SHARED_FINDS_SECOND; ++i) {
    EXPECT_EQ(AskAndDeliver(one, "key"), "none");
  }
  EXPECT_EQ(AskAndDeliver(one, "key"), "unknown") << "so many in a second";
  now += 1000;
  EXPECT_EQ(AskAndDeliver(one, "key"), "none");
  // Three others ask as much as they may.
  now += 1000;
  for (int i = 0; i < 3; ++i) {
    Process& other = Add("other" + std::to_string(i));
    for (uint32_t j = 0; j < RUM_MOST_SHARED_FINDS_SECOND; ++j) {
      Ask(other, "key");
      if (j % 50 == 0) Deliver();
      if (j % 50 == 0) Pass(0);
    }
    Deliver();
  }
  EXPECT_EQ(two.questions->counts().given - (RUM_MOST_SHARED_FINDS_SECOND + 1),
            uint64_t{Questions::kAnswersMost});
}

TEST_F(QuestionsTest, WithoutAConnectionAllIsUnknownAtOnce) {
  Process &one = Add("one"), &two = Add("two");
  two.table["key"] = "value";
  const std::string *first = Ask(one, "key"), *second = Ask(one, "other");
  one.questions->Fail();
  EXPECT_EQ(*first + *second, "unknownunknown");
  asked.clear();
  for (const Message& message : sent) two.questions->OnMessage(message.channel, message.text);
  one.questions->OnReceivers(2);
  EXPECT_EQ(one.questions->counts().unanswered, 2u);
}

TEST(QuestionText, IsReadStrictly) {
  const std::string id(kQuestionId, 'i');
  const std::string question = WriteQuestion({.id = id, .time = 7, .asker = "one", .key = "key"});
  const std::string answer = WriteAnswer({.id = id, .from = "two", .answer = {RUM_FOUND, "value"}});
  const auto asked = ReadQuestion(question);
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->id + asked->asker + asked->key, id + "onekey");
  EXPECT_EQ(asked->time, 7u);
  const auto said = ReadAnswer(answer);
  ASSERT_TRUE(said);
  EXPECT_EQ(said->from + said->answer.value, "twovalue");
  EXPECT_FALSE(ReadQuestion(answer));
  EXPECT_FALSE(ReadAnswer(question));
  for (size_t i = 0; i < question.size(); ++i) EXPECT_FALSE(ReadQuestion(question.substr(0, i)));
  for (size_t i = 0; i < answer.size(); ++i) EXPECT_FALSE(ReadAnswer(answer.substr(0, i)));
  EXPECT_FALSE(ReadQuestion(question + "x"));
  EXPECT_FALSE(ReadAnswer(answer + "x"));
  const std::string long_key(RUM_MOST_SHARED_KEY + 1, 'k');
  EXPECT_FALSE(ReadQuestion(WriteQuestion({.id = id, .time = 7, .asker = "one", .key = long_key})));
}

}  // namespace
}  // namespace rum

#include "lookup/record_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace rum {
namespace {

using Kind = RemoteAnswer::Kind;
using Ask = RecordCache::Ask;

RecordCache::Limits Small() {
  return {.ttl = 100, .negative_ttl = 10, .stale = 1000, .bytes = 1 << 20, .questions = 3};
}

RemoteAnswer Found(const std::string& value) {
  return {Kind::kFound, std::make_shared<const std::string>(value), {}};
}

class RecordCacheTest : public ::testing::Test {
 protected:
  // What Begin() says; waiters count in `answered`.
  Ask Begin(const std::string& user, uint64_t now) {
    return cache_.Begin(
        0, user, now, [this](RemoteAnswer a) { answered_.push_back(a); }, &answer_);
  }
  void End(const std::string& user, uint64_t now, RemoteAnswer answer) {
    auto ended = cache_.Answer(0, user, now, std::move(answer));
    for (auto& waiter : ended.waiters) waiter(ended.answer);
  }
  bool Knows(const std::string& user, uint64_t now) { return cache_.Find(0, user, now, &answer_); }

  RecordCache cache_{Small(), 2};
  RemoteAnswer answer_;
  std::vector<RemoteAnswer> answered_;
};

TEST_F(RecordCacheTest, AnswersUntilTheTimeToLiveIsOver) {
  ASSERT_EQ(Begin("a", 0), Ask::kBegun);
  End("a", 5, Found("x"));
  EXPECT_TRUE(Knows("a", 104));
  EXPECT_EQ(*answer_.value, "x");
  EXPECT_FALSE(Knows("a", 105));
  EXPECT_EQ(Begin("a", 104), Ask::kAnswered);
  ASSERT_EQ(Begin("n", 0), Ask::kBegun);
  End("n", 0, {Kind::kNotFound, nullptr, {}});
  EXPECT_TRUE(Knows("n", 9));
  EXPECT_EQ(answer_.kind, Kind::kNotFound);
  EXPECT_FALSE(Knows("n", 10));
  RemoteAnswer other;
  EXPECT_FALSE(cache_.Find(1, "a", 50, &other)) << "of another source";
}

// Workers read the clock before they look, and the answer may come in between.
TEST_F(RecordCacheTest, AnAnswerOfTheNextMillisecondIsFresh) {
  ASSERT_EQ(Begin("a", 5), Ask::kBegun);
  End("a", 6, Found("x"));
  EXPECT_TRUE(Knows("a", 5));
  EXPECT_TRUE(cache_.FindStale(0, "a", 5, &answer_));
}

TEST_F(RecordCacheTest, OneQuestionOfAUserIsUnderWay) {
  EXPECT_EQ(Begin("a", 0), Ask::kBegun);
  EXPECT_EQ(Begin("a", 0), Ask::kJoined);
  EXPECT_EQ(cache_.questions(), 1u);
  End("a", 1, Found("x"));
  EXPECT_EQ(answered_.size(), 2u);
  EXPECT_EQ(cache_.questions(), 0u);
}

TEST_F(RecordCacheTest, QuestionsAreBounded) {
  for (const char* user : {"a", "b", "c"}) EXPECT_EQ(Begin(user, 0), Ask::kBegun);
  EXPECT_EQ(Begin("d", 0), Ask::kFull);
  End("a", 0, {});
  EXPECT_EQ(Begin("d", 0), Ask::kBegun);
}

TEST_F(RecordCacheTest, AStaleRecordServesWhileTheSourceIsUnavailable) {
  Begin("a", 0);
  End("a", 0, Found("x"));
  ASSERT_EQ(Begin("a", 500), Ask::kBegun);
  End("a", 500, {});
  EXPECT_EQ(answered_.back().kind, Kind::kFound);
  EXPECT_EQ(cache_.stale(), 1u);
  EXPECT_FALSE(Knows("a", 500)) << "and is not renewed by that";
  EXPECT_FALSE(cache_.FindStale(0, "a", 1000, &answer_));
  Begin("n", 0);
  End("n", 0, {Kind::kNotFound, nullptr, {}});
  EXPECT_FALSE(cache_.FindStale(0, "n", 500, &answer_)) << "that there was no user is no record";
}

TEST_F(RecordCacheTest, AChangedRecordIsForgotten) {
  Begin("a", 0);
  End("a", 0, Found("x"));
  cache_.Forget(0, "a");
  EXPECT_FALSE(Knows("a", 0));
  EXPECT_FALSE(cache_.FindStale(0, "a", 0, &answer_));
  EXPECT_EQ(cache_.bytes(), 0u);
}

TEST_F(RecordCacheTest, AChangeDuringAQuestionMakesItsAnswerGoodForOnce) {
  Begin("a", 0);
  cache_.Forget(0, "a");
  End("a", 0, Found("old"));
  EXPECT_EQ(*answered_.back().value, "old");
  EXPECT_FALSE(Knows("a", 0));
  Begin("b", 0);
  cache_.ForgetAll(0);
  End("b", 0, Found("old"));
  EXPECT_FALSE(Knows("b", 0));
}

TEST_F(RecordCacheTest, WhatIsSuspectServesOnlyAsStale) {
  Begin("a", 0);
  End("a", 0, Found("x"));
  cache_.Suspect(0);
  EXPECT_FALSE(Knows("a", 1));
  EXPECT_TRUE(cache_.FindStale(0, "a", 1, &answer_));
  cache_.ForgetAll(0);
  EXPECT_FALSE(cache_.FindStale(0, "a", 1, &answer_));
  EXPECT_EQ(cache_.entries(), 0u);
}

TEST_F(RecordCacheTest, BytesAreBoundedAndTheOldestGoFirst) {
  const std::string big(5000, 'x');
  for (int i = 0; i < 1000; ++i) {
    const std::string user = "u" + std::to_string(i);
    Begin(user, 0);
    End(user, 0, Found(big));
    ASSERT_LE(cache_.bytes(), uint64_t{1 << 20});
  }
  EXPECT_TRUE(Knows("u999", 0));
  EXPECT_FALSE(Knows("u0", 0));
  EXPECT_GT(cache_.evicted(), 700u);
  Begin("huge", 0);
  End("huge", 0, Found(std::string(60000, 'x')));
  EXPECT_FALSE(Knows("huge", 0)) << "larger than a shard: used once";
}

TEST_F(RecordCacheTest, NamesThatClientsMakeUpDropNoRecords) {
  Begin("a", 0);
  End("a", 0, Found("x"));
  for (int i = 0; i < 20000; ++i) {
    const std::string user = "made-up-" + std::to_string(i);
    Begin(user, 0);
    End(user, 0, {Kind::kNotFound, nullptr, {}});
  }
  EXPECT_TRUE(Knows("a", 0));
  EXPECT_LE(cache_.bytes(), uint64_t{(1 << 20) / 8 + 1000});
}

TEST_F(RecordCacheTest, ThreadsMayUseItTogether) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 5000; ++i) {
        const std::string user = "u" + std::to_string((i * 7 + t) % 50);
        RemoteAnswer answer;
        if (cache_.Begin(
                0, user, i, [](RemoteAnswer) {}, &answer) == Ask::kBegun) {
          cache_.Answer(0, user, i, Found(user));
        } else if (answer.value) {
          EXPECT_EQ(*answer.value, user);
        }
        if (i % 97 == 0) cache_.Forget(0, user);
        if (i % 997 == 0) cache_.ForgetAll(0);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(cache_.questions(), 0u);
}

}  // namespace
}  // namespace rum

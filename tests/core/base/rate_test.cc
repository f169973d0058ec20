// Rates as users write them, and the bucket that keeps to one.
#include "base/rate.h"

#include <gtest/gtest.h>

namespace rum {
namespace {

TEST(Rate, IsReadAndWritten) {
  const std::pair<const char*, Rate> rates[] = {
      {"5/s", {5, Millis(1000)}},       {"1/1s", {1, Millis(1000)}},
      {"100/m", {100, Millis(60000)}},  {"10/h", {10, Millis(3600000)}},
      {"20/90s", {20, Millis(90000)}},  {"3/250ms", {3, Millis(250)}},
      {"7/24h", {7, Millis(86400000)}}, {"off", {}},
      {"5/ms", {5, Millis(1)}},         {"1000000/s", {1000000, Millis(1000)}},
  };
  for (const auto& [text, rate] : rates) {
    auto read = ParseRate(text);
    ASSERT_TRUE(read.ok()) << text;
    EXPECT_EQ(*read, rate) << text;
    EXPECT_EQ(*ParseRate(FormatRate(rate)), rate) << FormatRate(rate);
  }
  EXPECT_EQ(FormatRate({1, Millis(1000)}), "1/s");
  EXPECT_EQ(FormatRate({20, Millis(90000)}), "20/90s");
  EXPECT_EQ(FormatRate({20, Millis(10000)}), "20/10s");
  EXPECT_EQ(FormatRate({}), "off");
}

TEST(Rate, IsRefusedWhenItCouldMeanSomethingElse) {
  for (const char* text :
       {"",     "5",    "/s",        "5/", "0/s", "-1/s", "5/0s",  "5/10", "5/d", "5/25h",
        "5 /s", "5/s ", "1000001/s", "s",  "5s",  "5//s", "5/off", "5/1",  "x/s", "5/S"}) {
    EXPECT_FALSE(ParseRate(text).ok()) << text;
  }
}

TEST(Bucket, GivesSoManyAtOnceAndThenOneAfterTheOther) {
  const Rate rate = {3, Millis(300)};
  Bucket bucket;
  uint64_t now = 1'000'000;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(rate, now));
  EXPECT_FALSE(bucket.Has(rate, now));
  EXPECT_FALSE(bucket.Take(rate, now));
  EXPECT_FALSE(bucket.Take(rate, now + 99'999));
  EXPECT_TRUE(bucket.Has(rate, now + 100'000));
  EXPECT_TRUE(bucket.Take(rate, now + 100'000));
  EXPECT_FALSE(bucket.Take(rate, now + 100'000));
  EXPECT_FALSE(bucket.Full(now + 399'999));
  EXPECT_TRUE(bucket.Full(now + 400'000));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.Take(rate, now + 500'000));
  EXPECT_FALSE(bucket.Take(rate, now + 500'000));
  bucket.Refill();
  EXPECT_TRUE(bucket.Take(rate, now + 500'000));
}

TEST(Bucket, KeepsToItsRateInTheLongRun) {
  for (Rate rate : {Rate{1, Millis(1000)}, Rate{7, Millis(1000)}, Rate{1000, Millis(60000)}}) {
    Bucket bucket;
    uint64_t taken = 0;
    const uint64_t period = static_cast<uint64_t>(rate.period.count()) * 1000;
    for (uint64_t now = 0; now < 20 * period; now += period / 997 + 1) {
      taken += bucket.Take(rate, now);
    }
    // What is not taken at the moment it is there is lost, but for what the bucket holds.
    EXPECT_GE(taken, 19 * rate.count);
    EXPECT_LE(taken, 21 * rate.count);
  }
}

TEST(Bucket, IsChargedWithWhatOthersTakeButNeverForMoreThanTwoPeriods) {
  const Rate rate = {3, Millis(300)};
  EXPECT_EQ(TokenMicros(rate), 100'000u);
  Bucket bucket;
  const uint64_t now = 1'000'000;
  bucket.Charge(2 * TokenMicros(rate), now - 50'000);
  EXPECT_EQ(bucket.Left(rate, now), 1u) << "half a token has come since";
  EXPECT_EQ(bucket.Left(rate, now + 50'000), 2u);
  bucket.Charge(5 * TokenMicros(rate), now);
  EXPECT_EQ(bucket.Left(rate, now), 0u);
  EXPECT_FALSE(bucket.Has(rate, now + 449'999)) << "what is beyond counts";
  EXPECT_TRUE(bucket.Has(rate, now + 450'000));
  for (int i = 0; i < 10; ++i) bucket.Charge(UINT64_MAX, now);
  bucket.Bound(rate, now);
  EXPECT_FALSE(bucket.Has(rate, now + 399'999));
  EXPECT_TRUE(bucket.Has(rate, now + 400'000));
  EXPECT_TRUE(bucket.Full(now + 600'000));
  bucket.Bound({}, now);
  EXPECT_TRUE(bucket.Take({}, now));
}

TEST(Bucket, WithoutARateGivesAlways) {
  Bucket bucket;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(bucket.Take({}, 5));
  EXPECT_TRUE(bucket.Full(5));
}

}  // namespace
}  // namespace rum

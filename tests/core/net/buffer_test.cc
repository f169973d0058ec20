#include "net/buffer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace rum {
namespace {

std::string TextOf(const Buffer& buffer) {
  return buffer.empty() ? ""
                        : std::string(reinterpret_cast<const char*>(buffer.data()), buffer.size());
}

TEST(Buffer, HoldsNothingAtFirst) {
  Buffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.size(), 0u);
}

TEST(Buffer, GivesBytesInTheOrderInWhichTheyCame) {
  Buffer buffer;
  buffer.Append("abc", 3);
  buffer.Append("def", 3);
  EXPECT_EQ(TextOf(buffer), "abcdef");
  buffer.Consume(2);
  EXPECT_EQ(TextOf(buffer), "cdef");
  buffer.Append("g", 1);
  EXPECT_EQ(TextOf(buffer), "cdefg");
  buffer.Consume(5);
  EXPECT_TRUE(buffer.empty());
}

TEST(Buffer, TakesNothingAppended) {
  Buffer buffer;
  buffer.Append(nullptr, 0);
  EXPECT_TRUE(buffer.empty());
  buffer.Append("a", 1);
  buffer.Append(nullptr, 0);
  EXPECT_EQ(TextOf(buffer), "a");
}

TEST(Buffer, CanBeUsedAgainAfterItWasCleared) {
  Buffer buffer;
  buffer.Append("abc", 3);
  buffer.Clear();
  EXPECT_TRUE(buffer.empty());
  buffer.Append("def", 3);
  EXPECT_EQ(TextOf(buffer), "def");
}

TEST(Buffer, KeepsItsBytesWhenAnOverlapForbidsToMoveThemDown) {
  // The free front is smaller than what is alive: they must not be moved onto each other.
  Buffer buffer;
  std::string text(512, 'a');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i);
  buffer.Append(text.data(), text.size());
  buffer.Consume(10);
  buffer.Append("0123456789", 10);
  EXPECT_EQ(TextOf(buffer), text.substr(10) + "0123456789");
}

TEST(Buffer, BehavesAsAStringThroughRandomUse) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    Buffer buffer;
    std::string model;
    for (int step = 0; step < 400; ++step) {
      if (random() % 2) {
        std::string piece(random() % (random() % 8 ? 300 : 70000), '\0');
        for (char& c : piece) c = static_cast<char>(random());
        buffer.Append(piece.data(), piece.size());
        model += piece;
      } else {
        size_t n = model.empty() ? 0 : random() % (model.size() + 1);
        buffer.Consume(n);
        model.erase(0, n);
      }
      ASSERT_EQ(buffer.size(), model.size());
      ASSERT_EQ(buffer.empty(), model.empty());
    }
    ASSERT_EQ(TextOf(buffer), model);
  }
}

TEST(Buffer, HoldsMoreThanTheHighWaterMark) {
  Buffer buffer;
  std::string block(1 << 20, 'b');
  for (int i = 0; i < 20; ++i) buffer.Append(block.data(), block.size());
  EXPECT_EQ(buffer.size(), 20u << 20);
  buffer.Consume((20u << 20) - 1);
  EXPECT_EQ(TextOf(buffer), "b");
}

}  // namespace
}  // namespace rum

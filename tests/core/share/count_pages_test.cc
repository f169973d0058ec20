// What processes publish, and what they make of what others publish, whoever wrote it.
#include "share/count_pages.h"

#include <gtest/gtest.h>

#include <string>

namespace rum {
namespace {

OtherNodes::Counts Read(const std::vector<std::string>& pages) {
  OtherNodes::Counts counts;
  for (const std::string& page : pages) EXPECT_TRUE(AddPage(page, &counts));
  return counts;
}

TEST(CountPages, AreReadAsTheyWereWritten) {
  bool complete = false;
  const std::string odd("u9 1:x\n\0\xff", 9);
  const auto pages = WritePages({{"alice", 3}, {odd, 2}}, {{"192.0.2.1/32", 4}}, &complete);
  ASSERT_EQ(pages.size(), 1u);
  EXPECT_TRUE(complete);
  EXPECT_EQ(PagesOf(pages[0]), 1u);
  EXPECT_TRUE(pages[0].starts_with("1\nu3 5:alice\na4 12:192.0.2.1/32\n")) << pages[0];
  const auto counts = Read(pages);
  EXPECT_EQ(counts.users.size(), 2u);
  EXPECT_EQ(counts.users.at("alice"), 3u);
  EXPECT_EQ(counts.users.at(odd), 2u);
  EXPECT_EQ(counts.addresses.at("192.0.2.1/32"), 4u);
}

TEST(CountPages, OfAnIdleProcessAreOneWithoutEntries) {
  bool complete = false;
  EXPECT_EQ(WritePages({}, {}, &complete), std::vector<std::string>{"1\n"});
  EXPECT_TRUE(complete);
}

TEST(CountPages, HaveManyUsersOnSeveralPagesAndTheMostUsedOfTooMany) {
  KeySessions users;
  for (uint32_t i = 0; i < 20000; ++i) users.emplace_back("user" + std::to_string(i), 20000 - i);
  bool complete = false;
  auto pages = WritePages(users, {}, &complete);
  EXPECT_TRUE(complete);
  EXPECT_GT(pages.size(), 1u);
  EXPECT_EQ(PagesOf(pages.back()), pages.size());
  for (const std::string& page : pages) EXPECT_LE(page.size(), 64u * 1024);
  EXPECT_EQ(Read(pages).users.size(), 20000u);
  EXPECT_EQ(Read(pages).users.at("user19999"), 1u);

  for (auto& [user, sessions] : users) user.append(500, 'x');
  pages = WritePages(users, {}, &complete);
  EXPECT_FALSE(complete);
  EXPECT_EQ(pages.size(), kPagesMost);
  const auto counts = Read(pages);
  EXPECT_TRUE(counts.users.contains(users.front().first));
  EXPECT_FALSE(counts.users.contains(users.back().first));
}

TEST(CountPages, AddUpOverProcesses) {
  OtherNodes::Counts counts;
  EXPECT_TRUE(AddPage("1\nu3 5:alice\n", &counts));
  EXPECT_TRUE(AddPage("1\nu4 5:alice\nu1 3:bob\n", &counts));
  EXPECT_EQ(counts.users.at("alice"), 7u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(AddPage("1\nu1000000 3:bob\n", &counts));
  EXPECT_EQ(counts.users.at("bob"), kSessionsMost) << "as many as are counted";
}

TEST(CountPages, OfAHostileWriterAreLeftOutFromTheFirstFault) {
  for (const char* page : {"",
                           "x",
                           "0\n",
                           "65\n",
                           "1",
                           "99999999999999999999\n",
                           "-1\n",
                           "1\nx",
                           "1\nu",
                           "1\nu3",
                           "1\nu3 ",
                           "1\nu0 5:alice\n",
                           "1\nu-3 5:alice\n",
                           "1\nu1000001 5:alice\n",
                           "1\nu99999999999 5:alice\n",
                           "1\nu3 0:\n",
                           "1\nu3 513:alice\n",
                           "1\nu3 5:alic\n",
                           "1\nu3 5:alice",
                           "1\nu3 5:alicex\n",
                           "1\nv3 5:alice\n",
                           "1\nu3 4294967295:alice\n"}) {
    OtherNodes::Counts counts;
    EXPECT_FALSE(AddPage(page, &counts)) << page;
    EXPECT_TRUE(counts.users.empty()) << page;
  }
  OtherNodes::Counts counts;
  EXPECT_FALSE(AddPage("1\nu3 5:alice\nu0 3:bob\nu4 5:carol\n", &counts));
  EXPECT_EQ(counts.users.size(), 1u);
  EXPECT_EQ(PagesOf("junk"), 0u);
}

}  // namespace
}  // namespace rum

// What processes publish, and what they make of what others publish, whoever wrote it.
#include "share/count_pages.h"

#include <gtest/gtest.h>

#include <string>

namespace rum {
namespace {

OtherNodes::Counts Read(const std::vector<std::string>& pages) {
  OtherNodes::Counts counts;
  ChargeTables charges;
  for (const std::string& page : pages) EXPECT_TRUE(AddPage(page, &counts, &charges));
  return counts;
}

TEST(CountPages, AreReadAsTheyWereWritten) {
  bool complete = false;
  const std::string odd("u9 1:x\n\0\xff", 9);
  const auto pages = WritePages({{{"alice", 3}, {odd, 2}}, {{"192.0.2.1/32", 4}}}, &complete);
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
  EXPECT_EQ(WritePages({}, &complete), std::vector<std::string>{"1\n"});
  EXPECT_TRUE(complete);
}

TEST(CountPages, HaveManyUsersOnSeveralPagesAndTheMostUsedOfTooMany) {
  KeySessions users;
  for (uint32_t i = 0; i < 20000; ++i) users.emplace_back("user" + std::to_string(i), 20000 - i);
  bool complete = false;
  auto pages = WritePages({users}, &complete);
  EXPECT_TRUE(complete);
  EXPECT_GT(pages.size(), 1u);
  EXPECT_EQ(PagesOf(pages.back()), pages.size());
  for (const std::string& page : pages) EXPECT_LE(page.size(), 64u * 1024);
  EXPECT_EQ(Read(pages).users.size(), 20000u);
  EXPECT_EQ(Read(pages).users.at("user19999"), 1u);

  for (auto& [user, sessions] : users) user.append(500, 'x');
  pages = WritePages({users}, &complete);
  EXPECT_FALSE(complete);
  EXPECT_EQ(pages.size(), kPagesMost);
  const auto counts = Read(pages);
  EXPECT_TRUE(counts.users.contains(users.front().first));
  EXPECT_FALSE(counts.users.contains(users.back().first));
}

TEST(CountPages, AddUpOverProcesses) {
  OtherNodes::Counts counts;
  ChargeTables charges;
  EXPECT_TRUE(AddPage("1\nu3 5:alice\n", &counts, &charges));
  EXPECT_TRUE(AddPage("1\nu4 5:alice\nu1 3:bob\n", &counts, &charges));
  EXPECT_EQ(counts.users.at("alice"), 7u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(AddPage("1\nu1000000 3:bob\n", &counts, &charges));
  EXPECT_EQ(counts.users.at("bob"), kSessionsMost) << "as many as are counted";
}

TEST(CountPages, OfAHostileWriterAreLeftOutFromTheFirstFault) {
  for (const char* page :
       {"",
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
        "1\nv3",
        "1\nv3 5:alic\n",
        "1\nv3 :alice\n",
        "1\nv 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 5:alice\n",
        "1\nu3 4 5:alice\n",
        "1\nU3 5:alice\n",
        "1\nU3 0 5:alice\n",
        "1\nU0 3 5:alice\n",
        "1\nU3 4 5 5:alice\n",
        "1\nU9007199254740993 1 5:alice\n",
        "1\nu3 4294967295:alice\n"}) {
    OtherNodes::Counts counts;
    ChargeTables charges;
    EXPECT_FALSE(AddPage(page, &counts, &charges)) << page;
    EXPECT_TRUE(counts.users.empty() && charges[0].empty()) << page;
  }
  OtherNodes::Counts counts;
  ChargeTables charges;
  EXPECT_FALSE(AddPage("1\nu3 5:alice\nu0 3:bob\nu4 5:carol\n", &counts, &charges));
  EXPECT_EQ(counts.users.size(), 1u);
  EXPECT_EQ(PagesOf("junk"), 0u);
}

TEST(CountPages, HaveTheChargesOfRates) {
  bool complete = false;
  Published published{{{"alice", 3}}, {}, {}};
  published.charges[0] = {{"alice", {7, 600000}}, {"b:b", {8, 1}}};
  published.charges[1] = {{"192.0.2.1/32", {1, 2}}};
  published.charges[2] = {{"192.0.2.1/32", {3, 4}}};
  const auto pages = WritePages(published, &complete);
  EXPECT_EQ(pages[0],
            "1\nu3 5:alice\nU600000 7 5:alice\nA2 1 12:192.0.2.1/32\nF4 3 12:192.0.2.1/32\n"
            "U1 8 3:b:b\n");
  OtherNodes::Counts counts;
  ChargeTables charges;
  EXPECT_TRUE(AddPage(pages[0], &counts, &charges));
  EXPECT_EQ(counts.users.size(), 1u);
  EXPECT_EQ(counts.charges, 4u);
  for (size_t kind = 0; kind < kRateKinds; ++kind) {
    EXPECT_EQ(charges[kind].size(), published.charges[kind].size());
    for (const auto& [key, charge] : published.charges[kind]) {
      EXPECT_EQ(charges[kind].at(key), charge) << key;
    }
  }
}

TEST(CountPages, MayHaveKindsThatOnlyLaterVersionsKnow) {
  OtherNodes::Counts counts;
  ChargeTables charges;
  EXPECT_TRUE(AddPage("1\nv3 5:alice\nW1 2 x=y 3:a:b\nu3 3:bob\n", &counts, &charges));
  EXPECT_EQ(counts.users.size(), 1u);
  EXPECT_EQ(counts.users.at("bob"), 3u);
}

}  // namespace
}  // namespace rum

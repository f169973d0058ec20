// The bytes of a journal: what is read of them when they are whole, cut at any byte, or changed.
#include "map/map_journal.h"

#include <gtest/gtest.h>

#include <vector>

namespace rum {
namespace {

constexpr uint64_t kId = 42;

JournalBase SomeBase() {
  JournalBase base;
  base.identity.fill(0xab);
  base.folded = 7;
  base.stamp = {.device = 1, .inode = 2, .bytes = 3, .modified_ns = -4, .changed_ns = 0};
  return base;
}

struct Content {
  std::vector<JournalChange> changes;
  std::vector<JournalBase> bases;
  JournalEnd end;
};

Content Parse(std::string_view bytes, uint64_t id = kId, uint64_t last = 0) {
  Content content;
  content.end =
      ParseJournal(bytes, id, last,
                   {.change = [&](const JournalChange& c) { content.changes.push_back(c); },
                    .base = [&](const JournalBase& b) { content.bases.push_back(b); }});
  return content;
}

// A base and three changes, and where each record ends.
struct Journal {
  Journal() {
    AppendJournalBase(bytes, kId, SomeBase());
    ends.push_back(bytes.size());
    const JournalChange changes[] = {{8, "alice", std::string_view("*x\0tcp:a:1\0", 11)},
                                     {9, "bob", std::nullopt},
                                     {10, "", std::string_view()}};
    for (const JournalChange& change : changes) {
      AppendJournalChange(bytes, kId, change);
      ends.push_back(bytes.size());
    }
  }
  std::string bytes;
  std::vector<size_t> ends;
};

TEST(MapJournal, GivesBackWhatWasAppended) {
  const Journal journal;
  const Content content = Parse(journal.bytes);
  ASSERT_EQ(content.bases.size(), 1u);
  EXPECT_EQ(content.bases[0], SomeBase());
  ASSERT_EQ(content.changes.size(), 3u);
  EXPECT_EQ(content.changes[0], (JournalChange{8, "alice", std::string_view("*x\0tcp:a:1\0", 11)}));
  EXPECT_EQ(content.changes[1], (JournalChange{9, "bob", std::nullopt}));
  EXPECT_EQ(content.changes[2], (JournalChange{10, "", std::string_view()}));
  EXPECT_EQ(content.end.kind, JournalEnd::Kind::kWhole);
  EXPECT_EQ(content.end.good, journal.bytes.size());
  EXPECT_EQ(content.end.last, 10u);
}

TEST(MapJournal, KnowsItsHeader) {
  EXPECT_EQ(ParseJournalHeader(FormatJournalHeader(kId)), kId);
  EXPECT_EQ(FormatJournalHeader(kId).size(), kJournalHeaderBytes);
  EXPECT_FALSE(ParseJournalHeader(FormatJournalHeader(kId).substr(1)));
  EXPECT_FALSE(ParseJournalHeader("rumjnl2\n12345678"));
}

TEST(MapJournal, EndsAtTheLastWholeRecordWhereverItIsCut) {
  const Journal journal;
  for (size_t size = 0; size < journal.bytes.size(); ++size) {
    const Content content = Parse(std::string_view(journal.bytes).substr(0, size));
    size_t whole = 0;
    for (size_t end : journal.ends) whole = end <= size ? end : whole;
    EXPECT_EQ(content.end.good, whole) << size;
    EXPECT_EQ(content.end.kind, whole == size ? JournalEnd::Kind::kWhole : JournalEnd::Kind::kTorn)
        << size;
  }
}

TEST(MapJournal, TakesZeroesAtTheEndForAnInterruptedWrite) {
  Journal journal;
  journal.bytes.append(100'000, '\0');
  const Content content = Parse(journal.bytes);
  EXPECT_EQ(content.end.kind, JournalEnd::Kind::kTorn);
  EXPECT_EQ(content.end.good, journal.ends.back());
}

TEST(MapJournal, FindsAnyChangedByteBeforeAGoodRecord) {
  const Journal journal;
  for (size_t at = 0; at < journal.ends[2]; ++at) {
    std::string bytes = journal.bytes;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x40);
    const Content content = Parse(bytes);
    size_t before = 0;
    for (size_t end : journal.ends) before = end <= at ? end : before;
    EXPECT_EQ(content.end.good, before) << at;
    EXPECT_EQ(content.end.kind, JournalEnd::Kind::kDamaged) << at;
  }
}

TEST(MapJournal, AcceptsNoRecordOfAnotherJournal) {
  const Journal journal;
  EXPECT_EQ(Parse(journal.bytes, kId + 1).end.good, 0u);
}

TEST(MapJournal, AcceptsNoGapBetweenChanges) {
  std::string bytes;
  AppendJournalChange(bytes, kId, {1, "alice", std::nullopt});
  const size_t first = bytes.size();
  AppendJournalChange(bytes, kId, {3, "alice", std::nullopt});
  const Content content = Parse(bytes);
  EXPECT_EQ(content.end.good, first);
  EXPECT_EQ(content.end.kind, JournalEnd::Kind::kDamaged);
  EXPECT_EQ(Parse(bytes, kId, 1).end.good, 0u) << "the first is not the one after 1";
  EXPECT_EQ(Parse(bytes.substr(first), kId, 2).end.last, 3u);
}

// A file of nothing but beginnings of records must not cost the square of its size.
TEST(MapJournal, SearchesForGoodRecordsWithinBounds) {
  std::string record;
  AppendJournalChange(record, kId, {1, "alice", std::string_view()});
  std::string bytes;
  while (bytes.size() < (32 << 20)) {
    bytes.append(record.substr(0, 4)).append("\0\0\x10\0________", 12);
  }
  EXPECT_EQ(Parse(bytes).end.kind, JournalEnd::Kind::kDamaged);
}

}  // namespace
}  // namespace rum

// MapFile: what it finds, what it refuses, and that nothing done to the file later reaches it.
#include "map/map_file.h"

#include <cdb.h>
#include <sys/stat.h>

#include <atomic>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "map/map_validate.h"
#include "map_test_files.h"

namespace rum {
namespace {

using test::CdbHash;
using test::Folder;
using test::GetWord;
using test::MakeCdb;
using test::MakeUsers;
using test::Records;
using test::SetWord;
using test::UserValue;
using test::WriteFile;
using Answer = MapFile::Answer;

const Records kRecords = {
    {"alice", UserValue("tcp:db1:3306")},
    {"bob", std::string("*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19") + UserValue("tcp:db2:3306")},
    {"carol", UserValue("sock:/run/db.sock") + "tail"},
    {"", "empty key"},
    {std::string("n\0l", 3), ""},
    {"\xff\xfe", std::string(300, '\0')},
    {"dave", "no NUL at all"},
};

std::string Why(std::string_view bytes) {
  auto map = MapFile::FromBytes("m", bytes);
  return map ? "accepted" : map.error().text;
}
bool Refused(std::string_view bytes) { return !MapFile::FromBytes("m", bytes).ok(); }

std::string Ask(const MapFile& map, std::string_view key) {
  std::string_view value;
  switch (map.Find(key, &value)) {
    case Answer::kFound:
      return std::string(value);
    case Answer::kNotFound:
      return "(not found)";
    case Answer::kBroken:
      return "(broken)";
  }
  return "(no answer)";
}

TEST(MapFile, FindsEveryUserOfAFileThatTinycdbWrote) {
  Folder folder;
  const std::string path = folder / "users.cdb";
  int fd = open(path.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_GE(fd, 0);
  cdb_make make;
  cdb_make_start(&make, fd);
  for (int i = 0; i < 5000; ++i) {
    std::string key = "user" + std::to_string(i),
                value = UserValue("tcp:db" + std::to_string(i) + ":1");
    cdb_make_add(&make, key.data(), static_cast<unsigned>(key.size()), value.data(),
                 static_cast<unsigned>(value.size()));
  }
  ASSERT_EQ(cdb_make_finish(&make), 0);
  close(fd);

  auto map = MapFile::Load(path);
  ASSERT_TRUE(map.ok()) << map.error().text;
  EXPECT_EQ((*map)->records(), 5000u);
  EXPECT_EQ((*map)->duplicates(), 0u);
  EXPECT_EQ((*map)->bytes(), std::filesystem::file_size(path));
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(Ask(**map, "user" + std::to_string(i)),
              UserValue("tcp:db" + std::to_string(i) + ":1"));
    ASSERT_EQ(Ask(**map, "User" + std::to_string(i)), "(not found)");
  }
}

TEST(MapFile, FindsKeysAndValuesOfAnyBytes) {
  auto map = MapFile::FromBytes("m", MakeCdb(kRecords));
  ASSERT_TRUE(map.ok()) << map.error().text;
  for (const auto& [key, value] : kRecords) EXPECT_EQ(Ask(**map, key), value);
  EXPECT_EQ(Ask(**map, "alic"), "(not found)");
  EXPECT_EQ(Ask(**map, "alice "), "(not found)");
  EXPECT_EQ(Ask(**map, std::string(100000, 'x')), "(not found)");
}

TEST(MapFile, VisitsRecordsInTheirOrderUntilToldToStop) {
  auto map = MapFile::FromBytes("m", MakeCdb(kRecords));
  ASSERT_TRUE(map.ok());
  Records seen;
  (*map)->Visit([&](std::string_view key, std::string_view value) {
    seen.push_back({std::string(key), std::string(value)});
    return true;
  });
  EXPECT_EQ(seen, kRecords);
  int calls = 0;
  (*map)->Visit([&](std::string_view, std::string_view) { return ++calls < 3; });
  EXPECT_EQ(calls, 3);
}

TEST(MapFile, AcceptsAnEmptyMap) {
  auto map = MapFile::FromBytes("m", MakeCdb({}));
  ASSERT_TRUE(map.ok()) << map.error().text;
  EXPECT_EQ((*map)->records(), 0u);
  EXPECT_EQ(Ask(**map, "alice"), "(not found)");
}

TEST(MapFile, AcceptsTablesWithoutAFreeSlot) {
  Records records;
  for (int i = 0; i < 3000; ++i) records.push_back({std::to_string(i), "v" + std::to_string(i)});
  auto map = MapFile::FromBytes("m", MakeCdb(records, 1));
  ASSERT_TRUE(map.ok()) << map.error().text;
  for (const auto& [key, value] : records) ASSERT_EQ(Ask(**map, key), value);
  EXPECT_EQ(Ask(**map, "3001"), "(not found)");
}

TEST(MapFile, ReturnsTheFirstOfSeveralRecordsAndCountsTheOthers) {
  auto map = MapFile::FromBytes("m", MakeCdb({{"a", "1"}, {"b", "1"}, {"a", "2"}, {"a", "3"}}));
  ASSERT_TRUE(map.ok()) << map.error().text;
  EXPECT_EQ(Ask(**map, "a"), "1");
  EXPECT_EQ((*map)->records(), 4u);
  EXPECT_EQ((*map)->duplicates(), 2u);
}

TEST(MapFile, RefusesAFileCutAtAnyLength) {
  const std::string whole = MakeCdb(kRecords);
  Folder folder;
  const std::string path = folder / "users.cdb";
  WriteFile(path, whole);
  ASSERT_TRUE(MapFile::Load(path).ok());
  for (size_t size = whole.size(); size-- > 0;) {
    ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(size)), 0);
    auto map = MapFile::Load(path);
    ASSERT_FALSE(map.ok()) << size << " of " << whole.size() << " bytes";
    ASSERT_EQ(map.error().fault, Fault::kMap);
    ASSERT_TRUE(map.error().text.starts_with(path + ": ")) << map.error().text;
  }
}

TEST(MapFile, RefusesBytesAfterTheLastTable) {
  const std::string whole = MakeCdb(kRecords);
  EXPECT_EQ(Why(whole + "x"), "m: 1 bytes follow the last table");
  EXPECT_TRUE(Refused(whole + std::string(4096, '\0')));
  EXPECT_TRUE(Refused(whole + whole));
}

// Bytes that say nothing: in the values, in the place of an empty table, in the hash of a free
// slot.
std::set<size_t> BytesWithoutMeaning(const std::string& cdb) {
  std::set<size_t> free;
  for (size_t table = 0; table < 256; ++table) {
    uint32_t at = GetWord(cdb, table * 8), slots = GetWord(cdb, table * 8 + 4);
    for (size_t i = 0; slots == 0 && table > 0 && i < 4; ++i) free.insert(table * 8 + i);
    for (uint32_t slot = 0; slot < slots; ++slot, at += 8) {
      for (size_t i = 0; GetWord(cdb, at + 4) == 0 && i < 4; ++i) free.insert(at + i);
    }
  }
  for (uint32_t at = 2048; at < GetWord(cdb, 0);) {
    RawRecord record = RecordAt(cdb, at);
    for (size_t i = record.end - record.value.size(); i < record.end; ++i) free.insert(i);
    at = record.end;
  }
  return free;
}

TEST(MapFile, RefusesAFlipOfAnyByteThatHasAMeaning) {
  const std::string whole = MakeCdb(kRecords);
  const std::set<size_t> free = BytesWithoutMeaning(whole);
  std::string bytes = whole;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int flip : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      bytes[at] = static_cast<char>(whole[at] ^ flip);
      auto map = MapFile::FromBytes("m", bytes);
      ASSERT_EQ(map.ok(), free.contains(at)) << "byte " << at << " ^ " << flip;
      if (!map) continue;
      for (const auto& [key, value] : kRecords) {
        std::string answer = Ask(**map, key);
        if (answer == value) continue;
        ASSERT_EQ(answer.size(), value.size());
        auto differ = std::mismatch(answer.begin(), answer.end(), value.begin());
        ASSERT_TRUE(std::equal(differ.first + 1, answer.end(), differ.second + 1));
      }
    }
    bytes[at] = whole[at];
  }
}

TEST(MapFile, RefusesZeroesAndNoise) {
  std::mt19937 random(20);
  for (size_t size : {0, 1, 2047, 2048, 2049, 4096, 100000}) {
    EXPECT_TRUE(Refused(std::string(size, '\0'))) << size;
    EXPECT_TRUE(Refused(std::string(size, '\xff'))) << size;
    for (int round = 0; round < 20; ++round) {
      std::string noise(size, '\0');
      for (char& c : noise) c = static_cast<char>(random());
      EXPECT_TRUE(Refused(noise)) << size;
    }
  }
}

TEST(MapFile, RefusesTablesThatAreAbsurd) {
  const std::string whole = MakeCdb(kRecords);
  const uint32_t table = CdbHash("alice") & 255;
  auto with = [&](size_t at, uint32_t word) {
    std::string bytes = whole;
    SetWord(bytes, at, word);
    return bytes;
  };
  const uint32_t size = static_cast<uint32_t>(whole.size());
  const uint32_t at = GetWord(whole, table * 8), slots = GetWord(whole, table * 8 + 4);
  for (uint32_t word :
       {0u, 1u, 2047u, 2048u, at - 8, at + 8, size, size + 1, 0xfffffff8u, 0xffffffffu}) {
    EXPECT_TRUE(Refused(with(table * 8, word))) << word;
  }
  for (uint32_t word : {0u, 1u, slots + 1, slots * 2, 0x20000000u, 0x1fffffffu, 0xffffffffu}) {
    EXPECT_TRUE(Refused(with(table * 8 + 4, word))) << word;
  }
  // The first position is the end of the records.
  for (uint32_t word : {0u, 2047u, 2048u, 2049u, size, size + 1, 0xffffffffu}) {
    EXPECT_TRUE(Refused(with(0, word))) << word;
  }
  // All tables are one and the same.
  std::string same = whole;
  for (size_t i = 1; i < 256; ++i) {
    SetWord(same, i * 8, at);
    SetWord(same, i * 8 + 4, slots);
  }
  EXPECT_TRUE(Refused(same));
}

TEST(MapFile, RefusesSlotsThatLeadElsewhere) {
  // One table of two slots: the record's and a free one.
  const std::string whole = MakeCdb({{"alice", "one"}});
  const uint32_t table = GetWord(whole, 0);
  const uint32_t used = GetWord(whole, table + 4) ? table : table + 8;
  const uint32_t free = used == table ? table + 8 : table;
  auto with = [&](size_t at, uint32_t word) {
    std::string bytes = whole;
    SetWord(bytes, at, word);
    return bytes;
  };
  ASSERT_FALSE(Refused(whole));
  for (uint32_t word : {0u, 1u, 2047u, 2049u, table - 8, table, 0xffffffffu}) {
    EXPECT_TRUE(Refused(with(used + 4, word))) << word;
  }
  EXPECT_TRUE(Refused(with(used, CdbHash("alicf"))));
  // A second slot for the same record, or for nothing that is a record.
  for (uint32_t word : {1u, 2048u, 2050u, 0xffffffffu}) {
    EXPECT_TRUE(Refused(with(free + 4, word))) << word;
  }
}

TEST(MapFile, RefusesARecordThatOverlapsTheNext) {
  std::string bytes = MakeCdb({{"aaaa", "1111"}, {"bbbb", "2222"}});
  ASSERT_FALSE(Refused(bytes));
  SetWord(bytes, 2048 + 4, 4 + 16);  // the first value swallows the second record
  EXPECT_TRUE(Refused(bytes));
  SetWord(bytes, 2048 + 4, 0xffffffff);
  EXPECT_EQ(
      Why(bytes),
      "m: the record at byte 2048 (number 1) reaches beyond the end of the records at byte 2080");
}

// The hash of a CDB file has no seed. From each state, two pairs of letters lead to the same one.
std::vector<std::string> CollidingNames(size_t number) {
  std::vector<std::string> names = {""};
  while (names.size() < number) {
    const uint32_t state = CdbHash(names[0]);
    std::map<uint32_t, std::string> seen;
    std::string one, other;
    for (char a = 'a'; a <= 'z' && one.empty(); ++a) {
      for (char b = '!'; b <= '~' && one.empty(); ++b) {
        const uint32_t next =
            (((state * 33) ^ static_cast<unsigned char>(a)) * 33) ^ static_cast<unsigned char>(b);
        auto [found, fresh] = seen.try_emplace(next, std::string{a, b});
        if (!fresh) one = found->second, other = std::string{a, b};
      }
    }
    std::vector<std::string> longer;
    for (const std::string& name : names) {
      longer.push_back(name + one);
      longer.push_back(name + other);
    }
    names = std::move(longer);
  }
  return names;
}

TEST(MapFile, NamesWithOneHashHarmNobody) {
  const std::vector<std::string> names = CollidingNames(8192);
  Records records = {{"alice", "one"}};
  for (const std::string& name : names) records.push_back({name, UserValue("tcp:a:1")});
  records.push_back({"bob", "two"});
  auto map = MapFile::FromBytes("m", MakeCdb(records));
  ASSERT_TRUE(map.ok()) << map.error().text;
  std::string_view value;
  EXPECT_EQ((*map)->records(), 8194u);
  EXPECT_EQ((*map)->duplicates(), 0u);
  EXPECT_EQ((*map)->alike(), 8192u);
  EXPECT_EQ((*map)->Find("alice", &value), MapFile::Answer::kFound);
  EXPECT_EQ((*map)->Find("bob", &value), MapFile::Answer::kFound);
  EXPECT_EQ((*map)->Find(names.back(), &value), MapFile::Answer::kFound);
}

TEST(MapFile, OneNameManyTimesIsFoundOnceAndTheOthersAreTold) {
  auto map = MapFile::FromBytes("m", MakeCdb(Records(7000, {"same", "x"})));
  ASSERT_TRUE(map.ok()) << map.error().text;
  EXPECT_EQ((*map)->records(), 7000u);
  EXPECT_EQ((*map)->duplicates(), 6999u);
  int hidden = 0;
  (*map)->Visit([&](std::string_view, std::string_view value) {
    hidden += (*map)->Hides(value);
    return true;
  });
  EXPECT_EQ(hidden, 6999);
}

// What a crowded table is proved by says the same as look-ups do, of good files and of broken ones.
TEST(MapFile, BothWaysOfProvingATableAgree) {
  std::mt19937 random(1);
  const std::vector<std::string> colliding = CollidingNames(16);
  int good = 0, bad = 0;
  for (int round = 0; round < 3000; ++round) {
    Records records;
    for (uint32_t i = random() % 24; i-- > 0;) {
      std::string name =
          random() % 2 ? colliding[random() % 16] : std::string(1, 'a' + random() % 9);
      records.push_back({name, "x"});
    }
    std::string bytes = MakeCdb(records, 1 + random() % 2);
    const uint32_t tables = GetWord(bytes, 0);
    if (round % 3 && tables < bytes.size()) {
      const size_t words = (bytes.size() - tables) / 4;
      const size_t at = tables + 4 * (random() % words);
      const uint32_t other = GetWord(bytes, tables + 4 * (random() % words));
      SetWord(bytes, at, random() % 2 ? other : random() % 3);
    }
    auto prove = [&](uint64_t steps_most, std::set<uint32_t>* hidden) {
      MapValidateHooks hooks;
      hooks.duplicate = [hidden](uint32_t, uint32_t position) {
        EXPECT_TRUE(hidden->insert(position).second) << "told twice";
      };
      return ValidateMap(bytes, hooks, steps_most);
    };
    std::set<uint32_t> by_look_up, by_table;
    auto one = prove(kMapStepsMost, &by_look_up), other = prove(0, &by_table);
    ASSERT_EQ(one.ok(), other.ok()) << round << ": " << (one ? other : one).error().text;
    (one ? good : bad) += 1;
    if (!one) continue;
    EXPECT_EQ(by_look_up, by_table);
    EXPECT_EQ(one->duplicates, other->duplicates);
    EXPECT_EQ(one->alike, other->alike);
  }
  EXPECT_GT(good, 500);
  EXPECT_GT(bad, 500);
}

TEST(MapFile, NamesTheRecordThatIsLostWithoutItsOddBytes) {
  std::string bytes = MakeCdb({{"al\x1b[2Jce", "one"}});
  const uint32_t table = GetWord(bytes, 0);
  SetWord(bytes, table + 4, 0);
  SetWord(bytes, table + 12, 0);
  EXPECT_EQ(Why(bytes), "m: its tables do not lead to the record 'al\\x1b[2Jce'");
}

TEST(MapFile, RefusesWhatIsNotAFile) {
  Folder folder;
  EXPECT_EQ(MapFile::Load(folder / "none").error().text,
            (folder / "none") + ": cannot be opened: No such file or directory");
  EXPECT_EQ(MapFile::Load("/").error().text, "/: is not a regular file");
  const std::string fifo = folder / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_EQ(MapFile::Load(fifo).error().text, fifo + ": is not a regular file");  // and no waiting
}

TEST(MapFile, RefusesAFileBeyond4GiBBeforeReadingIt) {
  Folder folder;
  const std::string path = folder / "huge";
  WriteFile(path, MakeUsers("tcp:a:1"));
  ASSERT_EQ(truncate(path.c_str(), off_t{5} << 30), 0);
  EXPECT_EQ(MapFile::Load(path).error().text,
            path + ": is larger than 4 GiB, the limit of a CDB file");
}

TEST(MapFile, RefusesAFileThatChangesWhileItIsRead) {
  Folder folder;
  const std::string path = folder / "busy";
  WriteFile(path, MakeCdb({{"big", std::string(32 << 20, 'v')}}));
  ASSERT_TRUE(MapFile::Load(path).ok());
  std::atomic<int> writes = 0;
  std::atomic<bool> done = false;
  std::thread writer([&] {
    int fd = open(path.c_str(), O_WRONLY);
    while (!done && fd >= 0 && pwrite(fd, "v", 1, 4096) == 1) ++writes;
    close(fd);
  });
  while (writes == 0) std::this_thread::yield();
  // On a busy machine the writer may stand still for as long as one load takes.
  auto map = MapFile::Load(path);
  for (int i = 0; i < 100 && map.ok(); ++i) map = MapFile::Load(path);
  done = true;
  writer.join();
  ASSERT_FALSE(map.ok());
  EXPECT_NE(map.error().text.find("changed while it was read"), std::string::npos)
      << map.error().text;
}

TEST(MapFile, GivesUpALoadThatIsNoLongerWanted) {
  Folder folder;
  const std::string path = folder / "users.cdb";
  WriteFile(path, MakeUsers("tcp:a:1"));
  std::atomic<bool> stop = true;
  EXPECT_FALSE(MapFile::Load(path, &stop).ok());
  stop = false;
  EXPECT_TRUE(MapFile::Load(path, &stop).ok());
}

TEST(MapFile, KeepsItsAnswersWhateverIsDoneToTheFile) {
  Folder folder;
  const std::string path = folder / "users.cdb";
  Records records;
  for (int i = 0; i < 2000; ++i) records.push_back({"u" + std::to_string(i), std::string(50, 'v')});
  const std::string good = MakeCdb(records), other = MakeUsers("tcp:other:1", 3000);
  WriteFile(path, good);
  auto map = MapFile::Load(path);
  ASSERT_TRUE(map.ok());

  std::atomic<bool> done = false;
  std::atomic<long> wrong = 0, right = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&, i] {
      for (size_t n = static_cast<size_t>(i); !done; n += 7) {
        ++(Ask(**map, records[n % records.size()].first) == std::string(50, 'v') ? right : wrong);
        if (Ask(**map, "user1") != "(not found)") ++wrong;
      }
    });
  }
  for (int round = 0; round < 100; ++round) {
    EXPECT_EQ(truncate(path.c_str(), round % 3 * 1000), 0);
    WriteFile(path, std::string(good.size(), '\xff'));
    if (round % 10 == 0) unlink(path.c_str());
    WriteFile(path, other);
  }
  while (right < 1000) std::this_thread::yield();
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace rum

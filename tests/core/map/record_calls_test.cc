// The parts of a record as modules ask for them.
#include "map/record_calls.h"

#include <gtest/gtest.h>

#include <string>

namespace rum {
namespace {

using namespace std::string_literals;

const std::string kRecord = "secret\0tcp:db1:5432\0\x80max=5 pgsql-db=app\\s1 pgsql-pool="s;

std::string Column(const std::string& record, const char* name, int32_t status = RUM_FOUND) {
  char value[64];
  size_t size = sizeof value;
  EXPECT_EQ(kRecords.column(record.data(), record.size(), name, value, &size), status) << name;
  return std::string(value, status == RUM_FOUND ? size : 0);
}

TEST(RecordCalls, GiveTheParts) {
  rum_record parts = {};
  parts.struct_size = sizeof parts;
  ASSERT_EQ(kRecords.parse(kRecord.data(), kRecord.size(), &parts), RUM_OK);
  EXPECT_EQ(std::string(parts.secret, parts.secret_size), "secret");
  EXPECT_EQ(std::string(parts.destination, parts.destination_size), "tcp:db1:5432");
  EXPECT_EQ(parts.secret, kRecord.data());
}

TEST(RecordCalls, FillInNoMoreThanTheModuleKnows) {
  struct {
    uint32_t struct_size = offsetof(rum_record, destination);
    uint32_t reserved = 0;
    const char* secret = nullptr;
    size_t secret_size = 0;
    const char* behind = "untouched";
  } parts;
  ASSERT_EQ(kRecords.parse(kRecord.data(), kRecord.size(), reinterpret_cast<rum_record*>(&parts)),
            RUM_OK);
  EXPECT_EQ(parts.secret_size, 6u);
  EXPECT_STREQ(parts.behind, "untouched");
}

TEST(RecordCalls, RefuseWhatIsNoRecord) {
  rum_record parts = {};
  parts.struct_size = sizeof parts;
  for (const std::string& record : {"x"s, "\0"s, "secret\0"s, "secret\0\0rules"s}) {
    EXPECT_EQ(kRecords.parse(record.data(), record.size(), &parts), RUM_E_FAILED);
    EXPECT_EQ(parts.destination, nullptr);
    Column(record, "pgsql-db", RUM_E_FAILED);
  }
  const std::string large = "\0"s + std::string(RUM_MOST_RECORD, 'x');
  EXPECT_EQ(kRecords.parse(large.data(), large.size(), &parts), RUM_E_LIMIT);
  Column(large, "pgsql-db", RUM_E_LIMIT);
  EXPECT_EQ(kRecords.parse(nullptr, 0, &parts), RUM_E_ARGUMENT);
  EXPECT_EQ(kRecords.parse(kRecord.data(), SIZE_MAX, &parts), RUM_E_LIMIT);
  EXPECT_EQ(kRecords.parse(kRecord.data(), kRecord.size(), nullptr), RUM_E_ARGUMENT);
  parts.struct_size = 0;
  EXPECT_EQ(kRecords.parse(kRecord.data(), kRecord.size(), &parts), RUM_E_ARGUMENT);
}

TEST(RecordCalls, GiveAColumn) {
  EXPECT_EQ(Column(kRecord, "pgsql-db"), "app 1");
  EXPECT_EQ(Column(kRecord, "pgsql-pool"), "");
  Column(kRecord, "pgsql-other", RUM_NOT_FOUND);
  Column("\0tcp:db1:5432"s, "pgsql-db", RUM_NOT_FOUND);
  Column("\0tcp:db1:5432\0\x01\0"s, "pgsql-db", RUM_NOT_FOUND);  // rules of the older form
  Column("\0tcp:db1:5432\0\x80pgsql-db=a later=1"s, "pgsql-db", RUM_E_FAILED);
  Column(kRecord, "max", RUM_E_ARGUMENT);
  EXPECT_EQ(Column("\0tcp:db1:5432\0\x80"
                   "disabled=back\\sat\\s2"s,
                   "disabled"),
            "back at 2");
  Column(
      "\0tcp:db1:5432\0\x80"
      "disabled"s,
      "disabled", RUM_NOT_FOUND);
  Column(kRecord, (std::string(RUM_MOST_RECORD, 'p') + "-x").c_str(), RUM_E_ARGUMENT);
}

TEST(RecordCalls, SayHowMuchRoomAColumnNeeds) {
  char value[5] = "";
  size_t size = 4;
  EXPECT_EQ(kRecords.column(kRecord.data(), kRecord.size(), "pgsql-db", value, &size), RUM_E_LIMIT);
  EXPECT_EQ(size, 5u);
  EXPECT_EQ(value[0], 0);
  EXPECT_EQ(kRecords.column(kRecord.data(), kRecord.size(), "pgsql-db", value, &size), RUM_FOUND);
  EXPECT_EQ(std::string(value, size), "app 1");
  size = 0;
  EXPECT_EQ(kRecords.column(kRecord.data(), kRecord.size(), "pgsql-db", nullptr, &size),
            RUM_E_LIMIT);
  EXPECT_EQ(size, 5u);
}

}  // namespace
}  // namespace rum

#include "lookup/record_line.h"

#include <gtest/gtest.h>

#include <string>

#include "map/map_record.h"

namespace rum {
namespace {

TEST(RecordLine, IsTheLineOfTheUserInTheTextForm) {
  bool other = true;
  for (const char* end : {"", "\n", "\r\n"}) {
    auto value =
        ReadRecordLine("al ice", std::string("al\\sice - tcp:db1:3306 max=20") + end, &other);
    ASSERT_TRUE(value) << value.error().text;
    EXPECT_EQ(ParseMapRecord(*value)->destination, "tcp:db1:3306");
    EXPECT_FALSE(other);
  }
}

TEST(RecordLine, OfAnotherUserIsRefusedAndToldApart) {
  bool other = false;
  EXPECT_FALSE(ReadRecordLine("alice", "bob - tcp:db1:3306", &other));
  EXPECT_TRUE(other);
}

TEST(RecordLine, RefusesWhatRumMapBuildRefuses) {
  for (const char* line : {"", "# alice", "alice", "alice - nowhere", "alice - tcp:db1:3306 foo",
                           "alice = x", "alice - tcp:a:1\nbob - tcp:b:1", "alice s3cr3t tcp:a:1"}) {
    bool other = true;
    auto value = ReadRecordLine("alice", line, &other);
    EXPECT_FALSE(value) << line;
    EXPECT_FALSE(other) << line;
    EXPECT_EQ(value.error().text.find("s3cr3t"), std::string::npos);
  }
}

}  // namespace
}  // namespace rum

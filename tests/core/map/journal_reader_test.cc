// Journals that change while they are read; the others are those of the map watcher's tests.
#include "map/journal_reader.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <thread>

namespace rum {
namespace {

// The file with a thread's name has a size of 0, as a journal whose header is written between the
// look at its size and the read.
TEST(ReadJournal, WaitsForAJournalThatGrowsMeanwhile) {
  const std::string header = FormatJournalHeader(0x0a'61'61'61'61'61'61'61);
  ASSERT_TRUE(header.size() == 16 && header.back() == '\n');
  std::thread([&] {
    ASSERT_EQ(pthread_setname_np(pthread_self(), header.substr(0, 15).c_str()), 0);
    const MapIdentity identity = {};
    auto news = ReadJournal("/proc/thread-self/comm", nullptr,
                            [&]() -> const MapIdentity& { return identity; });
    ASSERT_TRUE(news.ok()) << news.error().text;
    EXPECT_EQ(news->position.offset, 0u) << "no header is read";
    EXPECT_TRUE(news->changes.empty());
    EXPECT_EQ(news->warning, "");
  }).join();
}

}  // namespace
}  // namespace rum

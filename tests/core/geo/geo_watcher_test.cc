#include "geo/geo_watcher.h"

#include <event2/event.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "core/geo/geo_bytes.h"
#include "support/folder.h"

namespace rum {
namespace {

std::string FileOf(const char* country) {
  GeoBytes bytes(4);
  bytes.SetV4({192, 0, 2}, 24, bytes.Data(GeoCountry(country)));
  return bytes.File();
}

class GeoWatcherTest : public testing::Test {
 protected:
  ~GeoWatcherTest() override {
    watcher_.reset();
    event_base_free(base_);
  }
  Status Start() {
    watcher_ = std::make_unique<GeoWatcher>(
        base_, path_, [this] { ++changes_; },
        [this](const Error& error) { errors_.push_back(error.text); }, Millis(10));
    return watcher_->Start();
  }
  // Renames a new file into place.
  void Write(const std::string& bytes) {
    std::ofstream(path_ + ".new", std::ios::binary) << bytes;
    ASSERT_EQ(std::rename((path_ + ".new").c_str(), path_.c_str()), 0);
  }
  std::string Country() {
    return watcher_->current()->Find(*SocketAddress::Numeric("192.0.2.1", 1)).text();
  }
  template <class Done>
  bool Await(Done done) {
    for (int i = 0; i < 10000 && !done(); ++i) {
      const timeval tv = TimevalOf(Millis(2));
      event_base_loopexit(base_, &tv);
      event_base_dispatch(base_);
    }
    return done();
  }

  test::Folder folder_;
  const std::string path_ = folder_ / "x.mmdb";
  event_base* base_ = event_base_new();
  int changes_ = 0;
  std::vector<std::string> errors_;
  std::unique_ptr<GeoWatcher> watcher_;
};

TEST_F(GeoWatcherTest, NeedsADatabaseAtTheStart) {
  Status missing = Start();
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().fault, Fault::kConfig);
  EXPECT_EQ(missing.error().text,
            "--geo-db: " + path_ + ": No such file or directory; no country database is loaded");
  Write("no database");
  EXPECT_FALSE(Start().ok());
  Write(FileOf("CZ"));
  Status good = Start();
  ASSERT_TRUE(good.ok()) << good.error().text;
  EXPECT_EQ(Country(), "CZ");
  EXPECT_EQ(changes_, 0) << "only later versions are reported";
  EXPECT_TRUE(errors_.empty());
}

TEST_F(GeoWatcherTest, FollowsTheFileAndKeepsTheLastGoodOne) {
  Write(FileOf("CZ"));
  ASSERT_TRUE(Start().ok());
  Write(FileOf("SK"));
  ASSERT_TRUE(Await([this] { return changes_ == 1; }));
  EXPECT_EQ(Country(), "SK");
  Write(FileOf("SK").substr(0, 100));
  ASSERT_TRUE(Await([this] { return !errors_.empty(); }));
  EXPECT_NE(errors_[0].find("; the country database loaded at "), std::string::npos) << errors_[0];
  EXPECT_EQ(Country(), "SK");
  EXPECT_EQ(watcher_->stats().failures, 1u);
  Write(FileOf("HU"));
  ASSERT_TRUE(Await([this] { return changes_ == 2; }));
  EXPECT_EQ(Country(), "HU");
  EXPECT_EQ(watcher_->stats().last_error, "");
}

}  // namespace
}  // namespace rum

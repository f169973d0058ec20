// The TLS of a run, made from files: whose certificate it is, and when it has to be made again.
#include "tls/tls_contexts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "support/folder.h"

namespace rum {
namespace {

class TlsContextsTest : public testing::Test {
 protected:
  TlsContextsTest() {
    settings_.clients = TlsMode::kOn;
    settings_.state_dir = folder_ / "state";
  }
  std::string own() const { return settings_.state_dir + "/rum-selfsigned.pem"; }

  test::Folder folder_;
  TlsSettings settings_;
};

TEST_F(TlsContextsTest, MakesACertificateOfItsOwnOnce) {
  auto first = TlsContexts::Make(settings_);
  ASSERT_TRUE(first.ok()) << first.error().text;
  struct stat status = {};
  ASSERT_EQ(::stat(own().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
  auto second = TlsContexts::Make(settings_);
  ASSERT_TRUE(second.ok()) << second.error().text;
  ASSERT_TRUE((*first)->server && (*second)->server);
  EXPECT_EQ((*first)->server->fingerprint(), (*second)->server->fingerprint());
}

TEST_F(TlsContextsTest, NeedsNoCertificateWhenClientsGetNoTls) {
  settings_.clients = TlsMode::kOff;
  auto made = TlsContexts::Make(settings_);
  ASSERT_TRUE(made.ok()) << made.error().text;
  EXPECT_FALSE((*made)->server);
  EXPECT_TRUE((*made)->client);
  EXPECT_FALSE(std::filesystem::exists(settings_.state_dir));
  settings_.first = true;
  made = TlsContexts::Make(settings_);
  ASSERT_TRUE(made.ok()) << made.error().text;
  EXPECT_TRUE((*made)->server);
}

TEST_F(TlsContextsTest, TheStatisticsHaveTheCertificateAndAskForNone) {
  EXPECT_FALSE((*TlsContexts::Make(settings_))->statistics);
  settings_.statistics = true;
  settings_.files.certificate = settings_.files.authorities = own();
  settings_.clients = TlsMode::kRequire;
  auto made = TlsContexts::Make(settings_);
  ASSERT_TRUE(made.ok()) << made.error().text;
  EXPECT_TRUE((*made)->server->verify());
  EXPECT_FALSE((*made)->statistics->verify());
  EXPECT_EQ((*made)->statistics->fingerprint(), (*made)->server->fingerprint());
  settings_.clients = TlsMode::kOff;
  made = TlsContexts::Make(settings_);
  ASSERT_TRUE(made.ok()) << made.error().text;
  EXPECT_FALSE((*made)->server) << "no client is offered TLS";
  EXPECT_TRUE((*made)->statistics);
}

TEST_F(TlsContextsTest, WhoOnlyLooksMakesNoFile) {
  auto looked = TlsContexts::Look(settings_);
  ASSERT_TRUE(looked.ok()) << looked.error().text;
  EXPECT_FALSE((*looked)->server);
  EXPECT_FALSE(std::filesystem::exists(settings_.state_dir));
  ASSERT_TRUE(TlsContexts::Make(settings_).ok());
  looked = TlsContexts::Look(settings_);
  ASSERT_TRUE(looked.ok()) << looked.error().text;
  EXPECT_TRUE((*looked)->server);
}

TEST_F(TlsContextsTest, AnErrorNamesTheFile) {
  settings_.files.certificate = folder_ / "nowhere.pem";
  auto made = TlsContexts::Make(settings_);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().text.find(settings_.files.certificate), std::string::npos)
      << made.error().text;
  settings_.clients = TlsMode::kOff;
  settings_.upstreams = TlsMode::kVerify;
  settings_.upstream_authorities = folder_ / "no-authority.pem";
  made = TlsContexts::Make(settings_);
  ASSERT_FALSE(made.ok());
  EXPECT_NE(made.error().text.find(settings_.upstream_authorities), std::string::npos)
      << made.error().text;
}

TEST_F(TlsContextsTest, TheStampChangesWithAnyOfTheFiles) {
  auto put = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder_ / (name + "-new")) << text;
    std::filesystem::rename(folder_ / (name + "-new"), folder_ / name);
  };
  settings_.files.certificate = folder_ / "cert";
  settings_.files.key = folder_ / "key";
  settings_.files.authorities = folder_ / "ca";
  settings_.upstream_authorities = folder_ / "upstream-ca";
  auto before = TlsFilesStamp::Of(settings_);
  EXPECT_EQ(TlsFilesStamp::Of(settings_), before);
  for (const char* name : {"cert", "key", "ca", "upstream-ca"}) {
    put(name, "one");
    auto after = TlsFilesStamp::Of(settings_);
    EXPECT_NE(after, before) << name;
    put(name, "longer");
    EXPECT_NE(TlsFilesStamp::Of(settings_), after) << name;
    before = TlsFilesStamp::Of(settings_);
    EXPECT_EQ(TlsFilesStamp::Of(settings_), before) << name;
  }
}

}  // namespace
}  // namespace rum

#include "upstream/hosts_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/folder.h"

namespace rum {
namespace {

using Texts = std::vector<std::string>;

class HostsFileTest : public testing::Test {
 protected:
  void Write(const std::string& text) { std::ofstream(folder_ / "hosts") << text; }
  Texts Find(const std::string& host) {
    Texts found;
    for (const SocketAddress& address : hosts_.Find(host)) found.push_back(address.host());
    return found;
  }
  test::Folder folder_;
  HostsFile hosts_{folder_ / "hosts"};
};

TEST_F(HostsFileTest, FindsTheAddressesOfANameInTheOrderOfTheFile) {
  Write(
      "# a comment\n127.0.0.1\tlocalhost\n::1 localhost ip6-localhost # two names\n\n"
      "192.0.2.9 DB.test db\n2001:db8::9 db\n");
  EXPECT_EQ(Find("localhost"), (Texts{"127.0.0.1", "::1"}));
  EXPECT_EQ(Find("ip6-localhost"), Texts{"::1"});
  EXPECT_EQ(Find("db"), (Texts{"192.0.2.9", "2001:db8::9"}));
  EXPECT_EQ(Find("db.TEST"), Texts{"192.0.2.9"}) << "an alias on another line is another name";
  EXPECT_EQ(Find("db.test."), Texts{"192.0.2.9"});
  EXPECT_EQ(Find("two"), Texts{});
}

TEST_F(HostsFileTest, SkipsWhatIsNoAddress) {
  Write("db 192.0.2.1\n192.0.2.300 db\nfe80::1%eth0 db\n192.0.2.2 db");
  EXPECT_EQ(Find("db"), Texts{"192.0.2.2"});
}

TEST_F(HostsFileTest, IsReadAgainWhenItHasChangedOrIsGone) {
  EXPECT_EQ(Find("db"), Texts{});
  Write("192.0.2.1 db\n");
  EXPECT_EQ(Find("db"), Texts{"192.0.2.1"});
  Write("192.0.2.11 db\n");
  EXPECT_EQ(Find("db"), Texts{"192.0.2.11"});
  ::unlink((folder_ / "hosts").c_str());
  EXPECT_EQ(Find("db"), Texts{});
}

TEST_F(HostsFileTest, TakesSoManyNamesAndAddressesOnly) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "192.0.2." + std::to_string(i) + " db\n";
  for (size_t i = 0; i < HostsFile::kNamesMost; ++i) {
    text += "192.0.2.1 n" + std::to_string(i) + "\n";
  }
  Write(text);
  EXPECT_EQ(Find("db").size(), HostsFile::kAddressesMost);
  EXPECT_EQ(Find("n5"), Texts{"192.0.2.1"});
  EXPECT_EQ(Find("n" + std::to_string(HostsFile::kNamesMost - 1)), Texts{});
}

}  // namespace
}  // namespace rum

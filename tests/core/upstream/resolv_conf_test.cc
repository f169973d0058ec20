#include "upstream/resolv_conf.h"

#include <gtest/gtest.h>

#include <sstream>

namespace rum {
namespace {

using Texts = std::vector<std::string>;

ResolvConf Read(const std::string& text, const std::string& hostname = "here") {
  std::istringstream in(text);
  return ReadResolvConf(in, hostname);
}

TEST(ResolvConf, NamesServersWithAndWithoutPort) {
  EXPECT_EQ(Read("nameserver 192.0.2.1\nnameserver 192.0.2.2:5353 # one more\n"
                 "nameserver\t2001:db8::1\nnameserver [2001:db8::2]:54\nnameserver [::1]\n"
                 "nameserver fe80::1%eth0\n")
                .servers,
            (Texts{"192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:53", "[2001:db8::2]:54",
                   "[::1]:53", "[fe80::1]:53%eth0"}));
}

TEST(ResolvConf, SkipsWhatIsNoServerAndTakesEightAtMost) {
  EXPECT_EQ(Read("nameserver\nnameserver dns.test\nnameserver 192.0.2.1:x\nnameserver [::1\n"
                 "nameserver 192.0.2.1:0\nnameserver [::1]53\n; nameserver 192.0.2.9\n")
                .servers,
            Texts{"127.0.0.1:53"});
  std::string many;
  for (int i = 0; i < 20; ++i) many += "nameserver 192.0.2." + std::to_string(i) + "\n";
  EXPECT_EQ(Read(many).servers.size(), ResolvConf::kServersMost);
}

TEST(ResolvConf, TheLastLineOfSearchOrDomainCounts) {
  EXPECT_EQ(Read("search a.test b.test.\n").search, (Texts{"a.test", "b.test"}));
  EXPECT_EQ(Read("search a.test\ndomain c.test\n").search, Texts{"c.test"});
  EXPECT_EQ(Read("domain c.test\nsearch .\n", "here.d.test").search, Texts{});
  EXPECT_EQ(Read("", "here.d.test").search, Texts{"d.test"}) << "else it is the host's own";
  EXPECT_EQ(Read("", "here").search, Texts{});
}

TEST(ResolvConf, ReadsNdotsWithinBounds) {
  EXPECT_EQ(Read("").ndots, 1u);
  EXPECT_EQ(Read("options rotate ndots:5 timeout:1\n").ndots, 5u);
  EXPECT_EQ(Read("options ndots:99\n").ndots, 15u);
  EXPECT_EQ(Read("options ndots:x\n").ndots, 1u);
}

TEST(ResolvConf, ANameMayStandForOthersUnlessItIsAbsolute) {
  ResolvConf conf = Read("search a.test b.test\n");
  EXPECT_EQ(CandidatesOf(conf, "db"), (Texts{"db.a.test", "db.b.test", "db"}));
  EXPECT_EQ(CandidatesOf(conf, "db.c"), (Texts{"db.c", "db.c.a.test", "db.c.b.test"}));
  EXPECT_EQ(CandidatesOf(conf, "db.c."), Texts{"db.c"});
  EXPECT_EQ(CandidatesOf(conf, "db."), Texts{"db"});
  conf.ndots = 2;
  EXPECT_EQ(CandidatesOf(conf, "db.c"), (Texts{"db.c.a.test", "db.c.b.test", "db.c"}));
  const std::string longest = std::string(120, 'x') + "." + std::string(126, 'y');
  EXPECT_EQ(CandidatesOf(conf, longest), Texts{longest}) << "with a domain it would be no name";
}

}  // namespace
}  // namespace rum

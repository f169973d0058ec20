// Clients that come by another proxy, whose PROXY header tells who they are.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "base/proxy_header.h"
#include "proxy/proxy.h"
#include "support/folder.h"
#include "support/running_proxy.h"

namespace rum {
namespace {

using namespace rum::test;

const std::string kHeader = "PROXY TCP4 192.0.2.1 198.51.100.7 40112 3306\r\n";

RunningProxy::Change From(const char* networks) {
  return [networks](Settings& s) { s.proxy_from = *CidrSet::Parse(networks); };
}

// Answers with the client's address, and says what else has come.
Hooks Telling(Journal* journal = nullptr) {
  Hooks hooks;
  hooks.session_open = [journal](rum_session* s) {
    if (journal) journal->Add("open");
    Send(s, RUM_CLIENT, PeerOf(s, RUM_CLIENT) + ";");
    return RUM_OK;
  };
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, bytes);
    return static_cast<int64_t>(bytes.size());
  };
  return hooks;
}

TEST(ProxyHeaderIn, TellsTheClientsAddressToTheModuleAndTheLog) {
  ProxyEnds six{*SocketAddress::Numeric("2001:db8::1", 1), *SocketAddress::Numeric("::1", 2)};
  RunningProxy proxy(Telling(), From("127.0.0.0/8"));
  for (const auto& [header, told] :
       {std::pair(kHeader, "192.0.2.1:40112"),
        {BuildProxyHeader(ProxyVersion::kV2, six), "[2001:db8::1]:1"}}) {
    Peer client = proxy.Client();
    std::string name = client.name();
    EXPECT_TRUE(client.Send(header));
    std::string answer = std::string(told) + ";";
    EXPECT_EQ(client.Receive(answer.size()), answer);
    client.Close();
    auto end = proxy.NextEnd();
    EXPECT_EQ(end.value("client", ""), told);
    EXPECT_EQ(end.value("via", ""), name);
  }
}

TEST(ProxyHeaderIn, IsNotBelievedOfOthers) {
  RunningProxy proxy(Telling(), From("10.0.0.0/8,unix"));
  Peer client = proxy.Client();
  EXPECT_TRUE(client.Send(kHeader));
  std::string answer = client.Receive(10 + kHeader.size());
  EXPECT_TRUE(answer.starts_with("127.0.0.1:")) << answer;
  client.Close();
  auto end = proxy.NextEnd();
  EXPECT_TRUE(end.value("client", "").starts_with("127.0.0.1:"));
  EXPECT_FALSE(end.contains("via"));
}

TEST(ProxyHeaderIn, MayComeInPiecesAndTogetherWithMore) {
  Journal journal;
  RunningProxy proxy(Telling(&journal), From("127.0.0.1"));
  Peer client = proxy.Client();
  for (char c : kHeader.substr(0, kHeader.size() - 1)) {
    EXPECT_TRUE(client.Send({&c, 1}));
    EXPECT_EQ(client.ReceiveWithin(1), "");
  }
  EXPECT_EQ(journal.Count("open"), 0u);
  EXPECT_TRUE(client.Send("\nhello"));
  EXPECT_EQ(client.Receive(21), "192.0.2.1:40112;hello");
}

TEST(ProxyHeaderIn, ThatTellsNothingKeepsTheRealAddress) {
  RunningProxy proxy(Telling(), From("127.0.0.1"));
  for (auto version : {ProxyVersion::kV1, ProxyVersion::kV2}) {
    Peer client = proxy.Client();
    EXPECT_TRUE(client.Send(BuildProxyHeader(version, std::nullopt)));
    EXPECT_EQ(client.Receive(10), "127.0.0.1:");
    client.Close();
    EXPECT_FALSE(proxy.NextEnd().contains("via"));
  }
}

TEST(ProxyHeaderIn, ThatIsNoneEndsTheSessionUnseen) {
  Journal journal;
  RunningProxy proxy(Telling(&journal), From("127.0.0.1"));
  struct Case {
    std::string bytes, reason, detail;
    bool end;
  };
  for (const Case& one :
       {Case{"hello", "client_protocol", "there is no PROXY header", false},
        {"PROXY TCP4 x\r\n", "client_protocol", "the PROXY header has a bad address", false},
        {kHeader.substr(0, 20), "client_protocol", "the PROXY header is cut short", true},
        {"", "client_gone", "", true}}) {
    Peer client = proxy.Client();
    EXPECT_TRUE(client.Send(one.bytes));
    if (one.end) client.ShutWrite();
    client.WaitForEnd();
    auto end = proxy.NextEnd();
    EXPECT_EQ(end.value("reason", ""), one.reason) << one.bytes;
    EXPECT_EQ(end.value("detail", ""), one.detail);
  }
  {
    Peer client = proxy.Client();
    EXPECT_TRUE(client.Send("PROXY"));
    client.Reset();
  }
  EXPECT_EQ(proxy.NextReason(), "client_gone");
  EXPECT_EQ(journal.Count("open"), 0u);
}

TEST(ProxyHeaderIn, HasADeadline) {
  RunningProxy proxy(Telling(), [](Settings& s) {
    s.proxy_from = *CidrSet::Parse("127.0.0.1");
    s.login_timeout = Millis(50);
  });
  Peer client = proxy.Client();
  client.WaitForEnd();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end.value("reason", ""), "client_protocol");
  EXPECT_EQ(end.value("detail", ""), "no PROXY header received");
}

TEST(ProxyHeaderIn, HasADeadlineWithoutALoginToo) {
  Hooks hooks;
  hooks.without_session_open = true;
  RunningProxy proxy(hooks, [](Settings& s) {
    s.proxy_from = *CidrSet::Parse("127.0.0.1");
    s.login_timeout = Millis(0);
    s.destinations.push_back(*ParseAddress(RefusingAddress()));
  });
  Peer client = proxy.Client();
  client.WaitForEnd();
  EXPECT_EQ(proxy.NextReason(), "client_protocol");
}

TEST(ProxyHeaderIn, IsTakenOffBeforeTheRelay) {
  Server server;
  Hooks hooks;
  hooks.without_session_open = true;
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.proxy_from = *CidrSet::Parse("127.0.0.1");
    s.destinations.push_back(*ParseAddress(server.address()));
  });
  Peer client = proxy.Client();
  EXPECT_TRUE(client.Send(kHeader + "hello"));
  Peer upstream = server.Accept();
  EXPECT_EQ(upstream.Receive(5), "hello");
  EXPECT_TRUE(client.Send(" world"));
  EXPECT_EQ(upstream.Receive(6), " world");
}

TEST(ProxyHeaderIn, OfAUnixSocketIsReadOnlyIfAskedFor) {
  for (bool wanted : {false, true}) {
    Folder folder;
    RunningProxy proxy(Telling(), [&](Settings& s) {
      s.listeners = {*ParseAddress("sock:" + (folder / "in"))};
      s.proxy_from = *CidrSet::Parse(wanted ? "unix" : "0.0.0.0/0");
    });
    Peer client = proxy.Client();
    EXPECT_TRUE(client.Send(kHeader));
    EXPECT_EQ(client.Receive(5), wanted ? "192.0" : "unix:");
    client.Close();
    auto end = proxy.NextEnd();
    EXPECT_EQ(end.value("client", ""), wanted ? "192.0.2.1:40112" : "unix");
    EXPECT_EQ(end.value("via", "-"), wanted ? "unix" : "-");
  }
}

TEST(ProxyHeaderIn, DecidesWhoIsBlocked) {
  Hooks hooks = Telling();
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    auto* limits = static_cast<const rum_limits*>(host->extension(RUM_LIMITS_1));
    limits->login_failed(s);
    Close(s, RUM_CLOSE_DENIED);
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) {
    s.proxy_from = *CidrSet::Parse("127.0.0.1");
    s.admission.guard.failures = {1, Millis(3600000)};
  });
  for (const auto& [address, reason] : {std::pair("192.0.2.1", "denied"),
                                        {"192.0.2.1", "blocked"},
                                        {"192.0.2.2", "denied"},
                                        {"192.0.2.2", "blocked"}}) {
    Peer client = proxy.Client();
    EXPECT_TRUE(client.Send("PROXY TCP4 " + std::string(address) + " 198.51.100.7 1 2\r\nwrong"));
    client.ReceiveAll();
    EXPECT_EQ(proxy.NextReason(), reason) << address;
  }
}

}  // namespace
}  // namespace rum

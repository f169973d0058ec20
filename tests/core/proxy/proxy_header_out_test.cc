// Servers that are told by a PROXY header who the client is.
#include <gtest/gtest.h>

#include <string>

#include "base/proxy_header.h"
#include "proxy/proxy.h"
#include "support/folder.h"
#include "support/running_proxy.h"

namespace rum {
namespace {

using namespace rum::test;

Hooks Relaying() {
  Hooks hooks;
  hooks.without_session_open = true;
  return hooks;
}

RunningProxy::Change To(const Server& server, ProxyVersion version, const char* from = nullptr) {
  return [&server, version, from](Settings& s) {
    s.destinations.push_back(*ParseAddress(server.address()));
    s.send_proxy = version;
    if (from) s.proxy_from = *CidrSet::Parse(from);
  };
}

std::string AddressOf(const RunningProxy& proxy) { return proxy.address().substr(4); }

// What a server is told, as addresses; "-": nothing. The header ends where "hello" begins.
std::string Told(Peer& upstream) {
  std::string bytes;
  ProxyHeader header;
  while (header.status == ProxyHeader::Status::kMore) {
    std::string next = upstream.Receive(1);
    if (next.empty()) return "no header: " + bytes;
    header = ParseProxyHeader(bytes += next);
  }
  if (header.status == ProxyHeader::Status::kBad) return "bad: " + bytes;
  if (!header.ends) return "-";
  return header.ends->source.text() + " " + header.ends->destination.text();
}

TEST(ProxyHeaderOut, ComesFirstAndTellsBothEndsOfTheClientsConnection) {
  for (auto version : {ProxyVersion::kV1, ProxyVersion::kV2}) {
    Server server;
    RunningProxy proxy(Relaying(), To(server, version));
    Peer client = proxy.Client();
    EXPECT_TRUE(client.Send("hello"));
    Peer upstream = server.Accept();
    EXPECT_EQ(Told(upstream), client.name() + " " + AddressOf(proxy));
    EXPECT_EQ(upstream.Receive(5), "hello");
    EXPECT_TRUE(upstream.Send("back"));
    EXPECT_EQ(client.Receive(4), "back");
  }
}

TEST(ProxyHeaderOut, ComesBeforeAWordOfTheClientOrTheModule) {
  Server server;
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return Connect(s, ""); };
  hooks.upstream_open = [](rum_session* s, uint32_t) { Send(s, RUM_UPSTREAM, "hello"); };
  RunningProxy proxy(hooks, To(server, ProxyVersion::kV2));
  Peer client = proxy.Client();  // which says nothing
  Peer upstream = server.Accept();
  EXPECT_EQ(Told(upstream), client.name() + " " + AddressOf(proxy));
  EXPECT_EQ(upstream.Receive(5), "hello");
}

TEST(ProxyHeaderOut, PassesOnWhatAHeaderOfTheClientTold) {
  Server server;
  RunningProxy proxy(Relaying(), To(server, ProxyVersion::kV1, "127.0.0.1"));
  Peer client = proxy.Client();
  EXPECT_TRUE(client.Send("PROXY TCP6 2001:db8::1 ::1 40112 3306\r\n"));
  Peer upstream = server.Accept();
  EXPECT_EQ(Told(upstream), "[2001:db8::1]:40112 [::1]:3306");
  // A header that told nothing: then the client is who is connected.
  Peer other = proxy.Client();
  EXPECT_TRUE(other.Send("PROXY UNKNOWN\r\n"));
  Peer next = server.Accept();
  EXPECT_EQ(Told(next), other.name() + " " + AddressOf(proxy));
}

TEST(ProxyHeaderOut, TellsNothingOfAUnixSocketsClient) {
  for (auto version : {ProxyVersion::kV1, ProxyVersion::kV2}) {
    Folder folder;
    Server server;
    RunningProxy proxy(Relaying(), [&](Settings& s) {
      To(server, version)(s);
      s.listeners = {*ParseAddress("sock:" + (folder / "in"))};
    });
    Peer client = proxy.Client();
    EXPECT_TRUE(client.Send("hello"));
    Peer upstream = server.Accept();
    EXPECT_EQ(Told(upstream), "-");
    EXPECT_EQ(upstream.Receive(5), "hello");
  }
}

TEST(ProxyHeaderOut, IsNotSentUnasked) {
  Server server;
  RunningProxy proxy(Relaying(), To(server, ProxyVersion::kOff));
  Peer client = proxy.Client();
  EXPECT_TRUE(client.Send("hello"));
  EXPECT_EQ(server.Accept().Receive(5), "hello");
}

TEST(ProxyHeaderOut, IsInPlainTextBeforeTls) {
  Server server;
  RunningProxy proxy(Relaying(), [&](Settings& s) {
    To(server, ProxyVersion::kV2)(s);
    s.destinations[0].tls = true;
    s.tls.first = true;
  });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  EXPECT_EQ(Told(upstream), client.name() + " " + AddressOf(proxy));
  EXPECT_EQ(upstream.Receive(3), "\x16\x03\x01");  // a ClientHello
}

}  // namespace
}  // namespace rum

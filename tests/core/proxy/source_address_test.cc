// From which address rum connects to servers (--source-address).
#include <gtest/gtest.h>

#include <string>

#include "proxy/proxy.h"
#include "support/folder.h"
#include "support/running_proxy.h"

namespace rum {
namespace {

using namespace rum::test;

std::string HostOf(const Peer& peer) {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  ::getpeername(peer.fd(), reinterpret_cast<sockaddr*>(&address), &size);
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&address), size).host();
}

// What the server sees of clients that come one after the other.
std::string Seen(const std::vector<std::string>& sources, Server& server) {
  Hooks hooks;
  hooks.without_session_open = true;
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.destinations.push_back(*ParseAddress(server.address()));
    for (const std::string& source : sources) {
      s.source_addresses.push_back(*SocketAddress::Numeric(source, 0));
    }
  });
  std::string seen;
  for (int i = 0; i < 3; ++i) {
    Peer client = proxy.Client();
    EXPECT_TRUE(client.Send("x"));
    Peer upstream = server.Accept();
    EXPECT_EQ(upstream.Receive(1), "x");
    seen += HostOf(upstream) + " ";
  }
  return seen;
}

TEST(SourceAddress, IsWhereConnectionsToServersComeFrom) {
  Server server;
  EXPECT_EQ(Seen({"127.0.0.2", "127.0.0.3"}, server), "127.0.0.2 127.0.0.2 127.0.0.2 ");
}

TEST(SourceAddress, IsTheNextOneWhenTheFirstCannotBeHad) {
  Server server;
  EXPECT_EQ(Seen({"192.0.2.1", "127.0.0.3"}, server), "127.0.0.3 127.0.0.3 127.0.0.3 ");
}

TEST(SourceAddress, OfAnotherFamilyIsNotUsed) {
  Server server;
  EXPECT_EQ(Seen({"::1"}, server), "127.0.0.1 127.0.0.1 127.0.0.1 ");
  EXPECT_EQ(Seen({"::1", "127.0.0.4"}, server), "127.0.0.4 127.0.0.4 127.0.0.4 ");
  Folder folder;
  Server unix_server(folder / "server");
  EXPECT_EQ(Seen({"127.0.0.2"}, unix_server), "unix unix unix ");
}

TEST(SourceAddress, ThatCannotBeHadAtAllEndsTheSession) {
  Server server;
  Hooks hooks;
  hooks.without_session_open = true;
  RunningProxy proxy(hooks, [&](Settings& s) {
    s.destinations.push_back(*ParseAddress(server.address()));
    s.source_addresses = {*SocketAddress::Numeric("192.0.2.1", 0)};
  });
  Peer client = proxy.Client();
  client.WaitForEnd();
  EXPECT_EQ(proxy.NextReason(), "no_resources");
}

}  // namespace
}  // namespace rum

// The groups of calls about one session, on the real core: "rum.sessions/1".
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/proxy.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

const rum_sessions& Sessions() {
  return *static_cast<const rum_sessions*>(host->extension(RUM_SESSIONS_1));
}
const rum_limits& Limits() {
  return *static_cast<const rum_limits*>(host->extension(RUM_LIMITS_1));
}

std::string Where(rum_session* s) {
  char text[300];
  size_t size = sizeof text;
  const int32_t status = Sessions().destination(s, text, &size);
  return status == RUM_OK ? std::string(text, size) : std::to_string(status);
}

TEST(Destination, IsWhatConnectTakes) {
  Folder folder;
  Server tcp, unix_server(folder / "socket");
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    size_t size = 300;
    EXPECT_EQ(Sessions().destination(s, nullptr, &size), RUM_E_ARGUMENT);
    EXPECT_EQ(Sessions().destination(s, nullptr, nullptr), RUM_E_ARGUMENT);
    journal.Add("before " + Where(s));
    EXPECT_EQ(Connect(s, bytes), RUM_OK);
    journal.Add("meanwhile " + Where(s));
    return static_cast<int64_t>(bytes.size());
  };
  hooks.upstream_open = [&](rum_session* s, uint32_t reason) {
    EXPECT_EQ(reason, 0u);
    size_t size = 3;
    char text[] = "abc";
    EXPECT_EQ(Sessions().destination(s, text, &size), RUM_E_LIMIT);
    EXPECT_EQ(size, Where(s).size());
    EXPECT_STREQ(text, "abc");
    journal.Add("connected " + Where(s));
    if (Where(s).starts_with("sock:")) host->relay(s);
  };
  hooks.session_close = [&](rum_session* s, uint32_t) { journal.Add("closed " + Where(s)); };
  RunningProxy proxy(hooks);
  Peer one = proxy.Client();
  one.Send(RefusingAddress() + "," + tcp.address());
  Peer first = tcp.Accept();
  EXPECT_TRUE(journal.WaitFor("connected " + tcp.address()));
  one.Close();
  EXPECT_TRUE(journal.WaitFor("closed " + tcp.address()));
  Peer two = proxy.Client();
  two.Send(unix_server.address());
  Peer second = unix_server.Accept();
  EXPECT_TRUE(journal.WaitFor("connected " + unix_server.address()));
  two.Close();
  second.Close();
  EXPECT_TRUE(journal.WaitFor("closed " + unix_server.address()));
  EXPECT_EQ(journal.Count("before -2"), 2u);
  EXPECT_EQ(journal.Count("meanwhile -2"), 2u);
}

TEST(NoLogin, CountsNoLoginAndNoUser) {
  Server server;
  Journal journal;
  Hooks hooks;
  hooks.client_data = [&](rum_session* s, std::string_view) -> int64_t {
    Identify(s, "alice");
    EXPECT_EQ(Limits().admit(s, "", 0), RUM_OK);
    EXPECT_EQ(Sessions().no_login(s), RUM_OK);
    EXPECT_EQ(Sessions().no_login(s), RUM_OK);
    EXPECT_EQ(Limits().confirm(s), RUM_E_STATE);
    EXPECT_EQ(Limits().admit(s, "", 0), RUM_E_STATE);
    EXPECT_EQ(Limits().try_login(s), RUM_E_STATE);
    EXPECT_EQ(Connect(s, server.address()), RUM_OK);
    EXPECT_EQ(host->relay(s), RUM_OK);
    EXPECT_EQ(Sessions().no_login(s), RUM_E_STATE);
    return 0;
  };
  RunningProxy proxy(hooks, [](Settings& s) {
    s.log_logins = true;
    s.access_control.max_connecting = 5;
  });
  Peer client = proxy.Client();
  client.Send("cancel");
  Peer peer = server.Accept();
  EXPECT_EQ(peer.Receive(6), "cancel");
  EXPECT_EQ(proxy.Sum(&Counters::relaying), 1u);
  EXPECT_EQ(proxy.Sum(&Counters::logins), 0u);
  EXPECT_EQ(proxy.proxy().access_control().connecting(), 1u);
  EXPECT_EQ(proxy.proxy().admission().users().active(), 0u);
  peer.Send("done");
  peer.Close();
  EXPECT_EQ(client.ReceiveAll(), "done");
  client.Close();
  auto line = proxy.NextEnd();
  EXPECT_EQ(line.value("login", ""), "no");
  EXPECT_EQ(line.value("reason", ""), "upstream_closed");
  EXPECT_EQ(proxy.LogText().find("\"event\":\"login\""), std::string::npos);
}

TEST(NoLogin, DoesNotOutliveTheLoginDeadline) {
  for (bool watched : {false, true}) {
    Server server;
    Hooks hooks;
    hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
    hooks.upstream_data = [](rum_session*, std::string_view bytes) {
      return static_cast<int64_t>(bytes.size());
    };
    hooks.upstream_open = [&](rum_session* s, uint32_t) {
      EXPECT_EQ(Sessions().no_login(s), RUM_OK);
      EXPECT_EQ(watched ? host->relay_from(s, RUM_CLIENT) : host->relay(s), RUM_OK);
    };
    RunningProxy proxy(hooks, [](Settings& s) { s.login_timeout = 200ms; });
    Peer client = proxy.Client();
    Peer peer = server.Accept();
    EXPECT_EQ(proxy.NextReason(), "login_timeout") << watched;
  }
}

TEST(NoLogin, IsRefusedWhenAUserHasLoggedIn) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) { return Connect(s, server.address()); };
  hooks.upstream_open = [&](rum_session* s, uint32_t) {
    Identify(s, "alice");
    EXPECT_EQ(Limits().admit(s, "", 0), RUM_OK);
    EXPECT_EQ(Limits().confirm(s), RUM_OK);
    EXPECT_EQ(Sessions().no_login(s), RUM_E_STATE);
    EXPECT_EQ(host->relay(s), RUM_OK);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  Peer peer = server.Accept();
  EXPECT_TRUE(Eventually([&] { return proxy.Sum(&Counters::logins) == 1; }));
}

}  // namespace
}  // namespace rum

// The groups of calls about one session, on the real core: "rum.sessions/1",
// "rum.queue/1", and what "rum.tls/1" says of handshakes.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "proxy/host_calls.h"
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

// Its application goes on trying, from the address of all other users of a web server.
TEST(LoginFailed, DoesNotCountADisabledUser) {
  Hooks hooks;
  hooks.client_data = [](rum_session* s, std::string_view bytes) {
    Identify(s, "alice");
    const std::string record = std::string("\0tcp:a:1\0\x80", 10) + std::string(bytes);
    EXPECT_GT(Limits().admit(s, record.data(), record.size()), 0);
    Limits().login_failed(s);
    Close(s, RUM_CLOSE_DENIED);
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.admission.guard.failures = {2, Millis(3600000)}; });
  for (const auto& [rules, reason] : {std::pair("disabled", "denied"),
                                      {"disabled", "denied"},
                                      {"disabled", "denied"},
                                      {"until=1", "denied"},
                                      {"until=1", "denied"},
                                      {"disabled", "blocked"}}) {
    Peer client = proxy.Client();
    client.Send(rules);
    client.ReceiveAll();
    EXPECT_EQ(proxy.NextReason(), reason) << rules;
  }
  EXPECT_EQ(proxy.Sum(&Counters::login_failures), 2u);
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

TEST(TlsFacts, AreThereAfterTheHandshake) {
  Journal journal;
  const auto& tls = *static_cast<const rum_tls*>(kHost.extension(RUM_TLS_1));
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    size_t size = 0;
    EXPECT_EQ(tls.set_alpn(s, RUM_CLIENT, "\x01x\x0apostgresql", 13), RUM_OK);
    EXPECT_EQ(tls.set_alpn(s, RUM_CLIENT, "postgresql", 10), RUM_E_ARGUMENT);
    EXPECT_EQ(tls.set_alpn(s, RUM_CLIENT, "\x01x", RUM_MOST_ALPN + 1), RUM_E_LIMIT);
    EXPECT_EQ(tls.set_alpn(s, 2, "\x01x", 2), RUM_E_ARGUMENT);
    EXPECT_EQ(tls.alpn(s, RUM_CLIENT, nullptr, &size), RUM_E_STATE);
    EXPECT_EQ(tls.version(s, RUM_CLIENT), RUM_E_STATE);
    EXPECT_EQ(tls.end_point(s, RUM_UPSTREAM, nullptr, &size), RUM_E_STATE);
    return RUM_OK;
  };
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    char text[4096];
    size_t size = sizeof text;
    EXPECT_EQ(tls.set_alpn(s, RUM_CLIENT, "\x01x", 2), RUM_E_STATE);
    EXPECT_EQ(tls.alpn(s, RUM_CLIENT, text, &size), RUM_OK);
    journal.Add("alpn " + std::string(text, size));
    size = 1;
    EXPECT_EQ(tls.alpn(s, RUM_CLIENT, text, &size), RUM_E_LIMIT);
    EXPECT_EQ(size, 10u);
    size = sizeof text;
    EXPECT_EQ(tls.server_name(s, text, &size), RUM_OK);
    journal.Add("name " + std::string(text, size));
    size = sizeof text;
    EXPECT_EQ(tls.offered_alpn(s, reinterpret_cast<uint8_t*>(text), &size), RUM_OK);
    EXPECT_EQ(std::string(text, size), "\x02h2\x0apostgresql");
    size = sizeof text;
    EXPECT_EQ(tls.certificate(s, RUM_CLIENT, text, &size), RUM_OK);
    EXPECT_EQ(size, 0u);
    uint8_t digest[32];
    size = sizeof text;
    EXPECT_EQ(tls.end_point(s, RUM_CLIENT, text, &size), RUM_OK);
    EXPECT_EQ(tls.fingerprint(s, digest), RUM_OK);
    EXPECT_EQ(std::string(text, size), std::string(reinterpret_cast<char*>(digest), 32));
    EXPECT_EQ(tls.version(s, RUM_CLIENT), 0x0304);
    EXPECT_EQ(Send(s, RUM_CLIENT, "ok"), RUM_OK);
    return static_cast<int64_t>(bytes.size());
  };
  RunningProxy proxy(hooks, [](Settings& s) {
    s.listeners[0].tls = true;
    s.tls.first = true;
  });
  Peer client = Peer::Connect("tcp:" + proxy.address().substr(4));
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, client.fd());
  SSL_set_tlsext_host_name(ssl, "db.example");
  SSL_set_alpn_protos(ssl, reinterpret_cast<const uint8_t*>("\x02h2\x0apostgresql"), 14);
  EXPECT_EQ(SSL_connect(ssl), 1);
  EXPECT_EQ(SSL_write(ssl, "x", 1), 1);
  char answer[2];
  EXPECT_EQ(SSL_read(ssl, answer, 2), 2);
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"alpn postgresql", "name db.example"}));
  SSL_free(ssl);
  SSL_CTX_free(context);
}

const rum_queue& Queue() { return *static_cast<const rum_queue*>(host->extension(RUM_QUEUE_1)); }

TEST(Queue, AModuleThatSendsPartByPartKeepsNoMoreThanItChose) {
  constexpr size_t kPart = 64 * 1024, kBelow = 100 * 1024, kParts = 400;
  std::atomic<size_t> sent = 0;
  std::atomic<uint64_t> most = 0;
  const std::string part = Noise(kPart, 7);
  auto next = [&](rum_session* s) {
    EXPECT_EQ(Send(s, RUM_CLIENT, part), RUM_OK);
    if (Queue().size(s, RUM_CLIENT) > most) most = Queue().size(s, RUM_CLIENT);
    if (++sent == kParts) return Close(s, RUM_CLOSE_CLIENT);
    EXPECT_EQ(Queue().await(s, RUM_CLIENT, kBelow), RUM_OK);
  };
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(Queue().size(s, RUM_UPSTREAM), 0u);
    EXPECT_EQ(Queue().size(s, 7), 0u);
    EXPECT_EQ(Queue().await(s, 7, 0), RUM_E_ARGUMENT);
    EXPECT_EQ(Queue().await(s, RUM_UPSTREAM, 0), RUM_E_STATE);
    next(s);
    return RUM_OK;
  };
  hooks.drained = [&](rum_session* s, uint32_t side) {
    EXPECT_EQ(side, RUM_CLIENT);
    EXPECT_LE(Queue().size(s, RUM_CLIENT), kBelow);
    next(s);
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client(4096);
  std::this_thread::sleep_for(100ms);
  EXPECT_LT(sent, kParts);
  std::string all;
  for (size_t i = 0; i < kParts; ++i) {
    if (client.Receive(kPart) != part) FAIL() << i;
  }
  EXPECT_LE(most, kBelow + kPart);
  EXPECT_EQ(proxy.NextReason(), "client_closed");
}

TEST(Queue, WithoutTheHookThereIsNothingToAwait) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) {
    EXPECT_EQ(Queue().await(s, RUM_CLIENT, 0), RUM_E_UNSUPPORTED);
    Close(s, RUM_CLOSE_CLIENT);
    return RUM_OK;
  };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextReason(), "client_closed");
}

TEST(Queue, AModuleThatAwaitsForeverWhatItDoesNotSendEnds) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return Queue().await(s, RUM_CLIENT, 0); };
  hooks.drained = [](rum_session* s, uint32_t) { Queue().await(s, RUM_CLIENT, 0); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  EXPECT_EQ(proxy.NextReason(), "module_failed");
}

TEST(Queue, APauseHoldsTheHookBack) {
  Journal journal;
  std::atomic<uint64_t> ticket = 0;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    EXPECT_EQ(Queue().await(s, RUM_CLIENT, 0), RUM_OK);
    ticket = host->pause(s);
    return RUM_OK;
  };
  hooks.resumed = [&](rum_session*, uint64_t, int32_t, void*) { journal.Add("resumed"); };
  hooks.drained = [&](rum_session*, uint32_t) { journal.Add("drained"); };
  RunningProxy proxy(hooks);
  Peer client = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return ticket != 0; }));
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(journal.Count("drained"), 0u);
  host->resume(ticket, 0, nullptr, nullptr);
  EXPECT_TRUE(journal.WaitFor("drained"));
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"resumed", "drained"}));
}

}  // namespace
}  // namespace rum

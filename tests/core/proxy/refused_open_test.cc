// Clients that are refused, and that the module leads to an error which their protocol lets them
// read: what such a session may do, and that it stays short, small and one of few.
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "proxy/listener.h"
#include "proxy/proxy.h"
#include "proxy/shared_table.h"
#include "proxy/worker.h"
#include "support/running_proxy.h"
#include "support/timeout.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

template <class Group>
const Group& Calls(const char* name) {
  return *static_cast<const Group*>(host->extension(name));
}

// Answers the client's first message by an error, and by words if there is no session for it.
Hooks Polite(Journal& journal) {
  Hooks hooks;
  hooks.refused_open = [&](rum_session*, uint32_t reason) {
    journal.Add("open " + std::to_string(reason));
    return RUM_OK;
  };
  hooks.client_data = [&](rum_session* s, std::string_view bytes) {
    Send(s, RUM_CLIENT, "sorry " + std::string(bytes));
    Close(s, RUM_CLOSE_DENIED, "the module's own reason");
    return static_cast<int64_t>(bytes.size());
  };
  hooks.refusal = [&](uint32_t, uint8_t* bytes, size_t) -> size_t {
    return std::string_view("plain").copy(reinterpret_cast<char*>(bytes), 5);
  };
  hooks.session_close = [&](rum_session*, uint32_t reason) {
    journal.Add("close " + std::to_string(reason));
  };
  return hooks;
}

void OneClient(Settings& s) { s.access_control.max_connections = 1; }
const std::string kLimit = std::to_string(RUM_CLOSE_LIMIT);

TEST(RefusedOpen, LeadsAClientToAnErrorThatItCanRead) {
  Journal journal;
  RunningProxy proxy(Polite(journal), OneClient);
  Peer first = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.proxy().access_control().connections() == 1; }));
  Peer second = proxy.Client();
  EXPECT_EQ(second.ReceiveWithin(50), "") << "it speaks first";
  second.Send("hello");
  EXPECT_EQ(second.ReceiveAll(), "sorry hello");
  auto end = proxy.NextEnd();
  EXPECT_EQ(end.value("reason", ""), "limit");
  EXPECT_EQ(end.value("detail", ""), "--max-connections");
  EXPECT_EQ(journal.entries(), (std::vector<std::string>{"open " + kLimit, "close " + kLimit}));
  EXPECT_EQ(proxy.Ended(RUM_CLOSE_LIMIT), 1u);
  EXPECT_EQ(proxy.proxy().access_control().connections(), 1u);
  first.Close();
}

TEST(RefusedOpen, HasNoServerAndNoUser) {
  Journal journal;
  Server server;
  SharedTable::Get();  // stays, with its descriptor
  Hooks hooks = Polite(journal);
  hooks.refused_open = [&](rum_session* s, uint32_t) {
    const auto& limits = Calls<rum_limits>(RUM_LIMITS_1);
    EXPECT_EQ(Connect(s, server.address()), RUM_E_STATE);
    EXPECT_EQ(Lookup(s, "alice"), RUM_E_STATE);
    EXPECT_EQ(host->relay(s), RUM_E_STATE);
    EXPECT_EQ(host->relay_from(s, RUM_CLIENT), RUM_E_STATE);
    EXPECT_EQ(host->forward(s, RUM_CLIENT, 1), RUM_E_STATE);
    EXPECT_EQ(Identify(s, "alice"), RUM_OK);
    EXPECT_EQ(limits.admit(s, "", 0), RUM_E_STATE);
    EXPECT_EQ(limits.confirm(s), RUM_E_STATE);
    EXPECT_EQ(limits.try_login(s), RUM_E_STATE);
    EXPECT_EQ(Calls<rum_sessions>(RUM_SESSIONS_1).no_login(s), RUM_E_STATE);
    EXPECT_EQ(Calls<rum_shared>(RUM_SHARED_1).put(s, "k", 1, "v", 1, 0), RUM_E_STATE);
    EXPECT_EQ(Send(s, RUM_UPSTREAM, "x"), RUM_E_STATE);
    limits.login_failed(s);
    Note(s, "step", "refused");
    journal.Add("tried");
    return RUM_OK;
  };
  RunningProxy proxy(hooks, OneClient);
  Peer first = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.proxy().access_control().connections() == 1; }));
  Peer second = proxy.Client();
  EXPECT_TRUE(journal.WaitFor("tried"));
  second.Send("x");
  EXPECT_EQ(second.ReceiveAll(), "sorry x");
  EXPECT_EQ(proxy.Sum(&Counters::login_failures), 0u);
  EXPECT_EQ(proxy.proxy().admission().users().active(), 0u);
}

TEST(RefusedOpen, WithoutASessionTheWordsAreSentAtOnce) {
  Journal journal;
  Hooks hooks = Polite(journal);
  hooks.refused_open = [&](rum_session*, uint32_t) { return RUM_E_FAILED; };
  RunningProxy proxy(hooks, OneClient);
  Peer first = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.proxy().access_control().connections() == 1; }));
  EXPECT_EQ(proxy.Client().ReceiveAll(), "plain");
  EXPECT_EQ(proxy.proxy().refused_clients().now(), 0u);
}

TEST(RefusedOpen, ReadsNoMoreThanItsBound) {
  Journal journal;
  std::atomic<size_t> most = 0;
  Hooks hooks = Polite(journal);
  hooks.client_data = [&](rum_session* s, std::string_view bytes) -> int64_t {
    if (bytes.size() > most) most = bytes.size();
    host->need(s, RUM_CLIENT, bytes.size() + 1);
    return 0;
  };
  RunningProxy proxy(hooks, OneClient);
  Peer first = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.proxy().access_control().connections() == 1; }));
  Peer second = proxy.Client();
  second.SendUntilStuck(Noise(100000, 1), 100);
  EXPECT_TRUE(journal.WaitFor("close " + kLimit));
  EXPECT_GT(most, 0u);
  EXPECT_LE(most, size_t{RUM_MOST_REFUSED_BYTES});
}

TEST(RefusedOpen, EndsInTimeAndThereAreFewOfThem) {
  constexpr size_t kClients = RUM_MOST_REFUSED + 16;
  Journal journal;
  RunningProxy proxy(Polite(journal), OneClient);
  Peer first = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.proxy().access_control().connections() == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  std::vector<Peer> silent;
  for (size_t i = 0; i < kClients; ++i) silent.push_back(proxy.Client());
  size_t plain = 0;
  for (size_t i = RUM_MOST_REFUSED; i < kClients; ++i) {
    plain += silent[i].ReceiveWithin(1000) == "plain";
  }
  EXPECT_GT(plain, 0u);
  EXPECT_LE(journal.Count("open " + kLimit), kClients - plain);
  EXPECT_LE(proxy.proxy().refused_clients().now(), RUM_MOST_REFUSED);
  ASSERT_TRUE(Eventually(
      [&] { return journal.Count("close " + kLimit) == journal.Count("open " + kLimit); }));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 2900ms);
  silent.clear();
  EXPECT_TRUE(Eventually([&] { return proxy.proxy().refused_clients().now() == 0; }));
}

TEST(RefusedOpen, AFloodOpensNoMoreThanTheBound) {
  Journal journal;
  RunningProxy proxy(Polite(journal), OneClient);
  Peer first = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.proxy().access_control().connections() == 1; }));
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 2000; ++i) Peer client = proxy.Client();
  EXPECT_TRUE(Eventually([&] { return proxy.Ended(RUM_CLOSE_LIMIT) == 2000; }));
  const auto seconds =
      std::chrono::ceil<std::chrono::seconds>(std::chrono::steady_clock::now() - begin).count();
  EXPECT_LE(journal.Count("open " + kLimit),
            RUM_MOST_REFUSED * (1 + static_cast<uint64_t>(seconds)));
}

TEST(RefusedOpen, ComesBehindTheHandshakeOfATlsListener) {
  Journal journal;
  RunningProxy proxy(Polite(journal), [](Settings& s) {
    s.access_control.deny = *AccessList::Parse("127.0.0.0/8");
    s.listeners[0].tls = true;
    s.tls.first = true;
  });
  Peer client = Peer::Connect("tcp:" + proxy.address().substr(4));
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, client.fd());
  EXPECT_EQ(SSL_connect(ssl), 1);
  EXPECT_EQ(SSL_write(ssl, "hi", 2), 2);
  char answer[8];
  EXPECT_EQ(SSL_read(ssl, answer, 8), 8);
  EXPECT_EQ(std::string(answer, 8), "sorry hi");
  SSL_free(ssl);
  SSL_CTX_free(context);
  EXPECT_TRUE(journal.WaitFor("close " + std::to_string(RUM_CLOSE_NOT_ALLOWED)));
}

TEST(RefusedOpen, IsForClientsOfAWorkerThatDrainsToo) {
  Journal journal;
  RunningProxy proxy(Polite(journal));
  Peer stays = proxy.Client();
  ASSERT_TRUE(Eventually([&] { return proxy.proxy().access_control().connections() == 1; }));
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
  Peer late{Fd(ends[0])};
  Worker& worker = *proxy.proxy().workers()[0];
  Listener& listener = *proxy.proxy().listeners()[0];
  worker.load.fetch_add(1);
  worker.Post([&, fd = ends[1]] {
    worker.Drain();
    worker.Adopt(listener, Fd(fd), SocketAddress());
  });
  late.Send("late");
  EXPECT_EQ(late.ReceiveAll(), "sorry late");
  late.Close();
  EXPECT_EQ(proxy.NextReason(), "drain");
  stays.Close();
}

}  // namespace
}  // namespace rum

// TLS from the first byte on (tls:HOST:PORT), as far as it touches what a session does: nothing
// goes out in plain text, and the relay is exact behind it.
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <memory>
#include <string>
#include <thread>

#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "support/patience.h"
#include "support/running_proxy.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using namespace rum::test;

// A client or a server that speaks TLS on a connected socket; blocks.
class TlsPeer {
 public:
  explicit TlsPeer(const Peer& peer) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), peer.fd());
    EXPECT_EQ(SSL_connect(ssl_.get()), 1);
  }
  void Send(std::string_view bytes) {
    size_t done = 0;
    EXPECT_EQ(SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &done), 1);
    EXPECT_EQ(done, bytes.size());
  }
  std::string Receive(size_t size) {
    std::string all(size, '\0');
    size_t done = 0;
    while (done < size) {
      size_t n = 0;
      if (SSL_read_ex(ssl_.get(), all.data() + done, size - done, &n) != 1) break;
      done += n;
    }
    EXPECT_EQ(done, size);
    return all.substr(0, done);
  }
  void SayEnd() { SSL_shutdown(ssl_.get()); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
};

void TlsListener(Settings& s) {
  s.listeners[0].tls = true;
  s.tls.first = true;
}

std::string PlainAddress(const RunningProxy& proxy) { return "tcp:" + proxy.address().substr(4); }

TEST(TlsFromTheFirstByte, AGreetingDoesNotGoOutInPlainText) {
  Hooks hooks;
  hooks.session_open = [](rum_session* s) { return Send(s, RUM_CLIENT, "greeting"); };
  RunningProxy proxy(hooks, TlsListener);
  ASSERT_TRUE(proxy.address().starts_with("tls:"));
  {
    Peer plain = Peer::Connect(PlainAddress(proxy));
    EXPECT_EQ(plain.ReceiveWithin(300), "");
  }
  Peer client = Peer::Connect(PlainAddress(proxy));
  TlsPeer tls(client);
  EXPECT_EQ(tls.Receive(8), "greeting");
}

TEST(TlsFromTheFirstByte, BulkIsExactBothWaysBehindIt) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, server.address());
    return host->relay(s);
  };
  RunningProxy proxy(hooks, TlsListener);
  Peer client = Peer::Connect(PlainAddress(proxy));
  TlsPeer tls(client);
  Peer upstream = server.Accept();
  std::string up = Noise(5 << 20, 1), down = Noise(6 << 20, 2);
  std::thread sender([&] { upstream.Send(down); });
  EXPECT_TRUE(tls.Receive(down.size()) == down);
  sender.join();
  std::string got;
  std::thread receiver([&] { got = upstream.Receive(up.size()); });
  tls.Send(up);
  receiver.join();
  EXPECT_TRUE(got == up);
  tls.SayEnd();
  EXPECT_EQ(upstream.WaitForEnd(), Ending::kEnd);
  upstream.Close();
  EXPECT_EQ(proxy.NextReason(), "client_closed");
}

TEST(TlsFromTheFirstByte, PlainTextEndsTheSession) {
  Hooks hooks;
  hooks.client_data = [](rum_session*, std::string_view) -> int64_t {
    ADD_FAILURE() << "the module must not see it";
    return 0;
  };
  RunningProxy proxy(hooks, TlsListener);
  Peer client = Peer::Connect(PlainAddress(proxy));
  client.Send("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(proxy.NextReason(), "tls_failed");
}

TEST(TlsFromTheFirstByte, AResetThatAWriteMeetsFirstIsAResetOfTheOther) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, server.address());
    return host->relay(s);
  };
  RunningProxy proxy(hooks, TlsListener);
  Peer client = Peer::Connect(PlainAddress(proxy));
  TlsPeer tls(client);
  tls.Send("hello");
  Peer upstream = server.Accept();
  ASSERT_EQ(upstream.Receive(5), "hello");
  HeldWorker held(proxy);
  upstream.Send("is written first");
  client.NoDelay();
  tls.Send("half");
  client.Reset();
  held.Go();
  Ending ending;
  EXPECT_EQ(upstream.ReceiveAll(&ending), "half");
  EXPECT_EQ(ending, Ending::kReset);
  EXPECT_EQ(proxy.NextReason(), "client_reset");
}

TEST(TlsFromTheFirstByte, AServerThatResetsInTheHandshakeEndsASessionThatIsToBeRelayed) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, "tls:" + server.address().substr(4));
    return host->relay(s);
  };
  RunningProxy proxy(hooks, [](Settings& s) {
    s.tls.first = true;
    s.first_byte_timeout = 0ms;
  });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  upstream.Receive(5);  // of the client's hello
  upstream.Reset();
  auto end = proxy.NextEnd();
  EXPECT_EQ(end["reason"], "tls_failed");
  EXPECT_NE(end["detail"], "");
  EXPECT_EQ(client.WaitForEnd(), Ending::kEnd);
}

}  // namespace
}  // namespace rum

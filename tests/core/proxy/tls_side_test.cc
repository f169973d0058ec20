// TLS from the first byte on (tls:HOST:PORT), as far as it touches what a session does: nothing
// goes out in plain text, and the relay is exact behind it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "support/running_proxy.h"
#include "support/timeout.h"
#include "tls/tls_context.h"

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

// A read brings the records of one stream into memory that its worker's streams share; the pieces
// make some of them begin in one read and end in another.
TEST(TlsFromTheFirstByte, TheStreamsOfAWorkerStayApart) {
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, server.address());
    return host->relay(s);
  };
  RunningProxy proxy(hooks, TlsListener);
  struct Stream {
    Stream(const RunningProxy& proxy, Server& server, uint32_t seed)
        : client(Peer::Connect(PlainAddress(proxy))),
          tls(client),
          upstream(server.Accept()),
          sent(Noise(2 << 20, seed)) {}
    Peer client;
    TlsPeer tls;
    Peer upstream;
    std::string sent, got;
  };
  std::vector<std::unique_ptr<Stream>> streams;
  for (uint32_t i = 0; i < 4; ++i) streams.push_back(std::make_unique<Stream>(proxy, server, i));
  std::vector<std::thread> threads;
  for (size_t i = 0; i < streams.size(); ++i) {
    Stream& one = *streams[i];
    threads.emplace_back([&one] { one.got = one.upstream.Receive(one.sent.size()); });
    threads.emplace_back([&one, i] {
      const size_t piece = 3001 * (i + 1);
      for (size_t at = 0; at < one.sent.size(); at += piece) {
        one.tls.Send(std::string_view(one.sent).substr(at, piece));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  for (auto& one : streams) EXPECT_TRUE(one->got == one->sent);
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

// Blocks.
class ServerTls {
 public:
  explicit ServerTls(const Folder& folder) : context_(SSL_CTX_new(TLS_server_method())) {
    const std::string path = folder / "own.pem";
    EXPECT_TRUE(WriteSelfSignedCertificate(path).ok());
    EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context_, path.c_str()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context_, path.c_str(), SSL_FILETYPE_PEM), 1);
  }
  ~ServerTls() { SSL_CTX_free(context_); }
  SSL* Accept(const Peer& peer) {  // the caller frees it
    SSL* ssl = SSL_new(context_);
    SSL_set_fd(ssl, peer.fd());
    EXPECT_EQ(SSL_accept(ssl), 1);
    return ssl;
  }

 private:
  SSL_CTX* context_;
};

// A server with TLS 1.2 that sends `out`, takes `size` bytes, and begins the handshake anew after
// each megabyte that it has sent.
class RestlessServer {
 public:
  explicit RestlessServer(const Folder& folder) {
    const std::string path = folder / "own.pem";
    EXPECT_TRUE(WriteSelfSignedCertificate(path).ok());
    context_ = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(context_, TLS1_2_VERSION);
    SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE);
    EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context_, path.c_str()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context_, path.c_str(), SSL_FILETYPE_PEM), 1);
  }
  ~RestlessServer() { SSL_CTX_free(context_); }

  std::string Exchange(const Peer& peer, const std::string& out, size_t size) {
    SSL* ssl = SSL_new(context_);
    SSL_set_fd(ssl, peer.fd());
    EXPECT_EQ(SSL_accept(ssl), 1);
    ::fcntl(peer.fd(), F_SETFL, ::fcntl(peer.fd(), F_GETFL) | O_NONBLOCK);
    std::string got;
    std::vector<char> buffer(1 << 16);
    size_t sent = 0, next = 1 << 20, n = 0;
    bool pending = false;
    while (sent < out.size() || got.size() < size || SSL_in_init(ssl)) {
      bool moved = false;
      // OpenSSL can answer a handshake only when no record waits to be written.
      if (!pending) {
        moved = SSL_read_ex(ssl, buffer.data(), buffer.size(), &n) == 1;
        if (!moved && !Waits(ssl)) break;
        if (moved) got.append(buffer.data(), n);
      }
      // Only reads go on within a handshake: bytes that were on their way come in between.
      if (!SSL_in_init(ssl) && sent < out.size()) {
        pending =
            !SSL_write_ex(ssl, out.data() + sent, std::min<size_t>(out.size() - sent, 16384), &n);
        if (pending && !Waits(ssl)) break;
        if (!pending) sent += n;
        moved |= !pending;
        if (!pending && sent >= next && SSL_renegotiate(ssl) == 1) {
          next += 1 << 20;
          if (SSL_do_handshake(ssl) != 1 && !Waits(ssl)) break;
        }
      }
      pollfd one = {peer.fd(), static_cast<short>(pending ? POLLOUT : POLLIN), 0};
      if (!moved && ::poll(&one, 1, 20) < 0) break;
    }
    renegotiations = SSL_total_renegotiations(ssl);
    EXPECT_EQ(sent, out.size()) << ERR_reason_error_string(ERR_peek_error());
    SSL_free(ssl);
    return got;
  }

  long renegotiations = 0;

 private:
  // Not a failure.
  static bool Waits(SSL* ssl) {
    int error = SSL_get_error(ssl, -1);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
  }
  SSL_CTX* context_;
};

TEST(TlsFromTheFirstByte, BulkIsExactBothWaysWhileTheServerBeginsTheHandshakeAnew) {
  Folder folder;
  RestlessServer restless(folder);
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, "tls:" + server.address().substr(4));
    return host->relay(s);
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.tls.first = true; });
  Peer client = proxy.Client();
  Peer upstream = server.Accept();
  // Few enough to leave room for a handshake wherever they lie.
  std::string up = Noise(150'000, 1), down = Noise(8 << 20, 2), at_client, at_server;
  std::thread serving([&] { at_server = restless.Exchange(upstream, down, up.size()); });
  std::thread sending([&] {
    for (size_t i = 0; i < up.size(); i += 1000) {
      client.Send(std::string_view(up).substr(i, 1000));
      std::this_thread::sleep_for(1ms);
    }
  });
  at_client = client.Receive(down.size());
  sending.join();
  serving.join();
  EXPECT_TRUE(at_client == down);
  EXPECT_TRUE(at_server == up);
  EXPECT_GE(restless.renegotiations, 5);
  client.Close();
  upstream.Close();
  proxy.NextEnd();
}

// The end of the connection's client is TLS's close_notify, which stays unread at the server: its
// kernel resets. After a farewell nothing is lost; in the middle of an answer it is a break.
TEST(TlsFromTheFirstByte, AServerThatClosesWithTheClientsEndUnreadHasBrokenOnlyWhenItWasAnswering) {
  Folder folder;
  ServerTls server_tls(folder);
  Server server;
  Hooks hooks;
  hooks.session_open = [&](rum_session* s) {
    Connect(s, "tls:" + server.address().substr(4));
    return host->relay(s);
  };
  RunningProxy proxy(hooks, [](Settings& s) { s.tls.first = true; });
  for (bool answers : {false, true}) {
    Peer client = proxy.Client();
    client.Send("farewell");
    Peer upstream = server.Accept();
    SSL* ssl = server_tls.Accept(upstream);
    char bytes[8];
    EXPECT_EQ(SSL_read(ssl, bytes, sizeof bytes), 8);
    if (answers) {
      EXPECT_EQ(SSL_write(ssl, "half", 4), 4);
      EXPECT_EQ(client.Receive(4), "half");
    }
    client.ShutWrite();
    pollfd one = {upstream.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&one, 1, 10000), 1) << "close_notify";
    SSL_free(ssl);
    upstream.Close();
    EXPECT_EQ(proxy.NextReason(), answers ? "upstream_reset" : "client_closed");
    EXPECT_EQ(client.WaitForEnd(), answers ? Ending::kReset : Ending::kEnd);
  }
}

}  // namespace
}  // namespace rum

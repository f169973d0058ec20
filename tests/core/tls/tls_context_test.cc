// Contexts without a network: two ends of OpenSSL that hand each other their bytes in memory.
#include "tls/tls_context.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "support/folder.h"

namespace rum {
namespace {

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
};
using Context = std::unique_ptr<SSL_CTX, Free>;
using Ssl = std::unique_ptr<SSL, Free>;
using Session = std::unique_ptr<SSL_SESSION, Free>;

uint64_t now = 0;
uint64_t Now() { return now; }

class TicketsTest : public testing::TestWithParam<int> {
 protected:
  TicketsTest() {
    files_.certificate = folder_ / "own.pem";
    EXPECT_TRUE(WriteSelfSignedCertificate(files_.certificate).ok());
    now = 1000;
    server_ = Make();
    client_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(client_.get(), GetParam());
    SSL_CTX_set_session_cache_mode(client_.get(), SSL_SESS_CACHE_CLIENT);
  }

  std::shared_ptr<const TlsContext> Make() {
    auto made = TlsContext::Server(files_, Now);
    EXPECT_TRUE(made);
    return *made;
  }

  // A handshake; `session` is offered, and what the server gave is in its place then.
  bool Resumes(Session* session, const TlsContext& server) {
    Ssl ends[2] = {Ssl(SSL_new(client_.get())), Ssl(SSL_new(server.get()))};
    BIO *one = nullptr, *other = nullptr;
    BIO_new_bio_pair(&one, 0, &other, 0);
    SSL_set_bio(ends[0].get(), one, one);
    SSL_set_bio(ends[1].get(), other, other);
    SSL_set_connect_state(ends[0].get());
    SSL_set_accept_state(ends[1].get());
    if (*session) SSL_set_session(ends[0].get(), session->get());
    for (int i = 0; i < 10; ++i) SSL_do_handshake(ends[i % 2].get());
    char byte = 0;
    SSL_read(ends[0].get(), &byte, 1);  // takes the tickets of TLS 1.3
    EXPECT_TRUE(SSL_is_init_finished(ends[0].get()) && SSL_is_init_finished(ends[1].get()));
    session->reset(SSL_get1_session(ends[0].get()));
    for (Ssl& end : ends) SSL_shutdown(end.get());
    return SSL_session_reused(ends[1].get());
  }

  test::Folder folder_;
  TlsFiles files_;
  std::shared_ptr<const TlsContext> server_;
  Context client_;
};

INSTANTIATE_TEST_SUITE_P(Versions, TicketsTest, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& info) {
                           return info.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

TEST_P(TicketsTest, ResumeASessionAndItsKeyIsRenewed) {
  Session first;
  EXPECT_FALSE(Resumes(&first, *server_));
  auto copy = [](const Session& session) { return Session(SSL_SESSION_dup(session.get())); };
  Session kept = copy(first), older = copy(first);
  EXPECT_TRUE(Resumes(&kept, *server_));
  now += TicketKeys::kPeriod - 1;
  kept = copy(first);
  EXPECT_TRUE(Resumes(&kept, *server_)) << "by the same key";
  now += 1;
  kept = copy(first);
  EXPECT_TRUE(Resumes(&kept, *server_)) << "by the key before";
  now += TicketKeys::kPeriod;
  EXPECT_FALSE(Resumes(&older, *server_)) << "by a key that is gone";
  EXPECT_TRUE(Resumes(&kept, *server_)) << "the client was given a ticket of the new key";
}

TEST_P(TicketsTest, AfterALongPauseNoKeyOfBeforeIsLeft) {
  Session session;
  EXPECT_FALSE(Resumes(&session, *server_));
  now += 2 * TicketKeys::kPeriod;
  EXPECT_FALSE(Resumes(&session, *server_));
}

// Whoever has been let in under other demands is not in here.
TEST_P(TicketsTest, OfOneContextAreNoneOfAnother) {
  Session session;
  EXPECT_FALSE(Resumes(&session, *server_));
  auto other = Make();
  EXPECT_FALSE(Resumes(&session, *other));
}

}  // namespace
}  // namespace rum

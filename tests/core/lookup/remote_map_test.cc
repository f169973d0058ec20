#include "lookup/remote_map.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/resp.h"
#include "map/map_record.h"
#include "upstream/resolver.h"

namespace rum {
namespace {

using Kind = RemoteAnswer::Kind;

std::string Bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// Speaks as much of Redis as rum asks for. `record`: the reply for a user's key; empty: the
// connection is closed instead.
class FakeRedis {
 public:
  using Record = std::function<std::string(const std::string& user)>;

  explicit FakeRedis(Record record) : record_(std::move(record)) {
    listener_ = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Accept(); });
  }
  ~FakeRedis() {
    over_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    {
      std::lock_guard lock(mutex_);
      if (connection_ >= 0) ::shutdown(connection_, SHUT_RDWR);
    }
    thread_.join();
  }

  std::string source() const {
    return "redis://127.0.0.1:" + std::to_string(port_) + "/?key=u:{user}";
  }

 private:
  void Accept() {
    while (!over_) {
      Fd fd(::accept(listener_.get(), nullptr, nullptr));
      if (!fd) return;
      {
        std::lock_guard lock(mutex_);
        connection_ = fd.get();
      }
      if (!over_) Serve(fd.get());
      std::lock_guard lock(mutex_);
      connection_ = -1;
    }
  }

  void Serve(int fd) {
    std::string in;
    char bytes[4096];
    for (;;) {
      const ssize_t n = ::recv(fd, bytes, sizeof bytes, 0);
      if (n <= 0) return;
      in.append(bytes, static_cast<size_t>(n));
      RespReply command;
      size_t used = 0;
      std::string out;
      while (ReadResp(in, &used, &command) == RespRead::kDone) {
        in.erase(0, used);
        const std::string reply = Reply(command);
        if (reply.empty()) return;
        out += reply;
      }
      if (::send(fd, out.data(), out.size(), MSG_NOSIGNAL) < 0) return;
    }
  }

  std::string Reply(const RespReply& command) {
    const std::string& word = command.items[0].text;
    if (word == "HELLO") return "%1\r\n+proto\r\n:3\r\n";
    if (word == "SUBSCRIBE") return ">3\r\n+subscribe\r\n+rum:changed\r\n:1\r\n";
    if (word == "CONFIG") return "*0\r\n";
    if (word == "MULTI") {
      queued_ = true;
      return "+OK\r\n";
    }
    if (word == "EXEC") {
      queued_ = false;
      return "*3\r\n_\r\n$1\r\n1\r\n" + Bulk(echoed_);
    }
    if (queued_) {
      if (word == "ECHO") echoed_ = command.items[1].text;
      return "+QUEUED\r\n";
    }
    if (word != "GET") return "+OK\r\n";
    if (command.items[1].text == "rum:map:id") return "$1\r\n1\r\n";
    return record_(command.items[1].text.substr(2));
  }

  const Record record_;
  Fd listener_;
  uint16_t port_ = 0;
  std::atomic<bool> over_ = false;
  bool queued_ = false;
  std::string echoed_;
  std::mutex mutex_;  // guards the next one
  int connection_ = -1;
  std::thread thread_;
};

std::string RecordOf(const std::string& user) { return user + " - tcp:" + user + ":1"; }

class RemoteMapTest : public ::testing::Test {
 protected:
  RemoteMapTest() { evthread_use_pthreads(); }

  void Start(const std::string& source, uint64_t timeout = 1000) {
    RemoteMap::Settings settings;
    settings.cache = {
        .ttl = 50, .negative_ttl = 50, .stale = 0, .bytes = 1 << 20, .questions = 500};
    settings.source.timeout = timeout;
    auto sources = ParseMapSources(source);
    ASSERT_TRUE(sources) << sources.error().text;
    map_ = std::make_unique<RemoteMap>(resolver_, std::move(*sources), std::move(settings));
    ASSERT_TRUE(map_->Start({}));
  }

  RemoteAnswer Ask(const std::string& user) {
    auto promise = std::make_shared<std::promise<RemoteAnswer>>();
    RemoteAnswer answer;
    const bool now = map_->Ask(
        0, user, [promise](RemoteAnswer a) { promise->set_value(std::move(a)); }, &answer);
    return now ? answer : promise->get_future().get();
  }

  std::unique_ptr<event_base, decltype(&event_base_free)> base_{event_base_new(), event_base_free};
  Resolver resolver_{base_.get(), Millis(0), Millis(1000), "/dev/null"};
  std::unique_ptr<RemoteMap> map_;
};

TEST_F(RemoteMapTest, FindsUsersAndBelievesThatThereAreNone) {
  FakeRedis redis(
      [](const std::string& user) { return user == "a" ? Bulk(RecordOf(user)) : "_\r\n"; });
  Start(redis.source());
  RemoteAnswer answer = Ask("a");
  ASSERT_EQ(answer.kind, Kind::kFound) << answer.why;
  EXPECT_EQ(ParseMapRecord(*answer.value)->destination, "tcp:a:1");
  EXPECT_EQ(Ask("b").kind, Kind::kNotFound);
  EXPECT_TRUE(map_->States()[0].up);
}

TEST_F(RemoteMapTest, ASourceThatIsDownAnswersAtOnce) {
  Start("redis://127.0.0.1:1/?key={user}");
  EXPECT_EQ(Ask("a").kind, Kind::kUnavailable);
  EXPECT_EQ(Ask("b").kind, Kind::kUnavailable);
  EXPECT_NE(map_->States()[0].fault, "");
}

TEST_F(RemoteMapTest, EachQuestionOfManyThreadsIsAnsweredOnceThoughConnectionsBreak) {
  std::atomic<int> asked = 0;
  FakeRedis redis([&](const std::string& user) {
    const int n = ++asked;
    if (n % 97 == 0) return std::string();               // closes
    if (n % 41 == 0) return Bulk(RecordOf("somebody"));  // another user's
    return n % 5 == 0 ? "_\r\n" : Bulk(RecordOf(user));
  });
  Start(redis.source());
  std::atomic<int> found = 0, unknown = 0, unavailable = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 300; ++i) {
        const std::string user = "u" + std::to_string((i * 13 + t) % 60);
        RemoteAnswer answer = Ask(user);
        if (answer.kind == Kind::kFound) {
          ++found;
          EXPECT_EQ(ParseMapRecord(*answer.value)->destination, "tcp:" + user + ":1");
        } else {
          ++(answer.kind == Kind::kNotFound ? unknown : unavailable);
        }
        if (i % 50 == 0) map_->Forget(user);
        if (i % 100 == 0) map_->ForgetAll();
        if (answer.kind == Kind::kUnavailable) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(found + unknown + unavailable, 1800);
  EXPECT_GT(found, 0);
  EXPECT_EQ(map_->cache().questions(), 0u);
}

TEST_F(RemoteMapTest, EndsWithQuestionsUnderWay) {
  FakeRedis redis([](const std::string&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return std::string();
  });
  Start(redis.source());
  for (int i = 0; i < 20; ++i) {
    RemoteAnswer answer;
    map_->Ask(
        0, "u" + std::to_string(i), [](RemoteAnswer) {}, &answer);
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  map_.reset();
}

}  // namespace
}  // namespace rum

// Sides and flows without a session: what the relay does to the bytes of two sockets.
#include "proxy/relay.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <random>
#include <string>
#include <thread>

#include "net/side.h"
#include "support/folder.h"
#include "support/lone_worker.h"
#include "support/peer.h"

namespace rum {
namespace {

using namespace std::chrono_literals;
using test::Ending;
using test::Noise;
using test::Peer;

enum class Kind { kTcp, kUnix };

struct Pair {
  Fd far, near;  // near: non-blocking, for a Side
};

Pair MakePair(Kind kind, int receive_buffer = 0) {
  Pair pair;
  if (kind == Kind::kUnix) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pair.far.reset(ends[0]);
    pair.near.reset(ends[1]);
  } else {
    test::Server server;
    Peer client = Peer::Connect(server.address(), receive_buffer);
    Peer accepted = server.Accept();
    pair.far.reset(::dup(client.fd()));
    pair.near.reset(::dup(accepted.fd()));
  }
  int flags = ::fcntl(pair.near.get(), F_GETFL);
  ::fcntl(pair.near.get(), F_SETFL, flags | O_NONBLOCK);
  return pair;
}

// Two sides with a flow each way, moved whenever the loop tells something, as a session does it.
class RelayTest : public test::LoneWorker,
                  public testing::WithParamInterface<Kind>,
                  private Loop::Watcher {
 protected:
  // `small`: the far ends have small receive buffers, so that flows get stuck soon.
  void Start(bool small = false) {
    for (int i : {0, 1}) {
      Pair pair = MakePair(GetParam(), small ? 4096 : 0);
      if (small) {
        int bytes = 8192;
        ::setsockopt(pair.near.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
      }
      far_[i] = Peer(std::move(pair.far));
      ASSERT_TRUE(
          side_[i].Attach(loop(), std::move(pair.near), *this, i, GetParam() == Kind::kUnix));
    }
  }
  void TearDown() override {
    for (Flow& flow : flow_) flow.Release(worker());
    for (Side& side : side_) side.Close();
  }

  void OnReady(uint32_t which, uint32_t what) override {
    side_[which].Notice(what);
    MoveBoth();
  }
  void MoveBoth() {
    for (int i : {0, 1}) {
      more_[i] = flow_[i].Move(side_[i], side_[1 - i], worker()) == Flow::Moved::kSome;
      most_waiting_ = std::max({most_waiting_, side_[0].waiting(), side_[1].waiting()});
    }
    // As the session does: the last end is told by the close, not by a shutdown before it.
    if (Flow::Done(side_[0], side_[1]) && Flow::Done(side_[1], side_[0])) {
      for (Side& side : side_) side.Close();
    }
  }
  bool Run(const std::function<bool()>& holds, std::chrono::milliseconds timeout = test::kTimeout) {
    return TurnUntil(
        [&] {
          if (side_[0].attached() && (more_[0] || more_[1])) MoveBoth();
          return holds();
        },
        timeout);
  }
  // Runs the loop while a function runs in a thread, until it returns.
  template <class Function>
  auto While(Function function) {
    auto result = std::async(std::launch::async, function);
    EXPECT_TRUE(Run([&] { return result.wait_for(0s) == std::future_status::ready; }));
    return result.get();
  }

  Peer far_[2];
  Side side_[2];
  Flow flow_[2];
  bool more_[2] = {false, false};
  size_t most_waiting_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Sockets, RelayTest, testing::Values(Kind::kTcp, Kind::kUnix),
                         [](const auto& info) {
                           return info.param == Kind::kTcp ? "Tcp" : "Unix";
                         });

TEST_P(RelayTest, PassesSmallMessagesBothWaysAndKeepsNothing) {
  Start();
  for (int i = 0; i < 100; ++i) {
    std::string question = "question " + std::to_string(i);
    std::string answer = "answer " + std::to_string(i);
    far_[0].Send(question);
    EXPECT_EQ(While([&] { return far_[1].Receive(question.size()); }), question);
    far_[1].Send(answer);
    EXPECT_EQ(While([&] { return far_[0].Receive(answer.size()); }), answer);
  }
  EXPECT_EQ(most_waiting_, 0u);
  EXPECT_EQ(worker().counters.spliced_bytes.get(), 0u) << "small messages are copied";
}

TEST_P(RelayTest, PassesBulkBySpliceAndCountsEveryByte) {
  Start();
  std::string bulk = Noise(32 << 20, 1);
  auto sender = std::async(std::launch::async, [&] {
    far_[0].Send(bulk);
    far_[0].ShutWrite();
  });
  EXPECT_EQ(While([&] { return far_[1].ReceiveAll(); }), bulk);
  sender.get();
  EXPECT_EQ(side_[0].received(), bulk.size());
  EXPECT_EQ(side_[1].sent(), bulk.size());
  EXPECT_GT(worker().counters.spliced_bytes.get(), 0u);
  EXPECT_LE(worker().counters.spliced_bytes.get(), bulk.size());
}

TEST_P(RelayTest, ComesBackFromSpliceWhenMessagesAreSmallAgain) {
  Start();
  std::string bulk = Noise(8 << 20, 2);
  auto sender = std::async(std::launch::async, [&] { far_[0].Send(bulk); });
  EXPECT_EQ(While([&] { return far_[1].Receive(bulk.size()); }), bulk);
  sender.get();
  ASSERT_GT(worker().counters.spliced_bytes.get(), 0u);
  // The first small one may still go through the pipe; after it nothing does.
  far_[0].Send("small");
  EXPECT_EQ(While([&] { return far_[1].Receive(5); }), "small");
  uint64_t spliced = worker().counters.spliced_bytes.get();
  for (int i = 0; i < 10; ++i) {
    far_[0].Send("small");
    EXPECT_EQ(While([&] { return far_[1].Receive(5); }), "small");
  }
  EXPECT_EQ(worker().counters.spliced_bytes.get(), spliced);
}

TEST_P(RelayTest, KeepsBytesExactBothWaysAtOnceWhateverTheSizes) {
  Start();
  constexpr size_t kTotal = 12 << 20;
  std::string bytes[2] = {Noise(kTotal, 11), Noise(kTotal, 12)};
  auto send = [&](int i) {
    std::mt19937 random(static_cast<unsigned>(100 + i));
    for (size_t at = 0; at < kTotal;) {
      // From single bytes to more than a buffer, so that copying and splice alternate.
      size_t n = 1 + random() % (size_t{1} << (random() % 21));
      n = std::min(n, kTotal - at);
      ASSERT_TRUE(far_[i].Send(std::string_view(bytes[i]).substr(at, n)));
      at += n;
    }
    far_[i].ShutWrite();
  };
  auto receive = [&](int i) {
    std::string all;
    std::mt19937 random(static_cast<unsigned>(200 + i));
    while (all.size() < kTotal) {
      all += far_[i].Receive(std::min<size_t>(1 + random() % 200000, kTotal - all.size()));
      if (testing::Test::HasFailure()) break;
      if (random() % 16 == 0) std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(far_[i].WaitForEnd(), Ending::kEnd);
    return all;
  };
  auto s0 = std::async(std::launch::async, send, 0);
  auto s1 = std::async(std::launch::async, send, 1);
  auto r0 = std::async(std::launch::async, receive, 0);
  EXPECT_EQ(While([&] { return receive(1) == bytes[0]; }), true);
  EXPECT_EQ(While([&] { return r0.get() == bytes[1]; }), true);
  s0.get();
  s1.get();
  EXPECT_TRUE(Flow::Done(side_[0], side_[1]));
  EXPECT_TRUE(Flow::Done(side_[1], side_[0]));
  EXPECT_EQ(side_[0].sent(), kTotal);
  EXPECT_EQ(side_[1].sent(), kTotal);
}

TEST_P(RelayTest, DoesNotReadWhatTheReceiverDoesNotTake) {
  Start(true);
  std::string bulk = Noise(64 << 20, 3);
  auto stuck = While([&] { return far_[0].SendUntilStuck(bulk, 1000); });
  ASSERT_LT(stuck, bulk.size()) << "the sender was never held up";
  // Memory is bounded: one buffer of the worker, or a pipe.
  EXPECT_LE(most_waiting_, Worker::kBufferSize);
  // The other way is not in the way.
  far_[1].Send("other way");
  EXPECT_EQ(While([&] { return far_[0].Receive(9); }), "other way");
  // And all of it arrives once somebody reads.
  auto sender = std::async(std::launch::async, [&] {
    far_[0].Send(std::string_view(bulk).substr(stuck));
    far_[0].ShutWrite();
  });
  EXPECT_EQ(While([&] { return far_[1].ReceiveAll() == bulk; }), true);
  sender.get();
}

TEST_P(RelayTest, PassesTheEndOnAfterTheLastByteAndTheOtherWayGoesOn) {
  Start();
  far_[0].Send("request");
  far_[0].ShutWrite();
  EXPECT_EQ(While([&] { return far_[1].ReceiveAll(); }), "request");
  EXPECT_TRUE(Flow::Done(side_[0], side_[1]));
  EXPECT_FALSE(Flow::Done(side_[1], side_[0]));
  std::string reply = Noise(5 << 20, 4);
  auto sender = std::async(std::launch::async, [&] {
    far_[1].Send(reply);
    far_[1].ShutWrite();
  });
  EXPECT_EQ(While([&] { return far_[0].ReceiveAll() == reply; }), true);
  sender.get();
  EXPECT_TRUE(Flow::Done(side_[1], side_[0]));
}

TEST_P(RelayTest, PassesTheEndOnThatComesWhileTheReceiverIsStuck) {
  Start(true);
  std::string bulk = Noise(16 << 20, 5);
  size_t sent = While([&] { return far_[0].SendUntilStuck(bulk, 500); });
  ASSERT_LT(sent, bulk.size());
  far_[0].ShutWrite();
  Run([] { return false; }, 50ms);
  EXPECT_FALSE(Flow::Done(side_[0], side_[1]));
  EXPECT_EQ(While([&] { return far_[1].ReceiveAll() == bulk.substr(0, sent); }), true);
  EXPECT_TRUE(Run([&] { return Flow::Done(side_[0], side_[1]); }));
}

TEST_P(RelayTest, AnEndWithoutAnyByteIsPassedOn) {
  Start();
  far_[1].ShutWrite();
  EXPECT_EQ(While([&] { return far_[0].ReceiveAll(); }), "");
  EXPECT_TRUE(side_[1].ended());
  EXPECT_TRUE(side_[0].shut());
}

TEST_P(RelayTest, AReceiverThatIsGoneIsNoticedWhenBytesComeForIt) {
  Start();
  far_[1].Close();
  ASSERT_TRUE(Run([&] { return side_[1].ended() || side_[1].broken(); }));
  for (int i = 0; i < 50 && !side_[1].write_failed(); ++i) {
    far_[0].Send("somebody there?");
    Run([&] { return side_[1].write_failed(); }, 20ms);
  }
  EXPECT_TRUE(side_[1].write_failed());
  EXPECT_FALSE(side_[0].broken());
}

TEST_P(RelayTest, AReceiverThatVanishesInTheMiddleOfBulkIsNoticed) {
  Start();
  std::string bulk = Noise(64 << 20, 6);
  auto sender = std::async(std::launch::async, [&] { far_[0].SendUntilStuck(bulk, 2000); });
  While([&] { return far_[1].Receive(8 << 20); });
  ASSERT_GT(worker().counters.spliced_bytes.get(), 0u);
  far_[1].Reset();
  EXPECT_TRUE(Run([&] { return side_[1].write_failed() || side_[1].broken(); }));
  sender.get();
}

TEST_P(RelayTest, AShareOfATurnIsBounded) {
  Start();
  // Enough in the kernel for more than one turn; nothing has moved yet.
  std::string bulk = Noise(4 << 20, 7);
  size_t queued = far_[0].SendUntilStuck(bulk, 100);
  side_[0].Notice(EPOLLIN);
  auto moved = flow_[0].Move(side_[0], side_[1], worker());
  ASSERT_LT(side_[0].received(), 1u << 20) << "one call moves half a megabyte and a little";
  EXPECT_EQ(moved == Flow::Moved::kSome, side_[0].received() < queued);
  more_[0] = true;
  auto sender = std::async(std::launch::async, [&] {
    far_[0].Send(std::string_view(bulk).substr(queued));
    far_[0].ShutWrite();
  });
  EXPECT_EQ(While([&] { return far_[1].ReceiveAll() == bulk; }), true);
  sender.get();
}

TEST_P(RelayTest, APipeGoesBackEvenWithBytesInIt) {
  size_t before = test::OpenDescriptors();
  {
    Start(true);
    std::string bulk = Noise(64 << 20, 8);
    While([&] { return far_[0].SendUntilStuck(bulk, 500); });
    for (Flow& flow : flow_) flow.Release(worker());
    for (Flow& flow : flow_) flow.Release(worker());  // twice does no harm
    for (Side& side : side_) side.Close();
    for (Peer& far : far_) far.Close();
  }
  // At most the pipe that is kept for the next.
  EXPECT_LE(test::OpenDescriptors(), before + 2);
}

class SideTest : public test::LoneWorker, private Loop::Watcher {
 protected:
  void Attach(Kind kind = Kind::kTcp) {
    Pair pair = MakePair(kind);
    far_ = Peer(std::move(pair.far));
    ASSERT_TRUE(side_.Attach(loop(), std::move(pair.near), *this, 0, kind == Kind::kUnix));
  }
  void OnReady(uint32_t, uint32_t what) override {
    ++events_;
    side_.Notice(what);
    if (on_ready_) on_ready_();
  }
  void TearDown() override { side_.Close(); }
  // All that is readable, read with a large buffer.
  std::string ReadAll() {
    std::string got;
    while (side_.readable()) got.append(bytes_, bytes_ + side_.Read(bytes_, sizeof bytes_));
    return got;
  }

  Peer far_;
  int events_ = 0;
  std::function<void()> on_ready_;
  Side side_;
  uint8_t bytes_[4096];
};

void SendWithADescriptor(const Peer& peer, std::string_view text) {
  iovec bytes = {const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = peer.fd();
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  EXPECT_EQ(::sendmsg(peer.fd(), &message, 0), static_cast<ssize_t>(text.size()));
}

// A read ends behind such a message, and no further event tells of what is behind it.
TEST_F(SideTest, ReadsOnBehindAMessageWithDescriptorsAndKeepsNone) {
  Attach(Kind::kUnix);
  const size_t before = test::OpenDescriptors();
  far_.Send("a");
  SendWithADescriptor(far_, "bc");
  SendWithADescriptor(far_, "d");
  far_.Send("e");
  EXPECT_TRUE(TurnUntil([&] { return side_.readable(); }));
  EXPECT_EQ(ReadAll(), "abcde");
  EXPECT_FALSE(side_.ended() || side_.broken());
  EXPECT_EQ(test::OpenDescriptors(), before);
}

TEST_F(SideTest, IsNotReadableBeforeSomethingCame) {
  Attach();
  TurnFor(20ms);
  EXPECT_FALSE(side_.readable());
  EXPECT_TRUE(side_.writable());
  EXPECT_FALSE(side_.ended());
}

TEST_F(SideTest, AShortReadMeansDrained) {
  Attach();
  far_.Send("abc");
  ASSERT_TRUE(TurnUntil([&] { return side_.readable(); }));
  EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 3u);
  EXPECT_FALSE(side_.readable());
  far_.Send("d");
  ASSERT_TRUE(TurnUntil([&] { return side_.readable(); }));
  EXPECT_EQ(side_.Read(bytes_, 1), 1u);
  EXPECT_TRUE(side_.readable()) << "what was asked for is no short read";
  EXPECT_EQ(side_.Read(bytes_, 1), 0u);
  EXPECT_FALSE(side_.readable());
  EXPECT_FALSE(side_.ended());
  EXPECT_EQ(side_.received(), 4u);
}

TEST_F(SideTest, AShortReadHasReachedTheEndThatWasReportedBefore) {
  Attach();
  far_.Send("abc");
  far_.ShutWrite();
  ASSERT_TRUE(TurnUntil([&] { return side_.read_on(); }));
  EXPECT_EQ(side_.Read(bytes_, 2), 2u);
  EXPECT_FALSE(side_.ended()) << "what was asked for is no short read";
  EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 1u);
  EXPECT_TRUE(side_.ended());
  EXPECT_FALSE(side_.readable() || side_.broken());
}

// Reads of a unix socket stop at each message that came with descriptors.
TEST_F(SideTest, ReadsAUnixSocketOnToTheEndThatWasReported) {
  Attach(Kind::kUnix);
  SendWithADescriptor(far_, "abc");
  far_.Send("de");
  far_.ShutWrite();
  ASSERT_TRUE(TurnUntil([&] { return side_.read_on(); }));
  EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 3u);
  EXPECT_FALSE(side_.ended());
  EXPECT_EQ(ReadAll(), "de");
  EXPECT_TRUE(side_.ended());
  EXPECT_FALSE(side_.broken());
}

// They stop at urgent data, too.
TEST_F(SideTest, ReadsOnBehindUrgentDataToTheEndThatWasReported) {
  Attach();
  far_.Send("ab");
  ASSERT_EQ(::send(far_.fd(), "!", 1, MSG_OOB), 1);
  far_.Send("cd");
  far_.ShutWrite();
  ASSERT_TRUE(TurnUntil([&] { return side_.read_on(); }));
  TurnFor(20ms);
  EXPECT_EQ(ReadAll(), "abcd");
  EXPECT_TRUE(side_.ended());
  EXPECT_FALSE(side_.broken());
}

// What a read has taken along is no event of its own.
TEST_F(SideTest, IsNotWokenForWhatWasReadAlready) {
  Attach();
  on_ready_ = [&] {
    if (events_ > 1) return;
    far_.Send("b");
    EXPECT_EQ(ReadAll(), "ab");
  };
  far_.Send("a");
  ASSERT_TRUE(TurnUntil([&] { return events_ > 0; }));
  TurnFor(20ms);
  EXPECT_EQ(events_, 1);
}

uint32_t SegmentsReceived(int fd) {
  tcp_info info = {};
  socklen_t size = sizeof info;
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  return info.tcpi_segs_in;
}

TEST_F(SideTest, SendsItsLastBytesAndTheEndTogether) {
  Attach();
  const uint32_t before = SegmentsReceived(far_.fd());
  EXPECT_EQ(side_.Write(reinterpret_cast<const uint8_t*>("abc"), 3, true), 3u);
  side_.ShutWrite();
  EXPECT_EQ(far_.Receive(3), "abc");
  EXPECT_EQ(far_.WaitForEnd(), Ending::kEnd);
  EXPECT_EQ(SegmentsReceived(far_.fd()) - before, 1u);
}

TEST_F(SideTest, AResetIsNoEnd) {
  Attach();
  far_.Reset();
  ASSERT_TRUE(TurnUntil([&] { return side_.readable(); }));
  EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 0u);
  EXPECT_TRUE(side_.broken());
  EXPECT_FALSE(side_.ended());
}

// The write takes the error, which is told once; what a read finds after it looks like an end.
TEST_F(SideTest, AResetThatAWriteMeetsFirstIsNoEndEither) {
  for (bool splice : {false, true}) {
    Attach();
    far_.Send("abc");
    far_.Reset();
    if (splice) {
      auto pipe = worker().pipes.Borrow();
      ASSERT_EQ(::write(pipe->in.get(), "x", 1), 1);
      EXPECT_EQ(side_.SpliceOut(*pipe, 1), 0u);
    } else {
      EXPECT_EQ(side_.Write(reinterpret_cast<const uint8_t*>("x"), 1), 0u);
    }
    EXPECT_TRUE(side_.write_failed());
    EXPECT_FALSE(side_.broken()) << "what had come is read first";
    EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 3u);
    side_.LookAgain();
    EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 0u);
    EXPECT_TRUE(side_.broken());
    EXPECT_FALSE(side_.ended());
    side_.Close();
  }
}

TEST_F(SideTest, AnEndIsOneThoughWhatIsWrittenAfterItIsReset) {
  Attach();
  far_.Send("abc");
  far_.Close();
  EXPECT_EQ(side_.Write(reinterpret_cast<const uint8_t*>("x"), 1), 1u);  // answered by a reset
  EXPECT_EQ(side_.Write(reinterpret_cast<const uint8_t*>("x"), 1), 0u);
  EXPECT_TRUE(side_.write_failed());
  EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 3u);
  side_.LookAgain();
  EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 0u);
  EXPECT_TRUE(side_.ended());
  EXPECT_FALSE(side_.broken());
}

TEST_F(SideTest, FlushesInOrderWhatWaits) {
  Attach();
  std::string bulk = Noise(3 << 20, 21);
  for (size_t at = 0; at < bulk.size(); at += 1 << 20) side_.Queue(bulk.data() + at, 1 << 20);
  auto receiver = std::async(std::launch::async, [&] { return far_.Receive(bulk.size()) == bulk; });
  EXPECT_TRUE(TurnUntil([&] { return side_.Flush(); }));
  EXPECT_TRUE(receiver.get());
  EXPECT_EQ(side_.waiting(), 0u);
  EXPECT_EQ(side_.sent(), bulk.size());
}

TEST_F(SideTest, WritesNothingAfterItSaidThatNoMoreComes) {
  Attach();
  side_.ShutWrite();
  side_.ShutWrite();
  EXPECT_EQ(side_.Write(reinterpret_cast<const uint8_t*>("x"), 1), 0u);
  EXPECT_EQ(far_.WaitForEnd(), Ending::kEnd);
}

TEST_F(SideTest, TellsAResetWhenItIsClosedForALoss) {
  Attach();
  side_.Close(true);
  EXPECT_EQ(far_.WaitForEnd(), Ending::kReset);
  EXPECT_FALSE(side_.attached());
  side_.Close(true);
}

TEST_F(SideTest, IsAsNewWhenItTakesAnotherSocket) {
  Attach();
  far_.Reset();
  ASSERT_TRUE(TurnUntil([&] { return side_.readable(); }));
  side_.Write(bytes_, 1);
  side_.LookAgain();
  side_.Read(bytes_, sizeof bytes_);
  ASSERT_TRUE(side_.broken());
  side_.Close();
  Attach();
  EXPECT_FALSE(side_.broken());
  EXPECT_FALSE(side_.ended());
  EXPECT_FALSE(side_.shut());
  far_.Send("abc");
  ASSERT_TRUE(TurnUntil([&] { return side_.readable(); }));
  EXPECT_EQ(side_.Read(bytes_, sizeof bytes_), 3u);
}

}  // namespace
}  // namespace rum

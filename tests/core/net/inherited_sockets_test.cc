#include "net/inherited_sockets.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "net/listening_socket.h"
#include "support/folder.h"

namespace rum {
namespace {

// A socket that listens, as another process would have it: the descriptor is nobody's.
int Listen(const std::string& address) {
  auto socket = OpenListeningSocket(*ParseAddress(address, true), 0600);
  EXPECT_TRUE(socket.ok()) << socket.error().text;
  return socket ? socket->fd.release() : -1;
}

SocketAddress Where(int fd) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof bound;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
  return SocketAddress::From(reinterpret_cast<sockaddr*>(&bound), size);
}

std::vector<SharedSocket> Shared(int fd, const std::string& address, bool given = false) {
  return {{fd, given, *ParseAddress(address, true)}};
}

TEST(InheritedSockets, AreTakenOnceByHowTheyAreWritten) {
  int fd = Listen("tcp:127.0.0.1:0");
  auto sockets = InheritedSockets::Of(Shared(fd, "tcp:127.0.0.1:0"));
  ASSERT_TRUE(sockets.ok());
  EXPECT_FALSE(sockets->Take(*ParseAddress("tcp:127.0.0.1:1")));
  auto taken = sockets->Take(*ParseAddress("tls:127.0.0.1:0", true));
  ASSERT_TRUE(taken) << "with TLS it is the same socket";
  EXPECT_EQ(taken->fd.get(), fd);
  EXPECT_FALSE(taken->keep_file);
  EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC);
  EXPECT_FALSE(sockets->Take(*ParseAddress("tcp:127.0.0.1:0", true)));
}

TEST(InheritedSockets, AreTakenByWhereTheyAreBound) {
  int fd = Listen("tcp:127.0.0.1:0");
  SocketAddress where = Where(fd);
  auto sockets = InheritedSockets::Of(Shared(fd, "tcp:127.0.0.1:0"));
  ASSERT_TRUE(sockets.ok());
  std::string name = "tcp:localhost:" + std::to_string(where.port());
  auto opened = OpenListeningSocket(*ParseAddress(name), 0600, &*sockets);
  ASSERT_TRUE(opened.ok()) << opened.error().text;
  EXPECT_EQ(opened->fd.get(), fd);
}

TEST(InheritedSockets, MayBeAUnixSocketWhoseModeIsSetAnew) {
  test::Folder folder;
  std::string path = folder / "in.sock";
  int fd = Listen("sock:" + path);
  auto sockets = InheritedSockets::Of(Shared(fd, "sock:" + path));
  ASSERT_TRUE(sockets.ok());
  auto opened = OpenListeningSocket(*ParseAddress("sock:" + path), 0640, &*sockets);
  ASSERT_TRUE(opened.ok()) << opened.error().text;
  EXPECT_EQ(opened->fd.get(), fd);
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0640));
}

TEST(InheritedSockets, ThatNobodyWantsAreClosedAndTheirOwnFilesRemoved) {
  test::Folder folder;
  std::string own = folder / "own.sock", given = folder / "given.sock";
  auto shared = Shared(Listen("sock:" + own), "sock:" + own);
  shared.push_back({Listen("sock:" + given), true, *ParseAddress("sock:" + given)});
  auto sockets = InheritedSockets::Of(shared);
  ASSERT_TRUE(sockets.ok());
  EXPECT_EQ(sockets->CloseRest(), (std::vector<std::string>{"sock:" + own, "sock:" + given}));
  EXPECT_FALSE(std::filesystem::exists(own));
  EXPECT_TRUE(std::filesystem::exists(given)) << "systemd removes it itself";
  EXPECT_TRUE(sockets->CloseRest().empty());
}

TEST(InheritedSockets, ThatDoNotListenAreAMistake) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_FALSE(InheritedSockets::Of(Shared(ends[0], "sock:/x")).ok());
  EXPECT_FALSE(InheritedSockets::Of(Shared(::open("/dev/null", O_RDONLY), "sock:/x")).ok());
  ::close(ends[1]);
}

TEST(InheritedSockets, OfSystemdAreForTheProcessThatItNames) {
  ::setenv("LISTEN_FDS", "3", 1);
  ::setenv("LISTEN_PID", "1", 1);
  auto sockets = InheritedSockets::FromSystemd();
  ASSERT_TRUE(sockets.ok());
  EXPECT_TRUE(sockets->CloseRest().empty());
  EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
  EXPECT_EQ(::getenv("LISTEN_PID"), nullptr);
}

// Who has an address that cannot be bound, as the error says it.
std::string WhoHas(const std::string& address, InheritedSockets* inherited = nullptr) {
  auto opened = OpenListeningSocket(*ParseAddress(address), 0600, inherited);
  return opened ? "nobody" : opened.error().text;
}

TEST(ListeningSockets, TheErrorNamesASocketOfThisProcessThatIsInTheWay) {
  Fd own(Listen("tcp:127.0.0.1:0"));
  const std::string port = std::to_string(Where(own.get()).port());
  for (const char* host : {"127.0.0.1", "0.0.0.0"}) {
    EXPECT_NE(WhoHas("tcp:" + std::string(host) + ":" + port)
                  .find("(this rum listens on 127.0.0.1:" + port + " already)"),
              std::string::npos)
        << WhoHas("tcp:" + std::string(host) + ":" + port);
  }
  test::Folder folder;
  const std::string path = "sock:" + folder.path() + "/s";
  Fd local(Listen(path));
  EXPECT_NE(WhoHas(path).find("(this rum already listens there)"), std::string::npos)
      << WhoHas(path);
}

TEST(ListeningSockets, ASocketOfBothFamiliesThatWasInheritedIsNotAnotherProgram) {
  Fd both(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int off = 0;
  ::setsockopt(both.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  sockaddr_in6 any = {};
  any.sin6_family = AF_INET6;
  ASSERT_EQ(::bind(both.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
  ASSERT_EQ(::listen(both.get(), 1), 0);
  const std::string port = std::to_string(Where(both.get()).port());
  auto inherited = InheritedSockets::Of(Shared(both.release(), "tcp:[::]:" + port, true));
  ASSERT_TRUE(inherited.ok());
  const std::string error = WhoHas("tcp:0.0.0.0:" + port, &*inherited);
  EXPECT_NE(error.find("has inherited [::]:" + port + ", which serves IPv4 as well"),
            std::string::npos)
      << error;
  EXPECT_EQ(error.find("another program"), std::string::npos);
}

TEST(ListeningSockets, TheErrorSaysSoWhenItIsAnotherProgram) {
  int ready[2], end[2];
  ASSERT_EQ(::pipe(ready) | ::pipe(end), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    uint16_t port = Where(Listen("tcp:127.0.0.1:0")).port();
    (void)!::write(ready[1], &port, sizeof port);
    char byte;
    ::close(end[1]);
    (void)!::read(end[0], &byte, 1);
    ::_exit(0);
  }
  uint16_t port = 0;
  ASSERT_EQ(::read(ready[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  const std::string error = WhoHas("tcp:127.0.0.1:" + std::to_string(port));
  EXPECT_NE(error.find("(another program uses it; see: ss -ltnp)"), std::string::npos) << error;
  for (int fd : {ready[0], ready[1], end[0], end[1]}) ::close(fd);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace rum

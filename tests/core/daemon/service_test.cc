// A service manager's socket in the test: what rum tells it, and what it reads in the environment.
#include "daemon/service.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <string>

#include "support/folder.h"

namespace rum {
namespace {

class ServiceTest : public testing::Test {
 protected:
  ServiceTest() { Forget(); }
  ~ServiceTest() override { Forget(); }

  static void Forget() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }

  // Binds the manager's end; '@' stands for the NUL byte of an abstract address.
  void Listen(const std::string& path) {
    sockaddr_un where = {};
    where.sun_family = AF_UNIX;
    path.copy(where.sun_path, sizeof where.sun_path - 1);
    if (path[0] == '@') where.sun_path[0] = '\0';
    manager_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    ASSERT_EQ(::bind(manager_.get(), reinterpret_cast<sockaddr*>(&where), size), 0);
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  }

  // The next message that is there; empty if there is none.
  std::string Next() {
    char bytes[512];
    ssize_t n = ::recv(manager_.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    return n > 0 ? std::string(bytes, static_cast<size_t>(n)) : "";
  }

  test::Folder folder_;
  Fd manager_;
};

TEST_F(ServiceTest, SaysNothingWithoutASocket) {
  Service service;
  EXPECT_FALSE(service.on());
  service.Ready();
  service.Tick("serving");
  service.HandOverTo(1);
  EXPECT_EQ(service.alive_interval(), Millis(0));
}

TEST_F(ServiceTest, IsOffWhenTheSocketCannotBe) {
  for (std::string path :
       {std::string("run/notify"), std::string("@"), std::string(200, '/'), folder_ / "nobody"}) {
    ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
    EXPECT_FALSE(Service().on()) << path;
  }
}

TEST_F(ServiceTest, TellsEachStep) {
  Listen(folder_ / "notify");
  Service service;
  ASSERT_TRUE(service.on());
  service.Ready();
  EXPECT_EQ(Next(), "READY=1");
  service.Reloading();
  EXPECT_EQ(Next().find("RELOADING=1\nMONOTONIC_USEC="), 0u);
  service.Tick("3 sessions");
  EXPECT_EQ(Next(), "STATUS=3 sessions");
  service.Stopping();
  EXPECT_EQ(Next(), "STOPPING=1");
}

TEST_F(ServiceTest, FindsAnAbstractSocket) {
  Listen("@rum-test-" + std::to_string(::getpid()));
  Service().Ready();
  EXPECT_EQ(Next(), "READY=1");
}

TEST_F(ServiceTest, GivesSignsOfLifeTwiceInTheTimeOfTheWatchdog) {
  Listen(folder_ / "notify");
  ::setenv("WATCHDOG_USEC", "20000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  Service service;
  EXPECT_EQ(service.alive_interval(), Millis(10000));
  service.Tick("idle");
  EXPECT_EQ(Next(), "STATUS=idle\nWATCHDOG=1");
}

TEST_F(ServiceTest, LeavesTheWatchdogOfAnotherProcessAlone) {
  Listen(folder_ / "notify");
  ::setenv("WATCHDOG_USEC", "20000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid() + 1).c_str(), 1);
  Service service;
  EXPECT_EQ(service.alive_interval(), Millis(0));
  service.Tick("idle");
  EXPECT_EQ(Next(), "STATUS=idle");
}

TEST_F(ServiceTest, IsSilentAfterAHandOver) {
  Listen(folder_ / "notify");
  ::setenv("WATCHDOG_USEC", "20000000", 1);
  Service service;
  service.HandOverTo(4711);
  EXPECT_EQ(Next(), "MAINPID=4711");
  EXPECT_FALSE(service.on());
  EXPECT_EQ(service.alive_interval(), Millis(0));
  service.Tick("idle");
  service.Stopping();
  EXPECT_EQ(Next(), "");
}

}  // namespace
}  // namespace rum

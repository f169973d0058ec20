#include "base/syslog.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <memory>
#include <string>

#include "base/fd.h"
#include "support/folder.h"

namespace rum {
namespace {

using test::Folder;

// What stands at /dev/log.
class Daemon {
 public:
  Daemon(const std::string& path, int type) : path_(path) {
    sockaddr_un where = {};
    where.sun_family = AF_UNIX;
    path.copy(where.sun_path, sizeof where.sun_path - 1);
    socket_.reset(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&where), sizeof where), 0);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(socket_.get(), 1), 0);
    }
  }
  ~Daemon() { ::unlink(path_.c_str()); }
  void Accept() { socket_.reset(::accept(socket_.get(), nullptr, nullptr)); }
  std::string Read() {
    char text[4096];
    ssize_t n = ::recv(socket_.get(), text, sizeof text, 0);
    return n < 0 ? "nothing" : std::string(text, static_cast<size_t>(n));
  }

 private:
  const std::string path_;
  Fd socket_;
};

class SyslogTest : public testing::Test {
 protected:
  // As syslog(3) would send it.
  static std::string Message(int priority, const std::string& text) {
    tm local = {};
    char time[32];
    ::localtime_r(&kWhen, &local);
    ::strftime(time, sizeof time, "%b %e %T", &local);
    return "<" + std::to_string(priority) + ">" + time + " rum[" + std::to_string(::getpid()) +
           "]: " + text;
  }
  static constexpr std::time_t kWhen = 1767323045;
  Folder folder_;
  const std::string path_ = folder_ / "log";
  Syslog syslog_{path_};
};

TEST_F(SyslogTest, SendsLinesAsTheLibraryDoes) {
  Daemon daemon(path_, SOCK_DGRAM);
  ASSERT_TRUE(syslog_.Connect());
  EXPECT_TRUE(syslog_.Send(LOG_INFO, kWhen, "alice %s came"));
  EXPECT_EQ(daemon.Read(), Message(30, "alice %s came"));
  EXPECT_TRUE(syslog_.Send(LOG_ERR, kWhen, ""));
  EXPECT_EQ(daemon.Read(), Message(27, ""));
}

TEST_F(SyslogTest, EndsLinesOfAStreamWithANul) {
  Daemon daemon(path_, SOCK_STREAM);
  ASSERT_TRUE(syslog_.Connect());
  daemon.Accept();
  EXPECT_TRUE(syslog_.Send(LOG_WARNING, kWhen, "a"));
  EXPECT_EQ(daemon.Read(), Message(28, "a") + '\0');
}

TEST_F(SyslogTest, TellsWhenNobodyTakesALineAndFindsWhoComesLater) {
  EXPECT_FALSE(syslog_.Connect());
  EXPECT_EQ(errno, ENOENT);
  EXPECT_FALSE(syslog_.Send(LOG_INFO, kWhen, "a"));
  for (int type : {SOCK_DGRAM, SOCK_STREAM, SOCK_DGRAM}) {
    {
      Daemon daemon(path_, type);
      EXPECT_TRUE(syslog_.Send(LOG_INFO, kWhen, "b"));
      if (type == SOCK_STREAM) daemon.Accept();
      EXPECT_TRUE(daemon.Read().starts_with(Message(30, "b")));
    }
    EXPECT_FALSE(syslog_.Send(LOG_INFO, kWhen, "c"));
  }
  Daemon daemon(path_, SOCK_DGRAM);
  EXPECT_TRUE(syslog_.Connect());
}

TEST_F(SyslogTest, IsReachedAnewAtOnceWhenItWasStartedAgain) {
  auto daemon = std::make_unique<Daemon>(path_, SOCK_DGRAM);
  ASSERT_TRUE(syslog_.Connect());
  daemon.reset();
  daemon = std::make_unique<Daemon>(path_, SOCK_DGRAM);
  EXPECT_TRUE(syslog_.Send(LOG_INFO, kWhen, "a"));
  EXPECT_EQ(daemon->Read(), Message(30, "a"));
}

// As behind --chroot, where there is no such path.
TEST_F(SyslogTest, ACopyGoesOnWithTheConnection) {
  Daemon daemon(path_, SOCK_DGRAM);
  ASSERT_TRUE(syslog_.Connect());
  ::unlink(path_.c_str());
  Syslog copy(syslog_);
  EXPECT_TRUE(copy.Connect());
  EXPECT_TRUE(copy.Send(LOG_INFO, kWhen, "a"));
  EXPECT_EQ(daemon.Read(), Message(30, "a"));
}

}  // namespace
}  // namespace rum

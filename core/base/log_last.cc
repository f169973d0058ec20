#include "base/log_last.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "base/log.h"

namespace rum::log {

LastTarget last_target;

namespace {

// The time as the patterns have it, in UTC: what knows the time zone may take a lock.
std::string_view FormatTime(char (&text)[40]) {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  using namespace std::chrono;
  const sys_seconds second{seconds(now.tv_sec)};
  const auto day = floor<days>(second);
  const year_month_day date(day);
  const hh_mm_ss time(second - day);
  char* next = text;
  auto add = [&next](int64_t number, int digits, char behind) {
    for (int i = digits; i-- > 0; number /= 10) next[i] = static_cast<char>('0' + number % 10);
    next += digits;
    *next++ = behind;
  };
  add(static_cast<int>(date.year()), 4, '-');
  add(static_cast<unsigned>(date.month()), 2, '-');
  add(static_cast<unsigned>(date.day()), 2, 'T');
  add(time.hours().count(), 2, ':');
  add(time.minutes().count(), 2, ':');
  add(time.seconds().count(), 2, '.');
  add(now.tv_nsec / 1000000, 3, '+');
  add(0, 2, ':');
  add(0, 2, ' ');
  return {text, static_cast<size_t>(next - text) - 1};
}

std::string_view Priority() { return last_target.journal ? "<3>" : ""; }

// A pipe that nobody reads must not hold up a process that ends.
void WriteAtOnce(int fd, bool socket, std::initializer_list<std::string_view> parts) {
  iovec pieces[8];
  size_t count = 0;
  for (std::string_view part : parts) {
    pieces[count++] = {const_cast<char*>(part.data()), part.size()};
  }
  pollfd ready = {fd, POLLOUT, 0};
  if (::poll(&ready, 1, 0) != 1 || !(ready.revents & POLLOUT)) return;
  msghdr message = {};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  (void)!(socket ? ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)
                 : ::writev(fd, pieces, static_cast<int>(count)));
}

}  // namespace

void LastLine(std::string_view text) {
  char buffer[40];
  const std::string_view time = FormatTime(buffer);
  const int fd = last_target.fd;
  if (fd >= 0 && last_target.syslog) {
    WriteAtOnce(fd, true, {"<27>rum: ", text, {"", last_target.stream ? 1u : 0u}});
  } else if (fd >= 0 && last_target.json) {
    WriteAtOnce(
        fd, false,
        {Priority(), R"({"time":")", time, R"(","level":"error","message":")", text, "\"}\n"});
  } else if (fd >= 0) {
    WriteAtOnce(fd, false, {Priority(), time, " error ", text, "\n"});
  }
  if (fd < 0 || !last_target.is_stderr) {
    WriteAtOnce(STDERR_FILENO, false, {"rum: ", text, "\n"});
  }
}

}  // namespace rum::log

// Short MySQL sessions: connect, log in by mysql_native_password, SELECT 1, quit.
#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "bench/loads.h"
#include "bench/mysql_wire.h"

namespace rum::bench {
namespace {

uint8_t buffer[64 * 1024];

class Login : public Watch {
 public:
  Login(Loop& loop, const Options& options, Window& window, uint64_t turn)
      : Watch(loop), options_(options), window_(window), turn_(turn), began_(NowNanos()) {
    Fd fd = BeginConnect(options.connect);
    if (!fd) GiveUp(std::string("connect: ") + std::strerror(errno));
    Begin(std::move(fd), EPOLLIN);
  }

  void OnEvents(uint32_t) override {
    ssize_t n = ::recv(fd(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return Leave(n == 0 ? "closed in the middle" : std::strerror(errno));
    in_.Append(buffer, static_cast<size_t>(n));
    for (std::string_view payload; state_ != State::kOver && in_.Next(payload);) {
      if (payload.empty()) return Leave("an empty packet");
      Take(payload);
    }
  }

 private:
  enum class State { kGreeting, kLogin, kResult, kOver };

  void Take(std::string_view payload) {
    auto first = static_cast<uint8_t>(payload[0]);
    if (first == 0xff) return Leave("error: " + std::string(payload.substr(1)));
    switch (state_) {
      case State::kGreeting: {
        Greeting greeting;
        if (!ReadGreeting(payload, greeting)) return Leave("a greeting that cannot be read");
        std::string user = options_.user + std::to_string(turn_ % options_.users);
        state_ = State::kLogin;
        return Answer(
            WriteLogin({user, NativeToken(options_.password, greeting.nonce), kNativePassword}));
      }
      case State::kLogin: {
        if (first == 0) {
          state_ = State::kResult;
          return Send(0, "\x03SELECT 1");
        }
        std::string plugin, nonce;
        if (!ReadSwitch(payload, plugin, nonce) || plugin != kNativePassword) {
          return Leave("a switch that cannot be followed");
        }
        return Answer(NativeToken(options_.password, nonce));
      }
      case State::kResult:
        // Column count, column, EOF, row, EOF.
        if (first == 0xfe && payload.size() < 9 && ++ends_ == 2) {
          Send(0, "\x01");
          Leave("");
        }
        return;
      case State::kOver:
        return;
    }
  }

  void Answer(std::string_view payload) { Send(static_cast<uint8_t>(in_.sequence() + 1), payload); }

  void Send(uint8_t sequence, std::string_view payload) {
    std::string out;
    AppendPacket(out, sequence, payload);
    // A few bytes on a socket that has nothing to send: all or an error.
    if (::send(fd(), out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size())) {
      Leave(std::strerror(errno));
    }
  }

  void Leave(const std::string& failure) {
    if (state_ == State::kOver) return;
    state_ = State::kOver;
    End();
    failure.empty() ? window_.Completed(began_) : window_.Failed(failure);
    // Each user's turn comes once in --users logins, however many connections there are.
    if (window_.MayStart()) loop().Make<Login>(options_, window_, turn_ + options_.connections);
  }

  const Options& options_;
  Window& window_;
  uint64_t turn_;
  uint64_t began_;
  State state_ = State::kGreeting;
  int ends_ = 0;
  PacketReader in_;
};

}  // namespace

int RunMysqlLogin(const Options& options) {
  Loop loop;
  if (options.backend) ServeMysql(loop, *options.backend, options);
  Window window(options);
  for (unsigned i = 0; i < options.connections && window.MayStart(); ++i) {
    loop.Make<Login>(options, window, i);
  }
  while (!window.Over()) loop.Turn(100);
  return Finish(options, window);
}

}  // namespace rum::bench

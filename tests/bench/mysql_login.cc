// Short MySQL sessions: connect, log in by mysql_native_password, SELECT 1, quit. With --tls the
// client asks for TLS, as its protocol has it.
#include <errno.h>
#include <sys/socket.h>

#include <cstring>

#include "bench/loads.h"
#include "bench/mysql_wire.h"
#include "bench/wire.h"

namespace rum::bench {
namespace {

constexpr uint16_t kSslFlag = 0x0800;
constexpr size_t kSslRequestSize = 32;  // the login up to the user's name

uint8_t buffer[64 * 1024];

class Login : public Watch {
 public:
  Login(Loop& loop, const Options& options, Window& window, uint64_t turn)
      : Watch(loop),
        options_(options),
        window_(window),
        turn_(turn),
        began_(NowNanos()),
        wire_(options.tls) {
    Fd fd = BeginConnect(options.connect);
    if (!fd) GiveUp(std::string("connect: ") + std::strerror(errno));
    Begin(std::move(fd), EPOLLIN);
  }

  void OnEvents(uint32_t) override {
    if (state_ == State::kTls) return BeginTls();
    do {
      ssize_t n = state_ == State::kGreeting ? ::recv(fd(), buffer, sizeof buffer, 0)
                                             : wire_.Receive(fd(), buffer, sizeof buffer);
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) return Leave(n == 0 ? "closed in the middle" : std::strerror(errno));
      in_.Append(buffer, static_cast<size_t>(n));
      for (std::string_view payload; state_ != State::kOver && in_.Next(payload);) {
        if (payload.empty()) return Leave("an empty packet");
        Take(payload);
      }
    } while (by_tls_ && state_ != State::kOver && state_ != State::kTls);
  }

 private:
  enum class State { kGreeting, kTls, kLogin, kResult, kOver };

  void BeginTls() {
    uint32_t awaited = 0;
    if (const char* failure = wire_.Open(fd(), &awaited)) return Leave(failure);
    if (awaited) return Await(awaited);
    state_ = State::kLogin;
    Await(EPOLLIN);
    Send(static_cast<uint8_t>(in_.sequence() + 2), login_);
  }

  void Take(std::string_view payload) {
    auto first = static_cast<uint8_t>(payload[0]);
    if (first == 0xff) return Leave("error: " + std::string(payload.substr(1)));
    switch (state_) {
      case State::kGreeting: {
        Greeting greeting;
        if (!ReadGreeting(payload, greeting)) return Leave("a greeting that cannot be read");
        std::string user = options_.user + std::to_string(turn_ % options_.users);
        login_ =
            WriteLogin({user, NativeToken(options_.password, greeting.nonce), kNativePassword});
        if (by_tls_) {
          login_[1] = static_cast<char>(login_[1] | kSslFlag >> 8);
          Answer(std::string_view(login_).substr(0, kSslRequestSize));
          state_ = State::kTls;
          return BeginTls();
        }
        state_ = State::kLogin;
        return Answer(login_);
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
      case State::kTls:
      case State::kOver:
        return;
    }
  }

  void Answer(std::string_view payload) { Send(static_cast<uint8_t>(in_.sequence() + 1), payload); }

  void Send(uint8_t sequence, std::string_view payload) {
    std::string out;
    AppendPacket(out, sequence, payload);
    // A few bytes on a socket that has nothing to send: all or an error.
    const ssize_t sent = state_ == State::kGreeting
                             ? ::send(fd(), out.data(), out.size(), MSG_NOSIGNAL)
                             : wire_.Send(fd(), out.data(), out.size());
    if (sent != static_cast<ssize_t>(out.size())) Leave(std::strerror(errno));
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
  Wire wire_;
  const bool by_tls_ = options_.tls != Options::Tls::kOff;
  std::string login_;
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

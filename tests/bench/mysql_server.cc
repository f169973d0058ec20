// A stand-in for a MySQL server that costs next to nothing: it knows one password, answers every
// query with one row, and asks for a switch when it is offered a plugin that it does not have.
#include <errno.h>
#include <sys/socket.h>

#include "bench/loads.h"
#include "bench/mysql_wire.h"

namespace rum::bench {
namespace {

uint8_t buffer[64 * 1024];
constexpr std::string_view kOk("\0\0\0\2\0\0\0", 7);
constexpr std::string_view kEnd("\xfe\0\0\2\0", 5);
constexpr std::string_view kColumn(
    "\3def\0\0\0\1"
    "1\0\x0c\x3f\0\1\0\0\0\3\x81\0\0\0\0",
    23);
constexpr std::string_view kDenied("\xff\x15\x04#28000Access denied", 22);

// Printable and different each time; what makes a good nonce is not at stake here.
std::string MakeNonce(uint32_t connection) {
  std::string nonce(20, '!');
  for (size_t i = 0; i < nonce.size(); ++i) {
    nonce[i] = static_cast<char>('!' + (connection * 2654435761u >> (i % 24)) % 64 + i % 8);
  }
  return nonce;
}

class Serving : public Watch {
 public:
  Serving(Loop& loop, Fd fd, const Options& options, uint32_t number)
      : Watch(loop), options_(options), nonce_(MakeNonce(number)) {
    Begin(std::move(fd), EPOLLIN);
    Send(0, WriteGreeting(number, nonce_));
  }

  void OnEvents(uint32_t) override {
    ssize_t n = ::recv(fd(), buffer, sizeof buffer, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return End();
    in_.Append(buffer, static_cast<size_t>(n));
    for (std::string_view payload; fd() >= 0 && in_.Next(payload);) Take(payload);
  }

 private:
  void Take(std::string_view payload) {
    auto next = static_cast<uint8_t>(in_.sequence() + 1);
    if (!logged_in_) {
      std::string token(payload);
      LoginRequest login;
      if (!switched_) {
        if (!ReadLogin(payload, login)) return End();
        if (login.plugin != kNativePassword) {
          switched_ = true;
          return Send(next, WriteSwitch(kNativePassword, nonce_));
        }
        token = login.token;
      }
      logged_in_ = token == NativeToken(options_.password, nonce_);
      Send(next, logged_in_ ? kOk : kDenied);
      if (!logged_in_) End();
    } else if (payload.substr(0, 1) == "\x03") {
      std::string out;
      std::string_view packets[] = {"\x01", kColumn, kEnd,
                                    "\x01"
                                    "1",
                                    kEnd};
      for (std::string_view packet : packets) AppendPacket(out, next++, packet);
      SendAll(out);
    } else {
      End();  // quit, or what only a real server knows
    }
  }

  void Send(uint8_t sequence, std::string_view payload) {
    std::string out;
    AppendPacket(out, sequence, payload);
    SendAll(out);
  }

  void SendAll(const std::string& out) {
    if (::send(fd(), out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size())) {
      End();
    }
  }

  const Options& options_;
  std::string nonce_;
  bool switched_ = false, logged_in_ = false;
  PacketReader in_;
};

}  // namespace

void ServeMysql(Loop& loop, const sockaddr_in& address, const Options& options) {
  loop.Make<Acceptor>(address, [&loop, &options, number = 0u](Fd fd) mutable {
    loop.Make<Serving>(std::move(fd), options, ++number);
  });
}

}  // namespace rum::bench

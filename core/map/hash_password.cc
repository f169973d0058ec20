#include "map/hash_password.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "map/stop_signals.h"

namespace rum {
namespace {

constexpr size_t kMaxPassword = 65536;

// Disables the terminal's echo.
class NoEcho {
 public:
  NoEcho() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent.c_lflag |= ECHONL;
    on_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }
  ~NoEcho() {
    if (on_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  bool on() const { return on_; }

 private:
  termios before_;
  bool on_ = false;
};

// Blocks signals except during ppoll(), from before the first prompt, so that none arrives between
// the check and a blocking read.
class SignalsWhileWaiting {
 public:
  SignalsWhileWaiting() {
    sigset_t blocked;
    sigemptyset(&blocked);
    for (int number : kStopSignals) sigaddset(&blocked, number);
    sigprocmask(SIG_BLOCK, &blocked, &before_);
  }
  ~SignalsWhileWaiting() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  bool Wait() {
    pollfd in = {STDIN_FILENO, POLLIN, 0};
    return ppoll(&in, 1, nullptr, &before_) > 0 && !StopRequested();
  }

 private:
  sigset_t before_;
};

// Reads one line of standard input, without its line end.
Result<std::string> ReadPassword(SignalsWhileWaiting& signals) {
  std::string password;
  password.reserve(kMaxPassword);  // growing would leave copies in freed memory
  for (;;) {
    char c;
    ssize_t n = signals.Wait() ? read(STDIN_FILENO, &c, 1) : -1;
    if (n < 0) return Error{Fault::kSystem, "no password was read"};
    if (n == 0 || c == '\n') return password;
    if (password.size() == kMaxPassword) {
      return Error{Fault::kUsage, "a password has at most 65536 bytes"};
    }
    password += c;
  }
}

Result<std::string> AskForPassword() {
  SignalsWhileWaiting signals;
  if (!isatty(STDIN_FILENO)) return ReadPassword(signals);
  CatchStopSignals();
  NoEcho no_echo;  // before the prompt, so that nothing typed after it is shown
  if (!no_echo.on()) {
    return Error{Fault::kSystem, "cannot turn off the echo of the terminal"};
  }
  fputs("Password: ", stderr);
  auto first = ReadPassword(signals);
  if (!first) return first;
  fputs("Again: ", stderr);
  auto second = ReadPassword(signals);
  if (!second) return second;
  const bool same = *first == *second;
  OPENSSL_cleanse(second->data(), second->size());
  if (!same) return Error{Fault::kConfig, "the two passwords differ"};
  return first;
}

}  // namespace

Result<std::string> HashOfPassword() {
  auto password = AskForPassword();
  if (!password) return password.error();
  if (password->empty()) {
    return Error{Fault::kConfig, "the password is empty: a user without one has - in the map"};
  }
  std::array<unsigned char, SHA_DIGEST_LENGTH> once, twice;
  SHA1(reinterpret_cast<const unsigned char*>(password->data()), password->size(), once.data());
  SHA1(once.data(), once.size(), twice.data());
  OPENSSL_cleanse(password->data(), password->size());
  OPENSSL_cleanse(once.data(), once.size());
  std::string hash = "*";
  for (unsigned char byte : twice) {
    constexpr char kHex[] = "0123456789ABCDEF";
    hash += {kHex[byte >> 4], kHex[byte & 15]};
  }
  return hash;
}

}  // namespace rum

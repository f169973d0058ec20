#include "module/last_line.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstring>
#include <iterator>

#include "base/log.h"
#include "base/result.h"
#include "module/hook.h"

namespace rum {
namespace {

constexpr size_t kStack = 64 * 1024;

struct FaultRow {
  int number;
  const char* name;
};
constexpr FaultRow kFaults[] = {{SIGSEGV, "SIGSEGV"},
                                {SIGBUS, "SIGBUS"},
                                {SIGFPE, "SIGFPE"},
                                {SIGILL, "SIGILL"},
                                {SIGABRT, "SIGABRT"}};

struct sigaction before[std::size(kFaults)];
std::atomic<bool> written = false;

// Text put together without memory, for a signal handler; what has no room is left out.
class Text {
 public:
  Text& operator<<(std::string_view text) {
    size_t n = std::min(text.size(), sizeof bytes_ - size_);
    std::memcpy(bytes_ + size_, text.data(), n);
    size_ += n;
    return *this;
  }
  Text& operator<<(uint64_t number) {
    char digits[20];
    auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    return *this << std::string_view(digits, static_cast<size_t>(end - digits));
  }
  std::string_view view() const { return {bytes_, size_}; }

 private:
  char bytes_[256];
  size_t size_ = 0;
};

Text& AddPlace(Text& text, const HookPlace::Seen& seen) {
  if (seen.hook == Hook::kNone) return text << " outside of the hooks of module " << ModuleName();
  text << " in hook " << HookName(seen.hook) << " of module " << ModuleName();
  if (seen.session) text << ", session " << seen.session;
  return text;
}

// Where it happened is untouched: it happens again when this returns, and takes the way that it
// would have taken without this handler.
void OnFault(int number, siginfo_t* info, void*) {
  const int error = errno;
  auto fault = std::find_if(std::begin(kFaults), std::end(kFaults),
                            [number](const FaultRow& one) { return one.number == number; });
  if (!written.exchange(true)) {
    Text text;
    text << fault->name;
    AddPlace(text, HookPlace::LookAtThread()) << ": the process ends";
    log::LastLine(text.view());
  }
  ::sigaction(number, &before[fault - kFaults], nullptr);
  if (info->si_code <= 0) ::raise(number);  // somebody sent it: it would not come again
  errno = error;
}

// Runs after what the module has registered by itself.
void OnExit(int status, void*) {
  const HookPlace::Seen seen = HookPlace::LookAtThread();
  if (seen.hook == Hook::kNone) return;
  const int code = status & 0xff ? status : static_cast<int>(Fault::kModule);
  Text text;
  text << "exit(" << static_cast<uint64_t>(status & 0xff) << ") was called";
  AddPlace(text, seen) << ": the process ends with " << static_cast<uint64_t>(code & 0xff);
  log::Write(log::Level::kError, text.view());
  log::Close();
  ::_exit(code);
}

}  // namespace

void WatchForFaults() {
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  // The runtime of Go insists on SA_ONSTACK.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < std::size(kFaults); ++i) {
    ::sigaction(kFaults[i].number, &action, &before[i]);
  }
  ::on_exit(OnExit, nullptr);
}

FaultStack::FaultStack() {
  stack_t stack = {};
  // A sanitizer has set one, and would take ours for its own.
  if (::sigaltstack(nullptr, &stack) != 0 || !(stack.ss_flags & SS_DISABLE)) return;
  const size_t size = std::max(kStack, static_cast<size_t>(SIGSTKSZ));
  bytes_ = std::make_unique_for_overwrite<char[]>(size);
  stack = {};
  stack.ss_sp = bytes_.get();
  stack.ss_size = size;
  if (::sigaltstack(&stack, nullptr) != 0) bytes_.reset();
}

FaultStack::~FaultStack() {
  if (!bytes_) return;
  stack_t stack = {};
  stack.ss_flags = SS_DISABLE;
  ::sigaltstack(&stack, nullptr);
}

}  // namespace rum

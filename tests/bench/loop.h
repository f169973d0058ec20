// One thread, one epoll: clients and backend of a load live in the same loop, so that nothing on
// their CPU waits for a switch of threads.
#pragma once

#include <netinet/in.h>
#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/fd.h"

namespace rum::bench {

class Loop;

// A socket and what is done when it is ready. Owned by the loop.
class Watch {
 public:
  explicit Watch(Loop& loop) : loop_(loop) {}
  virtual ~Watch() = default;
  virtual void OnEvents(uint32_t events) = 0;

 protected:
  friend class Loop;
  void Begin(Fd fd, uint32_t events);  // level-triggered
  void Await(uint32_t events);
  void End();  // closes the socket; the object lives until the turn is over
  int fd() const { return fd_.get(); }
  Loop& loop() { return loop_; }

 private:
  Loop& loop_;
  Fd fd_;
  uint32_t events_ = 0;
};

class Loop {
 public:
  Loop();
  ~Loop();

  template <class T, class... A>
  T& Make(A&&... arguments) {
    auto watch = std::make_unique<T>(*this, std::forward<A>(arguments)...);
    T& made = *watch;
    watches_.emplace(&made, std::move(watch));
    return made;
  }
  // Waits at most this long and serves what is ready.
  void Turn(int milliseconds);
  size_t size() const { return watches_.size(); }

 private:
  friend class Watch;
  Fd epoll_;
  std::unordered_map<Watch*, std::unique_ptr<Watch>> watches_;
  std::vector<std::unique_ptr<Watch>> graveyard_;
};

// Accepts, and gives each socket (not blocking, TCP_NODELAY) to `accepted`.
class Acceptor : public Watch {
 public:
  // Ends the program if the address cannot be had.
  Acceptor(Loop& loop, const sockaddr_in& address, std::function<void(Fd)> accepted);
  void OnEvents(uint32_t events) override;

 private:
  std::function<void(Fd)> accepted_;
};

// A socket whose connect(2) has begun; no descriptor: it failed at once, see errno.
Fd BeginConnect(const sockaddr_in& address);
// What became of it when epoll says that it can be written: 0 or an errno.
int ConnectError(int fd);

// Ends the program with a sentence.
[[noreturn]] void GiveUp(const std::string& why);

}  // namespace rum::bench

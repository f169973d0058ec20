#include "lookup/source_thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

#include "upstream/resolver.h"

namespace rum {

SourceThread::SourceThread(Resolver& resolver, const char* name)
    : resolver_(resolver),
      name_(name),
      base_(event_base_new(), event_base_free),
      line_(std::make_shared<Line>()) {}

Status SourceThread::Start(std::function<void()> begin) {
  if (base_) line_->queue = std::make_unique<MainQueue>(base_.get());
  if (!base_ || !line_->queue->works()) {
    return Error{Fault::kSystem,
                 std::string("out of descriptors or memory for the thread ") + name_};
  }
  sigset_t all, old;
  sigfillset(&all);
  for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigdelset(&all, number);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  thread_ = std::thread([this, begin = std::move(begin)] {
    pthread_setname_np(pthread_self(), name_);
    begin();
    event_base_dispatch(base_.get());
  });
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  return Ok();
}

void SourceThread::Stop() {
  if (thread_.joinable()) {
    line_->Post([this] { event_base_loopbreak(base_.get()); });
    thread_.join();
  }
  std::lock_guard lock(line_->mutex);
  line_->queue.reset();
}

void SourceThread::SuspectName(const std::string& name) { resolver_.Suspect(name); }

void SourceThread::Resolve(const std::string& name,
                           std::function<void(std::vector<SocketAddress>)> found) {
  auto pass = [line = line_, found = std::move(found)](auto addresses) {
    line->Post([found, addresses = std::move(addresses)] { found(addresses); });
  };
  if (auto known = resolver_.Known(name)) return pass(std::move(*known));  // refreshes them
  resolver_.Ask(name, std::move(pass));
}

}  // namespace rum

// A thread that talks to other machines: an event loop, to which other threads post, and which gets
// its addresses from the resolver of the main thread.
#pragma once

#include <event2/event.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/address.h"
#include "base/main_queue.h"
#include "base/result.h"

namespace rum {

class Resolver;

class SourceThread {
 public:
  // [main] `name`: of the thread, at most 15 bytes. The resolver must live longer.
  SourceThread(Resolver& resolver, const char* name);
  ~SourceThread() { Stop(); }
  SourceThread(const SourceThread&) = delete;

  // [main] Starts the thread, once; `begin` is the first that it runs.
  Status Start(std::function<void()> begin);
  // [main] Ends the thread. What is posted later is dropped.
  void Stop();

  // [any] Runs `task` on the thread.
  void Post(std::function<void()> task) { line_->Post(std::move(task)); }
  event_base* base() { return base_.get(); }
  // [the thread] Calls `found` later on the thread, without addresses if there are none; not if it
  // ends first.
  void Resolve(const std::string& name, std::function<void(std::vector<SocketAddress>)> found);
  // [the thread] The addresses of the name do not respond: others may be found next.
  void SuspectName(const std::string& name);

 private:
  // To the thread, for answers that come after it has ended.
  struct Line {
    std::mutex mutex;
    std::unique_ptr<MainQueue> queue;  // nullptr: the thread has ended
    void Post(std::function<void()> task) {
      std::lock_guard lock(mutex);
      if (queue) queue->Post(std::move(task));
    }
  };

  Resolver& resolver_;
  const char* const name_;
  std::unique_ptr<event_base, decltype(&event_base_free)> base_;
  const std::shared_ptr<Line> line_;
  std::thread thread_;
};

}  // namespace rum

// A worker without a thread: the test runs its loop.
#pragma once

#include <event2/event.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <memory>

#include "module/module_config.h"
#include "proxy/proxy.h"
#include "proxy/worker.h"
#include "settings/settings.h"
#include "support/hooks.h"
#include "support/timeout.h"

namespace rum::test {

class LoneWorker : public testing::Test {
 protected:
  LoneWorker() {
    ::signal(SIGPIPE, SIG_IGN);
    proxy_ = std::make_unique<Proxy>(main_.get(), std::make_shared<Settings>(), MakeTestModule({}));
    worker_ = std::make_unique<Worker>(*proxy_, 0);
  }

  Worker& worker() { return *worker_; }
  Loop& loop() { return worker_->loop(); }

  // Runs the loop until the condition holds; false if the timeout expires.
  bool TurnUntil(const std::function<bool()>& holds, std::chrono::milliseconds timeout = kTimeout) {
    auto end = std::chrono::steady_clock::now() + timeout;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      worker_->Turn(Millis(0));
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return true;
  }
  void TurnFor(std::chrono::milliseconds time) {
    TurnUntil([] { return false; }, time);
  }

 private:
  struct FreeBase {
    void operator()(event_base* base) const { event_base_free(base); }
  };
  std::unique_ptr<event_base, FreeBase> main_{event_base_new()};
  std::unique_ptr<Proxy> proxy_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace rum::test

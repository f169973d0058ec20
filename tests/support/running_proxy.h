// A Proxy in the test's process, with a main loop in a thread, on free ports, and the test's hooks
// as its module. Its destructor checks what must hold after any test: gauges are zero, counters add
// up, descriptors are closed, the contract was kept.
#pragma once

#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "proxy/counters.h"
#include "settings/settings.h"
#include "support/folder.h"
#include "support/hooks.h"
#include "support/peer.h"

namespace rum {
class Explainer;
class Prober;
class Proxy;
}  // namespace rum

namespace rum::test {

// A loop in its own thread, and a way to run tasks on it.
class MainLoop {
 public:
  explicit MainLoop(std::function<void(event_base*)> begin = {}, std::function<void()> end = {});
  ~MainLoop();
  MainLoop(const MainLoop&) = delete;
  event_base* base() const { return base_; }
  void Run(const std::function<void()>& task);  // waits until it has run

 private:
  event_base* base_;
  Fd wake_;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
  bool stop_ = false;
  std::thread thread_;
};

class RunningProxy {
 public:
  using Change = std::function<void(Settings&)>;
  // One listener on 127.0.0.1 and one worker, with rum's default timeouts, unless `change` changes
  // the settings.
  explicit RunningProxy(Hooks hooks, const Change& change = {});
  ~RunningProxy();

  std::string address(size_t listener = 0) const { return addresses_.at(listener); }
  Peer Client(int receive_buffer = 0) const { return Peer::Connect(address(), receive_buffer); }

  Proxy& proxy() { return *proxy_; }
  Prober& prober() { return *prober_; }               // [main]
  Explainer& explainer() { return *explainer_; }      // [main]
  event_base* base() const { return loop_->base(); }  // [main]
  // Runs a task on the main thread, for all calls tagged [main].
  void OnMain(const std::function<void(Proxy&)>& task);
  void WithProber(const std::function<void(Prober&)>& task);
  // Ends every session and the workers; the state during a drain is gone afterwards.
  void Stop();
  // Loads a user map with these records.
  void SetMap(const std::map<std::string, std::string>& records);

  uint64_t Sum(Counter Counters::*member) const;
  uint64_t Ended(uint32_t reason) const;
  uint64_t ModuleCounter(size_t index) const;
  // Answers that sessions of all workers wait for.
  size_t Tickets() const;

  // The next log line about a session's end, in the order of the ends.
  nlohmann::json NextEnd();
  // The word for its reason.
  std::string NextReason() { return NextEnd().value("reason", "(no line)"); }
  // All lines so far.
  std::string LogText() const { return Contents(log_file_); }

 private:
  void CheckTheEnd();

  std::vector<std::string> descriptors_before_;
  Folder folder_;
  std::string log_file_;
  size_t log_read_ = 0;
  bool stopped_ = false;
  std::unique_ptr<Proxy> proxy_;
  std::unique_ptr<Prober> prober_;
  std::unique_ptr<Explainer> explainer_;
  std::unique_ptr<MainLoop> loop_;
  std::vector<std::string> addresses_;
};

// Blocks the first worker until Go(), so that all events until then arrive in one turn of its loop.
class HeldWorker {
 public:
  explicit HeldWorker(RunningProxy& proxy);
  ~HeldWorker() { Go(); }
  HeldWorker(const HeldWorker&) = delete;
  void Go();

 private:
  std::promise<void> go_on_;
  bool gone_ = false;
};

}  // namespace rum::test

// The state that the sessions and probes of one worker share.
#pragma once

#include <rum/module.h>

#include <memory>

#include "mysql/config.h"
#include "mysql/fleet.h"
#include "mysql/pace.h"

namespace rum::mysql {

// All functions are [worker].
class Worker {
 public:
  // Throws what allocating throws.
  Worker(rum_worker* handle, const Config& config);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // A new configuration applies to later sessions.
  void Reload(const Config& config);

  Pace& pace() { return *pace_; }
  Fleet::View& view() { return view_; }

 private:
  rum_worker* const handle_;
  const std::shared_ptr<Pace> pace_;  // shared by all workers
  Fleet::View view_;
};

}  // namespace rum::mysql

// The scripted host's group "rum.worker/1": timers and posts of the only worker.
#include "check/host_table.h"

namespace rum {
namespace host_table {
namespace {

// The world of a worker's handle; null, with a violation recorded, if the call is invalid.
ScriptedHost::World* WorldOf(const rum_worker* worker, const char* call) {
  std::string why;
  {
    const Current current = LockCurrent();
    ScriptedHost::World* world = current.world;
    if (!world || worker != reinterpret_cast<const rum_worker*>(&world->worker_handle)) {
      why = "with a pointer that is not a worker";
    } else if (world->worker != std::this_thread::get_id()) {
      why = "on another thread than the worker's";
    } else {
      return world;
    }
  }
  ViolateCurrent(std::string(call) + "() " + why);
  return nullptr;
}

uint64_t WorkerTimer(rum_worker* worker, uint64_t milliseconds, ScriptedWork::Run run,
                     void* argument, ScriptedWork::Drop drop) {
  ScriptedHost::World* world = WorldOf(worker, "timer");
  if (!world || milliseconds > RUM_MOST_MILLISECONDS) return 0;
  if (!run) {
    ViolateCurrent("timer() without a function");
    return 0;
  }
  return world->work.AddTimer(clock + milliseconds, run, argument, drop);
}

void WorkerTimerCancel(rum_worker* worker, uint64_t ticket) {
  if (ScriptedHost::World* world = WorldOf(worker, "timer_cancel")) {
    world->work.CancelTimer(ticket);
  }
}

uint64_t WorkerTicket(rum_worker* worker) {
  ScriptedHost::World* world = WorldOf(worker, "ticket");
  return world ? world->work.ticket() : 0;
}

int32_t WorkerPost(uint64_t ticket, ScriptedWork::Run run, void* argument,
                   ScriptedWork::Drop drop) {
  if (!run) {
    ViolateCurrent("post() without a function");
    return RUM_E_ARGUMENT;
  }
  const Current current = LockCurrent();
  ScriptedHost::World* world = current.world;
  if (!world || world->work.ticket() != ticket) return RUM_E_STATE;
  return world->work.Post(run, argument, drop);
}

void WorkerMetricAdd(rum_worker* worker, uint32_t index, uint64_t delta) {
  ScriptedHost::World* world = WorldOf(worker, "metric_add");
  if (!world) return;
  if (index >= world->metrics.size()) {
    Violate(*world, "metric_add() of counter " + std::to_string(index) + ", of " +
                        std::to_string(world->metrics.size()));
    return;
  }
  world->sums[world->metrics[index].name] += delta;
}

}  // namespace

const rum_worker_calls kWorker = {
    .struct_size = sizeof(rum_worker_calls),
    .reserved = 0,
    .timer = WorkerTimer,
    .timer_cancel = WorkerTimerCancel,
    .ticket = WorkerTicket,
    .post = WorkerPost,
    .metric_add = WorkerMetricAdd,
};

}  // namespace host_table
}  // namespace rum

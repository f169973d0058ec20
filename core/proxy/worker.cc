#include "proxy/worker.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <future>
#include <string>
#include <system_error>

#include "map/map_file.h"
#include "module/last_line.h"
#include "module/module_config.h"
#include "proxy/dialogue.h"
#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "settings/settings.h"
#include "upstream/balance.h"

namespace rum {
namespace {

// How long an ended session may deliver its last words.
constexpr Millis kLinger(2000);
constexpr Millis kSettled(1000);
// Delay before retrying a unix socket whose backlog is full.
constexpr Millis kRetry(20);
// rum/module.h promises that a probe has ended by then.
constexpr Millis kProbe(10000);
// A proxy sends its header right after connecting. Modules without a login have no other deadline
// for it.
constexpr Millis kHeader(5000);
// As rum/module.h says of part().
constexpr Millis kParted(2000);
constexpr Millis kRefused(RUM_MOST_REFUSED_MILLISECONDS);
constexpr Millis kLongTurn(60000);
// Allowed lateness of timers for rum.clock/1 in nanoseconds; the kernel's default is 50,000.
constexpr unsigned long kTimerSlack = 1000;

// The time between two of the checks of a timeout. Never 0, which would mean off.
Millis Look(Millis timeout) { return (timeout + Millis(Session::kLooks - 1)) / Session::kLooks; }

}  // namespace

Worker::Worker(Proxy& proxy, unsigned index)
    : servers(proxy.server_places()),
      pipes(proxy.pipes()),
      dialogues(sizeof(Dialogue)),
      proxy_(proxy),
      index_(index),
      workers_(proxy.settings()->workers),
      buffer_(std::make_unique_for_overwrite<uint8_t[]>(kBufferSize)),
      settings_(proxy.settings()),
      module_config_(proxy.module_config()) {
  counters.module = std::vector<Counter>(module_config_->module().metric_count);
  const Settings& s = *settings_;
  auto make = [&](Millis duration, Deadlines::Expired expired) {
    return std::make_unique<Deadlines>(loop_, duration, expired);
  };
  auto phase = [](Session& session) { session.OnPhaseDeadline(); };
  login = make(s.login_timeout, [](Session& session) { session.OnLoginDeadline(); });
  connecting = make(s.connect_timeout, phase);
  first_byte = make(s.first_byte_timeout, phase);
  idle = make(Look(s.idle_timeout), [](Session& session) { session.OnIdleDeadline(); });
  half_close =
      make(Look(s.half_close_timeout), [](Session& session) { session.OnHalfCloseDeadline(); });
  settled = make(kSettled, [](Session& session) { session.OnSettled(); });
  retry = make(kRetry, phase);
  header = make(kHeader, phase);
  probe = make(kProbe, [](Session& session) { session.OnLoginDeadline(); });
  parted = make(kParted, [](Session& session) { session.OnPartedDeadline(); });
  refused = make(kRefused, [](Session& session) { session.OnLoginDeadline(); });
  linger = make(kLinger, [](Session& session) { session.OnLingerDeadline(); });
  wake_.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  wake_ticket_ = loop_.Watch(wake_.get(), EPOLLIN, *this, 0);
}

Worker::~Worker() {
  kept.DropAll();
  while (sessions_) sessions_->OnLingerDeadline();
  graveyard_.clear();
}

Status Worker::Start() {
  if (!loop_.ok() || !wake_ || !wake_ticket_) {
    return Error{Fault::kSystem,
                 "out of descriptors or memory for worker " + std::to_string(index_)};
  }
  std::promise<int32_t> started;
  auto status = started.get_future();
  // The promise is destroyed with the thread, which may still use it after the answer.
  std::promise<void> ended;
  ended_ = ended.get_future();
  // `ended` is fulfilled by its destruction, the thread's last action.
  auto body = [this, started = std::move(started), ended = std::move(ended)]() mutable {
    hook_place.Take();
    FaultStack fault_stack;
    const rum_module& module = module_config_->module();
    int32_t result = RUM_OK;
    if (module.worker_start) {
      InHook in(hook_place, Hook::kWorkerStart);
      result = module.worker_start(this, module_config_->get(), &module_data_);
    }
    started.set_value(result);
    if (result < 0) return module_calls.Close();
    ::prctl(PR_SET_TIMERSLACK, kTimerSlack, 0, 0, 0);
    while (!stopped_) Turn(kLongTurn);
    module_calls.Close();
    Retire();
    if (module.worker_stop) {
      InHook in(hook_place, Hook::kWorkerStop);
      module.worker_stop(module_data_);
    }
  };
  try {
    thread_ = std::thread(std::move(body));
  } catch (const std::system_error& e) {
    return Error{Fault::kSystem,
                 "cannot start a thread for worker " + std::to_string(index_) + ": " + e.what()};
  }
  if (status.get() >= 0) return Ok();
  thread_.join();
  return Error{Fault::kModule, std::string(module_config_->module().name) +
                                   ": the module could not start on worker " +
                                   std::to_string(index_)};
}

void Worker::Turn(Millis most) {
  loop_.Turn(most);
  if (!graveyard_.empty()) Sweep();
}

bool Worker::EndsBy(std::chrono::steady_clock::time_point time) const {
  return !ended_.valid() || ended_.wait_until(time) == std::future_status::ready;
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
  draining_ = true;
  Retire();  // if no loop has run
}

// Runs the last tasks on the worker's own thread: late answers find no session, and requests get an
// empty result. From then on Post() returns false; the process may continue for days with the
// sessions of other workers.
void Worker::Retire() {
  while (true) {
    {
      std::lock_guard lock(mutex_);
      over_ = posted_.empty();
      if (over_) break;
    }
    RunTasks();
  }
  map_.reset();  // it would no longer be updated
  geo_.reset();
}

bool Worker::Post(std::function<void()> task) {
  bool first;
  {
    std::lock_guard lock(mutex_);
    if (over_) return false;
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (first) {
    uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
  }
  return true;
}

void Worker::OnReady(uint32_t, uint32_t) {
  uint64_t count;
  (void)!::read(wake_.get(), &count, sizeof count);
  RunTasks();
}

void Worker::RunTasks() {
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
}

void Worker::Adopt(Listener& listener, Fd client, const SocketAddress& address) {
  // The worker may be over at any moment, but for its sessions.
  if (draining_ && (!sessions_ || stopped_ || !module_config_->module().refused_open)) {
    load.fetch_sub(1, std::memory_order_relaxed);
    return Refuse(std::move(client), RUM_CLOSE_DRAIN);
  }
  counters.accepted.Add(1);
  Session::Open(*this, listener, std::move(client), address, draining_);
}

void Worker::BeginProbe(Probe request) {
  if (draining_) return RefuseProbe(std::move(request));
  counters.probes.Add(1);
  Session::OpenProbe(*this, std::move(request));
}

void Worker::RefuseProbe(Probe request) {
  load.fetch_sub(1, std::memory_order_relaxed);
  ProbeOutcome drained;
  drained.reason = RUM_CLOSE_DRAIN;
  request.done(std::move(drained));
}

void Worker::Refuse(Fd client, uint32_t reason) {
  uint8_t words[kRefusalMost];
  size_t size = WriteRefusal(reason, words);
  if (size) (void)!::send(client.get(), words, size, MSG_NOSIGNAL);
  counters.refused.Add(1);
}

size_t Worker::WriteRefusal(uint32_t reason, uint8_t* words) {
  auto refusal = module_config_->module().refusal;
  InHook in(hook_place, Hook::kRefusal);
  size_t size = refusal ? refusal(module_config_->get(), reason, words, kRefusalMost) : 0;
  return size <= kRefusalMost ? size : 0;
}

void Worker::Reload(std::shared_ptr<const Settings> settings,
                    std::shared_ptr<const ModuleConfig> config) {
  const Settings& s = *settings;
  login->set_duration(s.login_timeout);
  connecting->set_duration(s.connect_timeout);
  first_byte->set_duration(s.first_byte_timeout);
  idle->set_duration(Look(s.idle_timeout));
  half_close->set_duration(Look(s.half_close_timeout));
  settings_ = std::move(settings);
  if (auto hook = config->module().worker_reload) {
    InHook in(hook_place, Hook::kWorkerReload);
    hook(module_data_, config->get());
  }
  module_config_ = std::move(config);
  kept.NextGeneration();
  for (Session* session = sessions_; session; session = session->next) {
    session->Recount();
    session->Rearm();
  }
}

void Worker::Enlist(Session& session) {
  session.next = sessions_;
  if (sessions_) sessions_->prev = &session;
  sessions_ = &session;
  if (!session.probing()) counters.active.Add(1);
}

void Worker::Bury(std::unique_ptr<Session> session) {
  if (list_next_ == session.get()) list_next_ = session->next;
  (session->prev ? session->prev->next : sessions_) = session->next;
  if (session->next) session->next->prev = session->prev;
  load.fetch_sub(1, std::memory_order_relaxed);
  graveyard_.push_back(std::move(session));
}

void Worker::Sweep() {
  graveyard_.clear();
  if (draining_ && !sessions_) stopped_ = true;
}

void Worker::Drain() {
  draining_ = true;
  kept.DropAll();
  for (Session *session = sessions_, *next; session; session = next) {
    next = session->next;
    if (session->probing()) session->End(RUM_CLOSE_DRAIN);  // no client needs its result
  }
  if (!sessions_) stopped_ = true;
}

void Worker::EndSessions(uint32_t reason) {
  for (Session *session = sessions_, *next; session; session = next) {
    next = session->next;
    session->End(reason);
  }
}

void Worker::Stop() {
  draining_ = true;
  kept.DropAll();
  EndSessions(RUM_CLOSE_DRAIN);
  stopped_ = true;
}

std::vector<Address> Worker::DefaultDestinations(const SocketAddress& client) {
  auto destinations = settings_->destinations;
  if (destinations.size() > 1) {
    auto sessions = [this](const std::string& server) { return proxy_.loads().Sessions(server); };
    OrderServers(settings_->balance,
                 {.turn = proxy_.NextTurn(),
                  .random = random_(),
                  .client = client.host(),
                  .sessions = sessions},
                 &destinations);
  }
  return destinations;
}

// Of changes of single users, KeptConnections asks the map.
void Worker::set_map(std::shared_ptr<const MapFile> map) {
  const bool extends = map && map_ && map->Extends(*map_);
  map_ = std::move(map);
  if (!extends) kept.NextGeneration();
}

uint64_t Worker::TakeTicket(Session& session) {
  uint64_t ticket = NewTicketNumber();
  tickets_[ticket] = &session;
  return ticket;
}

Session* Worker::Redeem(uint64_t ticket) {
  auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return nullptr;
  Session* session = found->second;
  tickets_.erase(found);
  return session;
}

void Worker::CallBack(Session& session) {
  if (std::find(call_backs_.begin(), call_backs_.end(), &session) != call_backs_.end()) return;
  call_backs_.push_back(&session);
  call_back_timer_.Set(Millis(0));  // after what is already waiting
}

void Worker::ForgetCallBack(Session& session) { std::erase(call_backs_, &session); }

void Worker::OnCallBacks(void* self) {
  auto& worker = *static_cast<Worker*>(self);
  auto sessions = std::move(worker.call_backs_);
  worker.call_backs_.clear();
  // Sessions in this list end only by their own events, which are stored in them.
  for (Session* session : sessions) session->OnMoreToMove();
}

}  // namespace rum

// The calls that a module can make to the scripted host, and the state behind them: which handles
// and tickets are valid, and the host that a call without a session belongs to.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

#include "check/scripted_session.h"

namespace rum {

namespace host_table {

extern const rum_host kTable;  // the argument of init
// The groups of calls that extension() finds; "rum.keep/1" is in scripted_keep.h.
extern const rum_sessions kSessions;
extern const rum_queue kQueue;
extern const rum_limits kLimits;
extern const rum_tls kTls;
extern const rum_state kState;
extern const rum_clock kClock;
extern const rum_process kProcess;
extern const rum_records kCheckedRecords;
extern const rum_worker_calls kWorker;
extern const rum_shared kShared;

// The session of a handle; null, with a violation recorded, if the call is invalid.
ScriptedSession* Find(const rum_session* handle, const char* call);
// False: an argument is invalid; the violation is recorded.
bool Sensible(const char* call, const void* data, size_t size);
bool Sensible(const char* call, uint32_t side);

void* NewHandle(ScriptedSession* session);  // its address is not reused soon
void KillHandle(void* handle);              // the session has ended, its host has not
void ForgetHandle(void* handle);
void ForgetGone();  // frees the handles and tickets that were kept to recognise late calls
uint64_t NewTicket(ScriptedSession* session);
void KillTicket(uint64_t ticket);
std::deque<ScriptedSession::Answer> TakeAnswers(std::deque<ScriptedSession::Answer>& answers);
bool WaitForAnswer(const std::deque<ScriptedSession::Answer>& answers, uint64_t milliseconds);

// Calls without a session belong to this host.
void SetCurrent(ScriptedHost* host, ScriptedHost::World* world);
void ForgetHost(ScriptedHost* host);
// That host and its world, null if there is none. It stays so as long as the lock is held.
struct Current {
  std::unique_lock<std::mutex> lock;
  ScriptedHost* host;
  ScriptedHost::World* world;
};
Current LockCurrent();

// The scripted clock, one per process.
extern std::atomic<uint64_t> clock;
extern std::atomic<const char*>& running_hook;  // shared with the parent: see isolated_run.h

// Names the running hook for the scope.
class HookScope {
 public:
  explicit HookScope(const char* name) : outer_(running_hook.exchange(name)) {}
  ~HookScope() { running_hook = outer_; }
  HookScope(const HookScope&) = delete;

 private:
  const char* outer_;
};

void Violate(ScriptedHost::World& world, std::string text);
void ViolateCurrent(std::string text);                 // of the current host
extern void (*on_violation)(const std::string& text);  // if set, called at once
void RecordLog(uint32_t level, std::string text);

}  // namespace host_table

}  // namespace rum

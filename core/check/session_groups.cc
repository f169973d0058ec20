// The scripted host's groups of calls about one session: "rum.sessions/1", "rum.queue/1" and
// "rum.limits/1". "rum.tls/1" is in tls_group.cc.
#include "base/copy_out.h"
#include "check/host_table.h"

namespace rum {
namespace host_table {
namespace {

int32_t Destination(rum_session* handle, char* text, size_t* size) {
  ScriptedSession* session = Find(handle, "destination");
  if (!session) return RUM_E_STATE;
  if (!Sensible("destination", size, 1) || !Sensible("destination", text, *size)) {
    return RUM_E_ARGUMENT;
  }
  return session->Destination(text, size);
}

int32_t NoLogin(rum_session* handle) {
  ScriptedSession* session = Find(handle, "no_login");
  return session ? session->NoLogin() : RUM_E_STATE;
}

uint64_t QueueSize(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "size");
  if (!session || !Sensible("size", side)) return 0;
  return session->sides[side].there ? session->sides[side].waiting : 0;
}

int32_t AwaitDrained(rum_session* handle, uint32_t side, uint64_t below) {
  ScriptedSession* session = Find(handle, "await");
  if (!session) return RUM_E_STATE;
  return Sensible("await", side) ? session->AwaitDrained(side, below) : RUM_E_ARGUMENT;
}

int32_t Admit(rum_session* handle, const void* record, size_t size) {
  ScriptedSession* session = Find(handle, "admit");
  if (!session) return RUM_E_STATE;
  if (!Sensible("admit", record, size)) return RUM_E_ARGUMENT;
  return session->Admit(record, size);
}

void LoginFailed(rum_session* handle) {
  if (ScriptedSession* session = Find(handle, "login_failed")) session->LoginFailed();
}

int32_t Blocked(rum_session* handle) {
  ScriptedSession* session = Find(handle, "blocked");
  return session && session->host().blocked;
}

int32_t TryLogin(rum_session* handle) {
  ScriptedSession* session = Find(handle, "try_login");
  return session ? session->TryLogin() : RUM_E_STATE;
}

int32_t Confirm(rum_session* handle) {
  ScriptedSession* session = Find(handle, "confirm");
  return session ? session->Confirm() : RUM_E_STATE;
}

}  // namespace

const rum_sessions kSessions = {
    .struct_size = sizeof(rum_sessions),
    .reserved = 0,
    .destination = Destination,
    .no_login = NoLogin,
};

const rum_queue kQueue = {
    .struct_size = sizeof(rum_queue),
    .reserved = 0,
    .size = QueueSize,
    .await = AwaitDrained,
};

const rum_limits kLimits = {
    .struct_size = sizeof(rum_limits),
    .reserved = 0,
    .admit = Admit,
    .login_failed = LoginFailed,
    .blocked = Blocked,
    .try_login = TryLogin,
    .confirm = Confirm,
    .counts_failures = [](rum_worker*) { return 0; },
};

}  // namespace host_table

int32_t ScriptedSession::Destination(char* text, size_t* size) {
  if (sides[RUM_UPSTREAM].there) return CopyOut(server_, text, size);
  *size = 0;
  return RUM_E_STATE;
}

int32_t ScriptedSession::NoLogin() {
  if (Ending() || probe || refusal || relay || handed || confirmed_) {
    return Refuse("no_login", RUM_E_STATE);
  }
  if (!no_login) host_.deeds_.push_back({Deed::Kind::kNoLogin, 0, 0, {}, {}});
  no_login = true;
  admitted = false;
  return RUM_OK;
}

int32_t ScriptedSession::AwaitDrained(uint32_t side, uint64_t below) {
  if (!module_.drained) return Refuse("await", RUM_E_UNSUPPORTED);
  if (Ending() || relay || !sides[side].there) return Refuse("await", RUM_E_STATE);
  sides[side].below = below;
  host_.deeds_.push_back({Deed::Kind::kAwait, side, below, {}, {}});
  return RUM_OK;
}

}  // namespace rum

// Groups of calls about one session, as the scripted host serves them: "rum.sessions/1".
#include <cstring>
#include <utility>

#include "check/scripted_session.h"

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

}  // namespace

const rum_sessions kSessions = {
    .struct_size = sizeof(rum_sessions),
    .reserved = 0,
    .destination = Destination,
    .no_login = NoLogin,
};

}  // namespace host_table

int32_t ScriptedSession::Destination(char* text, size_t* size) {
  const size_t room = std::exchange(*size, 0);
  if (!sides[RUM_UPSTREAM].there) return RUM_E_STATE;
  *size = server_.size();
  if (server_.size() > room) return RUM_E_LIMIT;
  std::memcpy(text, server_.data(), server_.size());
  return RUM_OK;
}

int32_t ScriptedSession::NoLogin() {
  if (Ending() || probe || relay || handed || confirmed_) {
    return Refuse("no_login", RUM_E_STATE);
  }
  if (!no_login) host_.deeds_.push_back({Deed::Kind::kNoLogin, 0, 0, {}, {}});
  no_login = true;
  admitted = false;
  return RUM_OK;
}

}  // namespace rum

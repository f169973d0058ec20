// The scripted host's group "rum.tls/1": what the driver says about handshakes.
#include "base/alpn_list.h"
#include "base/copy_out.h"
#include "check/host_table.h"

namespace rum {
namespace host_table {
namespace {

int32_t TlsMode(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "tls mode");
  if (!session) return RUM_E_STATE;
  if (!Sensible("tls mode", side)) return RUM_E_ARGUMENT;
  return static_cast<int32_t>(session->host().tls_mode[side]);
}

int32_t TlsActive(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "tls active");
  if (!session) return RUM_E_STATE;
  if (!Sensible("tls active", side)) return RUM_E_ARGUMENT;
  return session->sides[side].tls != ScriptedSession::Tls::kOff;
}

int32_t TlsFingerprint(rum_session* handle, uint8_t* digest) {
  ScriptedSession* session = Find(handle, "tls fingerprint");
  if (!session) return RUM_E_STATE;
  if (!Sensible("tls fingerprint", digest, 32)) return RUM_E_ARGUMENT;
  return session->TlsFingerprint(digest);
}

int32_t TlsEndIsCut(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "tls end_is_cut");
  if (!session) return RUM_E_STATE;
  if (!Sensible("tls end_is_cut", side)) return RUM_E_ARGUMENT;
  return session->sides[side].there ? RUM_OK : RUM_E_STATE;
}

std::string AlpnList(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += static_cast<char>(name.size()) + name;
  return list;
}

// The session whose side has a handshake behind it; nullptr: `status` says why there is none.
ScriptedSession* WithTls(rum_session* handle, const char* call, uint32_t side, const void* to,
                         size_t* size, int32_t* status) {
  *status = RUM_E_STATE;
  ScriptedSession* session = Find(handle, call);
  if (!session) return nullptr;
  if (!Sensible(call, side) || !Sensible(call, size, 1) || !Sensible(call, to, *size)) {
    *status = RUM_E_ARGUMENT;
    return nullptr;
  }
  if (session->sides[side].tls == ScriptedSession::Tls::kOn) return session;
  *size = 0;
  return nullptr;
}

int32_t SetAlpn(rum_session* handle, uint32_t side, const void* protocols, size_t size) {
  ScriptedSession* session = Find(handle, "set_alpn");
  if (!session) return RUM_E_STATE;
  if (!Sensible("set_alpn", side) || !Sensible("set_alpn", protocols, size)) return RUM_E_ARGUMENT;
  return session->SetAlpn(side, {static_cast<const char*>(size ? protocols : ""), size});
}

int32_t Alpn(rum_session* handle, uint32_t side, char* name, size_t* size) {
  int32_t status = RUM_OK;
  ScriptedSession* session = WithTls(handle, "alpn", side, name, size, &status);
  return session ? CopyOut(session->Alpn(side), name, size) : status;
}

int32_t OfferedAlpn(rum_session* handle, uint8_t* protocols, size_t* size) {
  int32_t status = RUM_OK;
  auto* session = WithTls(handle, "offered_alpn", RUM_CLIENT, protocols, size, &status);
  if (!session) return status;
  return CopyOut(AlpnList(session->host().tls_peer[RUM_CLIENT].alpn), protocols, size);
}

int32_t ServerName(rum_session* handle, char* name, size_t* size) {
  int32_t status = RUM_OK;
  auto* session = WithTls(handle, "server_name", RUM_CLIENT, name, size, &status);
  if (!session) return status;
  return CopyOut(session->host().tls_peer[RUM_CLIENT].server_name, name, size);
}

int32_t TlsVersion(rum_session* handle, uint32_t side) {
  int32_t status = RUM_OK;
  size_t size = 0;
  auto* session = WithTls(handle, "version", side, nullptr, &size, &status);
  return session ? session->host().tls_peer[side].version : status;
}

int32_t Certificate(rum_session* handle, uint32_t side, void* der, size_t* size) {
  int32_t status = RUM_OK;
  auto* session = WithTls(handle, "certificate", side, der, size, &status);
  return session ? CopyOut(session->host().tls_peer[side].certificate, der, size) : status;
}

int32_t EndPoint(rum_session* handle, uint32_t side, void* hash, size_t* size) {
  int32_t status = RUM_OK;
  ScriptedSession* session = Find(handle, "end_point");
  const bool of_own = session && session->probe && side == RUM_CLIENT &&
                      session->host().tls_mode[RUM_CLIENT] != RUM_TLS_OFF;
  if (!of_own) session = WithTls(handle, "end_point", side, hash, size, &status);
  if (!session) return status;
  const auto& value = session->host().tls_peer[side].end_point;
  if (value) return CopyOut(*value, hash, size);
  *size = 0;
  return RUM_E_UNSUPPORTED;
}

}  // namespace

const rum_tls kTls = {
    .struct_size = sizeof(rum_tls),
    .reserved = 0,
    .mode = TlsMode,
    .active = TlsActive,
    .fingerprint = TlsFingerprint,
    .end_is_cut = TlsEndIsCut,
    .set_alpn = SetAlpn,
    .alpn = Alpn,
    .offered_alpn = OfferedAlpn,
    .server_name = ServerName,
    .version = TlsVersion,
    .certificate = Certificate,
    .end_point = EndPoint,
};

}  // namespace host_table

int32_t ScriptedSession::SetAlpn(uint32_t side, std::string_view list) {
  if (list.size() > RUM_MOST_ALPN) return Refuse("set_alpn", RUM_E_LIMIT);
  if (!list.empty() && !IsAlpnList(list)) {
    host_table::Violate(*host_.world_, "set_alpn() with what is no list of protocols");
    return Refuse("set_alpn", RUM_E_ARGUMENT);
  }
  if (Ending() || relay || sides[side].tls != Tls::kOff || (probe && side == RUM_CLIENT)) {
    return Refuse("set_alpn", RUM_E_STATE);
  }
  alpn_[side] = list;
  std::string names;
  for (std::string_view rest = list; !rest.empty();) {
    const size_t size = static_cast<uint8_t>(rest[0]);
    (names += names.empty() ? "" : ",") += rest.substr(1, size);
    rest.remove_prefix(1 + size);
  }
  host_.deeds_.push_back({Deed::Kind::kSetAlpn, side, 0, {}, std::move(names)});
  return RUM_OK;
}

// As client rum offers, and the server chooses by its own order.
std::string ScriptedSession::Alpn(uint32_t side) const {
  std::string known;
  for (const std::string& name : host_.tls_peer[side].alpn) {
    known += static_cast<char>(name.size()) + name;
  }
  return std::string(side == RUM_CLIENT ? FirstCommonAlpn(alpn_[side], known)
                                        : FirstCommonAlpn(known, alpn_[side]));
}

}  // namespace rum

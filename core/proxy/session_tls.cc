// What a module asks of the TLS of a session's sides: "rum.tls/1".
#include <algorithm>

#include "base/copy_out.h"
#include "proxy/dialogue.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "tls/tls_contexts.h"
#include "tls/tls_facts.h"

namespace rum {

int32_t Session::TlsModeOf(uint32_t which) const {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  const TlsContexts& tls = *worker_.tls();
  if (which == RUM_UPSTREAM) return static_cast<int32_t>(tls.upstreams);
  return static_cast<int32_t>(tls.server ? tls.clients : TlsMode::kOff);
}

int32_t Session::TlsActive(uint32_t which) const {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  // One that was asked for begins when the hook has returned, and nothing goes there before.
  return !sides_[which].plain() || (dialogue_ && dialogue_->tls_asked(which));
}

int32_t Session::TlsFingerprint(uint8_t* digest) const {
  if (!digest) return RUM_E_ARGUMENT;
  const TlsStream* tls = sides_[RUM_CLIENT].tls();
  if (!tls) return RUM_E_STATE;
  std::copy(tls->context().fingerprint().begin(), tls->context().fingerprint().end(), digest);
  return RUM_OK;
}

int32_t Session::TlsEndIsCut(uint32_t which) {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  if (!sides_[which].attached()) return RUM_E_STATE;
  sides_[which].EndIsCut();
  return RUM_OK;
}

// nullptr: the side has no TLS, or its handshake is not done.
const TlsStream* Session::OpenTls(uint32_t which) const {
  const TlsStream* tls = which <= RUM_UPSTREAM ? sides_[which].tls() : nullptr;
  return tls && tls->open() ? tls : nullptr;
}

int32_t Session::TlsFact(TlsFactOf fact, uint32_t which, void* to, size_t* size) const {
  if (which > RUM_UPSTREAM || !size || (!to && *size)) return RUM_E_ARGUMENT;
  const TlsStream* tls = OpenTls(which);
  if (!tls) {
    const bool of_own = fact == TlsFactOf::kEndPoint && which == RUM_CLIENT && probing();
    // A probe has no client: it gets the certificate that clients are shown.
    const TlsContext* server = of_own ? worker_.tls()->server.get() : nullptr;
    const auto shown = server ? ServerEndPoint(server->get()) : std::nullopt;
    if (shown) return CopyOut(*shown, to, size);
    *size = 0;
    return server ? RUM_E_UNSUPPORTED : RUM_E_STATE;
  }
  switch (fact) {
    case TlsFactOf::kAlpn:
      return CopyOut(ChosenAlpn(tls->ssl()), to, size);
    case TlsFactOf::kOfferedAlpn:
      return CopyOut(tls->offered_alpn(), to, size);
    case TlsFactOf::kServerName:
      return CopyOut(AskedServerName(tls->ssl()), to, size);
    case TlsFactOf::kCertificate:
      return CopyOut(PeerCertificate(tls->ssl()), to, size);
    case TlsFactOf::kEndPoint:
      break;
  }
  const auto hash = ServerEndPoint(tls->ssl(), which == RUM_CLIENT);
  if (hash) return CopyOut(*hash, to, size);
  *size = 0;
  return RUM_E_UNSUPPORTED;
}

int32_t Session::TlsVersion(uint32_t which) const {
  if (which > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  const TlsStream* tls = OpenTls(which);
  return tls ? SSL_version(tls->ssl()) : RUM_E_STATE;
}

int32_t Dialogue::SetAlpn(uint32_t which, std::string_view list) {
  if (tls_[which].begun || (which == RUM_CLIENT && session_.probing())) return RUM_E_STATE;
  alpn_[which] = list;
  return RUM_OK;
}

}  // namespace rum

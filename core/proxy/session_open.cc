// How a session begins: the PROXY header of clients behind another proxy, admission, then the
// module; or a probe, which has no client. Also the PROXY header for the server.
#include "base/proxy_header.h"
#include "limits/access_control.h"
#include "limits/admission.h"
#include "module/module_config.h"
#include "proxy/dialogue.h"
#include "proxy/listener.h"
#include "proxy/probe.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "settings/settings.h"

namespace rum {

void Session::Open(Worker& worker, Listener& listener, Fd client, const SocketAddress& address,
                   bool drains) {
  auto* session = new Session(worker, &listener, address);
  session->drains_ = drains;
  worker.Enlist(*session);
  if (!session->side(RUM_CLIENT)
           .Attach(worker.loop(), std::move(client), *session, RUM_CLIENT,
                   listener.address().kind == Address::Kind::kUnix)) {
    return session->Finish(RUM_CLOSE_NO_RESOURCES, {});
  }
  session->Trace("{} connected to {}", address.text(), listener.text());
  const bool header = worker.settings().proxy_from.Contains(address);
  session->dialogue_->BeginClient(listener.address().tls, header);
  if (!header) session->Welcome();
  session->Converse();
}

void Session::OpenProbe(Worker& worker, Probe request) {
  auto* session = new Session(worker, nullptr, SocketAddress());
  session->probe_ = std::make_unique<Probe>(std::move(request));
  worker.Enlist(*session);
  Dialogue& dialogue = *session->dialogue_;
  const Probe& probe = *session->probe_;
  dialogue.BeginProbe(probe);
  const rum_module& module = session->config_->module();
  std::string destination = probe.destination ? probe.destination->text() : std::string();
  rum_probe question = {.struct_size = sizeof(rum_probe),
                        .is_default = probe.is_default,
                        .destination = probe.destination ? destination.c_str() : nullptr,
                        .user = probe.user ? probe.user->c_str() : nullptr,
                        .user_size = probe.user ? probe.user->size() : 0};
  int32_t status;
  {
    InHook in(worker.hook_place, Hook::kProbeOpen, session->id_);
    status = module.probe_open(session, session->config_->get(), worker.module_data(), &question,
                               &session->data_);
  }
  session->module_open_ = status >= 0;
  if (status < 0) dialogue.Close(RUM_CLOSE_MODULE, "probe_open failed");
  session->Converse();
}

void Session::Welcome() {
  if (RefuseIfLimited()) return;
  const rum_module& module = config_->module();
  if (!module.session_open) {
    if (dialogue_->Connect({}) != RUM_OK) return dialogue_->Close(RUM_CLOSE_NO_DESTINATION, {});
    dialogue_->Relay();
    return;
  }
  InHook in(worker_.hook_place, Hook::kSessionOpen, id_);
  int32_t status = module.session_open(this, config_->get(), worker_.module_data(), &data_);
  module_open_ = status >= 0;
  if (status < 0) dialogue_->Close(RUM_CLOSE_MODULE, "session_open failed");
}

// Before the module sees the client, so that it does no work for it.
bool Session::RefuseIfLimited() {
  Proxy& proxy = worker_.proxy();
  const Settings& settings = worker_.settings();
  if (drains_) {
    Refuse(RUM_CLOSE_DRAIN, {});
    return true;
  }
  if (proxy.admission().guard().Blocks(settings.admission.guard, address_)) {
    Refuse(RUM_CLOSE_BLOCKED, {});
    return true;
  }
  Refusal refusal = Refusal::kNone;
  if (const auto& lists = settings.access_control.by_listener; !lists.empty()) {
    auto own = lists.find(listener_->asked().text());
    if (own != lists.end()) refusal = own->second.Judge(address_, worker_.geo());
  }
  if (refusal == Refusal::kNone)
    refusal =
        proxy.access_control().Enter(settings.access_control, address_, worker_.geo(), &entry_);
  if (refusal == Refusal::kNone) return false;
  worker_.counters.CountRefusal(refusal);
  Refuse(RowOf(refusal).reason, RowOf(refusal).detail);
  return true;
}

void Session::Refuse(uint32_t reason, std::string_view detail) {
  if (LeadOut(reason, detail)) return;
  // Before a TLS handshake nothing can be sent.
  if (!dialogue_->tls_asked(RUM_CLIENT)) {
    uint8_t words[Worker::kRefusalMost];
    size_t size = worker_.WriteRefusal(reason, words);
    side(RUM_CLIENT).Queue(words, size);
  }
  Finish(reason, detail);
}

// The module may have to read before it can say why. False: it says it by `refusal`.
bool Session::LeadOut(uint32_t reason, std::string_view detail) {
  const rum_module& module = config_->module();
  RefusedClients& clients = worker_.proxy().refused_clients();
  if (!module.refused_open || !clients.Take()) return false;
  refused_ = static_cast<uint8_t>(reason);
  dialogue_->BeginRefusal(detail);
  int32_t status;
  {
    InHook in(worker_.hook_place, Hook::kRefusedOpen, id_);
    status = module.refused_open(this, config_->get(), worker_.module_data(), reason, &data_);
  }
  module_open_ = status >= 0;
  if (module_open_) return true;
  refused_ = 0;
  clients.GiveBack();
  return false;
}

void Session::Recount() {
  if (parted_) return;
  worker_.proxy().access_control().Recount(worker_.settings().access_control, address_, &entry_);
  if (dialogue_ && !relaying_ && !probe_) dialogue_->Recount();
}

// -- PROXY headers --------------------------------------------------------------------------------

// Reads the header, and leaves the bytes after it for TLS or the module. False: nothing has
// arrived.
bool Dialogue::ReadHeader() {
  Side& client = side(RUM_CLIENT);
  Window& w = windows_[RUM_CLIENT];
  size_t n = client.readable() ? client.Read(worker_.buffer(), Worker::kBufferSize) : 0;
  worker_.counters.client_bytes.Add(n);
  w.bytes.Append(worker_.buffer(), n);
  auto header = ParseProxyHeader({reinterpret_cast<const char*>(w.bytes.data()), w.bytes.size()});
  if (header.status == ProxyHeader::Status::kMore) {
    // A client that only checks whether the port is open has not violated the protocol.
    if (client.broken() || (client.ended() && w.bytes.empty())) {
      Close(RUM_CLOSE_CLIENT_GONE, {});
    } else if (client.ended()) {
      Close(RUM_CLOSE_CLIENT_PROTOCOL, "the PROXY header is cut short");
    }
    return n > 0 || client.broken() || client.ended();
  }
  if (header.status == ProxyHeader::Status::kBad) {
    Close(RUM_CLOSE_CLIENT_PROTOCOL, header.fault);
    return true;
  }
  header_ = false;
  phase_.Disarm();
  w.bytes.Consume(header.size);
  w.fresh = !w.bytes.empty();
  if (header.ends) {
    session_.ComesFrom(*header.ends);
    session_.Trace("the PROXY header names the client {}", header.ends->source.text());
  }
  return true;
}

// The first bytes for a server, even before TLS (--send-proxy).
void Dialogue::SendHeader() {
  ProxyVersion version = worker_.settings().send_proxy;
  if (version == ProxyVersion::kOff) return;
  const SocketAddress& address = session_.address();
  std::optional<ProxyEnds> ends;
  if (const SessionRecord& record = session_.record(); record.proxied) {
    ends = {address, record.proxied->destination};
  } else if (!session_.probing() && address.ip()) {
    ends = {address, side(RUM_CLIENT).LocalAddress()};
  }
  std::string header = BuildProxyHeader(version, ends);
  side(RUM_UPSTREAM).Queue(header.data(), header.size());
}

// From now on the session's address is the client's; the record keeps the socket's.
void Session::ComesFrom(const ProxyEnds& ends) {
  record_.proxied = std::make_unique<ProxiedAddress>(ProxiedAddress{address_, ends.destination});
  address_ = ends.source;
}

}  // namespace rum

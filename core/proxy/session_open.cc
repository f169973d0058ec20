// How a client's session begins: the PROXY header of those that come by another proxy, whether the
// client may come in, and then the module.
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

void Session::Open(Worker& worker, Listener& listener, Fd client, const SocketAddress& address) {
  auto* session = new Session(worker, &listener, address);
  worker.Enlist(*session);
  if (!session->side(RUM_CLIENT)
           .Attach(worker.loop(), std::move(client), *session, RUM_CLIENT,
                   listener.address().kind == Address::Kind::kUnix)) {
    return session->Finish(RUM_CLOSE_NO_RESOURCES, {});
  }
  session->Trace("{} came to {}", address.text(), listener.text());
  Dialogue& d = *session->dialogue_;
  worker.login->Arm(d.login, *session);
  if (listener.address().tls) {
    d.tls[RUM_CLIENT] = {.asked = true, .begun = false, .own = true, .name = {}};
  }
  if (worker.settings().proxy_from.Contains(address)) {
    d.header = true;
    worker.header->Arm(d.phase, *session);
  } else {
    session->Welcome();
  }
  session->Converse();
}

void Session::Welcome() {
  if (RefuseIfLimited()) return;
  const rum_module& module = config_->module();
  if (!module.session_open) {
    if (AskConnect("", 0) != RUM_OK) AskClose(RUM_CLOSE_NO_DESTINATION, {});
    AskRelay();
    return;
  }
  int32_t status = module.session_open(this, config_->get(), worker_.module_data(), &data_);
  module_open_ = status >= 0;
  if (status < 0) AskClose(RUM_CLOSE_MODULE, "session_open failed");
}

// Before the module sees the client, so that nothing of the protocol is done for it.
bool Session::RefuseIfLimited() {
  Proxy& proxy = worker_.proxy();
  const Settings& settings = worker_.settings();
  if (proxy.admission().guard().Blocks(settings.admission.guard, address_)) {
    Refuse(RUM_CLOSE_BLOCKED, {});
    return true;
  }
  Refusal refusal = Refusal::kNone;
  if (const auto& lists = settings.access_control.by_listener; !lists.empty()) {
    auto own = lists.find(listener_->asked().text());
    if (own != lists.end()) refusal = own->second.Judge(address_);
  }
  if (refusal == Refusal::kNone)
    refusal = proxy.access_control().Enter(settings.access_control, address_, &entry_);
  if (refusal == Refusal::kNone) return false;
  worker_.counters.CountRefusal(refusal);
  Refuse(RowOf(refusal).reason, RowOf(refusal).detail);
  return true;
}

void Session::Refuse(uint32_t reason, std::string_view detail) {
  // In front of a TLS handshake nothing can be said.
  if (!dialogue_->tls[RUM_CLIENT].asked) {
    uint8_t words[Worker::kRefusalMost];
    size_t size = worker_.WriteRefusal(reason, words);
    side(RUM_CLIENT).Queue(words, size);
  }
  Finish(reason, detail);
}

void Session::Recount() {
  worker_.proxy().access_control().Recount(worker_.settings().access_control, address_, &entry_);
  if (dialogue_ && !logged_in_ && !probe_) dialogue_->connector.Recount();
}

}  // namespace rum

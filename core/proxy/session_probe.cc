// The beginning and the end of a session without a client; all between is as in any dialogue.
#include "base/close_reasons.h"
#include "base/log.h"
#include "module/module_config.h"
#include "proxy/dialogue.h"
#include "proxy/probe.h"
#include "proxy/session.h"
#include "proxy/worker.h"

namespace rum {

void Session::OpenProbe(Worker& worker, Probe request) {
  auto* session = new Session(worker, nullptr, SocketAddress());
  session->probe_ = std::make_unique<Probe>(std::move(request));
  worker.Enlist(*session);
  worker.probe->Arm(session->dialogue_->login, *session);
  const Probe& probe = *session->probe_;
  const rum_module& module = session->config_->module();
  std::string destination = probe.destination ? probe.destination->text() : std::string();
  rum_probe told = {.struct_size = sizeof(rum_probe),
                    .is_default = probe.is_default,
                    .destination = probe.destination ? destination.c_str() : nullptr,
                    .user = probe.user ? probe.user->c_str() : nullptr,
                    .user_size = probe.user ? probe.user->size() : 0};
  int32_t status = module.probe_open(session, session->config_->get(), worker.module_data(), &told,
                                     &session->data_);
  session->module_open_ = status >= 0;
  if (status < 0) session->AskClose(RUM_CLOSE_MODULE, "probe_open failed");
  if (probe.destination) session->dialogue_->connect = {*probe.destination};
  session->Converse();
}

// Once, when the module has had its last word.
void Session::ReportToProber(uint32_t reason, std::string_view text) {
  ProbeOutcome outcome = {.reason = reason,
                          .text = std::string(text),
                          .peer = Peer(RUM_UPSTREAM),
                          .micros = NowMicros() - opened_,
                          .notes = std::move(record_.notes),
                          .route = std::move(probe_->route)};
  log::Debug("session {}: a probe of {}: {} {}", id_,
             probe_->destination ? probe_->destination->text() : "a user's way",
             CloseReasonWord(reason), text);
  probe_->done(std::move(outcome));
}

}  // namespace rum

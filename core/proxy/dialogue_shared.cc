// A dialogue's find() of "rum.shared/1": in this process's table at once, or by asking others.
#include <memory>
#include <string>
#include <utility>

#include "module/module_config.h"
#include "proxy/dialogue.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/shared_table.h"
#include "proxy/worker.h"
#include "share/share_ask.h"

namespace rum {

int32_t Dialogue::FindShared(std::string_view key) {
  if (!module().shared_found) return RUM_E_UNSUPPORTED;
  if (finding_ || relay_ || session_.refused()) return RUM_E_STATE;
  finding_ = std::make_unique<Finding>();
  finding_->key = key;
  return RUM_OK;
}

void Dialogue::StepFinding() {
  if (finding_->answer) return DeliverShared();
  SharedAnswer answer = FindInSharedTable(finding_->key);
  ShareAsk* others = worker_.proxy().share_ask();
  if (answer.status != RUM_NOT_FOUND || !others) {
    finding_->answer = std::move(answer);
    return;
  }
  session_.Trace("asking other processes for an entry");
  finding_->ticket = worker_.TakeTicket(session_);
  others->Find(std::move(finding_->key), [ticket = finding_->ticket](SharedAnswer found) {
    Proxy::PostFor(ticket, [ticket, found = std::move(found)](Worker& worker) mutable {
      if (Session* session = worker.Redeem(ticket)) session->OnSharedFound(std::move(found));
    });
  });
}

void Dialogue::OnSharedFound(SharedAnswer answer) {
  finding_->ticket = 0;
  finding_->answer = std::move(answer);
}

void Dialogue::DeliverShared() {
  const SharedAnswer answer = std::move(*std::exchange(finding_, nullptr)->answer);
  const bool found = answer.status == RUM_FOUND;
  session_.Call(Hook::kSharedFound, module().shared_found, answer.status,
                reinterpret_cast<const uint8_t*>(answer.value.data()),
                found ? answer.value.size() : 0);
}

}  // namespace rum

// The group "rum.keep/1": a session that leaves its server's connection for another one, and a
// session that takes it.
#include <algorithm>
#include <cstring>

#include "base/close_reasons.h"
#include "module/module_config.h"
#include "proxy/dialogue.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "settings/settings.h"
#include "upstream/server_health.h"

namespace rum {

// -- the session ----------------------------------------------------------------------------------

// For everybody but the module and the server. The client's connection is closed with the session,
// when the module is done, so that a client that waits for that finds the server done, too.
void Session::Part() {
  const std::string server(destination());
  EndLeases(RUM_CLOSE_CLIENT);
  ReportEnd(server, RUM_CLOSE_CLIENT, {});
  parted_ = true;
  worker_.parted->Arm(deadline_, *this);
  Trace("the client has gone, the module goes on with the server");
}

void Session::OnPartedDeadline() { End(RUM_CLOSE_CLIENT); }

bool Session::TakeUpstream(const std::string& server, const std::string& key,
                           KeptConnections::Label* label) {
  return worker_.kept.Take(server, key, side(RUM_UPSTREAM), *this, RUM_UPSTREAM, label);
}

bool Session::MoveUntil(uint32_t which, std::string_view tail, Buffer* held) {
  Side& from = side(which);
  const uint64_t before = from.received();
  const Flow::Moved moved =
      flows_[which].MoveUntil(from, side(Other(which)), worker_, tail, held, LastBytesOf(which));
  CountBytes(which, from.received() - before);
  return moved == Flow::Moved::kSome;
}

// -- requests of the dialogue ---------------------------------------------------------------------

Dialogue::Keeping& Dialogue::keeping() {
  if (!keeping_) keeping_ = std::make_unique<Keeping>();
  return *keeping_;
}

int32_t Dialogue::ForwardUntil(uint32_t from, std::string_view tail) {
  if (tail.empty() || from > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  if (tail.size() > RUM_MOST_KEEP_TAIL) return RUM_E_LIMIT;
  if (relay_ || hand_over_ != Other(from)) return RUM_E_STATE;
  keeping().tail = tail;
  keeping_->asked_at = side(Other(from)).received();
  windows_[from].forward = INT64_MAX;
  return RUM_OK;
}

int32_t Dialogue::Answered(uint32_t from) const {
  if (from > RUM_UPSTREAM) return RUM_E_ARGUMENT;
  if (!keeping_) return RUM_E_STATE;
  return session_.side(Other(from)).received() > keeping_->asked_at;
}

int32_t Dialogue::Part() {
  if (!keeping_ || !upstream_open_ || hand_over_ || relay_ || session_.probing() ||
      session_.parted() || !session_.logged_in()) {
    return RUM_E_STATE;
  }
  keeping_->part = true;
  return RUM_OK;
}

// A connection that carries a client's address is that client's only.
std::string Dialogue::KeyOf(std::string_view key) const {
  std::string whole(key);
  if (worker_.settings().send_proxy != ProxyVersion::kOff) {
    whole.append(1, '\0').append(session_.address().host());
  }
  return whole;
}

int32_t Dialogue::Want(std::string_view key) {
  if (upstream_open_ || connecting() || session_.probing()) return RUM_E_STATE;
  keeping().wanted = KeyOf(key);
  return RUM_OK;
}

int32_t Dialogue::Taken(void* value, size_t* size) const {
  const size_t room = std::exchange(*size, 0);
  if (!upstream_open_ && !outcome_) return RUM_E_STATE;
  if (!keeping_ || !keeping_->value) return RUM_NOT_FOUND;
  *size = keeping_->value->size();
  if (*size > room) return RUM_E_LIMIT;
  if (*size) std::memcpy(value, keeping_->value->data(), *size);
  return RUM_FOUND;
}

int32_t Dialogue::Renew() {
  if (!keeping_ || !keeping_->value || !upstream_open_ || relay_ || hand_over_ ||
      session_.logged_in()) {
    return RUM_E_STATE;
  }
  session_.Trace("the kept connection is of no use, a new one is made");
  keeping_->wanted.clear();
  connect_ = connector_.Rest();
  GiveUpServer();
  return RUM_OK;
}

int32_t Dialogue::Spend(std::string_view wanted, std::string_view key) {
  if (upstream_open_ || session_.probing()) return RUM_E_STATE;
  std::vector<Address> destinations;
  if (wanted.empty()) {
    destinations = worker_.DefaultDestinations(session_.address());
  } else if (auto parsed = ParseAddresses(wanted)) {
    destinations = std::move(*parsed);
  }
  if (destinations.empty()) return RUM_E_ARGUMENT;
  worker_.proxy().server_health().Sort(&destinations);
  return worker_.kept.Spend(destinations.front().text(), KeyOf(key)) ? RUM_FOUND : RUM_NOT_FOUND;
}

int32_t Dialogue::DropKept() {
  if (!upstream_open_) return RUM_E_STATE;
  worker_.proxy().DropKept(connector_.server());
  return RUM_OK;
}

int32_t Dialogue::Keep(KeptConnections::Label label, uint32_t most) {
  if (!keeping_ || (!keeping_->part && !session_.parted()) || !upstream_open_ || keeping_->lease ||
      worker_.draining() || keeping_->generation != worker_.kept.generation() ||
      worker_.kept.UserHasChanged(keeping_->sequence, session_.record().user)) {
    return RUM_E_STATE;
  }
  label.user = session_.record().user;
  label.sequence = keeping_->sequence;
  label.server = connector_.server();
  label.address = connector_.address();
  label.key = KeyOf(label.key);
  if (!worker_.proxy().server_health().IsUp(label.server)) return RUM_E_STATE;
  KeptBudget& budget = worker_.proxy().kept();
  KeptBudget::Lease lease = budget.Take(label.server, most);
  // The longest unused one goes, so that nobody can fill the places with what no one else wants.
  if (!lease && worker_.kept.DropOldestOf(label.server)) lease = budget.Take(label.server, most);
  if (!lease) return RUM_E_LIMIT;
  keeping_->label = std::move(label);
  keeping_->lease = std::move(lease);
  return RUM_OK;
}

// -- what is due ----------------------------------------------------------------------------------

bool Dialogue::TakeKept(const std::string& server, KeptConnections::Label* label) {
  if (!keeping_ || keeping_->wanted.empty()) return false;
  return session_.TakeUpstream(server, keeping_->wanted, label);
}

// What it has been through already is not done again: the header, TLS.
void Dialogue::OnTaken(const Address& destination, std::string value) {
  if (destination.kind == Address::Kind::kTcp) upstream_host_ = destination.host;
  keeping_->value = std::move(value);
  keeping_->wanted.clear();
  if (!side(RUM_UPSTREAM).plain()) {
    tls_[RUM_UPSTREAM] = {
        .asked = true, .begun = true, .own = destination.tls, .name = upstream_host_};
  }
  outcome_detail_ = {};
  outcome_ = 0;
}

// Nothing: nothing of this is under way.
std::optional<bool> Dialogue::StepKeeping() {
  if (std::exchange(keeping_->part, false)) {
    session_.Part();
    return true;
  }
  if (!session_.parted()) return std::nullopt;
  if (keeping_->lease) {
    KeepAtLast();
    return true;
  }
  if (side(RUM_UPSTREAM).broken()) {
    Close(RUM_CLOSE_UPSTREAM_RESET, {});
    return true;
  }
  if (resumed_) return DeliverResumed();
  if (!rung_.empty()) return DeliverTimer();
  if (pause_) return false;
  return Deliver(RUM_UPSTREAM) || DeliverEnd(RUM_UPSTREAM);
}

// A server that has said something meanwhile is left without a word: it broke its protocol.
void Dialogue::KeepAtLast() {
  Side& server = side(RUM_UPSTREAM);
  const bool kept =
      windows_[RUM_UPSTREAM].bytes.empty() &&
      worker_.kept.Keep(server, std::move(keeping_->label), std::move(keeping_->lease));
  if (!kept) server.Close();
  keeping_->lease = {};
  upstream_open_ = false;
  session_.Trace("the server's connection {}", kept ? "is kept" : "was not quiet");
  Close(RUM_CLOSE_CLIENT, {});
}

// A connection that was taken breaks before the server has said anything: the module may go on.
bool Dialogue::LoseTaken() {
  Window& w = windows_[RUM_UPSTREAM];
  if (!keeping_->value || upstream_spoke_ || w.end_reported || !module().side_end) return false;
  w.end_reported = true;
  return session_.Call(Hook::kSideEnd, module().side_end, RUM_UPSTREAM) == RUM_KEEP;
}

// Bytes of a side flow unseen until a read ends as the module has said, or the side ends.
Dialogue::Moved Dialogue::MoveUntil(uint32_t seen) {
  Window& w = windows_[seen];
  const uint64_t before = side(seen).received();
  bool more = session_.MoveUntil(seen, keeping_->tail, &w.bytes);
  if (side(seen).received() - before > w.bytes.size()) {
    keeping_->asked_at = side(Other(seen)).received();
  }
  if (w.bytes.empty() && !side(seen).ended()) return {.more = more, .due = false};
  w.forward = 0;
  w.fresh = !w.bytes.empty();
  keeping_->tail.clear();
  return {.more = more, .due = true};
}

}  // namespace rum

#include "check/scripted_keep.h"

#include <algorithm>
#include <utility>

#include "base/address.h"
#include "base/copy_out.h"
#include "check/host_table.h"

namespace rum {
namespace {

using Kind = Deed::Kind;

// As rum gives a module for the server when the client has gone.
constexpr uint64_t kPartedTime = 2000;  // ms

std::string_view ViewOf(const void* bytes, size_t size) {
  return {static_cast<const char*>(size ? bytes : ""), size};
}

}  // namespace

void ScriptedKeeps::DropOld(uint64_t now) {
  std::erase_if(all_, [&](const ScriptedKept& kept) { return kept.until <= now; });
}

bool ScriptedKeeps::HasRoom(std::string_view server, uint32_t most, uint64_t now) {
  DropOld(now);
  auto of_it = [&](const ScriptedKept& kept) { return kept.server == server; };
  return std::count_if(all_.begin(), all_.end(), of_it) < static_cast<ptrdiff_t>(most);
}

bool ScriptedKeeps::Has(std::string_view server, std::string_view key, uint64_t now) {
  DropOld(now);
  return std::any_of(all_.begin(), all_.end(), [&](const ScriptedKept& kept) {
    return kept.server == server && kept.key == key;
  });
}

std::optional<ScriptedKept> ScriptedKeeps::Take(std::string_view server, std::string_view key,
                                                uint64_t now) {
  DropOld(now);
  auto found = std::find_if(all_.rbegin(), all_.rend(), [&](const ScriptedKept& kept) {
    return kept.server == server && kept.key == key;
  });
  if (found == all_.rend()) return std::nullopt;
  ScriptedKept kept = std::move(*found);
  all_.erase(std::next(found).base());
  return kept;
}

void ScriptedKeeps::Drop(std::string_view server) {
  std::erase_if(all_, [&](const ScriptedKept& kept) { return kept.server == server; });
}

// -- calls of the module --------------------------------------------------------------------------

int32_t ScriptedSession::ForwardUntil(uint32_t from, std::string_view tail) {
  if (tail.empty()) return RUM_E_ARGUMENT;
  if (tail.size() > RUM_MOST_KEEP_TAIL) return Refuse("forward_until", RUM_E_LIMIT);
  if (Ending() || relay || handed != Other(from)) return Refuse("forward_until", RUM_E_STATE);
  keeping_.used = true;
  keeping_.tail[from] = tail;
  keeping_.asked_at[from] = sides[Other(from)].read;
  sides[from].forward = INT64_MAX;
  return RUM_OK;
}

int32_t ScriptedSession::Answered(uint32_t from) {
  if (!keeping_.used) return Refuse("answered", RUM_E_STATE);
  return sides[Other(from)].read > keeping_.asked_at[from];
}

int32_t ScriptedSession::Part() {
  if (Ending() || !keeping_.used || !sides[RUM_UPSTREAM].there || handed || relay || probe ||
      keeping_.parted || !confirmed_) {
    return Refuse("part", RUM_E_STATE);
  }
  keeping_.parts = true;
  host_.deeds_.push_back({Kind::kPart, 0, 0, {}, {}});
  return RUM_OK;
}

int32_t ScriptedSession::Keep(ScriptedKept kept, uint32_t most, uint64_t milliseconds) {
  if (kept.key.size() > RUM_MOST_KEEP_KEY || kept.value.size() > RUM_MOST_KEEP_VALUE) {
    return Refuse("keep", RUM_E_LIMIT);
  }
  if (Ending() || !(keeping_.parts || keeping_.parted) || !sides[RUM_UPSTREAM].there ||
      keeping_.keeping) {
    return Refuse("keep", RUM_E_STATE);
  }
  kept.server = server_;
  kept.until = host_table::clock + milliseconds;
  kept.tls = sides[RUM_UPSTREAM].tls == Tls::kOn;
  if (!host_.world_->keeps.HasRoom(server_, most, host_table::clock)) {
    return Refuse("keep", RUM_E_LIMIT);
  }
  host_.deeds_.push_back({Kind::kKeep, 0, milliseconds, {}, {}});
  keeping_.keeping = std::move(kept);
  return RUM_OK;
}

int32_t ScriptedSession::Want(std::string_view key) {
  if (key.size() > RUM_MOST_KEEP_KEY) return Refuse("want", RUM_E_LIMIT);
  if (Ending() || sides[RUM_UPSTREAM].there || connect || probe || refusal) {
    return Refuse("want", RUM_E_STATE);
  }
  keeping_.used = true;
  keeping_.wanted = key;
  host_.deeds_.push_back({Kind::kWant, 0, 0, {}, {}});
  return RUM_OK;
}

int32_t ScriptedSession::Taken(void* value, size_t* size) {
  const size_t room = std::exchange(*size, 0);
  if (!sides[RUM_UPSTREAM].there) return Refuse("taken", RUM_E_STATE);
  if (!keeping_.value) return RUM_NOT_FOUND;
  *size = room;
  const int32_t status = CopyOut(*keeping_.value, value, size);
  return status == RUM_OK ? RUM_FOUND : status;
}

int32_t ScriptedSession::Renew() {
  if (Ending() || !keeping_.value || !sides[RUM_UPSTREAM].there || relay || handed || confirmed_) {
    return Refuse("renew", RUM_E_STATE);
  }
  keeping_.wanted.clear();
  keeping_.value.reset();
  connect = server_;
  GiveUpServer();
  host_.deeds_.push_back({Kind::kRenew, 0, 0, {}, {}});
  return RUM_OK;
}

int32_t ScriptedSession::Spend(std::string_view address, std::string_view key) {
  if (Ending() || sides[RUM_UPSTREAM].there || probe) return Refuse("spend", RUM_E_STATE);
  if (address.empty()) address = host_.default_destination;
  if (!ParseAddresses(address)) return Refuse("spend", RUM_E_ARGUMENT);
  const std::string_view server = address.substr(0, address.find(','));
  return host_.world_->keeps.Take(server, key, host_table::clock) ? RUM_FOUND : RUM_NOT_FOUND;
}

int32_t ScriptedSession::DropKept() {
  if (Ending() || !sides[RUM_UPSTREAM].there) return Refuse("drop", RUM_E_STATE);
  host_.world_->keeps.Drop(server_);
  return RUM_OK;
}

// -- what is due ----------------------------------------------------------------------------------

bool ScriptedSession::CanTakeKept() const {
  if (!connect || keeping_.wanted.empty()) return false;
  return host_.world_->keeps.Has(FirstServer(), keeping_.wanted, host_table::clock);
}

bool ScriptedSession::TakeKept() {
  if (over || !connect || keeping_.wanted.empty()) return false;
  auto kept = host_.world_->keeps.Take(FirstServer(), keeping_.wanted, host_table::clock);
  if (!kept) return false;
  keeping_.wanted.clear();
  keeping_.value = std::move(kept->value);
  Connected(std::move(kept->server), kept->tls);
  return true;
}

// Bytes of a side pass until a read ends with the tail. What may be its beginning is held back, so
// that a transcript comes to the same however its bytes are cut.
bool ScriptedSession::StopsAtTail(uint32_t side) {
  Side& s = sides[side];
  std::string& tail = keeping_.tail[side];
  if (tail.empty() || !s.forward) return false;
  const bool at_end = s.ended && s.wire.empty();
  if (!s.window.ends_with(tail) && !(at_end && s.window.empty())) return false;
  tail.clear();
  s.forward = 0;
  s.fresh = !s.window.empty();
  return true;
}

size_t ScriptedSession::HeldForTail(uint32_t side) const {
  const Side& s = sides[side];
  const std::string& tail = keeping_.tail[side];
  if (tail.empty() || (s.ended && s.wire.empty())) return 0;
  for (size_t n = std::min(tail.size() - 1, s.window.size()); n > 0; --n) {
    if (s.window.ends_with(std::string_view(tail).substr(0, n))) return n;
  }
  return 0;
}

// For everybody but the module and the server the session is over.
bool ScriptedSession::StepKeeping() {
  if (std::exchange(keeping_.parts, false)) {
    keeping_.parted = true;
    keeping_.parted_until = host_table::clock + kPartedTime;
    return true;
  }
  if (!keeping_.keeping) return false;
  const Side& server = sides[RUM_UPSTREAM];
  if (server.window.empty() && server.wire.empty() && !server.ended && !server.broken) {
    host_.world_->keeps.Add(std::move(*keeping_.keeping));
  }
  keeping_.keeping.reset();
  sides[RUM_UPSTREAM].there = false;
  EndWith(RUM_CLOSE_CLIENT);
  return true;
}

namespace host_table {
namespace {

int32_t ForwardUntil(rum_session* handle, uint32_t side, const void* tail, size_t size) {
  ScriptedSession* session = Find(handle, "forward_until");
  if (!session) return RUM_E_STATE;
  if (!Sensible("forward_until", side) || !Sensible("forward_until", tail, size)) {
    return RUM_E_ARGUMENT;
  }
  return session->ForwardUntil(side, ViewOf(tail, size));
}

int32_t Answered(rum_session* handle, uint32_t side) {
  ScriptedSession* session = Find(handle, "answered");
  if (!session) return RUM_E_STATE;
  return Sensible("answered", side) ? session->Answered(side) : RUM_E_ARGUMENT;
}

int32_t Part(rum_session* handle) {
  ScriptedSession* session = Find(handle, "part");
  return session ? session->Part() : RUM_E_STATE;
}

int32_t Keep(rum_session* handle, const void* key, size_t key_size, const void* value,
             size_t value_size, uint32_t most, uint64_t milliseconds) {
  ScriptedSession* session = Find(handle, "keep");
  if (!session) return RUM_E_STATE;
  if (!Sensible("keep", key, key_size) || !Sensible("keep", value, value_size)) {
    return RUM_E_ARGUMENT;
  }
  ScriptedKept kept;
  kept.key = ViewOf(key, key_size);
  kept.value = ViewOf(value, value_size);
  return session->Keep(std::move(kept), most, milliseconds);
}

int32_t Want(rum_session* handle, const void* key, size_t key_size) {
  ScriptedSession* session = Find(handle, "want");
  if (!session) return RUM_E_STATE;
  if (!Sensible("want", key, key_size)) return RUM_E_ARGUMENT;
  return session->Want(ViewOf(key, key_size));
}

int32_t Taken(rum_session* handle, void* value, size_t* value_size) {
  ScriptedSession* session = Find(handle, "taken");
  if (!session) return RUM_E_STATE;
  if (!Sensible("taken", value_size, 1) || !Sensible("taken", value, *value_size)) {
    return RUM_E_ARGUMENT;
  }
  return session->Taken(value, value_size);
}

int32_t Renew(rum_session* handle) {
  ScriptedSession* session = Find(handle, "renew");
  return session ? session->Renew() : RUM_E_STATE;
}

int32_t Spend(rum_session* handle, const char* address, size_t address_size, const void* key,
              size_t key_size) {
  ScriptedSession* session = Find(handle, "spend");
  if (!session) return RUM_E_STATE;
  if (!Sensible("spend", address, address_size) || !Sensible("spend", key, key_size)) {
    return RUM_E_ARGUMENT;
  }
  return session->Spend(ViewOf(address, address_size), ViewOf(key, key_size));
}

int32_t Drop(rum_session* handle) {
  ScriptedSession* session = Find(handle, "drop");
  return session ? session->DropKept() : RUM_E_STATE;
}

}  // namespace

const rum_keep kKeep = {
    .struct_size = sizeof(rum_keep),
    .reserved = 0,
    .forward_until = ForwardUntil,
    .answered = Answered,
    .part = Part,
    .keep = Keep,
    .want = Want,
    .taken = Taken,
    .renew = Renew,
    .spend = Spend,
    .drop = Drop,
};

}  // namespace host_table

}  // namespace rum

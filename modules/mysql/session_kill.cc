// KILL: how a session is found by its id, and what becomes of a client's KILL.
#include <utility>

#include "mysql/kill_target.h"
#include "mysql/session.h"

namespace rum::mysql {

// The entry ends with the session. An id that is in use already, which takes 2^30 connections, is
// removed for both sessions: better no target than the wrong one.
void Session::ShowToKills() {
  if (!dialogue::host.shared) return;
  std::string key = KillKey(connection_id_, response_.user, upstream_);
  const int32_t status = d_.Share(key, KillValue(thread_id_));
  if (status == RUM_OK) {
    kill_key_ = std::move(key);
    return;
  }
  d_.Count(kUnkillable);
  if (status == RUM_E_STATE) dialogue::host.shared->take(key.data(), key.size(), nullptr, nullptr);
}

// A KILL that has found it may come later than what is done next.
void Session::HideFromKills() {
  if (kill_key_.empty()) return;
  was_killed_ |= d_.RemoveShared(std::exchange(kill_key_, {})) != RUM_OK;
}

// In this machine's table.
std::optional<uint32_t> Session::FindTarget(const std::string& key) const {
  if (!dialogue::host.shared) return {};
  std::string value(RUM_MOST_SHARED_VALUE, '\0');
  size_t size = value.size();
  if (dialogue::host.shared->get(key.data(), key.size(), value.data(), &size) != RUM_FOUND)
    return {};
  return ThreadOf(std::string_view(value).substr(0, size));
}

// The id is replaced only for a session of the same user on the same server: other ids, and ids
// that are not rum's, are for the server to judge. False: the session ends.
Task<bool> Session::PassKill(ClientPacket packet, std::string whole) {
  const std::optional<Kill> kill = FindKill(packet.payload);
  const std::string payload(AsText(packet.payload));
  d_.client.Consume(packet.size);
  std::optional<uint32_t> target;
  if (kill && MayBeOurId(kill->id)) {
    const std::string key = KillKey(kill->id, response_.user, upstream_);
    target = FindTarget(key);
    if (!target && !key.empty()) {
      dialogue::SharedValue found = co_await d_.FindShared(key);
      if (found) target = ThreadOf(found.value());
    }
  }
  if (d_.closed()) co_return false;
  if (!target) {
    d_.upstream.Send(whole);
    co_return true;
  }
  d_.Count(kKills);
  const std::string built = BuildKill(AsBytes(payload), *kill, *target);
  d_.upstream.Send(Compresses() ? WrapCompressed(built) : built);
  co_return true;
}

}  // namespace rum::mysql

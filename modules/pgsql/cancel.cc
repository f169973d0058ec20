// A CancelRequest: its key is the only proof. The end of the connection is the answer, and clients
// wait for it.
#include <algorithm>
#include <utility>

#include "common/shared_key.h"
#include "pgsql/cancel_key.h"
#include "pgsql/session.h"

namespace rum::pgsql {
namespace {

using dialogue::host;
using dialogue::Reason;
using dialogue::View;

// The longest wait for a turn, and then for the server to close.
constexpr uint64_t kCancelTime = 5000;  // ms
constexpr uint64_t kTurnTime = 20;      // ms

// Looks in this machine's table only.
std::optional<CancelTarget> FindTarget(const std::string& key) {
  if (!host.shared || key.empty()) return {};
  std::string value(RUM_MOST_SHARED_VALUE, '\0');
  size_t size = value.size();
  if (host.shared->get(key.data(), key.size(), value.data(), &size) != RUM_FOUND) return {};
  return ParseCancelTarget(std::string_view(value).substr(0, size));
}

// The client's address without its port; "unix" for a unix socket.
std::string AddressOf(Dialogue& d) {
  char text[128] = {};
  size_t size = d.Peer(d.client, text, sizeof text);
  std::string_view peer(text, std::min(size, sizeof text - 1));
  return std::string(peer.starts_with("unix") ? "unix" : peer.substr(0, peer.rfind(':')));
}

Task<bool> AwaitTurn(Dialogue& d, Worker::Turn& turn) {
  for (uint64_t waited = 0; !turn.Take(); waited += kTurnTime) {
    if (waited >= kCancelTime || !turn.joined()) {
      d.Count(kRefusedCancels);
      d.Close(RUM_CLOSE_LIMIT, "too many cancel requests of the address are under way");
      co_return false;
    }
    Reason failed = co_await d.Sleep(kTurnTime);
    if (failed) co_return false;
  }
  co_return true;
}

// False: the session ends.
Task<bool> StartTls(Dialogue& d) {
  d.upstream.Send(BuildSslRequest());
  View answer = co_await d.upstream.Read(1);
  if (!answer) co_return false;
  if (answer.text() != "S") {
    d.Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server of the session no longer has TLS");
    co_return false;
  }
  Reason failed = co_await d.upstream.StartTls();
  co_return !failed;
}

}  // namespace

Script Cancel(Dialogue& d, Worker& worker, std::string_view id_and_key) {
  d.Note("request", "cancel");
  const std::string key = common::SharedKey(id_and_key);
  std::optional<CancelTarget> target = FindTarget(key);
  d.NoLogin();
  d.client.GoOnAfterEnd(true);  // clients may close without waiting for the answer
  Worker::Turn turn(worker, AddressOf(d));
  if (!co_await AwaitTurn(d, turn)) co_return;
  if (!target && !key.empty()) {
    dialogue::SharedValue found = co_await d.FindShared(key);
    if (found) target = ParseCancelTarget(found.value());
  }
  if (!target) {
    d.Count(kUnknownCancels);
    co_return d.Close(RUM_CLOSE_DENIED, "no session has the key of the cancel request");
  }
  d.SetAlpn(d.upstream, {kAlpn});
  Reason failed = co_await d.Connect(target->destination);
  if (failed) co_return;
  if (target->asks_for_tls) {
    if (!co_await StartTls(d)) co_return;
  }
  d.upstream.Send(BuildCancel(id_and_key));
  d.Count(kCancels);
  // The server closes when it has passed the cancel on. Anything that it sends is not passed to the
  // client.
  co_await d.First().Upstream(1).After(kCancelTime);
  d.Close(RUM_CLOSE_UPSTREAM, "cancel request");
}

}  // namespace rum::pgsql

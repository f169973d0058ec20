// What a session does when its user moves: a new login waits for the end of a pause, and one that
// is at a server may end when the map sends its user elsewhere.
#include <utility>

#include "base/keyed_hash.h"
#include "lookup/map_walk.h"
#include "map/map_file.h"
#include "map/map_record.h"
#include "proxy/dialogue.h"
#include "proxy/login_pauses.h"
#include "proxy/moved_sessions.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/session_list.h"
#include "proxy/worker.h"
#include "settings/settings.h"

namespace rum {
namespace {

// The destination in a record; empty: there is none.
std::string_view DestinationIn(std::string_view value) {
  auto record = ParseMapRecord(value);
  return record ? record->destination : std::string_view();
}

// The record of a user; empty: there is none.
std::string_view RecordIn(const MapFile& map, std::string_view key) {
  std::string_view value;
  return map.Find(key, &value) == MapFile::Answer::kFound ? value : std::string_view();
}

}  // namespace

// -- pauses ---------------------------------------------------------------------------------------

// Before the map's answer is used, so that the login goes where the map sends it after the pause;
// without a map, before the connection. Nothing: the login goes on. True: it ends. False: it waits.
std::optional<bool> Dialogue::Hold() {
  if (!lookup_ || !worker_.map() || worker_.proxy().pauses().none()) return Hold({});
  return Hold(RecordIn(*worker_.map(), *lookup_));
}

// `record`: of the user who is looked up; empty: not known, or there is none.
std::optional<bool> Dialogue::Hold(std::string_view record) {
  LoginPauses& pauses = worker_.proxy().pauses();
  if (!held_ && pauses.none()) return std::nullopt;
  if (session_.probing() || (!lookup_ && looked_up_)) return std::nullopt;
  if (held_ && held_->ticket) {
    // Nobody reads from it meanwhile.
    Side& client = side(RUM_CLIENT);
    if (!client.broken() && !client.EndHasArrived()) return false;
    Close(RUM_CLOSE_CLIENT_GONE, {});
    return true;
  }
  std::string servers;
  if (lookup_) {
    servers = DestinationIn(record);
  } else if (connect_) {
    for (const Address& address : *connect_) servers.append(",").append(address.text());
  }
  const uint64_t ticket = worker_.TakeTicket(session_);
  const bool first = !held_;
  if (first) held_ = std::make_unique<Held>();
  const LoginPauses::Login login{
      session_.record().user, lookup_ ? std::string_view(*lookup_) : std::string_view(), servers};
  switch (pauses.Hold(login, ticket, &held_->place)) {
    case LoginPauses::Answer::kHeld:
      held_->ticket = ticket;
      // What a source answers meanwhile may be old at the end.
      if (asked_map_) worker_.DropTicket(std::exchange(asked_map_, 0));
      walk_.reset();
      login_.Disarm();
      if (first) worker_.counters.paused.Add(1);
      session_.Trace("waits for the end of a pause");
      return false;
    case LoginPauses::Answer::kFull:
      worker_.DropTicket(ticket);
      held_.reset();
      worker_.counters.pause_refused.Add(1);
      Close(RUM_CLOSE_LIMIT, "too many logins wait for the end of a pause");
      return true;
    case LoginPauses::Answer::kGo:
      break;
  }
  worker_.DropTicket(ticket);
  held_.reset();
  if (!first && !session_.relaying()) worker_.login->Arm(login_, session_);
  return std::nullopt;
}

void Dialogue::OnPauseEnded() {
  if (held_) held_->ticket = 0;
}

void Dialogue::LeavePause() {
  if (held_ && held_->ticket) worker_.DropTicket(held_->ticket);
  held_.reset();
}

void Session::OnPauseEnded() {
  if (!dialogue_) return;
  dialogue_->OnPauseEnded();
  Converse();
}

bool Session::held() const { return dialogue_ && dialogue_->held(); }

// -- users that move ------------------------------------------------------------------------------

void Session::Remember(std::string_view key, std::string_view value) {
  if (worker_.settings().map_moved == MapMoved::kKeep || probe_) return;
  auto record = ParseMapRecord(value);
  if (!record) return found_.reset();
  found_ = std::make_unique<Found>();
  found_->key = key;
  found_->destination = KeyedHash(record->destination);
}

// A session whose server is still in the list stays.
bool Session::HasMoved(const MapFile& map) const {
  if (!found_ || parted_ || (!hooked() && state_ != State::kRelay)) return false;
  std::string_view list = DestinationIn(RecordIn(map, found_->key));
  if (KeyedHash(list) == found_->destination) return false;
  const std::string_view server = destination();
  while (!server.empty() && !list.empty()) {
    const size_t comma = list.find(',');
    if (list.substr(0, comma) == server) return false;
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
  }
  return true;
}

// No byte either way for a while, and the server had the last word: a client that waits for an
// answer is not idle.
bool Session::IdleForMoving() {
  if (!relaying_ || Unanswered() > 0) return false;
  const uint64_t bytes = sides_[RUM_CLIENT].received() + sides_[RUM_UPSTREAM].received();
  const uint64_t now = NowMillis();
  if (found_->bytes != bytes || found_->since == 0) {
    found_->bytes = bytes;
    found_->since = now;
    return false;
  }
  return now - found_->since >= MovedSessions::kIdle;
}

}  // namespace rum

// A dialogue's look-up in the user map: at once, or by waiting for a source on another machine.
#include <memory>
#include <utility>

#include "lookup/map_walk.h"
#include "map/map_file.h"
#include "module/module_config.h"
#include "proxy/dialogue.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/worker.h"

namespace rum {

bool Dialogue::LookUp() {
  if (worker_.proxy().remote_map()) return LookUpRemotely();
  const std::string key = std::move(*lookup_);
  lookup_.reset();
  std::string_view value;
  // The worker may get another map later, but not before the hook has returned.
  auto answer = worker_.map() ? worker_.map()->Find(key, &value) : MapFile::Answer::kBroken;
  if (answer == MapFile::Answer::kFound) session_.Remember(key, value);
  DeliverLookup(answer, value);
  return true;
}

// Waits only for what neither the file nor the cache knows; until then the module gets no bytes, as
// if no time passed.
bool Dialogue::LookUpRemotely() {
  if (!walk_) walk_ = std::make_unique<MapWalk>(*lookup_);
  // One ticket for all sources: one that answers at once drops its waiter.
  auto make_waiter = [this] {
    if (!asked_map_) asked_map_ = worker_.TakeTicket(session_);
    return [ticket = asked_map_](RemoteAnswer answer) {
      Proxy::PostFor(ticket, [ticket, answer = std::move(answer)](Worker& worker) mutable {
        if (Session* session = worker.Redeem(ticket)) session->OnLookedUp(std::move(answer));
      });
    };
  };
  auto map = worker_.map();  // while the value is in use
  const MapWalk::Kind kind = walk_->Go(map.get(), worker_.proxy().remote_map(), make_waiter);
  if (kind == MapWalk::Kind::kWait) {
    session_.Trace("waiting for {}", worker_.proxy().remote_map()->sources()[walk_->source()].text);
    return true;
  }
  if (asked_map_) worker_.DropTicket(std::exchange(asked_map_, 0));
  const bool found = kind == MapWalk::Kind::kFound;
  if (auto held = found ? Hold(walk_->value()) : std::nullopt) return *held;
  auto walk = std::move(walk_);
  if (found && !worker_.proxy().remote_map()->sources()[walk->source()].remote()) {
    session_.Remember(*lookup_, walk->value());
  }
  lookup_.reset();
  if (kind == MapWalk::Kind::kUnavailable) session_.Trace("{}", walk->why());
  DeliverLookup(kind == MapWalk::Kind::kFound      ? MapFile::Answer::kFound
                : kind == MapWalk::Kind::kNotFound ? MapFile::Answer::kNotFound
                                                   : MapFile::Answer::kBroken,
                walk->value());
  return true;
}

void Dialogue::OnLookedUp(RemoteAnswer answer) {
  asked_map_ = 0;
  walk_->Take(std::move(answer));
}

void Dialogue::DeliverLookup(MapFile::Answer answer, std::string_view value) {
  looked_up_ = true;
  worker_.counters.lookups.Add(1);
  session_.Trace("the map {}", answer == MapFile::Answer::kFound      ? "has a record"
                               : answer == MapFile::Answer::kNotFound ? "has no record"
                                                                      : "cannot be asked");
  if (answer == MapFile::Answer::kNotFound) worker_.counters.lookup_misses.Add(1);
  if (answer == MapFile::Answer::kBroken) worker_.counters.lookup_failures.Add(1);
  if (!module().looked_up) return;
  const int32_t status = answer == MapFile::Answer::kFound      ? RUM_FOUND
                         : answer == MapFile::Answer::kNotFound ? RUM_NOT_FOUND
                                                                : RUM_E_FAILED;
  session_.Call(Hook::kLookedUp, module().looked_up, status,
                reinterpret_cast<const uint8_t*>(value.data()), value.size());
}

}  // namespace rum

// The dialogue of a session: what is due is done one step at a time, each a hook of the module or
// what it asked for, until both ways are relayed or the session ends.
#include <algorithm>

#include "base/close_reasons.h"
#include "map/map_file.h"
#include "module/module_config.h"
#include "proxy/dialogue.h"
#include "proxy/probe.h"
#include "proxy/session.h"
#include "proxy/worker.h"
#include "settings/settings.h"
#include "tls/tls_contexts.h"

namespace rum {

Dialogue* Dialogue::New(Session& session, Worker& worker) {
  return new (worker.dialogues.Take()) Dialogue(session, worker);
}

void DeleteDialogue::operator()(Dialogue* dialogue) const {
  Worker& worker = dialogue->worker;
  dialogue->~Dialogue();
  worker.dialogues.GiveBack(dialogue);
}

void Session::Converse() {
  bool again = true;
  for (unsigned rounds = 0; again; ++rounds) {
    while (hooked() && Step()) {
    }
    if (!hooked()) return;
    if (state_ == State::kWatch) {
      if (rounds == kWatchRounds) return worker_.CallBack(*this);
      again = MoveWatch();
      continue;
    }
    again = false;
    for (Side& s : sides_) {
      if (!s.attached() || !s.waiting() || s.write_failed()) continue;
      bool held = s.waiting() > kHighWater;  // the other side was not read meanwhile
      s.Flush();
      again |= s.write_failed() || (held && s.waiting() <= kHighWater);
      // Nobody will take it. With it kept, this loop would go round until the connector is done.
      if (s.write_failed()) s.DropWaiting();
    }
  }
}

bool Session::Step() {
  Dialogue& d = *dialogue_;
  const rum_module& module = config_->module();
  if (d.close_reason) {
    Finish(d.close_reason, d.close_text);
    return false;
  }
  if (d.header) return ReadHeader();
  if (AdvanceTls(RUM_CLIENT) || AdvanceTls(RUM_UPSTREAM)) return true;
  if (d.connect) {
    auto destinations = std::move(*d.connect);
    d.connect.reset();
    if (probe_ && !probe_->destination) {  // only the way was asked for
      probe_->route = std::move(destinations);
      AskClose(RUM_CLOSE_PROBED, {});
      return true;
    }
    d.connector.Start(std::move(destinations));
    return true;
  }
  // A module that asks again for what was just refused would go round for ever, and its worker too.
  if ((d.outcome || d.lookup) && ++d.rounds > kRoundsMost) {
    AskClose(RUM_CLOSE_MODULE, "the module asks again and again");
    return true;
  }
  if (d.outcome) return DeliverOutcome();
  if (d.hand_over != d.handed) {
    HandOver();
    return true;
  }
  bool watch = state_ == State::kWatch;
  // With a connect under way the module is told first: some protocols must not leave a server that
  // has just accepted without a word.
  bool client_lost = side(RUM_CLIENT).broken() || side(RUM_CLIENT).write_failed();
  if (!watch && client_lost && !d.client_missed && (d.relay || !d.connector.active())) {
    LoseClient();
    return true;
  }
  if (!watch && d.upstream_open && side(RUM_UPSTREAM).broken()) {
    AskClose(RUM_CLOSE_UPSTREAM_GONE, {});
    return true;
  }
  if (d.relay) {
    if (d.upstream_open && !side(RUM_CLIENT).handshaking() && !side(RUM_UPSTREAM).handshaking()) {
      StartRelay();
    }
    return false;
  }
  if (d.lookup) return DeliverLookup();
  if (d.resumed) {
    auto resumed = *d.resumed;
    d.resumed.reset();
    if (module.resumed) {
      Call(Hook::kResumed, module.resumed, resumed.ticket, resumed.status, resumed.payload);
    } else if (resumed.drop) {
      InHook in(worker_.hook_place, Hook::kDrop, id_);
      resumed.drop(resumed.payload);
    }
    return true;
  }
  if (!d.rung.empty()) {
    uint64_t ticket = d.rung.front();
    d.rung.erase(d.rung.begin());
    std::erase_if(d.timers, [&](auto& timer) { return timer->ticket == ticket; });
    if (module.timeout) Call(Hook::kTimeout, module.timeout, ticket);
    return true;
  }
  if (d.pause) return FindReset();
  if (watch) return Deliver(Other(*d.handed)) || DeliverEnd(Other(*d.handed));
  return Deliver(RUM_CLIENT) || Deliver(RUM_UPSTREAM) || DeliverEnd(RUM_CLIENT) ||
         DeliverEnd(RUM_UPSTREAM);
}

// In a pause nothing is read. A reset that came together with the bytes before it is not told
// again.
bool Session::FindReset() {
  bool found = false;
  for (Side& s : sides_) {
    if (!s.attached() || !s.read_on() || s.broken() || s.handshaking()) continue;
    s.AskError();
    found |= s.broken();
  }
  return found;
}

bool Session::DeliverOutcome() {
  Dialogue& d = *dialogue_;
  uint32_t reason = *d.outcome;
  d.outcome.reset();
  if (reason == 0) {
    d.upstream_open = true;
    if (d.relay) {
      ServerIsThere();  // nobody looks whether it says something
    } else {
      worker_.first_byte->Arm(d.phase, *this);
    }
  }
  const rum_module& module = config_->module();
  if (module.upstream_open && !d.relay) Call(Hook::kUpstreamOpen, module.upstream_open, reason);
  if (reason != 0 && !d.connect) {
    AskClose(reason, d.outcome_detail);
  }
  return true;
}

bool Session::DeliverLookup() {
  Dialogue& d = *dialogue_;
  std::string key = std::move(*d.lookup);
  d.lookup.reset();
  const rum_module& module = config_->module();
  std::string_view value;
  // The worker's map may be swapped later, but not before the hook has returned.
  auto answer = worker_.map() ? worker_.map()->Find(key, &value) : MapFile::Answer::kBroken;
  worker_.counters.lookups.Add(1);
  Trace("the map {}", answer == MapFile::Answer::kFound      ? "has a record"
                      : answer == MapFile::Answer::kNotFound ? "has no record"
                                                             : "cannot be asked");
  if (answer == MapFile::Answer::kNotFound) worker_.counters.lookup_misses.Add(1);
  if (answer == MapFile::Answer::kBroken) worker_.counters.lookup_failures.Add(1);
  if (module.looked_up) {
    int32_t status = answer == MapFile::Answer::kFound      ? RUM_FOUND
                     : answer == MapFile::Answer::kNotFound ? RUM_NOT_FOUND
                                                            : RUM_E_FAILED;
    Call(Hook::kLookedUp, module.looked_up, status, reinterpret_cast<const uint8_t*>(value.data()),
         value.size());
  }
  return true;
}

bool Session::Fill(uint32_t which) {
  Side& s = side(which);
  Window& w = dialogue_->windows[which];
  const rum_module& module = config_->module();
  if (!s.attached() || !s.readable() || s.ended() || s.broken() || s.handshaking()) return false;
  if (which == RUM_UPSTREAM && !dialogue_->upstream_open) return false;
  if (!(which == RUM_CLIENT ? module.client_data : module.upstream_data) && !w.forward) {
    return false;  // nobody looks: the bytes wait in the kernel for the relay
  }
  if (state_ == State::kWatch ? w.forward || Unread(which)
                              : side(Other(which)).waiting() > kHighWater) {
    return false;
  }
  size_t room = std::min(w.most() - std::min(w.most(), w.bytes.size()), Worker::kBufferSize);
  if (room == 0) return false;
  size_t n = s.Read(worker_.buffer(), room);
  if (n == 0) return s.ended() || s.broken();
  (which == RUM_CLIENT ? worker_.counters.client_bytes : worker_.counters.upstream_bytes).Add(n);
  w.bytes.Append(worker_.buffer(), n);
  w.fresh = true;
  if (which == RUM_UPSTREAM && !dialogue_->upstream_spoke) {
    dialogue_->upstream_spoke = true;
    Trace("the server has spoken");
    ServerIsThere();
    dialogue_->phase.Disarm();
  }
  return true;
}

bool Session::Deliver(uint32_t which) {
  Dialogue& d = *dialogue_;
  Window& w = d.windows[which];
  bool came = Fill(which);
  if (w.forward && !w.bytes.empty()) {
    if (which == RUM_CLIENT && !d.upstream_open) return came;  // it is still being connected
    size_t n = std::min<uint64_t>(w.forward, w.bytes.size());
    QueueFor(Other(which), w.bytes.data(), n);
    w.bytes.Consume(n);
    w.forward -= n;
    w.fresh = !w.bytes.empty();
    return true;
  }
  // need() holds for one call, and for bytes that the hook has seen already too.
  bool due =
      w.need && w.bytes.size() >= w.need ? true : w.fresh && (!w.need || side(which).ended());
  if (!due) return came;
  const rum_module& module = config_->module();
  auto hook = which == RUM_CLIENT ? module.client_data : module.upstream_data;
  if (!hook) return came;
  w.fresh = false;
  w.need = 0;
  size_t size = w.bytes.size();
  int64_t consumed = Call(which == RUM_CLIENT ? Hook::kClientData : Hook::kUpstreamData, hook,
                          w.bytes.data(), size);
  if (consumed < 0) {
    AskClose(which == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL, {});
  } else if (static_cast<uint64_t>(consumed) > size) {
    AskClose(RUM_CLOSE_MODULE, "the module consumed more than there was");
  } else if (consumed > 0) {
    d.rounds = 0;
    w.bytes.Consume(static_cast<size_t>(consumed));
    w.fresh = !w.bytes.empty();
  } else if (w.need && w.need <= size) {
    w.need = 0;  // asked for what is there already and not taken: that would go on for ever
  } else if (size >= w.most() && !w.forward && !d.relay && !d.lookup && !d.connect && !d.pause &&
             !d.connector.active() && !d.upstream_open) {
    // Nothing is awaited that could make the module take them.
    AskClose(which == RUM_CLIENT ? RUM_CLOSE_CLIENT_PROTOCOL : RUM_CLOSE_UPSTREAM_PROTOCOL,
             "more bytes than the module's window");
  }
  return true;
}

// The module may have something to end with the server, without the client.
void Session::LoseClient() {
  Dialogue& d = *dialogue_;
  Window& w = d.windows[RUM_CLIENT];
  const rum_module& module = config_->module();
  bool tell = !d.relay && module_open_ && module.side_end && !w.end_told;
  w.end_told = true;
  d.client_missed = tell && Call(Hook::kSideEnd, module.side_end, RUM_CLIENT) == RUM_KEEP;
  if (!d.client_missed) AskClose(RUM_CLOSE_CLIENT_GONE, {});
}

bool Session::DeliverEnd(uint32_t which) {
  Window& w = dialogue_->windows[which];
  if (!side(which).ended() || w.end_told) return false;
  w.end_told = true;
  const rum_module& module = config_->module();
  if (module.side_end && Call(Hook::kSideEnd, module.side_end, which) == RUM_KEEP) return true;
  if (state_ == State::kWatch) {
    AskRelay();  // nothing is left to watch; the relay passes the end on
  } else {
    AskClose(which == RUM_CLIENT ? RUM_CLOSE_CLIENT_GONE : RUM_CLOSE_UPSTREAM_GONE, {});
  }
  return true;
}

void Session::ConnectDone(uint32_t reason, std::string_view detail, const Address& destination) {
  Trace("{}: {}", destination.text(), reason ? CloseReasonWord(reason) : "connected");
  dialogue_->outcome_detail = detail;
  if (destination.kind == Address::Kind::kTcp) dialogue_->upstream_host = destination.host;
  if (reason == 0) SendHeader();
  if (reason != 0 || !destination.tls) {
    dialogue_->outcome = reason;
    return;
  }
  dialogue_->tls[RUM_UPSTREAM] = {
      .asked = true, .begun = false, .own = true, .name = destination.host};
  worker_.first_byte->Arm(dialogue_->phase, *this);
}

// Begins TLS when the hook that asked for it has returned, and goes on with the handshake.
bool Session::AdvanceTls(uint32_t which) {
  Dialogue::TlsRequest& tls = dialogue_->tls[which];
  if (!tls.asked) return false;
  Side& s = side(which);
  if (!tls.begun) {
    tls.begun = true;
    Buffer& window = dialogue_->windows[which].bytes;
    const TlsContexts& contexts = *worker_.tls();
    std::string_view early(reinterpret_cast<const char*>(window.data()), window.size());
    if (!s.StartTls(which == RUM_CLIENT ? contexts.server : contexts.client, which == RUM_CLIENT,
                    contexts.upstream_name.empty() ? tls.name : contexts.upstream_name, early,
                    tls.own && which == RUM_CLIENT)) {  // to a server a PROXY header goes first
      AskClose(RUM_CLOSE_NO_RESOURCES, "TLS");
    }
    window.Clear();
    dialogue_->windows[which].fresh = false;
    return true;
  }
  if (!s.handshaking() || s.broken()) return false;
  switch (s.Handshake()) {
    case TlsStream::Handshake::kWait:
      return false;
    case TlsStream::Handshake::kDone:
      TlsDone(which, true);
      return true;
    default:
      TlsDone(which, false);
      return true;
  }
}

// TLS from the first byte on did not come about: nothing of the client's was sent there yet.
void Session::LeaveServer(uint32_t reason, std::string error) {
  Dialogue& d = *dialogue_;
  d.tls_error = std::move(error);
  d.tls[RUM_UPSTREAM] = {};
  d.connector.Failed(reason, d.tls_error);
}

void Session::TlsDone(uint32_t which, bool done) {
  Dialogue& d = *dialogue_;
  const rum_module& module = config_->module();
  Trace("TLS with the {} {}", which == RUM_CLIENT ? "client" : "server", done ? "is up" : "failed");
  if (!done && which == RUM_UPSTREAM) {
    if (d.tls[which].own) return LeaveServer(RUM_CLOSE_TLS, side(which).tls()->error());
    d.attempt.Failed(worker_.settings().breaker, RUM_CLOSE_TLS);
  }
  if (d.tls[which].own) {
    if (done && which == RUM_UPSTREAM) d.outcome = 0;
  } else if (module.tls_open) {
    Call(Hook::kTlsOpen, module.tls_open, which, done ? RUM_OK : RUM_E_FAILED);
  }
  // The relay is asked for already: what is left is the server's.
  if (done && which == RUM_CLIENT && d.relay) d.login.Disarm();
  if (!done) AskClose(RUM_CLOSE_TLS, side(which).tls()->error());
}

}  // namespace rum

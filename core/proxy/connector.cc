#include "proxy/connector.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <algorithm>

#include "limits/descriptors.h"
#include "proxy/dialogue.h"
#include "proxy/proxy.h"
#include "proxy/session.h"
#include "proxy/session_log.h"
#include "proxy/worker.h"
#include "settings/settings.h"
#include "tls/tls_contexts.h"
#include "upstream/resolver.h"
#include "upstream/server_health.h"

namespace rum {
namespace {

// A server that accepts no connection for this long (ms) is stuck: further waiting gains nothing.
constexpr uint64_t kStuck = 1000;
// A server that accepts slowly has a growing queue: no session waits longer than this (ms).
constexpr uint64_t kThrottleTimeout = 3000;

uint32_t ReasonOf(int error) {
  switch (error) {
    case ECONNREFUSED:
    case ENOENT:
    case ENOTSOCK:
      return RUM_CLOSE_CONNECT_REFUSED;
    case ETIMEDOUT:
      return RUM_CLOSE_CONNECT_TIMEOUT;
    case EADDRNOTAVAIL:  // out of source ports
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
      return RUM_CLOSE_NO_RESOURCES;
    default:
      return RUM_CLOSE_CONNECT_FAILED;
  }
}

}  // namespace

Connector::~Connector() {
  if (ticket_) session_.worker().DropTicket(ticket_);
  if (active()) session_.worker().counters.connecting.Sub(1);
}

void Connector::Start(std::vector<Address> destinations) {
  destinations_ = std::move(destinations);
  session_.worker().proxy().server_health().Sort(&destinations_);
  destination_ = 0;
  queued_ = 0;
  if (began_ == 0 && !session_.probing()) {
    session_.worker().counters.lookup_times.Add(NowMicros() - session_.opened());
  }
  began_ = NowMicros();
  session_.worker().counters.connecting.Add(1);
  state_ = State::kConnecting;
  TryDestination();
}

void Connector::TryDestination() {
  const Address& destination = destinations_[destination_];
  addresses_.clear();
  address_ = 0;
  give_up_ = 0;
  Worker& worker = session_.worker();
  detail_ = {};
  if (uint32_t reason = MayTry(destination)) return NextDestination(reason);
  if (UseKept(destination)) return;
  if (!IsMyTurn()) return;
  tried_ = NowMicros();
  if (destination.kind == Address::Kind::kUnix) return TryAddress();
  if (auto numeric = SocketAddress::Numeric(destination.host, destination.port)) {
    addresses_.push_back(*numeric);
    return TryAddress();
  }
  Resolver& resolver = worker.proxy().resolver();
  if (auto known = resolver.Known(destination.host)) {
    return TryAddresses(std::move(*known));
  }
  state_ = State::kResolving;
  session_.Trace("resolving {}", destination.host);
  ticket_ = worker.TakeTicket(session_);
  dialogue_.ArmPhase(*worker.connecting);
  resolver.Ask(destination.host, [&worker, ticket = ticket_](std::vector<SocketAddress> found) {
    worker.Post([&worker, ticket, found = std::move(found)] {
      if (Session* session = worker.Redeem(ticket)) session->OnResolved(found);
    });
  });
}

// Fails if the server's circuit is open, or too many sessions are already connecting to it; returns
// the reason.
uint32_t Connector::MayTry(const Address& destination) {
  server_ = destination.text();
  session_.CountFor(0);
  Worker& worker = session_.worker();
  const TlsContexts* tls = worker.tls().get();
  if (tls && tls->upstreams == TlsMode::kVerify && tls->upstream_name.empty() &&
      destination.kind == Address::Kind::kUnix) {
    detail_ = "a unix socket has no host name to verify: give --upstream-tls-name";
    return RUM_CLOSE_TLS;
  }
  if (session_.probing()) return 0;
  Proxy& proxy = worker.proxy();
  const auto others =
      destinations_.size() > 1 ? ServerHealth::Others::kSome : ServerHealth::Others::kNone;
  if (auto rest =
          proxy.server_health().Begin(worker.settings().breaker, server_, others, &attempt_)) {
    detail_ = rest->detail;
    return rest->reason;
  }
  Refusal refusal =
      proxy.access_control().Connect(worker.settings().access_control, destination, &waiting_);
  if (refusal == Refusal::kNone) {
    session_.CountFor(worker.servers.Find(server_));
    proxy.loads().Take(server_, {}, &session_.server_place());
    return 0;
  }
  worker.counters.CountRefusal(refusal);
  detail_ = RowOf(refusal).detail;
  return RowOf(refusal).reason;
}

// If very many clients arrive at once, such as after a server's restart, they connect in turn.
// False: waits, and continues in OnDeadline.
bool Connector::IsMyTurn() {
  Worker& worker = session_.worker();
  ConnectThrottle& connect_throttle = worker.proxy().connect_throttle();
  const uint32_t most = worker.settings().access_control.server_backlog;
  if (session_.probing() || connect_throttle.Take(server_, most, &arriving_)) return true;
  const uint64_t now = NowMillis();
  if (!queued_) {
    queued_ = now;
    worker.counters.throttled.Add(1);
    session_.Trace("waiting for its turn: {} other sessions are connecting", most);
  }
  if (now >= std::max(queued_, connect_throttle.Moved(server_)) + kStuck) return true;
  if (now >= queued_ + kThrottleTimeout) return true;
  state_ = State::kQueued;
  dialogue_.ArmPhase(*worker.retry);
  return false;
}

// One that an earlier session has left, as the module wants it.
bool Connector::UseKept(const Address& destination) {
  KeptConnections::Label label;
  if (!dialogue_.TakeKept(server_, &label)) return false;
  session_.Trace("{}: takes a kept connection", server_);
  addresses_ = {label.address};
  state_ = State::kIdle;
  connected_ = NowMicros();
  session_.worker().counters.connecting.Sub(1);
  dialogue_.DisarmPhase();
  dialogue_.OnTaken(destination, std::move(label.value));
  return true;
}

std::vector<Address> Connector::Rest() const {
  return {destinations_.begin() + static_cast<std::ptrdiff_t>(destination_), destinations_.end()};
}

void Connector::Recount() {
  if (!active() && !dialogue_.upstream_open()) return;
  Worker& worker = session_.worker();
  worker.proxy().access_control().Recount(worker.settings().access_control,
                                          destinations_[destination_], &waiting_);
}

void Connector::OnResolved(std::vector<SocketAddress> addresses) {
  if (state_ != State::kResolving) return;
  ticket_ = 0;
  state_ = State::kConnecting;
  TryAddresses(std::move(addresses));
}

// Orders the addresses of a name: those that failed recently come last. No racing: it would leave
// connections without a login, which servers count as errors of rum's address.
void Connector::TryAddresses(std::vector<SocketAddress> addresses) {
  addresses_ = std::move(addresses);
  for (SocketAddress& address : addresses_) address.set_port(destinations_[destination_].port);
  session_.worker().proxy().dead_addresses().Sort(&addresses_);
  addresses_.empty() ? NextDestination(RUM_CLOSE_UNRESOLVED) : TryAddress();
}

void Connector::TryAddress() {
  const Address& destination = destinations_[destination_];
  if (destination.kind == Address::Kind::kTcp) {
    const SocketAddress& address = addresses_[address_];
    if (!Attempt(address.get(), address.size())) NextAddress(last_reason_);
    return;
  }
  sockaddr_un unix_address = {};
  unix_address.sun_family = AF_UNIX;
  destination.host.copy(unix_address.sun_path, sizeof unix_address.sun_path - 1);
  if (!Attempt(reinterpret_cast<sockaddr*>(&unix_address), sizeof unix_address)) {
    NextAddress(last_reason_);
  }
}

// One socket, one connect. False: it failed at once, with last_reason_.
bool Connector::Attempt(const sockaddr* address, socklen_t size) {
  Worker& worker = session_.worker();
  auto open = [&] {
    return ::socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  };
  Fd fd(open());
  if (!fd && IsShortage(errno)) {
    last_reason_ = RUM_CLOSE_NO_RESOURCES;
    const Proxy::GaveWay gave = worker.proxy().GiveWay(worker);
    if (gave == Proxy::GaveWay::kSoon) return Retry(Proxy::kSoonMost);
    if (gave == Proxy::GaveWay::kNow) fd.reset(open());
    if (!fd) return false;
  }
  if (!fd) {
    last_reason_ = ReasonOf(errno);
    return false;
  }
  if (address->sa_family != AF_UNIX) {
    int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  session_.Trace("connecting to {}", address->sa_family == AF_UNIX
                                         ? destinations_[destination_].text()
                                         : SocketAddress::From(address, size).text());
  bool connected = Connect(fd.get(), address, size);
  // If its backlog is full, a unix socket refuses a client where TCP would queue it: retry for as
  // long as a connect may take.
  if (!connected && errno == EAGAIN && address->sa_family == AF_UNIX &&
      Retry(static_cast<uint64_t>(worker.connecting->duration().count()))) {
    return true;
  }
  if (!connected && errno != EINPROGRESS) {
    last_reason_ = ReasonOf(errno);
    return false;
  }
  if (!session_.AttachUpstream(std::move(fd), address->sa_family == AF_UNIX, !connected)) {
    last_reason_ = RUM_CLOSE_NO_RESOURCES;
    return false;
  }
  if (connected) {
    Done(0);
  } else {
    dialogue_.ArmPhase(*worker.connecting);
  }
  return true;
}

// Like connect(2), from an address of --source-address of the right family, if there is one. One
// address may be out of ports for a server while the next one is not.
bool Connector::Connect(int fd, const sockaddr* address, socklen_t size) {
  Worker& worker = session_.worker();
  const auto& sources = worker.settings().source_addresses;
  const size_t first = worker.source;
  bool bound = false;
  for (size_t i = 0; i < sources.size(); ++i) {
    const SocketAddress& source = sources[(first + i) % sources.size()];
    if (source.family() != address->sa_family) continue;
    int on = 1;  // connect(2) chooses the port, and may reuse one for another server
    ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    bound = true;
    if (::bind(fd, source.get(), source.size()) == 0 && ::connect(fd, address, size) == 0) {
      return true;
    }
    if (errno != EADDRNOTAVAIL) return false;
    worker.source = first + i + 1;
  }
  return !bound && ::connect(fd, address, size) == 0;
}

// Tries the address again a little later, for `most` milliseconds in all; 0: without end.
bool Connector::Retry(uint64_t most) {
  uint64_t now = NowMillis();
  if (!give_up_) give_up_ = now + most;
  if (most && now >= give_up_) {
    errno = ETIMEDOUT;
    return false;
  }
  state_ = State::kRetrying;
  dialogue_.ArmPhase(*session_.worker().retry);
  return true;
}

void Connector::OnSocketReady(uint32_t what) {
  if (state_ != State::kConnecting) return;
  int error = 0;
  socklen_t size = sizeof error;
  Side& side = session_.side(RUM_UPSTREAM);
  if (what & (EPOLLERR | EPOLLHUP)) {
    if (::getsockopt(side.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  } else if ((what & EPOLLOUT) == 0) {
    return;
  }
  if (error == 0) return Done(0);
  NextAddress(ReasonOf(error));
}

void Connector::OnDeadline() {
  if (state_ == State::kResolving) {
    session_.worker().DropTicket(ticket_);
    ticket_ = 0;
    state_ = State::kConnecting;
    NextDestination(RUM_CLOSE_UNRESOLVED);
  } else if (state_ == State::kQueued) {
    state_ = State::kConnecting;
    TryDestination();
  } else if (state_ == State::kRetrying) {
    state_ = State::kConnecting;
    TryAddress();
  } else if (state_ == State::kConnecting) {
    NextAddress(RUM_CLOSE_CONNECT_TIMEOUT);
  }
}

void Connector::NextAddress(uint32_t reason) {
  session_.side(RUM_UPSTREAM).Close();
  Worker& worker = session_.worker();
  worker.counters.connect_failures.Add(1);
  const Address& destination = destinations_[destination_];
  if (destination.kind == Address::Kind::kTcp) worker.proxy().resolver().Suspect(destination.host);
  if (addresses_.size() > 1 && reason != RUM_CLOSE_NO_RESOURCES) {
    worker.proxy().dead_addresses().Failed(addresses_[address_]);
  }
  if (++address_ < addresses_.size()) {
    detail_ = {};
    return TryAddress();
  }
  NextDestination(reason);
}

void Connector::Failed(uint32_t reason, std::string_view detail) {
  session_.worker().counters.connecting.Add(1);
  state_ = State::kConnecting;
  detail_ = detail;
  NextAddress(reason);
}

void Connector::Answered(bool tls) {
  tls ? attempt_.Succeeded() : attempt_.Answered();
  arriving_.Release();
}

void Connector::LoggedIn() {
  waiting_.Release();
  attempt_.Succeeded();
}

void Connector::Blame(uint32_t reason) {
  attempt_.Failed(session_.worker().settings().breaker, reason);
}

void Connector::Leave(bool gone) {
  if (gone) Blame(RUM_CLOSE_UPSTREAM_GONE);
  attempt_.Drop();
  waiting_.Release();
  arriving_.Release();
  session_.server_place().Release();
}

void Connector::NextDestination(uint32_t reason) {
  // Failures of this process or of name resolution say nothing about the server.
  if (reason != RUM_CLOSE_LIMIT && reason != RUM_CLOSE_NO_RESOURCES &&
      reason != RUM_CLOSE_UNRESOLVED) {
    Blame(reason);
  }
  session_.server_counters().failed[reason].Add(1);
  session_.CountFor(0);
  arriving_.Release();
  queued_ = 0;
  if (++destination_ < destinations_.size()) return TryDestination();
  --destination_;  // report the last one tried
  Done(reason);
}

void Connector::Done(uint32_t reason) {
  state_ = State::kIdle;
  Worker& worker = session_.worker();
  worker.counters.connecting.Sub(1);
  dialogue_.DisarmPhase();
  if (reason != 0) {
    waiting_.Release();
    attempt_.Drop();
    session_.server_place().Release();
  }
  if (reason == 0) {
    connected_ = NowMicros();
    const uint64_t micros = connected_ - began_;
    session_.record().connect_micros = ShortMicros(micros);
    session_.server_counters().connects.Add(1);
    session_.server_counters().connect_micros.Add(connected_ - tried_);
    worker.counters.connects.Add(1);
    if (addresses_.size() > 1) worker.proxy().dead_addresses().Succeeded(addresses_[address_]);
    if (!session_.probing()) worker.counters.connect_times.Add(micros);
  }
  dialogue_.OnConnected(reason, detail_, destinations_[destination_]);
}

}  // namespace rum

// Deprecated functions that return the reply's bytes exist in every version of c-ares; their
// successors only since 1.28.
#define CARES_NO_DEPRECATED 1
#include "upstream/dns_client.h"

#include <arpa/nameser.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace rum {
namespace {

// ms until the first retransmission; doubles with each further one.
constexpr int kAgain = 500;
constexpr int kTriesMost = 7;
// The UDP payload that avoids fragmentation, as recommended by the DNS flag day 2020.
constexpr int kPacketSize = 1232;
// c-ares must not read files: its servers are configured here.
char kNoFile[] = "/dev/null";

int TriesFor(Millis timeout) {
  int tries = 1;
  for (int64_t sum = kAgain; sum < timeout.count() && tries < kTriesMost; ++tries) {
    sum += int64_t{kAgain} << tries;
  }
  // Newer versions use shorter timeouts for fast servers, so allow one more try.
  return tries + 1;
}

DnsClient::Answer Read(int family, const unsigned char* bytes, int size) {
  DnsClient::Answer answer;
  int count = DnsClient::kAddressesMost;
  int status;
  if (family == AF_INET) {
    ares_addrttl found[DnsClient::kAddressesMost];
    status = ares_parse_a_reply(bytes, size, nullptr, found, &count);
    for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
      sockaddr_in one = {};
      one.sin_family = AF_INET;
      one.sin_addr = found[i].ipaddr;
      answer.addresses.push_back(
          SocketAddress::From(reinterpret_cast<sockaddr*>(&one), sizeof one));
    }
  } else {
    ares_addr6ttl found[DnsClient::kAddressesMost];
    status = ares_parse_aaaa_reply(bytes, size, nullptr, found, &count);
    for (int i = 0; status == ARES_SUCCESS && i < count; ++i) {
      sockaddr_in6 one = {};
      one.sin6_family = AF_INET6;
      std::copy_n(found[i].ip6addr._S6_un._S6_u8, 16, one.sin6_addr.s6_addr);
      answer.addresses.push_back(
          SocketAddress::From(reinterpret_cast<sockaddr*>(&one), sizeof one));
    }
  }
  if (!answer.addresses.empty()) {
    answer.kind = DnsClient::Answer::Kind::kAddresses;
  } else if (status == ARES_SUCCESS || status == ARES_ENODATA) {
    answer.kind = DnsClient::Answer::Kind::kNoAddress;
  } else {
    answer.why = ares_strerror(status);
  }
  return answer;
}

DnsClient::Answer Of(DnsClient::Answer::Kind kind, const char* why = "", bool silent = false) {
  DnsClient::Answer answer;
  answer.kind = kind;
  answer.why = why;
  answer.silent = silent;
  return answer;
}

DnsClient::Answer Judge(int family, int status, const unsigned char* bytes, int size) {
  using Kind = DnsClient::Answer::Kind;
  switch (status) {
    case ARES_SUCCESS:
      return Read(family, bytes, size);
    case ARES_ENODATA:
      return Of(Kind::kNoAddress);
    case ARES_ENOTFOUND: {
      // An alias whose target does not exist: the alias itself does.
      bool alias = bytes && size >= NS_HFIXEDSZ && (bytes[6] || bytes[7]);
      return Of(alias ? Kind::kNoAddress : Kind::kNoName);
    }
    case ARES_EBADNAME:
      if (!bytes) return Of(Kind::kNoName);  // not sent: no server can resolve such a name
      [[fallthrough]];
    default:
      return Of(Kind::kFailed, ares_strerror(status),
                status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED);
  }
}

}  // namespace

struct DnsClient::Question {
  DnsClient* client;
  std::string name;
  int family;
  Answered answered;
  bool by_tcp = false;
};

DnsClient::Channel::Channel(DnsClient& owner, int flags, Millis timeout)
    : client(owner), timer(evtimer_new(owner.base_, OnTimer, this)) {
  ares_options options = {};
  options.resolvconf_path = kNoFile;
  // The resolver handles SERVFAIL and similar errors itself, without delay.
  options.flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS | flags;
  options.timeout = kAgain;
  options.tries = TriesFor(timeout);
  options.ednspsz = kPacketSize;
  options.sock_state_cb = OnSocketState;
  options.sock_state_cb_data = this;
  int mask = ARES_OPT_RESOLVCONF | ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
             ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
  options.qcache_max_ttl = 0;  // the resolver has its own cache and decides when to query
  mask |= ARES_OPT_QUERY_CACHE;
#endif
  // Before 1.19.1, under --chroot without /dev/urandom, c-ares takes query ids from rand(); seed it
  // so that they are unpredictable.
  unsigned seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) == sizeof seed) ::srand(seed);
  int status = timer ? ares_init_options(&ares, &options, mask) : ARES_ENOMEM;
  if (status == ARES_SUCCESS) status = ares_set_servers_ports_csv(ares, client.text_.c_str());
  if (status == ARES_SUCCESS) return;
  log::Warning("cannot query the name server {}: {}", client.text_, ares_strerror(status));
  if (ares) ares_destroy(std::exchange(ares, nullptr));
}

DnsClient::Channel::~Channel() {
  if (ares) ares_destroy(ares);
}

void DnsClient::Channel::Process(ares_socket_t readable, ares_socket_t writable) {
  ares_process_fd(ares, readable, writable);
  timeval room, *wait = ares_timeout(ares, nullptr, &room);
  wait ? evtimer_add(timer.get(), wait) : evtimer_del(timer.get());
}

DnsClient::DnsClient(event_base* base, std::string text, Millis timeout)
    : base_(base),
      text_(std::move(text)),
      timeout_(timeout),
      udp_(std::make_unique<Channel>(*this, ARES_FLAG_IGNTC, timeout)) {}

DnsClient::~DnsClient() {
  udp_.reset();
  tcp_.reset();
}

void DnsClient::Ask(const std::string& name, int family, Answered answered) {
  ++open_;
  Send(*udp_, std::make_unique<Question>(Question{this, name, family, std::move(answered)}));
}

void DnsClient::Send(Channel& channel, std::unique_ptr<Question> question) {
  if (!channel.ares) {
    --question->client->open_;
    return question->answered(Of(Answer::Kind::kFailed, "it cannot be used"));
  }
  const std::string name = question->name;  // `question` may be destroyed when ares_query() returns
  const int type = question->family == AF_INET ? ns_t_a : ns_t_aaaa;
  ares_query(channel.ares, name.c_str(), ns_c_in, type, OnAnswer, question.release());
  timeval room, *wait = ares_timeout(channel.ares, nullptr, &room);
  if (wait) evtimer_add(channel.timer.get(), wait);
}

// Also called before a socket is closed. If no event can be created, the question times out.
void DnsClient::OnSocketState(void* argument, ares_socket_t fd, int readable, int writable) {
  auto& channel = *static_cast<Channel*>(argument);
  channel.sockets.erase(fd);
  if (!readable && !writable) return;
  auto what = static_cast<short>(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));
  Event one(event_new(channel.client.base_, fd, what, OnSocket, &channel));
  if (!one || event_add(one.get(), nullptr) != 0) {
    log::Error("cannot receive from the name server {}: out of memory or kernel resources",
               channel.client.text_);
    return;
  }
  channel.sockets[fd] = std::move(one);
}

void DnsClient::OnSocket(evutil_socket_t fd, short what, void* channel) {
  static_cast<Channel*>(channel)->Process(what & EV_READ ? fd : ARES_SOCKET_BAD,
                                          what & EV_WRITE ? fd : ARES_SOCKET_BAD);
}

void DnsClient::OnTimer(evutil_socket_t, short, void* channel) {
  static_cast<Channel*>(channel)->Process(ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

void DnsClient::OnAnswer(void* argument, int status, int, unsigned char* bytes, int size) {
  std::unique_ptr<Question> question(static_cast<Question*>(argument));
  DnsClient& client = *question->client;
  const bool cut = bytes && size >= NS_HFIXEDSZ && (bytes[2] & 2);  // TC: truncated
  if (cut && !question->by_tcp) {
    question->by_tcp = true;
    if (!client.tcp_) {
      client.tcp_ = std::make_unique<Channel>(client, ARES_FLAG_USEVC, client.timeout_);
    }
    return Send(*client.tcp_, std::move(question));
  }
  --client.open_;
  Answer answer = Judge(question->family, status, bytes, size);
  if (question->by_tcp) answer.silent = false;
  question->answered(std::move(answer));
}

}  // namespace rum

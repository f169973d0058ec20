#include "upstream/resolver.h"

#include <event2/util.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/log.h"

namespace rum {
namespace {

// A name that could not be resolved is asked for again this soon when somebody wants it.
constexpr uint64_t kRetry = 1000;
// Names come from maps that operators write; this many bounds a map gone wrong.
constexpr size_t kNamesMost = 100000;
// Questions under way, two for a name. Those that nobody answers stay until their timeout and hold
// up all others when there are so many; 64 in libevent. A burst of more would overflow the buffers
// of sockets, and what is lost there waits for its timeout too.
constexpr const char* kQuestionsMost = "256";

}  // namespace

struct Resolver::Question {
  Resolver* resolver;
  std::string host;
};

Resolver::Resolver(event_base* base, Millis refresh, Millis timeout, const std::string& resolv_conf)
    : base_(base), refresh_(refresh), wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  dns_ = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
  if (dns_) {
    // Without the file, libevent asks 127.0.0.1.
    evdns_base_resolv_conf_parse(dns_, DNS_OPTIONS_ALL, resolv_conf.c_str());
    auto seconds = std::to_string(static_cast<double>(timeout.count()) / 1000);
    evdns_base_set_option(dns_, "timeout:", seconds.c_str());
    evdns_base_set_option(dns_, "attempts:", "2");
    evdns_base_set_option(dns_, "max-inflight:", kQuestionsMost);
  }
  wake_event_ = event_new(base, wake_, EV_READ | EV_PERSIST, OnPosted, this);
  event_add(wake_event_, nullptr);
}

Resolver::~Resolver() {
  closing_ = true;
  event_free(wake_event_);
  if (dns_) evdns_base_free(dns_, 1);  // the questions that are out end with an error
  event_base_loop(base_, EVLOOP_NONBLOCK);
  ::close(wake_);
}

std::optional<std::vector<SocketAddress>> Resolver::Known(const std::string& host) {
  std::lock_guard lock(mutex_);
  auto found = names_.find(host);
  if (found == names_.end() || found->second.addresses.empty()) return std::nullopt;
  Name& name = found->second;
  if (refresh_.count() && !name.asking && NowMillis() >= name.due) {
    name.asking = true;
    Post(host);
  }
  return name.addresses;
}

void Resolver::Suspect(const std::string& host) {
  if (!refresh_.count()) return;
  std::lock_guard lock(mutex_);
  auto found = names_.find(host);  // a number is no name
  if (found == names_.end()) return;
  found->second.due = std::min(found->second.due, found->second.answered + kRetry);
}

void Resolver::Ask(const std::string& host, Found found) {
  std::unique_lock lock(mutex_);
  if (names_.size() >= kNamesMost && !names_.contains(host)) {
    lock.unlock();
    return found({});
  }
  Name& name = names_[host];
  if (!name.addresses.empty()) {
    auto addresses = name.addresses;
    lock.unlock();
    return found(std::move(addresses));
  }
  if (!name.asking && name.due > NowMillis()) {  // it failed a moment ago
    lock.unlock();
    return found({});
  }
  name.waiting.push_back(std::move(found));
  if (name.asking) return;
  name.asking = true;
  Post(host);
}

// With the lock held.
void Resolver::Post(std::string host) {
  posted_.push_back(std::move(host));
  uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
}

void Resolver::OnPosted(evutil_socket_t fd, short, void* self) {
  auto& resolver = *static_cast<Resolver*>(self);
  uint64_t count;
  (void)!::read(fd, &count, sizeof count);
  std::vector<std::string> hosts;
  {
    std::lock_guard lock(resolver.mutex_);
    hosts.swap(resolver.posted_);
  }
  for (const std::string& host : hosts) resolver.Begin(host);
}

void Resolver::Begin(const std::string& host) {
  if (!dns_) return Answer(host, {});
  evutil_addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = IPPROTO_TCP;
  // The answer may come before this returns; the question frees itself there.
  evdns_getaddrinfo(dns_, host.c_str(), nullptr, &hints, OnAnswer, new Question{this, host});
}

void Resolver::OnAnswer(int result, evutil_addrinfo* found, void* argument) {
  std::unique_ptr<Question> question(static_cast<Question*>(argument));
  if (question->resolver->closing_) {  // nobody is there to be told
    if (result == 0) evutil_freeaddrinfo(found);
    return;
  }
  std::vector<SocketAddress> addresses;
  if (result == 0) {
    for (evutil_addrinfo* a = found; a; a = a->ai_next) {
      if (addresses.size() < 64) {
        addresses.push_back(SocketAddress::From(a->ai_addr, static_cast<socklen_t>(a->ai_addrlen)));
      }
    }
    evutil_freeaddrinfo(found);
  } else {
    log::Warning("{}: the name could not be resolved: {}", question->host,
                 evutil_gai_strerror(result));
  }
  question->resolver->Answer(question->host, std::move(addresses));
}

void Resolver::Answer(const std::string& host, std::vector<SocketAddress> addresses) {
  std::vector<Found> waiting;
  {
    std::lock_guard lock(mutex_);
    Name& name = names_[host];
    name.asking = false;
    name.answered = NowMillis();
    name.due =
        name.answered + (addresses.empty() ? kRetry : static_cast<uint64_t>(refresh_.count()));
    if (!addresses.empty()) name.addresses = std::move(addresses);
    addresses = name.addresses;  // a failed refresh keeps what was good
    waiting.swap(name.waiting);
  }
  for (Found& found : waiting) found(addresses);
}

}  // namespace rum

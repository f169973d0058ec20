#include "support/name_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace rum::test {
namespace {

constexpr uint16_t kA = 1, kCname = 5, kText = 16, kAaaa = 28, kOpt = 41;
// Compression pointers: to the question's name, which follows the header.
const std::string kThisName("\xc0\x0c", 2);

std::string Word16(unsigned n) { return {static_cast<char>(n >> 8), static_cast<char>(n & 0xff)}; }

std::string Record(const std::string& name, uint16_t type, uint32_t ttl, const std::string& data) {
  return name + Word16(type) + Word16(1) + Word16(ttl >> 16) + Word16(ttl & 0xffff) +
         Word16(static_cast<unsigned>(data.size())) + data;
}

// Strings of 255 bytes, each preceded by its length.
std::string Text(size_t size) {
  std::string text;
  while (text.size() < size) text += '\xff' + std::string(255, 't');
  return text;
}

}  // namespace

NameServer::NameServer(Decide decide, bool tcp) : decide_(std::move(decide)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // The same port for both: a port that is free for UDP may be in use for TCP.
  for (int tries = 0;; ++tries) {
    socket_.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    address.sin_port = 0;
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    if (!tcp) break;
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) break;
    if (tries == 100) {
      ADD_FAILURE() << "no port for UDP and TCP";
      break;
    }
  }
  if (listener_) ::listen(listener_.get(), 16);
  thread_ = std::thread([this] { Run(); });
}

NameServer::~NameServer() {
  stop_ = true;
  thread_.join();
}

std::string NameServer::conf() const {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size);
  return "nameserver 127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "\n";
}

size_t NameServer::questions(const std::string& name, bool v6) const {
  std::lock_guard lock(mutex_);
  const auto& asked = v6 ? asked_v6_ : asked_;
  return static_cast<size_t>(std::count(asked.begin(), asked.end(), name));
}

void NameServer::Run() {
  while (!stop_) {
    pollfd both[] = {{socket_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    if (::poll(both, listener_ ? 2 : 1, 10) < 1) continue;
    if (both[1].revents) ServeTcp();
    if (!both[0].revents) continue;
    char bytes[2048];
    sockaddr_in from = {};
    socklen_t size = sizeof from;
    ssize_t n = ::recvfrom(socket_.get(), bytes, sizeof bytes, 0,
                           reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 17) continue;
    std::string reply = Answer({bytes, static_cast<size_t>(n)}, false);
    if (reply.empty()) continue;
    ::sendto(socket_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from),
             size);
  }
}

// Serves one connection until it is closed or idle.
void NameServer::ServeTcp() {
  Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  timeval wait = {0, 200000};
  ::setsockopt(peer.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  for (;;) {
    unsigned char head[2];
    if (::recv(peer.get(), head, 2, MSG_WAITALL) != 2) return;
    std::string question(static_cast<size_t>(head[0] << 8 | head[1]), '\0');
    auto whole = static_cast<ssize_t>(question.size());
    if (::recv(peer.get(), question.data(), question.size(), MSG_WAITALL) != whole) return;
    std::string reply = Answer(question, true);
    if (reply.empty()) continue;
    reply = Word16(static_cast<unsigned>(reply.size())) + reply;
    if (::send(peer.get(), reply.data(), reply.size(), MSG_NOSIGNAL) < 0) return;
  }
}

std::string NameServer::Answer(std::string_view question, bool tcp) {
  std::string name;
  size_t at = 12;
  while (at < question.size() && question[at]) {
    auto length = static_cast<unsigned char>(question[at]);
    if (!name.empty()) name += '.';
    name += question.substr(at + 1, length);
    at += 1 + length;
  }
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (question.size() < at + 5) return {};
  auto type = static_cast<uint16_t>(question[at + 2]);
  {
    std::lock_guard lock(mutex_);
    (type == kAaaa ? asked_v6_ : asked_).push_back(name);
  }
  // After the question: the EDNS record, whose class is the largest UDP reply that the client
  // accepts.
  size_t most = tcp ? 65535 : 512;
  const size_t edns = at + 5;
  const bool with_edns = question.size() >= edns + 11 && question[edns + 2] == kOpt;
  if (!tcp && with_edns) {
    most = static_cast<size_t>(static_cast<unsigned char>(question[edns + 3]) << 8 |
                               static_cast<unsigned char>(question[edns + 4]));
  }
  DnsAnswer answer = decide_(name);
  if (type == kAaaa && answer.kind_v6) answer.kind = *answer.kind_v6;
  using Kind = DnsAnswer::Kind;
  if (answer.kind == Kind::kNoEdns && !with_edns) answer.kind = Kind::kAddresses;
  if (tcp && (answer.kind == Kind::kTruncated || answer.kind == Kind::kFitting)) {
    answer.kind = Kind::kAddresses;
  }
  return Reply(question.substr(0, at + 5), type, answer, most);
}

std::string NameServer::Reply(std::string_view question, uint16_t type, const DnsAnswer& answer,
                              size_t most) const {
  using Kind = DnsAnswer::Kind;
  unsigned flags = 0x8180;
  std::vector<std::string> records;
  std::string all;
  switch (answer.kind) {
    case Kind::kSilence:
      return {};
    case Kind::kGarbage:
      return std::string(question.substr(0, 2)) + std::string(60, '\xc0');
    case Kind::kNoSuchName:
      flags |= 3;
      break;
    case Kind::kServerFailure:
      flags |= 2;
      break;
    case Kind::kNoEdns:
      flags |= 1;
      break;
    case Kind::kRefused:
      flags |= 5;
      break;
    case Kind::kDeadAlias:
      flags |= 3;
      records = {Record(kThisName, kCname, answer.ttl, std::string("\4gone\xc0\x0c", 7))};
      break;
    case Kind::kCnameLoop: {
      const std::string other("\5other\xc0\x0c", 8);
      records = {Record(kThisName, kCname, answer.ttl, other),
                 Record(other, kCname, answer.ttl, kThisName)};
      break;
    }
    case Kind::kNameLoop: {
      auto here = static_cast<unsigned>(question.size());
      records = {Record(Word16(0xc000 | here), type, answer.ttl, std::string(4, '\1'))};
      break;
    }
    default:
      if (answer.kind == Kind::kTruncated) flags |= 0x200;
      if (answer.text) records.push_back(Record(kThisName, kText, answer.ttl, Text(answer.text)));
      for (const std::string& address : type == kAaaa ? answer.v6 : answer.v4) {
        char raw[16];
        if (::inet_pton(type == kA ? AF_INET : AF_INET6, address.c_str(), raw) != 1) continue;
        std::string data(raw, type == kA ? 4 : 16);
        all += data;
        records.push_back(Record(kThisName, type, answer.ttl, data));
      }
      if (answer.kind == Kind::kAllInOne) records = {Record(kThisName, type, answer.ttl, all)};
  }
  std::string id(question.substr(0, 2));
  if (answer.kind == Kind::kWrongId) id[0] = static_cast<char>(id[0] ^ 0x55);
  auto count = static_cast<unsigned>(answer.kind == Kind::kCountsLies ? 65535 : records.size());
  std::string reply = id + Word16(flags) + Word16(1) + Word16(count) + Word16(0) + Word16(0);
  reply += question.substr(12);
  const size_t head = reply.size();
  for (const std::string& record : records) reply += record;
  if (answer.kind == Kind::kFitting && reply.size() > most) {
    reply.resize(head);
    reply.replace(2, 2, Word16(flags | 0x200));
    reply.replace(6, 2, Word16(0));
  }
  // At most what UDP can carry: a reply that is never sent must not prove anything.
  EXPECT_LE(reply.size(), 65507u);
  return reply;
}

}  // namespace rum::test

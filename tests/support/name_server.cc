#include "support/name_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace rum::test {
namespace {

constexpr uint16_t kA = 1, kAaaa = 28;

std::string Word16(unsigned n) { return {static_cast<char>(n >> 8), static_cast<char>(n & 0xff)}; }

}  // namespace

NameServer::NameServer(Decide decide) : decide_(std::move(decide)) {
  socket_.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
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

size_t NameServer::questions(const std::string& name) const {
  std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count(asked_.begin(), asked_.end(), name));
}

void NameServer::Run() {
  while (!stop_) {
    pollfd p = {socket_.get(), POLLIN, 0};
    if (::poll(&p, 1, 10) != 1) continue;
    char bytes[2048];
    sockaddr_in from = {};
    socklen_t size = sizeof from;
    ssize_t n = ::recvfrom(socket_.get(), bytes, sizeof bytes, 0,
                           reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 17) continue;
    std::string_view question(bytes, static_cast<size_t>(n));
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
    auto type = static_cast<uint16_t>(question.size() > at + 2 ? question[at + 2] : 0);
    if (type == kA) {
      std::lock_guard lock(mutex_);
      asked_.push_back(name);
    }
    std::string reply = Reply(question.substr(0, at + 5), name, type, decide_(name));
    if (reply.empty()) continue;
    ::sendto(socket_.get(), reply.data(), reply.size(), 0, reinterpret_cast<sockaddr*>(&from),
             size);
  }
}

std::string NameServer::Reply(std::string_view question, const std::string&, uint16_t type,
                              const DnsAnswer& answer) const {
  unsigned code = 0;
  std::vector<std::string> addresses;
  switch (answer.kind) {
    case DnsAnswer::Kind::kSilence:
      return {};
    case DnsAnswer::Kind::kGarbage:
      return std::string(question.substr(0, 2)) + std::string(60, '\xc0');
    case DnsAnswer::Kind::kNoSuchName:
      code = 3;
      break;
    case DnsAnswer::Kind::kServerFailure:
      code = 2;
      break;
    default:
      if (type == kA) addresses = answer.v4;
      if (type == kAaaa) addresses = answer.v6;
  }
  std::string id(question.substr(0, 2));
  if (answer.kind == DnsAnswer::Kind::kWrongId) id[0] = static_cast<char>(id[0] ^ 0x55);
  std::string reply = id + Word16(0x8180 | code) + Word16(1) +
                      Word16(static_cast<unsigned>(addresses.size())) + Word16(0) + Word16(0);
  reply += question.substr(12);
  for (const std::string& address : addresses) {
    char raw[16];
    int size = type == kA ? 4 : 16;
    ::inet_pton(type == kA ? AF_INET : AF_INET6, address.c_str(), raw);
    reply += Word16(0xc00c) + Word16(type) + Word16(1) + Word16(answer.ttl >> 16) +
             Word16(answer.ttl & 0xffff) + Word16(static_cast<unsigned>(size));
    reply.append(raw, static_cast<size_t>(size));
  }
  return reply;
}

}  // namespace rum::test

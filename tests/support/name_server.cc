#include "support/name_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace rum::test {
namespace {

constexpr uint16_t kA = 1, kCname = 5, kText = 16, kAaaa = 28;
// Pointers: to the name of the question, which begins behind the head.
const std::string kThisName("\xc0\x0c", 2);

std::string Word16(unsigned n) { return {static_cast<char>(n >> 8), static_cast<char>(n & 0xff)}; }

std::string Record(const std::string& name, uint16_t type, uint32_t ttl, const std::string& data) {
  return name + Word16(type) + Word16(1) + Word16(ttl >> 16) + Word16(ttl & 0xffff) +
         Word16(static_cast<unsigned>(data.size())) + data;
}

// Strings of 255 bytes, each behind its length.
std::string Text(size_t size) {
  std::string text;
  while (text.size() < size) text += '\xff' + std::string(255, 't');
  return text;
}

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
  for (const std::string& record : records) reply += record;
  // What UDP can carry: no test is to prove something with a reply that was never sent.
  EXPECT_LE(reply.size(), 65507u);
  return reply;
}

}  // namespace rum::test

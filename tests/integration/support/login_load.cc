// Makes many parallel logins by mysql_native_password with one query each, and counts the results.
// Python is too slow for 100,000 logins.
//
//   login_load --address tcp:127.0.0.1:3306 --user U --password P --logins N --parallel N
//              [--query SQL] [--no-plugin-auth] [--seconds MAX]
//
// Prints one line of JSON: {"ok":N,"failed":N,"values":{"first column":N},"errors":{"text":N}}.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Digest = std::array<uint8_t, 20>;

// SHA-1 as in FIPS 180-4; copies its input, as texts are short.
Digest Sha1(std::string text) {
  uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  uint64_t bits = text.size() * 8;
  text += '\x80';
  while (text.size() % 64 != 56) text += '\0';
  for (int i = 7; i >= 0; i--) text += static_cast<char>(bits >> (8 * i));
  for (size_t at = 0; at < text.size(); at += 64) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++) {
      w[i] = 0;
      for (int j = 0; j < 4; j++) w[i] = w[i] << 8 | static_cast<uint8_t>(text[at + 4 * i + j]);
    }
    for (int i = 16; i < 80; i++) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int i = 0; i < 80; i++) {
      uint32_t f, k;
      if (i < 20) {
        f = (b & c) | (~b & d), k = 0x5a827999;
      } else if (i < 40) {
        f = b ^ c ^ d, k = 0x6ed9eba1;
      } else if (i < 60) {
        f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
      } else {
        f = b ^ c ^ d, k = 0xca62c1d6;
      }
      uint32_t next = std::rotl(a, 5) + f + e + k + w[i];
      e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
  }
  Digest out;
  for (int i = 0; i < 20; i++) out[i] = static_cast<uint8_t>(h[i / 4] >> (24 - 8 * (i % 4)));
  return out;
}

std::string Text(const Digest& digest) { return std::string(digest.begin(), digest.end()); }

std::string Token(const std::string& password, const std::string& nonce) {
  if (password.empty()) return "";
  std::string one = Text(Sha1(password));
  std::string mask = Text(Sha1(nonce + Text(Sha1(one))));
  for (size_t i = 0; i < 20; i++) mask[i] = static_cast<char>(mask[i] ^ one[i]);
  return mask;
}

struct Plan {
  std::string address, user, password, query;
  uint64_t logins = 1;
  unsigned parallel = 1, seconds = 600;
  bool plugin_auth = true;
};

struct Counts {
  uint64_t ok = 0, failed = 0;
  std::map<std::string, uint64_t> values, errors;
};

class Connection {
 public:
  explicit Connection(const Plan& plan) {
    sockaddr_storage where{};
    socklen_t size = 0;
    if (plan.address.starts_with("sock:")) {
      auto* unix_address = reinterpret_cast<sockaddr_un*>(&where);
      unix_address->sun_family = AF_UNIX;
      std::snprintf(unix_address->sun_path, sizeof unix_address->sun_path, "%s",
                    plan.address.c_str() + 5);
      size = sizeof *unix_address;
    } else {
      size_t colon = plan.address.rfind(':');
      auto* in = reinterpret_cast<sockaddr_in*>(&where);
      in->sin_family = AF_INET;
      in->sin_port = htons(static_cast<uint16_t>(std::atoi(plan.address.c_str() + colon + 1)));
      if (inet_pton(AF_INET, plan.address.substr(4, colon - 4).c_str(), &in->sin_addr) != 1) {
        throw std::runtime_error("bad address");
      }
      size = sizeof *in;
    }
    fd_ = socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0) Fail("socket");
    timeval limit{30, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    int on = 1;
    if (where.ss_family == AF_INET) setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd_, reinterpret_cast<sockaddr*>(&where), size) != 0) Fail("connect");
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() {
    if (fd_ >= 0) close(fd_);
  }

  std::string Read() {
    while (in_.size() < 4) More();
    size_t size = Byte(0) | Byte(1) << 8 | Byte(2) << 16;
    sequence_ = static_cast<uint8_t>(in_[3]);
    while (in_.size() < 4 + size) More();
    std::string payload = in_.substr(4, size);
    in_.erase(0, 4 + size);
    return payload;
  }

  void Send(const std::string& payload, int sequence) {
    std::string out;
    for (int i = 0; i < 3; i++) out += static_cast<char>(payload.size() >> (8 * i));
    out += static_cast<char>(sequence);
    out += payload;
    for (size_t at = 0; at < out.size();) {
      ssize_t n = send(fd_, out.data() + at, out.size() - at, MSG_NOSIGNAL);
      if (n <= 0) Fail("send");
      at += static_cast<size_t>(n);
    }
  }
  void Answer(const std::string& payload) { Send(payload, sequence_ + 1); }

  void WaitForEnd() {
    char byte;
    while (recv(fd_, &byte, 1, 0) > 0) {
    }
  }

 private:
  size_t Byte(size_t i) const { return static_cast<uint8_t>(in_[i]); }
  void More() {
    char buffer[4096];
    ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n == 0) throw std::runtime_error("the server closed");
    if (n < 0) Fail("recv");
    in_.append(buffer, static_cast<size_t>(n));
  }
  [[noreturn]] static void Fail(const char* what) {
    throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
  }

  int fd_ = -1;
  uint8_t sequence_ = 0;
  std::string in_;
};

std::string ErrorText(const std::string& payload) {
  std::string text = "ERR";
  for (char c : payload.substr(payload.size() < 3 ? payload.size() : 3)) {
    text += c >= ' ' && c <= '~' && c != '"' && c != '\\' ? c : '?';
  }
  return text;
}

// One login; returns the first column of the query's first row, or throws.
std::string LogIn(const Plan& plan) {
  Connection connection(plan);
  std::string greeting = connection.Read();
  if (greeting.empty() || greeting[0] != 10) throw std::runtime_error(ErrorText(greeting));
  size_t at = greeting.find('\0') + 5;
  if (greeting.size() < at + 8 + 19 + 12) throw std::runtime_error("short greeting");
  std::string nonce = greeting.substr(at, 8) + greeting.substr(at + 8 + 19, 12);

  uint32_t capabilities = 1 | 0x200 | 0x2000 | 0x8000 | (plan.plugin_auth ? 0x80000 : 0);
  std::string response;
  for (int i = 0; i < 4; i++) response += static_cast<char>(capabilities >> (8 * i));
  response += std::string("\0\0\0\1", 4) + '\x2d' + std::string(23, '\0') + plan.user + '\0';
  std::string token = Token(plan.password, nonce);
  response += static_cast<char>(token.size()) + token;
  if (plan.plugin_auth) response += std::string("mysql_native_password") + '\0';
  connection.Answer(response);

  for (;;) {
    std::string answer = connection.Read();
    if (answer.empty()) throw std::runtime_error("empty packet");
    if (answer[0] == 0) break;
    if (answer[0] != '\xfe') throw std::runtime_error(ErrorText(answer));
    size_t end = answer.find('\0');
    if (end == answer.npos || answer.size() < end + 21) throw std::runtime_error("short switch");
    connection.Answer(Token(plan.password, answer.substr(end + 1, 20)));
  }
  std::string value;
  if (!plan.query.empty()) {
    connection.Send("\x03" + plan.query, 0);
    // Column count, definitions until EOF, rows until EOF; only the first row matters.
    int ends = 0;
    bool first = true;
    while (ends < 2) {
      std::string answer = connection.Read();
      if (answer.empty() || answer[0] == '\xff') throw std::runtime_error(ErrorText(answer));
      if (answer[0] == '\xfe' && answer.size() < 9) {
        ends++;
      } else if (ends == 1 && first) {
        value = answer.substr(1, static_cast<uint8_t>(answer[0]));
        first = false;
      }
    }
  }
  connection.Send("\x01", 0);
  connection.WaitForEnd();
  return value;
}

void PrintMap(const char* name, const std::map<std::string, uint64_t>& map) {
  std::printf(",\"%s\":{", name);
  const char* comma = "";
  for (const auto& [key, count] : map) {
    std::printf("%s\"%s\":%llu", comma, key.c_str(), static_cast<unsigned long long>(count));
    comma = ",";
  }
  std::printf("}");
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  for (int i = 1; i < argc; i++) {
    std::string option = argv[i];
    if (option == "--no-plugin-auth") {
      plan.plugin_auth = false;
      continue;
    }
    if (++i == argc) return std::fprintf(stderr, "%s: no value\n", option.c_str()), 2;
    std::string value = argv[i];
    if (option == "--address")
      plan.address = value;
    else if (option == "--user")
      plan.user = value;
    else if (option == "--password")
      plan.password = value;
    else if (option == "--query")
      plan.query = value;
    else if (option == "--logins")
      plan.logins = std::strtoull(value.c_str(), nullptr, 10);
    else if (option == "--parallel")
      plan.parallel = static_cast<unsigned>(std::stoul(value));
    else if (option == "--seconds")
      plan.seconds = static_cast<unsigned>(std::stoul(value));
    else
      return std::fprintf(stderr, "%s: no such option\n", option.c_str()), 2;
  }
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(plan.seconds);
  std::atomic<uint64_t> next{0};
  std::mutex mutex;
  Counts counts;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < plan.parallel; i++) {
    threads.emplace_back([&] {
      Counts own;
      while (next.fetch_add(1) < plan.logins && std::chrono::steady_clock::now() < deadline) {
        try {
          own.values[LogIn(plan)]++;
          own.ok++;
        } catch (const std::exception& e) {
          own.errors[e.what()]++;
          own.failed++;
        }
      }
      std::lock_guard lock(mutex);
      counts.ok += own.ok;
      counts.failed += own.failed;
      for (const auto& [key, count] : own.values) counts.values[key] += count;
      for (const auto& [key, count] : own.errors) counts.errors[key] += count;
    });
  }
  for (auto& thread : threads) thread.join();
  std::printf("{\"ok\":%llu,\"failed\":%llu", static_cast<unsigned long long>(counts.ok),
              static_cast<unsigned long long>(counts.failed));
  PrintMap("values", counts.values);
  PrintMap("errors", counts.errors);
  std::printf("}\n");
  return counts.failed == 0 && counts.ok == plan.logins ? 0 : 1;
}

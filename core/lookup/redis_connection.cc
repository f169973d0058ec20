#include "lookup/redis_connection.h"

#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/clock.h"
#include "base/escape.h"

namespace rum {
namespace {

constexpr uint64_t kRetryFirst = 100, kRetryMost = 5000;  // ms
// What announces changed keys begins like this; then their number, and the keys.
constexpr std::string_view kAnnouncement = ">2\r\n$10\r\ninvalidate\r\n*";
constexpr size_t kCountMost = 20;  // digits

// The number of keys; nothing is read if `bytes` begins with something else.
RespRead ReadAnnouncement(std::string_view bytes, size_t* used, uint64_t* keys) {
  *used = 0;
  const size_t size = std::min(bytes.size(), kAnnouncement.size());
  if (bytes.substr(0, size) != kAnnouncement.substr(0, size)) return RespRead::kDone;
  if (size < kAnnouncement.size()) return RespRead::kMore;
  const std::string_view rest = bytes.substr(size, kCountMost + 2);
  const size_t end = rest.find("\r\n");
  if (end == rest.npos) {
    return rest.size() < kCountMost + 2 ? RespRead::kMore : RespRead::kBroken;
  }
  const char* last = rest.data() + end;
  const auto [read, error] = std::from_chars(rest.data(), last, *keys);
  if (error != std::errc() || read != last) return RespRead::kBroken;
  *used = size + end + 2;
  return RespRead::kDone;
}

}  // namespace

uint64_t RetryDelay::Next() {
  const uint64_t wait = std::min(kRetryFirst << std::min(failures_, 8u), kRetryMost);
  ++failures_;
  return wait / 2 + random_() % (wait / 2 + 1);
}

std::string PrintableReply(std::string_view text) {
  std::string out;
  AppendEscaped(out, text.substr(0, 120));
  return out;
}

std::string Describe(const RespReply& reply) {
  return reply.type == RespReply::Type::kError ? PrintableReply(reply.text) : "an unexpected reply";
}

RedisConnection::RedisConnection(event_base* base, Owner& owner, Resolve resolve,
                                 const MapSource& server, std::string password,
                                 std::shared_ptr<const TlsContext> tls)
    : owner_(owner),
      resolve_(std::move(resolve)),
      server_(server),
      host_{.name = server.host, .port = server.port},
      password_(std::move(password)),
      tls_(server.tls ? std::move(tls) : nullptr),
      stream_(base, *this) {}

void RedisConnection::Open() {
  Close();
  begun_ = NowMillis();
  address_ = 0;
  addresses_.clear();
  if (!server_.path.empty()) return Connect();
  if (auto number = SocketAddress::Numeric(host_.name, host_.port)) {
    addresses_ = {*number};
    return Connect();
  }
  state_ = State::kResolving;
  resolve_(host_.name, [this, generation = generation_](std::vector<SocketAddress> found) {
    if (generation != generation_ || state_ != State::kResolving) return;
    addresses_ = std::move(found);
    for (SocketAddress& address : addresses_) address.set_port(host_.port);
    if (addresses_.empty()) return Break("the name " + host_.name + " has no address", false);
    Connect();
  });
}

void RedisConnection::OpenAt(const MapSource::Host& host) {
  host_ = host;
  Open();
}

bool RedisConnection::OpenNext() {
  if (address_ + 1 >= addresses_.size()) return false;
  Close();
  ++address_;
  Connect();
  return true;
}

void RedisConnection::Connect() {
  begun_ = NowMillis();
  state_ = State::kConnecting;
  if (server_.path.empty()) {
    const SocketAddress& address = addresses_[address_];
    stream_.Connect(address.get(), address.size(), tls_, host_.name);
  } else {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    server_.path.copy(address.sun_path, sizeof address.sun_path - 1);
    stream_.Connect(reinterpret_cast<const sockaddr*>(&address), sizeof address, nullptr, {});
  }
}

void RedisConnection::Close() {
  stream_.Close();
  ++generation_;
  announced_ = 0;
  heard_ = false;
  state_ = State::kClosed;
}

const char* RedisConnection::Lacks() const {
  if (stream_.in_handshake()) return "no TLS handshake, as with a port that has no TLS,";
  return state_ == State::kResolving || state_ == State::kConnecting ? "no connection"
                                                                     : "no answer";
}

void RedisConnection::Break(const std::string& why, bool junk) {
  Close();
  owner_.OnBroken(why, junk);
}

void RedisConnection::OnOpen() {
  if (password_.empty()) return Select();
  state_ = State::kAuth;
  std::string out;
  if (server_.user.empty()) {
    AppendResp(out, {"AUTH", password_});
  } else {
    AppendResp(out, {"AUTH", server_.user, password_});
  }
  Send(out);
}

void RedisConnection::Select() {
  state_ = server_.database ? State::kSelect : State::kOpen;
  if (state_ == State::kOpen) return owner_.OnConnected();
  std::string out;
  AppendResp(out, {"SELECT", std::to_string(server_.database)});
  Send(out);
}

// Commands behind a failed AUTH would be answered one by one: so its reply is awaited.
void RedisConnection::OnLogin(const RespReply& reply) {
  const bool auth = state_ == State::kAuth;
  if (!reply.is("OK")) return Break((auth ? "AUTH: " : "SELECT: ") + Describe(reply), true);
  if (auth) return Select();
  state_ = State::kOpen;
  owner_.OnConnected();
}

// One announcement has all keys that a command or a transaction has changed, however many: they are
// not collected. `*used` bytes were read, also of one that is not there as a whole.
RespRead RedisConnection::ReadReply(std::string_view bytes, size_t* used, RespReply* reply) {
  while (announced_ == 0) {
    size_t head = 0;
    const RespRead read = ReadAnnouncement(bytes.substr(*used), &head, &announced_);
    if (read != RespRead::kDone) return read;
    *used += head;
    if (head == 0) break;
  }
  size_t size = 0;
  const RespRead read = ReadResp(bytes.substr(*used), &size, reply);
  if (read != RespRead::kDone) return read;
  *used += size;
  if (announced_ == 0) return read;
  if (reply->type != RespReply::Type::kText) return RespRead::kBroken;
  --announced_;
  RespReply word, keys, push;
  word.type = RespReply::Type::kText;
  word.text = "invalidate";
  keys.type = RespReply::Type::kArray;
  keys.items.push_back(std::move(*reply));
  push.type = RespReply::Type::kPush;
  push.items = {std::move(word), std::move(keys)};
  *reply = std::move(push);
  return RespRead::kDone;
}

void RedisConnection::OnLost(const std::string& why) {
  const bool open = state_ != State::kResolving && state_ != State::kConnecting;
  const bool mute = open && !heard_ && !tls_ && server_.path.empty();
  Break(mute ? why + ", before it said anything: a port with TLS needs rediss: or sentinels:" : why,
        false);
}

void RedisConnection::OnBytes(std::string& bytes) {
  heard_ = true;
  size_t at = 0;
  const uint64_t generation = generation_;
  while (true) {
    RespReply reply;
    size_t used = 0;
    const RespRead read = ReadReply(std::string_view(bytes).substr(at), &used, &reply);
    at += used;
    if (read == RespRead::kMore) break;
    if (read == RespRead::kBroken) return Break("it sends no valid replies", true);
    state_ == State::kOpen ? owner_.OnReply(std::move(reply)) : OnLogin(reply);
    if (generation != generation_) return;  // lost
  }
  bytes.erase(0, at);
}

}  // namespace rum

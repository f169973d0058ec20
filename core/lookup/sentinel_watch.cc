#include "lookup/sentinel_watch.h"

#include <charconv>
#include <utility>

#include "base/clock.h"
#include "base/escape.h"

namespace rum {
namespace {

constexpr uint64_t kAskEvery = 1000, kRoundPause = 500;  // ms

}  // namespace

SentinelWatch::SentinelWatch(SourceHost& host, const MapSource& source, uint64_t timeout,
                             OnMaster on_master, OnFailed on_failed)
    : host_(host),
      sentinels_(source.sentinels),
      name_(source.master),
      timeout_(timeout),
      on_master_(std::move(on_master)),
      on_failed_(std::move(on_failed)),
      stream_(host.base(), *this),
      timer_(evtimer_new(host.base(), OnTimer, this), event_free) {}

void SentinelWatch::Start() { Connect(); }

void SentinelWatch::Connect() {
  connected_ = false;
  asking_ = true;
  Wait(timeout_);
  const auto& [name, port] = sentinels_[current_];
  if (auto number = SocketAddress::Numeric(name, port)) return ConnectTo(*number);
  host_.Resolve(name, [this, attempt = ++attempt_](std::vector<SocketAddress> found) {
    if (attempt != attempt_) return;
    if (found.empty()) return TryNext(sentinels_[current_].name + " has no address");
    found.front().set_port(sentinels_[current_].port);
    ConnectTo(found.front());
  });
}

void SentinelWatch::ConnectTo(SocketAddress address) {
  stream_.Connect(address.get(), address.size(), nullptr, {});
}

void SentinelWatch::OnOpen() {
  connected_ = true;
  Ask();
}

void SentinelWatch::Ask() {
  std::string out;
  AppendResp(out, {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", name_});
  stream_.Send(out);
  asking_ = true;
  Wait(timeout_);
}

void SentinelWatch::OnBytes(std::string& bytes) {
  RespReply reply;
  size_t used = 0;
  const RespRead read = ReadResp(bytes, &used, &reply);
  if (read == RespRead::kMore) return;
  if (read == RespRead::kBroken || used != bytes.size() || !asking_) {
    return TryNext("it sends no valid replies");
  }
  bytes.clear();
  OnReply(reply);
}

void SentinelWatch::OnReply(const RespReply& reply) {
  using Type = RespReply::Type;
  if (reply.type == Type::kNil) return TryNext("it knows no master of this name");
  uint16_t port = 0;
  if (reply.type == Type::kArray && reply.items.size() == 2) {
    const std::string& text = reply.items[1].text;
    std::from_chars(text.data(), text.data() + text.size(), port);
  }
  if (!port) {
    std::string why;
    AppendEscaped(why, std::string_view(reply.text).substr(0, 120));
    return TryNext(reply.type == Type::kError ? why : "it sends no valid replies");
  }
  // Sentinels name addresses, unless they are configured to resolve names.
  auto master = SocketAddress::Numeric(reply.items[0].text, port);
  if (!master) return TryNext("it names the master by a name, not by an address");
  failed_ = 0;
  asking_ = false;
  Wait(kAskEvery);
  if (master_ == master->text()) return;
  master_ = master->text();
  on_master_(*master);
}

void SentinelWatch::TryNext(const std::string& why) {
  stream_.Close();
  host_.SuspectName(sentinels_[current_].name);
  ++attempt_;
  connected_ = false;
  asking_ = false;
  const std::string text =
      "Sentinel " + sentinels_[current_].name + ":" + std::to_string(sentinels_[current_].port);
  current_ = (current_ + 1) % sentinels_.size();
  const bool round = ++failed_ % sentinels_.size() == 0;
  Wait(round ? kRoundPause : 1);
  if (round) on_failed_(text + ": " + why);
}

void SentinelWatch::Wait(uint64_t milliseconds) {
  const timeval wait = TimevalOf(Millis(milliseconds));
  evtimer_add(timer_.get(), &wait);
}

void SentinelWatch::OnTimer(evutil_socket_t, short, void* self) {
  auto& watch = *static_cast<SentinelWatch*>(self);
  if (watch.asking_) return watch.TryNext("no answer within --map-timeout");
  watch.connected_ ? watch.Ask() : watch.Connect();
}

}  // namespace rum

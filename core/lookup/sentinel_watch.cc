#include "lookup/sentinel_watch.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/clock.h"

namespace rum {
namespace {

constexpr uint64_t kAskEvery = 1000, kRoundPause = 500;  // ms
constexpr size_t kNameMost = 253;                        // bytes of a name in DNS

// How all Sentinels of a source are reached. They have no databases, and users of their own.
MapSource LoginOf(const MapSource& source) {
  MapSource sentinel;
  sentinel.kind = MapSource::Kind::kRedis;
  sentinel.tls = source.tls;
  return sentinel;
}

bool IsHost(const std::string& text) {
  return !text.empty() && text.size() <= kNameMost &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
         });
}

}  // namespace

SentinelWatch::SentinelWatch(SourceHost& host, const MapSource& source,
                             const SourceOptions& options, OnMaster on_master, OnFailed on_failed)
    : host_(host),
      sentinels_(source.sentinels),
      name_(source.master),
      has_password_(!options.sentinel_password.empty()),
      timeout_(options.timeout),
      on_master_(std::move(on_master)),
      on_failed_(std::move(on_failed)),
      connection_(
          host.base(), *this,
          [this](const std::string& name, auto found) { host_.Resolve(name, std::move(found)); },
          LoginOf(source), options.sentinel_password, options.tls),
      timer_(evtimer_new(host.base(), OnTimer, this), event_free) {}

void SentinelWatch::Connect() {
  connected_ = false;
  asking_ = true;
  Wait(timeout_);
  connection_.OpenAt(sentinels_[current_]);
}

void SentinelWatch::OnConnected() {
  connected_ = true;
  Ask();
}

void SentinelWatch::OnBroken(const std::string& why, bool) {
  if (!connected_ && connection_.OpenNext()) return;
  TryNext(why);
}

void SentinelWatch::Ask() {
  std::string out;
  AppendResp(out, {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", name_});
  connection_.Send(out);
  asking_ = true;
  Wait(timeout_);
}

void SentinelWatch::OnReply(RespReply reply) {
  using Type = RespReply::Type;
  if (!asking_) return TryNext("it sends no valid replies");
  if (reply.type == Type::kNil) return TryNext("it knows no master of this name");
  if (reply.type == Type::kError && reply.text.starts_with("NOAUTH") && !has_password_) {
    return TryNext("it wants a password: give --map-sentinel-password-file");
  }
  if (reply.type != Type::kArray || reply.items.size() != 2) {
    return TryNext(reply.type == Type::kError ? Describe(reply) : "it sends no valid replies");
  }
  MapSource::Host master{.name = reply.items[0].text, .port = 0};
  const std::string& port = reply.items[1].text;
  std::from_chars(port.data(), port.data() + port.size(), master.port);
  if (!IsHost(master.name) || !master.port) return TryNext("it names no valid master");
  failed_ = 0;
  asking_ = false;
  Wait(kAskEvery);
  if (master_.name == master.name && master_.port == master.port) return;
  master_ = master;
  on_master_(master);
}

void SentinelWatch::TryNext(const std::string& why) {
  connection_.Close();
  host_.SuspectName(sentinels_[current_].name);
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
  if (watch.asking_) {
    return watch.TryNext(std::string(watch.connection_.Lacks()) + " within --map-timeout");
  }
  watch.connected_ ? watch.Ask() : watch.Connect();
}

}  // namespace rum

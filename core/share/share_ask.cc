#include "share/share_ask.h"

#include <openssl/crypto.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/log.h"

namespace rum {
namespace {

using Type = RespReply::Type;

constexpr uint64_t kTimeout = 2000;    // ms, of a connection and of a reply
constexpr uint64_t kRetryMost = 1000;  // ms
constexpr uint64_t kPing = 1000;       // ms without a question: a connection may be dead

}  // namespace

ShareAsk::ShareAsk(Resolver& resolver, Settings settings)
    : settings_(std::move(settings)),
      thread_(resolver, "rum-ask"),
      questions_(settings_.secret, settings_.server.key, settings_.module, settings_.name,
                 {.publish = [this](const auto& channel, const auto& message,
                                    bool question) { Publish(channel, message, question); },
                  .find = settings_.find,
                  .now = NowMillis,
                  .seconds = [] { return static_cast<uint64_t>(::time(nullptr)); }}),
      timer_(nullptr, event_free) {
  OPENSSL_cleanse(settings_.secret.data(), settings_.secret.size());  // the questions have a key
}

ShareAsk::~ShareAsk() { thread_.Stop(); }

Status ShareAsk::Start() {
  return thread_.Start([this] {
    timer_.reset(evtimer_new(thread_.base(), OnTimer, this));
    RedisConnection::Owner& owner = *this;
    connection_ = std::make_unique<RedisConnection>(
        thread_.base(), owner,
        [this](const std::string& name, auto found) { thread_.Resolve(name, std::move(found)); },
        settings_.server, settings_.password, settings_.tls);
    Connect();
  });
}

void ShareAsk::Find(std::string key, Questions::Found found) {
  thread_.Post([this, key = std::move(key), found = std::move(found)]() mutable {
    questions_.Ask(std::move(key), std::move(found));
    Arm();
  });
}

ShareAsk::State ShareAsk::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

// -- the connection -------------------------------------------------------------------------------

void ShareAsk::Connect() {
  phase_ = Phase::kConnecting;
  connection_->Open();
  due_ = NowMillis() + kTimeout;
  Arm();
}

void ShareAsk::OnConnected() {
  phase_ = Phase::kGreeting;
  subscribed_ = 0;
  due_ = NowMillis() + kTimeout;
  Ask({"HELLO", "3"}, [this](const RespReply& reply) { OnHello(reply); });
  Arm();
}

// With RESP3 a connection that listens can also publish.
void ShareAsk::OnHello(const RespReply& reply) {
  if (reply.type == Type::kError) return Lose("HELLO: " + Describe(reply));
  std::string out;
  AppendResp(out, {"SUBSCRIBE", questions_.questions_channel(), questions_.answers_channel()});
  connection_->Send(out);  // the replies are pushes
}

void ShareAsk::OnBroken(const std::string& why, bool) { Lose(why); }

void ShareAsk::Lose(const std::string& why) {
  const bool connecting = phase_ == Phase::kConnecting;
  connection_->Close();
  awaited_.clear();
  if (connecting && connection_->OpenNext()) {
    due_ = NowMillis() + kTimeout;
    return Arm();
  }
  phase_ = Phase::kIdle;
  due_ = NowMillis() + std::min(retry_.Next(), kRetryMost);
  questions_.Fail();
  Report(false, why);
  Arm();
}

void ShareAsk::OnReply(RespReply reply) {
  if (reply.type == Type::kPush) return OnPush(reply);
  if (phase_ == Phase::kGreeting && awaited_.empty()) return Lose(Describe(reply));  // SUBSCRIBE's
  if (awaited_.empty()) return Lose("it sends replies that nobody asked for");
  const Reply take = std::move(awaited_.front().take);
  awaited_.pop_front();
  take(reply);
  Arm();
}

void ShareAsk::OnPush(const RespReply& push) {
  if (push.items.empty()) return;
  if (push.items[0].is("subscribe") && phase_ == Phase::kGreeting && ++subscribed_ == 2) {
    return BecomeReady();
  }
  if (!push.items[0].is("message") || push.items.size() != 3 || phase_ != Phase::kReady) return;
  questions_.OnMessage(push.items[1].text, push.items[2].text);
  Arm();
}

void ShareAsk::BecomeReady() {
  phase_ = Phase::kReady;
  retry_.Reset();
  due_ = NowMillis() + kPing;
  Report(true, {});
  Arm();
}

void ShareAsk::Publish(const std::string& channel, const std::string& message, bool question) {
  if (phase_ != Phase::kReady) return questions_.Fail();
  Ask({"PUBLISH", channel, message}, [this, question](const RespReply& reply) {
    if (reply.type != Type::kNumber) return Lose("PUBLISH: " + Describe(reply));
    if (question) questions_.OnReceivers(reply.number);
  });
}

void ShareAsk::Ask(std::initializer_list<std::string_view> words, Reply reply) {
  std::string out;
  AppendResp(out, words);
  awaited_.push_back({std::move(reply), NowMillis() + kTimeout});
  connection_->Send(out);
}

void ShareAsk::Report(bool up, const std::string& fault) {
  bool said;
  {
    std::lock_guard lock(mutex_);
    said = std::exchange(known_, true) && state_.up == up;
    state_ = {up, fault};
  }
  if (said) return;
  if (up) {
    log::Info("--share: {}: requests to cancel reach sessions of other processes",
              settings_.server.text);
  } else {
    log::Warning("--share: {}: other processes cannot be asked: {}", settings_.server.text, fault);
  }
}

// -- when -----------------------------------------------------------------------------------------

void ShareAsk::Arm() {
  uint64_t due = due_;
  if (!awaited_.empty()) due = std::min(due, awaited_.front().due);
  if (auto next = questions_.OnTime()) due = std::min(due, *next);
  const uint64_t now = NowMillis();
  const timeval wait = TimevalOf(Millis(due > now ? due - now : 0));
  evtimer_add(timer_.get(), &wait);
}

void ShareAsk::OnTimer(evutil_socket_t, short, void* self) {
  auto& ask = *static_cast<ShareAsk*>(self);
  const uint64_t now = NowMillis();
  if (!ask.awaited_.empty() && ask.awaited_.front().due <= now) {
    // A late reply must not be taken for that of the next question.
    return ask.Lose("no answer within 2 s");
  }
  if (now < ask.due_) return ask.Arm();
  switch (ask.phase_) {
    case Phase::kIdle:
      return ask.Connect();
    case Phase::kConnecting:
      return ask.Lose("no connection within 2 s");
    case Phase::kGreeting:
      return ask.Lose("no answer within 2 s");
    case Phase::kReady:
      ask.due_ = now + kPing;
      ask.Ask({"PING"}, [](const RespReply&) {});
      return ask.Arm();
  }
}

}  // namespace rum

#include "share/share.h"

#include <time.h>

#include <algorithm>
#include <charconv>

#include "base/cidr.h"
#include "base/clock.h"
#include "base/log.h"
#include "limits/access_control.h"
#include "limits/admission.h"
#include "share/count_pages.h"

namespace rum {
namespace {

using Type = RespReply::Type;

constexpr uint64_t kTimeout = 2000;             // ms, of a connection and of an exchange
constexpr uint64_t kRetryMost = 1000;           // ms
constexpr uint64_t kEarlyLeast = 20;            // ms between the begins of two exchanges
constexpr uint64_t kEarlyShare = 10;            // of the time that exchanges may take: one tenth
constexpr size_t kPagesReadMost = 1024;         // of all processes, in one exchange
constexpr size_t kBlocksAtOnce = 1000;          // a reply has at most 1,024 elements
constexpr size_t kBlocksSent = 500;             // in one exchange
constexpr size_t kNameMost = 200;               // bytes of the name of a process
constexpr std::string_view kPageLife = "5";     // seconds: kCountFor
constexpr std::string_view kSetLife = "86400";  // seconds: of sets that nobody uses any more
static_assert(Share::kCountFor == 5000);

KeyCharges InText(const ChargesOf<Cidr>& charges) {
  KeyCharges all;
  all.reserve(charges.size());
  for (const auto& [address, charge] : charges) all.emplace_back(address.text(), charge);
  return all;
}

}  // namespace

Share::Share(Resolver& resolver, Settings settings, Admission& admission,
             AccessControl& access_control, OtherNodes& others)
    : settings_(std::move(settings)),
      admission_(admission),
      access_control_(access_control),
      others_(others),
      thread_(resolver, "rum-share"),
      timer_(nullptr, event_free) {}

Share::~Share() { thread_.Stop(); }

Status Share::Start() {
  admission_.users().CountCharges();
  admission_.guard().CountCharges();
  access_control_.CountCharges();
  others_.Share(
      {.near_limit = [this] { thread_.Post([this] { HurryUp(); }); },
       .blocked =
           [this](std::string address, Millis time) {
             thread_.Post([this, address = std::move(address), time] { OnBlocked(address, time); });
           },
       .unblocked =
           [this](std::string address) {
             thread_.Post([this, address = std::move(address)] { OnUnblocked(address); });
           }});
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

Share::State Share::state() const {
  std::lock_guard lock(mutex_);
  return state_;
}

// -- the connection -------------------------------------------------------------------------------

void Share::Connect() {
  phase_ = Phase::kConnecting;
  connection_->Open();
  Arm();
}

void Share::OnConnected() {
  phase_ = Phase::kReady;
  Exchange();
}

void Share::OnBroken(const std::string& why, bool) { Lose(why); }

void Share::Lose(const std::string& why) {
  const bool connecting = phase_ == Phase::kConnecting;
  connection_->Close();
  awaited_.clear();
  counts_.reset();
  blocks_sent_ = 0;
  if (connecting && connection_->OpenNext()) return Arm();
  phase_ = Phase::kIdle;
  due_ = NowMillis() + std::min(retry_.Next(), kRetryMost);
  Report(false, why);
  if (settings_.server.path.empty()) thread_.SuspectName(settings_.server.host);
  Arm();
}

void Share::OnReply(RespReply reply) {
  if (awaited_.empty()) return Lose("it sends replies that nobody asked for");
  const Reply take = std::move(awaited_.front());
  awaited_.pop_front();
  take(reply);
  if (phase_ == Phase::kExchange && awaited_.empty()) Finish();
}

// -- an exchange ----------------------------------------------------------------------------------
// The server's clock says what is over, so that those of the processes need not agree. What is
// published are numbers, not differences: whatever is lost or done twice, nothing is counted twice.

void Share::Exchange() {
  phase_ = Phase::kExchange;
  begun_ = NowMillis();
  micros_ = NowMicros();
  hurry_ = published_ = false;
  pages_ = 0;
  fault_.clear();
  counts_ = std::make_shared<OtherNodes::Counts>();
  charges_.Begin(micros_);
  others_.Listen();  // what happens from here on may be published too late
  Ask({"TIME"}, [this](const RespReply& time) { OnTime(time); });
  Ask({"ZRANGE", Key("unblocks"), "0", std::to_string(Unblocks::kMost - 1), "WITHSCORES"},
      [this](const RespReply& list) { OnUnblocks(list); });
  Arm();
}

void Share::OnTime(const RespReply& time) {
  uint64_t parts[2] = {};
  for (size_t i = 0; time.items.size() == 2 && i < 2; ++i) {
    const std::string& text = time.items[i].text;
    std::from_chars(text.data(), text.data() + text.size(), parts[i]);
  }
  const bool good = time.type == Type::kArray && parts[0] && parts[0] <= UINT32_MAX;
  if (!good || parts[1] >= 1000000) return Lose("TIME: " + Describe(time));
  time_ = parts[0] * 1000000 + parts[1];
}

// Before anything is published: a block from before an unblock must not go out after it.
void Share::OnUnblocks(const RespReply& list) {
  if (list.type == Type::kArray) {
    for (const std::string& address : unblocks_.Read(list)) {
      ForgetBlock(address);
      if (auto key = Cidr::Parse(address)) admission_.guard().Unblock(*key);
    }
  } else {
    Blame(Describe(list));
  }
  const uint64_t seconds = time_ / 1000000;
  Publish(seconds);
  Read(seconds);
}

std::string Share::PageKey(const std::string& node, size_t page) const {
  return Key("n:") + node + ":" + std::to_string(page);
}

void Share::Publish(uint64_t now) {
  bool complete = true;
  const auto pages = WritePages(
      {admission_.users().Top(kPublishedMost + 1),
       access_control_.TopAddresses(kPublishedMost + 1),
       {admission_.users().Charges(kPublishedMost), InText(access_control_.Charges(kPublishedMost)),
        InText(admission_.guard().Charges(kPublishedMost))}},
      &complete);
  if (!complete)
    Blame("there is more than can be published: sessions or logins of some users are missing");
  const std::string nodes = Key("nodes"), blocks = Key("blocks");
  const std::string time = std::to_string(now);
  Ask({"MULTI"}, [this](const RespReply& reply) {
    if (reply.type == Type::kError) Blame(Describe(reply));
  });
  for (size_t i = 0; i < pages.size(); ++i) {
    Ask({"SET", PageKey(settings_.name, i), pages[i], "EX", kPageLife}, Queued());
  }
  Ask({"ZADD", nodes, std::to_string(now + kCountFor / 1000), settings_.name}, Queued());
  Ask({"ZREMRANGEBYSCORE", nodes, "-inf", "(" + time}, Queued());
  Ask({"EXPIRE", nodes, kSetLife}, Queued());
  PublishUnblocks(now);
  const uint64_t here = NowMillis();
  std::erase_if(blocks_, [here](const Block& one) { return one.until <= here; });
  blocks_sent_ = std::min(blocks_.size(), kBlocksSent);
  for (size_t i = 0; i < blocks_sent_; ++i) {
    const Block& one = blocks_[i];
    const uint64_t left = (one.until - here + 999) / 1000;
    Ask({"ZADD", blocks, std::to_string(now + left), one.address}, Queued());
  }
  Ask({"ZREMRANGEBYSCORE", blocks, "-inf", time}, Queued());
  Ask({"ZREMRANGEBYRANK", blocks, "0", "-" + std::to_string(kBlocksMost + 1)}, Queued());
  if (blocks_sent_) Ask({"EXPIRE", blocks, kSetLife}, Queued());
  Ask({"EXEC"}, [this](const RespReply& done) {
    published_ = done.type == Type::kArray;
    if (!published_) return Blame(Describe(done));
    for (const RespReply& one : done.items) {
      if (one.type == Type::kError) Blame(Describe(one));
    }
    blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(blocks_sent_));
    unblocks_.Sent();
  });
}

// A block that ends at zero is over, so the same command removes it as those that end by
// themselves.
void Share::PublishUnblocks(uint64_t now) {
  const std::string blocks = Key("blocks"), unblocks = Key("unblocks");
  const std::string micros = std::to_string(time_);
  const auto addresses = unblocks_.Send(time_);
  for (const std::string& address : addresses) {
    Ask({"ZADD", blocks, "0", address}, Queued());
    Ask({"ZADD", unblocks, micros, address}, Queued());
  }
  if (addresses.empty()) return;
  const std::string before = std::to_string((now - Unblocks::kLifeSeconds) * 1000000);
  Ask({"ZREMRANGEBYSCORE", unblocks, "-inf", before}, Queued());
  Ask({"ZREMRANGEBYRANK", unblocks, "0", "-" + std::to_string(Unblocks::kMost + 1)}, Queued());
  Ask({"EXPIRE", unblocks, std::to_string(Unblocks::kLifeSeconds)}, Queued());
}

// An error here has the cause, such as OOM; EXEC says only that there was one.
Share::Reply Share::Queued() {
  return [this](const RespReply& reply) {
    if (reply.type == Type::kError) Blame(Describe(reply));
  };
}

void Share::Read(uint64_t now) {
  Ask({"ZRANGEBYSCORE", Key("nodes"), std::to_string(now), "+inf", "LIMIT", "0",
       std::to_string(kNodesMost + 1)},
      [this](const RespReply& names) { OnNodes(names); });
  AskBlocks(0);
}

void Share::OnNodes(const RespReply& names) {
  if (names.type != Type::kArray) return Blame(Describe(names));
  if (names.items.size() > kNodesMost) Blame("there are more than 128 processes");
  for (const RespReply& one : names.items) {
    const std::string& node = one.text;
    if (node == settings_.name || node.empty() || node.size() > kNameMost) continue;
    Ask({"GET", PageKey(node, 0)},
        [this, node](const RespReply& page) { OnFirstPage(node, page); });
  }
}

// All pages are asked for in one write, which the server answers before it takes another's: so they
// are of one moment. Pages of a process that has gone expire before its name does.
void Share::OnFirstPage(const std::string& node, const RespReply& page) {
  if (page.type == Type::kNil) return;
  if (page.type != Type::kText) return Blame(Describe(page));
  const size_t pages = PagesOf(page.text);
  auto add = [this, node](const RespReply& one) {
    if (one.type == Type::kNil) return;
    if (!AddPage(one.text, counts_.get(), &charges_.Of(node))) {
      Blame("another process publishes what cannot be read");
    }
  };
  ++counts_->nodes;
  if (pages <= 1) return add(page);
  pages_ += pages;
  if (pages_ > kPagesReadMost) return Blame("other processes have too many sessions to be counted");
  for (size_t i = 0; i < pages; ++i) Ask({"GET", PageKey(node, i)}, add);
}

void Share::AskBlocks(size_t from) {
  Ask({"ZRANGE", Key("blocks"), std::to_string(from), std::to_string(from + kBlocksAtOnce - 1)},
      [this, from](const RespReply& addresses) { OnBlocks(from, addresses); });
}

void Share::OnBlocks(size_t from, const RespReply& addresses) {
  if (addresses.type != Type::kArray) return Blame(Describe(addresses));
  for (const RespReply& one : addresses.items) {
    if (one.text.size() <= kKeyMost) counts_->blocked.insert(one.text);
  }
  from += kBlocksAtOnce;
  if (addresses.items.size() == kBlocksAtOnce && from < kBlocksMost) AskBlocks(from);
}

void Share::Finish() {
  phase_ = Phase::kReady;
  const uint64_t now = NowMillis();
  counts_->expires = now + kCountFor;
  for (const std::string& address : unblocks_.waiting()) counts_->blocked.erase(address);
  others_.Use(counts_);
  ChargeOthers();
  former_ = std::move(counts_);
  least_ = std::max(kEarlyLeast, (NowMicros() - micros_) / 1000 * kEarlyShare);
  {
    std::lock_guard lock(mutex_);
    state_.read_at = now;
  }
  retry_.Reset();
  Report(published_ && fault_.empty(), fault_);
  Arm();
}

void Share::ChargeOthers() {
  charges_.Finish(kCountFor * 1000,
                  [this](RateKind kind, const std::string& key, uint64_t micros, uint64_t since) {
                    if (kind == RateKind::kUser)
                      return admission_.users().Charge(key, micros, since);
                    const auto address = Cidr::Parse(key);
                    if (!address) return;
                    if (kind == RateKind::kAddress)
                      return access_control_.Charge(*address, micros, since);
                    admission_.guard().Charge(*address, micros, since);
                  });
}

void Share::Report(bool up, const std::string& fault) {
  State state;
  {
    std::lock_guard lock(mutex_);
    state = state_;
    if (!state_.known || state_.up != up) state_.since = ::time(nullptr);
    state_.known = true;
    state_.up = up;
    state_.fault = fault;
    ++(up ? state_.exchanges : state_.failures);
  }
  if (state.known && state.up == up) return;
  if (up) {
    log::Info("--share: {}: limits are shared, as {}", text(), settings_.name);
  } else {
    log::Warning("--share: {}: limits are not shared: {}", text(), fault);
  }
}

void Share::Blame(const std::string& why) {
  if (fault_.empty()) fault_ = why;
}

void Share::Ask(std::initializer_list<std::string_view> words, Reply reply) {
  std::string out;
  AppendResp(out, words);
  connection_->Send(out);
  awaited_.push_back(std::move(reply));
}

// -- when -----------------------------------------------------------------------------------------

void Share::HurryUp() {
  hurry_ = true;
  Arm();
}

void Share::OnBlocked(std::string address, Millis time) {
  if (blocks_.size() < kBlocksMost) {
    blocks_.push_back({std::move(address), NowMillis() + static_cast<uint64_t>(time.count())});
  }
  HurryUp();
}

void Share::OnUnblocked(std::string address) {
  ForgetBlock(address);
  unblocks_.Add(std::move(address));
  HurryUp();
}

// Those that are under way go out before the unblock.
void Share::ForgetBlock(const std::string& address) {
  for (Block& one : blocks_) {
    if (one.address == address) one.until = 0;
  }
}

void Share::Arm() {
  if (phase_ == Phase::kConnecting) {
    due_ = connection_->begun() + kTimeout;
  } else if (phase_ == Phase::kExchange) {
    due_ = begun_ + kTimeout;
  } else if (phase_ == Phase::kReady) {
    due_ = begun_ + (hurry_ ? std::min(least_, kEvery) : kEvery);
  }
  const uint64_t now = NowMillis();
  const timeval wait = TimevalOf(Millis(due_ > now ? due_ - now : 0));
  evtimer_add(timer_.get(), &wait);
}

void Share::OnTimer(evutil_socket_t, short, void* self) {
  auto& share = *static_cast<Share*>(self);
  if (NowMillis() < share.due_) return share.Arm();
  switch (share.phase_) {
    case Phase::kIdle:
      return share.Connect();
    case Phase::kConnecting:
      return share.Lose(std::string(share.connection_->Lacks()) + " within 2 s");
    case Phase::kReady:
      return share.Exchange();
    case Phase::kExchange:
      // A late reply must not be taken for that of the next question.
      return share.Lose("no answer within 2 s");
  }
}

}  // namespace rum

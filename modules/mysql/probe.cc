#include "mysql/probe.h"

#include <time.h>

#include <algorithm>
#include <iterator>

#include "mysql/capabilities.h"
#include "mysql/handshake.h"
#include "mysql/record.h"
#include "mysql/reply.h"

namespace rum::mysql {
namespace {

// Who looks. A server may have such an account, without rights and without a password: then its log
// does not tell of a login that failed.
constexpr char kProber[] = "rum_probe";
// A plugin may ask more than once.
constexpr int kMaxAnswers = 4;
constexpr size_t kMaxNote = 256;
constexpr uint32_t kLoginNeeds = kProtocol41 | kSecureConnection | kPluginAuth;

// A server that says one of these has judged the login, and so is well.
constexpr uint16_t kJudgements[] = {
    1045,  // access denied
    1251,  // the account wants an older way
    1524,  // the account's plugin is not there
    1698,  // access denied, without a word about passwords
    1862,  // the password has expired
    3118,  // the account is locked (MySQL)
    3159,  // only with TLS
    4151,  // the account is locked (MariaDB)
};

}  // namespace

Probe::Probe(const rum_host& host, rum_session* handle, const Config& config, Fleet::View& view,
             const rum_probe& probe)
    : host_(host),
      tls_(host.extension ? static_cast<const rum_tls*>(host.extension(RUM_TLS_1)) : nullptr),
      handle_(handle),
      config_(config),
      fleet_(*config.fleet),
      view_(view),
      is_default_(probe.is_default != 0),
      asks_way_(probe.destination == nullptr),
      user_(probe.user != nullptr ? std::optional(std::string(probe.user, probe.user_size))
                                  : std::nullopt) {}

bool Probe::Open() {
  if (!asks_way_) return true;
  if (!user_) return false;
  state_ = State::kAwaitMap;
  bool possible = !user_->empty() && user_->size() <= kMaxUser;
  int32_t status = possible ? host_.lookup(handle_, user_->data(), user_->size()) : RUM_NOT_FOUND;
  if (status != RUM_OK) FindWay(status, {});
  return true;
}

void Probe::OnLookedUp(int32_t status, Bytes value) {
  if (state_ == State::kAwaitMap) FindWay(status, value);
}

// As a login goes, see Session::OnLookedUp.
void Probe::FindWay(int32_t status, Bytes value) {
  std::string_view destination;
  if (status == RUM_FOUND) {
    Parsed<Record> record = ParseRecord(value);
    if (!record.ok()) return Close(RUM_CLOSE_BAD_DESTINATION, record.why);
    destination = record.value.destination;
    bool rewrites = record.value.secret && config_.auth != AuthMode::kRelay;
    bool relays = config_.auth != AuthMode::kRewrite || !record.value.secret;
    Note("auth", !rewrites ? "relay" : relays ? "relay, rewrite for old clients" : "rewrite");
  } else if (status == RUM_NOT_FOUND || status == RUM_E_UNSUPPORTED) {
    if (!config_.unknown_to_default) {
      return Close(RUM_CLOSE_DENIED, "the map does not know the user (--mysql-unknown-user deny)");
    }
    Note("auth", "relay");
  } else {
    return Close(RUM_CLOSE_MAP_UNAVAILABLE, "the map could not be asked");
  }
  switch (host_.connect(handle_, destination.data(), destination.size())) {
    case RUM_OK:
      state_ = State::kClosed;
      return;
    case RUM_E_UNSUPPORTED:
      return Close(RUM_CLOSE_NO_DESTINATION,
                   "the map does not know the user, and there is no default destination");
    default:
      return Close(RUM_CLOSE_BAD_DESTINATION, "the map's destination is written wrong");
  }
}

void Probe::OnUpstreamOpen(uint32_t reason) { greeted_ = reason == 0; }

int64_t Probe::OnUpstreamData(Bytes bytes) {
  if (state_ != State::kAwaitGreeting && state_ != State::kAwaitVerdict) return 0;
  Frame frame = ReadFrame(bytes, sequence_);
  if (frame.kind == Frame::Kind::kPartial) {
    if (host_.need(handle_, RUM_UPSTREAM, frame.size) != RUM_OK) {
      Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server's packet is too long");
    }
    return 0;
  }
  if (frame.kind != Frame::Kind::kWhole) {
    greeted_ = false;
    Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server does not speak the protocol");
    return 0;
  }
  ++sequence_;
  if (state_ == State::kAwaitGreeting) {
    TakeGreeting(frame.payload);
  } else {
    TakeVerdict(frame.payload);
  }
  return static_cast<int64_t>(frame.size);
}

void Probe::TakeGreeting(Bytes payload) {
  if (KindOfReply(payload) == ReplyKind::kError) return TakeVerdict(payload);
  Parsed<Greeting> greeting = ParseGreeting(payload);
  if (!greeting.ok()) {
    greeted_ = false;
    return Close(RUM_CLOSE_UPSTREAM_PROTOCOL, greeting.why);
  }
  capabilities_ = greeting.value.capabilities;
  no_plugin_ = NoPluginFor(greeting.value.version);
  Note("version", greeting.value.version);
  char peer[128] = {};
  size_t size = host_.peer(handle_, RUM_UPSTREAM, peer, sizeof peer);
  fleet_.Saw(view_, {peer, std::min(size, sizeof peer - 1)}, greeting.value, is_default_,
             ::time(nullptr));
  // Of what is promised to clients they go on to use this without asking.
  uint64_t promised =
      PromiseNow(config_, view_.Look(fleet_)).capabilities & (kDeprecateEof | kChangesWhatFollows);
  if (uint64_t missing = promised & ~capabilities_) Note("lacks", NameCapabilities(missing));
  int32_t mode = tls_ != nullptr ? tls_->mode(handle_, RUM_UPSTREAM) : RUM_TLS_OFF;
  if (mode != RUM_TLS_REQUIRE && mode != RUM_TLS_VERIFY) return LogIn();
  if (tls_->active(handle_, RUM_UPSTREAM) == 1) return LogIn();  // from the first byte on
  if ((capabilities_ & kSsl) == 0) {
    return Close(RUM_CLOSE_UNSUPPORTED, "the server has no TLS, which --upstream-tls demands");
  }
  Response request;
  request.capabilities = kLoginNeeds & capabilities_;
  Send(BuildSslRequest(request, sequence_++));
  if (host_.start_tls(handle_, RUM_UPSTREAM, nullptr, 0) != RUM_OK) {
    return Close(RUM_CLOSE_MODULE, "TLS to the server could not be begun");
  }
  greeted_ = false;  // nothing can be said until the handshake is over
  state_ = State::kAwaitTls;
}

void Probe::OnTlsOpen(uint32_t, int32_t status) {
  if (status == RUM_OK && state_ == State::kAwaitTls) LogIn();  // else rum ends it
}

// An empty proof, and for a user who is asked about a plugin that no server has.
void Probe::LogIn() {
  Response response;
  response.capabilities = kLoginNeeds & capabilities_;
  if (state_ == State::kAwaitTls) response.capabilities |= kSsl;
  response.user = user_.value_or(kProber);
  response.plugin = user_ ? no_plugin_ : kNativePlugin;
  Send(BuildResponse(response, sequence_++));
  greeted_ = false;
  state_ = State::kAwaitVerdict;
}

void Probe::TakeVerdict(Bytes payload) {
  greeted_ = false;
  switch (KindOfReply(payload)) {
    case ReplyKind::kOk:
      Note("password", "none");
      Send(PacketWriter().WriteU8(1).Finish(0));
      return Close(RUM_CLOSE_PROBED, {});
    case ReplyKind::kError: {
      Parsed<ServerError> error = ParseError(payload);
      if (!error.ok()) return Close(RUM_CLOSE_UPSTREAM_PROTOCOL, error.why);
      return Judge(error.value.code, error.value.text);
    }
    case ReplyKind::kSwitch:
      if (Parsed<PluginRequest> request = ParsePluginRequest(payload); request.ok()) {
        plugin_ = KindOfPlugin(request.value.plugin);
        answered_ = 0;
        if (user_) Note("plugin", request.value.plugin);
      }
      break;
    case ReplyKind::kFastAuthOk:
      return;
    case ReplyKind::kNextFactor:
    case ReplyKind::kOldSwitch:
    case ReplyKind::kMore:
      break;
  }
  if (++answers_ > kMaxAnswers) {
    return Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server asks without end");
  }
  std::optional<std::string> answer = WrongAnswer(plugin_, answered_++);
  if (!answer) return Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server asks without end");
  Send(PacketWriter().WriteText(*answer).Finish(sequence_++));
}

void Probe::Judge(uint16_t code, std::string_view text) {
  bool judged =
      std::find(std::begin(kJudgements), std::end(kJudgements), code) != std::end(kJudgements);
  std::string told = "error " + std::to_string(code) + ": " + std::string(text);
  if (user_ && code != 1045) Note("error", told.substr(0, kMaxNote));
  Close(judged ? RUM_CLOSE_PROBED : RUM_CLOSE_UPSTREAM_DENIED, judged ? "" : told);
}

// Cut off by a deadline, or by rum: what a server that has greeted, or is about to, must hear.
void Probe::OnClose(uint32_t reason) {
  if (reason == RUM_CLOSE_UPSTREAM_GONE || reason == RUM_CLOSE_UPSTREAM_RESET) return;
  if (greeted_) {
    if (sequence_ == 0) sequence_ = 1;
    if (capabilities_ == 0) capabilities_ = kLoginNeeds;
    LogIn();
  }
  // The number in between is the server's.
  if (state_ == State::kAwaitVerdict)
    Send(PacketWriter().Finish(static_cast<uint8_t>(sequence_ + 1)));
}

void Probe::Note(const char* key, std::string_view value) {
  std::string plain;
  for (char c : value.substr(0, kMaxNote)) plain += c >= 0x20 && c < 0x7f ? c : '?';
  host_.note(handle_, key, plain.data(), plain.size());
}

void Probe::Send(std::string_view packet) {
  host_.send(handle_, RUM_UPSTREAM, packet.data(), packet.size());
}

// What must still be said to the server is said in OnClose.
void Probe::Close(uint32_t reason, std::string_view text) {
  if (state_ == State::kAwaitVerdict) state_ = State::kClosed;
  host_.close(handle_, reason, text.data(), text.size());
}

}  // namespace rum::mysql

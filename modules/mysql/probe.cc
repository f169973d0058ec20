#include "mysql/probe.h"

#include <time.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/capabilities.h"
#include "mysql/exchange.h"
#include "mysql/handshake.h"
#include "mysql/packet_parser.h"
#include "mysql/record.h"
#include "mysql/reply.h"

namespace rum::mysql {
namespace {

using dialogue::Dialogue;
using dialogue::ProbeQuestion;
using dialogue::Reason;
using dialogue::Script;
using dialogue::Task;
using dialogue::View;

// The user of probes. A server may have such an account, without rights and password; then probes
// leave no failed logins in its log.
constexpr char kProber[] = "rum_probe";
// A plugin may ask more than once.
constexpr int kMaxAnswers = 4;
constexpr size_t kMaxNote = 256;
constexpr uint32_t kLoginNeeds = kProtocol41 | kSecureConnection | kPluginAuth;

// Errors by which a server has judged the login, and so is up.
constexpr uint16_t kJudgements[] = {
    1045,  // access denied
    1251,  // the account requires an old method
    1524,  // the account's plugin is missing
    1698,  // access denied, without mention of a password
    1862,  // the password has expired
    3118,  // the account is locked (MySQL)
    3159,  // the account requires TLS
    4151,  // the account is locked (MariaDB)
};

// Follows a login, see Session::Route(). rum ends the probe with the connected address.
Script FindWay(Dialogue& d, const Config& config, const std::string& user) {
  std::string destination;
  auto status = dialogue::Record::kNotFound;
  if (!user.empty() && user.size() <= kMaxUser) {
    dialogue::Record found = co_await d.Lookup(user);
    status = found.status();
    if (status == dialogue::Record::kFound) {
      Parsed<Record> record = ParseRecord(AsBytes(found.value()));
      if (!record.ok()) co_return d.Close(RUM_CLOSE_BAD_DESTINATION, record.why);
      destination = record.value.destination;
      bool rewrites = record.value.secret && config.auth != AuthMode::kRelay;
      bool relays = config.auth != AuthMode::kRewrite || !record.value.secret;
      if (record.value.secret) Wipe(&*record.value.secret);
      const char* auth = !rewrites ? "relay"
                         : relays  ? "relay, rewrite for old clients"
                                   : "rewrite";
      d.Note("auth", auth);
    }
  }
  if (status == dialogue::Record::kNotFound) {
    if (!config.unknown_to_default) {
      co_return d.Close(RUM_CLOSE_DENIED,
                        "the map does not know the user (--mysql-unknown-user deny)");
    }
    d.Note("auth", "relay");
  } else if (status != dialogue::Record::kFound) {
    co_return d.Close(RUM_CLOSE_MAP_UNAVAILABLE, "the map lookup failed");
  }
  auto connection = d.Connect(destination);
  Reason failed = connection.Begin();
  if (failed == Reason(RUM_CLOSE_NO_DESTINATION)) {
    co_return d.Close(failed,
                      "the map does not know the user, and there is no default destination");
  }
  if (failed) {
    co_return d.Close(RUM_CLOSE_BAD_DESTINATION, "the map's destination is malformed");
  }
  (void)co_await connection;
}

class Prober {
 public:
  Prober(Dialogue& d, const Config& config, Worker& worker, const ProbeQuestion& question)
      : d_(d), config_(config), worker_(worker), question_(question) {}

  Script Run();
  // What must still be sent to the server before leaving it.
  void Leave();

 private:
  enum class Owed : uint8_t {
    kNothing,
    kLogin,   // it has accepted the connection, and perhaps greeted
    kAnswer,  // a login was sent; it may ask more
  };

  Task<Payload> Read();
  bool TakeGreeting(Bytes payload);
  bool WantsTls() const;
  void LogIn(uint64_t further_capabilities = 0);
  bool TakeRequest(Bytes payload);
  void Judge(Bytes payload);
  void Note(const char* key, std::string_view value) const;
  void Close(uint32_t reason, std::string_view text);

  Dialogue& d_;
  const Config& config_;
  Worker& worker_;
  const ProbeQuestion& question_;

  Owed owed_ = Owed::kNothing;
  uint8_t sequence_ = 0;                    // next expected
  std::string_view no_plugin_ = kNoPlugin;  // of this server
  uint64_t capabilities_ = 0;
  PluginKind plugin_ = PluginKind::kNative;  // the plugin that the server asks for
  unsigned answered_ = 0;                    // answers to this plugin
  int answers_ = 0;                          // answers to all plugins
};

Script Prober::Run() {
  Reason failed = co_await d_.Connected();
  if (failed) co_return;
  owed_ = Owed::kLogin;
  Payload greeting = co_await Read();
  if (!greeting) co_return;
  if (KindOfReply(*greeting) == ReplyKind::kError) co_return Judge(*greeting);
  if (!TakeGreeting(*greeting)) co_return;
  if (!WantsTls()) {
    LogIn();
  } else if ((capabilities_ & kSsl) == 0) {
    co_return Close(RUM_CLOSE_UNSUPPORTED, "the server has no TLS, which --upstream-tls requires");
  } else {
    Response request;
    request.capabilities = kLoginNeeds & capabilities_;
    d_.upstream.Send(BuildSslRequest(request, sequence_++));
    owed_ = Owed::kNothing;  // nothing can be sent until the handshake is over
    failed = co_await d_.upstream.StartTls();
    if (failed) co_return;
    LogIn(kSsl);
  }
  for (;;) {
    Payload reply = co_await Read();
    if (!reply) co_return;
    switch (KindOfReply(*reply)) {
      case ReplyKind::kOk:
        Note("password", "none");
        d_.upstream.Send(PacketWriter().WriteU8(1).Finish(0));
        co_return Close(RUM_CLOSE_PROBED, {});
      case ReplyKind::kError:
        co_return Judge(*reply);
      case ReplyKind::kFastAuthOk:
        break;
      case ReplyKind::kSwitch:
      case ReplyKind::kNextFactor:
      case ReplyKind::kOldSwitch:
      case ReplyKind::kMore:
        if (!TakeRequest(*reply)) {
          co_return Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server sends requests without end");
        }
    }
  }
}

Task<Payload> Prober::Read() {
  Frame frame;
  PacketParser parser{sequence_, &frame};
  View packet = co_await d_.upstream.Frame(parser, kHeaderSize);
  if (packet) {
    ++sequence_;
    co_return frame.payload;
  }
  if (packet.reason() == Reason(RUM_CLOSE_LIMIT)) {
    Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server's packet is too long");
  } else if (frame.kind != Frame::Kind::kPartial) {
    if (owed_ == Owed::kLogin) owed_ = Owed::kNothing;
    Close(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server does not speak the protocol");
  }
  co_return std::nullopt;
}

bool Prober::TakeGreeting(Bytes payload) {
  Parsed<Greeting> greeting = ParseGreeting(payload);
  if (!greeting.ok()) {
    owed_ = Owed::kNothing;
    Close(RUM_CLOSE_UPSTREAM_PROTOCOL, greeting.why);
    return false;
  }
  capabilities_ = greeting.value.capabilities;
  no_plugin_ = NoPluginFor(greeting.value.version);
  Note("version", greeting.value.version);
  char peer[128] = {};
  size_t size = d_.Peer(d_.upstream, peer, sizeof peer);
  Fleet& fleet = *config_.fleet;
  fleet.Saw(worker_.view(), {peer, std::min(size, sizeof peer - 1)}, greeting.value,
            question_.is_default, ::time(nullptr));
  if ((capabilities_ & kSsl) && !question_.has_user && d_.TlsMode(d_.client) == RUM_TLS_OFF) {
    worker_.ServerHasTls(config_);
  }
  // Clients use these if offered, without checking the server.
  uint64_t promised = PromiseNow(config_, worker_.view().Look(fleet)).capabilities &
                      (kDeprecateEof | kChangesWhatFollows);
  if (uint64_t missing = promised & ~capabilities_) Note("lacks", NameCapabilities(missing));
  return true;
}

bool Prober::WantsTls() const {
  int32_t mode = d_.TlsMode(d_.upstream);
  if (mode != RUM_TLS_REQUIRE && mode != RUM_TLS_VERIFY) return false;
  return !d_.TlsActive(d_.upstream);  // TLS from the first byte on
}

// An empty proof, and a plugin that no server has.
void Prober::LogIn(uint64_t further_capabilities) {
  Response response;
  response.capabilities = (kLoginNeeds & capabilities_) | further_capabilities;
  response.user = question_.has_user ? question_.user : kProber;
  response.plugin = question_.has_user ? no_plugin_ : kNativePlugin;
  d_.upstream.Send(BuildResponse(response, sequence_++));
  owed_ = Owed::kAnswer;
}

// Answers so that no password matches. False: the server sends requests without end.
bool Prober::TakeRequest(Bytes payload) {
  if (KindOfReply(payload) == ReplyKind::kSwitch) {
    if (Parsed<PluginRequest> request = ParsePluginRequest(payload); request.ok()) {
      plugin_ = KindOfPlugin(request.value.plugin);
      answered_ = 0;
      if (question_.has_user) Note("plugin", request.value.plugin);
    }
  }
  if (++answers_ > kMaxAnswers) return false;
  std::optional<std::string> answer = WrongAnswer(plugin_, answered_++);
  if (!answer) return false;
  d_.upstream.Send(PacketWriter().WriteText(*answer).Finish(sequence_++));
  return true;
}

// By the server's final reply.
void Prober::Judge(Bytes payload) {
  owed_ = Owed::kNothing;
  Parsed<ServerError> error = ParseError(payload);
  if (!error.ok()) return Close(RUM_CLOSE_UPSTREAM_PROTOCOL, error.why);
  const uint16_t code = error.value.code;
  bool judged =
      std::find(std::begin(kJudgements), std::end(kJudgements), code) != std::end(kJudgements);
  std::string text = "error " + std::to_string(code) + ": " + error.value.text;
  if (question_.has_user && code != 1045) Note("error", text);
  Close(judged ? RUM_CLOSE_PROBED : RUM_CLOSE_UPSTREAM_DENIED, judged ? "" : text);
}

void Prober::Leave() {
  Reason why = d_.closed() ? d_.closed() : d_.failed();
  if (why == Reason(RUM_CLOSE_UPSTREAM_GONE) || why == Reason(RUM_CLOSE_UPSTREAM_RESET)) return;
  if (owed_ == Owed::kLogin) {
    if (sequence_ == 0) sequence_ = 1;
    if (capabilities_ == 0) capabilities_ = kLoginNeeds;
    LogIn();
  }
  // The number in between is the server's.
  if (owed_ == Owed::kAnswer) {
    d_.upstream.Send(PacketWriter().Finish(static_cast<uint8_t>(sequence_ + 1)));
  }
  owed_ = Owed::kNothing;
}

void Prober::Note(const char* key, std::string_view value) const {
  std::string plain;
  for (char c : value.substr(0, kMaxNote)) plain += c >= 0x20 && c < 0x7f ? c : '?';
  d_.Note(key, plain);
}

// Whether the server has judged the login, if one was sent; if not, it still expects one.
void Prober::Close(uint32_t reason, std::string_view text) {
  if (owed_ == Owed::kAnswer) owed_ = Owed::kNothing;
  Leave();
  d_.Close(reason, text);
}

}  // namespace

Script Probe(Dialogue& d, const Config& config, Worker& worker, ProbeQuestion question) {
  if (!question.has_destination) {
    co_await FindWay(d, config, question.user);
    co_return;
  }
  Prober prober(d, config, worker, question);
  co_await prober.Run();
  prober.Leave();
}

}  // namespace rum::mysql

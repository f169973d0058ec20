// Our response to the server's greeting: whether the two fit, what is in force toward the server,
// and the proof where rum makes it.
#include <time.h>

#include <algorithm>
#include <utility>

#include "mysql/attributes.h"
#include "mysql/capabilities.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

constexpr size_t kMaxShownAuth = 250;

}  // namespace

bool Session::TakeGreeting(Bytes payload) {
  Parsed<Greeting> greeting = ParseGreeting(payload);
  if (!greeting.ok()) {
    d_.Count(kServerFaults);
    farewell_ = Farewell::kNone;
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, greeting.why);
  }
  fleet_.Saw(view_, upstream_, greeting.value, std::nullopt, ::time(nullptr));
  no_plugin_ = NoPluginFor(greeting.value.version);
  if (!reuse_key_.empty()) kept_greeting_ = greeting.value;
  upstream_greeting_ = std::move(greeting.value);
  return true;
}

// What the client was promised and goes on to use in all that follows, and what the way of logging
// in rests on, cannot be done without.
bool Session::FitsClient() {
  uint64_t needed = kProtocol41 | kSecureConnection |
                    (response_.capabilities & (kDeprecateEof | kCompresses | kChangesWhatFollows));
  // Some take what a greeting of MariaDB says for granted, whatever they asked for.
  if (greeted_as_mariadb_) needed |= promised_ & kChangesWhatFollows;
  if (!rewriting_) needed |= kPluginAuth;
  uint64_t missing = needed & ~upstream_greeting_.capabilities;
  if (missing == 0) return true;
  d_.Count(kServerFaults);
  std::string names = NameCapabilities(missing);
  return RefuseAfterGreeting(ServerLacks(names), RUM_CLOSE_UNSUPPORTED,
                             "the server lacks " + names + RemedyFor(upstream_greeting_));
}

std::string Session::RemedyFor(const Greeting& greeting) const {
  if (!config_.learns) return "; give the oldest server's --mysql-version";
  Server server;
  server.version = greeting.version;
  server.capabilities = greeting.capabilities;
  if (IsSupported(server)) return "; the next clients are promised less";
  return "; it is too old to be greeted for beside others: run a rum with its --mysql-version, or "
         "name it by -d";
}

// mirror: who came by TLS goes on by TLS where the server has it. What must not be read on a plain
// link is held back or encrypted when the client is to be asked. To a destination with TLS from the
// first byte on there is TLS already.
bool Session::WantsUpstreamTls() const {
  if (d_.TlsActive(d_.upstream)) return false;
  switch (d_.TlsMode(d_.upstream)) {
    case RUM_TLS_REQUIRE:
    case RUM_TLS_VERIFY:
      return true;
    case RUM_TLS_MIRROR:
      return d_.TlsActive(d_.client) && !unix_upstream_ &&
             (upstream_greeting_.capabilities & kSsl) != 0;
    default:
      return false;
  }
}

// In force toward the server: what the client uses, rum offered and the server has. Fields whose
// flag falls away are left out. All flags are chosen here: servers read the response behind an
// SSLRequest by the flags of that, and count one that does not fit them as an error of the address.
bool Session::PrepareResponse() {
  if (!FitsClient()) return false;
  const bool by_tls = WantsUpstreamTls();
  if (by_tls && (upstream_greeting_.capabilities & kSsl) == 0) {
    d_.Count(kServerFaults);
    return Refuse(ErrorForReason(RUM_CLOSE_TLS), RUM_CLOSE_UNSUPPORTED,
                  "the server has no TLS, which --upstream-tls demands");
  }
  if (Compresses() && ExposedByChangeUser()) {
    return RefuseAfterGreeting(
        CannotCompress(), RUM_CLOSE_UNSUPPORTED,
        "a COM_CHANGE_USER must be seen on this link, and the client compresses");
  }
  if (const char* why = rewriting_ ? nullptr : WhySystemUser()) {
    d_.Count(kServerDenials);
    return Refuse(Denied(), RUM_CLOSE_DENIED, why);
  }
  mariadb_upstream_ =
      VersionOf(upstream_greeting_.version, upstream_greeting_.capabilities).mariadb;
  if (ServerCutsName()) return RefuseAfterGreeting(Denied(), RUM_CLOSE_DENIED, kCutName);
  const uint64_t in_force = response_.capabilities & upstream_greeting_.capabilities & ~kSsl;
  const bool puts_database_off = PutsDatabaseOff(response_.database, in_force);
  if (Compresses() && puts_database_off) {
    return RefuseAfterGreeting(
        CannotCompress(), RUM_CLOSE_UNSUPPORTED,
        "the database can be chosen behind the login only, and the client compresses");
  }
  Response response;
  std::swap(response, response_);
  response_.capabilities = response.capabilities;  // kept, as the user is, for an ERR to come
  response_.user = std::exchange(response.user, sent_name_);
  response_.charset = response.charset;
  thread_id_ = upstream_greeting_.connection_id;
  upstream_nonce_ = upstream_greeting_.nonce;
  response.capabilities = in_force;
  if (rewriting_) {
    response.plugin = kNativePlugin;
  } else {
    // Clients that do not know of plugins may still understand the switch (mysqljs does).
    response.capabilities |= kPluginAuth;
    // The length lets the server log whether a password was used; the proof itself is worthless
    // there, or is the password.
    bool hidden = SendsPasswordFirst(response.plugin) || !ProvesSomething(response.auth);
    response.auth.assign(hidden ? 0 : std::min(response.auth.size(), kMaxShownAuth), '\0');
    response.plugin = no_plugin_;
  }
  if (puts_database_off) {
    database_ = std::move(response.database);
    response.capabilities &= ~uint64_t{kConnectWithDb};
  }
  if (by_tls) response.capabilities |= kSsl;
  asked_for_tls_ = by_tls;
  upstream_greeting_ = {};
  outgoing_ = std::move(response);
  return true;
}

bool Session::Respond() {
  Response response = std::move(*outgoing_);
  outgoing_.reset();
  if (rewriting_) {
    std::optional<Hash> token = MakeToken(*password_hash_, upstream_nonce_, *stored_);
    Wipe(&*password_hash_);
    if (!token) return RefuseFor(RUM_CLOSE_MODULE, "SHA1 failed");
    response.auth = AsText(*token);
    exchange_ = Exchange(PluginKind::kNative);
  }
  upstream_capabilities_ = response.capabilities;
  TellWhoTheClientIs(response.user, &response.attributes);
  SendToUpstream(BuildResponse(response, back_++));
  farewell_ = Farewell::kAnswer;
  return true;
}

// A server that takes no database in the login is told of it behind. So is MariaDB where the name
// may be wrong in the client's character set: it counts that as an error of the address, which set
// that is depending on the server's options, too. Behind the login it is an error like others.
bool Session::PutsDatabaseOff(const std::string& name, uint64_t capabilities) const {
  if (name.empty()) return false;
  if ((capabilities & kConnectWithDb) == 0) return true;
  return mariadb_upstream_ &&
         std::any_of(name.begin(), name.end(), [](char c) { return (c & 0x80) != 0; });
}

// Only where the client sends attributes, too: the server expects them again in a COM_CHANGE_USER,
// which comes from the client.
void Session::TellWhoTheClientIs(std::string_view user, std::string* attributes) const {
  if (!TellsClientFacts()) return;
  ClientPeer peer = FindClientPeer();
  *attributes = WithClientFacts(*attributes, {.ip = peer.host, .port = peer.port, .user = user});
}

}  // namespace rum::mysql

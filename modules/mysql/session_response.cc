// Our response to the server's greeting: whether client and server fit, what is in use toward the
// server, and the proof if rum computes it.
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

// The capabilities that the client was offered and uses, and those that this kind of login
// requires, are indispensable.
bool Session::FitsClient() {
  uint64_t needed = kProtocol41 | kSecureConnection |
                    (response_.capabilities & (kDeprecateEof | kCompresses | kChangesWhatFollows));
  // Some clients use what a greeting of MariaDB offers, whatever they requested.
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
  if (IsSupported(server)) return "; rum offers the next clients less";
  return "; it is too old to share a greeting with other servers: run a rum with its "
         "--mysql-version, or name it by -d";
}

// mirror: a client with TLS gets TLS to the server if it offers it. What must not be readable on a
// plain link is withheld or encrypted when the client is asked. A destination with TLS from the
// first byte already has it.
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

// In use toward the server: what the client uses, rum offered and the server has. Fields without
// their flag are omitted. All flags are decided here: a server parses the response after an
// SSLRequest by the flags of the latter, and counts a mismatch as an error of the address.
bool Session::PrepareResponse() {
  if (!FitsClient()) return false;
  const bool by_tls = WantsUpstreamTls();
  if (by_tls && (upstream_greeting_.capabilities & kSsl) == 0) {
    d_.Count(kServerFaults);
    return Refuse(ErrorForReason(RUM_CLOSE_TLS), RUM_CLOSE_UNSUPPORTED,
                  "the server has no TLS, which --upstream-tls requires");
  }
  Links links_of_login = links();
  if (by_tls) links_of_login.server = Link::kTls;  // it begins before the response
  if (Compresses() && ExposedByChangeUser(links_of_login)) {
    return RefuseAfterGreeting(
        CannotCompress(), RUM_CLOSE_UNSUPPORTED,
        "rum must read COM_CHANGE_USER on this link, and the client uses compression");
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
        "the database can only be selected after the login, and the client uses compression");
  }
  outgoing_ = TakeOutgoing(in_force);
  if (puts_database_off) {
    database_ = std::move(outgoing_->database);
    outgoing_->capabilities &= ~uint64_t{kConnectWithDb};
  }
  if (by_tls) outgoing_->capabilities |= kSsl;
  asked_for_tls_ = by_tls;
  upstream_greeting_ = {};
  return true;
}

// The client's response with the flags `in_force`; of response_, what is needed later stays.
Response Session::TakeOutgoing(uint64_t in_force) {
  Response response;
  std::swap(response, response_);
  response_.capabilities = response.capabilities;  // kept, like the user, for a later ERR
  response_.user = std::exchange(response.user, sent_name_);
  response_.charset = response.charset;
  thread_id_ = upstream_greeting_.connection_id;
  upstream_nonce_ = upstream_greeting_.nonce;
  response.capabilities = in_force;
  if (rewriting_) {
    response.plugin = kNativePlugin;
  } else {
    // Clients without plugins may still understand the switch (mysqljs does).
    response.capabilities |= kPluginAuth;
    // Its length lets the server log whether a password was used; the proof itself is useless to
    // the server, or is the password.
    bool hidden = SendsPasswordFirst(response.plugin) || !ProvesSomething(response.auth);
    response.auth.assign(hidden ? 0 : std::min(response.auth.size(), kMaxShownAuth), '\0');
    response.plugin = no_plugin_;
  }
  return response;
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
  AddClientFacts(response.user, &response.attributes);
  SendToUpstream(BuildResponse(response, back_++));
  farewell_ = Farewell::kAnswer;
  return true;
}

// A server that accepts no database in the login gets it afterwards. So does MariaDB if the name
// may be invalid in the client's character set, which depends on the server's options, too: MariaDB
// counts that as an error of the address. After the login it is an ordinary error.
bool Session::PutsDatabaseOff(const std::string& name, uint64_t capabilities) const {
  if (name.empty()) return false;
  if ((capabilities & kConnectWithDb) == 0) return true;
  return mariadb_upstream_ &&
         std::any_of(name.begin(), name.end(), [](char c) { return (c & 0x80) != 0; });
}

// Only if the client sends attributes, too: the server expects them again in each COM_CHANGE_USER,
// which the client sends.
void Session::AddClientFacts(std::string_view user, std::string* attributes) const {
  if (!TellsClientFacts()) return;
  ClientPeer peer = FindClientPeer();
  *attributes = WithClientFacts(*attributes, {.ip = peer.host, .port = peer.port, .user = user});
}

}  // namespace rum::mysql

// Kept connections (--mysql-reuse): which session takes one, and how it logs in there: by a change
// of the user.
#include <algorithm>
#include <utility>

#include "mysql/auth.h"
#include "mysql/capabilities.h"
#include "mysql/kept_server.h"
#include "mysql/session.h"

namespace rum::mysql {

using dialogue::Reason;

bool Session::MayReuse() const {
  return config_.reuse.most > 0 && dialogue::host.keep && ClientHas(kPluginAuth) &&
         (response_.capabilities & kNeverKept) == 0;
}

std::string Session::FindReuseKey() const {
  // Whether there was a database in the login: no further login asks.
  return WriteReuseKey({.capabilities = response_.capabilities & ~uint64_t{kConnectWithDb},
                        .max_packet = response_.max_packet,
                        .charset = response_.charset,
                        .tls_mode = d_.TlsMode(d_.upstream),
                        .client_tls = d_.TlsActive(d_.client),
                        .rewrites = rewriting_,
                        .user = config_.reuse.user});
}

void Session::WantKept() {
  if (!MayReuse()) return;
  reuse_key_ = FindReuseKey();
  d_.Want(reuse_key_);
}

// An unknown user sees what a known one does, whose login takes a kept connection where there is
// one, and uses it up. True: there was one.
bool Session::SpendKept() const {
  if (!MayReuse()) return false;
  std::optional<std::string> destination = destination_;
  if (destination_.empty()) destination = pace_.FindStandIn(response_.user);
  return destination && d_.Spend(*destination, FindReuseKey()) == RUM_FOUND;
}

// Logs in by a change of the user. Gives the server's first answer; nothing: the login is over, or
// `renewed_`: it begins at a new connection.
Task<Payload> Session::ChangeOver(const std::string& value) {
  farewell_ = Farewell::kQuit;
  Parsed<KeptServer> kept = ReadKeptServer(value);
  if (Left()) {
    Close(RUM_CLOSE_CLIENT_GONE, {});
    co_return std::nullopt;
  }
  const Response client = response_;
  upstream_greeting_ = std::move(kept.value.greeting);
  no_plugin_ = NoPluginFor(upstream_greeting_.version);
  kept_greeting_ = upstream_greeting_;
  if (kept.ok() && !PrepareResponse()) {
    Close(RUM_CLOSE_CLIENT_GONE, {});  // or what it was refused for
    co_return std::nullopt;
  }
  // Flags that matter in the login packet alone.
  constexpr uint64_t kOfLogin = kSsl | kConnectWithDb;
  const bool fits = kept.ok() && !asked_for_tls_ &&
                    ((outgoing_->capabilities ^ kept.value.in_force) & ~kOfLogin) == 0;
  if (fits) {
    const bool proved = SendChangeOver(kept.value.in_force);
    Payload said = co_await ReadServer();
    if (d_.closed()) co_return std::nullopt;
    if (said && proved && TakesSentProof(*said)) co_return co_await ReadServer();
    if (said && !proved && KindOfReply(*said) != ReplyKind::kError) co_return said;
    if (!said && !d_.upstream.ended()) co_return std::nullopt;
  }
  if (Left()) {
    farewell_ = Farewell::kNone;
    Close(RUM_CLOSE_CLIENT_GONE, {});
    co_return std::nullopt;
  }
  // It is of no use, or the server has closed it, or says at once what it may not say to a new one.
  response_ = client;
  co_await RenewServer();
  co_return std::nullopt;
}

// True: with the proof, as KeepsNonce() says.
bool Session::SendChangeOver(uint64_t in_force) {
  Response response = std::move(*outgoing_);
  outgoing_.reset();
  upstream_capabilities_ = in_force;
  ChangeUser change;
  change.user = std::move(response.user);
  change.database = std::move(response.database);
  change.charset = response.charset;
  change.plugin = no_plugin_;
  change.auth = rewriting_ ? std::string() : std::move(response.auth);
  change.attributes = std::move(response.attributes);
  AddClientFacts(change.user, &change.attributes);
  exchange_ = Exchange(PluginKind::kClear);
  switched_ = false;
  reused_ = true;
  std::optional<Hash> token;
  if (rewriting_ && KeepsNonce()) token = MakeToken(*password_hash_, upstream_nonce_, *stored_);
  std::string all = BuildChangeUser(change, upstream_capabilities_);
  if (token) all += BuildChangeProof(AsText(*token));
  SendToUpstream(all);
  back_ = 1;
  farewell_ = Farewell::kAnswer;
  return token.has_value();
}

// MariaDB has one nonce for the whole connection, that of its greeting. As it also asks for the
// proof in each change of the user, the answer can be sent with the change.
bool Session::KeepsNonce() const { return mariadb_upstream_; }

// Whether the server asks for what has been sent already.
bool Session::TakesSentProof(Bytes payload) {
  if (KindOfReply(payload) != ReplyKind::kSwitch) return false;
  Parsed<PluginRequest> request = ParsePluginRequest(payload);
  if (!request.ok() || KindOfPlugin(request.value.plugin) != PluginKind::kNative ||
      request.value.data.size() < kNonceSize ||
      !std::equal(upstream_nonce_.begin(), upstream_nonce_.end(), request.value.data.begin())) {
    return false;
  }
  Wipe(&*password_hash_);
  password_hash_.reset();
  exchange_ = Exchange(PluginKind::kNative);
  ++back_;
  return true;
}

// The server asks for the plugin of the account: where the proof is judged already, rum answers.
Task<Payload> Session::AnswerForClient(Bytes payload) {
  Parsed<PluginRequest> request = ParsePluginRequest(payload);
  if (!request.ok() || KindOfReply(payload) != ReplyKind::kSwitch ||
      KindOfPlugin(request.value.plugin) != PluginKind::kNative ||
      request.value.data.size() < kNonceSize) {
    co_return payload;
  }
  // As after a login with this nonce in the greeting.
  std::copy_n(request.value.data.begin(), kNonceSize, upstream_nonce_.begin());
  if (!rewriting_ || !password_hash_) co_return payload;
  std::optional<Hash> token = MakeToken(*password_hash_, upstream_nonce_, *stored_);
  Wipe(&*password_hash_);
  password_hash_.reset();
  if (!token) {
    RefuseFor(RUM_CLOSE_MODULE, "SHA1 failed");
    co_return std::nullopt;
  }
  exchange_ = Exchange(PluginKind::kNative);
  PassToUpstream(*token);
  co_return co_await ReadServer();
}

Task<bool> Session::RenewServer() {
  farewell_ = Farewell::kNone;
  reused_ = false;
  database_.clear();
  back_ = 0;
  server_is_due_ = false;
  asked_for_tls_ = false;
  kept_greeting_.reset();
  if (d_.Renew() != RUM_OK) {
    co_return RefuseFor(RUM_CLOSE_MODULE, "the connection could not be begun again");
  }
  Reason failed = co_await d_.Connected();
  if (failed) co_return false;
  farewell_ = Farewell::kResponse;
  renewed_ = true;
  co_return true;
}

}  // namespace rum::mysql

// The part of a login in which server and client speak about the password: what the plugin says is
// passed on, translated where only one of the links is safe, or not asked for at all.
#include <algorithm>
#include <utility>

#include "mysql/ok_packet.h"
#include "mysql/own_key.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

// With the NUL. The servers take less; none is cut, since more does not fit their RSA keys.
constexpr size_t kMaxPassword = 1024;
constexpr uint8_t kMoreMark = 0x01;

bool IsPluginName(std::string_view name) {
  auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  };
  return name.size() <= 64 && std::all_of(name.begin(), name.end(), plain);
}

}  // namespace

void Session::TakePluginRequest(Bytes payload) {
  Parsed<PluginRequest> request = ParsePluginRequest(payload);
  if (!request.ok()) {
    Count(kServerFaults);
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, request.why);
  }
  const auto& [plugin, data] = request.value;
  if (KindOfReply(payload) == ReplyKind::kSwitch) {
    Note("plugin", IsPluginName(plugin) ? plugin : "?");
  }
  if (!exchange_.Begin(KindOfPlugin(plugin), data)) {
    Count(kServerFaults);
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server's switch has no nonce");
  }
  // Some clients from before plugins follow a switch to the one that they know.
  if (!ClientHas(kPluginAuth) && exchange_.kind() != PluginKind::kNative) {
    return Refuse(ClientTooOld(true), RUM_CLOSE_UNSUPPORTED,
                  "the client knows no plugins, and the account needs one");
  }
  if (!exchange_.MayAsk(links())) return RefuseClearText();
  // In a change of the user clients keep what they had.
  if (exchange_.kind() == PluginKind::kNative && !logged_in_) scramble_ = exchange_.nonce();
  Count(kSwitches);
  if (!rewriting_ && !switched_ && !logged_in_) NotePace(Pace::Step::kSwitch);
  switched_ = true;
  answered_ = 0;
  PassToClient(payload);
  WaitFor(RUM_CLIENT, kHeaderSize);
}

void Session::TakeMore(Bytes payload) {
  if (!exchange_.MayAsk(links())) return RefuseClearText();
  exchange_.Hear(payload);
  PassToClient(payload);
  WaitFor(RUM_CLIENT, kHeaderSize);
}

// A client sends its password itself only when it believes the way to be safe: it sees its own
// link, and cannot see the one behind it.
void Session::RefuseClearText() {
  Refuse(
      ServerWithoutTls(), RUM_CLOSE_UNSUPPORTED,
      "the client's link is safe and the server's is not: its password could be read on the way");
}

void Session::TakeAnswer(Bytes payload) {
  with_password_ = ProvesSomething(AsText(payload));
  proof_passed_ |= with_password_;
  since_ = Now();
  switch (exchange_.Judge(payload, links())) {
    case Exchange::Step::kPass: {
      if (!MayBeAnswer(exchange_.kind(), payload.size(), answered_)) return AnswerInPlace();
      std::optional<Hash> token;
      if (exchange_.kind() == PluginKind::kNative) {
        token = TranslateToken(payload, exchange_.nonce());
      }
      PassToUpstream(token ? Bytes(*token) : payload);
      ++answered_;
      state_ = State::kAwaitVerdict;
      return;
    }
    case Exchange::Step::kEncrypt:
      return AskForServerKey(payload);
    case Exchange::Step::kOfferKey:
      return OfferOwnKey();
    case Exchange::Step::kUnreadable:
      return Refuse(ForeignKey(), RUM_CLOSE_UNSUPPORTED,
                    "the client encrypted the password with a key that is not rum's");
  }
}

// The client reads what a wrong password reads, as unknown users do. MariaDB would count its answer
// as an error of rum's address.
void Session::AnswerInPlace() {
  Count(kClientFaults);
  if (std::optional<std::string> proof = WrongProof(exchange_.kind(), answered_)) {
    PassToUpstream(AsBytes(*proof));
    ++answered_;
    state_ = State::kAwaitVerdict;
    return;
  }
  farewell_ = Farewell::kNone;
  if (limits_) limits_->login_failed(handle_);
  Refuse(Denied(), RUM_CLOSE_DENIED, "the client's answer has a length that its plugin never has");
}

void Session::AskForServerKey(Bytes password) {
  if (password.size() > kMaxPassword) {
    Count(kClientFaults);
    return Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, "the client's password is too long");
  }
  password_.emplace(password);
  uint8_t request = exchange_.key_request();
  PassToUpstream({&request, 1});
  state_ = State::kAwaitServerKey;
}

void Session::TakeServerKey(Bytes payload) {
  state_ = State::kAwaitAnswer;  // the server waits for us now
  Parsed<std::string> cipher = EncryptPassword(payload, password_->get(), exchange_.nonce());
  password_.reset();
  if (!cipher.ok()) {
    Count(kServerFaults);
    return Refuse(CannotEncrypt(), RUM_CLOSE_UNSUPPORTED, cipher.why);
  }
  Count(kTranslatedPasswords);
  PassToUpstream(AsBytes(cipher.value));
  state_ = State::kAwaitVerdict;
}

void Session::OfferOwnKey() {
  own_key_ = OwnKeys::OfProcess().Find(upstream_);
  if (own_key_) return SendOwnKey();
  uint64_t ticket = host_.pause(handle_);
  if (ticket == 0) return RefuseFor(RUM_CLOSE_MODULE, "the login could not be paused");
  state_ = State::kAwaitOwnKey;
  OwnKeys::OfProcess().Await(host_, upstream_, ticket);
}

void Session::OnResumed(int32_t status) {
  if (state_ == State::kAwaitTurn) return DemandToken();
  if (state_ != State::kAwaitOwnKey) return WaitFor(RUM_CLIENT, kHeaderSize);
  if (status == RUM_E_LIMIT) {
    return RefuseFor(RUM_CLOSE_LIMIT, "too many logins wait for an RSA key");
  }
  own_key_ = OwnKeys::OfProcess().Find(upstream_);
  if (status != RUM_OK || !own_key_) {
    return RefuseFor(RUM_CLOSE_MODULE, "no RSA key could be made");
  }
  SendOwnKey();
}

void Session::SendOwnKey() {
  std::string more(1, kMoreMark);
  PassToClient(AsBytes(more.append(own_key_->pem())));
  state_ = State::kAwaitCipher;
  WaitFor(RUM_CLIENT, kHeaderSize);
}

void Session::TakeCipher(Bytes payload) {
  OwnKeys::Key key = std::move(own_key_);
  std::optional<Secret> password = key->Decrypt(payload, exchange_.nonce());
  if (!password) {
    if (limits_) limits_->login_failed(handle_);
    Count(kClientFaults);
    return Refuse(AccessDenied(sent_name_, ClientHost(), true), RUM_CLOSE_DENIED,
                  "the client's password is not encrypted with rum's RSA key and OAEP");
  }
  Count(kTranslatedPasswords);
  PassToUpstream(password->get());
  state_ = State::kAwaitVerdict;
}

void Session::PassOk(Bytes payload) {
  std::optional<std::string> vouching = VouchForCertificate(payload);
  if (vouching) Count(kVouchedLogins);
  PassToClient(vouching ? AsBytes(*vouching) : payload);
}

// The server's own sentence, if there is one, is about its own certificate.
std::optional<std::string> Session::VouchForCertificate(Bytes payload) const {
  Fingerprint certificate;
  if (!TlsActive(RUM_CLIENT) || tls_->fingerprint(handle_, certificate.data()) != RUM_OK) return {};
  Bytes hash;
  if (exchange_.kind() == PluginKind::kNative && stored_) hash = *stored_;
  if (public_key_ && exchange_.kind() == public_key_->plugin) hash = AsBytes(public_key_->bytes);
  Parsed<OkPacket> ok = ParseOk(payload);
  if (hash.empty() || !ok.ok()) return {};
  if (!ok.value.info.empty() && !IsCertificateProof(ok.value.info)) return {};
  std::optional<std::string> proof = MakeCertificateProof(hash, scramble_, certificate);
  if (!proof) return {};
  ok.value.info = *proof;
  return BuildOk(ok.value);
}

}  // namespace rum::mysql

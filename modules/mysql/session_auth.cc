// The part of a login in which server and client exchange proofs of the password: rum passes the
// plugin's data on, converts it if only one of the links is safe, or does not ask for it at all.
#include <algorithm>
#include <utility>

#include "mysql/ok_packet.h"
#include "mysql/own_key.h"
#include "mysql/reply.h"
#include "mysql/rsa.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

using dialogue::Event;
using dialogue::Resumed;
using dialogue::View;

// With the NUL. Servers accept less; longer ones do not fit their RSA keys anyway, so none is cut.
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

// The server asks for a plugin; rum asks the client for it.
bool Session::PassPluginRequest(Bytes payload) {
  Parsed<PluginRequest> request = ParsePluginRequest(payload);
  if (!request.ok()) {
    d_.Count(kServerFaults);
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, request.why);
  }
  const auto& [plugin, data] = request.value;
  if (KindOfReply(payload) == ReplyKind::kSwitch) {
    d_.Note("plugin", IsPluginName(plugin) ? plugin : "?");
  }
  if (!exchange_.Begin(KindOfPlugin(plugin), data)) {
    d_.Count(kServerFaults);
    return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL, "the server's switch has no nonce");
  }
  // Some clients from before plugins follow a switch to the only method they have.
  if (!ClientHas(kPluginAuth) && exchange_.kind() != PluginKind::kNative) {
    return Refuse(ClientTooOld(true), RUM_CLOSE_UNSUPPORTED,
                  "the client does not support plugins, and the account needs one");
  }
  if (!exchange_.MayAsk(links())) return RefuseClearText();
  // During a change of user, clients keep the nonce that they had.
  if (exchange_.kind() == PluginKind::kNative && !logged_in_) scramble_ = exchange_.nonce();
  d_.Count(kSwitches);
  if (!rewriting_ && !switched_ && !logged_in_) {
    NotePace(reused_ ? Pace::Step::kKeptSwitch : Pace::Step::kSwitch);
  }
  switched_ = true;
  answered_ = 0;
  PassToClient(payload);
  return true;
}

// The server has sent more data for the plugin.
bool Session::PassMore(Bytes payload) {
  if (!exchange_.MayAsk(links())) return RefuseClearText();
  exchange_.Hear(payload);
  PassToClient(payload);
  return true;
}

// A client sends its password itself only if it considers the path safe: it sees its own link, not
// the one behind rum.
bool Session::RefuseClearText() {
  return Refuse(ServerWithoutTls(), RUM_CLOSE_UNSUPPORTED,
                "the client's link is safe and the server's is not: its password would be readable "
                "on the network");
}

// Passes the client's answer to the server in the form that its link requires.
Task<bool> Session::PassAnswer() {
  Payload answer = co_await ReadAnswer();
  if (!answer) co_return false;
  with_password_ = ProvesSomething(AsText(*answer));
  proof_passed_ |= with_password_;
  since_ = d_.Now();
  switch (exchange_.Judge(*answer, links())) {
    case Exchange::Step::kPass:
      co_return PassProof(*answer);
    case Exchange::Step::kEncrypt:
      co_return co_await EncryptPasswordForServer(*answer);
    case Exchange::Step::kOfferKey:
      co_return co_await OfferOwnKey();
    case Exchange::Step::kUnreadable:
      break;
  }
  co_return Refuse(ForeignKey(), RUM_CLOSE_UNSUPPORTED,
                   "the client encrypted the password with a key that is not rum's");
}

// Reads one packet of the client. The server is not expected to send, but may time out: its error
// is read even in the middle of the client's packet.
Task<Payload> Session::ReadAnswer() {
  client_is_due_ = true;
  Event event = Event::kClient;
  for (size_t wanted = kHeaderSize; wanted > 0 && event == Event::kClient;) {
    event = co_await d_.First().Client(wanted).Upstream(kHeaderSize);
    if (event != Event::kClient) break;
    View bytes = co_await d_.client.Peek(wanted);
    Frame frame = ReadFrame(AsBytes(bytes.text()), front_);
    wanted = frame.kind == Frame::Kind::kPartial ? frame.size : 0;
  }
  Payload answer;
  if (event == Event::kClient) answer = co_await ReadClient(Proof::kYes);
  if (event == Event::kUpstream) co_await HearOutOfTurn();
  const bool left = !answer && !d_.closed() && d_.client.ended() && !logged_in_;
  if (answer || left) client_is_due_ = false;
  if (left && event != Event::kUpstream) co_await GoOnAlone();
  co_return answer;
}

Task<bool> Session::HearOutOfTurn() {
  Payload said = co_await ReadServer();
  if (!said) co_return false;
  if (Left()) co_return co_await GoOnAlone(said);
  if (KindOfReply(*said) == ReplyKind::kError) co_return PassError(*said);
  d_.Count(kServerFaults);
  co_return RefuseFor(RUM_CLOSE_UPSTREAM_PROTOCOL,
                      "the server sent a packet when it was the client's turn");
}

bool Session::PassProof(Bytes answer) {
  if (!MayBeAnswer(exchange_.kind(), answer.size(), answered_)) return AnswerInPlace();
  std::optional<Hash> token;
  if (exchange_.kind() == PluginKind::kNative) token = TranslateToken(answer, exchange_.nonce());
  PassToUpstream(token ? Bytes(*token) : answer);
  ++answered_;
  return true;
}

// The client sees the error of a wrong password, as unknown users do. MariaDB would count its
// answer as an error of rum's address.
bool Session::AnswerInPlace() {
  d_.Count(kClientFaults);
  if (std::optional<std::string> proof = WrongProof(exchange_.kind(), answered_)) {
    PassToUpstream(AsBytes(*proof));
    ++answered_;
    return true;
  }
  farewell_ = Farewell::kNone;
  d_.LoginFailed();
  return Refuse(Denied(), RUM_CLOSE_DENIED,
                "the length of the client's answer is wrong for its plugin");
}

// The client sent the password itself over a safe link, and the server's link is not safe.
Task<bool> Session::EncryptPasswordForServer(Bytes password) {
  if (password.size() > kMaxPassword) {
    d_.Count(kClientFaults);
    co_return Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL,
                     "the client's password is too long");
  }
  std::optional<Secret> held(std::in_place, password);
  uint8_t request = exchange_.key_request();
  PassToUpstream({&request, 1});
  Payload key = co_await ReadServer();
  if (!key || Left() || KindOfReply(*key) == ReplyKind::kError) {
    held.reset();
    if (!key) co_return false;
    if (Left()) co_return co_await GoOnAlone(key);
    co_return PassError(*key, " when asked for its RSA key");
  }
  Parsed<std::string> cipher = EncryptPassword(*key, held->get(), exchange_.nonce());
  held.reset();
  if (!cipher.ok()) {
    d_.Count(kServerFaults);
    co_return Refuse(CannotEncrypt(), RUM_CLOSE_UNSUPPORTED, cipher.why);
  }
  d_.Count(kTranslatedPasswords);
  PassToUpstream(AsBytes(cipher.value));
  co_return true;
}

// The client asks for a key to encrypt the password, and the server for the password itself.
Task<bool> Session::OfferOwnKey() {
  OwnKeys::Key key = OwnKeys::OfProcess().Find(upstream_);
  if (!key) {
    d_.client.GoOnAfterEnd(false);
    auto pause = d_.Pause();
    if (pause.ticket() == 0) co_return RefuseFor(RUM_CLOSE_MODULE, "cannot pause the login");
    OwnKeys::OfProcess().Await(*dialogue::host.calls, upstream_, pause.ticket());
    Resumed made = co_await pause;
    if (made.reason) co_return false;
    d_.client.GoOnAfterEnd(!logged_in_);
    if (made.status == RUM_E_LIMIT) {
      co_return RefuseFor(RUM_CLOSE_LIMIT, "too many logins wait for an RSA key");
    }
    key = OwnKeys::OfProcess().Find(upstream_);
    if (made.status != RUM_OK || !key) {
      co_return RefuseFor(RUM_CLOSE_MODULE, "cannot create an RSA key");
    }
  }
  std::string more(1, kMoreMark);
  PassToClient(AsBytes(more.append(key->pem())));
  Payload cipher = co_await ReadAnswer();
  if (!cipher) co_return false;
  std::optional<Secret> password = key->Decrypt(*cipher, exchange_.nonce());
  if (!password) {
    d_.LoginFailed();
    d_.Count(kClientFaults);
    co_return Refuse(AccessDenied(sent_name_, ClientHost(), true), RUM_CLOSE_DENIED,
                     "the client's password is not encrypted with rum's RSA key and OAEP");
  }
  d_.Count(kTranslatedPasswords);
  PassToUpstream(password->get());
  co_return true;
}

void Session::PassToClient(Bytes payload) {
  PacketWriter packet;
  d_.client.Send(packet.WriteBytes(payload).Finish(front_++));
}

// In two pieces: the payload may be a password, of which the module makes no copy.
void Session::PassToUpstream(Bytes payload) {
  d_.upstream.Send(BuildHeader(payload.size(), back_++));
  SendToUpstream(AsText(payload));
}

// The server is to speak next.
void Session::SendToUpstream(std::string_view packet) {
  d_.upstream.Send(packet);
  server_is_due_ = true;
}

void Session::PassOk(Bytes payload) {
  std::optional<std::string> vouching = VouchForCertificate(payload);
  if (vouching) d_.Count(kVouchedLogins);
  PassToClient(vouching ? AsBytes(*vouching) : payload);
}

// A text of the server's own is about the server's certificate.
std::optional<std::string> Session::VouchForCertificate(Bytes payload) const {
  Fingerprint certificate;
  if (!d_.TlsActive(d_.client) || d_.Fingerprint(certificate.data()) != RUM_OK) return {};
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

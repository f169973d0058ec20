// Who the client is, and rum's own checks of it.
#include <algorithm>
#include <utility>

#include "mysql/admission.h"
#include "mysql/session.h"

namespace rum::mysql {

using dialogue::Reason;

namespace {

// MariaDB's, microseconds: before one was seen.
constexpr uint64_t kChangeDenial = 1'000'500;

}  // namespace

bool Session::TakeResponse(Bytes payload) {
  Parsed<Response> parsed = ParseResponse(payload, promised_);
  if (!parsed.ok()) {
    d_.Count(kClientFaults);
    return Refuse(BadHandshake(), RUM_CLOSE_CLIENT_PROTOCOL, parsed.why);
  }
  response_ = std::move(parsed.value);
  TakeName(response_.user, response_.charset, NameIn::kResponse);
  if (std::string_view name = CharsetOfNoClient(response_.charset); !name.empty()) {
    d_.Count(kClientFaults);
    return Refuse(CharsetNotForClients(name), RUM_CLOSE_CLIENT_PROTOCOL,
                  "the client requests a character set that servers refuse for clients");
  }
  // Some clients set flags that were not offered, and do not use them.
  greeted_as_mariadb_ = promised_ >> 32 && !ClientHas(kLongPassword);
  response_.capabilities &= promised_;
  with_password_ = ProvesSomething(response_.auth);
  if (!ClientHas(kProtocol41 | kSecureConnection)) {
    return Refuse(ClientTooOld(true), RUM_CLOSE_UNSUPPORTED,
                  "the client supports only passwords from before 4.1");
  }
  // A unix socket does not leave the machine; servers consider it safe as well.
  unix_client_ = ClientHost() == "localhost";
  if (d_.TlsMode(d_.client) == RUM_TLS_REQUIRE && !d_.TlsActive(d_.client) && !unix_client_) {
    return Refuse(TlsRequired(), RUM_CLOSE_DENIED, "the client did not use TLS");
  }
  return true;
}

// An invalid name may still come from a real client; it is refused like an unknown user.
bool Session::TakeName(std::string_view received, uint16_t charset, NameIn in) {
  Parsed<AccountName> account = FoldAccountName(received, charset, in);
  name_fault_ = account.why;
  if (account.ok()) {
    sent_name_ = std::move(account.value.sent);
    response_.user = std::move(account.value.name);
  } else {
    sent_name_ = response_.user = std::string(received);
  }
  return account.ok();
}

Session::ClientPeer Session::FindClientPeer() const {
  char text[128] = {};
  size_t size = d_.Peer(d_.client, text, sizeof text);
  std::string_view peer(text, std::min(size, sizeof text - 1));
  if (peer.starts_with("unix")) return {.host = "localhost", .port = {}};
  size_t colon = peer.rfind(':');
  std::string_view host = peer.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  std::string_view port = colon == peer.npos ? std::string_view() : peer.substr(colon + 1);
  return {.host = std::string(host), .port = std::string(port)};
}

bool Session::RewritesForClient() const {
  switch (config_.auth) {
    case AuthMode::kRelay:
      return false;
    case AuthMode::kRewrite:
      return true;
    case AuthMode::kAuto:
      break;
  }
  return !ClientHas(kPluginAuth);
}

bool Session::TakeRecord(Bytes value) {
  Parsed<Record> record = ParseRecord(value);
  if (!record.ok()) return RefuseFor(RUM_CLOSE_BAD_DESTINATION, record.why);
  known_ = true;
  stored_ = record.value.secret;
  public_key_ = std::move(record.value.public_key);
  destination_ = record.value.destination;
  return true;
}

bool Session::Admitted(Bytes record) {
  TakeVerdict(d_.Admit(AsText(record)), record);
  if (verdict_ == RUM_OK && rewriting_) verdict_ = d_.Confirm();  // rum has checked the proof
  return verdict_ == RUM_OK;
}

void Session::TakeVerdict(int32_t verdict, Bytes record) {
  verdict_ = verdict;
  disabled_text_.clear();
  if (verdict != RUM_REFUSED_DISABLED) return;
  disabled_text_ = dialogue::RecordParts(AsText(record)).Column("disabled").value_or("");
}

bool Session::RefusalIsHidden() const {
  return LooksLikeAWrongPassword(verdict_) && disabled_text_.empty();
}

ServerError Session::VerdictError() const {
  if (!disabled_text_.empty()) return UserDisabled(disabled_text_);
  return ErrorForVerdict(verdict_, response_.user);
}

bool Session::SendOwnSwitch() {
  std::optional<Nonce> nonce = MakeNonce();
  if (!nonce) return RefuseFor(RUM_CLOSE_MODULE, "the kernel gave no random bytes");
  nonce_ = *nonce;
  if (!logged_in_) scramble_ = nonce_;  // in a change of user, clients keep their nonce
  d_.client.Send(BuildNativeSwitch(nonce_, front_++));
  return true;
}

// Unknown users take the same steps, against a hash that no password has.
bool Session::JudgeToken(Bytes token) {
  password_hash_ = CheckToken(token, nonce_, stored_.value_or(Hash{}));
  return known_ && password_hash_ ? true : Deny();
}

// Waits as long as a server takes for this step. False: the session ends.
Task<bool> Session::Delay(Pace::Step step) {
  // Users who break a rule, or are refused in a change of user, must look like others of the same
  // server.
  const std::string* there = logged_in_ || !destination_.empty() ? &destination_ : nullptr;
  uint64_t picked = pace_.Pick(step, response_.user, there);
  if (picked == 0 && step == Pace::Step::kKeptDenial && !greeted_as_mysql_) picked = kChangeDenial;
  const uint64_t wait = pace_.Shorten(picked);
  if (wait == 0) co_return !d_.closed();
  const uint64_t due = d_.Now() + wait;
  Reason failed = co_await d_.SleepMicros(wait);
  if (!failed) {
    const uint64_t now = d_.Now();
    pace_.TimerWasLate(now - std::min(now, due));
  }
  co_return !d_.closed();  // without a timer, the client does not wait
}

void Session::NotePace(Pace::Step step) {
  pace_.Add(step, known_ ? response_.user : std::string_view(), destination_, d_.Now() - since_);
}

}  // namespace rum::mysql

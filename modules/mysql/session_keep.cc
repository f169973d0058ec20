// Kept connections (--mysql-reuse): what is done with the server when a client has left, so that
// the next one finds nothing of it. What is not proved to be clean is not kept.
#include <utility>

#include "mysql/capabilities.h"
#include "mysql/kept_server.h"
#include "mysql/own_login.h"
#include "mysql/session.h"

namespace rum::mysql {
namespace {

using dialogue::Event;
using dialogue::View;

constexpr uint8_t kPing = 0x0e;
constexpr uint8_t kSetOption = 0x1b;
constexpr uint16_t kMultiStatementsOn = 0, kMultiStatementsOff = 1;
constexpr uint16_t kUnknownCommand = 1047;
constexpr uint16_t kInTransaction = 0x0001;
constexpr uint8_t kErrorMark = 0xff, kEofMark = 0xfe;
constexpr uint8_t kUtf8Mb4 = 45;
// A client that asks something and leaves at once may still wait for the answer: then it does not
// end its side so soon.
constexpr uint64_t kEndsWithin = 50;  // ms
constexpr unsigned kOwnAnswersMost = 4;

// What is sent over the loopback interface does not leave the machine. With a port or without.
bool IsLoopback(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("[::1]") || address == "::1";
}

std::string BuildSetOption(uint16_t option) {
  return PacketWriter().WriteU8(kSetOption).WriteU16(option).Finish(0);
}

}  // namespace

// After the login: whether the connection may be kept when the client leaves.
bool Session::MayKeep() const {
  const bool can = !reuse_key_.empty() && kept_greeting_ && HasUpstream(kPluginAuth) &&
                   (upstream_capabilities_ & kNeverKept) == 0 &&
                   !(mariadb_upstream_ && HasUpstream(kInteractive));
  if (!can || !KeepsNonce()) return can;
  // A proof that somebody reads on a link would be good for the next login, too.
  const bool unread =
      (IsSafe(links().server) || IsLoopback(upstream_)) && (rewriting_ || ClientLinkIsPrivate());
  if (!unread) worker_.ProofsCanBeRead(config_);
  return unread;
}

bool Session::ClientLinkIsPrivate() const {
  return IsSafe(links().client) || IsLoopback(ClientHost());
}

// The client's packets go on unseen, but for what may be its last.
Script Session::WaitForLeave() {
  while (d_.client.ForwardUntil(kLeaveTail) == RUM_OK) {
    View bytes = co_await d_.client.Peek(1);
    if (!bytes) co_return;  // its end goes on as it is
    const size_t size = bytes.size();
    if (IsLeave(AsBytes(bytes.text()))) {
      const bool left = co_await HasLeft(size);
      if (left) {
        co_await Retire();
        co_return;
      }
      if (d_.closed()) co_return;
    }
    d_.client.Forward(size);
  }
  d_.Relay();
}

// Not while the server owes an answer: what looks like COM_QUIT may be the end of something long
// then, or the client waits for that answer. One that ends its side does neither.
Task<bool> Session::HasLeft(size_t size) {
  if (!TakesOwnUser()) co_return false;
  if (!d_.client.Answered()) {
    const Event event = co_await d_.First().Client(size + 1).After(kEndsWithin);
    if (event != Event::kEnded || !d_.client.ended() || d_.closed()) co_return false;
  }
  // Nobody finds it from here on; a KILL that has found it may be on its way still.
  HideFromKills();
  co_return !was_killed_;
}

bool Session::TakesOwnUser() const { return worker_.TakesOwnUser(upstream_, d_.Now()); }

// Brings the server's session back to its beginning, and keeps it. In each step nothing more is
// said than what the server has proved to be able to read as we mean it.
Script Session::Retire() {
  farewell_ = Farewell::kNone;
  flows_ = false;
  reported_ = true;
  const bool taken_back = d_.TakeBack(d_.upstream) == RUM_OK;
  if (!taken_back || d_.Part() != RUM_OK) {
    if (taken_back) SayQuit();
    Close(RUM_CLOSE_CLIENT, {});
    co_return;
  }
  const bool begins = co_await ProveBeginning();
  if (!begins) {
    d_.Count(kNotClean);
    if (!d_.closed() && !d_.upstream.ended()) co_await PassRest();
    Close(RUM_CLOSE_CLIENT, {});
    co_return;
  }
  const bool clean = co_await LeaveClean();
  if (!clean) d_.Count(kNotClean);
  bool own = false;
  if (clean) own = co_await BecomeOwnUser();
  std::optional<std::string> value;
  if (own) {
    value = WriteKeptServer({.greeting = *kept_greeting_, .in_force = upstream_capabilities_});
  }
  const auto& [most, idle, user, password] = config_.reuse;
  if (value && d_.Keep(reuse_key_, *value, most, idle) == RUM_OK) {
    d_.Count(kKeptConnections);
    co_return;
  }
  if (!d_.closed() && !d_.upstream.ended()) SayQuit();
  Close(RUM_CLOSE_CLIENT, {});
}

void Session::SayQuit() { d_.upstream.Send(PacketWriter().WriteU8(1).Finish(0)); }

// That the server stands at the beginning of a packet and owes nothing. A session in the middle of
// a packet swallows what we say, or answers something else: a client may have it swallow as much as
// it likes, and say what it likes before it, but does not know the mark. It stands at the very end
// of its statement, so that who has answered it has read all of that. What LeaveClean() reads the
// answers to is sent with it, because a round trip costs a server more than five commands: it may
// be swallowed, too, or be read as something else, but only by the client's own session. There is a
// way to have the server repeat a mark that it has swallowed together with what stands behind it.
// The answers to packets of their own, with their numbers, do not come then: hence a packet before
// the statements. Their own must not have a length that is a multiple of 256.
Task<bool> Session::ProveBeginning() {
  std::optional<std::string> mark = MakeMark();
  if (!mark) co_return false;
  d_.upstream.Send(BuildQuery("rum " + *mark, HasUpstream(kQueryAttributes)) + BuildCleaning());
  // Not consumed, if it is something else: it is the client's.
  Frame frame;
  for (size_t wanted = kHeaderSize; wanted > 0;) {
    View bytes = co_await d_.upstream.Peek(wanted);
    if (!bytes) co_return false;
    frame = ReadFrame(AsBytes(bytes.text()), 1);
    wanted = frame.kind == Frame::Kind::kPartial ? frame.size : 0;
  }
  const bool marked = frame.kind == Frame::Kind::kWhole && RepeatsMark(frame.payload, *mark);
  if (!marked) co_return false;
  d_.upstream.Consume(frame.size);
  co_return true;
}

// What a change of the user leaves as it was: roles and profiles of MariaDB, the optimizer's trace
// of MySQL, how long the server waits for a client that does not read, FOUND_ROWS(), and whether
// there may be several statements at once. And init_connect would not be run for the next client,
// so a server that has one is left alone: the sum is out of range then, also where the client has
// had the empty string taken for NULL. No user variable is set: MariaDB maps memory for a session's
// first one and unmaps it at the change of the user, which can cost more than all the rest.
std::string Session::BuildCleaning() const {
  std::string all = BuildSetOption(kMultiStatementsOn);
  std::string text =
      "SET last_insert_id = 0 & ~0 + IF(@@global.init_connect = '', 0, 1), "
      "net_write_timeout = DEFAULT, net_retry_count = DEFAULT";
  if (mariadb_upstream_) {
    text.insert(0, "SET ROLE NONE; ");
  } else {
    text += ", optimizer_trace = 'enabled=off', optimizer_trace_offset = -2";
  }
  text += "; SELECT 1 FROM DUAL LIMIT 0; SHOW PROFILES";
  all += BuildQuery(text, HasUpstream(kQueryAttributes));
  if (!HasUpstream(kMultiStatements)) all += BuildSetOption(kMultiStatementsOff);
  return all;
}

// The status of an answer shows a transaction that XA has prepared, which a change of the user
// would damage: so all answers come before it.
Task<bool> Session::LeaveClean() {
  const bool may_say_several = co_await HasSetOption();
  if (!may_say_several) co_return false;
  std::optional<uint16_t> status;
  back_ = 1;
  for (int i = mariadb_upstream_ ? 2 : 1; i > 0; --i) {
    Payload said = co_await ReadAnswerTo(back_);
    if (said) status = StatusOf(*said);
    if (!said || !status) co_return false;
  }
  const std::optional<bool> nothing = co_await HasRows();
  if (!nothing) co_return false;
  const std::optional<bool> profiles = co_await HasRows();
  if (!profiles) co_return false;
  if (!HasUpstream(kMultiStatements)) {
    const bool may_not = co_await HasSetOption();
    if (!may_not) co_return false;
  }
  if (*status & kInTransaction) {
    const bool idle = co_await RollBack();
    if (!idle) co_return false;
  }
  if (!*profiles) co_return true;
  co_return co_await ForgetProfiles();
}

Task<bool> Session::HasSetOption() {
  Payload said = co_await ReadAnswerTo();
  const bool is_set = said && !said->empty() && ((*said)[0] == 0 || (*said)[0] == kEofMark);
  co_return is_set;
}

// Whether the next result has rows: after the number of columns come the columns, an EOF unless it
// is left out, rows, and the end.
Task<std::optional<bool>> Session::HasRows() {
  constexpr unsigned kPacketsMost = 128;  // a session has 100 profiles at most
  constexpr std::string_view kColumn = "\3def";
  bool rows = false;
  int ends = HasUpstream(kDeprecateEof) ? 1 : 2;
  Payload said = co_await ReadAnswerTo(back_);
  for (unsigned i = 0; i < kPacketsMost; ++i) {
    const uint8_t first = said && !said->empty() ? (*said)[0] : kErrorMark;
    if (first == kErrorMark || (i == 0 && first == 0)) co_return std::nullopt;
    if (first == kEofMark && --ends == 0) co_return rows;
    rows |= i > 0 && first != kEofMark && !AsText(*said).starts_with(kColumn);
    said = co_await ReadAnswerTo(back_);
  }
  co_return std::nullopt;
}

// They go at the end of a statement that is profiled: one that begins and ends with profiling on.
Task<bool> Session::ForgetProfiles() {
  const bool attributes = HasUpstream(kQueryAttributes);
  d_.upstream.Send(BuildQuery("SET profiling = 1, profiling_history_size = 0", attributes) +
                   BuildQuery("SET profiling = 1", attributes) +
                   BuildQuery("SET profiling = 0", attributes));
  for (int i = 0; i < 3; ++i) {
    Payload said = co_await ReadAnswerTo();
    const bool ok = said && StatusOf(*said).has_value();
    if (!ok) co_return false;
  }
  co_return true;
}

// What it cannot roll back is XA's, and stays what it is.
Task<bool> Session::RollBack() {
  d_.upstream.Send(BuildQuery("ROLLBACK", HasUpstream(kQueryAttributes)) +
                   PacketWriter().WriteU8(kPing).Finish(0));
  Payload said = co_await ReadAnswerTo();
  const bool ok = said && StatusOf(*said).has_value();
  if (!ok) co_return false;
  Payload ping = co_await ReadAnswerTo();
  std::optional<uint16_t> status;
  if (ping) status = StatusOf(*ping);
  const bool idle = status && (*status & kInTransaction) == 0;
  co_return idle;
}

// One packet, the first answer to a command, or the one with this number.
Task<Payload> Session::ReadAnswerTo(uint8_t number) {
  back_ = number;
  Frame frame;
  PacketParser parser{back_, &frame};
  View packet = co_await d_.upstream.Frame(parser, kHeaderSize);
  if (!packet) co_return std::nullopt;
  ++back_;
  co_return frame.payload;
}

// Of an OK packet; nothing: it is another one.
std::optional<uint16_t> Session::StatusOf(Bytes payload) const {
  Reader reader(payload);
  if (reader.ReadU8() != 0) return std::nullopt;
  reader.ReadLength();
  reader.ReadLength();
  const uint16_t status = reader.ReadU16();
  return reader.ok() ? std::optional(status) : std::nullopt;
}

// Where KeepsNonce(), the proof is sent at once, as no plugin of MariaDB but mysql_native_password
// can be answered here.
Task<bool> Session::BecomeOwnUser() {
  OwnLogin login(*config_.reuse.password, IsSafe(links().server));
  ChangeUser change;
  change.user = config_.reuse.user;
  change.charset = kUtf8Mb4;
  change.plugin = no_plugin_;
  std::string all = BuildChangeUser(change, upstream_capabilities_);
  std::optional<std::string> proof;
  if (KeepsNonce()) proof = login.Prove(kept_greeting_->nonce);
  if (proof) all += BuildChangeProof(*proof);
  d_.upstream.Send(all);
  Wipe(&all);
  back_ = 1;
  std::string why =
      "it asks for a plugin other than mysql_native_password and "
      "caching_sha2_password";
  for (unsigned answers = 0; answers <= kOwnAnswersMost;) {
    Frame frame;
    PacketParser parser{back_, &frame};
    View packet = co_await d_.upstream.Frame(parser, kHeaderSize);
    if (!packet) co_return false;
    ++back_;
    const ReplyKind kind = KindOfReply(frame.payload);
    if (kind == ReplyKind::kOk) co_return true;
    if (kind == ReplyKind::kFastAuthOk) continue;
    if (kind == ReplyKind::kError) {
      Parsed<ServerError> error = ParseError(frame.payload);
      // The client has failed so often to change its user that MariaDB lets nobody do it here.
      if (error.value.code == kUnknownCommand) co_return false;
      why = "error " + std::to_string(error.value.code);
      break;
    }
    std::optional<std::string> answer = login.Answer(frame.payload);
    if (!answer) break;
    ++answers;
    const bool sent = proof == answer;
    if (!sent) {
      if (proof) break;
      d_.upstream.Send(BuildHeader(answer->size(), back_));
      d_.upstream.Send(*answer);
    }
    ++back_;
    Wipe(&*answer);
  }
  worker_.OwnUserRefused(upstream_, d_.Now(), why);
  co_return false;
}

// What the server still owed the client, which may have asked before it left.
Script Session::PassRest() {
  SayQuit();
  for (;;) {
    View bytes = co_await d_.upstream.Peek(1);
    if (!bytes) co_return;
    if (d_.client.Send(bytes.text()) != RUM_OK) co_return;
    d_.upstream.Consume(bytes.size());
  }
}

}  // namespace rum::mysql

// One login as a script: reads the Startup, finds the server, relays the authentication or checks
// the password by the secret in the map, and starts the relay. session.cc has it from top to
// bottom.
#pragma once

#include <cstdint>
#include <optional>
#include <rum/dialogue.hpp>
#include <string>
#include <string_view>

#include "pgsql/config.h"
#include "pgsql/message.h"
#include "pgsql/metrics.h"
#include "pgsql/own_errors.h"
#include "pgsql/scram.h"
#include "pgsql/secret.h"
#include "pgsql/startup.h"
#include "pgsql/worker.h"

namespace rum::pgsql {

using dialogue::Dialogue;
using dialogue::Script;
using dialogue::Side;
using dialogue::Task;

// The protocol's name in ALPN.
constexpr std::string_view kAlpn = "postgresql";

// [worker], as all of this file. `config` and `worker` outlive it.
Script Login(Dialogue& d, const Config& config, Worker& worker);
// Leads a refused client through TLS and its Startup: before that, clients do not show an error, or
// retry without TLS.
Script Refused(Dialogue& d, const Config& config, Worker& worker, dialogue::Reason reason);

// For Side::Frame(). After a failed wait `frame` says whether the bytes were no message.
struct MessageParser {
  Frame* frame;
  dialogue::Parse operator()(std::string_view bytes) const {
    *frame = ReadFrame(bytes);
    if (frame->kind == Frame::Kind::kPartial) return dialogue::Parse::Need(frame->size);
    return frame->kind == Frame::Kind::kWhole ? dialogue::Parse::Whole(frame->size)
                                              : dialogue::Parse::Bad();
  }
};

// A message, valid until the next co_await. nullopt: none came, and the login has ended.
using MaybeMessage = std::optional<Message>;

// What the parts of a login share; it lives in the frame of Login(). A result of false or nullopt
// means that the script must return: either the error was sent, or a wait has failed and
// SayLastWords() sends it.
class Session {
 public:
  Session(Dialogue& d, const Config& config, Worker& worker)
      : d_(d), config_(config), worker_(worker) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Script Run();
  Script Refuse(dialogue::Reason reason);
  // Sends the error of a session that ends before the relay, unless it was sent.
  void SayLastWords();

 private:
  // The steps of a login (session.cc).
  Task<bool> ReadStartup();
  Task<bool> ReadFirstPacket(FirstPacket::Kind* kind, bool may_be_tls);
  bool TakeStartup();
  Task<bool> PassCancel();
  Task<bool> Route();
  Task<bool> AdmitKnown(bool names_user);
  Task<bool> Connect();
  Task<bool> MeetServer();
  Task<bool> Enter();

  // TLS on both sides (session_tls.cc).
  enum class Wish : uint8_t { kNo, kIfOffered, kMust };
  Task<bool> StartClientTls();
  Task<bool> StartDirectTls();
  Wish WishForTls() const;
  Task<bool> StartUpstreamTls(Wish wish);
  bool BindsToAnotherCertificate() const;

  // Client and server agree on a proof, and rum passes it on (session_relay.cc).
  Task<bool> Authenticate();
  Task<bool> LetAgree();
  bool PassRequest(const Message& message);
  bool PassMechanisms(const AuthRequest& request, const Message& message);
  Task<bool> PassAnswer();
  bool JudgeMechanism(std::string_view body);
  bool MayAskForPassword();

  // The client proves its password to rum, and rum to the server (session_stored.cc).
  bool TakeSecret();
  Task<bool> ProveToRum();
  Task<bool> ProveByMd5();
  Task<bool> ProveByScram(ScramEdge& edge, bool known);
  Task<bool> RefuseAsUnknown();
  Task<bool> Delay(Pace::Step step);
  void Negotiate();
  Task<bool> LogIn();
  bool AnswerServer(const AuthRequest& request);
  bool RefuseByFault(ScramFault fault);        // of the client
  bool RefuseByFault(ScramBack::Fault fault);  // of the server
  bool RefuseOtherVerifier(std::string_view why);
  bool RefuseOtherMethod(std::string_view method);
  bool RefuseOrPass(const Message& message);
  bool DenyPassword();

  // One message each; the proof of a password is read when it is this client's turn.
  Task<MaybeMessage> ReadClient(bool proof);
  Task<MaybeMessage> ReadServer();

  // The server has accepted the login (session.cc).
  bool Accept();
  void KeepCancelKey(std::string_view body);

  // Ends of a login (session_end.cc). All return false.
  bool Refuse(const OwnError& error, uint32_t reason, std::string_view log_text);
  bool RefuseFor(uint32_t reason, std::string_view log_text);
  bool RefuseByVerdict(int32_t verdict);
  bool RefuseServer(std::string_view log_text);  // it broke the protocol
  bool RefuseClient(std::string_view log_text);  // 08P01
  bool RefuseRequest(std::string_view code);     // for TLS or GSSAPI, a second time
  bool PassError(const Message& message);
  bool Close(uint32_t reason, std::string_view log_text);

  bool ClientHasTls() const { return d_.TlsActive(d_.client); }
  bool ServerHasTls() const { return d_.TlsActive(d_.upstream); }
  std::string PeerOf(const Side& side) const;

  Dialogue& d_;
  const Config& config_;
  Worker& worker_;

  bool reported_ = true;  // no error to send: the client has one, or cannot read one yet
  bool flows_ = false;    // the relay has begun: no error can be sent
  bool refused_ = false;  // by rum, before the login began
  bool authenticated_ = false;
  bool unix_client_ = false;
  bool unix_upstream_ = false;
  bool asked_for_tls_ = false;  // of the server, inside the protocol
  bool known_ = false;          // the map has a record of the client
  bool client_is_due_ = false;  // the server waits for an answer
  bool proof_passed_ = false;   // the client's proof went to the server
  bool has_key_ = false;        // the server has sent the session's key for cancels
  size_t server_said_ = 0;      // bytes of the server's messages
  std::optional<Auth> asked_;   // what the server asked for last
  uint64_t since_ = 0;          // start of the step that is measured for Pace
  Metric method_ = kTrustLogins;

  std::string packet_;  // the Startup, as it came, or a packet before it
  Startup startup_;
  std::string record_;  // from the map
  std::string destination_;

  // From the map, and what the client has proved with it. The map's verifier is needed on both
  // links.
  std::optional<ScramVerifier> verifier_;
  std::optional<Md5Hash> md5_;
  std::optional<Key> client_key_;
  std::string server_final_;  // for the client, once the server has accepted the login
  std::optional<ScramBack> back_;
  bool server_proved_ = false;
};

// Sends a CancelRequest to the server of its session (cancel.cc). `id_and_key` outlives it.
Script Cancel(Dialogue& d, Worker& worker, std::string_view id_and_key);

}  // namespace rum::pgsql

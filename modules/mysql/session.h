// One login: greets the client, learns who it is and where it goes, lets client and server agree or
// rewrites the proof of the password, watches the client's first packets or all of them, and steps
// aside. Lives until both ways are relayed.
#pragma once

#include <rum/module.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mysql/account_name.h"
#include "mysql/auth.h"
#include "mysql/commands.h"
#include "mysql/config.h"
#include "mysql/conversation.h"
#include "mysql/exchange.h"
#include "mysql/fleet.h"
#include "mysql/handshake.h"
#include "mysql/metrics.h"
#include "mysql/own_errors.h"
#include "mysql/own_key.h"
#include "mysql/pace.h"
#include "mysql/packet.h"
#include "mysql/record.h"
#include "mysql/rsa.h"

namespace rum::mysql {

class Session final : public Conversation {
 public:
  // All of them outlive the session. [worker], as everything here.
  Session(const rum_host& host, rum_session* handle, const Config& config, Pace* pace,
          Fleet::View& view);
  ~Session() override;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Greets the client; false when that is not possible.
  [[nodiscard]] bool Open(uint32_t connection_id);

  int64_t OnClientData(Bytes bytes) override;
  int64_t OnUpstreamData(Bytes bytes) override;
  void OnLookedUp(int32_t status, Bytes value) override;
  void OnUpstreamOpen(uint32_t reason) override;
  void OnTlsOpen(uint32_t side, int32_t status) override;
  int32_t OnSideEnd(uint32_t side) override;
  void OnTimeout(uint64_t ticket) override;
  void OnResumed(int32_t status) override;
  void OnClose(uint32_t reason) override;

  bool relaying() const override { return state_ == State::kRelaying; }

 private:
  // What is owned in every state: the nonce and the sequence numbers. From kAwaitMap on the
  // client's response too. Each state may be left to kClosed by an error, by either side or by rum.
  enum class State : uint8_t {
    kAwaitResponse,     // greeted; left when the client's response is whole
    kAwaitTls,          // the client asked for TLS; left to kAwaitResponse when it is there
    kAwaitMap,          // a look-up is under way; left by its answer
    kAwaitTurn,         // paused: others of the address are under way; left by the end of that
    kAwaitToken,        // rum itself asked the client to switch; left by the client's answer
    kAwaitConnect,      // a connection is under way; left by its outcome
    kAwaitGreeting,     // an upstream is there; left by its greeting, then the response is let go
    kAwaitUpstreamTls,  // rum asked the upstream for TLS; left when it is there
    kAwaitChangeMap,    // another user is to come, and is looked up; left by the answer
    kAwaitQuiet,        // the server is to show that it owes no answer; left by what it says
    kAwaitVerdict,      // the server is to speak; left by OK, ERR, or what the client must answer
    kAwaitAnswer,       // the client is to answer; left by one packet of it
    kAwaitServerKey,    // the client's password is held; left by the server's public key
    kAwaitOwnKey,       // paused until rum has a key for the server; left by the end of the pause
    kAwaitCipher,       // the client has rum's key; left by the password under it
    kDelaySwitch,       // an unknown user, or one whom rum does not let a session become, waits
                        // for its switch; left by a timer
    kDelayDenial,       // such a user has answered it; left by a timer
    kWatching,  // logged in: the server's bytes flow, the client's are seen; left when enough
                // packets were, or by COM_CHANGE_USER to kAwaitVerdict
    kRelaying,  // logged in: nothing is owned
    kClosed,    // close() was called
  };

  // What must be said to the upstream before it is left: a server counts clients that break off a
  // login, and shuts out the whole proxy after max_connect_errors of them.
  enum class Farewell : uint8_t {
    kNone,
    kResponse,  // it has greeted or will: a response of nobody, and an empty answer to its switch
    kAnswer,    // the login is under way: an empty answer
    kQuit,      // it has logged us in
  };

  // The client's side.
  void TakeResponse(Bytes payload);
  void BeginClientTls();
  // From here on response_.user is the name that the server will use.
  bool TakeName(std::string_view received, uint16_t charset, NameIn in);
  // No server has this user, or not each the same.
  bool HasName() const { return name_fault_ == nullptr; }
  // MySQL would cut the name, and look for another account.
  bool ServerCutsName() const;
  static constexpr char kCutName[] = "the user name is longer than MySQL takes";
  void LookUpUser();
  void TakeToken(Bytes payload);

  // Ways to go on once it is known who the client is.
  void GoOnUnknown();
  void GoOnKnown(Bytes record);
  void DemandToken();
  // RUM_OK, RUM_REFUSED_..., or RUM_E_AGAIN: asked again when the pause is over.
  int32_t MayProve();
  void RefuseAsVerdict();
  // The user has proved to be who rum admitted. False: no place is left, and the client is refused.
  bool Confirmed();
  void JudgeToken(std::string_view token);
  void SendOwnSwitch();
  void Deny();
  // What an unknown user sees: the steps and the error of a wrong password.
  void RefuseAsUnknown();
  // Asks rum whether the user may come in; false: the client is refused. Empty: of a user that the
  // map does not know.
  bool Admitted(Bytes record);
  bool Connect(std::string_view destination);

  // The upstream's side.
  void TakeGreeting(Bytes payload);
  bool PrepareResponse();  // outgoing_; false: the client is refused
  void Respond();
  bool WantsUpstreamTls() const;
  std::string RemedyFor(const Greeting& greeting) const;
  void TellWhoTheClientIs(std::string_view user, std::string* attributes) const;
  void TakeVerdict(Bytes payload);
  void TakeOk(Bytes payload);
  bool PutsDatabaseOff(const std::string& name, uint64_t capabilities) const;
  void ChooseDatabase();
  void PassError(Bytes payload);
  void NoteDenial();
  void LeaveUpstream();
  // The client has gone.
  void GoOnAlone();
  void RespondAsNobody();
  bool AnswerWrongly();  // false: nothing is to be said
  void TakeVerdictAlone(ReplyKind kind, Bytes payload);

  // What server and client say to each other about the password (session_auth.cc).
  void TakePluginRequest(Bytes payload);
  void TakeMore(Bytes payload);
  void TakeAnswer(Bytes payload);
  void AnswerInPlace();
  void AskForServerKey(Bytes password);
  void TakeServerKey(Bytes payload);
  void OfferOwnKey();
  void SendOwnKey();
  void TakeCipher(Bytes payload);
  void RefuseClearText();
  void PassOk(Bytes payload);
  // Nothing: the OK is passed on as it came.
  std::optional<std::string> VouchForCertificate(Bytes ok) const;
  Links links() const {
    return {.client = LinkOf(RUM_CLIENT, unix_client_),
            .server = LinkOf(RUM_UPSTREAM, unix_upstream_)};
  }
  Link LinkOf(uint32_t side, bool is_unix) const {
    return TlsActive(side) ? Link::kTls : is_unix ? Link::kUnix : Link::kOpen;
  }

  // After the login (session_watch.cc).
  [[nodiscard]] bool LetFlow();
  bool ExposedByChangeUser() const;
  bool MustWatchToTheEnd() const;
  bool KeepsForeignNonce() const;
  int64_t WatchClient(Bytes bytes);
  bool GoesOnAsItIs(const ClientPacket& packet) const;
  int64_t TakeWatched(const ClientPacket& packet);
  bool WatchesOn();  // after one more packet
  void StopWatching();
  bool TranslateKill(Bytes payload);
  void TakeChangeUser(Bytes payload);
  void LookUpNewUser();
  void JudgeChange(int32_t status, Bytes record);
  void RefuseChange();
  // Asks rum whether the session may go on as this user, whom it counts for then.
  int32_t AdmitAnew(std::string_view user, Bytes record);
  void CountForFormerUser();
  void AskForQuiet();
  void TakeQuiet(Bytes payload);
  void RefuseUnquiet();
  void SendChangeUser();
  void GoOnAsBefore(const ServerError& error);
  // The token for the server's nonce, when the one of the client is for the nonce that it keeps.
  std::optional<Hash> TranslateToken(Bytes token, const Nonce& server_nonce) const;
  // The server may let this user in without a proof, or after a wrong one, since rum's system user
  // is called so: why the log says that it was refused. nullptr: it may not.
  const char* WhySystemUser() const;

  // Whether a wrong password of this client is found by rum, whoever it says it is: known and
  // unknown users must see the same.
  bool RewritesForClient() const;
  bool TlsActive(uint32_t side) const { return tls_ && tls_->active(handle_, side) == 1; }
  int32_t TlsMode(uint32_t side) const { return tls_ ? tls_->mode(handle_, side) : RUM_TLS_OFF; }
  bool ClientHas(uint64_t bits) const { return (response_.capabilities & bits) == bits; }
  bool Compresses() const { return (response_.capabilities & kCompresses) != 0; }
  bool HasUpstream(uint64_t bits) const { return (upstream_capabilities_ & bits) == bits; }
  bool TellsClientFacts() const {
    return config_.client_attributes && HasUpstream(kConnectAttributes);
  }
  uint64_t Now() const;  // microseconds
  void DelayAs(Pace::Step step, State state);
  void NotePace(Pace::Step step);
  struct ClientPeer {
    std::string host;  // "localhost" for a unix socket, as servers call it
    std::string port;  // empty there
  };
  ClientPeer FindClientPeer() const;
  std::string ClientHost() const { return FindClientPeer().host; }
  ServerError Denied() const;  // 1045, for the present user

  void Send(uint32_t side, std::string_view packet);
  void PassToClient(Bytes payload);
  void PassToUpstream(Bytes payload);
  void WaitFor(uint32_t side, size_t size);
  void Note(const char* key, std::string_view value);
  void Count(Metric metric);
  // Tells the client and ends the session.
  void Refuse(const ServerError& error, uint32_t reason, std::string_view log_text);
  void RefuseFor(uint32_t reason, std::string_view log_text);
  // The same once the server has greeted, by the client's doing: the server is waited for.
  void RefuseAfterGreeting(const ServerError& error, uint32_t reason, std::string_view log_text);
  void Close(uint32_t reason, std::string_view log_text);

  const rum_host& host_;
  const rum_tls* const tls_;        // nullptr: this rum has none
  const rum_limits* const limits_;  // the same
  const rum_clock* const clock_;    // the same
  rum_session* const handle_;
  const Config& config_;
  Pace& pace_;
  Fleet& fleet_;
  Fleet::View& view_;

  State state_ = State::kAwaitResponse;
  Farewell farewell_ = Farewell::kNone;
  // The sequence numbers that are due next on each side, whoever sends.
  uint8_t front_ = 0;
  uint8_t back_ = 0;

  bool reported_ = false;       // the client has its ERR
  bool known_ = false;          // the map has the user
  bool rewriting_ = false;      // the token was checked, or is to be
  bool with_password_ = false;  // the client's last proof was not empty
  bool proof_passed_ = false;   // one that was not has gone to the server
  bool client_left_ = false;    // in the middle of the login, which is ended for it
  bool unix_upstream_ = false;
  bool mariadb_upstream_ = false;
  bool asked_for_tls_ = false;  // the server, inside the protocol
  bool switched_ = false;       // the server has asked for another plugin

  bool unix_client_ = false;

  bool greeted_as_mysql_ = false;    // by the version in our greeting
  bool greeted_as_mariadb_ = false;  // the client goes by MariaDB's further capabilities
  uint64_t promised_ = 0;            // the capabilities in our greeting
  Nonce nonce_{};                    // the last one that rum gave to the client
  Nonce scramble_{};  // the last one that a client keeps: by rum, or for the native plugin
  Greeting upstream_greeting_;              // until our response is prepared
  std::optional<Response> outgoing_;        // our response, until it is sent
  std::string_view no_plugin_ = kNoPlugin;  // what has the server ask for the account's plugin
  Response response_;                       // capabilities are those in force on the client's side
  std::string sent_name_;                   // response_.user in the client's character set
  const char* name_fault_ = nullptr;        // why response_.user is what was received, and no name
  std::string destination_;                 // of the user's record
  std::string record_;                      // of the map, until the token was judged
  int32_t verdict_ = RUM_OK;                // of admit()
  std::optional<Hash> stored_;              // SHA1(SHA1(password)) from the map
  std::optional<PublicKey> public_key_;     // from the map
  std::optional<Hash> password_hash_;       // SHA1(password): wiped as soon as it was used
  Exchange exchange_;
  unsigned answered_ = 0;               // the plugin of the exchange, by whomever
  std::optional<Secret> password_;      // only in kAwaitServerKey
  OwnKeys::Key own_key_;                // only in kAwaitCipher: the one that the client was given
  uint32_t connection_id_ = 0;          // in rum's greeting
  uint32_t thread_id_ = 0;              // in the server's
  Nonce upstream_nonce_{};              // the same
  uint64_t upstream_capabilities_ = 0;  // in force toward the server
  std::string upstream_;                // the server's address
  uint32_t refused_for_ = 0;            // the client has been told, the server is waited for
  std::string refused_text_;            // for the log
  std::string database_;                // put off until the server has let the client in
  std::string ok_;                      // the login's, while the database is chosen
  CommandReader commands_;
  std::optional<ChangeUser> change_;  // until it is sent
  std::string former_user_;           // while a change is under way
  std::string mark_;                  // only in kAwaitQuiet
  std::string login_user_;            // once logged in: whom the log names
  bool logged_in_ = false;            // once, and perhaps anew
  bool watched_to_the_end_ = false;
  uint8_t watched_packets_ = 0;
  uint64_t since_ = 0;  // when the step began that the pace is taken of
  uint64_t due_ = 0;    // when the timer is
  uint64_t timer_ = 0;
};

}  // namespace rum::mysql

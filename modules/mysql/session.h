// One login as a script: greets the client, identifies it and its destination, relays the
// authentication between client and server or rewrites the password's proof, watches the client's
// first packets or all of them, and then leaves the session to the relay. session.cc has it in
// order.
#pragma once

#include <cstdint>
#include <optional>
#include <rum/dialogue.hpp>
#include <string>
#include <string_view>

#include "mysql/account_name.h"
#include "mysql/auth.h"
#include "mysql/commands.h"
#include "mysql/config.h"
#include "mysql/exchange.h"
#include "mysql/fleet.h"
#include "mysql/handshake.h"
#include "mysql/metrics.h"
#include "mysql/own_errors.h"
#include "mysql/pace.h"
#include "mysql/packet_parser.h"
#include "mysql/record.h"
#include "mysql/worker.h"

namespace rum::mysql {

using dialogue::Dialogue;
using dialogue::Script;
using dialogue::Side;
using dialogue::Task;

// [worker], like all of this file. `config` and `worker` outlive it.
Script Login(Dialogue& d, const Config& config, Worker& worker);

// The state that all parts of a login share; it lives in the frame of Login(). Functions that
// return bool or a Payload return false or nullopt if the script must return: the login has ended,
// and either all messages have been sent, or a wait has failed and SayLastWords() sends what is
// due.
class Session {
 public:
  Session(Dialogue& d, const Config& config, Worker& worker);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Script Run();
  // Sends what client and server must still receive when a session ends before it flows.
  void SayLastWords();

 private:
  // What the upstream must receive before it is left: a server counts clients that break off a
  // login, and blocks the whole proxy after max_connect_errors of them.
  enum class Farewell : uint8_t {
    kNone,
    kResponse,  // it has greeted or will: a response for kNobody, an empty answer to its switch
    kAnswer,    // the login is under way: send an empty answer
    kQuit,      // the login has succeeded
  };
  // Whether the next packet is a proof of the password.
  enum class Proof : uint8_t {
    kPerhaps,  // only if rum checks it, which depends on the map's answer
    kYes,      // rum decides when this client may log in
  };

  // The steps of a login (session.cc).
  bool Greet();
  Task<bool> ReadResponse();
  Task<bool> StartClientTls();
  Task<bool> Route();
  Task<bool> AdmitKnown(Bytes record);
  Task<bool> ProveToRum();
  Task<bool> RefuseByVerdict();
  Task<bool> RefuseAsUnknown();
  Task<bool> PretendToAsk();
  Task<bool> Connect();
  Task<bool> MeetServer();
  Task<bool> StartUpstreamTls();
  Task<Payload> Authenticate(Payload said = std::nullopt);
  Task<bool> Enter(Bytes ok);
  Task<bool> ChooseDatabase();

  // One packet each.
  Task<Payload> ReadClient(Proof proof);
  Task<Payload> ReadServer();

  // Who the client is, and rum's own checks of it (session_client.cc).
  bool TakeResponse(Bytes payload);
  // From here on, response_.user is the name that the server uses.
  bool TakeName(std::string_view received, uint16_t charset, NameIn in);
  // No server has this user, or not all servers treat the name alike.
  bool HasName() const { return name_fault_ == nullptr; }
  // MySQL would cut the name and use another account.
  bool ServerCutsName() const {
    return !mariadb_upstream_ && response_.user.size() > kNameMySqlKeeps;
  }
  static constexpr char kCutName[] = "the user name is longer than MySQL takes";
  // Whether rum itself detects a wrong password of this client, for any user name: known and
  // unknown users must look the same.
  bool RewritesForClient() const;
  bool TakeRecord(Bytes value);
  // Asks rum to admit the user; empty: one that is not in the map.
  bool Admitted(Bytes record);
  // `record`: that of the user, for the text of a disabled one.
  void TakeVerdict(int32_t verdict, Bytes record);
  bool RefusalIsHidden() const;
  ServerError VerdictError() const;
  bool SendOwnSwitch();
  bool JudgeToken(Bytes token);
  Task<bool> Delay(Pace::Step step);
  void NotePace(Pace::Step step);

  // Our response to the server's greeting (session_response.cc).
  bool TakeGreeting(Bytes payload);
  bool PrepareResponse();  // outgoing_; false: the client is refused
  Response TakeOutgoing(uint64_t in_force);
  bool FitsClient();
  bool WantsUpstreamTls() const;
  std::string RemedyFor(const Greeting& greeting) const;
  bool PutsDatabaseOff(const std::string& name, uint64_t capabilities) const;
  bool Respond();
  void AddClientFacts(std::string_view user, std::string* attributes) const;

  // The exchange of server and client about the password (session_auth.cc).
  bool PassPluginRequest(Bytes payload);
  bool PassMore(Bytes payload);
  Task<bool> PassAnswer();
  Task<Payload> ReadAnswer();
  Task<bool> HearOutOfTurn();
  bool PassProof(Bytes answer);
  bool AnswerInPlace();
  Task<bool> EncryptPasswordForServer(Bytes password);
  Task<bool> OfferOwnKey();
  bool RefuseClearText();
  void PassOk(Bytes payload);
  // nullopt: pass the OK on unchanged.
  std::optional<std::string> VouchForCertificate(Bytes ok) const;

  // After the login (session_watch.cc).
  bool LetFlow();
  Script Watch();
  // What nobody else knows, for the server to repeat. Nothing: the kernel gave no random bytes.
  static std::optional<std::string> MakeMark();
  static bool RepeatsMark(Bytes payload, std::string_view mark);
  size_t CountPlain(Bytes bytes, ClientPacket* next);
  bool GoesOnAsItIs(const ClientPacket& packet) const;
  bool WatchesOn();  // for one more packet

  // KILL (session_kill.cc).
  // From here on KILLs find the session by its id, or no longer do.
  void ShowToKills();
  void HideFromKills();
  std::optional<uint32_t> FindTarget(const std::string& key) const;
  Task<bool> PassKill(ClientPacket packet, std::string whole);

  // Change of user (session_watch.cc).
  bool ExposedByChangeUser(Links links) const;
  bool MustWatchToTheEnd() const;
  bool KeepsForeignNonce() const;
  Task<bool> ChangeUserBy(ClientPacket packet);
  bool TakeChangeUser(Bytes payload);
  Task<bool> AdmitNewUser();
  Task<bool> RefuseChange();
  // Asks rum whether the session may continue as this user; it then counts for that user.
  int32_t AdmitAnew(std::string_view user, Bytes record);
  void KeepSecretOf(Bytes record);
  Task<bool> AskForQuiet();
  bool RefuseUnquiet();
  void SendChangeUser();
  bool GoOnAsBefore(const ServerError& error);
  // The token for the server's nonce, if the client's token was for the nonce that it keeps.
  std::optional<Hash> TranslateToken(Bytes token, const Nonce& server_nonce) const;
  // Why the log says that this user was refused: the server may admit it without a proof or after a
  // wrong one, as it is named like rum's system user. nullptr: no such user.
  const char* WhySystemUser() const;

  // Kept connections (session_take.cc, session_keep.cc).
  bool MayReuse() const;
  std::string FindReuseKey() const;
  void WantKept();
  bool SpendKept() const;
  Task<Payload> ChangeOver(const std::string& value);
  bool SendChangeOver(uint64_t in_force);
  bool KeepsNonce() const;
  bool TakesSentProof(Bytes payload);
  Task<Payload> AnswerForClient(Bytes payload);
  Task<bool> RenewServer();
  bool MayKeep() const;
  bool ClientLinkIsPrivate() const;
  Script WaitForLeave();
  Task<bool> HasLeft(size_t size);
  bool TakesOwnUser() const;
  Script Retire();
  Task<bool> ProveBeginning();
  std::string BuildCleaning() const;
  Task<bool> LeaveClean();
  Task<bool> HasSetOption();
  Task<std::optional<bool>> HasRows();
  Task<bool> ForgetProfiles();
  Task<bool> RollBack();
  Task<Payload> ReadAnswerTo(uint8_t number = 1);
  std::optional<uint16_t> StatusOf(Bytes payload) const;
  Task<bool> BecomeOwnUser();
  Script PassRest();
  void SayQuit();

  // Ends of a login (session_end.cc). Those that return bool return false.
  // Tells the client and ends the session.
  bool Refuse(const ServerError& error, uint32_t reason, std::string_view log_text);
  bool RefuseFor(uint32_t reason, std::string_view log_text);
  bool RefuseAsVerdict();
  // The same after the server's greeting, for faults of the client: waits for the server's last
  // reply.
  bool RefuseAfterGreeting(const ServerError& error, uint32_t reason, std::string_view log_text);
  bool Deny();
  bool PassError(Bytes payload, std::string_view when = {});
  void NoteDenial();
  bool Close(uint32_t reason, std::string_view log_text);
  ServerError Denied() const;  // 1045, for the current user
  // The client has left, or was refused while rum waits for the server.
  bool Left() const { return client_left_ || d_.client.ended(); }
  // Ends the server's login without the client. `said`: the server's packet to begin with.
  Task<bool> GoOnAlone(Payload said = std::nullopt);
  Task<bool> LeaveAsNobody();
  bool AnswerAlone(Bytes payload);
  void RespondAsNobody();
  bool AnswerWrongly();  // false: nothing to send
  void LeaveUpstream();

  bool ClientHas(uint64_t bits) const { return (response_.capabilities & bits) == bits; }
  bool Compresses() const { return (response_.capabilities & kCompresses) != 0; }
  bool HasUpstream(uint64_t bits) const { return (upstream_capabilities_ & bits) == bits; }
  bool TellsClientFacts() const {
    return config_.client_attributes && HasUpstream(kConnectAttributes);
  }
  Links links() const {
    return {.client = LinkOf(d_.client, unix_client_),
            .server = LinkOf(d_.upstream, unix_upstream_)};
  }
  Link LinkOf(const Side& side, bool is_unix) const {
    return d_.TlsActive(side) ? Link::kTls : is_unix ? Link::kUnix : Link::kOpen;
  }
  struct ClientPeer {
    std::string host;  // "localhost" for a unix socket, as in servers
    std::string port;  // empty then
  };
  ClientPeer FindClientPeer() const;
  std::string ClientHost() const { return FindClientPeer().host; }
  void PassToClient(Bytes payload);
  void PassToUpstream(Bytes payload);
  void SendToUpstream(std::string_view packet);

  Dialogue& d_;
  const Config& config_;
  Worker& worker_;
  Pace& pace_;
  Fleet& fleet_;
  Fleet::View& view_;

  Farewell farewell_ = Farewell::kNone;
  // The next expected sequence number of each side, whoever sends.
  uint8_t front_ = 0;
  uint8_t back_ = 0;

  bool reported_ = true;    // send nothing to the client: it has its ERR, or cannot read one yet
  bool flows_ = false;      // nothing more can be sent to either side
  bool ended_ = false;      // SayLastWords() has run
  bool known_ = false;      // the user is in the map
  bool rewriting_ = false;  // rum checks the token
  bool with_password_ = false;  // the client's last proof was not empty
  bool proof_passed_ = false;   // a proof that was not empty went to the server
  bool client_is_due_ = false;  // it is the client's turn
  bool server_is_due_ = false;  // it is the server's turn
  bool client_left_ = false;    // during the login, which rum then ends itself
  bool unix_client_ = false;
  bool unix_upstream_ = false;
  bool mariadb_upstream_ = false;
  bool asked_for_tls_ = false;       // of the server, inside the protocol
  bool switched_ = false;            // the server has asked for another plugin
  bool greeted_as_mysql_ = false;    // by the version in our greeting
  bool greeted_as_mariadb_ = false;  // the client uses MariaDB's extended flags
  bool logged_in_ = false;           // at least once
  bool keeps_ = false;               // the connection may be kept when the client leaves
  bool reused_ = false;              // it was
  bool renewed_ = false;             // it was, and was of no use
  bool was_killed_ = false;          // a KILL may have been sent to it
  bool watches_on_ = true;           // more of the client's packets must be read
  bool watched_to_the_end_ = false;
  uint8_t watched_packets_ = 0;

  std::string kill_key_;                   // of its entry in the shared table; empty: none
  std::string reuse_key_;                  // empty: no connection is taken, and none is kept
  std::optional<Greeting> kept_greeting_;  // of the server, if its connection may be kept
  uint64_t promised_ = 0;                  // the capabilities in our greeting
  Nonce nonce_{};                          // the last one from rum to the client
  Nonce scramble_{};  // the last one that the client keeps: rum's, or that for the native plugin
  Greeting upstream_greeting_;              // until our response is prepared
  std::optional<Response> outgoing_;        // our response, until it is sent
  std::string_view no_plugin_ = kNoPlugin;  // makes the server ask for the account's plugin
  Response response_;                       // capabilities are those in use on the client's side
  std::string sent_name_;                   // response_.user in the client's character set
  const char* name_fault_ = nullptr;        // why response_.user is invalid; nullptr: it is valid
  std::string destination_;                 // from the user's record; empty: the default one
  std::string record_;                      // from the map, until the token was checked
  int32_t verdict_ = RUM_OK;                // from rum.limits/1
  std::string disabled_text_;               // of the record, for a client that is refused for it
  std::optional<Hash> stored_;              // SHA1(SHA1(password)) from the map
  std::optional<PublicKey> public_key_;     // from the map
  std::optional<Hash> password_hash_;       // SHA1(password): wiped right after use
  Exchange exchange_;
  unsigned answered_ = 0;               // answers to the exchange's plugin, by client or rum
  uint32_t connection_id_ = 0;          // from rum's greeting
  uint32_t thread_id_ = 0;              // from the server's greeting
  Nonce upstream_nonce_{};              // from the server's greeting
  uint64_t upstream_capabilities_ = 0;  // in use toward the server
  std::string upstream_;                // the server's address
  uint32_t refused_for_ = 0;            // reason told to the client while rum waits for the server
  std::string refused_text_;            // for the log
  std::string database_;                // selected after the server has admitted the client
  CommandReader commands_;
  std::optional<ChangeUser> change_;   // until it is sent
  std::string former_user_;            // during a change of user
  std::optional<ServerError> denial_;  // the server's, of a change of user
  std::string login_user_;             // after the login: the user in the log
  uint64_t since_ = 0;                 // start of the step whose time is measured
};

}  // namespace rum::mysql

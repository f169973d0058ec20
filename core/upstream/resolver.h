// Resolves names on the main loop and caches them; names in use are refreshed, and kept if a
// refresh fails. Decides on candidate names and on which server to query when; c-ares implements
// the protocol.
#pragma once

#include <event2/event.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/clock.h"
#include "base/file_stamp.h"
#include "base/main_queue.h"
#include "base/result.h"
#include "upstream/dns_client.h"
#include "upstream/hosts_file.h"
#include "upstream/resolv_conf.h"

namespace rum {

class Resolver {
 public:
  using Found = std::function<void(std::vector<SocketAddress> addresses)>;

  // [main] `refresh` 0: a name is queried once and cached without limit. `timeout` bounds one
  // look-up over all servers and search domains.
  Resolver(event_base* base, Millis refresh, Millis timeout, const std::string& resolv_conf,
           const std::string& hosts = "/etc/hosts");
  ~Resolver();
  Resolver(const Resolver&) = delete;

  // [main] An error if no descriptors were available: no name can be resolved.
  Status status() const;
  // [main] Rereads resolv.conf and hosts, and marks every name for a refresh at its next use.
  void Reread();

  // [any] The cached addresses of a name, with port 0, or nullopt. Starts a refresh in the
  // background if it is due.
  std::optional<std::vector<SocketAddress>> Known(const std::string& host);
  // [any] Reports that the addresses of a name do not respond: its next use refreshes it, at most
  // once a second. The addresses are kept until new ones arrive.
  void Suspect(const std::string& host);
  // [any] Resolves a name; `found` is called on the main thread, without addresses if there are
  // none.
  void Ask(const std::string& host, Found found);

 private:
  struct Name {
    std::vector<SocketAddress> addresses;  // last successful answer
    uint64_t due = 0;                      // next refresh, monotonic ms
    uint64_t answered = 0;                 // last answer, successful or not
    bool asking = false;
    std::vector<Found> waiting;
  };
  struct Server;   // a name server and its state
  struct Servers;  // the servers of one version of resolv.conf
  struct Family;   // the questions for one address family
  struct LookUp;   // the resolution of one name
  struct Arrived;  // an answer that was received

  void ReadServers();
  void Post(std::string host);
  void Begin(const std::string& host);
  void BeginCandidate(LookUp& look_up);
  bool AskNext(LookUp& look_up, Family& family);
  void AskServer(LookUp& look_up, Family& family, size_t server);
  void Take(Arrived& arrived);
  void Decide(LookUp& look_up);
  void Conclude(LookUp& look_up);
  void Finish(LookUp& look_up, std::vector<SocketAddress> addresses, const std::string& why);
  void Answer(const std::string& host, std::vector<SocketAddress> addresses, bool outdated);
  size_t OpenQuestions() const;
  void Arm(LookUp& look_up);
  static void SetBad(Server& server, const DnsClient::Answer& answer);
  static void OnArrived(evutil_socket_t, short, void* self);
  static void OnDue(evutil_socket_t, short, void* look_up);

  event_base* base_;
  const Millis refresh_, timeout_;
  const std::string path_;  // path of resolv.conf
  MainQueue queue_;
  HostsFile hosts_;
  std::optional<FileStamp> stamp_;
  std::shared_ptr<Servers> servers_;
  std::vector<std::shared_ptr<Servers>> former_;  // kept until their questions are answered
  std::map<uint64_t, std::unique_ptr<LookUp>> look_ups_;
  uint64_t last_look_up_ = 0;
  std::deque<std::string> held_;  // names that wait for a free look-up
  std::vector<Arrived> arrived_;
  event* arrived_event_ = nullptr;
  bool closing_ = false;
  std::mutex mutex_;  // guards the members below
  std::unordered_map<std::string, Name> names_;
};

}  // namespace rum

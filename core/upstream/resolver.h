// Names to addresses, off the workers: asked on the main loop, kept, refreshed while in use, and
// kept on when a refresh fails. Which names a host stands for and which server is asked when is
// decided here; the protocol is c-ares's.
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

  // [main] `refresh` 0: a name is asked for once and kept for good. `timeout` is for one look-up,
  // over all servers and the search list.
  Resolver(event_base* base, Millis refresh, Millis timeout, const std::string& resolv_conf,
           const std::string& hosts = "/etc/hosts");
  ~Resolver();
  Resolver(const Resolver&) = delete;

  // [main] Without descriptors nothing would ever be found.
  Status status() const;
  // [main] Reads resolv.conf and hosts again, and asks for every name again when it is wanted next.
  void Reread();

  // [any] The addresses of a name if they are known, with port 0. A name that is due is asked for
  // again meanwhile.
  std::optional<std::vector<SocketAddress>> Known(const std::string& host);
  // [any] Its addresses do not answer: it is asked for again when it is wanted next, once a second
  // at most. They are kept until there are others.
  void Suspect(const std::string& host);
  // [any] Asks; `found` is called on the main thread, with no addresses when there are none.
  void Ask(const std::string& host, Found found);

 private:
  struct Name {
    std::vector<SocketAddress> addresses;  // the last good answer
    uint64_t due = 0;                      // monotonic ms of the next question
    uint64_t answered = 0;                 // of the last answer, good or not
    bool asking = false;
    std::vector<Found> waiting;
  };
  struct Server;   // a name server and what is known of it
  struct Servers;  // those of one reading of resolv.conf
  struct Family;   // the questions for one family of addresses
  struct LookUp;   // one name
  struct Arrived;  // an answer

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
  const std::string path_;  // of resolv.conf
  MainQueue queue_;
  HostsFile hosts_;
  std::optional<FileStamp> stamp_;
  std::shared_ptr<Servers> servers_;
  std::vector<std::shared_ptr<Servers>> former_;  // until their questions are answered
  std::map<uint64_t, std::unique_ptr<LookUp>> look_ups_;
  uint64_t last_look_up_ = 0;
  std::deque<std::string> held_;  // names that wait for their turn
  std::vector<Arrived> arrived_;
  event* arrived_event_ = nullptr;
  bool closing_ = false;
  std::mutex mutex_;  // guards what follows
  std::unordered_map<std::string, Name> names_;
};

}  // namespace rum

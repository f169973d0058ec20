// rum's own RSA keys, for clients without TLS whose password goes on by TLS: one for each server,
// made when the first client needs it, by a thread of its own, for it takes longer than a worker
// may.
//
// Why not one for all: what a client encrypts for one server must never be decrypted toward
// another. Whoever reads such a login on the wire could send the ciphertext again in a login of his
// own, to a server of his own, and have rum hand him the password there. The nonce under the
// encryption binds nothing, since the server chooses it. With a key for each server a ciphertext is
// worth something only toward the server it was meant for, which hears the password anyway.
#pragma once

#include <rum/module.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "mysql/rsa.h"

namespace rum::mysql {

// By the address of the server that a session is really connected to. [any], all of it.
class OwnKeys {
 public:
  static constexpr size_t kKept = 256;            // keys; those not used for longest go
  static constexpr size_t kServersWaiting = 64;   // that wait for a key
  static constexpr size_t kLoginsWaiting = 4096;  // for all of them
  static constexpr std::chrono::hours kLife{24};  // of a key

  using Key = std::shared_ptr<const RsaKey>;  // who holds one may use it after it is replaced
  using Make = std::function<std::unique_ptr<RsaKey>()>;
  using Now = std::function<std::chrono::steady_clock::time_point()>;

  // Never destroyed: OpenSSL and threads end in an order of their own at exit.
  static OwnKeys& OfProcess();

  explicit OwnKeys(
      Make make = [] { return RsaKey::Make(); }, Now now = std::chrono::steady_clock::now)
      : make_(std::move(make)), now_(std::move(now)) {}
  OwnKeys(const OwnKeys&) = delete;
  OwnKeys& operator=(const OwnKeys&) = delete;

  // nullptr: there is none, or it is too old.
  Key Find(std::string_view server);

  // Has a key made and ends the pause `ticket` when Find() has it, at once if it has: status
  // RUM_OK, RUM_E_FAILED if it could not be made, or RUM_E_LIMIT if too many wait already. Servers
  // have their turn in the order in which they were asked for. Throws what starting a thread
  // throws.
  void Await(const rum_host& host, std::string_view server, uint64_t ticket);

  // Makes no more keys, ends all waiting with RUM_E_FAILED, and returns when no thread of it runs:
  // before rum, whose calls the thread uses, goes away.
  void Finish();
  bool finishing();

 private:
  struct Kept {
    Key key;
    std::chrono::steady_clock::time_point made, used;
  };
  struct Wanted {
    std::string server;
    std::vector<uint64_t> tickets;
  };

  Kept* Fresh(std::string_view server);
  void Keep(const std::string& server, Key key);
  void MakeAll(const rum_host& host);

  const Make make_;
  const Now now_;
  std::mutex mutex_;  // guards what follows
  std::map<std::string, Kept, std::less<>> keys_;
  std::deque<Wanted> queue_;  // the first one's key is being made
  size_t waiting_ = 0;        // tickets in the queue
  std::thread maker_;
  bool making_ = false;
  bool finishing_ = false;
};

}  // namespace rum::mysql

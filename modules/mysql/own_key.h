// rum's own RSA keys, for clients without TLS whose password rum passes on by TLS: one per server,
// created for the first client that needs it. A separate thread creates it, as that takes longer
// than a worker may block.
//
// Why one per server: what a client encrypts for one server must never be decrypted toward another.
// An eavesdropper could replay the ciphertext in a login to a server of his own, and rum would hand
// him the password there. The nonce under the encryption does not help, as the server chooses it.
// With one key per server, a ciphertext is only useful toward the server it was meant for, which
// receives the password anyway.
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

// By the address of the connected server. All functions are [any].
class OwnKeys {
 public:
  static constexpr size_t kKept = 256;            // keys; the least recently used ones are dropped
  static constexpr size_t kServersWaiting = 64;   // most servers that wait for a key
  static constexpr size_t kLoginsWaiting = 4096;  // over all servers
  static constexpr std::chrono::hours kLife{24};  // lifetime of a key

  using Key = std::shared_ptr<const RsaKey>;  // a holder may use it after it is replaced
  using Make = std::function<std::unique_ptr<RsaKey>()>;
  using Now = std::function<std::chrono::steady_clock::time_point()>;

  // Never destroyed: the order in which OpenSSL and threads end at exit is undefined.
  static OwnKeys& OfProcess();

  explicit OwnKeys(
      Make make = [] { return RsaKey::Make(); }, Now now = std::chrono::steady_clock::now)
      : make_(std::move(make)), now_(std::move(now)) {}
  OwnKeys(const OwnKeys&) = delete;
  OwnKeys& operator=(const OwnKeys&) = delete;

  // nullptr: there is none, or it is too old.
  Key Find(std::string_view server);

  // Requests a key and ends the pause `ticket` once Find() has it, or at once if it already has it:
  // status RUM_OK, RUM_E_FAILED if the key could not be created, or RUM_E_LIMIT if too many wait
  // already. Servers are served in the order of their requests. Throws what starting a thread
  // throws.
  void Await(const rum_host& host, std::string_view server, uint64_t ticket);

  // Creates no more keys, ends all waits with RUM_E_FAILED, and returns when its thread has ended.
  // Call it while rum's calls, which the thread uses, are still valid.
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
  std::mutex mutex_;  // guards the members below
  std::map<std::string, Kept, std::less<>> keys_;
  std::deque<Wanted> queue_;  // the first one's key is being created
  size_t waiting_ = 0;        // tickets in the queue
  std::thread maker_;
  bool making_ = false;
  bool finishing_ = false;
};

}  // namespace rum::mysql

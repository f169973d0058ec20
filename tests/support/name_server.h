// A DNS server on loopback that answers as a test requires, by UDP and, optionally, TCP.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"

namespace rum::test {

struct DnsAnswer {
  enum class Kind {
    kAddresses,
    kNoSuchName,
    kServerFailure,
    kRefused,
    kSilence,
    kGarbage,
    kWrongId,
    kCnameLoop,   // an alias of a name that is an alias of the first
    kNameLoop,    // the record's name is a pointer to itself
    kTruncated,   // requires TCP
    kFitting,     // truncated if it exceeds 512 bytes, or the size that the question allows
    kNoEdns,      // without EDNS support: a question with it is malformed
    kDeadAlias,   // an alias of a name that does not exist
    kAllInOne,    // one record with all addresses of its kind
    kCountsLies,  // claims to have 65535 records
  };
  Kind kind = Kind::kAddresses;
  std::vector<std::string> v4, v6;  // in the order of the answer
  uint32_t ttl = 60;
  size_t text = 0;                   // bytes of text before the addresses
  std::optional<Kind> kind_v6 = {};  // for AAAA, if it differs
};

class NameServer {
 public:
  using Decide = std::function<DnsAnswer(const std::string& name)>;  // runs on the server's thread
  explicit NameServer(Decide decide, bool tcp = false);
  ~NameServer();
  // A file for Settings::resolv_conf.
  std::string conf() const;
  // Counts one kind: for IPv4 addresses, or for IPv6 addresses.
  size_t questions(const std::string& name, bool v6 = false) const;

 private:
  void Run();
  void ServeTcp();
  // Empty: no reply.
  std::string Answer(std::string_view question, bool tcp);
  std::string Reply(std::string_view question, uint16_t type, const DnsAnswer& answer,
                    size_t most) const;

  Decide decide_;
  Fd socket_, listener_;
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> asked_, asked_v6_;
  std::thread thread_;
};

}  // namespace rum::test

// A DNS server on loopback that answers as a test tells it to, by UDP and, if wanted, by TCP.
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
    kCnameLoop,   // the name is another one, which is the first one again
    kNameLoop,    // the name of the record is a pointer to itself
    kTruncated,   // to be asked for by TCP
    kFitting,     // cut if it does not fit the 512 bytes of UDP, or what the question allows
    kNoEdns,      // knows no EDNS: a question with it is malformed
    kDeadAlias,   // another name, which does not exist
    kAllInOne,    // one record that has all addresses of its kind
    kCountsLies,  // says that there are 65535 records
  };
  Kind kind = Kind::kAddresses;
  std::vector<std::string> v4, v6;  // in the order of the answer
  uint32_t ttl = 60;
  size_t text = 0;                   // bytes of text before the addresses
  std::optional<Kind> kind_v6 = {};  // for AAAA, if it differs
};

class NameServer {
 public:
  using Decide = std::function<DnsAnswer(const std::string& name)>;  // on the server's thread
  explicit NameServer(Decide decide, bool tcp = false);
  ~NameServer();
  // A file for Settings::resolv_conf.
  std::string conf() const;
  // Of one kind: for an IPv4 address, or for an IPv6 address.
  size_t questions(const std::string& name, bool v6 = false) const;

 private:
  void Run();
  void ServeTcp();
  // Empty: nothing is said.
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

// A DNS server on loopback that answers as a test tells it to.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
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
    kSilence,
    kGarbage,
    kWrongId,
    kCnameLoop,   // the name is another one, which is the first one again
    kNameLoop,    // the name of the record is a pointer to itself
    kTruncated,   // to be asked for by TCP, where nobody listens
    kAllInOne,    // one record that has all addresses of its kind
    kCountsLies,  // says that there are 65535 records
  };
  Kind kind = Kind::kAddresses;
  std::vector<std::string> v4, v6;  // in the order of the answer
  uint32_t ttl = 60;
  size_t text = 0;  // bytes of text before the addresses
};

class NameServer {
 public:
  using Decide = std::function<DnsAnswer(const std::string& name)>;  // on the server's thread
  explicit NameServer(Decide decide);
  ~NameServer();
  // A file for Settings::resolv_conf.
  std::string conf() const;
  size_t questions(const std::string& name) const;

 private:
  void Run();
  std::string Reply(std::string_view question, const std::string& name, uint16_t type,
                    const DnsAnswer& answer) const;

  Decide decide_;
  Fd socket_;
  std::atomic<bool> stop_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> asked_;
  std::thread thread_;
};

}  // namespace rum::test

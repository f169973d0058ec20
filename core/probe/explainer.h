// What would become of a user's login: the record, the rules, the way and its servers, asked of the
// map and the servers as they are now.
#pragma once

#include <event2/event.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/main_queue.h"

namespace rum {

class Proxy;
struct ProbeOutcome;

struct ExplainQuestion {
  std::string user;
  std::optional<SocketAddress> from;  // without it rules about addresses are not judged
};

struct Explanation {
  std::vector<std::pair<std::string, std::string>> lines;  // what, and what about it
  bool possible = false;  // nothing that could be looked at speaks against the login
};

class Explainer {
 public:
  using Done = std::function<void(Explanation)>;

  // [main]
  explicit Explainer(Proxy& proxy);
  Explainer(const Explainer&) = delete;

  // [main] One question after the other. `done` comes on this thread, perhaps before this returns,
  // and never if the process ends before.
  void Ask(ExplainQuestion question, Done done);

 private:
  struct Open {
    ExplainQuestion question;
    Done done;
    Explanation explanation;
    bool allowed = true;           // by what is judged without a server
    std::vector<Address> servers;  // of the way
    size_t server = 0;             // the one that is asked
  };

  void Begin();
  void Finish();
  void AddLine(std::string key, std::string value);
  void DescribeClient();
  void DescribeRecord();
  void DescribeRoute();
  void DescribeServer();
  void ProbeFor(std::optional<Address> server, void (Explainer::*then)(ProbeOutcome));
  void OnRoute(ProbeOutcome outcome);
  void OnServer(ProbeOutcome outcome);

  Proxy& proxy_;
  MainQueue& queue_;
  std::deque<Open> open_;  // the first one is under way
};

}  // namespace rum

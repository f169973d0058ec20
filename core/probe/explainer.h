// Predicts the result of a user's login: checks the record, the rules, the route and its servers in
// their current state.
#pragma once

#include <event2/event.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/main_queue.h"
#include "lookup/map_walk.h"

namespace rum {

class Proxy;
struct ProbeOutcome;

struct ExplainQuestion {
  std::string user;
  std::optional<SocketAddress> from;  // nullopt: rules on addresses are not checked
};

struct Explanation {
  std::vector<std::pair<std::string, std::string>> lines;  // topic and finding
  bool possible = false;  // no check found a reason against the login
};

class Explainer {
 public:
  using Done = std::function<void(Explanation)>;

  // [main]
  explicit Explainer(Proxy& proxy);
  Explainer(const Explainer&) = delete;

  // [main] Handles one question after the other. Calls `done` on this thread, possibly before this
  // returns; not if the process ends first.
  void Ask(ExplainQuestion question, Done done);

 private:
  struct Open {
    ExplainQuestion question;
    Done done;
    Explanation explanation;
    std::unique_ptr<MapWalk> walk;  // while the record is looked up
    bool allowed = true;            // result of the checks that need no server
    std::vector<Address> servers;   // of the route
    size_t server = 0;              // index of the server being checked
  };

  void Begin();
  void Finish();
  void AddLine(std::string key, std::string value);
  void DescribeClient();
  void FindRecord();
  void DescribeSource(MapWalk::Kind kind);
  void DescribeRecord(std::string_view value);
  void DescribeOthers(uint32_t limit);
  void DescribeRoute();
  void DescribeServer();
  void ProbeFor(std::optional<Address> server, void (Explainer::*then)(ProbeOutcome));
  void OnRoute(ProbeOutcome outcome);
  void OnServer(ProbeOutcome outcome);

  Proxy& proxy_;
  MainQueue& queue_;
  std::deque<Open> open_;  // the first one is in progress
};

}  // namespace rum

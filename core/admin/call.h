// One request of a list or command, and the ways to answer it: at once, or when the older processes
// of a hand-over have answered the same.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "admin/commands.h"
#include "admin/generations.h"
#include "admin/request.h"

namespace rum::command {

using Json = nlohmann::ordered_json;

struct Call {
  const Overview& overview;
  const Actions* actions;    // nullptr for lists
  const UserHistory* users;  // nullptr for commands
  std::shared_ptr<Request> request;
  std::string same;  // the same request, for an older process
};

void Refuse(const Call& call, const std::string& why);
void ReplyJson(Request& request, const Json& json);
// For a query.
std::string Encoded(const std::string& text);

using AskOlderOnes = std::function<void(Generations::Done)>;
// What asks the older processes the same. It may be called once `call` is gone.
AskOlderOnes AskOlder(const Call& call);
// Answers a command that this process has executed, once the older ones have.
void ReplyForAll(const AskOlderOnes& ask_older, const std::shared_ptr<Request>& request,
                 const std::string& done);

}  // namespace rum::command

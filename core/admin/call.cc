#include "admin/call.h"

#include <event2/http.h>
#include <stdlib.h>

#include <utility>

#include "admin/merge.h"
#include "admin/statistics.h"
#include "base/escape.h"

namespace rum::command {

void Refuse(const Call& call, const std::string& why) {
  call.request->Reply(400, kPlainText, why + "\n");
}

void ReplyJson(Request& request, const Json& json) {
  request.Reply(200, "application/json",
                ShowJson(json.dump(1, ' ', false, Json::error_handler_t::replace)) + "\n");
}

std::string Encoded(const std::string& text) {
  std::unique_ptr<char, void (*)(void*)> encoded(
      evhttp_uriencode(text.data(), static_cast<ev_ssize_t>(text.size()), 0), ::free);
  return encoded.get();
}

AskOlderOnes AskOlder(const Call& call) {
  return [older = call.overview.older, command = call.actions != nullptr,
          what = call.same](Generations::Done done) {
    if (!older) return done(std::make_shared<Generations::Answers>());
    command ? older->Command(what, std::move(done)) : older->List(what, std::move(done));
  };
}

void ReplyForAll(const AskOlderOnes& ask_older, const std::shared_ptr<Request>& request,
                 const std::string& done) {
  ask_older([request, done](const auto& answers) {
    const Result<std::string> also = AlsoDone(*answers);
    if (also) return request->Reply(Ok(), done + *also);
    request->Reply(Error{Fault::kSystem, done + also.error().text}, "");
  });
}

}  // namespace rum::command

// Writes what happened to a module as a transcript: each input, then what the module did.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "check/scripted_host.h"

namespace rum {

const char* SideWord(uint32_t side);  // "client" or "upstream"

// The line that would expect the deed; a comment if there is no such line.
std::string DescribeDeed(const Deed& deed);

// The pending calls of the selected session, one per line.
std::string DescribeSession(const ScriptedHost& host);

class Scribe {
 public:
  Scribe(const ScriptedHost& host, std::function<void(std::string_view)> write)
      : host_(host), write_(std::move(write)) {}

  // The names of the sessions by number; number 0 is "1" until it is named.
  void Name(size_t session, const std::string& name);
  // Writes a line that is about to be played to the session.
  void WriteInput(size_t session, std::string_view line);
  // Writes what the module did since the last call.
  void WriteDeeds();

 private:
  void Turn(size_t session);  // writes the line that switches to a session

  const ScriptedHost& host_;
  std::function<void(std::string_view)> write_;
  std::vector<std::string> names_ = {"1"};
  size_t session_ = 0;     // of the last line
  size_t next_ = 0;        // index of the first deed not yet written
  size_t last_bytes_ = 0;  // bytes of the deed before that when it was written
};

}  // namespace rum

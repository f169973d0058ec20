// Writes what happened to a module as a transcript: each input, then what the module did.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "check/scripted_host.h"

namespace rum {

const char* SideWord(uint32_t side);  // "client" or "upstream"

// A deed as the line that would expect it; a comment where no line does.
std::string DescribeDeed(const Deed& deed);

// What is under way in the selected session, a line for each thing.
std::string DescribeSession(const ScriptedHost& host);

class Scribe {
 public:
  Scribe(const ScriptedHost& host, std::function<void(std::string_view)> write)
      : host_(host), write_(std::move(write)) {}

  // The names of the sessions by their numbers; "1" for number 0 as long as nothing is said.
  void Name(size_t session, const std::string& name);
  // A line that is about to be played to the session.
  void WriteInput(size_t session, std::string_view line);
  // What the module has done since the last time.
  void WriteDeeds();

 private:
  void Turn(size_t session);  // writes the line that goes over to a session

  const ScriptedHost& host_;
  std::function<void(std::string_view)> write_;
  std::vector<std::string> names_ = {"1"};
  size_t session_ = 0;     // of the last line
  size_t next_ = 0;        // the first deed that is not written
  size_t last_bytes_ = 0;  // of the deed before that, when it was written
};

}  // namespace rum

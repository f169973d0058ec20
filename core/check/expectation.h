// Checks one `expect` line of a transcript.
#pragma once

#include <deque>
#include <string>

#include "check/pattern.h"
#include "check/scripted_host.h"
#include "check/transcript.h"

namespace rum {

// What the player knows about one session.
struct Talk {
  explicit Talk(std::string session) : name(std::move(session)) {}
  std::string name;
  bool opened = false;
  size_t first_deed = 0;    // index of the session's first deed
  std::string sent[2];      // to each side, and not yet expected by a line
  std::deque<Deed> strict;  // deeds not yet expected by a line
  uint64_t sent_size[2] = {0, 0};
  std::string sent_last[2];  // the last bytes sent to each side
};

// Whether a line must expect such a deed; other deeds need no line.
bool IsStrict(Deed::Kind kind);

class Expectation {
 public:
  // For the selected session. Removes from `talk` what a line has matched.
  Expectation(const ScriptedHost& host, Talk& talk, Captures& captures, const TranscriptLine& line)
      : host_(host), talk_(talk), captures_(captures), line_(line) {}

  bool Holds();
  const std::string& why() const { return why_; }  // the line does not match

 private:
  void Keep(const Captures& captured);
  bool Not(std::string why);
  bool DidSetAlpn();
  bool Did(Deed::Kind kind, const char* otherwise);
  bool Same(const std::string& got);
  bool TakeStrict(Deed::Kind kind, bool with_bytes);
  bool HoldsBytes();

  const ScriptedHost& host_;
  Talk& talk_;
  Captures& captures_;
  const TranscriptLine& line_;
  std::string why_;
};

}  // namespace rum

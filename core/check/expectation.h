// Judges one line of a transcript that expects something.
#pragma once

#include <deque>
#include <string>

#include "check/pattern.h"
#include "check/scripted_host.h"
#include "check/transcript.h"

namespace rum {

// What the player knows of one session.
struct Talk {
  explicit Talk(std::string session) : name(std::move(session)) {}
  std::string name;
  bool opened = false;
  size_t first_deed = 0;    // where the deeds of the session begin
  std::string sent[2];      // what went to a side, and no line has expected yet
  std::deque<Deed> strict;  // what the module did, the same
  uint64_t sent_size[2] = {0, 0};
  std::string sent_last[2];  // the end of all that went to a side
};

// What must be expected by a line; the rest may be.
bool IsStrict(Deed::Kind kind);

class Expectation {
 public:
  // About the session that is selected. What holds is taken out of `talk`.
  Expectation(const ScriptedHost& host, Talk& talk, Captures& captures, const TranscriptLine& line)
      : host_(host), talk_(talk), captures_(captures), line_(line) {}

  bool Holds();
  const std::string& why() const { return why_; }  // it does not hold

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

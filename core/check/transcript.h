// A transcript: what the two peers of a module send, and what the module must do, line by line.
// rum-check(1) describes the lines. Pure: text in, lines out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "check/pattern.h"

namespace rum {

// One line. Each word's comment says which members it uses.
struct TranscriptLine {
  enum class Word : uint8_t {
    // The world.
    kOption,        // name, text (a flag: "1")
    kDestination,   // text; empty: none
    kTls,           // side, number: RUM_TLS_...
    kPeer,          // side, text
    kAdmission,     // number: RUM_OK or RUM_REFUSED_...
    kConfirmation,  // the same
    kMap,           // key, pattern: the value
    kTryLogin,      // number: 0, 1: delayed, or RUM_REFUSED_BLOCKED
    kTlsPeer,       // side; name: what of it; text, or pattern for bytes
    kMapBroken,
    kMapNone,
    kElsewhere,  // key, pattern: the value
    kElsewhereBroken,
    kSession,  // name: the next lines belong to it
    // What happens.
    kOpen,        // number: why rum refuses the client, 0: it does not
    kProbe,       // text: the destination, empty: none; name: the user, empty: none
    kFeed,        // side, pattern
    kEnd,         // side
    kReset,       // side
    kConnect,     // number: 0, or the reason
    kTakeKept,    // connect() takes a kept connection
    kAnswer,      // number: RUM_FOUND, RUM_NOT_FOUND, or 2 for unavailable; pattern: the value
    kTlsOutcome,  // side, number: 1 ok, 0 failed
    kReading,     // side, number: 1 starts, 0 stops
    kAdvance,     // number: milliseconds
    kWait,
    kTurn,
    kClose,    // number: the reason; rum ends the session
    kRefusal,  // number: the reason
    // What the module must have done.
    kExpectBytes,     // side, pattern
    kExpectEnd,       // side
    kExpectLookup,    // pattern
    kExpectIdentify,  // pattern
    kExpectConnect,   // pattern; empty: the default destination
    kExpectRelay,
    kExpectRelayFrom,  // side
    kExpectTakeBack,   // side
    kExpectTls,        // side, pattern: the server name
    kExpectClose,      // number: the reason; pattern: the text; name "text" if there is one
    kExpectNote,       // name, pattern
    kExpectLog,        // number: the level; pattern: part of the line
    kExpectMetric,     // name, number
    kExpectTimer,      // number: milliseconds
    kExpectPause,
    kExpectAdmit,  // pattern: part of the record
    kExpectLoginFailed,
    kExpectConfirm,
    kExpectNoLogin,
    kExpectAwait,  // side, number
    kExpectAlpn,   // side, text: the protocols with commas between them
    kExpectPart,
    kExpectKeep,  // number: milliseconds
    kExpectWant,
    kExpectRenew,
    kExpectOpen,
  };
  Word word;
  int number_of_line = 0;
  uint32_t side = 0;
  uint64_t number = 0;
  std::string name;
  std::string text;
  Pattern key;
  Pattern pattern;
  std::string source;  // original text, for reports
  bool expects() const { return word >= Word::kExpectBytes; }
};

struct Transcript {
  std::string file;
  std::vector<TranscriptLine> lines;
};

// An error is one sentence that begins with "FILE:LINE: ".
Result<Transcript> ReadTranscript(std::string_view text, const std::string& file);
Result<Transcript> ReadTranscriptFile(const std::string& path);

// The name of a reason as transcripts and rum/module.h write it, "CLIENT_GONE"; 0: no such reason.
std::string CloseReasonName(uint32_t reason);
uint32_t CloseReasonByName(std::string_view name);

}  // namespace rum

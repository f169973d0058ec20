// One try: invents the input of a module, or changes that of a sample, and judges the module by
// rum/module.h alone.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "check/byte_source.h"
#include "check/dice.h"
#include "check/scribe.h"
#include "check/scripted_host.h"
#include "check/transcript.h"

namespace rum {

// The input that all tries share.
struct TryMaterial {
  Vocabulary vocabulary;
  std::vector<Transcript> transcripts;  // samples
  ScriptedHost::Options options;
};

class Conversation {
 public:
  // Tries with a low `number` are short. `write` receives the script; may be null.
  Conversation(ScriptedHost& host, const TryMaterial& material, uint64_t seed, uint64_t number,
               std::function<void(std::string_view)> write);

  // A random selection of the options.
  ScriptedHost::Options Options();
  // Runs all sessions to their end. Returns the failure as one sentence, empty if there is none.
  // Broken rules are in host.violations().
  std::string Play();

 private:
  bool Do(const std::string& line);  // false if the line is impossible now
  bool Do(const TranscriptLine& line);
  bool Fine() const { return wrong_.empty() && host_.violations().empty(); }
  void SetWorld();
  void StepAtRandom();
  bool StepOfSession();
  void Say(uint32_t side);
  void AnswerLookup();
  std::string Record();
  void PlaySample(const Transcript& transcript);
  void PlayLine(const TranscriptLine& line);
  void Disturb(const TranscriptLine& line);
  void FeedPieces(uint32_t side, const std::string& bytes);
  void TakeCaptures(const TranscriptLine& line);
  void Finish();
  void FinishSession();
  void DenyAll();
  void EndSides();
  bool SettleSomething();
  void Listen();

  ScriptedHost& host_;
  const TryMaterial& material_;
  uint64_t number_;
  Dice dice_;
  ByteSource source_;
  bool scribing_;
  Scribe scribe_;
  const Transcript* sample_ = nullptr;
  size_t sessions_ = 1;
  std::map<size_t, std::string> heard_[2];  // by session: sent to a side and not captured
  std::map<std::string, std::string> map_;  // from a sample
  bool map_broken_ = false;
  Captures captures_;
  std::string wrong_;
};

}  // namespace rum

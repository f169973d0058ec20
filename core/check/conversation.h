// One try: makes up what happens to a module, or changes what a sample says, and judges what the
// module does by rum/module.h alone.
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

// What all tries are made of.
struct TryMaterial {
  Vocabulary vocabulary;
  std::vector<Transcript> transcripts;  // samples
  ScriptedHost::Options options;
};

class Conversation {
 public:
  // `number` of the try: the first ones are short. `write` gets the script; may be null.
  Conversation(ScriptedHost& host, const TryMaterial& material, uint64_t seed, uint64_t number,
               std::function<void(std::string_view)> write);

  // The options, of which some are chosen at random.
  ScriptedHost::Options Options();
  // All of it, from the first session to the end of the last one. What is wrong, in one sentence;
  // empty: nothing. Broken rules are in host.violations().
  std::string Play();

 private:
  bool Do(const std::string& line);  // false: it cannot happen now
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
  std::map<size_t, std::string> heard_[2];  // of each session, sent to a side and not captured
  std::map<std::string, std::string> map_;  // of a sample
  bool map_broken_ = false;
  Captures captures_;
  std::string wrong_;
};

}  // namespace rum

// Makes up what a peer says: words that stand in the module's file, frames with a length, bytes of
// samples with mistakes, what the module has just sent, and noise.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "check/dice.h"

namespace rum {

// What is known of a protocol.
struct Vocabulary {
  std::vector<std::string> words;       // of the module's file
  std::vector<std::string> samples[2];  // what a side has said once
};

// The texts among the constants of an ELF file; none when it cannot be read.
std::vector<std::string> WordsOfFile(const std::string& path);

// The same bytes with a few mistakes: flipped, cut, repeated, swapped, numbers that are off by one.
std::string Mutate(std::string bytes, Dice& dice);

class ByteSource {
 public:
  ByteSource(const Vocabulary& vocabulary, Dice& dice) : vocabulary_(vocabulary), dice_(dice) {}
  // `heard` is what was sent to the side last. At least one byte.
  std::string Say(uint32_t side, std::string_view heard);

 private:
  std::string Word();
  std::string Line();
  std::string Noise();
  std::string Frame();

  const Vocabulary& vocabulary_;
  Dice& dice_;
};

}  // namespace rum

// Invents what a peer sends: words from the module's file, frames with a length, mutated samples,
// what the module has just sent, and noise.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "check/dice.h"

namespace rum {

// What is known about a protocol.
struct Vocabulary {
  std::vector<std::string> words;       // from the module's file
  std::vector<std::string> samples[2];  // per side, what it sent in a sample
};

// The strings among the constants of an ELF file; empty if it cannot be read.
std::vector<std::string> WordsOfFile(const std::string& path);

// Copies the bytes with a few mutations: flipped bits, cuts, repeats, swaps, numbers off by one.
std::string Mutate(std::string bytes, Dice& dice);

class ByteSource {
 public:
  ByteSource(const Vocabulary& vocabulary, Dice& dice) : vocabulary_(vocabulary), dice_(dice) {}
  // Returns at least one byte. `heard` is what was last sent to the side.
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

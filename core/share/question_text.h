// What a process asks others, and what they answer, before it is sealed. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "share/shared_answer.h"

namespace rum {

inline constexpr size_t kQuestionId = 16;  // random bytes

struct Question {
  std::string id;
  uint64_t time = 0;  // seconds since 1970, by the asker's clock
  std::string asker;  // the name of its process, to which the answer goes
  std::string key;
};
struct Answer {
  std::string id;    // of the question
  std::string from;  // the name of the process that answers
  SharedAnswer answer;
};

std::string WriteQuestion(const Question& question);
std::string WriteAnswer(const Answer& answer);
// nullopt: it is none, or has parts that are too long.
std::optional<Question> ReadQuestion(std::string_view text);
std::optional<Answer> ReadAnswer(std::string_view text);

}  // namespace rum

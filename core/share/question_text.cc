#include "share/question_text.h"

#include "rum/module.h"

namespace rum {
namespace {

constexpr char kQuestion = 'Q', kAnswer = 'A';
constexpr char kFound = 'f', kNotFound = 'n', kUnknown = 'u';
constexpr size_t kNameMost = 200;

void AppendNumber(std::string& out, uint64_t number, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(number >> (8 * i));
}

void AppendText(std::string& out, std::string_view text) {
  AppendNumber(out, text.size(), 2);
  out += text;
}

// Reads fields one after the other; what is missing makes it bad.
class Fields {
 public:
  explicit Fields(std::string_view text) : rest_(text) {}
  std::string_view Take(size_t size) {
    if (size > rest_.size()) return Bad();
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  uint64_t Number(size_t bytes) {
    uint64_t number = 0;
    for (char c : Take(bytes)) number = number << 8 | static_cast<uint8_t>(c);
    return number;
  }
  std::string_view Text(size_t least, size_t most) {
    const std::string_view text = Take(Number(2));
    return text.size() < least || text.size() > most ? Bad() : text;
  }
  bool good() const { return good_ && rest_.empty(); }

 private:
  std::string_view Bad() {
    good_ = false;
    return rest_ = {};
  }
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace

std::string WriteQuestion(const Question& question) {
  std::string out(1, kQuestion);
  out += question.id;
  AppendNumber(out, question.time, 8);
  AppendText(out, question.asker);
  AppendText(out, question.key);
  return out;
}

std::string WriteAnswer(const Answer& answer) {
  std::string out(1, kAnswer);
  out += answer.id;
  out += answer.answer.status == RUM_FOUND       ? kFound
         : answer.answer.status == RUM_NOT_FOUND ? kNotFound
                                                 : kUnknown;
  AppendText(out, answer.from);
  AppendText(out, answer.answer.value);
  return out;
}

std::optional<Question> ReadQuestion(std::string_view text) {
  Fields fields(text);
  const bool right = fields.Take(1) == std::string_view(&kQuestion, 1);
  Question question;
  question.id = fields.Take(kQuestionId);
  question.time = fields.Number(8);
  question.asker = fields.Text(1, kNameMost);
  question.key = fields.Text(1, RUM_MOST_SHARED_KEY);
  if (!right || !fields.good()) return {};
  return question;
}

std::optional<Answer> ReadAnswer(std::string_view text) {
  Fields fields(text);
  const bool right = fields.Take(1) == std::string_view(&kAnswer, 1);
  Answer answer;
  answer.id = fields.Take(kQuestionId);
  const std::string_view status = fields.Take(1);
  answer.from = fields.Text(1, kNameMost);
  answer.answer.value = fields.Text(0, RUM_MOST_SHARED_VALUE);
  if (!right || !fields.good()) return {};
  answer.answer.status = status[0] == kFound      ? RUM_FOUND
                         : status[0] == kNotFound ? RUM_NOT_FOUND
                                                  : RUM_E_FAILED;
  return answer;
}

}  // namespace rum

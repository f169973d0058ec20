#include "map/map_changes.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "map/column.h"
#include "map/journal_writer.h"
#include "map/map_record.h"
#include "map/map_text.h"

namespace rum {
namespace {

constexpr size_t kMostProblems = 20;

Result<size_t> Append(JournalWriter& writer, const std::vector<MapEdit>& edits) {
  if (Status s = writer.Append(edits); !s) return s.error();
  return edits.size();
}

// The record with the secret, and without rules of its own with the rules, of the one before.
Result<std::string> Inherit(const std::string& user, std::string value, const std::string& before) {
  auto old = ParseMapRecord(before);
  auto record = ParseMapRecord(value);
  if (!old || !record) {
    return Error{Fault::kMap, "user " + QuoteBytes(user) +
                                  " has a record that cannot be read: give the whole line on "
                                  "standard input"};
  }
  record->secret = old->secret;
  if (record->tail.empty()) record->tail = old->tail;
  return FormatMapRecord(*record);
}

}  // namespace

Result<size_t> SetUser(const std::string& map, const std::string& user,
                       const std::string& destination, const std::vector<std::string>& rules) {
  std::string line = FormatColumn(user) + " - " + destination;
  for (const std::string& rule : rules) line += " " + rule;
  const auto words = static_cast<size_t>(std::count(line.begin(), line.end(), ' ')) + 1;
  if (words != 3 + rules.size() || line.find_first_of("\t\r\n") != line.npos) {
    return Error{Fault::kUsage, "a destination or a rule is one word, without blanks"};
  }
  auto entry = ParseMapLine(line);
  if (!entry) return Error{Fault::kConfig, entry.error().text};
  auto writer = JournalWriter::Open(map);
  if (!writer) return writer.error();
  auto before = writer->Find(user);
  if (!before) return before.error();
  std::string value = std::move((*entry)->value);
  if (*before) {
    auto whole = Inherit(user, std::move(value), **before);
    if (!whole) return whole.error();
    value = std::move(*whole);
  }
  return Append(*writer, {{user, std::move(value)}});
}

Result<size_t> SetUsers(const std::string& map, std::string_view text,
                        std::vector<std::string>* problems) {
  std::vector<MapEdit> edits;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    auto entry = ParseMapLine(text.substr(0, end));
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    if (!entry) {
      if (problems->size() < kMostProblems) {
        problems->push_back("<stdin>:" + std::to_string(number) + ": " + entry.error().text);
      }
    } else if (*entry) {
      edits.push_back({std::move((*entry)->user), std::move((*entry)->value)});
    }
  }
  if (!problems->empty()) {
    return Error{Fault::kConfig, map + ": nothing is changed: the input has errors"};
  }
  if (edits.empty()) return Error{Fault::kConfig, map + ": nothing is changed: the input is empty"};
  auto writer = JournalWriter::Open(map);
  if (!writer) return writer.error();
  return Append(*writer, edits);
}

Result<size_t> UnsetUser(const std::string& map, const std::string& user) {
  auto writer = JournalWriter::Open(map);
  if (!writer) return writer.error();
  auto before = writer->Find(user);
  if (!before) return before.error();
  if (!*before) return size_t{0};
  return Append(*writer, {{user, std::nullopt}});
}

}  // namespace rum

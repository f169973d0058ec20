// Fuzzes the parser of a map's journal: whatever the bytes, it ends at the first bad record, and
// what it accepts is written again as the same bytes.
#include "map/map_journal.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

void Require(bool truth) {
  if (!truth) abort();
}

// The bytes that the parser accepts, formatted again.
std::string Again(std::string_view bytes, uint64_t id, uint64_t last, rum::JournalEnd* end) {
  std::string again;
  rum::JournalHooks hooks;
  hooks.change = [&](const rum::JournalChange& change) {
    rum::AppendJournalChange(again, id, change);
  };
  hooks.base = [&](const rum::JournalBase& base) { rum::AppendJournalBase(again, id, base); };
  *end = rum::ParseJournal(bytes, id, last, hooks);
  return again;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  rum::ParseJournalHeader(bytes);
  rum::JournalEnd end;
  const std::string again = Again(bytes, 7, 0, &end);
  Require(end.good <= size && again == bytes.substr(0, end.good));
  Require((end.kind == rum::JournalEnd::Kind::kWhole) == (end.good == size));

  // Behind a good record, as random bytes rarely have a right checksum; then the good one behind
  // them.
  std::string journal;
  rum::AppendJournalChange(journal, 7, {1, bytes.substr(0, 500), bytes});
  const size_t first = journal.size();
  if (size > rum::kJournalMostValue) return 0;
  Require(Again(journal, 7, 0, &end) == journal && end.last == 1);
  journal.append(bytes);
  Require(Again(journal, 7, 0, &end) == journal.substr(0, end.good) && end.good >= first);
  const bool whole = end.kind == rum::JournalEnd::Kind::kWhole;
  rum::AppendJournalChange(journal, 7, {end.last + 1, "alice", std::nullopt});
  Again(journal, 7, 0, &end);
  Require(end.kind == (whole ? rum::JournalEnd::Kind::kWhole : rum::JournalEnd::Kind::kDamaged));
  return 0;
}

#include "share/count_pages.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace rum {
namespace {

constexpr std::string_view kRateLetters = "UAF";     // by RateKind
constexpr uint64_t kChargeMost = uint64_t{1} << 53;  // of a span, and of its number
constexpr size_t kNumbersMost = 64;                  // bytes of the numbers of an entry

// Reads a number and the byte behind it.
template <class Number>
bool TakeNumber(std::string_view& rest, char end, Number most, Number& number) {
  auto [at, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  const auto used = static_cast<size_t>(at - rest.data());
  if (error != std::errc() || used == rest.size() || *at != end || number == 0 || number > most) {
    return false;
  }
  rest.remove_prefix(used + 1);
  return true;
}

// An entry as it stands in a page.
struct Line {
  char kind;
  std::string_view numbers;  // all but the last, each with a blank behind it
  std::string_view key;
};

bool TakeLine(std::string_view& rest, Line& line) {
  const size_t colon = rest.substr(0, kNumbersMost).find(':');
  if (colon == rest.npos || colon == 0) return false;
  std::string_view front = rest.substr(1, colon);
  const size_t blank = front.rfind(' ');
  if (blank == front.npos) return false;
  line.kind = rest[0];
  line.numbers = front.substr(0, blank + 1);
  front.remove_prefix(blank + 1);
  uint32_t size = 0;
  if (!TakeNumber(front, ':', static_cast<uint32_t>(kKeyMost), size)) return false;
  rest.remove_prefix(colon + 1);
  if (rest.size() < size + size_t{1} || rest[size] != '\n') return false;
  line.key = rest.substr(0, size);
  rest.remove_prefix(size + size_t{1});
  return true;
}

bool HasRoom(const OtherNodes::Counts& counts) {
  return counts.users.size() + counts.addresses.size() + counts.charges < kEntriesMost;
}

bool AddSessions(Line line, OtherNodes::Counts* counts) {
  uint32_t sessions = 0;
  if (!TakeNumber(line.numbers, ' ', kSessionsMost, sessions) || !line.numbers.empty())
    return false;
  auto& table = line.kind == 'u' ? counts->users : counts->addresses;
  uint32_t& sum = table[std::string(line.key)];
  const uint32_t added = std::min(sessions, kSessionsMost - sum);
  sum += added;
  if (line.kind == 'u') counts->sessions += added;
  return true;
}

bool AddCharge(Line line, OtherNodes::Counts* counts, ChargeTable& table) {
  RateCharge charge;
  if (!TakeNumber(line.numbers, ' ', kChargeMost, charge.micros) ||
      !TakeNumber(line.numbers, ' ', kChargeMost, charge.span) || !line.numbers.empty()) {
    return false;
  }
  counts->charges += table.insert_or_assign(std::string(line.key), charge).second;
  return true;
}

bool AddEntry(std::string_view& rest, OtherNodes::Counts* counts, ChargeTables* charges) {
  Line line;
  if (!TakeLine(rest, line) || !HasRoom(*counts)) return false;
  if (line.kind == 'u' || line.kind == 'a') return AddSessions(line, counts);
  const size_t rate = kRateLetters.find(line.kind);
  return rate == kRateLetters.npos || AddCharge(line, counts, (*charges)[rate]);
}

// The text of all pages.
class Pages {
 public:
  void Add(char kind, const std::string& numbers, const std::string& key) {
    if (key.empty() || key.size() > kKeyMost) return;
    const std::string line = kind + numbers + ' ' + std::to_string(key.size()) + ':' + key + '\n';
    if (bodies_.back().size() + line.size() > kPageMost) {
      if (bodies_.size() == kPagesMost) return void(complete_ = false);
      bodies_.emplace_back();
    }
    bodies_.back() += line;
  }
  std::vector<std::string> Take() {
    const std::string head = std::to_string(bodies_.size()) + '\n';
    for (std::string& body : bodies_) body.insert(0, head);
    return std::move(bodies_);
  }
  bool complete() const { return complete_; }

 private:
  std::vector<std::string> bodies_{1};
  bool complete_ = true;
};

std::string NumbersOf(uint32_t sessions) {
  return std::to_string(std::min(sessions, kSessionsMost));
}
std::string NumbersOf(const RateCharge& charge) {
  return std::to_string(std::min(charge.micros, kChargeMost)) + ' ' + std::to_string(charge.span);
}

}  // namespace

std::vector<std::string> WritePages(const Published& published, bool* complete) {
  Pages pages;
  bool more = true;
  auto add = [&](char kind, const auto& list, size_t i) {
    if (i >= list.size()) return;
    pages.Add(kind, NumbersOf(list[i].second), list[i].first);
    more = true;
  };
  // In turn, so that neither leaves the other out. Sessions first: they matter more.
  for (size_t i = 0; i < kPublishedMost && std::exchange(more, false); ++i) {
    add('u', published.users, i);
    add('a', published.addresses, i);
  }
  more = true;
  for (size_t i = 0; i < kPublishedMost && std::exchange(more, false); ++i) {
    for (size_t kind = 0; kind < kRateKinds; ++kind) {
      add(kRateLetters[kind], published.charges[kind], i);
    }
  }
  *complete = pages.complete() && published.users.size() <= kPublishedMost &&
              published.addresses.size() <= kPublishedMost;
  return pages.Take();
}

size_t PagesOf(std::string_view page) {
  size_t pages = 0;
  return TakeNumber(page, '\n', kPagesMost, pages) ? pages : 0;
}

bool AddPage(std::string_view page, OtherNodes::Counts* counts, ChargeTables* charges) {
  size_t pages = 0;
  if (!TakeNumber(page, '\n', kPagesMost, pages)) return false;
  while (!page.empty()) {
    if (!AddEntry(page, counts, charges)) return false;
  }
  return true;
}

}  // namespace rum

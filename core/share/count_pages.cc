#include "share/count_pages.h"

#include <algorithm>
#include <charconv>

namespace rum {
namespace {

// Reads a number and the byte behind it.
bool TakeNumber(std::string_view& rest, char end, uint32_t most, uint32_t& number) {
  auto [at, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
  const auto used = static_cast<size_t>(at - rest.data());
  if (error != std::errc() || used == rest.size() || *at != end || number == 0 || number > most) {
    return false;
  }
  rest.remove_prefix(used + 1);
  return true;
}

bool AddEntry(std::string_view& rest, OtherNodes::Counts* counts) {
  const char kind = rest[0];
  if (kind != 'u' && kind != 'a') return false;
  rest.remove_prefix(1);
  uint32_t sessions = 0, size = 0;
  if (!TakeNumber(rest, ' ', kSessionsMost, sessions) || !TakeNumber(rest, ':', kKeyMost, size)) {
    return false;
  }
  if (rest.size() < size + size_t{1} || rest[size] != '\n') return false;
  if (counts->users.size() + counts->addresses.size() >= kEntriesMost) return false;
  auto& table = kind == 'u' ? counts->users : counts->addresses;
  uint32_t& sum = table[std::string(rest.substr(0, size))];
  const uint32_t added = std::min(sessions, kSessionsMost - sum);
  sum += added;
  if (kind == 'u') counts->sessions += added;
  rest.remove_prefix(size + size_t{1});
  return true;
}

}  // namespace

std::vector<std::string> WritePages(const KeySessions& users, const KeySessions& addresses,
                                    bool* complete) {
  std::vector<std::string> bodies(1);
  *complete = users.size() <= kPublishedMost && addresses.size() <= kPublishedMost;
  auto add = [&](char kind, const auto& one) {
    const auto& [key, sessions] = one;
    if (key.empty() || key.size() > kKeyMost) return;
    std::string line(1, kind);
    line += std::to_string(std::min(sessions, kSessionsMost)) + ' ' + std::to_string(key.size()) +
            ':' + key + '\n';
    if (bodies.back().size() + line.size() > kPageMost) {
      if (bodies.size() == kPagesMost) return void(*complete = false);
      bodies.emplace_back();
    }
    bodies.back() += line;
  };
  // In turn, so that neither leaves the other out.
  for (size_t i = 0; i < std::min(std::max(users.size(), addresses.size()), kPublishedMost); ++i) {
    if (i < users.size()) add('u', users[i]);
    if (i < addresses.size()) add('a', addresses[i]);
  }
  const std::string head = std::to_string(bodies.size()) + '\n';
  for (std::string& body : bodies) body.insert(0, head);
  return bodies;
}

size_t PagesOf(std::string_view page) {
  uint32_t pages = 0;
  return TakeNumber(page, '\n', kPagesMost, pages) ? pages : 0;
}

bool AddPage(std::string_view page, OtherNodes::Counts* counts) {
  uint32_t pages = 0;
  if (!TakeNumber(page, '\n', kPagesMost, pages)) return false;
  while (!page.empty()) {
    if (!AddEntry(page, counts)) return false;
  }
  return true;
}

}  // namespace rum

#include "base/date.h"

#include <time.h>

#include <algorithm>
#include <charconv>

namespace rum {
namespace {

// Parses `count` digits at `at` and advances it.
std::optional<int> Digits(std::string_view text, size_t& at, size_t count) {
  if (text.size() - at < count) return std::nullopt;
  int number = 0;
  auto [end, error] = std::from_chars(text.data() + at, text.data() + at + count, number);
  if (error != std::errc() || end != text.data() + at + count || text[at] == '-') {
    return std::nullopt;
  }
  at += count;
  return number;
}

}  // namespace

std::optional<int64_t> ParseDate(std::string_view text) {
  size_t at = 0;
  tm t = {};
  struct Field {
    int* target;
    size_t digits;
    std::string_view behind;
  };
  for (const Field& field : {Field{&t.tm_year, 4, "-"},
                             {&t.tm_mon, 2, "-"},
                             {&t.tm_mday, 2, "Tt"},
                             {&t.tm_hour, 2, ":"},
                             {&t.tm_min, 2, ":"},
                             {&t.tm_sec, 2, ".Zz+-"}}) {
    auto number = Digits(text, at, field.digits);
    if (!number || at == text.size() || field.behind.find(text[at]) == field.behind.npos) {
      return std::nullopt;
    }
    *field.target = *number;
    ++at;
  }
  char zone = text[at - 1];
  if (zone == '.') {
    size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
    if (end == at || end == text.size()) return std::nullopt;
    zone = text[end];
    at = end + 1;
  }
  int offset = 0;
  if (zone == '+' || zone == '-') {
    auto hours = Digits(text, at, 2);
    if (!hours || *hours > 23 || at == text.size() || text[at++] != ':') return std::nullopt;
    auto minutes = Digits(text, at, 2);
    if (!minutes || *minutes > 59) return std::nullopt;
    offset = (*hours * 60 + *minutes) * (zone == '+' ? 60 : -60);
  } else if (zone != 'Z' && zone != 'z') {
    return std::nullopt;
  }
  if (at != text.size()) return std::nullopt;
  const tm asked = t;
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  t.tm_sec = std::min(t.tm_sec, 59);  // a leap second counts as the second before it
  int64_t seconds = timegm(&t);
  // timegm() normalizes a date that does not exist to another one.
  if (t.tm_year + 1900 != asked.tm_year || t.tm_mon + 1 != asked.tm_mon ||
      t.tm_mday != asked.tm_mday || t.tm_hour != asked.tm_hour || t.tm_min != asked.tm_min ||
      asked.tm_sec > 60) {
    return std::nullopt;
  }
  return seconds - offset;
}

std::string FormatDate(int64_t seconds) {
  time_t time = seconds;
  tm t;
  char text[64] = "";
  if (!gmtime_r(&time, &t) || !strftime(text, sizeof text, "%FT%TZ", &t)) {
    return std::to_string(seconds);
  }
  return text;
}

}  // namespace rum

#include "map/map_rules.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

#include "base/date.h"
#include "base/escape.h"
#include "map/column.h"

namespace rum {
namespace {

constexpr char kText = '\x80';
constexpr std::string_view kRawName = "tail=";

// Flags of the version 6.7 format.
constexpr uint8_t kAddresses = 1;
constexpr uint8_t kCountries = 2;
constexpr size_t kPair = 8;  // IPv4 address and mask, in network byte order
constexpr size_t kCountry = 2;

Error Bad(std::string text) {
  return Error{Fault::kMap, "has rules that cannot be read: " + std::move(text)};
}

std::string Quote(std::string_view text) { return QuoteBytes(text); }

Result<int64_t> ReadTime(std::string_view name, std::string_view text) {
  int64_t seconds = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size() && seconds >= 0) return seconds;
  if (auto date = ParseDate(text)) return *date;
  return Bad(std::string(name) + "=" + Quote(text) +
             " is not a time: write 2026-12-31T23:59:59Z, or seconds since 1970");
}

// Shortens the error of a nested parser.
Error Inside(std::string_view name, const Error& error) {
  std::string text;
  AppendPrintable(text, error.text);
  return Bad(std::string(name) + "=" + text);
}

// -- the text -------------------------------------------------------------------------------------

// One attribute: its name, its value after '=', and whether there is a value.
struct Word {
  std::string_view name, value;
  bool valued;
};

using ReadWord = Status (*)(const Word& word, MapRules& rules);

enum class Value : uint8_t { kNone, kNeeded, kOptional };

struct Attribute {
  std::string_view name;
  Value value;
  ReadWord read;
};

constexpr std::string_view kNot = "not";  // the part before the dash in the name of a rule

constexpr Attribute kAttributes[] = {
    {"allow", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       auto set = CidrSet::Parse(word.value);
       if (!set) return Inside(word.name, set.error());
       rules.allow = std::move(*set);
       return Ok();
     }},
    {"deny", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       auto set = CidrSet::Parse(word.value);
       if (!set) return Inside(word.name, set.error());
       rules.deny = std::move(*set);
       return Ok();
     }},
    {"country", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       auto set = CountrySet::Parse(word.value);
       if (!set) return Inside(word.name, set.error());
       rules.country = std::move(*set);
       return Ok();
     }},
    {"not-country", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       auto set = CountrySet::Parse(word.value);
       if (!set) return Inside(word.name, set.error());
       rules.not_country = std::move(*set);
       return Ok();
     }},
    {"max", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       uint32_t number = 0;
       const char* last = word.value.data() + word.value.size();
       auto [end, error] = std::from_chars(word.value.data(), last, number);
       if (word.value != "off" && (error != std::errc() || end != last || number == 0)) {
         return Bad("max=" + Quote(word.value) + " is not a number from 1 on, or off");
       }
       rules.max = number;
       return Ok();
     }},
    {"rate", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       auto rate = ParseRate(word.value);
       if (!rate) return Inside(word.name, rate.error());
       rules.rate = *rate;
       return Ok();
     }},
    {"tls", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       if (word.value != "require") return Bad("tls=" + Quote(word.value) + " is not tls=require");
       rules.needs_tls = true;
       return Ok();
     }},
    {"from", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       auto time = ReadTime(word.name, word.value);
       if (!time) return time.error();
       rules.from = *time;
       return Ok();
     }},
    {"until", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       auto time = ReadTime(word.name, word.value);
       if (!time) return time.error();
       rules.until = *time;
       return Ok();
     }},
    {kMapDisabled, Value::kOptional,
     [](const Word& word, MapRules& rules) -> Status {
       if (word.valued && (word.value.empty() || word.value.size() > kMapDisabledTextMost)) {
         return Bad("the text of disabled= is not of 1 to " + std::to_string(kMapDisabledTextMost) +
                    " bytes");
       }
       rules.disabled = true;
       rules.disabled_text = word.value;
       return Ok();
     }},
    {"note", Value::kNeeded,
     [](const Word& word, MapRules& rules) -> Status {
       rules.note = word.value;
       return Ok();
     }},
};

// Calls `visit` with each word, until it returns an error.
template <class Visit>
Status EachWord(std::string_view text, Visit visit) {
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    if (end > 0) {
      auto word = ParseColumn(text.substr(0, end));
      if (!word) return Bad(word.error().text);
      if (Status s = visit(*word); !s) return s;
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return Ok();
}

using Column = std::pair<std::string, std::string>;

Status AddColumn(std::string_view name, bool valued, std::string_view value,
                 std::vector<Column>& columns) {
  if (!valued) return Bad(Quote(name) + " needs a value: " + std::string(name) + "=...");
  for (const auto& [known, old] : columns) {
    if (known == name) return Bad(std::string(name) + " is given twice");
  }
  if (columns.size() == kMapColumnsMost) {
    return Bad("there are more than " + std::to_string(kMapColumnsMost) + " module columns");
  }
  columns.emplace_back(name, value);
  return Ok();
}

Result<MapRules> ParseText(std::string_view text, std::vector<Column>& columns) {
  MapRules rules;
  uint32_t seen = 0;
  Status status = EachWord(text, [&](std::string_view word) -> Status {
    size_t sign = word.find('=');
    std::string_view name = word.substr(0, sign);
    std::string_view value = sign == word.npos ? std::string_view() : word.substr(sign + 1);
    if (IsMapColumnName(name)) return AddColumn(name, sign != word.npos, value, columns);
    auto found = std::find_if(std::begin(kAttributes), std::end(kAttributes),
                              [&](const Attribute& a) { return a.name == name; });
    if (found == std::end(kAttributes)) {
      std::string all;
      for (const Attribute& a : kAttributes) (all += all.empty() ? "" : ", ") += a.name;
      return Bad(Quote(name) + " is not one of " + all);
    }
    const bool valued = sign != word.npos;
    if (!valued && found->value == Value::kNeeded) {
      return Bad(std::string(name) + " needs a value: " + std::string(name) + "=...");
    }
    uint32_t bit = 1u << (found - kAttributes);
    if (seen & bit) return Bad(std::string(name) + " is given twice");
    seen |= bit;
    return found->read({name, value, valued}, rules);
  });
  if (!status) return status.error();
  if (rules.from && rules.until && *rules.until <= *rules.from) {
    return Bad("until is not after from");
  }
  return rules;
}

// -- the older form -------------------------------------------------------------------------------

struct Older {
  std::vector<std::string> networks;
  std::vector<std::string> countries;  // as they are stored: two bytes each
  bool addresses = false;              // has a list of addresses that is not empty
};

uint32_t Word32(std::string_view bytes) {
  uint32_t word = 0;
  for (char c : bytes.substr(0, 4)) word = word << 8 | static_cast<uint8_t>(c);
  return word;
}

Result<Older> ReadOlder(std::string_view tail) {
  const auto flags = static_cast<uint8_t>(tail[0]);
  if (flags & ~(kAddresses | kCountries)) {
    return Bad("the form " + std::to_string(flags) + " is not known");
  }
  std::string_view rest = tail.substr(1);
  auto take_list = [&](size_t size) -> std::optional<std::string_view> {
    if (rest.empty()) return std::nullopt;
    size_t bytes = size * static_cast<uint8_t>(rest[0]);
    if (rest.size() - 1 < bytes) return std::nullopt;
    std::string_view list = rest.substr(1, bytes);
    rest.remove_prefix(1 + bytes);
    return list;
  };
  Older older;
  if (flags & kAddresses) {
    auto list = take_list(kPair);
    if (!list) return Bad("the list of addresses is truncated");
    // An empty list restricted nothing in version 6.7.
    older.addresses = !list->empty();
    for (; !list->empty(); list->remove_prefix(kPair)) {
      uint32_t address = Word32(*list), mask = Word32(list->substr(4));
      if (address == 0 && mask == 0) break;  // ended the list in version 6.7, whatever the count
      auto bits = static_cast<unsigned>(std::countl_one(mask));
      if (bits < 32 && mask << bits != 0) return Bad("a network mask is invalid");
      address &= mask;
      older.networks.push_back(std::to_string(address >> 24) + "." +
                               std::to_string(address >> 16 & 255) + "." +
                               std::to_string(address >> 8 & 255) + "." +
                               std::to_string(address & 255) + "/" + std::to_string(bits));
    }
  }
  if (flags & kCountries) {
    auto list = take_list(kCountry);
    if (!list) return Bad("the list of countries is truncated");
    for (; !list->empty(); list->remove_prefix(kCountry)) {
      if ((*list)[0] == '\0' && !older.countries.empty()) break;  // ended the list in version 6.7
      older.countries.emplace_back(list->substr(0, kCountry));
    }
  }
  if (!rest.empty()) return Bad("extra bytes follow the lists");
  return older;
}

std::string Join(const std::vector<std::string>& words, const char* between) {
  std::string all;
  for (const std::string& word : words) (all += all.empty() ? "" : between) += word;
  return all;
}

Result<MapRules> ParseOlder(std::string_view tail) {
  auto older = ReadOlder(tail);
  if (!older) return older.error();
  MapRules rules;
  if (older->addresses) {
    rules.allow.emplace();
    if (!older->networks.empty()) {
      auto set = CidrSet::Parse(Join(older->networks, ","));
      if (!set) return Bad(set.error().text);
      rules.allow = std::move(*set);
    }
  }
  rules.older = true;
  // An empty list restricted nothing in version 6.7, and a country that is none matched nobody.
  if (!older->countries.empty()) rules.country.emplace();
  for (const std::string& country : older->countries) {
    if (auto known = Country::From(country)) rules.country->Add(known);
  }
  return rules;
}

bool IsText(std::string_view tail) { return tail[0] == kText; }

}  // namespace

Result<MapRules> ParseMapRules(std::string_view tail) {
  if (tail.empty()) return MapRules{};
  std::vector<Column> columns;
  return IsText(tail) ? ParseText(tail.substr(1), columns) : ParseOlder(tail);
}

bool IsMapColumnName(std::string_view name) {
  const size_t dash = name.find('-');
  if (dash == name.npos || dash + 1 == name.size() || name.size() > kMapColumnNameMost) {
    return false;
  }
  if (name[0] < 'a' || name[0] > 'z') return false;
  const std::string_view module = name.substr(0, dash);
  return module != kNot &&
         std::none_of(std::begin(kAttributes), std::end(kAttributes),
                      [&](const Attribute& a) { return a.name == module; }) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

Result<std::optional<std::string>> FindMapColumn(std::string_view tail, std::string_view name) {
  std::vector<Column> columns;
  if (!tail.empty()) {
    auto rules = IsText(tail) ? ParseText(tail.substr(1), columns) : ParseOlder(tail);
    if (!rules) return rules.error();
    if (name == kMapDisabled && !rules->disabled_text.empty()) {
      std::string text;
      AppendPrintable(text, rules->disabled_text);
      return std::optional(std::move(text));
    }
  }
  for (auto& [known, value] : columns) {
    if (known == name) return std::optional(std::move(value));
  }
  return std::optional<std::string>();
}

Result<std::string> MakeMapRules(const std::vector<std::string_view>& words) {
  if (words.empty() || (words.size() == 1 && words[0] == "-")) return std::string();
  if (words.size() == 1 && words[0].starts_with(kRawName)) {
    std::string_view bytes = words[0].substr(kRawName.size());
    return bytes.empty() ? Result<std::string>(std::string()) : ParseColumn(bytes);
  }
  std::string tail(1, kText);
  for (std::string_view word : words) {
    auto bytes = ParseColumn(word);
    if (!bytes) return bytes;
    if (tail.size() > 1) tail += ' ';
    tail += FormatColumn(*bytes);
  }
  return tail;
}

std::string FormatMapRules(std::string_view tail) {
  if (tail.empty()) return {};
  if (IsText(tail)) {
    std::vector<std::string_view> words;
    for (std::string_view rest = tail.substr(1); !rest.empty();) {
      size_t end = std::min(rest.find(' '), rest.size());
      if (end > 0) words.push_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    auto same = MakeMapRules(words);
    bool plain = !words.empty() && same && *same == tail;
    if (plain) return " " + std::string(tail.substr(1));
  }
  return " " + std::string(kRawName) + FormatColumn(tail);
}

std::vector<std::string> DescribeMapRules(std::string_view tail) {
  std::vector<std::string> lines;
  if (tail.empty()) return lines;
  std::vector<Column> columns;
  auto rules = IsText(tail) ? ParseText(tail.substr(1), columns) : ParseOlder(tail);
  if (!rules) return {rules.error().text};
  std::string allow, deny;
  if (IsText(tail)) {
    // Print the lists as they were written.
    (void)EachWord(tail.substr(1), [&](std::string_view word) -> Status {
      if (word.starts_with("allow=")) allow = word.substr(6);
      if (word.starts_with("deny=")) deny = word.substr(5);
      return Ok();
    });
  } else if (auto older = ReadOlder(tail)) {
    allow = Join(older->networks, ",");
    if (!older->countries.empty()) {
      std::string line = "allowed only from the countries (with --geo-db) ";
      AppendEscaped(line, Join(older->countries, ","));
      lines.push_back(std::move(line));
    }
  }
  if (rules->disabled) {
    std::string line = "disabled";
    if (!rules->disabled_text.empty())
      AppendEscaped(line += ", clients see: ", rules->disabled_text);
    lines.push_back(std::move(line));
  }
  if (rules->allow) {
    lines.push_back(allow.empty() ? "refused from every address" : "allowed only from " + allow);
  }
  if (!deny.empty()) lines.push_back("refused from " + deny);
  if (rules->country && !rules->older) {
    lines.push_back("allowed only from the countries " + rules->country->text());
  }
  if (!rules->not_country.empty()) {
    lines.push_back("refused from the countries " + rules->not_country.text());
  }
  if (rules->needs_tls) lines.push_back("must use TLS");
  if (rules->from) lines.push_back("not before " + FormatDate(*rules->from));
  if (rules->until) lines.push_back("not from " + FormatDate(*rules->until) + " on");
  if (rules->max) {
    lines.push_back(*rules->max == 0 ? "any number of connections"
                                     : "at most " + std::to_string(*rules->max) +
                                           (*rules->max == 1 ? " connection" : " connections"));
  }
  if (rules->rate) {
    lines.push_back(rules->rate->on() ? "at most " + FormatRate(*rules->rate) + " logins"
                                      : "any number of logins");
  }
  if (!rules->note.empty()) {
    std::string line = "note ";
    AppendEscaped(line, rules->note);
    lines.push_back(std::move(line));
  }
  for (const auto& [name, value] : columns) {
    std::string line = name + " ";
    AppendEscaped(line, value);
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace rum

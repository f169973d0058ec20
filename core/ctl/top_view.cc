#include "ctl/top_view.h"

#include <wchar.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "base/units.h"

namespace rum {
namespace {

using Look = TopLine::Look;

// Columns of the table. Flexible ones share the room that the others leave; if there is too little,
// those with the highest `drop` go first.
struct Column {
  const char* title;
  size_t least;  // width; of a flexible one the smallest
  size_t most;
  bool right;
  unsigned drop;  // 0: never
};
enum : size_t { kId, kClient, kUser, kServer, kState, kAge, kRate, kReceived, kSent, kColumns };
constexpr Column kTable[kColumns] = {
    {"ID", 8, 8, true, 5},        {"CLIENT", 15, 45, false, 4}, {"USER", 8, 80, false, 0},
    {"SERVER", 12, 80, false, 2}, {"STATE", 7, 7, false, 6},    {"AGE", 6, 6, true, 1},
    {"BYTES/S", 8, 8, true, 0},   {"RECEIVED", 9, 9, true, 3},  {"SENT", 5, 5, true, 3},
};
constexpr size_t kGap = 1;
constexpr size_t kDownLines = 3;  // of the names of servers that are down

// The widths for a window; 0: the column is not shown. `wants`: of the longest cell.
std::vector<size_t> Widths(size_t wide, const std::vector<size_t>& wants) {
  std::vector<size_t> widths(kColumns);
  for (size_t i = 0; i < kColumns; ++i) widths[i] = kTable[i].least;
  auto used = [&] {
    size_t sum = 0;
    for (size_t width : widths) sum += width ? width + kGap : 0;
    return sum ? sum - kGap : 0;
  };
  for (unsigned drop = 6; drop > 0 && used() > wide; --drop) {
    for (size_t i = 0; i < kColumns; ++i) {
      if (kTable[i].drop == drop) widths[i] = 0;
    }
  }
  for (bool grown = true; grown && used() < wide;) {
    grown = false;
    for (size_t i = 0; i < kColumns && used() < wide; ++i) {
      if (widths[i] == 0 || widths[i] >= std::min(kTable[i].most, wants[i])) continue;
      ++widths[i];
      grown = true;
    }
  }
  return widths;
}

std::wstring Join(const std::vector<size_t>& widths, const std::vector<std::string>& cells) {
  std::wstring line;
  for (size_t i = 0; i < kColumns; ++i) {
    if (widths[i] == 0) continue;
    if (!line.empty()) line.append(kGap, L' ');
    line += FitCell(cells[i], widths[i], kTable[i].right);
  }
  return line;
}

uint64_t Number(const Json& json, const char* group, const char* name) {
  return json.at(group).at(name).get<uint64_t>();
}

}  // namespace

std::string ShortNumber(double number) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t unit = 0;
  for (; number >= 999.5 && unit + 1 < std::size(kUnits); ++unit) number /= 1000;
  char text[32];
  const bool tenths = number > 0 && number < 9.95 && (unit || number < 1);
  std::snprintf(text, sizeof text, "%.*f%s", tenths ? 1 : 0, number, kUnits[unit]);
  return text;
}

std::wstring FitCell(const std::string& text, size_t width, bool right) {
  const wchar_t mark = ::wcwidth(L'…') == 1 ? L'…' : L'~';
  std::wstring cell;
  size_t used = 0, before_last = 0, cut = 0;  // `cut`: where the mark would fit
  mbstate_t state = {};
  bool more = false;
  for (size_t at = 0; at < text.size();) {
    wchar_t c = 0;
    size_t size = ::mbrtowc(&c, text.data() + at, text.size() - at, &state);
    if (size == 0 || size > text.size() - at) {  // not in this locale's encoding
      c = L'?';
      size = 1;
      state = {};
    }
    at += size;
    const int columns = ::wcwidth(c);
    if (columns <= 0) continue;
    if (used + static_cast<size_t>(columns) > width) {
      more = true;
      break;
    }
    if (used < width) {
      before_last = used;
      cut = cell.size();
    }
    cell += c;
    used += static_cast<size_t>(columns);
  }
  if (more && width > 0) {
    if (used == width) {  // the last character makes room
      cell.resize(cut);
      used = before_last;
    }
    cell += mark;
    ++used;
  }
  if (used < width) cell.insert(right ? 0 : cell.size(), width - used, L' ');
  return cell;
}

void TopView::Update(const Json& stats, const Json& sessions, double seconds) {
  Counts now = {
      seconds, Number(stats, "sessions", "logins"), Number(stats, "limits", "login_failures"),
      Number(stats, "bytes", "client_received"), Number(stats, "bytes", "upstream_received")};
  std::unordered_map<uint64_t, uint64_t> before;
  for (const Row& row : rows_) before[row.id] = row.received + row.sent;
  const double passed = last_.at > 0 ? seconds - last_.at : 0;
  std::vector<Row> rows;
  for (const Json& one : sessions.at("sessions")) {
    Row row = {one.at("id").get<uint64_t>(),
               Shown(one.at("client")),
               one.contains("user") ? Shown(one.at("user")) : "-",
               one.contains("destination") ? Shown(one.at("destination")) : "-",
               Shown(one.at("state")),
               one.at("seconds").get<double>(),
               one.at("received").get<uint64_t>(),
               one.at("sent").get<uint64_t>(),
               -1};
    // A session that is new has moved all its bytes since the last look.
    const auto found = before.find(row.id);
    const uint64_t moved = row.received + row.sent, had = found == before.end() ? 0 : found->second;
    if (passed > 0 && moved >= had) row.rate = static_cast<double>(moved - had) / passed;
    rows.push_back(std::move(row));
  }
  auto rate = [&](uint64_t Counts::*member, std::string (*show)(double)) {
    if (passed <= 0 || now.*member < last_.*member) return std::string("-");
    return show(static_cast<double>(now.*member - last_.*member) / passed);
  };
  std::string activity = "sessions " + Shown(stats.at("sessions").at("active")) + " (" +
                         Shown(stats.at("sessions").at("connecting")) + " connecting)   logins " +
                         rate(&Counts::logins, ShortNumber) + "/s, failed " +
                         rate(&Counts::failures, ShortNumber) + "/s   from clients " +
                         rate(&Counts::client, ShowSize) + "/s, from servers " +
                         rate(&Counts::upstream, ShowSize) + "/s";
  TakeServers(stats);
  activity_ = std::move(activity);
  rows_ = std::move(rows);
  matched_ = sessions.at("matched").get<uint64_t>();
  last_ = now;
}

void TopView::TakeServers(const Json& stats) {
  const Json& rum = stats.at("rum");
  std::vector<std::string> down;
  size_t servers = 0, disabled = 0;
  for (const Json& one : stats.at("destinations")) {
    ++servers;
    if (one.contains("admin")) {
      ++disabled;
    } else if (Shown(one.at("state")) == "down") {
      down.push_back(Shown(one.at("address")) +
                     (one.contains("reason") ? " " + Shown(one.at("reason")) : ""));
    } else if (one.contains("circuit")) {
      down.push_back(Shown(one.at("address")) + " circuit " + Shown(one.at("circuit")));
    }
  }
  state_ = VerdictWord(stats);
  look_ = state_ == "serving" ? Look::kGood : state_ == "down" ? Look::kBad : Look::kWarning;
  process_ = "rum " + Shown(rum.at("version")) + "   up " +
             ShowDuration(rum.at("uptime_seconds").get<double>()) + "   " +
             Shown(stats.at("module").at("name"));
  const Json older = stats.value("generations", Json::array());
  if (!older.empty()) process_ += "   older processes " + std::to_string(older.size());
  const size_t known = stats.contains("servers") ? Number(stats, "servers", "known") : servers;
  servers_ = "servers " + std::to_string(known) + "   down " + std::to_string(down.size()) +
             "   drain or maint " + std::to_string(disabled);
  down_ = std::move(down);
}

std::vector<const TopView::Row*> TopView::Sorted() const {
  std::vector<const Row*> sorted;
  for (const Row& row : rows_) sorted.push_back(&row);
  auto value = [this](const Row& row) {
    return order_ == Order::kBytes ? static_cast<double>(row.received + row.sent)
           : order_ == Order::kAge ? row.age
                                   : row.rate;
  };
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const Row* a, const Row* b) { return value(*a) > value(*b); });
  return sorted;
}

std::vector<TopLine> TopView::Head(size_t wide) const {
  std::vector<TopLine> lines;
  auto add = [&](const std::string& text, Look look) {
    lines.push_back({FitCell(text, wide), look});
  };
  add((trouble_.empty() ? state_ : trouble_) + "   " + process_,
      trouble_.empty() ? look_ : Look::kBad);
  add(activity_, Look::kPlain);
  add(servers_, Look::kPlain);
  std::string line;
  size_t named = 0;
  for (const std::string& name : down_) {
    const bool fits = line.empty() || line.size() + 2 + name.size() <= wide;
    if (!fits) {
      if (lines.size() + 1 >= 3 + kDownLines) break;
      add(line, Look::kBad);
      line.clear();
    }
    line += (line.empty() ? "  " : ", ") + name;
    ++named;
  }
  if (!line.empty()) add(line, Look::kBad);
  if (named < down_.size()) {
    add("  and " + std::to_string(down_.size() - named) + " more (rumctl destinations)",
        Look::kBad);
  }
  return lines;
}

std::vector<TopLine> TopView::Lines(size_t wide, size_t high) const {
  std::vector<TopLine> lines = Head(wide);
  lines.push_back({FitCell("", wide), Look::kPlain});
  std::vector<std::vector<std::string>> cells;
  std::vector<size_t> wants(kColumns);
  std::vector<std::string> titles;
  for (const Column& column : kTable) titles.emplace_back(column.title);
  titles[order_ == Order::kAge ? kAge : order_ == Order::kRate ? kRate : kSent] += "*";
  if (order_ == Order::kBytes) titles[kReceived] += "*";
  const size_t room = high > lines.size() + 2 ? high - lines.size() - 2 : 0;
  const auto sorted = Sorted();
  const size_t shown = std::min(room, sorted.size());
  for (size_t i = 0; i < shown; ++i) {
    const Row& row = *sorted[i];
    cells.push_back({std::to_string(row.id), row.client, row.user, row.destination, row.state,
                     ShowDuration(row.age), row.rate < 0 ? "-" : ShowSizeBriefly(row.rate),
                     ShowSizeBriefly(static_cast<double>(row.received)),
                     ShowSizeBriefly(static_cast<double>(row.sent))});
    for (size_t k = 0; k < kColumns; ++k) wants[k] = std::max(wants[k], cells.back()[k].size());
  }
  const std::vector<size_t> widths = Widths(wide, wants);
  lines.push_back({FitCell("", 0) + Join(widths, titles), Look::kHead});
  for (const auto& row : cells) lines.push_back({Join(widths, row), Look::kPlain});
  const std::string help = "b bytes  a age  r rate  q quit   " + std::to_string(shown) + " of " +
                           std::to_string(matched_) + " sessions";
  // A window that is too low for all of it shows the beginning, and always the keys.
  lines.resize(high > 0 ? high - 1 : 0, {FitCell("", wide), Look::kPlain});
  if (high > 0) lines.push_back({FitCell(help, wide), Look::kDim});
  for (TopLine& line : lines) {
    if (line.look == Look::kHead) line.text.resize(std::max(line.text.size(), wide), L' ');
  }
  return lines;
}

}  // namespace rum

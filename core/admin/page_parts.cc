#include "admin/page_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/escape.h"

namespace rum {

std::string Html(std::string_view text) {
  std::string printable, out;
  AppendPrintable(printable, text);
  for (char c : printable) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string Grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ',');
  return text;
}

std::string PerSecond(double rate) {
  if (rate < 99.95) return fmt::format("{:.{}f}", rate, rate > 0 ? 1 : 0);
  return Grouped(static_cast<uint64_t>(std::llround(rate)));
}

std::string Curve(const std::vector<double>& values, size_t room) {
  constexpr double kWide = 300, kHigh = 48;
  std::string points;
  double first = kWide, most = 0;
  for (double value : values) most = std::max(most, value);
  for (size_t i = 0; i < values.size(); ++i) {
    double x = kWide - static_cast<double>(values.size() - 1 - i) * kWide /
                           static_cast<double>(std::max<size_t>(room, 2) - 1);
    if (i == 0) first = x;
    fmt::format_to(std::back_inserter(points), "{:.1f},{:.1f} ", x,
                   kHigh - 1 - (most > 0 ? values[i] / most : 0) * (kHigh - 3));
  }
  return fmt::format(
      "<svg viewBox=\"0 0 {0} {1}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
      "<line x1=\"0\" x2=\"{0}\" y1=\"{2}\" y2=\"{2}\"/>"
      "<polygon points=\"{3:.1f},{1} {4}{0},{1}\"/><polyline points=\"{4}\"/></svg>",
      kWide, kHigh, kHigh - 0.5, first, points);
}

}  // namespace rum

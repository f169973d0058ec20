// What rumctl top shows, as lines that fit a window of any size: no terminal is needed for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "ctl/show.h"

namespace rum {

struct TopLine {
  enum class Look : uint8_t { kPlain, kGood, kWarning, kBad, kDim, kHead };
  std::wstring text;  // printable, and no wider than the window
  Look look = Look::kPlain;
};

// "1.2M": at most four characters below 1e15, and 0 as "0".
std::string ShortNumber(double number);

// `text` in UTF-8, cut or padded to `width` columns of a terminal. Drops what has no width of its
// own, such as combining characters: they could cover other cells.
std::wstring FitCell(const std::string& text, size_t width, bool right = false);

class TopView {
 public:
  enum class Order : uint8_t { kBytes, kAge, kRate };

  void set_order(Order order) { order_ = order; }
  // Takes the answers of /stats and /sessions, received at `seconds` of a monotonic clock. Throws
  // Json::exception if they lack a field; then keeps what it had.
  void Update(const Json& stats, const Json& sessions, double seconds);
  // Shows `text` instead of the state of rum; empty: rum answers.
  void set_trouble(std::string text) { trouble_ = std::move(text); }

  // Exactly `high` lines.
  std::vector<TopLine> Lines(size_t wide, size_t high) const;

 private:
  struct Row {
    uint64_t id;
    std::string client, user, destination, state;
    double age;
    uint64_t received, sent;
    double rate;  // bytes a second; negative: not known yet
  };
  struct Counts {
    double at = 0;
    uint64_t logins = 0, failures = 0, client = 0, upstream = 0;
  };

  void TakeServers(const Json& stats);
  std::vector<const Row*> Sorted() const;
  std::vector<TopLine> Head(size_t wide) const;

  Order order_ = Order::kRate;
  std::string trouble_;
  std::string state_, process_, servers_;
  TopLine::Look look_ = TopLine::Look::kPlain;
  std::string activity_;
  std::vector<std::string> down_;  // "tcp:db7:3306 connect_refused"
  std::vector<Row> rows_;
  uint64_t matched_ = 0;
  Counts last_;
};

}  // namespace rum

#include "ctl/top.h"

#include <langinfo.h>
#include <locale.h>
#include <time.h>
#include <unistd.h>

#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1  // its macros have the names of members of the standard library
#include <ncurses.h>
#include <term.h>
#undef lines
#undef columns

#include <algorithm>
#include <chrono>
#include <cstring>

#include "ctl/client.h"
#include "ctl/top_view.h"

namespace rum {
namespace {

using Look = TopLine::Look;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kPeriod{2000};
constexpr int kAnswerSeconds = 2;
enum : short { kGoodPair = 1, kWarningPair, kBadPair };

double Seconds() { return std::chrono::duration<double>(Clock::now().time_since_epoch()).count(); }

// The terminal while this exists; its destructor restores it.
class Screen {
 public:
  Screen() : screen_(::newterm(nullptr, stdout, stdin)) {
    ::cbreak();
    ::noecho();
    ::keypad(stdscr, true);
    ::curs_set(0);
    if (!::has_colors()) return;
    ::start_color();
    ::use_default_colors();
    ::init_pair(kGoodPair, COLOR_GREEN, -1);
    ::init_pair(kWarningPair, COLOR_YELLOW, -1);
    ::init_pair(kBadPair, COLOR_RED, -1);
  }
  ~Screen() {
    ::endwin();
    ::delscreen(screen_);
  }
  Screen(const Screen&) = delete;

  static void Draw(const TopView& view) {
    const int wide = ::getmaxx(stdscr), high = ::getmaxy(stdscr);
    ::werase(stdscr);
    int y = 0;
    for (const TopLine& line : view.Lines(static_cast<size_t>(std::max(wide, 0)),
                                          static_cast<size_t>(std::max(high, 0)))) {
      const chtype look = LookOf(line.look);
      ::wattron(stdscr, static_cast<int>(look));
      // The last cell of the window cannot be written without scrolling; ncurses reports an error.
      ::mvwaddnwstr(stdscr, y++, 0, line.text.c_str(), static_cast<int>(line.text.size()));
      ::wattroff(stdscr, static_cast<int>(look));
    }
    ::wrefresh(stdscr);
  }

 private:
  static chtype LookOf(Look look) {
    switch (look) {
      case Look::kGood:
        return A_BOLD | COLOR_PAIR(kGoodPair);
      case Look::kWarning:
        return A_BOLD | COLOR_PAIR(kWarningPair);
      case Look::kBad:
        return A_BOLD | COLOR_PAIR(kBadPair);
      case Look::kDim:
        return A_DIM;
      case Look::kHead:
        return A_REVERSE;
      case Look::kPlain:
        break;
    }
    return A_NORMAL;
  }

  SCREEN* screen_;
};

// Names are in UTF-8: if the locale has no encoding for them, a terminal usually shows it even so.
void ChooseLocale() {
  ::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) ::setlocale(LC_CTYPE, "C.UTF-8");
}

std::string LocalTime() {
  const time_t now = ::time(nullptr);
  tm local;
  ::localtime_r(&now, &local);
  char text[16] = {};
  ::strftime(text, sizeof text, "%H:%M", &local);
  return text;
}

// Empty, or why the answers cannot be shown.
std::string Take(TopView& view, const std::string& stats, const std::string& sessions) {
  try {
    view.Update(Json::parse(stats), Json::parse(sessions), Seconds());
  } catch (const Json::exception&) {
    return "unexpected answer, perhaps from another version of rum";
  }
  return {};
}

}  // namespace

bool CanShowTop() {
  int error = 0;
  return ::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO) &&
         ::setupterm(nullptr, STDOUT_FILENO, &error) == OK;
}

void ShowTop(const std::string& socket, const std::string& stats, const std::string& sessions) {
  ChooseLocale();
  TopView view;
  view.set_trouble(Take(view, stats, sessions));
  Screen screen;
  std::string answered = LocalTime();
  for (auto due = Clock::now() + kPeriod;;) {
    Screen::Draw(view);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
    ::wtimeout(stdscr, static_cast<int>(std::max<int64_t>(left, 0)));
    switch (::wgetch(stdscr)) {
      case 'q':
      case 'Q':
        return;
      case 'b':
        view.set_order(TopView::Order::kBytes);
        break;
      case 'a':
        view.set_order(TopView::Order::kAge);
        break;
      case 'r':
        view.set_order(TopView::Order::kRate);
        break;
      case ERR:
        // A terminal that is gone answers at once.
        if (Clock::now() < due && ::isatty(STDIN_FILENO) == 0) return;
        break;
      default:
        break;  // KEY_RESIZE among them: drawn again
    }
    if (Clock::now() < due) continue;
    auto more = Ask(socket, "GET", "/stats", kAnswerSeconds);
    auto list = more ? Ask(socket, "GET", kTopSessions, kAnswerSeconds) : more;
    if (more && list) {
      const std::string trouble = Take(view, *more, *list);
      view.set_trouble(trouble);
      if (trouble.empty()) answered = LocalTime();
    } else {
      view.set_trouble("no answer since " + answered);
    }
    due = Clock::now() + kPeriod;
  }
}

}  // namespace rum

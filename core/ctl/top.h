// rumctl top on a terminal: draws TopView with ncurses, again every two seconds.
#pragma once

#include <string>

namespace rum {

// Whether standard input and output are a terminal that ncurses knows.
bool CanShowTop();

// Returns when the user quits. `stats` and `sessions` are the first answers of rum; later ones may
// be missing, which is shown.
void ShowTop(const std::string& socket, const std::string& stats, const std::string& sessions);

// The request for the sessions that are sorted: rum lists no more.
inline constexpr char kTopSessions[] = "/sessions?limit=10000";

}  // namespace rum

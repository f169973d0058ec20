// The commands of rum-map that change the journal of a map, or read it.
#include <openssl/crypto.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "map/column.h"
#include "map/map_changes.h"
#include "map/map_commands.h"
#include "map/map_journal.h"
#include "map/map_text.h"

namespace rum {
namespace {

// Reads standard input to its end.
Result<std::string> ReadText() {
  std::string text;
  char chunk[65536];
  for (;;) {
    ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Fault::kSystem, std::string("standard input: ") + std::strerror(errno)};
    if (n == 0) return text;
    text.append(chunk, static_cast<size_t>(n));
    if (text.size() > kJournalMostBytes) {
      return Error{Fault::kConfig, "more than 64 MiB: use rum-map build"};
    }
  }
}

int Report(const Change& change, const Result<size_t>& made, bool quiet) {
  if (!made) return Complain(made.error());
  if (*made == 0) {
    fprintf(stderr, "rum-map: %s: no user %s\n", change.map.c_str(),
            QuoteBytes(change.user).c_str());
    return kNo;
  }
  if (!quiet) {
    printf("%s: %zu %s\n", change.map.c_str(), *made, *made == 1 ? "change" : "changes");
  }
  return kDone;
}

}  // namespace

int Set(const Change& change, bool quiet) {
  if (!change.user.empty()) {
    if (change.destination.empty()) {
      return Complain({Fault::kUsage, "give a destination, or whole lines on standard input"});
    }
    return Report(change, SetUser(change.map, change.user, change.destination, change.rules),
                  quiet);
  }
  auto text = ReadText();
  if (!text) return Complain(text.error());
  std::vector<std::string> problems;
  auto made = SetUsers(change.map, *text, &problems);
  OPENSSL_cleanse(text->data(), text->size());
  for (const std::string& problem : problems) fprintf(stderr, "%s\n", problem.c_str());
  return Report(change, made, quiet);
}

int Unset(const Change& change, bool quiet) {
  return Report(change, UnsetUser(change.map, change.user), quiet);
}

// What a program needs that is about to replace the map.
int Changes(const std::string& path) {
  auto map = MapFile::Load(path);
  if (!map) return Complain(map.error());
  const bool exists = (*map)->journal_stamp() != FileStamp();
  const bool applies = !exists || (*map)->journal_applies();
  if (applies) WarnOfJournal(**map);
  printf("%llu%s\n", static_cast<unsigned long long>((*map)->sequence()),
         applies ? "" : " does not apply");
  (*map)->VisitChanges([](std::string_view user, std::optional<std::string_view> value) {
    return puts((value ? FormatMapLine(user, *value) : FormatColumn(user)).c_str()) >= 0;
  });
  return fflush(stdout) == 0
             ? kDone
             : Complain({Fault::kSystem, std::string("standard output: ") + std::strerror(errno)});
}

}  // namespace rum

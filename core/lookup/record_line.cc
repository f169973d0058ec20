#include "lookup/record_line.h"

#include "map/column.h"
#include "map/map_text.h"

namespace rum {
namespace {

Error Bad(std::string text) { return Error{Fault::kMap, std::move(text)}; }

}  // namespace

Result<std::string> ReadRecordLine(std::string_view user, std::string_view line, bool* other) {
  *other = false;
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.find('\n') != line.npos) return Bad("has a record of more than one line");
  auto entry = ParseMapLine(line);
  // What ParseMapLine() says may have words of the line, such as a password in plain text.
  if (!entry) return Bad("has a record that is no valid line of a map (rum-map build checks it)");
  if (!*entry) return Bad("has an empty record");
  if ((*entry)->user != user) {
    *other = true;
    return Bad("has the record of " + QuoteBytes((*entry)->user));
  }
  if (Status s = CheckMapEntry(user, (*entry)->value); !s) return s.error();
  return std::move((*entry)->value);
}

}  // namespace rum

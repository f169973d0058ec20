#include "ctl/instances.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/escape.h"

namespace rum {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMost = 1000;
constexpr char kSocket[] = "control.sock";

bool IsSocket(const fs::path& path) {
  std::error_code error;
  return fs::is_socket(path, error);
}

}  // namespace

std::vector<std::string> Instances(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (names.size() == kMost) break;
    if (IsSocket(entry->path() / kSocket)) names.push_back(entry->path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::string> FindSocket(const std::string& folder, const std::string& name) {
  if (name.find('/') != name.npos || name == "." || name == "..") {
    return Error{Fault::kUsage, "-i: '" + name + "' is not the name of an instance"};
  }
  if (!name.empty()) return (fs::path(folder) / name / kSocket).string();
  const fs::path alone = fs::path(folder) / kSocket;
  if (IsSocket(alone)) return alone.string();
  const auto names = Instances(folder);
  if (names.empty()) return alone.string();
  if (names.size() == 1) return (fs::path(folder) / names[0] / kSocket).string();
  std::string list;
  for (const std::string& one : names) AppendPrintable(list += ' ', one);
  return Error{Fault::kUsage, "several instances run; choose one by -i:" + list};
}

}  // namespace rum

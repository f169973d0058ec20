#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>
#include <thread>

namespace rum {
namespace {

constexpr std::string_view kGroups = "/sys/fs/cgroup";  // version 2

// The path of this process's group, "/a/b"; each parent can have a limit, too.
std::string Group() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) return line.substr(3);
  }
  return "/";
}

}  // namespace

std::optional<unsigned> CoresOfLimit(std::string_view cpu_max) {
  unsigned long time = 0, period = 0;
  const char* end = cpu_max.data() + cpu_max.size();
  auto [space, wrong] = std::from_chars(cpu_max.data(), end, time);
  if (wrong != std::errc() || space == end || *space != ' ') return std::nullopt;
  auto [rest, wrong_too] = std::from_chars(space + 1, end, period);
  if (wrong_too != std::errc() || period == 0 || time > 1000000 * period) return std::nullopt;
  return std::max(1u, static_cast<unsigned>((time + period - 1) / period));
}

unsigned UsableCores() {
  cpu_set_t set;
  unsigned cores = ::sched_getaffinity(0, sizeof set, &set) == 0
                       ? static_cast<unsigned>(CPU_COUNT(&set))
                       : std::thread::hardware_concurrency();
  for (std::string group = Group(); !group.empty();) {
    std::ifstream file(std::string(kGroups) + group + "/cpu.max");
    std::string line;
    if (std::getline(file, line)) cores = std::min(cores, CoresOfLimit(line).value_or(cores));
    group.resize(group == "/" ? 0 : std::max<size_t>(group.rfind('/'), 1));
  }
  return std::max(cores, 1u);
}

}  // namespace rum

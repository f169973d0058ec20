#include "admin/verdict.h"

#include <fmt/format.h>

#include <algorithm>

#include "admin/page_parts.h"
#include "base/units.h"

namespace rum {
namespace {

using Level = Verdict::Level;

constexpr uint64_t kNearlyFull = 90;              // percent of a limit
constexpr int64_t kExpiresSoon = 14 * 24 * 3600;  // seconds

class Judgement {
 public:
  explicit Judgement(const VerdictFacts& facts) : facts_(facts) {}

  Verdict Give() {
    Readiness();
    Servers();
    if (facts_.workers_stuck) {
      Add(Level::kWarning, fmt::format("{} {} stuck in the module", facts_.workers_stuck,
                                       facts_.workers_stuck == 1 ? "worker is" : "workers are"));
    }
    Sessions();
    Older();
    Certificate();
    Map();
    if (!facts_.share_fault.empty()) {
      Add(Level::kWarning, "limits are not fully shared: " + facts_.share_fault);
    }
    Memory();
    std::stable_sort(verdict_.reasons.begin(), verdict_.reasons.end(),
                     [](const auto& a, const auto& b) { return a.level > b.level; });
    if (!verdict_.reasons.empty()) verdict_.level = verdict_.reasons.front().level;
    verdict_.word = facts_.draining                     ? "draining"
                    : verdict_.level == Level::kBad     ? "down"
                    : verdict_.level == Level::kWarning ? "degraded"
                                                        : "serving";
    return std::move(verdict_);
  }

 private:
  void Add(Level level, std::string text) { verdict_.reasons.push_back({level, std::move(text)}); }

  void Readiness() {
    if (facts_.draining) {
      Add(Level::kWarning, "no new sessions");
    } else if (!facts_.why_not_ready.empty()) {
      Add(Level::kBad, facts_.why_not_ready);
    }
  }

  void Servers() {
    const ServerList& list = *facts_.servers;
    const size_t down = list.down(), disabled = list.disabled();
    if (list.known == 0) return None();
    if (down + disabled == list.known) {
      Add(Level::kBad, AllOut(list));
    } else if (down) {
      Add(Level::kWarning, fmt::format("{} of {} servers {} down{}", Grouped(down),
                                       Grouped(list.known), down == 1 ? "is" : "are",
                                       down == 1 ? ": " + list.servers.front().address : ""));
    } else if (disabled == 0 && list.count(ServerState::kHalfOpen) == 0) {
      Fine(list);
    }
    if (size_t trying = list.count(ServerState::kHalfOpen)) {
      Add(Level::kWarning, fmt::format("{} circuit{} half-open", trying, trying == 1 ? "" : "s"));
    }
    if (list.known == 1) return;
    if (size_t drain = list.count(ServerState::kDrain)) {
      Add(Level::kGood, fmt::format("{} in drain", drain));
    }
    if (size_t maint = list.count(ServerState::kMaint)) {
      Add(Level::kGood, fmt::format("{} in maint", maint));
    }
  }

  // A module may have servers that no option and no map names.
  void None() {
    const bool empty = facts_.has_map && facts_.map_loaded_at && facts_.map_records == 0;
    Add(empty ? Level::kWarning : Level::kGood,
        empty ? "no server: the map is empty" : "no server is in use yet");
  }

  static std::string AllOut(const ServerList& list) {
    const size_t down = list.down(), disabled = list.disabled();
    const std::string all = Grouped(list.known);
    if (list.known == 1) {
      return down ? "the only server is down"
                  : "the only server is in " +
                        std::string(ServerStateWord(list.servers.front().state));
    }
    if (disabled == 0) return "all " + all + " servers are down";
    if (down == 0) return "all " + all + " servers are in drain or maint";
    return fmt::format("{} of {} servers {} down, {} in drain or maint", Grouped(down), all,
                       down == 1 ? "is" : "are", disabled == 1 ? "the other" : "the others");
  }

  void Fine(const ServerList& list) {
    const size_t unknown = list.count(ServerState::kUnknown);
    if (unknown == list.known) {
      return Add(Level::kGood, fmt::format("{} server{}, not checked", Grouped(list.known),
                                           list.known == 1 ? "" : "s"));
    }
    Add(Level::kGood, unknown ? fmt::format("{} of {} servers are up, the others not checked yet",
                                            Grouped(list.known - unknown), Grouped(list.known))
                      : list.known == 1
                          ? "the server is up"
                          : fmt::format("all {} servers are up", Grouped(list.known)));
  }

  void Sessions() {
    if (!facts_.most_sessions) return;
    const uint64_t percent = facts_.sessions * 100 / facts_.most_sessions;
    if (percent >= kNearlyFull) {
      Add(Level::kWarning, fmt::format("sessions {} % of the limit", percent));
    }
  }

  void Older() {
    if (facts_.older == 0) return;
    Add(Level::kGood,
        fmt::format("{} session{} in {} older process{}", Grouped(facts_.older_sessions),
                    facts_.older_sessions == 1 ? "" : "s", facts_.older,
                    facts_.older == 1 ? "" : "es"));
    if (facts_.older_silent == 0) return;
    Add(Level::kWarning, fmt::format("{} older process{} not answer", facts_.older_silent,
                                     facts_.older_silent == 1 ? " does" : "es do"));
  }

  void Certificate() {
    if (!facts_.certificate_end) return;
    const int64_t left = facts_.certificate_end - facts_.now;
    if (left <= 0) return Add(Level::kWarning, "the certificate has expired");
    if (left > kExpiresSoon) return;
    Add(Level::kWarning, "the certificate expires in " + ShowDuration(static_cast<double>(left)));
  }

  void Map() {
    for (const std::string& fault : facts_.source_faults) {
      Add(Level::kWarning, "a source of the map is down: " + fault);
    }
    if (!facts_.has_map || !facts_.map_loaded_at) return;  // never loaded: not ready
    if (facts_.map_refused) Add(Level::kWarning, "the new map was refused");
    Add(Level::kGood, "map " +
                          ShowDuration(static_cast<double>(
                              std::max<int64_t>(0, facts_.now - facts_.map_loaded_at))) +
                          " old");
  }

  void Memory() {
    if (!facts_.memory) return;
    if (!facts_.most_memory) {
      return Add(Level::kGood, "memory " + ShowSize(static_cast<double>(facts_.memory)));
    }
    const uint64_t percent = facts_.memory * 100 / facts_.most_memory;
    Add(percent >= kNearlyFull ? Level::kWarning : Level::kGood,
        fmt::format("memory {} %", percent));
  }

  const VerdictFacts& facts_;
  Verdict verdict_;
};

}  // namespace

std::string Verdict::Text() const {
  std::string text;
  for (const Reason& reason : reasons) text += (text.empty() ? "" : " · ") + reason.text;
  return text;
}

Verdict Judge(const VerdictFacts& facts) { return Judgement(facts).Give(); }

}  // namespace rum

#include "check/rules.h"

#include <string_view>

namespace rum {
namespace {

struct Rule {
  std::string_view part;  // of the violation
  std::string_view text;
};
constexpr Rule kRules[] = {
    {"with a session that has ended",
     "rule 3: a session is good from session_open until session_close returns"},
    {"on a thread that does not own", "rule 3: a session is good only on its own thread"},
    {"with session NULL", "rule 3: handles come from rum"},
    {"is not a session", "rule 3: handles come from rum"},
    {"bytes of ", "client_data returns how many of the `size` bytes were consumed"},
    {"changed the bytes it was shown", "rule 4: what a hook is given belongs to rum"},
    {"asked by need() for", "need() is for more bytes than the hook was shown"},
    {"need() answered RUM_E_LIMIT",
     "RUM_E_LIMIT: a limit is reached; the session should be closed"},
    {"without end", "a hook answers what has happened; it must not call for itself forever"},
    {"null pointer", "RUM_E_ARGUMENT: a pointer that makes no sense"},
    {"with side", "RUM_E_ARGUMENT: the sides are RUM_CLIENT and RUM_UPSTREAM"},
    {"that pause() never gave", "resume() takes a ticket of pause()"},
    {"ticket that was used before", "resume(): a ticket works once"},
    {"which is not a module's", "close() takes a reason that the header marks with (module)"},
    {"no list of protocols", "set_alpn() takes each name after its length in one byte"},
    {"more than 24 h", "timer(): at most 24 h"},
    {"note() with a key", "note(): keys are [a-z_]{1,32}, and none of rum's own line"},
    {"log() with level", "log() takes RUM_LOG_ERROR to RUM_LOG_DEBUG"},
    {"metric_add() of counter", "metric_add() takes an index of the module's metric table"},
    {"session_open returned", "session_open returns RUM_OK or a negative error"},
    {"side_end returned", "side_end returns RUM_END or RUM_KEEP"},
    {"wrote no sentence", "on failure a hook writes a sentence into `error`"},
    {"wrote past", "a hook writes at most `error_size` bytes"},
    {"wrote more than", "a hook writes at most `size` bytes"},
    {"not a JSON object", "stats writes one JSON object"},
    {"in one call of a hook", "send() copies and queues: what is queued has to have a bound"},
};

}  // namespace

std::string WithRule(const std::string& violation) {
  if (violation.ends_with(')') && violation.find("rule ") != violation.npos) return violation;
  for (const Rule& rule : kRules) {
    if (violation.find(rule.part) == violation.npos) continue;
    return violation + " (" + std::string(rule.text) + ")";
  }
  return violation;
}

}  // namespace rum

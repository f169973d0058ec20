// The scripted host's groups of calls without a session: "rum.state/1", "rum.clock/1",
// "rum.process/1" and "rum.records/1".
#include <algorithm>

#include "check/host_table.h"
#include "map/record_calls.h"

namespace rum {
namespace host_table {
namespace {

// [a-z0-9_-]{1,64}: the module's name, or its name, a dash and more.
bool IsStateName(std::string_view name) {
  const Current current = LockCurrent();
  if (!current.host) return true;
  const std::string_view module = current.host->module().name;
  return name.size() <= 64 && name.starts_with(module) &&
         (name.size() == module.size() || name[module.size()] == '-') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

int32_t Save(const char* name, const void* bytes, size_t size) {
  if (!Sensible("save", name, 1) || !Sensible("save", bytes, size)) return RUM_E_ARGUMENT;
  if (!IsStateName(name)) {
    ViolateCurrent("save() under a name that is not the module's: " + std::string(name));
    return RUM_E_ARGUMENT;
  }
  if (size > RUM_MOST_STATE) return RUM_E_LIMIT;
  const Current current = LockCurrent();
  if (!current.host) return RUM_E_UNSUPPORTED;
  current.host->state[name].assign(static_cast<const char*>(size ? bytes : ""), size);
  return RUM_OK;
}

size_t Load(const char* name, void* bytes, size_t size) {
  if (!Sensible("load", name, 1) || !Sensible("load", bytes, size)) return 0;
  const Current current = LockCurrent();
  if (!current.host) return 0;
  auto found = current.host->state.find(name);
  if (found == current.host->state.end()) return 0;
  if (found->second.size() <= size) found->second.copy(static_cast<char*>(bytes), size);
  return found->second.size();
}

uint64_t NowMicros() { return clock * 1000; }

uint64_t TimerMicros(rum_session* handle, uint64_t microseconds) {
  ScriptedSession* session = Find(handle, "timer");
  return session ? session->Timer(microseconds / 1000 + (microseconds % 1000 != 0)) : 0;
}

size_t UserNames(char* text, size_t size) {
  if (!Sensible("user_names", text, size)) return 0;
  const Current current = LockCurrent();
  if (!current.host) return 0;
  const std::string& names = current.host->user_names;
  if (names.size() <= size) names.copy(text, size);
  return names.size();
}

int32_t ParseRecord(const void* record, size_t size, rum_record* parts) {
  if (!Sensible("parse", record, 1) || !Sensible("parse", parts, 1)) return RUM_E_ARGUMENT;
  return kRecords.parse(record, size, parts);
}

int32_t RecordColumn(const void* record, size_t size, const char* name, void* value,
                     size_t* value_size) {
  if (!Sensible("column", record, 1) || !Sensible("column", name, 1) ||
      !Sensible("column", value_size, 1) || !Sensible("column", value, *value_size)) {
    return RUM_E_ARGUMENT;
  }
  int32_t status = kRecords.column(record, size, name, value, value_size);
  if (status == RUM_E_ARGUMENT) ViolateCurrent("column() with the name " + std::string(name));
  return status;
}

}  // namespace

const rum_state kState = {
    .struct_size = sizeof(rum_state),
    .reserved = 0,
    .save = Save,
    .load = Load,
};

const rum_clock kClock = {
    .struct_size = sizeof(rum_clock),
    .reserved = 0,
    .now = NowMicros,
    .timer = TimerMicros,
};

const rum_process kProcess = {
    .struct_size = sizeof(rum_process),
    .reserved = 0,
    .user_names = UserNames,
};

const rum_records kCheckedRecords = {
    .struct_size = sizeof(rum_records),
    .reserved = 0,
    .parse = ParseRecord,
    .column = RecordColumn,
};

}  // namespace host_table
}  // namespace rum

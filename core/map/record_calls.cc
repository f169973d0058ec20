#include "map/record_calls.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "map/map_record.h"
#include "map/map_rules.h"

namespace rum {
namespace {

int32_t Parse(const void* record, size_t size, rum_record* parts) {
  if (!record || !parts || parts->struct_size < sizeof(uint64_t)) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_RECORD) return RUM_E_LIMIT;
  auto found = ParseMapRecord({static_cast<const char*>(record), size});
  if (!found) return RUM_E_FAILED;
  rum_record whole = {.struct_size = parts->struct_size,
                      .reserved = 0,
                      .secret = found->secret.data(),
                      .secret_size = found->secret.size(),
                      .destination = found->destination.data(),
                      .destination_size = found->destination.size()};
  std::memcpy(parts, &whole, std::min<size_t>(parts->struct_size, sizeof whole));
  return RUM_OK;
}

int32_t Column(const void* record, size_t size, const char* name, void* value, size_t* value_size) {
  if (!record || !name || !value_size || (!value && *value_size)) return RUM_E_ARGUMENT;
  const size_t room = std::exchange(*value_size, 0);
  const std::string_view key(name, ::strnlen(name, kMapColumnNameMost + 1));
  if (key != kMapDisabled && !IsMapColumnName(key)) return RUM_E_ARGUMENT;
  if (size > RUM_MOST_RECORD) return RUM_E_LIMIT;
  auto parts = ParseMapRecord({static_cast<const char*>(record), size});
  if (!parts) return RUM_E_FAILED;
  auto column = FindMapColumn(parts->tail, key);
  if (!column) return RUM_E_FAILED;
  if (!*column) return RUM_NOT_FOUND;
  const std::string& bytes = **column;
  *value_size = bytes.size();
  if (bytes.size() > room) return RUM_E_LIMIT;
  if (!bytes.empty()) std::memcpy(value, bytes.data(), bytes.size());
  return RUM_FOUND;
}

}  // namespace

const rum_records kRecords = {
    .struct_size = sizeof(rum_records), .reserved = 0, .parse = Parse, .column = Column};

}  // namespace rum

// The group "rum.records/1" of rum/module.h: the parts of a record, for modules.
#pragma once

#include "rum/module.h"

namespace rum {

inline constexpr size_t kRecordMost = 1024 * 1024;  // bytes of a record that modules show to rum

extern const rum_records kRecords;

}  // namespace rum

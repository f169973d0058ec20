// The group "rum.records/1" of rum/module.h: the parts of a record, for modules.
#pragma once

#include "rum/module.h"

namespace rum {

extern const rum_records kRecords;

}  // namespace rum

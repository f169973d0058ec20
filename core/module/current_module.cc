#include "module/current_module.h"

namespace rum {
namespace {

std::string& Name() {
  static std::string* name = new std::string;  // never destroyed: modules' threads may ask late
  return *name;
}

}  // namespace

void SetCurrentModule(const std::string& name) { Name() = name; }

std::string_view CurrentModule() { return Name(); }

}  // namespace rum

#include "module/hook.h"

#include <algorithm>

namespace rum {
namespace {

constinit thread_local HookPlace* the_place = nullptr;
HookPlace elsewhere;

constexpr size_t kNameMost = 63;
char module_name[kNameMost + 1] = "";  // written by the main thread, before others could read it

}  // namespace

HookPlace& HookPlace::OfThread() { return the_place ? *the_place : elsewhere; }

HookPlace::Seen HookPlace::LookAtThread() { return the_place ? the_place->Look() : Seen(); }

void HookPlace::Take() { the_place = this; }

void NameModule(std::string_view name) {
  const size_t size = std::min(name.size(), kNameMost);
  // A file may have any name; a line is printable text, in JSON too.
  std::transform(name.begin(), name.begin() + size, module_name,
                 [](char c) { return c > ' ' && c < 0x7f && c != '"' && c != '\\' ? c : '?'; });
  module_name[size] = 0;
}

std::string_view ModuleName() { return module_name; }

}  // namespace rum

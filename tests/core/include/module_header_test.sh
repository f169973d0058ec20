#!/bin/sh
# rum/module.h compiles alone as C99, C11 and C++20, by gcc and by clang where it is there, and a module
# of empty tables with it, with every warning an error; and it defines nothing but its one symbol.
# What other languages import has no macro that is a number, and no symbol if they define it.
set -eu
header_dir=${srcdir:-.}/core/include
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/module.c" <<'END'
#include "rum/module.h"
#include "rum/module.h"
static int32_t init(const rum_host *host, char *error, size_t error_size) {
  (void)error, (void)error_size;
  return host->abi == RUM_MODULE_ABI ? RUM_OK : RUM_E_UNSUPPORTED;
}
END
cp "$work/module.c" "$work/module.cc"
cat >>"$work/module.c" <<'END'
const rum_module RUM_MODULE_SYMBOL = {
    .struct_size = sizeof(rum_module), .abi = RUM_MODULE_ABI, .host_size_min = sizeof(rum_host),
    .name = "empty", .version = "1", .summary = "nothing", .init = init};
END
cat >>"$work/module.cc" <<'END'
static rum_module Make() {
  rum_module m{};
  m.struct_size = sizeof m;
  m.init = init;
  return m;
}
extern "C" const rum_module RUM_MODULE_SYMBOL = Make();
END
warnings="-Wall -Wextra -Wpedantic -Wpadded -Wshadow -Werror"
set -x
# CC and CXX may be more than one word.
${CC:-gcc} -std=c11 $warnings -Wstrict-prototypes -I"$header_dir" -fPIC -c "$work/module.c" -o "$work/c.o"
${CXX:-g++} -std=c++20 $warnings -Wold-style-cast -I"$header_dir" -fPIC -c "$work/module.cc" -o "$work/cc.o"
set +x
cc_all="${CC:-gcc}" cxx_all="${CXX:-g++}"
if command -v clang >/dev/null && command -v clang++ >/dev/null; then
  cc_all="$cc_all,clang" cxx_all="$cxx_all,clang++"
fi
IFS=,
for compiler in $cc_all; do
  IFS=' '
  for standard in c99 c11; do
    $compiler -std=$standard $warnings -Wstrict-prototypes -I"$header_dir" -fsyntax-only \
      "$work/module.c"
  done
done
IFS=,
for compiler in $cxx_all; do
  IFS=' '
  $compiler -std=c++20 $warnings -Wold-style-cast -I"$header_dir" -fsyntax-only "$work/module.cc"
done
unset IFS

# A number that is an enumerator can be used where a constant is wanted, and a language that defines
# the symbol by itself, with another linkage as D would, does not meet the declaration.
cat >"$work/import.c" <<'END'
#define RUM_MODULE_NO_SYMBOL
#include "rum/module.h"
static const int numbers[] = {[RUM_CLIENT] = RUM_E_LIMIT, [RUM_UPSTREAM] = RUM_CLOSE_DENIED};
static const rum_module rum_module_v1 = {.struct_size = sizeof(rum_module)};
int main(void) { return numbers[RUM_CLIENT] + (int)rum_module_v1.struct_size == 0; }
END
${CC:-gcc} -std=c99 $warnings -I"$header_dir" -fsyntax-only "$work/import.c"
macros=$(printf '#include "rum/module.h"\n' | ${CC:-gcc} -dM -E -I"$header_dir" - |
  grep -E '^#define RUM_' | grep -vE '^#define RUM_[A-Z]+_1 "rum\.[a-z]+/1"$' |
  grep -vE '^#define RUM_MODULE_(H|SYMBOL|EXPORT)( |$)' || true)
if [ -n "$macros" ]; then
  echo "macros that other languages do not import: $macros"
  exit 1
fi
for object in c.o cc.o; do
  symbols=$(nm -g --defined-only "$work/$object" | awk '{print $3}')
  if [ "$symbols" != rum_module_v1 ]; then
    echo "$object defines '$symbols', expected only 'rum_module_v1'"
    exit 1
  fi
done

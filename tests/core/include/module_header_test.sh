#!/bin/sh
# rum/module.h compiles alone as C11 and as C++20, and a module of empty tables with it, with every
# warning an error; and it defines nothing but its one symbol.
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
for object in c.o cc.o; do
  symbols=$(nm -g --defined-only "$work/$object" | awk '{print $3}')
  if [ "$symbols" != rum_module_v1 ]; then
    echo "$object defines '$symbols', expected only 'rum_module_v1'"
    exit 1
  fi
done

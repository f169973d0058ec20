#!/bin/sh
# C and C++ sources are as clang-format 14 writes them: other versions write some lines differently.
set -u
cd "${srcdir:-.}" || exit 99

for format in "${CLANG_FORMAT:-}" clang-format-14 clang-format; do
  case $("${format:-false}" --version 2>/dev/null) in *" version 14."*) break ;; esac
  format=
done
if [ -z "$format" ]; then
  echo "clang-format 14 is not here: apt-get install clang-format-14"
  exit 77
fi

# What configure makes inside of the source is not ours to format.
list=$(find core modules tests contrib -type f ! -path core/config.h \
  \( -name '*.cc' -o -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.def' \))
count=$(printf '%s\n' "$list" | wc -l)
[ "$count" -gt 200 ] || { echo "only $count sources were found below $PWD"; exit 1; }

# shellcheck disable=SC2086  # a list of names, none with a blank
faults=$("$format" --dry-run $list 2>&1) && [ -z "$faults" ] && exit 0
printf '%s\n' "$faults" | head -n 40
echo "not formatted; in the source: $format -i" \
  "$(printf '%s\n' "$faults" | sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: warning: .*/\1/p' | sort -u |
    tr '\n' ' ')"
exit 1

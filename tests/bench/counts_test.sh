#!/bin/sh
# Counts the system calls, allocations and bytes that rum takes for a round trip, a short connection,
# a routed login and an idle session, and the instructions of its parsers: none may be more than
# tests/bench/limits allows. Skips where strace cannot look on.
skip() {
  echo "skipped: $*"
  exit 77
}
source=${srcdir:-.}
command -v strace >/dev/null || skip "there is no strace (Debian: strace)"
[ -x /usr/bin/python3 ] || skip "there is no /usr/bin/python3 (Debian: python3)"
if ldd ./rum 2>/dev/null | grep -qE 'lib(a|t|l|ub)san'; then
  skip "a sanitizer makes system calls and allocations of its own"
fi
exec /usr/bin/python3 "$source/contrib/bench" --counts --build . \
  --limits "$source/tests/bench/limits"

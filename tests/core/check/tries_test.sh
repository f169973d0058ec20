#!/bin/sh
# rum-check without a transcript: it finds what is wrong with bad modules, each by its own sentence,
# and nothing in good ones; what it finds can be repeated.
here=${srcdir:-.}/tests/core/check
modules=tests/core/check/modules/.libs
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

fail() {
  echo "FAILED: $1"
  sed 's/^/    /' "$work/out" | head -60
  failures=$((failures + 1))
}

# expect STATUS TEXT ARGUMENT...
expect() {
  status=$1 text=$2
  shift 2
  ./rum-check "$@" >"$work/out" 2>&1
  got=$?
  if [ $got -ne "$status" ] || ! grep -qF -- "$text" "$work/out"; then
    fail "rum-check $* ended with $got, not with $status and '$text'"
  fi
}

# The bad ones.
expect 1 "ended by exit(0) within client_data (rule 7: no exit() crosses this border)" \
  --tries 40 --seed 1 $modules/exiting.so
expect 1 "did not return in time from client_data" --tries 4 --seed 1 --limit 1s $modules/hanging.so
expect 1 "bytes of" --tries 40 --seed 1 $modules/greedy.so
expect 1 "client_data returns how many of the \`size\` bytes were consumed" --tries 40 --seed 1 \
  $modules/greedy.so
# So much takes seconds on a busy machine.
expect 1 "send() queues more than 64 MiB in one call of a hook" --tries 8 --seed 1 --limit 120s \
  $modules/flooding.so
expect 1 "send() with a session that has ended (rule 3" --tries 40 --seed 1 $modules/late_call.so
expect 1 "side_end answered RUM_KEEP" --tries 40 --seed 1 $modules/keeping.so
expect 0 "ok: 40 tries" --tries 40 --seed 1 $modules/retrying.so
expect 1 "looked_up calls lookup() again after each answer" --tries 40 --seed 1 $modules/spinning.so
# A sanitizer finds leaks by itself, at the end of each try, and says more of a crash.
if ldd ./rum-check | grep -qE 'lib(a|t)san'; then
  expect 1 "within client_data" --tries 20 --seed 1 $modules/crashing.so
else
  expect 1 "ended by a signal within client_data" --tries 20 --seed 1 $modules/crashing.so
  expect 1 "bytes with each repetition of these sessions" --tries 20 --seed 1 $modules/leaking.so
fi

# The good ones.
expect 0 "ok: 60 tries" --tries 60 --seed 1 $modules/postbox.so
expect 0 "ok: 40 tries" --tries 40 --seed 1 $modules/posting.so
expect 0 "ok: 60 tries" --tries 60 --seed 1 --samples "$here/transcripts" $modules/postbox.so
grep -q "reached:.*lookup.*connect.*relay" "$work/out" || fail "samples lead to the relay"
expect 0 "ok: 30 tries" --tries 30 --seed 1 $modules/postbox.so "$here/transcripts/login.transcript"
for module in passthrough mysql sni pgsql; do
  [ -f ".libs/$module.so" ] || continue # not built in
  expect 0 "ok: 40 tries" --tries 40 --seed 1 ".libs/$module.so"
done
for sample in mysql/login sni/hello pgsql/login; do
  module=.libs/${sample%/*}.so
  [ -f "$module" ] || continue
  expect 0 "ok: 120 tries" --tries 120 --seed 2 "$module" \
    "$here/../../modules/$sample.transcript"
  grep -q "reached:.*connect.*relay" "$work/out" || fail "the sample leads $module to the relay"
done

# A failure says how to repeat it, and what happened.
./rum-check --tries 40 --seed 3 $modules/greedy.so >"$work/first"
again=$(sed -n 's/^  again by: rum-check //p' "$work/first")
cp "$work/first" "$work/out"
[ -n "$again" ] || fail "no command to repeat the try"
# shellcheck disable=SC2086
expect 1 "client >" $again
grep "^try " "$work/first" >"$work/expected"
grep "^try " "$work/out" >"$work/got"
cmp -s "$work/expected" "$work/got" || fail "the repeated try found something else"

# The same seed leads to the same; only the time differs.
for i in 1 2; do ./rum-check --tries 20 --seed 5 $modules/postbox.so | sed 's/[0-9.]* s,//' >"$work/$i"; done
cp "$work/2" "$work/out"
cmp -s "$work/1" "$work/2" || fail "two runs with one seed differ"

# Samples and options.
mkdir "$work/samples"
printf 'STARTTLS\r\n' >"$work/samples/tls"
expect 0 "ok: 20 tries" --tries 20 --seed 1 --samples "$work/samples" --option postbox-quiet $modules/postbox.so
expect 2 "cannot be read" --samples "$work/nothing" $modules/postbox.so
expect 1 "the module did not start" --option postbox-nosuch=1 --tries 5 --seed 1 $modules/postbox.so
expect 2 "not a duration" --seconds 5x $modules/postbox.so

[ $failures -eq 0 ] || exit 1
echo "rum-check: the tries find what they should"

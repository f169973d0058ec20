#!/bin/sh
# rum-check as its users see it: exit codes and sentences, with good and bad modules and transcripts.
here=${srcdir:-.}/tests/core/check
modules=tests/core/check/modules/.libs
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0

# expect STATUS TEXT ARGUMENT...: rum-check ends with STATUS, and TEXT is in what it prints.
expect() {
  status=$1 text=$2
  shift 2
  ./rum-check "$@" >"$work/out" 2>&1
  got=$?
  if [ $got -ne "$status" ] || ! grep -qF -- "$text" "$work/out"; then
    echo "FAILED: rum-check $*"
    echo "  expected status $status and '$text', got status $got and:"
    sed 's/^/    /' "$work/out"
    failures=$((failures + 1))
  fi
}

write() { cat >"$work/t"; }

# Good ones.
for transcript in "$here"/transcripts/*.transcript; do
  expect 0 "$transcript: ok, 22 runs" $modules/postbox.so "$transcript"
done
expect 0 "7 runs, seed 99" --seed 99 --rounds 5 $modules/postbox.so "$here/transcripts/login.transcript"
expect 0 "--postbox-greeting WORD (220)" --tries 0 $modules/postbox.so
expect 0 "rum_postbox_lines_total" --tries 0 $modules/postbox.so
expect 0 "expect lookup" --help
expect 0 "rum-check " --version
expect 0 'expect identify "alice"' --trace $modules/postbox.so "$here/transcripts/login.transcript"

# What --trace prints is a transcript that holds.
./rum-check --trace $modules/postbox.so "$here/transcripts/denied.transcript" >"$work/trace"
expect 0 "ok" $modules/postbox.so "$work/trace"

# Wrong usage.
expect 2 "MODULE is required"
expect 2 "--nonsense" --nonsense $modules/postbox.so
expect 2 "cannot be read" $modules/postbox.so "$work/nothing-here"
expect 2 "not a duration" --limit 5x $modules/postbox.so
echo 'client > "x"' | write
expect 2 "t:1: it has no 'expect' line" $modules/postbox.so "$work/t"
printf 'expect relay\n\n# a comment\nclient >> 00\n' | write
expect 2 "t:4: write 'client > BYTES'" $modules/postbox.so "$work/t"
expect 2 "t:4: " $modules/postbox.so "$here/transcripts/login.transcript" "$work/t"

# Modules that are refused.
expect 5 "no such file" ./nothing-here.so
expect 5 "no symbol rum_module_v1" $modules/no_symbol.so
expect 5 "built for version 7" $modules/wrong_abi.so
expect 5 "needs a newer rum (host table 9999 bytes" $modules/newer_rum.so
expect 5 "module table has the impossible size 4" $modules/short_table.so
expect 5 "undefined symbol: a_function_that_is_nowhere" $modules/missing_dependency.so
expect 5 "the moon is not full" $modules/init_fails.so
expect 5 "option 0 has no name" $modules/bad_option.so

# Modules that break a rule, or mind how the bytes arrive.
cat >"$work/lines" <<'END'
client > "one\n"
client > "two\n"
expect client < "one\ntwo\n"
END
expect 0 "ok" $modules/lines.so "$work/lines"
expect 1 "client_data consumed 9 bytes of 8" $modules/greedy.so "$work/lines"
expect 1 "and consumed none: it would be called again without end" $modules/false_need.so "$work/lines"
expect 1 "in the run: byte by byte" $modules/blind_to_cuts.so "$work/lines"
expect 1 "in the run: whole" $modules/deaf_to_the_second.so "$work/lines"
expect 1 "close() with reason 27, which is not a module's" $modules/wrong_close.so "$work/lines"
expect 1 "did not return in time from client_data" --limit 1s $modules/hanging.so "$work/lines"
cat >"$work/two" <<'END'
client > "one\n"
expect client < "one\n"
end client
expect close CLIENT_GONE
open
client > "two\n"
expect client < "two\n"
END
expect 1 "send() with a session that has ended" $modules/late_call.so "$work/two"
cat >"$work/map" <<'END'
map "again" = "and again"
expect lookup "again"
END
expect 1 "call for each other without end" $modules/spinning.so "$work/map"

# A sanitizer may know more, and say it first.
expect_or_sanitizer() {
  ./rum-check "$2" "$work/lines" >"$work/out" 2>&1
  if [ $? -eq 0 ] || ! grep -qE "$1|Sanitizer" "$work/out"; then
    echo "FAILED: rum-check $2 does not say '$1' but:"
    sed 's/^/    /' "$work/out"
    failures=$((failures + 1))
  fi
}
expect_or_sanitizer "in the run: byte by byte" $modules/keeps_pointer.so
expect_or_sanitizer "lines:1: the process was ended by a signal within client_data" \
  $modules/crashing.so
expect 1 "lines:1: the process was ended by exit(0) within client_data" $modules/exiting.so \
  "$work/lines"

# Transcripts that do not hold, and how that is told.
while IFS='|' read -r line text; do
  printf 'client > "one\\n"\n%b\n' "$line" | write
  expect 1 "$text" $modules/lines.so "$work/t"
done <<'END'
expect client < "onf\\n"|t:2: the bytes to the client differ at byte 2
expect client < "one\\n" 00|4 bytes went to the client, 5 are expected
expect client < "one"|the module sent 1 bytes to the client that no line expects:
expect client < "one\\n"\nexpect relay|t:3: that did not happen
expect client < "one\\n"\nconnect ok|t:3: the module has no connect() under way
expect client < "one\\n"\nanswer not-found|no lookup() under way
expect client < "one\\n"\ntls client ok|no start_tls() of that side under way
expect client < "one\\n"\nupstream > 00|the upstream is not connected
expect client < "one\\n"\nend client|something happened that no line expects: expect close CLIENT_GONE
expect client < "one\\n"\nend client\nexpect close DENIED|instead: expect close CLIENT_GONE
expect client < "one\\n"\nend client\nexpect close CLIENT_GONE\nclient > 00|the session has ended before (CLIENT_GONE)
expect client < "one\\n"\nopen|a session is open already
expect client < $never|nothing was captured as $never
expect note user = "x"|there is no note 'user'
expect metric bad_x = 1|the metric bad_x is 0
expect log info "x"|nothing like it was logged
expect timer 1s|no timer of that length
expect pause|pause() was not called
END
write <<'END'
expect open
client > "one\n"
END
expect 1 "no line expects" $modules/lines.so "$work/t"
printf 'option postbox-nosuch = 1\nexpect relay\n' | write
expect 1 "has no option --postbox-nosuch" $modules/postbox.so "$work/t"

# The seed that a failure names leads to the same failure.
cat >"$work/t" <<'END'
option postbox-quiet
client > "hm\n"*40
expect client < "500 what?\r\n"*39 "500 what.\r\n"
END
expect 1 "differ at byte 437" --seed 5 $modules/postbox.so "$work/t"

[ $failures -eq 0 ] || exit 1
echo "rum-check: all as it should be"

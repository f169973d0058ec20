#!/bin/sh
# What the guide for module authors shows is built and run: its module, its transcripts, its
# snippets and its command line.
guide=${srcdir:-.}/contrib/doc/modules.md
include=${srcdir:-.}/core/include
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}

# blocks KIND NAME: the code after each "<!-- KIND: NAME -->", one after the other.
blocks() {
  awk -v mark="<!-- $1: $2 -->" '
    $0 == mark { wanted = 1; next }
    wanted && /^```/ { if (inside) { inside = wanted = 0 } else { inside = 1 } next }
    inside { print }' "$guide"
}

# The command of the guide, with this tree in the place of an installed rum.
mkdir "$work/bin"
printf '#!/bin/sh\necho "-I%s"\n' "$(cd "$include" && pwd)" >"$work/bin/pkg-config"
cat >"$work/bin/cc" <<END
#!/bin/sh
PATH='$PATH' exec ${CC:-cc} -Wpedantic -Werror "\$@"
END
chmod +x "$work/bin/pkg-config" "$work/bin/cc"

blocks file post.c >"$work/post.c"
blocks build post >"$work/build"
grep -q "shared" "$work/build" || fail "the guide has no command to build post.so"
(cd "$work" && PATH="$work/bin:$PATH" sh ./build) || fail "post.c is not built by the command"
if [ "$(nm -D --defined-only "$work/post.so" | grep -c ' [A-Z] ')" -ne 1 ]; then
  fail "post.so does not export exactly one symbol"
fi

for transcript in post.transcript unhappy.transcript; do
  blocks transcript $transcript >"$work/$transcript"
  ./rum-check "$work/post.so" "$work/$transcript" || fail "$transcript does not hold"
done

./rum-check --tries 60 "$work/post.so" "$work/post.transcript" "$work/unhappy.transcript" ||
  fail "the tries find something in post.c"

for snippet in pause tls versions; do
  blocks snippet $snippet >"$work/$snippet.c"
  [ -s "$work/$snippet.c" ] || fail "the guide has no snippet $snippet"
  ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$include" -c -o "$work/$snippet.o" \
    "$work/$snippet.c" || fail "the snippet $snippet is not C"
done

blocks snippet cxx >"$work/mirror.cc"
${CXX:-c++} -std=c++20 -Wall -Wextra -Wpedantic -Werror -fPIC -shared -I"$include" \
  -o "$work/mirror.so" "$work/mirror.cc" || fail "the C++ snippet is not built"
printf 'client > "abc"\nexpect client < "abc"\n' >"$work/mirror.transcript"
./rum-check --tries 40 "$work/mirror.so" "$work/mirror.transcript" || fail "the C++ snippet does not work"

blocks snippet script >"$work/names.cc"
${CXX:-c++} -std=c++20 -Wall -Wextra -Wpedantic -Werror -fPIC -shared -fvisibility=hidden \
  -fno-exceptions -fno-rtti -I"$include" -o "$work/names.so" "$work/names.cc" ||
  fail "the script of the guide is not built"
cat >"$work/names.transcript" <<'END'
map "alice" = "-"

expect client < "who are you?\n"
client > "alice\nbehind"
expect identify "alice"
expect lookup "alice"
expect connect ""
connect ok
expect relay
expect upstream < "behind"
END
./rum-check --tries 40 "$work/names.so" "$work/names.transcript" || fail "the script of the guide does not work"

# Links inside of the tree lead somewhere.
for link in $(sed -n 's/.*](\.\.\/\([^)#]*\)).*/\1/p' "$guide"); do
  [ -e "${srcdir:-.}/contrib/doc/../$link" ] || fail "the link ../$link leads nowhere"
done

[ $failures -eq 0 ]

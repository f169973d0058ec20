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
cat >"$work/bin/pkg-config" <<END
#!/bin/sh
case \$1 in
  --cflags) echo "-I$(cd "$include" && pwd)" ;;
  --variable=module_map) echo "$(cd "${srcdir:-.}" && pwd)/core/module/module.map" ;;
  *) exit 1 ;;
esac
END
cat >"$work/bin/cc" <<END
#!/bin/sh
PATH='$PATH' exec ${CC:-cc} -Wpedantic -Werror "\$@"
END
cat >"$work/bin/c++" <<END
#!/bin/sh
PATH='$PATH' exec ${CXX:-c++} -Wpedantic -Werror "\$@"
END
chmod +x "$work/bin/pkg-config" "$work/bin/cc" "$work/bin/c++"

blocks file post.c >"$work/post.c"
blocks build post >"$work/build"
grep -q "shared" "$work/build" || fail "the guide has no command to build post.so"
(cd "$work" && PATH="$work/bin:$PATH" sh ./build) || fail "post.c is not built by the command"
# exports_one_symbol FILE
exports_one_symbol() {
  if [ "$(nm -D --defined-only "$work/$1" | awk '{print $3}')" != rum_module_v1 ]; then
    fail "$1 does not export rum_module_v1 alone"
  fi
}
exports_one_symbol post.so

for transcript in post.transcript unhappy.transcript; do
  blocks transcript $transcript >"$work/$transcript"
  ./rum-check "$work/post.so" "$work/$transcript" || fail "$transcript does not hold"
done

./rum-check --tries 60 --seed 1 "$work/post.so" "$work/post.transcript" "$work/unhappy.transcript" ||
  fail "the tries find something in post.c"

for snippet in pause tls versions; do
  blocks snippet $snippet >"$work/$snippet.c"
  [ -s "$work/$snippet.c" ] || fail "the guide has no snippet $snippet"
  ${CC:-cc} -std=c11 -Wall -Wextra -Wpedantic -Werror -I"$include" -c -o "$work/$snippet.o" \
    "$work/$snippet.c" || fail "the snippet $snippet is not C"
done

blocks snippet cxx >"$work/mirror.cc"
blocks build mirror >"$work/build-mirror"
grep -q "shared" "$work/build-mirror" || fail "the guide has no command to build mirror.so"
(cd "$work" && PATH="$work/bin:$PATH" sh ./build-mirror) || fail "mirror.cc is not built by the command"
exports_one_symbol mirror.so
printf 'client > "abc"\nexpect client < "abc"\n' >"$work/mirror.transcript"
./rum-check --tries 40 --seed 1 "$work/mirror.so" "$work/mirror.transcript" || fail "the C++ snippet does not work"

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
./rum-check --tries 40 --seed 1 "$work/names.so" "$work/names.transcript" || fail "the script of the guide does not work"

# Links inside of the tree lead somewhere.
for link in $(sed -n 's/.*](\.\.\/\([^)#]*\)).*/\1/p' "$guide"); do
  [ -e "${srcdir:-.}/contrib/doc/../$link" ] || fail "the link ../$link leads nowhere"
done

[ $failures -eq 0 ]

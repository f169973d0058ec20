#!/bin/sh
# The crate for modules in Rust, with no other crate: it is built without a warning, and modules that
# are built with it do in rum-check what they should, each part of the crate once.
set -eu
export RUST_BACKTRACE=0  # panics are wanted here
rustc=${RUSTC:-rustc}
source=${srcdir:-.}
if ! command -v "$rustc" >/dev/null; then
  echo "no rustc here: apt-get install rustc"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # the kind of crate, its name, its source, more
  kind=$1 name=$2 from=$3
  shift 3
  "$rustc" --edition 2021 -D warnings -O -C strip=debuginfo --crate-type "$kind" --crate-name "$name" "$@" "$from"
}
build rlib rum "$source/contrib/rust/src/lib.rs" -o "$work/librum.rlib"
build cdylib tour "$source/tests/contrib/rust/tour.rs" --extern rum="$work/librum.rlib" -o "$work/tour.so"
symbols=$(nm -D --defined-only "$work/tour.so" | awk '{print $3}')
if [ "$symbols" != rum_module_v1 ]; then
  echo "a module in Rust exports $symbols"
  exit 1
fi
./rum-check "$work/tour.so" "$source/tests/contrib/rust/tour.transcript"

# A real module breaks no rule, whatever its peers do.
build cdylib pop3 "$source/contrib/modules/pop3/pop3.rs" --extern rum="$work/librum.rlib" -o "$work/pop3.so"
./rum-check --quiet --tries 100 --seed 1 --samples "$source/contrib/modules/pop3/pop3.transcript" "$work/pop3.so"

# It is a crate for cargo, too, without a registry.
cargo=${CARGO:-cargo}
if command -v "$cargo" >/dev/null; then
  mkdir -p "$work/tour/src"
  cp -R "$source/contrib/rust" "$work/rum"
  chmod -R u+w "$work/rum"
  cp "$source/tests/contrib/rust/tour.rs" "$work/tour/src/lib.rs"
  cat >"$work/tour/Cargo.toml" <<'END'
[package]
name = "tour"
version = "1.0.0"
edition = "2021"

[lib]
crate-type = ["cdylib"]

[dependencies]
rum = { path = "../rum" }
END
  CARGO_HOME=$work/home RUSTC=$rustc "$cargo" build -q --offline --manifest-path "$work/tour/Cargo.toml" \
    --target-dir "$work/target"
  nm -D --defined-only "$work/target/debug/libtour.so" | grep -q rum_module_v1
fi

# A panic in config() is a sentence, as an error is.
printf 'option tour-limit = 66\nopen\nexpect open\n' >"$work/panics.transcript"
if ./rum-check "$work/tour.so" "$work/panics.transcript" >"$work/told" 2>&1; then
  echo "a configuration that panics is taken"
  exit 1
fi
grep -q 'this number panics' "$work/told" || { cat "$work/told"; exit 1; }

#!/bin/sh
# The module against its transcripts, and against what differs from them at random.
set -e
source=${srcdir:-.}/tests/modules/mysql
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 077
echo secret >"$work/password"
for name in login keep keep_open_links; do
  sed "s|PASSWORD|$work/password|" "$source/$name.transcript" >"$work/$name.transcript"
done
./rum-check --seed 1 .libs/mysql.so "$work"/*.transcript
./rum-check --quiet --tries 200 --seed 1 --samples "$work" .libs/mysql.so

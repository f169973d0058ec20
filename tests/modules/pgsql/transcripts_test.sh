#!/bin/sh
# The module against its transcripts, and against what differs from them at random.
set -e
source=${srcdir:-.}/tests/modules/pgsql
./rum-check --seed 1 .libs/pgsql.so "$source"/*.transcript
./rum-check --quiet --tries 200 --seed 1 --samples "$source" .libs/pgsql.so

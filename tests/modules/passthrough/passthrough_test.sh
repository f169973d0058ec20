#!/bin/sh
# The tutorial module against its transcripts.
exec ./rum-check --seed 1 .libs/passthrough.so "${srcdir:-.}"/tests/modules/passthrough/*.transcript

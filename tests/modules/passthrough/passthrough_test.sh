#!/bin/sh
# The tutorial module against its transcripts.
exec ./rum-check .libs/passthrough.so "${srcdir:-.}"/tests/modules/passthrough/*.transcript

#!/bin/sh
# Every module that was built exports its table and nothing else.
set -u
status=0 seen=0
for module in .libs/*.so; do
  [ -e "$module" ] || continue
  seen=$((seen + 1))
  symbols=$(nm -D --defined-only "$module" | awk '{print $3}')
  if [ "$symbols" != rum_module_v1 ]; then
    echo "$module exports, instead of rum_module_v1 alone:"
    echo "$symbols" | head -n 20
    status=1
  fi
done
if [ "$seen" = 0 ]; then
  echo "no module is a file: they are inside the program"
  exit 77
fi
exit $status

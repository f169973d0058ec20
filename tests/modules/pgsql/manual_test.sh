#!/bin/sh
# Every option and counter of the module is in its manual page, and the page names none that is not
# there.
src=${srcdir:-.}/modules/pgsql
page=$(sed 's/\\-/-/g' "$src/rum-pgsql.8")
failed=0

miss() {
  echo "rum-pgsql.8: $1" >&2
  failed=1
}

options=$(sed -n 's/^ *{"\(pgsql-[a-z-]*\)",.*/\1/p' "$src/config.cc")
counters=$(sed -n 's/^ *{"\(pgsql_[a-z_]*\)",.*/\1/p' "$src/metrics.h")
test "$(echo $options | wc -w)" -ge 4 || miss "the options were not found in config.cc"
test "$(echo $counters | wc -w)" -ge 9 || miss "the counters were not found in metrics.h"

for option in $options; do
  echo "$page" | grep -q -e "--$option" || miss "--$option is missing"
done
for counter in $counters; do
  echo "$page" | grep -q -e "rum_${counter}_total" || miss "rum_${counter}_total is missing"
done
for word in $(echo "$page" | grep -o -e '--pgsql-[a-z-]*' | sort -u); do
  echo "$options" | grep -qx -e "${word#--}" || miss "$word is no option"
done
for word in $(echo "$page" | grep -o 'rum_pgsql_[a-z_]*_total' | sort -u); do
  word=${word#rum_}
  echo "$counters" | grep -qx -e "${word%_total}" || miss "rum_${word} is no counter"
done
exit $failed

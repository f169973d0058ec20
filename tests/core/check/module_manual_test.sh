#!/bin/sh
# The manual page of the module interface names every hook, host call and error of the header.
header=${srcdir:-.}/core/include/rum/module.h
page=${srcdir:-.}/core/include/rum/rum-module.3
missing=0
count=0
for name in $(sed -n 's/^  [a-z][a-z0-9_ *]*(\*\([a-z_]*\))(.*/\1/p' "$header"); do
  count=$((count + 1))
  if ! grep -qE "^\.It Fn $name( |\$)" "$page"; then
    echo "rum-module.3 does not describe $name()"
    missing=1
  fi
done
for name in $(sed -n 's/^RUM_INT(\(RUM_OK\|RUM_E_[A-Z]*\), .*/\1/p' "$header"); do
  count=$((count + 1))
  if ! grep -q "^\.It Dv $name\$" "$page"; then
    echo "rum-module.3 does not describe $name"
    missing=1
  fi
done
# And the other way round: nothing that is gone.
for name in $(sed -n 's/^\.It Fn \([a-z_]*\).*/\1/p' "$page"); do
  if ! grep -q "(\*$name)(" "$header"; then
    echo "rum-module.3 describes $name(), which is not in the header"
    missing=1
  fi
done
if [ $count -lt 40 ]; then
  echo "only $count names found in the header: this test does not read it right"
  missing=1
fi
exit $missing

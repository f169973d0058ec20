#!/bin/sh
# The core knows no protocol: nothing under core/ includes a module's file or names a protocol that
# a module speaks, and modules include no file of the core but rum/module.h.
set -u
cd "${srcdir:-.}" || exit 1
status=0
# `refuse WHAT PATTERN FOLDER`: no line in the sources of the folder may match.
refuse() {
  if grep -rniE --include='*.h' --include='*.cc' --include='*.c' --include='*.am' \
      --include='*.def' --include='*.[1-9]' "$2" "$3"; then
    echo "^ $1"
    status=1
  fi
}
grep -rlq rum_module core || { echo "no sources found in $PWD"; exit 1; }
refuse "core/ names a protocol" 'mysql|mariadb' core
refuse "core/ includes a file of a module" '#[[:space:]]*include[[:space:]]*["<](\.\./)*(modules/|mysql/|passthrough/)' core
refuse "a module includes a file of the core" '#[[:space:]]*include[[:space:]]*["<](\.\./)*(core/|base/|net/|settings/|probe/|proxy/|upstream/|map/|module/|tls/|limits/|admin/|daemon/|check/|config\.h)' modules
exit $status

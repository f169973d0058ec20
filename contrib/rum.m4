# For the configure.ac of a module of rum that is built outside of rum's tree.

# RUM_PREPARE_MODULE([MINIMUM-VERSION])
# Finds rum by pkg-config, and sets for Makefile.am:
#   RUM_CFLAGS          for the sources: where rum/module.h is, and no symbol is exported
#   RUM_MODULE_LDFLAGS  for NAME_la_LDFLAGS: one file without a version, which exports its table only
#   rummoduledir        where modules are installed: rummodule_LTLIBRARIES = NAME.la
#   RUM_CHECK           rum-check, for `make check`
# LT_INIT comes before it.
AC_DEFUN([RUM_PREPARE_MODULE], [
AC_REQUIRE([PKG_PROG_PKG_CONFIG])
PKG_CHECK_MODULES([RUM], [rum]m4_ifval([$1], [[ >= $1]]))
PKG_CHECK_VAR([rummoduledir], [rum], [moduledir])
PKG_CHECK_VAR([RUM_MODULE_MAP], [rum], [module_map])
PKG_CHECK_VAR([RUM_BINDIR], [rum], [bindir])
AS_IF([test ! -f "$RUM_MODULE_MAP"], [AC_MSG_ERROR([no module.map of rum in '$RUM_MODULE_MAP'])])
RUM_CFLAGS="$RUM_CFLAGS -fvisibility=hidden"
RUM_CHECK=$RUM_BINDIR/rum-check
RUM_MODULE_LDFLAGS="-module -avoid-version -shared -Wl,--version-script=$RUM_MODULE_MAP"
AC_SUBST([RUM_CHECK])
AC_SUBST([RUM_MODULE_LDFLAGS])
])

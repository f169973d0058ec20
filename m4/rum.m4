# What configure.ac needs beyond Autoconf: a folder named core, libraries by Debian name, modules,
# and the switches for sanitizers, coverage and fuzzers.

# RUM_KEEP_CORE_FOLDER
# When configure ends it removes core dumps by `rm -f core ... && rm -f conftest*`. Our folder core/
# makes that fail, and the clean-up after it is skipped, which `make distcheck` then notices. This
# function drops the word from the arguments as long as it names a folder.
AC_DEFUN([RUM_KEEP_CORE_FOLDER], [
rm ()
{
  for rum_word
  do
    shift
    if test "x$rum_word" = xcore && test -d core; then
      continue
    fi
    set rum_first "$[@]" "$rum_word"
    shift
  done
  command rm "$[@]"
}
])

# RUM_MISSING(WHAT, DEBIAN-PACKAGE)
AC_DEFUN([RUM_MISSING], [AC_MSG_ERROR([$1 is missing: on Debian, apt-get install $2])])

# RUM_NEED_PKG(VARIABLE-PREFIX, PKG-CONFIG-MODULES, DEBIAN-PACKAGE)
AC_DEFUN([RUM_NEED_PKG], [
PKG_CHECK_MODULES([$1], [$2], [], [RUM_MISSING([$2], [$3])])
])

# RUM_NEED_LIB(VARIABLE, LIBRARY, FUNCTION, HEADER, DEBIAN-PACKAGE)
# For libraries without a .pc file; VARIABLE gets the -l flag.
AC_DEFUN([RUM_NEED_LIB], [
AC_CHECK_HEADER([$4], [], [RUM_MISSING([$4], [$5])])
AC_CHECK_LIB([$2], [$3], [$1=-l$2], [RUM_MISSING([lib$2], [$5])])
AC_SUBST([$1])
])

# RUM_TRY_FLAGS(VARIABLE, FLAGS)
# Adds FLAGS to VARIABLE if the C++ compiler and linker take them together with the user's.
AC_DEFUN([RUM_TRY_FLAGS], [
AC_MSG_CHECKING([whether $CXX takes $2])
rum_saved_flags=$CXXFLAGS
CXXFLAGS="$CXXFLAGS $2 -Werror"
AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <string>]], [[std::string s("x"); return (int)s.size() - 1;]])],
  [AC_MSG_RESULT([yes])
   $1="$$1 $2"],
  [AC_MSG_RESULT([no])])
CXXFLAGS=$rum_saved_flags
])

# RUM_MODULE(NAME, SUMMARY)
# A module that is built on demand: --enable-NAME, the conditional NAME in upper case, and
# NAME_MODULE_CPPFLAGS for its sources. Its folder is modules/NAME, its fragment NAME.am in there.
AC_DEFUN([RUM_MODULE], [
m4_pushdef([RUM_NAME], m4_toupper([$1]))
AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], [build the module $1.so: $2])],
  [], [enable_$1=no])
AM_CONDITIONAL(RUM_NAME, [test "x$enable_$1" = xyes])
RUM_MODULE_SYMBOL([$1])
AS_IF([test "x$enable_$1" = xyes], [rum_modules="$rum_modules $1"])
m4_popdef([RUM_NAME])
])

# RUM_MODULE_SYMBOL(NAME)
# NAME_MODULE_CPPFLAGS: inside a static rum each module exports a name of its own, which libltdl
# finds by the file's name.
AC_DEFUN([RUM_MODULE_SYMBOL], [
AS_IF([test "x$enable_builtin_modules" = xyes],
  [m4_toupper([$1])_MODULE_CPPFLAGS=-DRUM_MODULE_SYMBOL=$1_LTX_rum_module_v1])
AC_SUBST(m4_toupper([$1])[_MODULE_CPPFLAGS])
])

# RUM_SANITIZERS
# --enable-sanitizers=address,undefined or =thread: sets SANITIZER_FLAGS.
AC_DEFUN([RUM_SANITIZERS], [
AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers=LIST],
  [build with sanitizers: "address,undefined" (the default of LIST) or "thread"])],
  [], [enable_sanitizers=no])
AS_CASE([$enable_sanitizers],
  [no], [],
  [yes], [rum_sanitizers=address,undefined],
  [rum_sanitizers=$enable_sanitizers])
AS_IF([test "x$enable_sanitizers" != xno], [RUM_SANITIZE([$rum_sanitizers])])
])

# RUM_SANITIZE(LIST): sets SANITIZER_FLAGS.
AC_DEFUN([RUM_SANITIZE], [
rum_flags="-fsanitize=$1 -fno-sanitize-recover=all -fno-omit-frame-pointer"
# The check of vptr opens a pipe, and takes it for a fault when no descriptor is left.
AS_CASE([$1], [*undefined*], [rum_flags="$rum_flags -fno-sanitize=vptr"])
RUM_TRY_FLAGS([SANITIZER_FLAGS], [$rum_flags])
AS_IF([test -z "$SANITIZER_FLAGS"], [AC_MSG_ERROR([$CXX cannot build with the sanitizers $1])])
RUM_SANITIZE_COROUTINES
])

# clang 14 cannot assemble coroutines with its check of called functions; gcc has no such check.
AC_DEFUN([RUM_SANITIZE_COROUTINES], [
AS_CASE([$SANITIZER_FLAGS], [*undefined*],
  [RUM_TRY_FLAGS([SANITIZER_FLAGS], [-fno-sanitize=function])])
])

# RUM_FUZZERS
# --enable-fuzzers: everything is instrumented, FUZZ_LDFLAGS links libFuzzer's main.
AC_DEFUN([RUM_FUZZERS], [
AC_ARG_ENABLE([fuzzers], [AS_HELP_STRING([--enable-fuzzers],
  [build the libFuzzer targets; needs clang: CC=clang CXX=clang++])], [], [enable_fuzzers=no])
AS_IF([test "x$enable_fuzzers" = xyes], [
  AS_IF([test "x$enable_sanitizers" = xno],
    [RUM_SANITIZE([address,undefined])
     enable_sanitizers=address,undefined])
  rum_before=$SANITIZER_FLAGS
  RUM_TRY_FLAGS([SANITIZER_FLAGS], [-fsanitize=fuzzer-no-link])
  AS_IF([test "x$rum_before" = "x$SANITIZER_FLAGS"],
    [AC_MSG_ERROR([fuzzers need clang: apt-get install clang, then configure with CC=clang CXX=clang++])])
  FUZZ_LDFLAGS=-fsanitize=fuzzer
])
AM_CONDITIONAL([ENABLE_FUZZERS], [test "x$enable_fuzzers" = xyes])
AC_SUBST([FUZZ_LDFLAGS])
])

# RUM_HARDENING
# Sets HARDENING_CPPFLAGS, _CXXFLAGS, _LDFLAGS (programs and modules) and _PROGRAM_LDFLAGS.
AC_DEFUN([RUM_HARDENING], [
AS_IF([test "x$enable_sanitizers$enable_coverage" = xnono], [
  RUM_TRY_FLAGS([HARDENING_CPPFLAGS], [-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2])
  RUM_TRY_FLAGS([HARDENING_CXXFLAGS], [-fstack-protector-strong])
  RUM_TRY_FLAGS([HARDENING_LDFLAGS], [-Wl,-z,relro -Wl,-z,now])
  rum_before=$HARDENING_CXXFLAGS
  # Objects of libraries get -fPIC after it, which wins.
  RUM_TRY_FLAGS([HARDENING_CXXFLAGS], [-fPIE -pie])
  AS_IF([test "x$rum_before" != "x$HARDENING_CXXFLAGS"],
    [HARDENING_CXXFLAGS="$rum_before -fPIE"
     HARDENING_PROGRAM_LDFLAGS=-pie])
  RUM_TRY_FLAGS([HARDENING_MODULE_LDFLAGS], [-Wl,-z,defs])
])
AC_SUBST([HARDENING_CPPFLAGS])
AC_SUBST([HARDENING_CXXFLAGS])
AC_SUBST([HARDENING_LDFLAGS])
AC_SUBST([HARDENING_PROGRAM_LDFLAGS])
AC_SUBST([HARDENING_MODULE_LDFLAGS])
])

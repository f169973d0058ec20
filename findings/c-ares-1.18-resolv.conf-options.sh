#!/bin/bash
# Finding: c-ares 1.18.1 ignores `options timeout:1 attempts:1` of resolv.conf (and of RES_OPTIONS) and obeys two other words, retrans and retry, of which the first counts milliseconds.
#
# One would guess: a resolver library that reads /etc/resolv.conf follows resolv.conf(5), at least these two options,
#   which operators set for a quick failover; ndots, in the same line, it does follow.
# What it means: the file says 1 second and 1 attempt, the program waits as by default: 5 s, doubled with each of 4
#   rounds, so 75 s for one silent name server. In Debian 12 pgbouncer and gRPC link it. Who finds "retrans" and
#   writes `retrans:1` for a second gets 1 ms, so that good name servers look dead. Set ARES_OPT_TIMEOUTMS and
#   ARES_OPT_TRIES in the program. c-ares 1.34 obeys timeout and attempts.
# Seen with: libc-ares2 1.18.1-3. timeout:1 attempts:1 ndots:3 -> timeout 5000 ms, tries 4, ndots 3; retrans:1 retry:1 ->
#   timeout 1 ms, tries 1. Needs: Debian 12 (amd64 or arm64), gcc with libc6-dev, apt-get.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its libc-ares2 1.18.1"
for tool in gcc apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 apt-get download -q libc-ares2=1.18.1-3 libc-ares-dev=1.18.1-3 >apt.log 2>&1 ||
	fail "apt-get download failed (libc-ares2 1.18.1-3 is needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" root || exit 1; done
cat >see.c <<'END'
#include <ares.h>
#include <stdio.h>
int main(int count, char **names)
{
	if (ares_library_init(ARES_LIB_INIT_ALL)) return 1;
	for (int i = 1; i < count; ++i) {
		struct ares_options options = {0};
		ares_channel channel;
		int mask;
		options.resolvconf_path = names[i];
		if (ares_init_options(&channel, &options, ARES_OPT_RESOLVCONF) || ares_save_options(channel, &options, &mask)) return 1;
		printf("%s timeout %d ms, tries %d, ndots %d\n", ares_version(0), options.timeout, options.tries, options.ndots);
	}
	return 0;
}
END
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(echo root/usr/lib/*-linux-gnu*)
gcc -w -Iroot/usr/include see.c -o see "$LD_LIBRARY_PATH"/libcares.so.2 || fail "gcc failed"
printf 'nameserver 127.0.0.1\noptions ndots:3\n' >plain
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1 ndots:3\n' >manual
printf 'nameserver 127.0.0.1\noptions retrans:1 retry:1 ndots:3\n' >other
unset RES_OPTIONS LOCALDOMAIN
stated=yes
see() {
	local name=$1 file=$2 wanted=$3 seen
	seen=$(timeout 20 ./see $file)
	printf '%-44s%s\n' "$name" "$seen"
	[ "$seen" = "1.18.1 $wanted" ] || stated=no
}
see "options ndots:3" plain "timeout 5000 ms, tries 4, ndots 3"
see "options timeout:1 attempts:1 ndots:3" manual "timeout 5000 ms, tries 4, ndots 3"
export RES_OPTIONS="timeout:1 attempts:1"
see "RES_OPTIONS=\"$RES_OPTIONS\"" plain "timeout 5000 ms, tries 4, ndots 3"
unset RES_OPTIONS
see "options retrans:1 retry:1 ndots:3" other "timeout 1 ms, tries 1, ndots 3"
[ $stated = yes ] || fail "not as stated"
echo "as stated: only the other two words count, one of them in milliseconds"

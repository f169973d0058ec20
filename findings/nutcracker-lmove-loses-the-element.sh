#!/bin/bash
# Finding: nutcracker (twemproxy) 0.5.0 sends LMOVE to the server of the first key and says yes to it: the element lands in a list that nobody finds, as the proxy looks for the second key at another server; SINTER of two sets with a common member is empty there, also without an error.
#
# One would guess: a proxy that shares keys out over servers knows both keys of a command and refuses the two when they live
#   apart, as Redis Cluster does with CROSSSLOT; MGET and DEL over several servers it takes apart and joins again.
# What it means: the usual safe queue, LMOVE todo doing LEFT RIGHT, then LREM doing when done, loses each job whose worker dies,
#   and its LREM removes nothing; whether it does depends on the names of the lists and on the number of servers, so it works
#   with one server, and perhaps with two until a third is added. Memory grows in lists that no client sees. Give such keys a
#   common hash tag ({queue}:todo and {queue}:doing with hash_tag: "{}"). Its notes list LMOVE as supported without more
#   words; for RPOPLPUSH, SINTER, SMOVE and others they ask for keys on one server.
# Seen with: nutcracker 0.5.0+dfsg-2 (ketama, fnv1a_64) with two redis-server 5:7.0.15-1~deb12u10: todo lives at the first,
#   doing at the second. After LMOVE through the proxy todo has one element less, doing none; with a hash tag doing has it.
#   Needs: Debian 12, perl, apt-get.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its nutcracker and redis-server 7.0"
for tool in /usr/bin/perl apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
processes=()
trap '{ [ ${#processes[@]} = 0 ] || kill "${processes[@]}"; wait; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q nutcracker=0.5.0+dfsg-2 redis-tools=5:7.0.15-1~deb12u10 liblzf1 libjemalloc2 libyaml-0-2 >apt.log 2>&1 ||
	fail "apt-get download failed (nutcracker 0.5.0+dfsg-2 and redis-tools 5:7.0.15-1~deb12u10 are needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
# The server is redis-check-rdb: Debian's package has one program under three names.
ln -s redis-check-rdb files/usr/bin/redis-server 2>/dev/null
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*)
read -r proxy tagged status <<<"$(LD_LIBRARY_PATH='' /usr/bin/perl -MIO::Socket::INET -e '
my @probes = map { IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") } 1 .. 3;
print join(" ", map { $_->sockport } @probes), "\n"')"
for name in one two; do
	files/usr/bin/redis-server --port 0 --unixsocket "$dir/$name" --save '' --dir "$dir" >$name.log 2>&1 &
	processes+=($!)
done
pool() {
	cat <<END
$1:
  listen: 127.0.0.1:$2
  redis: true
  hash: fnv1a_64
  distribution: ketama
$3
  servers:
   - $dir/one:1 one
   - $dir/two:1 two
END
}
{ pool plain "$proxy" ""; pool tagged "$tagged" '  hash_tag: "{}"'; } >nutcracker.yml
for ((i = 0; i < 300; i++)); do [ -S one ] && [ -S two ] && break; sleep 0.2; done
files/usr/sbin/nutcracker -c nutcracker.yml -s "$status" -a 127.0.0.1 -o nutcracker.log >start.log 2>&1 &
processes+=($!)
ask() { local port=$1; shift; files/usr/bin/redis-cli -p "$port" "$@" 2>&1 | tr '\n' ' '; }
for ((i = 0; i < 300; i++)); do [ "$(ask "$proxy" PING)" = "PONG " ] && break; sleep 0.2; done
stated=yes
see() {
	local seen wanted=$1
	shift
	seen=$(ask "$@")
	shift
	printf '%-44s%s\n' "$*" "$seen"
	[ "$seen" = "$wanted" ] || stated=no
}
see "2 " "$proxy" RPUSH todo wash iron
see "wash " "$proxy" LMOVE todo doing LEFT RIGHT
see "iron " "$proxy" LRANGE todo 0 -1
see " " "$proxy" LRANGE doing 0 -1
see "0 " "$proxy" LREM doing 1 wash
echo "the first server's own list \"doing\": $(files/usr/bin/redis-cli -s one LRANGE doing 0 -1)"
[ "$(files/usr/bin/redis-cli -s one LRANGE doing 0 -1)" = wash ] || stated=no
see "2 " "$tagged" RPUSH '{queue}:todo' wash iron
see "wash " "$tagged" LMOVE '{queue}:todo' '{queue}:doing' LEFT RIGHT
see "wash " "$tagged" LRANGE '{queue}:doing' 0 -1
see "1 " "$proxy" SADD friends:ann eve
see "1 " "$proxy" SADD friends:bob eve
see " " "$proxy" SINTER friends:ann friends:bob
[ $stated = yes ] || fail "not as stated: $(tail -n 3 nutcracker.log)"
echo "as stated: what was moved cannot be found"

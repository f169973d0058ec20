#!/bin/bash
# Finding: Pgpool-II 4.3 with memory_cache_enabled answers a SELECT from its cache by user, database and text alone: a session with search_path = year2025 gets the rows of year2024 when another session asked before, one with DateStyle 'SQL, DMY' the text of one with 'SQL, MDY', so 6 May is 5 June to it; bytea_output and IntervalStyle are forgotten alike.
#
# One would guess: what decides a result is part of the key, as in PostgreSQL's own cache of plans, which is thrown away when
#   search_path changes; or a session that has issued SET gets no cache, as it does with Pgpool after SET ROLE. The cache is careful
#   elsewhere: it leaves out functions that are not immutable, temporary tables, catalogs and time zones.
# What it means: one schema for each year, shop or test run and a search_path that chooses it is a usual design, and with the
#   cache it returns one schema's rows for all, right for the first who asks; an INSERT into that table clears the entry, so the
#   rows change with the traffic. The server still tells each session its own DateStyle, which drivers use to read a date. Without
#   the cache (the default), or in a test with one session, all is right. Write the schema into the query, give each schema a
#   user of its own, or list the tables in cache_unsafe_memqcache_table_list. (The manual names user, database and query as the
#   key, and does not mention settings. Tables of one name in several schemas: pgpool/pgpool2#102.)
# Seen with: pgpool2 4.3.5-1+deb12u1, postgresql-15 15.20-0+deb12u1, psql 15: each SELECT in two sessions with different
#   settings, direct and by Pgpool with the cache off and on. Needs: Debian 12 (amd64 or arm64), perl, apt-get; setpriv if it is
#   run as root, as PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its Pgpool-II and PostgreSQL 15"
for tool in apt-get dpkg /usr/bin/perl; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
server=
pools=()
trap '[ ${#pools[@]} = 0 ] || kill -INT "${pools[@]}"; [ -z "$server" ] || kill -INT $server; wait; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 \
	pgpool2=4.3.5-1+deb12u1 libpgpool2=4.3.5-1+deb12u1 libmemcached11 libhashkit2 >apt.log 2>&1 ||
	fail "apt-get download failed (see the versions above): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
as=()
mkdir server off on
if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null || fail "needs setpriv"
	as=(setpriv --reuid nobody --regid nogroup --clear-groups)
	chown nobody:nogroup server off on
	chmod a+rx "$dir"
fi
bin=$dir/files/usr/lib/postgresql/15/bin
export LD_LIBRARY_PATH
LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*)
as+=(env -i "LD_LIBRARY_PATH=$LD_LIBRARY_PATH" PATH=/usr/bin:/bin)
port() { /usr/bin/perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'; }
cd server || exit 1
"${as[@]}" "$bin/initdb" -D "$dir/server/data" -U tester -A trust --no-sync >../initdb.log 2>&1 || fail "initdb failed: $(tail -n 3 ../initdb.log)"
back=$(port)
"${as[@]}" "$bin/postgres" -D "$dir/server/data" -k "$dir/server" -c listen_addresses=127.0.0.1 -p "$back" -c fsync=off >../server.log 2>&1 &
server=$!
cd ..
for ((i = 0; i < 300; i++)); do grep -qs 'ready to accept connections' server.log && break; sleep 0.2; done
run() { timeout 60 "$bin/psql" -X -q -At -h 127.0.0.1 -U tester -d postgres "$@" 2>&1; }
run -p "$back" >sql.log <<'END'
CREATE TABLE due (d date, i interval, b bytea);
INSERT INTO due VALUES (make_date(2020, 5, 6), make_interval(days => 1, hours => 2), '\x61');
CREATE SCHEMA year2024;
CREATE SCHEMA year2025;
CREATE TABLE year2024.sales AS SELECT 24 AS total;
CREATE TABLE year2025.sales AS SELECT 25 AS total;
END
for cache in off on; do
	ports[${#pools[@]}]=$(port)
	mkdir "$cache/oid"
	touch "$cache/pcp.conf" "$cache/pool_hba.conf"
	cat >"$cache/pgpool.conf" <<END
backend_clustering_mode = 'raw'
listen_addresses = '127.0.0.1'
port = ${ports[${#pools[@]}]}
pcp_port = $(port)
socket_dir = '$dir/$cache'
pcp_socket_dir = '$dir/$cache'
backend_hostname0 = '127.0.0.1'
backend_port0 = $back
num_init_children = 2
max_pool = 1
pid_file_name = '$dir/$cache/pid'
logdir = '$dir/$cache'
work_dir = '$dir/$cache'
memory_cache_enabled = $cache
memqcache_total_size = 1MB
memqcache_max_num_cache = 1000
memqcache_oiddir = '$dir/$cache/oid'
END
	[ "$(id -u)" != 0 ] || chown -R nobody:nogroup "$cache"
	"${as[@]}" files/usr/sbin/pgpool -n -f "$cache/pgpool.conf" -F "$cache/pcp.conf" -a "$cache/pool_hba.conf" >$cache.log 2>&1 &
	pools+=($!)
done
for port in "${ports[@]}"; do
	for ((i = 0; i < 300; i++)); do [ "$(run -p "$port" -c 'SHOW server_version_num')" = 150020 ] && break; sleep 0.2; done
done
stated=yes
row() {
	local query=$1 one=$2 other=$3 first=$4 second=$5 port seen=()
	echo "$query"
	for port in "$back" "${ports[@]}"; do
		seen+=("$(run -p "$port" -c "SET $one" -c "$query")" "$(run -p "$port" -c "SET $other" -c "$query")")
	done
	printf '  %-34s direct %-11s cache off %-11s cache on %s\n' "$one" "${seen[0]}" "${seen[2]}" "${seen[4]}" \
		"$other" "${seen[1]}" "${seen[3]}" "${seen[5]}"
	[ "${seen[*]}" = "$first $second $first $second $first $first" ] || stated=no
}
row 'SELECT total FROM sales' 'search_path = year2024' 'search_path = year2025' 24 25
row 'SELECT d FROM due' "datestyle = 'SQL, DMY'" "datestyle = 'SQL, MDY'" 06/05/2020 05/06/2020
row 'SELECT i FROM due' "intervalstyle = 'iso_8601'" "intervalstyle = 'sql_standard'" P1DT2H '1 2:00:00'
row 'SELECT b FROM due' 'bytea_output = hex' 'bytea_output = escape' '\x61' a
run -p "${ports[1]}" -c 'INSERT INTO year2024.sales VALUES (-24)'
cleared=$(run -p "${ports[1]}" -c 'SET search_path = year2025' -c 'SELECT total FROM sales')
echo "after an INSERT into year2024.sales: $cleared"
[ "$cleared" = 25 ] || stated=no
if [ $stated = yes ]; then echo "as stated: the cache does not look at settings"; exit; fi
tail -n 3 server.log off.log on.log >&2
fail "not as stated"

#!/bin/bash
# Finding: PgBouncer 1.18 keeps the settings that a pool's first server connection reported and sets them in each later one: after DateStyle and TimeZone were changed and PostgreSQL was restarted, clients of the pool still work with the old ones, '05/06/2020' is 6 May and not 5 June; RELOAD does not help.
#
# One would guess: a pool forgets what a server said together with that server's connection, and surely so when the server
#   is restarted and each connection is new; or it takes settings from clients alone, and these clients set none.
# What it means: a change in postgresql.conf, ALTER DATABASE or ALTER ROLE ... SET has no effect for pools that exist, where
#   PgBouncer tracks the parameter (its manual lists them: TimeZone, DateStyle, client_encoding, standard_conforming_strings and
#   application_name), and neither program's log says so. pg_settings shows "session" as the source, as though the client had
#   asked for it. A test without the pooler, or with a freshly started one, shows the new values.
#   RECONNECT on the admin console helps, or a restart of PgBouncer. (Reported for ALTER DATABASE and ALTER ROLE:
#   pgbouncer/pgbouncer#1255, #1562.)
# Seen with: pgbouncer 1.18.0-1+deb12u1 (transaction pooling), postgresql-15 15.20-0+deb12u1, psql 15. Direct: Asia/Tokyo, 2020-06-05;
#   by the pool after restart and RELOAD: UTC, session, 2020-05-06; after RECONNECT: Asia/Tokyo, 2020-06-05. Needs: Debian 12,
#   apt-get; setpriv if it is run as root, as PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its PostgreSQL 15 and PgBouncer 1.18"
for tool in apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
server=
pooler=
trap '{ [ -z "$pooler" ] || kill $pooler; [ -z "$server" ] || kill -INT $server; wait; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 apt-get download -q postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 \
	pgbouncer=1.18.0-1+deb12u1 libc-ares2 libevent-2.1-7 >apt.log 2>&1 ||
	fail "apt-get download failed (postgresql-15 15.20-0+deb12u1 and pgbouncer 1.18.0-1+deb12u1 are needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
as=()
mkdir server
if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null || fail "needs setpriv"
	as=(setpriv --reuid nobody --regid nogroup --clear-groups)
	chown nobody:nogroup server
	chmod a+rx "$dir"
fi
bin=$dir/files/usr/lib/postgresql/15/bin
as+=(env -i "LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*)" PATH=/usr/bin:/bin)
cd server || exit 1
"${as[@]}" "$bin/initdb" -D "$dir/server/data" -U tester -A trust --no-sync >../initdb.log 2>&1 || fail "initdb failed: $(tail -n 3 ../initdb.log)"
cd ..
start() {
	: >server.log
	"${as[@]}" "$bin/postgres" -D "$dir/server/data" -k "$dir/server" -c listen_addresses= -c fsync=off "$@" >>server.log 2>&1 &
	server=$!
	for ((i = 0; i < 150; i++)); do grep -q 'ready to accept connections' server.log && return; sleep 0.2; done
}
start -c timezone=UTC -c datestyle=ISO,MDY
cat >server/pgbouncer.ini <<END
[databases]
postgres = host=$dir/server port=5432
[pgbouncer]
unix_socket_dir = $dir/server
listen_port = 6432
auth_type = trust
auth_file = $dir/server/users
admin_users = tester
pool_mode = transaction
END
echo '"tester" ""' >server/users
"${as[@]}" "$dir/files/usr/sbin/pgbouncer" "$dir/server/pgbouncer.ini" >pgbouncer.log 2>&1 &
pooler=$!
for ((i = 0; i < 50; i++)); do [ -S server/.s.PGSQL.6432 ] && break; sleep 0.2; done
stated=yes
# `sql PORT DATABASE STATEMENT`
sql() {
	"${as[@]}" "$bin/psql" -h "$dir/server" -p "$1" -U tester -d "$2" -XAtq -c "$3" 2>&1 | tr '\n' ' '
}
see() {
	local seen
	seen=$(sql "$2" postgres "SELECT setting, source, to_char('05/06/2020'::date, 'YYYY-MM-DD') FROM pg_settings WHERE name = 'TimeZone'")
	printf '%-36s%s\n' "$1" "$seen"
	[ "$seen" = "$3 " ] || stated=no
}
see "pool, at first" 6432 "UTC|command line|2020-05-06"
kill -INT $server
wait $server
start -c timezone=Asia/Tokyo -c datestyle=ISO,DMY
sql 6432 postgres "SELECT 1" >first.log
sql 6432 pgbouncer RELOAD >reload.log
see "direct, after restart" 5432 "Asia/Tokyo|command line|2020-06-05"
see "pool, after restart and RELOAD" 6432 "UTC|session|2020-05-06"
sql 6432 pgbouncer RECONNECT >reconnect.log
see "pool, after RECONNECT" 6432 "Asia/Tokyo|command line|2020-06-05"
[ $stated = yes ] || fail "not as stated: $(tail -n 3 pgbouncer.log)"
echo "as stated: the pool keeps the settings of a server that is gone"

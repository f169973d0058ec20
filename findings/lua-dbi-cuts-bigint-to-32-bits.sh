#!/bin/bash
# Finding: LuaDBI 0.7.2 cuts every PostgreSQL bigint to 32 bits (4294967297 is read as 1, sum() of the numbers up to 100,000 as 705082704), and from MariaDB reads an INT UNSIGNED 4294967295 as -1, a negative TIME as a positive one, TIME '100:04:53' as '100:04:5' and NULL as '' or 0; luasql 2.6.0 reads all of them right.
#
# One would guess: Lua 5.3 has integers of 64 bits, Lua 5.1 doubles exact up to 2^53, and either holds these values; a
#   driver without room for a value makes a string of it or raises an error. And NULL is nil, as it is in the PostgreSQL half
#   of the same library.
# What it means: ids from sequences beyond 2^31, times as milliseconds, byte counts and sums come back as other numbers,
#   often plausible ones, and count(*) is right for years. PostgreSQL stores what is written: only the reading cuts. With MariaDB an
#   outer join's missing row looks like an empty one, and a duration is off by the sign or by a digit. Cast to text in the query
#   and use math.tointeger(); compare with IS NULL in SQL. (NULL is reported, mwild1/luadbi#66, and mended since.)
# Seen with: lua-dbi-postgresql, lua-dbi-mysql and lua-dbi-common 0.7.2-4, lua-sql-postgres and lua-sql-mysql 2.6.0-2, lua5.3
#   5.3.6-2, postgresql-15 15.20-0+deb12u1, mariadb-server-core 10.11.19; values as in the first line. Needs: Debian 12, lua5.3's
#   libreadline8, /usr/sbin/mariadbd 10.11 with mariadb-install-db, apt-get; setpriv if it is run as root, as
#   PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its LuaDBI"
for tool in mariadb-install-db apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
postgres=
mariadb=
trap '[ -z "$postgres" ] || kill -INT $postgres; [ -z "$mariadb" ] || kill $mariadb; wait; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 90 apt-get download -q lua-dbi-common=0.7.2-4 lua-dbi-mysql=0.7.2-4 lua-dbi-postgresql=0.7.2-4 lua-sql-mysql=2.6.0-2 lua-sql-postgres=2.6.0-2 \
	lua5.3=5.3.6-2 libmariadb3 libpq5 postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 >apt.log 2>&1 ||
	fail "apt-get download failed (see the versions above): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
libraries=$(echo "$dir"/files/usr/lib/*-linux-gnu*)
as=()
user=()
mkdir server
if [ "$(id -u)" = 0 ]; then
	command -v setpriv >/dev/null || fail "needs setpriv"
	as=(setpriv --reuid nobody --regid nogroup --clear-groups)
	user=(--user=root)
	chown nobody:nogroup server
	chmod a+rx "$dir"
fi
bin=$dir/files/usr/lib/postgresql/15/bin
as+=(env -i "LD_LIBRARY_PATH=$libraries" PATH=/usr/bin:/bin)
cd server || exit 1
"${as[@]}" "$bin/initdb" -D "$dir/server/data" -U tester -A trust --no-sync >../initdb.log 2>&1 || fail "initdb failed: $(tail -n 3 ../initdb.log)"
"${as[@]}" "$bin/postgres" -D "$dir/server/data" -k "$dir/server" -c listen_addresses= -c fsync=off >../postgres.log 2>&1 &
postgres=$!
cd ..
mariadb-install-db --no-defaults --datadir="$dir/data" "${user[@]}" --auth-root-authentication-method=normal --skip-test-db >install.log 2>&1 ||
	fail "mariadb-install-db failed: $(tail -n 3 install.log)"
# LuaDBI takes no path of a socket without a host, so it gets a port.
port=$(/usr/bin/perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$dir/sock" \
	--pid-file="$dir/pid" --skip-name-resolve --innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
mariadb=$!
for ((i = 0; i < 150; i++)); do [ -S sock ] && grep -qs 'ready to accept connections' postgres.log && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
cat >see.lua <<'END'
local dbi = require 'DBI'
local folder, port = arg[1], tonumber(arg[2])
local first = {
    PostgreSQL = assert(dbi.Connect('PostgreSQL', 'postgres', 'tester', '', folder .. '/server')),
    MariaDB = assert(dbi.Connect('MySQL', 'mysql', 'root', '', '127.0.0.1', port)),
}
local second = {
    PostgreSQL = assert(require('luasql.postgres').postgres():connect('host=' .. folder .. '/server user=tester dbname=postgres')),
    MariaDB = assert(require('luasql.mysql').mysql():connect('mysql', 'root', '', '127.0.0.1', port)),
}
local stated = true
local function row(server, expression, wrong, right)
    local statement = assert(first[server]:prepare('SELECT ' .. expression))
    assert(statement:execute())
    local seen, wanted = statement:fetch()[1], assert(second[server]:execute('SELECT ' .. expression)):fetch()
    print(string.format('%-12s%-54s LuaDBI %-16s luasql %s', server, expression, seen == '' and "''" or tostring(seen), tostring(wanted)))
    stated = stated and seen == wrong and wanted == right
end
row('PostgreSQL', '4294967297', 1, '4294967297')
row('PostgreSQL', '2147483648', -2147483648, '2147483648')
row('PostgreSQL', '1767225600000', tonumber(1767225600000 & 0xffffffff), '1767225600000')
row('PostgreSQL', 'sum(i) FROM generate_series(1, 100000) i', 705082704, '5000050000')
row('PostgreSQL', 'NULL::text', nil, nil)
row('MariaDB', 'CAST(4294967297 AS SIGNED)', 4294967297, '4294967297')
row('MariaDB', 'CAST(4294967295 AS UNSIGNED)', -1, '4294967295')
row('MariaDB', "CRC32('a')", -390611389, '3904355907')
row('MariaDB', "CAST('-05:04:03' AS TIME)", '05:04:03', '-05:04:03')
row('MariaDB', "CAST('100:04:53' AS TIME)", '100:04:5', '100:04:53')
row('MariaDB', 'CAST(NULL AS CHAR)', '', nil)
row('MariaDB', 'CAST(NULL AS SIGNED)', 0, nil)
print(stated and 'as stated: values are cut while they are read' or 'not as stated')
os.exit(stated and 0 or 1)
END
LD_LIBRARY_PATH=$libraries LUA_PATH="$dir/files/usr/share/lua/5.3/?.lua" LUA_CPATH="$libraries/lua/5.3/?.so" \
	timeout 30 files/usr/bin/lua5.3 see.lua "$dir" "$port"
result=$?
[ $result = 0 ] || tail -n 3 postgres.log mariadb.log >&2
exit $result

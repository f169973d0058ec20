#!/bin/bash
# Finding: mysql_fdw 2.8.0 sends the operators of a WHERE to MariaDB as PostgreSQL writes them: || is OR there and 5 / 2 is 2.5, so DELETE FROM person WHERE first || ' ' || last = 'Ann Lee' deletes everyone, and WHERE pieces / 2 = 2 misses the 5; the same expressions in the SELECT list are right.
#
# One would guess: a foreign table differs from a local one in speed alone; a wrapper sends what means the same on the other
#   side and leaves the rest to PostgreSQL, as its postgres_fdw does. An operator that means something else there would be
#   translated (CONCAT, DIV), or the session set to PIPES_AS_CONCAT: the wrapper sets a sql_mode of its own already, for the
#   quotes.
# What it means: searches by full name or by a key made of two columns return everyone, as MariaDB compares 0 (no word is a true
#   value) with the 0 that it reads in 'Ann Lee'; UPDATE and DELETE reach them, too, and nothing is logged. Whether an
#   expression is right depends on where it stands, and on the types: with a number in it, first || pieces, it is not sent and
#   right. Text compares by the collation of MariaDB in a WHERE ('ann' finds 'Ann') but not in the SELECT list. Write
#   concat(first, ' ', last), which is not sent, or put OFFSET 0 around the table. From 2.9 on a list that can be
#   changed says which operators are sent (EnterpriseDB/mysql_fdw#266); that was not tried.
# Seen with: postgresql-15-mysql-fdw 2.8.0-4, postgresql-15 15.20-0+deb12u1, mariadb-server-core 10.11.19, libmariadb3; a local
#   table with the same three rows beside it. Needs: Debian 12, /usr/sbin/mariadbd 10.11 with mariadb-install-db, mariadb,
#   perl, apt-get; setpriv if it is run as root, as PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its PostgreSQL 15"
for tool in mariadb mariadb-install-db /usr/bin/perl apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
postgres=
mariadb=
trap '{ [ -z "$postgres" ] || kill -INT $postgres; [ -z "$mariadb" ] || kill $mariadb; wait; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 postgresql-15-mysql-fdw=2.8.0-4 \
	libmariadb3 >apt.log 2>&1 || fail "apt-get download failed (see the versions above): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
libraries=$(echo "$dir"/files/usr/lib/*-linux-gnu*)
# The name that the wrapper loads; default-libmysqlclient-dev, on which it depends, has this link.
ln -s libmariadb.so.3 "$libraries/libmysqlclient.so"
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
port=$(/usr/bin/perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$dir/sock" \
	--pid-file="$dir/pid" --skip-name-resolve --innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
mariadb=$!
for ((i = 0; i < 900; i++)); do [ -S sock ] && grep -qs 'ready to accept connections' postgres.log && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
rows="(1, 'Ann', 'Lee', 5), (2, 'Bob', 'Ray', 8), (3, 'Cid', 'Moe', 4)"
mariadb --no-defaults -S sock -u root >mariadb-sql.log 2>&1 <<END || fail "mariadb: $(tail -n 3 mariadb-sql.log)"
CREATE DATABASE d;
CREATE TABLE d.person (id INT PRIMARY KEY, first VARCHAR(20), last VARCHAR(20), pieces INT);
INSERT INTO d.person VALUES $rows;
CREATE USER tester@'127.0.0.1' IDENTIFIED BY 'a-word';
GRANT ALL ON d.* TO tester@'127.0.0.1';
END
sql() { "${as[@]}" "$bin/psql" -h "$dir/server" -U tester -d postgres -XAtq -v ON_ERROR_STOP=1 -c "$1" 2>&1 | tr '\n' ' '; }
"${as[@]}" "$bin/psql" -h "$dir/server" -U tester -d postgres -Xq -v ON_ERROR_STOP=1 >setup.log 2>&1 <<END || fail "psql: $(tail -n 3 setup.log)"
CREATE EXTENSION mysql_fdw;
CREATE SERVER shop FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '127.0.0.1', port '$port');
CREATE USER MAPPING FOR tester SERVER shop OPTIONS (username 'tester', password 'a-word');
CREATE FOREIGN TABLE abroad (id int, first text, last text, pieces int) SERVER shop OPTIONS (dbname 'd', table_name 'person');
CREATE TABLE local (id int, first text, last text, pieces int);
INSERT INTO local VALUES $rows;
END
stated=yes
see() {
	local abroad at_home
	abroad=$(sql "${1//TABLE/abroad}")
	at_home=$(sql "${1//TABLE/local}")
	printf '%-76s abroad %-12s local %s\n' "$1" "$abroad" "$at_home"
	[ "$abroad" = "$2" ] && [ "$at_home" = "$3" ] || stated=no
}
see "SELECT id FROM TABLE WHERE first || ' ' || last = 'Ann Lee' ORDER BY id" "1 2 3 " "1 "
see "SELECT id FROM TABLE WHERE first || pieces = 'Ann5' ORDER BY id" "1 " "1 "
see "SELECT id FROM TABLE WHERE concat(first, ' ', last) = 'Ann Lee' ORDER BY id" "1 " "1 "
see "SELECT first || ' ' || last FROM TABLE WHERE id = 1" "Ann Lee " "Ann Lee "
see "SELECT id FROM TABLE WHERE pieces / 2 = 2 ORDER BY id" "3 " "1 3 "
see "SELECT pieces / 2 FROM TABLE ORDER BY id" "2 4 2 " "2 4 2 "
see "SELECT id FROM TABLE WHERE first = 'ann'" "1 " ""
sql "EXPLAIN (VERBOSE, COSTS OFF) SELECT id FROM abroad WHERE first || ' ' || last = 'Ann Lee'" | grep -o 'Remote query:.*'
for table in abroad local; do sql "DELETE FROM $table WHERE first || ' ' || last = 'Ann Lee'" >>delete.log; done
see "SELECT count(*) FROM TABLE" "0 " "2 "
[ $stated = yes ] || fail "not as stated: $(tail -n 3 postgres.log)"
echo "as stated: an expression in a WHERE means something else abroad"

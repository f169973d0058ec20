#!/bin/bash
# Finding: MariaDB's CONNECT engine (TABLE_TYPE=MYSQL, 10.11) reads each DATE and DATETIME before 1901 or after 2038 of the remote table as 1970-01-01, and each TIME below zero or from 24:00:00 on as 00:00:00; it writes them so, too: INSERT of 9999-12-31 stores 1970-01-01 at the other server, without a warning.
#
# One would guess: a table that stands for one of the same server type holds what that type holds, or raises an error; CONNECT
#   copies the column types as they are (SHOW CREATE TABLE), BIGINT UNSIGNED and DECIMAL come through exactly, and the
#   server's own DATE ends in 9999.
# What it means: "valid until 9999-12-31", contracts and loans that end after 2038, births before 1901, and durations beyond a
#   day or below zero are wrong on the way through, in both directions, with no message. A WHERE is done twice, by the remote server
#   with the real date and here with 1970, so WHERE until > '2026-01-01' returns none of the far dates, and = '9999-12-31' no
#   row. CREATE TABLE ... SELECT as a migration keeps the wrong ones. Declare the column as VARCHAR in the CONNECT table: then all
#   of them are right, both ways. (The manual of CONNECT says that its dates are of four bytes, which most would not
#   apply to a table of type MYSQL; the time it does not mention.)
# Seen with: mariadb-plugin-connect and mariadb-server-core 10.11.19, one server that reaches itself by 127.0.0.1, time zone UTC;
#   the same column declared as VARCHAR beside it. Needs: Debian 12, /usr/sbin/mariadbd 10.11.19 with mariadb-install-db, mariadb,
#   perl, apt-get.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its CONNECT engine"
for tool in mariadb mariadb-install-db apt-get dpkg /usr/bin/perl; do command -v $tool >/dev/null || fail "needs $tool"; done
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.19-*) ;; *) fail "needs /usr/sbin/mariadbd 10.11.19 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q mariadb-plugin-connect=1:10.11.19-0+deb12u1 libodbc2 libltdl7 libxml2 libicu72 >apt.log 2>&1 ||
	fail "apt-get download failed (mariadb-plugin-connect 10.11.19 is needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
user=()
[ "$(id -u)" != 0 ] || user=(--user=root)
mariadb-install-db --no-defaults --datadir="$dir/data" "${user[@]}" --auth-root-authentication-method=normal --skip-test-db >install.log 2>&1 ||
	fail "mariadb-install-db failed: $(tail -n 3 install.log)"
port=$(/usr/bin/perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*) /usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" \
	--bind-address=127.0.0.1 --port="$port" --socket="$dir/sock" --pid-file="$dir/pid" --skip-name-resolve --default-time-zone=+00:00 \
	--plugin-dir="$dir/files/usr/lib/mysql/plugin" --innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
server=$!
for ((i = 0; i < 300; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
run() { timeout 60 mariadb --no-defaults -u root -S "$dir/sock" -N --show-warnings "$@" 2>&1 | tr '\t' ' '; }
run <<END
INSTALL SONAME 'ha_connect';
CREATE USER app@'127.0.0.1'; GRANT ALL ON shop.* TO app@'127.0.0.1';
CREATE DATABASE shop; USE shop;
CREATE TABLE term (id INT PRIMARY KEY, until DATE, at DATETIME, length TIME);
INSERT INTO term VALUES (1, '9999-12-31', '2050-01-01 12:00:00', '25:00:00'), (2, '2037-12-31', '2038-01-18 00:00:00', '23:59:59'),
	(3, '2040-06-01', '1850-01-01 12:00:00', '-01:00:00');
CREATE TABLE far ENGINE=CONNECT TABLE_TYPE=MYSQL CONNECTION='mysql://app@127.0.0.1:$port/shop/term';
CREATE TABLE text (id INT, until VARCHAR(10), at VARCHAR(19), length VARCHAR(10)) ENGINE=CONNECT TABLE_TYPE=MYSQL
	CONNECTION='mysql://app@127.0.0.1:$port/shop/term';
END
stated=yes
row() {
	local query=$1 wanted=$2 seen
	seen=$(run shop -e "$query" | paste -sd ';')
	printf '%-60s %s\n' "$query" "$seen"
	[ "$seen" = "$wanted" ] || stated=no
}
right='1 9999-12-31 2050-01-01 12:00:00 25:00:00;2 2037-12-31 2038-01-18 00:00:00 23:59:59;3 2040-06-01 1850-01-01 12:00:00 -01:00:00'
row 'SELECT * FROM term' "$right"
row 'SELECT * FROM text' "$right"
row 'SELECT * FROM far' '1 1970-01-01 1970-01-01 00:00:00 00:00:00;2 2037-12-31 2038-01-18 00:00:00 23:59:59;3 1970-01-01 1970-01-01 00:00:00 00:00:00'
row "SELECT id FROM term WHERE until > '2026-01-01'" '1;2;3'
row "SELECT id FROM far WHERE until > '2026-01-01'" 2
row "SELECT id FROM far WHERE until = '9999-12-31'" ''
row "INSERT INTO far VALUES (4, '9999-12-31', '2050-01-01', '25:00:00')" ''
row "INSERT INTO text VALUES (5, '9999-12-31', '2050-01-01', '25:00:00')" ''
row 'SELECT * FROM term WHERE id = 4' '4 1970-01-01 1970-01-01 00:00:00 00:00:00'
row 'SELECT * FROM term WHERE id = 5' '5 9999-12-31 2050-01-01 00:00:00 25:00:00'
if [ $stated = yes ]; then echo "as stated: far dates are 1970"; exit; fi
tail -n 3 mariadb.log >&2
fail "not as stated"

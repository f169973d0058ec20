#!/bin/bash
# Finding: mydumper 0.10.1 dumps MariaDB's UUID, INET6 and INET4 columns as text and myloader sends it as bytes (SET NAMES binary), so after a restore with exit status 0 each value is NULL, or 00000000-0000-0000-0000-000000000000, :: and 0.0.0.0 where the column is NOT NULL; mariadb-dump of the same tables restores them.
#
# One would guess: what a server prints as '2001:db8::1' it reads back, as it does with dates, numbers, JSON and ENUM, all of which
#   come back from the same dump; or the statement is an error and the tool says so. MariaDB takes a binary string as the
#   16 bytes themselves, finds 36 of them, and outside of strict mode (which the dump switches off) warns only.
# What it means: a backup that reports success has lost the addresses and the keys. The dump still has them, in plain sight, so
#   whoever looks into the files finds nothing wrong, and the numbers of rows agree. A table whose primary key is a UUID has one row
#   after the restore; from the second row on it fails, and that is the only sign. Load the files with mariadb
#   --default-character-set=utf8mb4 after the SET NAMES line was taken out, and restore once for a test. (UUID is reported:
#   mydumper/mydumper#2056, #2291.)
# Seen with: mydumper 0.10.1-1+deb12u2, mariadb-server-core 10.11.19, libmariadb3; dumped, restored into a second database and
#   compared with mariadb-dump. Needs: Debian 12, /usr/sbin/mariadbd 10.11 with mariadb-install-db, mariadb, mariadb-dump, apt-get.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its mydumper"
for tool in mariadb mariadb-dump mariadb-install-db apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q mydumper=0.10.1-1+deb12u2 libmariadb3 >apt.log 2>&1 ||
	fail "apt-get download failed (mydumper 0.10.1-1+deb12u2 is needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
user=()
[ "$(id -u)" != 0 ] || user=(--user=root)
mariadb-install-db --no-defaults --datadir="$dir/data" "${user[@]}" --auth-root-authentication-method=normal --skip-test-db >install.log 2>&1 ||
	fail "mariadb-install-db failed: $(tail -n 3 install.log)"
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --skip-networking --socket="$dir/sock" --pid-file="$dir/pid" \
	--innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
server=$!
for ((i = 0; i < 300; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
run() { timeout 60 mariadb --no-defaults -u root -S "$dir/sock" -N "$@"; }
run <<'END' || fail "no tables"
CREATE DATABASE here; CREATE DATABASE there; CREATE DATABASE beside;
USE here;
CREATE TABLE nullable (id INT, u UUID, six INET6, four INET4, j JSON, t DATETIME(6));
INSERT INTO nullable VALUES (1, '123e4567-e89b-12d3-a456-426614174000', '2001:db8::1', '192.0.2.1', '{"a": 1}', '2020-05-06 01:02:03.000004');
CREATE TABLE needed (id INT, u UUID NOT NULL, six INET6 NOT NULL, four INET4 NOT NULL);
INSERT INTO needed SELECT id, u, six, four FROM nullable;
END
tool() { LD_LIBRARY_PATH=$(echo "$dir"/files/usr/lib/*-linux-gnu*) timeout 100 "$dir/files/usr/bin/$1" -u root -S "$dir/sock" -t 1 "${@:2}"; }
tool mydumper -B here -o dump || fail "mydumper failed"
tool myloader -s here -B there -d dump || fail "myloader failed"
echo "both ended with 0; in the dump: $(grep -h '2001:db8' dump/*.sql | tr '\n' ' ')"
mariadb-dump --no-defaults -u root -S "$dir/sock" here >here.sql && run beside <here.sql
stated=yes
row() {
	local database=$1 table=$2 wanted=$3 seen
	seen=$(run "$database" -e "SELECT * FROM $table" | tr '\t' ' ')
	printf '%-8s%-10s%s\n' "$database" "$table" "$seen"
	[ "$seen" = "$wanted" ] || stated=no
}
values='123e4567-e89b-12d3-a456-426614174000 2001:db8::1 192.0.2.1'
others='{"a": 1} 2020-05-06 01:02:03.000004'
for database in here beside; do
	row $database nullable "1 $values $others"
	row $database needed "1 $values"
done
row there nullable "1 NULL NULL NULL $others"
row there needed '1 00000000-0000-0000-0000-000000000000 :: 0.0.0.0'
run here -e "INSERT INTO needed VALUES (2, '123e4567-e89b-12d3-a456-426614174001', '::1', '192.0.2.2'); ALTER TABLE needed ADD PRIMARY KEY (u)"
rm -rf dump
tool mydumper -B here -o dump || fail "mydumper failed"
tool myloader -o -s here -B there -d dump >load.log 2>&1
echo "a UUID as the primary key, two rows: exit status $?, rows after the restore: $(run there -e 'SELECT count(*) FROM needed')"
grep -q 'Error restoring there.needed' load.log || stated=no
if [ $stated = yes ]; then echo "as stated: UUID and addresses are lost"; exit; fi
tail -n 3 mariadb.log load.log >&2
fail "not as stated"

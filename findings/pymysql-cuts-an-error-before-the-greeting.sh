#!/bin/bash
# Finding: PyMySQL 1.0.2 (Debian 12's python3-pymysql) reports MariaDB's "Too many connections" as (1040, 'ny connections'): it cuts six bytes off every error that comes in place of the greeting.
#
# One would guess: a text that a server sends in clear is shown as it is. Errors in place of the greeting have no
#   SQLSTATE ("#08004", six bytes), as no protocol has been agreed on yet; PyMySQL takes it for granted and drops its place.
# What it means: alarms and retries that look for "Too many connections", "is blocked because of many connection errors"
#   or "is not allowed to connect to this MariaDB server" in the text never match (the first two words are gone; a host's
#   name loses its head); the number is right, so compare that. A proxy that wants its own refusal to be read in full
#   by everyone cannot start the text with anything important.
# Seen with: python3-pymysql 1.0.2-2+deb12u1, mariadb-server-core 10.11.19 with max_connections=10 (and one for SUPER).
#   On the wire: ff 1004 "Too many connections"; shown: "ny connections". Needs: Debian 12, /usr/sbin/mariadbd 10.11,
#   /usr/bin/python3, apt-get.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in /usr/bin/python3 apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 apt-get download -q python3-pymysql=1.0.2-2+deb12u1 >apt.log 2>&1 ||
	fail "apt-get download failed (python3-pymysql 1.0.2-2+deb12u1 is needed): $(tail -n 3 apt.log)"
dpkg -x python3-pymysql_*.deb root || exit 1
mkdir data
user=()
[ "$(id -u)" != 0 ] || user=(--user=root)
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --skip-grant-tables --skip-networking --socket="$dir/sock" \
	--pid-file="$dir/pid" --max-connections=10 --innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
server=$!
for ((i = 0; i < 150; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
cat >see.py <<'END'
import socket, sys
sys.path.insert(0, 'root/usr/lib/python3/dist-packages')
import pymysql

held, seen = [], None
for _ in range(15):
    try:
        held.append(pymysql.connect(unix_socket='sock', user='root'))
    except pymysql.err.OperationalError as error:
        seen = error.args
        break
with socket.socket(socket.AF_UNIX) as raw:
    raw.settimeout(5)
    raw.connect('sock')
    wire = raw.recv(1000)
print('PyMySQL', pymysql.__version__, 'with', len(held), 'connections open')
print('on the wire:', wire[4:])
print('shown:      ', seen)
stated = wire[4:] == b'\xff\x10\x04Too many connections' and seen == (1040, 'ny connections')
print('as stated: six bytes are cut off' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
timeout 30 /usr/bin/python3 see.py

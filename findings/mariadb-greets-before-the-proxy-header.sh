#!/bin/bash
# Finding: MariaDB 10.11 with proxy-protocol-networks greets before it has seen a PROXY header, and takes the header as late as after that greeting, or never.
#
# One would guess: the header comes first, before any byte of the protocol, and a listener that expects it says nothing
#   until it has it; the specification has the receiver wait for it, and HAProxy, nginx and others do (accept-proxy, proxy_protocol).
# What it means: the greeting, its thread id and its scramble are made out for the proxy's address, and the change of
#   address comes later. A test "does this port expect a PROXY header?" by waiting for silence gives the wrong answer, as
#   does "it works without, so the option is off": the networks listed are served with and without a header, so a proxy
#   whose option to send it was forgotten shows up only as wrong addresses in user@host and in the logs. On the
#   other hand a relay may read the greeting first and send the header together with the login.
#   A host that is refused after the header gets its error 1130 as packet 1, right behind the greeting and before its login
#   was read; clients that have sent theirs wait for packet 2 (PyMySQL: "Packet sequence number wrong").
# Seen with: mariadb-server-core 10.11.19. Greeting of 104 bytes at once with nothing sent. Header first: USER() is
#   who@192.0.2.5; header 0.5 s after the greeting: the same; no header: who@127.0.0.1. Needs: Debian 12,
#   /usr/sbin/mariadbd 10.11 with mariadb-install-db, /usr/bin/python3, apt-get.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in /usr/bin/python3 mariadb-install-db apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 apt-get download -q python3-pymysql=1.0.2-2+deb12u1 >apt.log 2>&1 ||
	fail "apt-get download failed (python3-pymysql 1.0.2-2+deb12u1 is needed): $(tail -n 3 apt.log)"
dpkg -x python3-pymysql_*.deb files || exit 1
user=()
[ "$(id -u)" != 0 ] || user=(--user=root)
mariadb-install-db --no-defaults --datadir="$dir/data" "${user[@]}" --auth-root-authentication-method=normal --skip-test-db >install.log 2>&1 ||
	fail "mariadb-install-db failed: $(tail -n 3 install.log)"
printf "%s\n" "CREATE USER who@'192.0.2.5';" "CREATE USER who@'127.0.0.1';" >init.sql
chmod a+rx "$dir"; chmod a+r init.sql
port=$(/usr/bin/python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$dir/sock" \
	--pid-file="$dir/pid" --proxy-protocol-networks=127.0.0.1 --skip-name-resolve --init-file="$dir/init.sql" \
	--innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
server=$!
for ((i = 0; i < 150; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
cat >see.py <<'END'
import socket, sys, time
sys.path.insert(0, 'files/usr/lib/python3/dist-packages')
import pymysql

port = int(sys.argv[1])
header = b'PROXY TCP4 192.0.2.5 127.0.0.1 4711 3306\r\n'

def ask(first, later):
    raw = socket.create_connection(('127.0.0.1', port), timeout=10)
    raw.sendall(first)
    greeting = raw.recv(9999, socket.MSG_PEEK)
    time.sleep(0.5)
    raw.sendall(later)
    connection = pymysql.connect(user='who', host='127.0.0.1', port=port, defer_connect=True)
    connection.connect(raw)
    with connection.cursor() as cursor:
        cursor.execute('SELECT USER()')
        user, = cursor.fetchone()
    connection.close()
    return len(greeting), greeting[4] == 10, user

def refused():
    """What follows the greeting, nothing sent but a header with an unknown host: the packet's number, the error's, its text."""
    with socket.create_connection(('127.0.0.1', port), timeout=10) as raw:
        raw.sendall(header.replace(b'192.0.2.5', b'192.0.2.6'))
        came = b''
        while data := raw.recv(9999):
            came += data
        answer = came[4 + int.from_bytes(came[:3], 'little'):]
        return answer[3], int.from_bytes(answer[5:7], 'little'), answer[7:].decode(errors='replace')

no = refused()
print('header with an unknown host, no login sent: packet', no[0], 'error', no[1], no[2])
seen = [ask(*parts) for parts in ((header, b''), (b'', header), (b'', b''))]
for name, row in zip(('header first', 'header after the greeting', 'no header'), seen):
    print(f'{name:28}greeting of {row[0]} bytes came, then USER() is {row[2]}')
stated = no[:2] == (1, 1130) and all(row[1] for row in seen) and [row[2] for row in seen] == ['who@192.0.2.5', 'who@192.0.2.5', 'who@127.0.0.1']
print('as stated: the greeting waits for no header' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
timeout 60 /usr/bin/python3 see.py "$port"

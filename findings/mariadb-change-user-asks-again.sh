#!/bin/bash
# Finding: MariaDB 10.11 never looks at the password proof inside COM_CHANGE_USER: it asks for it once more, with the nonce of its greeting, however often the user changes.
#
# One would guess: the packet carries the plugin's name and a proof, so a right proof of the right plugin is accepted at
#   once, as that of a login is, and the server asks again only when the plugin is another one. And one would guess that
#   a server that does ask again asks with a fresh nonce.
# What it means: each change of the user costs a round trip more than a login on the same connection. Whether the proof
#   in the packet is right, wrong or empty makes no difference. As question and nonce are known beforehand, a pool or a
#   proxy can send the answer behind the packet without waiting, which gives the round trip back. And whoever
#   deduplicates nonces sees the same one for every user of a connection.
# Seen with: mariadb-server-core 10.11.19, accounts with mysql_native_password. Right proof, wrong proof and no proof in
#   the packet: each time an authentication switch to mysql_native_password with the greeting's 20 bytes; a right
#   answer to it, sent with the packet in one write, is OK. Needs: Debian 12, /usr/sbin/mariadbd 10.11 with
#   mariadb-install-db, /usr/bin/python3.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in /usr/bin/python3 mariadb-install-db; do command -v $tool >/dev/null || fail "needs $tool"; done
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
user=()
[ "$(id -u)" != 0 ] || user=(--user=root)
mariadb-install-db --no-defaults --datadir="$dir/data" "${user[@]}" --auth-root-authentication-method=normal --skip-test-db >install.log 2>&1 ||
	fail "mariadb-install-db failed: $(tail -n 3 install.log)"
printf "CREATE USER %s@'127.0.0.1' IDENTIFIED BY 'word-of-%s';\n" one one two two >init.sql
chmod a+rx "$dir"; chmod a+r init.sql
port=$(/usr/bin/python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --bind-address=127.0.0.1 --port="$port" --socket="$dir/sock" \
	--pid-file="$dir/pid" --skip-name-resolve --init-file="$dir/init.sql" --innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
server=$!
for ((i = 0; i < 150; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
cat >see.py <<'END'
import hashlib, socket, struct, sys

PLUGIN = b'mysql_native_password'
FLAGS = 0x0008a200  # protocol 4.1, transactions, secure connection, plugins

def packet(number, payload):
    return struct.pack('<I', len(payload) | number << 24) + payload

def proof(user, nonce):
    once = hashlib.sha1(b'word-of-' + user).digest()
    mask = hashlib.sha1(nonce + hashlib.sha1(once).digest()).digest()
    return bytes(a ^ b for a, b in zip(once, mask))

def read(file):
    head = file.read(4)
    return file.read(int.from_bytes(head[:3], 'little'))

s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=10)
file = s.makefile('rb')
greeting = read(file)
at = greeting.index(b'\0', 1) + 5
nonce = greeting[at:at + 8] + greeting[at + 27:at + 39]
s.sendall(packet(1, struct.pack('<IIB23x', FLAGS, 1 << 24, 45) + b'one\0\x14' + proof(b'one', nonce) + PLUGIN + b'\0'))
logged_in = read(file)[:1] == b'\0'
print('login:', 'OK' if logged_in else 'refused')
rows = []
for user, what, sent in ((b'two', 'the right proof', proof(b'two', nonce)), (b'one', 'a wrong proof', bytes(20)),
                         (b'two', 'no proof', b'')):
    change = b'\x11' + user + b'\0' + bytes([len(sent)]) + sent + b'\0' + struct.pack('<H', 45) + PLUGIN + b'\0'
    s.sendall(packet(0, change) + packet(2, proof(user, nonce)))
    first, second = read(file), read(file)
    asked = first == b'\xfe' + PLUGIN + b'\0' + nonce + b'\0'
    rows.append(asked and second[:1] == b'\0')
    print(f'change with {what:16} asked again with the nonce of the greeting: {asked}, then', 'OK' if second[:1] == b'\0' else 'error')
stated = logged_in and all(rows)
print('as stated: what the packet proves is not looked at' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
timeout 60 /usr/bin/python3 see.py "$port"

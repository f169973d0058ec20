#!/bin/bash
# Finding: npm mysql2 3.24.6 and mariadb 3.5.4 give another date for one and the same row by query() and by execute(): '2020-05-00 01:00:00' is an Invalid Date by the one and 30 April 2020 by the other, mysql2's '0000-00-00' 30 November 1899 or an Invalid Date.
#
# One would guess: the text and the binary form of a result hold the same values and a driver makes the same objects of
#   them; what is no date (MariaDB's default sql_mode stores days and months of zero, for "some day in May") comes as
#   null, a string or an Invalid Date, never as a real day of the month before.
# What it means: a move from query() to execute() (prepared statements, often done for safety) changes data in silence; rows
#   that are read and written back turn "May 2020" into 30 April. A DATE is shifted by both calls of both drivers, only
#   DATETIME differs. Use dateStrings: true. npm mysql 2.18.1 (old, text only) hands such values over as strings.
# Seen with: node 20.20.2, mariadb-server-core 10.11.19, TZ=UTC. Rows as printed below; columns DATE and DATETIME.
#   Needs: node 20 or later, npm, /usr/sbin/mariadbd 10.11 (Debian 12).
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in node npm; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 20')" = true ] || fail "needs node 20 or later"
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent mysql2@3.24.6 mariadb@3.5.4 mysql@2.18.1 >npm.log 2>&1 ||
	fail "npm install failed: $(tail -n 3 npm.log)"
mkdir data
user=()
[ "$(id -u)" != 0 ] || user=(--user=root)
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --skip-grant-tables --skip-networking --socket="$dir/sock" \
	--pid-file="$dir/pid" --innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
server=$!
for ((i = 0; i < 150; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
cat >see.mjs <<'END'
import mysql2 from 'mysql2/promise'
import mariadb from 'mariadb'
import mysql from 'mysql'
const options = { socketPath: 'sock', user: 'root' }
const two = await mysql2.createConnection(options)
const maria = await mariadb.createConnection(options)
const old = mysql.createConnection(options)
await two.query('CREATE DATABASE d')
await two.query('CREATE TABLE d.t (d DATE, t DATETIME)')
await two.query("INSERT INTO d.t VALUES ('0000-00-00', '0000-00-00'), ('2020-05-00', '2020-05-00 01:00:00')")
const text = 'SELECT d, t FROM d.t ORDER BY d'
const show = value => !(value instanceof Date) ? String(value) : isNaN(value) ? 'Invalid Date' : value.toISOString().slice(0, 10)
const rows = list => list.map(row => [row.d, row.t].map(show).join(', ')).join(' | ')
const seen = {
	'mysql2 query': rows((await two.query(text))[0]),
	'mysql2 execute': rows((await two.execute(text))[0]),
	'mariadb query': rows(await maria.query(text)),
	'mariadb execute': rows(await maria.execute(text)),
	'mysql query': rows(await new Promise((done, failed) => old.query(text, (error, list) => error ? failed(error) : done(list))))
}
const wanted = {
	'mysql2 query': '1899-11-30, Invalid Date | 2020-04-30, Invalid Date',
	'mysql2 execute': 'Invalid Date, Invalid Date | 2020-04-30, 2020-04-30',
	'mariadb query': 'null, null | 2020-04-30, Invalid Date',
	'mariadb execute': 'null, null | 2020-04-30, 2020-04-30',
	'mysql query': '0000-00-00, 0000-00-00 00:00:00 | 2020-05-00, 2020-05-00 01:00:00'
}
for (const name in seen) console.log(name.padEnd(17), seen[name])
const stated = Object.keys(wanted).every(name => seen[name] == wanted[name])
console.log(stated ? 'as stated: the two calls of a driver disagree on a row' : 'not as stated')
process.exit(stated ? 0 : 1)
END
TZ=UTC timeout 30 node see.mjs

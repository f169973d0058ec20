#!/bin/bash
# Finding: npm zongji 0.5.1, @vlasky/zongji 0.9.0 and @powersync/mysql-zongji 0.6.2 read a negative TIME without seconds from the binlog as one that no clock shows: '-01:00:00' is '-00:63:64', '-00:30:00' is '-00:29:64'; every other TIME is right, so is '-01:00:01'.
#
# One would guess: a value that is right for -05:04:03, with each number of decimals and below zero, is right for all. TIME has been
#   stored as a complement in one number since MySQL 5.6: who negates the hours, minutes and seconds one by one forgets the
#   carry when the seconds are 0, and that is what negative times are in practice.
# What it means: offsets of time zones, differences to a timetable, flexitime balances and lead times are whole hours or quarters, so
#   a copy made from the binlog (a search index, a cache, an event bus, change data capture) has '-00:63:64' where the table has
#   -1 hour. MariaDB refuses it as a TIME (in strict mode; else it stores 0), a parser that adds 63 minutes and 64
#   seconds gets 64:04; JavaScript's Date makes nothing of it. A test with a random negative time passes in 59 of 60
#   cases. Store minutes as an INT, or put it right by hand: where the seconds are 64 set them to 0 and add a minute, where
#   the minutes are 64 then set them to 0 and add an hour.
# Seen with: node 20.20.2, mariadb-server-core 10.11.19 with binlog_format=ROW, the same rows by SELECT with npm mysql 2.18.1; TIME
#   and TIME(3) alike, '-100:00:00' is '-99:63:64'. Needs: Debian 12, node 18 or later, npm, /usr/sbin/mariadbd 10.11 with
#   mariadb-install-db.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in node npm mariadb-install-db; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ] || fail "needs node 18 or later"
case $(/usr/sbin/mariadbd --version 2>/dev/null) in *10.11.*) ;; *) fail "needs /usr/sbin/mariadbd 10.11 (mariadb-server-core of Debian 12)" ;; esac
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent zongji@0.5.1 @vlasky/zongji@0.9.0 \
	@powersync/mysql-zongji@0.6.2 mysql@2.18.1 >npm.log 2>&1 || fail "npm install failed: $(tail -n 3 npm.log)"
user=()
[ "$(id -u)" != 0 ] || user=(--user=root)
mariadb-install-db --no-defaults --datadir="$dir/data" "${user[@]}" --auth-root-authentication-method=normal --skip-test-db >install.log 2>&1 ||
	fail "mariadb-install-db failed: $(tail -n 3 install.log)"
/usr/sbin/mariadbd --no-defaults --datadir="$dir/data" "${user[@]}" --skip-networking --socket="$dir/sock" --pid-file="$dir/pid" \
	--log-bin=binlog --binlog-format=ROW --server-id=1 --innodb-buffer-pool-size=8M >mariadb.log 2>&1 &
server=$!
for ((i = 0; i < 300; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "mariadbd did not start: $(tail -n 3 mariadb.log)"
cat >see.cjs <<'END'
const mysql = require('mysql')
const options = { socketPath: 'sock', user: 'root' }
const connection = mysql.createConnection({ ...options, multipleStatements: true })
const query = text => new Promise((done, failed) => connection.query(text, (error, rows) => error ? failed(error) : done(rows)))
const times = ['-05:04:03', '-01:00:01', '05:00:00', '-00:00:01', '-01:00:00', '-00:30:00', '-100:00:00', '-10:15:00']
const wrong = { '-01:00:00': '-00:63:64', '-00:30:00': '-00:29:64', '-100:00:00': '-99:63:64', '-10:15:00': '-10:14:64' }
const read = name => new Promise((done, failed) => {
	const loaded = require(name), ZongJi = loaded.default ?? loaded
	const listener = new ZongJi(options), rows = []
	listener.on('error', failed)
	listener.on('binlog', event => {
		rows.push(...event.rows ?? [])
		if (rows.length < times.length) return
		listener.stop()
		done(rows)
	})
	listener.on('ready', () => query('DELETE FROM log.seen').then(() => query(
		times.map((time, i) => `INSERT INTO log.seen VALUES (${i}, '${time}', '${time}')`).join(';'))).catch(failed))
	listener.start({ startAtEnd: true, includeEvents: ['tablemap', 'writerows'], includeSchema: { log: true } })
})
const main = async () => {
	await query('CREATE DATABASE log; CREATE TABLE log.seen (id INT PRIMARY KEY, t TIME, t3 TIME(3))')
	const names = ['zongji', '@vlasky/zongji', '@powersync/mysql-zongji'], seen = []
	for (const name of names) seen.push(await read(name))
	const stored = await query('SELECT * FROM log.seen ORDER BY id')
	let stated = true
	times.forEach((time, i) => {
		console.log(`stored ${stored[i].t.padEnd(11)}${stored[i].t3.padEnd(15)}` +
			seen.map((rows, n) => `${names[n]} ${rows[i].t} ${rows[i].t3}`).join(', '))
		stated &&= stored[i].t == time && seen.every(rows => rows[i].t == (wrong[time] ?? time) && rows[i].t3 == rows[i].t + '.000')
	})
	console.log(stated ? 'as stated: whole minutes below zero are wrong' : 'not as stated')
	process.exit(stated ? 0 : 1)
}
main().catch(error => { console.error(error); process.exit(1) })
END
timeout 100 node see.cjs
result=$?
[ $result = 0 ] || tail -n 3 mariadb.log >&2
exit $result

#!/bin/bash
# Finding: npm ts-postgres 2.0.4 reads an empty string as null, and so it does each value of a type that it does not decode (numeric with avg() and sum() of bigint, time, interval, inet, bit); a date that is passed as text it writes as NULL, the text 'false' as true.
#
# One would guess: a driver that leaves a type out throws an error, as ts-postgres itself does for a *parameter* of type
#   numeric, or hands the bytes over; '' and NULL are two values in PostgreSQL; and what PostgreSQL takes as text for a date
#   or a boolean, a driver either passes on or refuses.
# What it means: NOT NULL columns come back with nulls; a row that is read and written back loses its empty strings. A
#   price or an average is null in each row, without an error, and code with ?? 0 makes a sum of that. A form's 'false' switches
#   things on. Read texts with to_json(column), cast numeric and the like to text or float8, pass Date and boolean
#   objects.
# Seen with: node 20.20.2, postgresql-15 15.20-0+deb12u1, the same calls by npm pg 8.23.1 beside it. ts-postgres: null for '',
#   12.50, avg, sum, time, interval, inet, bit and '2020-02-29' as a parameter; 'false' is true; pg gives the values. length($1)
#   of '' is 0 by both: it is the reading. Needs: Debian 12 (amd64 or arm64), node 18 or later, npm, apt-get; setpriv if
#   it is run as root, as PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its PostgreSQL 15"
for tool in node npm apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ] || fail "needs node 18 or later"
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill -INT $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent ts-postgres@2.0.4 pg@8.23.1 >npm.log 2>&1 ||
	fail "npm install failed: $(tail -n 3 npm.log)"
timeout 120 apt-get download -q postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 >apt.log 2>&1 ||
	fail "apt-get download failed (postgresql-15 15.20-0+deb12u1 is needed): $(tail -n 3 apt.log)"
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
"${as[@]}" "$bin/postgres" -D "$dir/server/data" -k "$dir/server" -c listen_addresses= -c fsync=off >../server.log 2>&1 &
server=$!
cd ..
for ((i = 0; i < 150; i++)); do grep -qs 'ready to accept connections' server.log && break; sleep 0.2; done
cat >see.mjs <<'END'
import { connect } from 'ts-postgres'
import pg from 'pg'
const options = { host: process.cwd() + '/server', user: 'tester', database: 'postgres' }
const one = await connect({ ...options, ssl: 'disable' })
const other = new pg.Client(options)
await other.connect()
const show = value => JSON.stringify(value)
let stated = true
const row = async (text, parameters, wrong, right) => {
	const seen = (await one.query(text, parameters)).rows[0][0]
	const wanted = (await other.query({ text, values: parameters, rowMode: 'array' })).rows[0][0]
	console.log(text.padEnd(52), show(parameters).padEnd(16), 'ts-postgres', show(seen).padEnd(6), 'pg', show(wanted))
	stated &&= show(seen) == show(wrong) && show(wanted) == show(right)
}
await row("SELECT ''::text", [], null, '')
await row("SELECT ''::varchar", [], null, '')
await row("SELECT to_json(''::text)", [], '', '')
await row('SELECT 12.50', [], null, '12.50')
await row('SELECT avg(i) FROM generate_series(1, 4) i', [], null, '2.5000000000000000')
await row('SELECT sum(i::bigint) FROM generate_series(1, 4) i', [], null, '10')
await row("SELECT time '12:30'", [], null, '12:30:00')
await row("SELECT interval '1 day'", [], null, { days: 1 })
await row("SELECT inet '192.0.2.1'", [], null, '192.0.2.1')
await row("SELECT B'101'", [], null, '101')
await row('SELECT length($1::text)', [''], 0, 0)
await row('SELECT $1::date::text', ['2020-02-29'], null, '2020-02-29')
await row('SELECT $1::boolean', ['false'], true, false)
const refused = await one.query('SELECT $1::numeric', [1.5]).then(() => 'taken', error => error.message)
console.log('a numeric parameter:', refused)
stated &&= refused == 'Unsupported data type: 1700'
console.log(stated ? 'as stated: what is empty or of another type is null' : 'not as stated')
process.exit(stated ? 0 : 1)
END
timeout 30 node see.mjs
result=$?
[ $result = 0 ] || tail -n 3 server.log >&2
exit $result

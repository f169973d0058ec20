#!/bin/bash
# Finding: npm postgrejs 2.23.1 gives an array parameter the type of its first element, not the column's: ['M', 'L', 'XL', 'XXL'] is stored in a text[] as {M,L,X,X}, [10, 10.99] in a numeric[] as {10,10}, and with index 0 as the first; the numerics NaN and Infinity it reads as 0.
#
# One would guess: the server knows the type of $1 and tells it to the driver, or the driver takes the type that fits
#   all elements; and where a value does not fit it is an error, never a shorter text. JavaScript has one type of number,
#   so 10 is no more an integer than 10.99 is.
# What it means: data is lost on its way in, without an error, and only for some orders of the same elements: a one-letter text
#   first (type "char", one byte) or a whole number first. WHERE c = ANY($1) misses rows in the same way. As the arrays start at
#   0, SQL's first element, a[1], is the second, and a[1:2] is cut. Wrap each array in new BindParam(DataTypeOIDs._text, array),
#   which covers all but the index; in SQL store the slice ($1::text[])[0:], which counts from 1. A Date is sent as a timestamp of the
#   client's zone, so it is off by some hours in a timestamptz unless the session has that zone. An "unknown" measurement
#   (NaN) becomes 0 when it is read.
# Seen with: node 20.20.2, postgresql-15 15.20-0+deb12u1, npm pg 8.23.1 beside it. postgrejs: {M,L,X,X}, {10,10}, {1,2}, one of two
#   rows for ANY, and 0; 12:00Z from a client in New York is stored as 08:00Z; elements in another order: {XL,M}, {2.5,1}.
#   pg: all of it right. Needs: Debian 12 (amd64 or arm64), node 20 or later, npm, apt-get; setpriv if it is run as root,
#   as PostgreSQL does not run so.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its PostgreSQL 15"
for tool in node npm apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 20')" = true ] || fail "needs node 20 or later"
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill -INT $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent postgrejs@2.23.1 pg@8.23.1 >npm.log 2>&1 ||
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
import { BindParam, Connection, DataTypeOIDs } from 'postgrejs'
import pg from 'pg'
const options = { host: process.cwd() + '/server', user: 'tester', database: 'postgres' }
const one = new Connection(options)
const other = new pg.Client(options)
await one.connect()
await other.connect()
await other.query('CREATE TABLE t (texts text[], numbers numeric[], floats float8[], moment timestamptz)')
for (const client of [one, other]) await client.query("SET timezone = 'UTC'")
let stated = true
const row = async (text, value, wrong, right, type) => {
	const parameters = value ? [value] : []
	const typed = type ? [new BindParam(type, value)] : parameters
	const seen = String((await one.query(text, { params: typed })).rows[0][0])
	const wanted = String((await other.query({ text, values: parameters, rowMode: 'array' })).rows[0][0])
	console.log(text.padEnd(66), JSON.stringify(parameters).padEnd(24), 'postgrejs', seen.padEnd(22), 'pg', wanted)
	stated &&= seen == wrong && wanted == right
}
const insert = (column, value = '$1') => `INSERT INTO t (${column}) VALUES (${value}) RETURNING ${column}::text`
await row(insert('texts'), ['M', 'L', 'XL', 'XXL'], '[0:3]={M,L,X,X}', '{M,L,XL,XXL}')
await row(insert('texts'), ['XL', 'M'], '[0:1]={XL,M}', '{XL,M}')
await row(insert('numbers'), [10, 10.99], '[0:1]={10,10}', '{10,10.99}')
await row(insert('floats'), [1, 2.5], '[0:1]={1,2}', '{1,2.5}')
await row(insert('floats'), [2.5, 1], '[0:1]={2.5,1}', '{2.5,1}')
await row('SELECT ($1::text[])[1]', ['blue', 'green'], 'green', 'blue')
await row("SELECT count(*) FROM (VALUES ('b'), ('blue')) v (c) WHERE c = ANY($1)", ['b', 'blue'], '1', '2')
await row(insert('texts', '($1::text[])[0:]'), ['M', 'XL'], '{M,XL}', '{M,XL}', DataTypeOIDs._text)
await row(insert('moment'), new Date('2020-07-01T12:00:00Z'), '2020-07-01 08:00:00+00', '2020-07-01 12:00:00+00')
await row("SELECT 'NaN'::numeric", null, '0', 'NaN')
await row("SELECT 'Infinity'::numeric", null, '0', 'Infinity')
console.log(stated ? 'as stated: the first element decides' : 'not as stated')
process.exit(stated ? 0 : 1)
END
TZ=America/New_York timeout 30 node see.mjs
result=$?
[ $result = 0 ] || tail -n 3 server.log >&2
exit $result

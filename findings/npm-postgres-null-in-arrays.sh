#!/bin/bash
# Finding: npm postgres 3.4.9 (postgres.js) reads a NULL inside an array as false in a boolean[], NaN in an integer[] and the text "NULL" in a text[], and puts an array whose first index is not 1 into another array; npm pg 8.23.1 reads all of them right.
#
# One would guess: NULL is null wherever it stands, as it is in a column and in json; and postgres.js *writes* null in an
#   array rightly, so a value that was stored by it should come back.
# What it means: "unknown" becomes "no" without a trace (array_agg over an outer join or a nullable flag is enough); a text
#   NULL cannot be told from the word "NULL", and reading an array and writing it back changes the data. [NaN].includes()
#   and JSON (NaN gives null) hide the second form. Use array_remove(..., NULL), coalesce(), or jsonb_agg instead of
#   array_agg. (NaN and "NULL" are reported: porsager/postgres#1049, #1124.)
# Seen with: node 20.20.2, postgresql-15 15.20-0+deb12u1. postgres: [true,false,false], [1,NaN], ["NULL","NULL"], [[1,2]];
#   pg: [true,false,null], [1,null], [null,"NULL"], [1,2]. Needs: Debian 12 (amd64 or arm64), node 18 or later, npm,
#   apt-get; setpriv if it is run as root, as PostgreSQL does not run so.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its PostgreSQL 15"
for tool in node npm apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ] || fail "needs node 18 or later"
dir=$(mktemp -d) || fail "no temporary folder"
server=
trap '[ -z "$server" ] || { kill -INT $server; wait $server; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent postgres@3.4.9 pg@8.23.1 >npm.log 2>&1 ||
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
for ((i = 0; i < 150; i++)); do grep -q 'ready to accept connections' server.log && break; sleep 0.2; done
cat >see.mjs <<'END'
import postgres from 'postgres'
import pg from 'pg'
const options = { host: process.cwd() + '/server', user: 'tester', database: 'postgres' }
const sql = postgres({ ...options, path: options.host + '/.s.PGSQL.5432', max: 1 })
const client = new pg.Client(options)
await client.connect()
const show = value => Array.isArray(value) ? `[${value.map(show)}]` : Number.isNaN(value) ? 'NaN' : JSON.stringify(value)
let stated = true
for (const [expression, wrong, right] of [
	['ARRAY[true, false, NULL]', '[true,false,false]', '[true,false,null]'],
	['ARRAY[1, NULL]', '[1,NaN]', '[1,null]'],
	["ARRAY[NULL, 'NULL']", '["NULL","NULL"]', '[null,"NULL"]'],
	["'[0:1]={1,2}'::integer[]", '[[1,2]]', '[1,2]'],
	['NULL::boolean', 'null', 'null']
]) {
	const text = `SELECT ${expression} AS value`
	const one = show((await sql.unsafe(text))[0].value)
	const other = show((await client.query(text)).rows[0].value)
	console.log(expression.padEnd(28), 'postgres', one.padEnd(22), 'pg', other)
	stated &&= one == wrong && other == right
}
const [{ back }] = await sql`SELECT ${sql.array([true, null], 1000)}::boolean[]::text AS back`
console.log('written by postgres:', back)
stated &&= back == '{t,NULL}'
console.log(stated ? 'as stated: NULL in an array is not null' : 'not as stated')
process.exit(stated ? 0 : 1)
END
timeout 30 node see.mjs
result=$?
[ $result = 0 ] || tail -n 3 server.log >&2
exit $result

#!/bin/bash
# Finding: npm pgsql-deparser 18.3.8 writes (NOT closed) IS TRUE as NOT (closed) IS TRUE, which holds for NULL, too, FETCH FIRST 1 ROW WITH TIES as LIMIT 1 and GROUP BY DISTINCT as GROUP BY: the statement that comes out runs and returns other rows.
#
# One would guess: a tree from PostgreSQL's own parser (pgsql-parser is that, compiled) has all that was in the statement, and a
#   deparser either writes it back or throws an error on what it does not know; the parentheses are round the column, so
#   someone thought of them.
# What it means: tools that read SQL, change a name or a schema and write it again (migrations, row level security, pooled
#   multi-tenancy) turn a policy or a view into another one: rows where the column is NULL become visible or are deleted,
#   joint winners are dropped, sums count twice. The 96 of 99 statements that were tried with it came back equal, so a spot
#   check passes. Run both statements, or parse what came out and compare the trees. (Lost parentheses were reported for OR
#   and mended: constructive-io/pgsql-parser#20, #62.)
# Seen with: node 20.20.2, pgsql-parser 18.2.8 with pgsql-deparser 18.3.8, postgresql-15 15.20-0+deb12u1, npm pg 8.23.1; each
#   statement is run before and after. Needs: Debian 12 (amd64 or arm64), node 18 or later, npm, apt-get; setpriv if it is run
#   as root, as PostgreSQL does not run so.
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
timeout 500 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent \
	pgsql-parser@18.2.8 pgsql-deparser@18.3.8 pg@8.23.1 >npm.log 2>&1 || fail "npm install failed: $(tail -n 3 npm.log)"
timeout 500 apt-get -o Acquire::Retries=3 download -q postgresql-15=15.20-0+deb12u1 postgresql-client-15=15.20-0+deb12u1 libpq5 >apt.log 2>&1 ||
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
for ((i = 0; i < 900; i++)); do grep -qs 'ready to accept connections' server.log && break; sleep 0.2; done
cat >see.cjs <<'END'
const { parse } = require('pgsql-parser')
const { deparse } = require('pgsql-deparser')
const { Client } = require('pg')
const main = async () => {
	const client = new Client({ host: process.cwd() + '/server', user: 'tester', database: 'postgres' })
	await client.connect()
	await client.query('CREATE TABLE orders (id int, closed boolean, points int)')
	await client.query('INSERT INTO orders VALUES (1, false, 9), (2, true, 9), (3, NULL, 4)')
	const run = text => client.query({ text, rowMode: 'array' }).then(result => result.rows.flat().join(' '), error => error.message)
	let stated = true
	for (const [text, before, after] of [
		['SELECT id FROM orders WHERE (NOT closed) IS TRUE ORDER BY id', '1', '1 3'],
		['SELECT id FROM orders WHERE (NOT closed) IS NULL', '3', '1 2'],
		['SELECT id FROM orders WHERE closed IS NOT TRUE ORDER BY id', '1 3', '1 3'],
		['SELECT points FROM orders ORDER BY points DESC FETCH FIRST 1 ROW WITH TIES', '9 9', '9'],
		['SELECT count(*) FROM (SELECT points FROM orders GROUP BY DISTINCT ROLLUP (points), ROLLUP (points)) AS g', '3', '7']
	]) {
		const written = (await deparse(await parse(text))).replace(/\s+/g, ' ')
		const seen = [await run(text), await run(written)]
		console.log(`${text}\n\t${seen[0]}\n${written}\n\t${seen[1]}`)
		stated &&= seen[0] == before && seen[1] == after
	}
	console.log(stated ? 'as stated: what is written back returns other rows' : 'not as stated')
	process.exit(stated ? 0 : 1)
}
main()
END
timeout 200 node see.cjs
result=$?
[ $result = 0 ] || tail -n 3 server.log >&2
exit $result

#!/bin/bash
# Finding: npm pg-minify 1.8.0 with compress takes the space out of 5 - -3, so it becomes 5--3, and all that follows on what is now one line is a comment: WHERE stock > 5 - -3 AND shop = 2 loses its second half without an error; two string parts on two lines come out with a quote between them ('over' and 'load' as "over'load").
#
# One would guess: a minifier that knows of comments (it takes them out, nested ones too) does not make new ones, and a space is
#   taken only between characters that stay apart without it; or what comes out is at least no longer SQL, so that the server
#   says so.
# What it means: a condition, an ORDER BY or a LIMIT is gone in production alone, where files are compressed (pg-promise's
#   QueryFile has the option, too); a DELETE takes more rows than it did in the test. "- -" comes from a coefficient or offset
#   that was put in by hand, a generator that prints negative numbers, or x - (-y) written without parentheses. PostgreSQL
#   joins strings on two lines ('over' and 'load' are 'overload'); without compress they are left on one line, a syntax error.
#   Keep the parentheses, 5 - (-3), and leave compress out. (Dollar quotes are not supported, says the manual; the minus it
#   does not mention.)
# Seen with: node 20.20.2, postgresql-15 15.20-0+deb12u1, npm pg 8.23.1: each text run as it is, minified, and compressed.
#   Needs: Debian 12 (amd64 or arm64), node 18 or later, npm, apt-get; setpriv if it is run as root, as PostgreSQL does not
#   run so.
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
timeout 500 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent pg-minify@1.8.0 pg@8.23.1 >npm.log 2>&1 ||
	fail "npm install failed: $(tail -n 3 npm.log)"
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
const minify = require('pg-minify')
const { Client } = require('pg')
const main = async () => {
	const client = new Client({ host: process.cwd() + '/server', user: 'tester', database: 'postgres' })
	await client.connect()
	await client.query('CREATE TABLE goods AS SELECT i AS stock, i % 3 AS shop FROM generate_series(1, 12) AS i')
	const run = text => client.query({ text, rowMode: 'array' }).then(result => result.rows.flat().join(' '), error => error.message)
	let stated = true
	for (const [text, right, minified, compressed] of [
		['SELECT 5 - -3', '8', '8', '5'],
		['SELECT stock FROM goods WHERE stock > 5 - -3 AND shop = 2 ORDER BY stock', '11', '11', '6 7 8 9 10 11 12'],
		['SELECT stock FROM goods\nWHERE stock > 5 - -3\nAND shop = 2\nORDER BY stock', '11', '11', '6 7 8 9 10 11 12'],
		['SELECT stock FROM goods WHERE stock > 5 - (-3) AND shop = 2', '11', '11', '11'],
		["SELECT 'over'\n'load'", 'overload', 'syntax error at or near "\'load\'"', "over'load"]
	]) {
		const small = minify(text), least = minify(text, { compress: true })
		const seen = [await run(text), await run(small), await run(least)]
		console.log(JSON.stringify(text), '\n\tas it is:', seen[0], '\n\tminified:', small, '=>', seen[1], '\n\tcompressed:', least, '=>', seen[2])
		stated &&= seen.join('|') == [right, minified, compressed].join('|')
	}
	console.log(stated ? 'as stated: compress makes a comment of the rest' : 'not as stated')
	process.exit(stated ? 0 : 1)
}
main()
END
timeout 200 node see.cjs
result=$?
[ $result = 0 ] || tail -n 3 server.log >&2
exit $result

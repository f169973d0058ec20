#!/bin/bash
# Finding: npm redis-json 6.0.3 reads an object whose keys are numbers back as an array: {"7":3,"12":0} is an array of 13 elements, {"2025":12,"open":true} one of 2,026 whose "open" is gone in JSON, and of {"7":2,"007":1} one of the two values is left; objects with other keys and real arrays come back as they were.
#
# One would guess: a library for JSON in Redis hashes, whose first line promises types are kept ("What You Store Is What You
#   Get"), notes whether a thing is an array or an object; it does note for each value whether it is a number or a string,
#   and that an array was empty.
# What it means: maps by id, year or article number are usual, and the examples have names as keys, where all is right. A
#   service that passes on what it read sends thousands of nulls, Object.keys() still shows the ids, so that a first look finds
#   nothing, and length or a loop over the array counts places that nobody stored; with a large id JSON.stringify() fails
#   altogether. Redis holds the right fields: only the reading makes arrays. One numeric key is enough, and as JavaScript
#   moves those to the front, the first field decides. Put a letter before such keys ("id7"), or store JSON.stringify() of
#   the object. (What "flat" does on npm is the same: hughsk/flat#103.)
# Seen with: node 20.20.2, npm ioredis 6.0.0, redis-server 5:7.0.15-1~deb12u10; set, get and JSON.stringify, with HGETALL
#   beside it. Needs: Debian 12 (amd64 or arm64), node 20 or later, npm, apt-get.
# Date: 2026-11-30
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its redis-server 7.0"
for tool in node npm apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 20')" = true ] || fail "needs node 20 or later"
dir=$(mktemp -d) || fail "no temporary folder"
redis=
trap '[ -z "$redis" ] || { kill $redis; wait $redis; }; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent redis-json@6.0.3 ioredis@6.0.0 >npm.log 2>&1 ||
	fail "npm install failed: $(tail -n 3 npm.log)"
timeout 500 apt-get -o Acquire::Retries=3 download -q redis-tools=5:7.0.15-1~deb12u10 liblzf1 libjemalloc2 >apt.log 2>&1 ||
	fail "apt-get download failed (redis-tools 5:7.0.15-1~deb12u10 is needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
# The server is redis-check-rdb: Debian's package has one program under three names.
ln -s redis-check-rdb files/usr/bin/redis-server 2>/dev/null
LD_LIBRARY_PATH=$(echo files/usr/lib/*-linux-gnu*) files/usr/bin/redis-server --port 0 --unixsocket "$dir/sock" --save '' --dir "$dir" >redis.log 2>&1 &
redis=$!
for ((i = 0; i < 300; i++)); do [ -S sock ] && break; sleep 0.2; done
[ -S sock ] || fail "redis-server did not start: $(tail -n 3 redis.log)"
cat >see.cjs <<'END'
const Redis = require('ioredis')
const Cache = require('redis-json').default ?? require('redis-json')
const main = async () => {
	const redis = new Redis(process.cwd() + '/sock')
	const cache = new Cache(redis, { prefix: '' })
	const nulls = count => Array(count).fill('null,').join('')
	let stated = true
	for (const [name, value, wanted] of [
		['names', { seven: 3, twelve: 0 }, '{"seven":3,"twelve":0}'],
		['list', [3, 0], '[3,0]'],
		['nested', { stock: ['a', 'b'], none: {} }, '{"stock":["a","b"],"none":{}}'],
		['ids', { 7: 3, 12: 0 }, `[${nulls(7)}3,${nulls(4)}0]`],
		['years', { 2025: 12, open: true }, `[${nulls(2025)}12]`],
		['zeros', { stock: { 7: 2, '007': 1 } }, `{"stock":[${nulls(7)}1]}`],
		['last', { stock: { total: 5, 7: 2 } }, `{"stock":[${nulls(7)}2]}`]
	]) {
		await cache.set(name, value)
		const seen = JSON.stringify(await cache.get(name))
		const shown = seen.replace(/(null,){3,}/g, part => `${part.length / 5} x null, `)
		console.log(name.padEnd(7), JSON.stringify(value).padEnd(34), 'read:', shown.padEnd(38), 'in Redis:', JSON.stringify(await redis.hgetall(name)))
		stated &&= seen == wanted
	}
	console.log(stated ? 'as stated: objects with numbers for keys come back as arrays' : 'not as stated')
	return stated
}
main().then(stated => process.exit(stated ? 0 : 1), error => { console.log(error); process.exit(1) })
END
timeout 100 node --no-deprecation see.cjs

#!/bin/bash
# Finding: npm tedis 0.1.12 hands a value that holds CR LF over as an array of its lines, so GET of "Dear Sir,\r\nyours" is ['Dear Sir,', 'yours']; the length that the server sends with each value is not looked at.
#
# One would guess: bulk strings carry their length so that they may hold any byte, and a client of any age takes that many
#   bytes; the type of the answer to GET is a string or null, which tedis' own declarations in TypeScript say, too.
# What it means: texts with Windows line ends (forms in a browser send them so), mail, HTTP headers, PEM files and CSV come back as another
#   type, from GET and HGET alike, and typed code learns it only when .split or .length gives something else; JSON without
#   such line ends works, which is what tests store. What is stored is right (STRLEN). Written back, an array is joined by
#   commas or refused. Store such values as JSON or base64, or use another client.
# Seen with: node 20.20.2, redis-server 5:7.0.15-1~deb12u10, npm redis 6.3.1 beside it. tedis: an array of 2 for "Dear Sir,\r\nyours",
#   of 3 for one with a line end at its end, a string for LF alone; redis: the string each time. Needs: Debian 12 (amd64 or
#   arm64), node 20 or later, npm, apt-get.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its redis-server 7.0"
for tool in node npm apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 20')" = true ] || fail "needs node 20 or later"
dir=$(mktemp -d) || fail "no temporary folder"
redis=
trap '[ -z "$redis" ] || { kill $redis; wait $redis; }; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent tedis@0.1.12 redis@6.3.1 >npm.log 2>&1 ||
	fail "npm install failed: $(tail -n 3 npm.log)"
timeout 120 apt-get download -q redis-tools=5:7.0.15-1~deb12u10 liblzf1 libjemalloc2 >apt.log 2>&1 ||
	fail "apt-get download failed (redis-tools 5:7.0.15-1~deb12u10 is needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
# The server is redis-check-rdb: Debian's package has one program under three names.
ln -s redis-check-rdb files/usr/bin/redis-server 2>/dev/null
LD_LIBRARY_PATH=$(echo files/usr/lib/*-linux-gnu*) files/usr/bin/redis-server --port 0 --unixsocket "$dir/redis.sock" \
	--save '' --dir "$dir" >redis.log 2>&1 &
redis=$!
cat >see.mjs <<'END'
import { existsSync } from 'node:fs'
import net from 'node:net'
import { createClient } from 'redis'
import tedis from 'tedis'
// tedis knows no unix sockets.
const relay = net.createServer(client => {
	const server = net.connect('redis.sock')
	client.pipe(server).pipe(client)
	for (const side of [client, server]) side.on('error', () => {})
})
await new Promise(done => relay.listen(0, '127.0.0.1', done))
for (let i = 0; i < 100 && !existsSync('redis.sock'); i++) await new Promise(done => setTimeout(done, 100))
const port = relay.address().port
const other = createClient({ socket: { host: '127.0.0.1', port } })
await other.connect()
const one = new tedis.Tedis({ host: '127.0.0.1', port })
const show = value => JSON.stringify(value)
let stated = true
for (const [value, wrong] of [
	['Dear Sir,\r\nyours', ['Dear Sir,', 'yours']],
	['Dear Sir,\r\nyours\r\n', ['Dear Sir,', 'yours', '']],
	['Dear Sir,\nyours', 'Dear Sir,\nyours']
]) {
	await one.set('letter', value)
	await one.hset('letters', 'first', value)
	const seen = show(await one.get('letter')), also = show(await one.hget('letters', 'first'))
	const right = await other.get('letter'), length = await other.strLen('letter')
	console.log('tedis', seen.padEnd(26), 'redis', show(right).padEnd(28), 'STRLEN', length)
	stated &&= seen == show(wrong) && also == seen && right == value && length == value.length
}
console.log(stated ? 'as stated: lines instead of the value' : 'not as stated')
process.exit(stated ? 0 : 1)
END
timeout 30 node see.mjs

#!/bin/bash
# Finding: npm ioredis 6.0.0 executes one INCR twice and answers 2 when the connection is cut between command and reply; npm redis 6.3.1 rejects the same call and the counter is 1.
#
# One would guess: a client cannot know whether a command whose reply was lost was done, so both hand that doubt to the
#   caller, at least for commands that are not idempotent (most database drivers do). ioredis sends everything unanswered
#   again after it has reconnected (autoResendUnfulfilledCommands, true by default), whatever the command does.
# What it means: each failover, restart of a proxy or idle cut can count, push or publish twice without an error
#   (INCR, LPUSH, PUBLISH, scripts); rate limits, stock and session counters drift upwards. Use
#   commands that may be done twice (SET of an absolute value, SADD with an id), or autoResendUnfulfilledCommands: false
#   together with commandTimeout: without the latter 6.0.0 leaves the call pending (ioredis#2193, mended since).
# Seen with: node 20.20.2, redis-server 5:7.0.15-1~deb12u10, a relay that lets the command through and closes instead of
#   the reply, once. ioredis: resolved 2, counter 2; redis: rejected, counter 1; ioredis with the option off
#   and a command timeout: rejected, counter 1. Needs: Debian 12 (amd64 or arm64), node 20 or later, npm, apt-get.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its redis-server 7.0"
for tool in node npm apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 20')" = true ] || fail "needs node 20 or later"
dir=$(mktemp -d) || fail "no temporary folder"
redis=
trap '[ -z "$redis" ] || { kill $redis; wait $redis; }; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent ioredis@6.0.0 redis@6.3.1 >npm.log 2>&1 ||
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
import net from 'node:net'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
let cuts = 0
// Passes everything on, but closes the client's connection instead of the first reply to INCR.
const relay = net.createServer(client => {
	const server = net.connect('redis.sock')
	let asked = false
	client.on('data', data => { asked ||= /incr/i.test(data); server.write(data) })
	server.on('data', data => {
		if (asked && cuts == 0) { cuts = 1; client.destroy(); server.destroy() }
		else client.write(data)
	})
	for (const [one, other] of [[client, server], [server, client]]) {
		one.on('error', () => other.destroy())
		one.on('close', () => other.destroy())
	}
})
await new Promise(done => relay.listen(0, '127.0.0.1', done))
const host = '127.0.0.1', port = relay.address().port
const direct = new Redis({ path: 'redis.sock' })
for (let i = 0; ; i++) try { await direct.ping(); break } catch (error) { if (i > 50) throw error }
const row = async (name, call) => {
	cuts = 0
	const result = await call().then(value => 'resolved ' + value, error => 'rejected')
	const counter = await direct.get(name)
	console.log(name.padEnd(28), result + ', counter', counter)
	return result + ' ' + counter
}
const one = new Redis({ host, port })
const off = new Redis({ host, port, autoResendUnfulfilledCommands: false, commandTimeout: 1000 })
const two = createClient({ socket: { host, port } })
for (const client of [one, off, two]) client.on('error', () => {})
await Promise.all([one.ping(), off.ping(), two.connect()])
const seen = [
	await row('ioredis', () => one.incr('ioredis')),
	await row('ioredis, resending off', () => off.incr('ioredis, resending off')),
	await row('redis', () => two.incr('redis'))
].join('; ')
const stated = seen == 'resolved 2 2; rejected 1; rejected 1'
console.log(stated ? 'as stated: ioredis did one INCR twice' : 'not as stated')
process.exit(stated ? 0 : 1)
END
timeout 30 node see.mjs

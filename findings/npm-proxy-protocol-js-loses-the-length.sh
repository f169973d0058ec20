#!/bin/bash
# Finding: npm proxy-protocol-js 4.0.6 forgets a PROXY v2 header's length: TLVs and the client's first bytes come out as one `data`, and parse() then build() gives a header that no longer counts its TLVs.
#
# One would guess: the length is in the header exactly so that a reader can skip what it does not know; a parser with a
#   `data` field for TLVs would end it there, and what it parsed it could write again.
# What it means: behind HAProxy with crc32c, unique-id, SSL TLVs, or AWS's NLB (always TLVs), nobody can tell from the
#   result where the client's bytes begin: the server reads "\3\0\4...hello" for "hello". A relay that parses, looks
#   and builds again makes the next hop take the TLVs for the client's first bytes. Read the length (bytes 14 and 15)
#   from the input oneself. HAProxy's health checks with the same option (LOCAL, no address, TLV) look like data, too.
# Seen with: node 20.20.2, haproxy 2.6.12-1+deb12u4 as the sender (proxy-v2-options crc32c): `data` has 12 bytes, 7 of
#   TLV and 5 of "hello"; length 19 in the header that came, 12 in the one that was built. Needs: Debian 12 (amd64 or
#   arm64), node, npm, apt-get.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its haproxy 2.6"
for tool in node npm apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
proxy=
trap '[ -z "$proxy" ] || kill $proxy; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent proxy-protocol-js@4.0.6 >npm.log 2>&1 ||
	fail "npm install failed: $(tail -n 3 npm.log)"
timeout 120 apt-get download -q haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0 libopentracing1 >apt.log 2>&1 ||
	fail "apt-get download failed (haproxy 2.6.12-1+deb12u4 is needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
LD_LIBRARY_PATH=$(echo files/usr/lib/*-linux-gnu*)
export LD_LIBRARY_PATH
cat >see.js <<'END'
const net = require('net'), fs = require('fs')
const { V2ProxyProtocol } = require('proxy-protocol-js')
const server = net.createServer(socket => {
	let all = Buffer.alloc(0)
	socket.on('error', () => {})
	socket.on('data', data => {
		all = Buffer.concat([all, data])
		if (!all.subarray(-5).equals(Buffer.from('hello'))) return
		const came = all.readUInt16BE(14)
		const parsed = V2ProxyProtocol.parse(new Uint8Array(all))
		const built = Buffer.from(parsed.build())
		console.log('came: ', all.toString('hex'), 'length', came)
		console.log('data: ', Buffer.from(parsed.data).toString('hex'), 'of', parsed.data.length, 'bytes, "hello" among them')
		console.log('built:', built.toString('hex'), 'length', built.readUInt16BE(14))
		const stated = came == 19 && parsed.data.length == 12 && Buffer.from(parsed.data).subarray(7).equals(Buffer.from('hello')) &&
			built.length == all.length && built.readUInt16BE(14) == 12 && !('length' in parsed)
		console.log(stated ? 'as stated: the length is lost' : 'not as stated')
		process.exit(stated ? 0 : 1)
	})
})
server.listen(process.argv[2], () => fs.writeFileSync('ready', ''))
END
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
cat >haproxy.cfg <<END
defaults
	mode tcp
	timeout connect 2s
	timeout client 5s
	timeout server 5s
listen front
	bind 127.0.0.1:$port
	server back unix@$dir/back send-proxy-v2 proxy-v2-options crc32c
END
timeout 20 node see.js "$dir/back" &
see=$!
files/usr/sbin/haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
proxy=$!
for ((i = 0; i < 100; i++)); do [ -e ready ] && (: <>/dev/tcp/127.0.0.1/$port) 2>/dev/null && break; sleep 0.1; done
node -e 'const s = require("net").connect('$port', "127.0.0.1"); s.on("error", () => {}); s.write("hello"); setTimeout(() => s.destroy(), 3000)' &
client=$!
wait $see
result=$?
kill $client 2>/dev/null
[ $result = 0 ] || tail -n 3 haproxy.log
exit $result

#!/bin/bash
# Finding: npm node-pop3 0.11.0, yapople 0.4.10, mailpop3 0.1.0 and poplib 0.1.7 all hand over a message with POP3's stuffed dots still in it, and without its last line end.
#
# One would guess: RFC 1939, section 3, has the server double a dot at the start of a line and the client take it
#   away; it is half a page, decades old, and four independent clients should have it.
# What it means: mails differ from those that were sent wherever a line starts with a dot: attachments of plain text
#   (paths, lists, CSS, dot files), quoted-printable lines that were wrapped before a dot (so that "example.org" arrives
#   as "example..org"), and every DKIM body hash over such a message fails. IMAP gives the same mail unchanged. Take the
#   dots away yourself: replace /^\.\./gm by ".", and add the last CRLF.
# Seen with: node 20.20.2, the versions above. Sent by the server: "..leading", "...", "end"; wanted: ".leading", "..",
#   "end" and CRLF; all four: "..leading", "...", "end". Needs: node 18 or later, npm.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in node npm; do command -v $tool >/dev/null || fail "needs $tool"; done
[ "$(node -p 'process.versions.node.split(".")[0] >= 18')" = true ] || fail "needs node 18 or later"
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 npm install --prefix "$dir" --no-audit --no-fund --ignore-scripts --silent \
	node-pop3@0.11.0 yapople@0.4.10 mailpop3@0.1.0 poplib@0.1.7 >npm.log 2>&1 || fail "npm install failed: $(tail -n 3 npm.log)"
cat >see.mjs <<'END'
import net from 'node:net'
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
const wire = 'Subject: dots\r\n\r\n..leading\r\n...\r\nend\r\n'
const sent = wire.replace(/^\.\./gm, '.')
const server = net.createServer(socket => {
	let text = ''
	socket.on('error', () => {})
	socket.write('+OK\r\n')
	socket.on('data', data => {
		text += data
		for (let end; (end = text.indexOf('\r\n')) >= 0; text = text.slice(end + 2)) {
			const word = text.slice(0, end).split(' ')[0].toUpperCase()
			if (word == 'RETR') socket.write('+OK\r\n' + wire + '.\r\n')
			else if (word == 'CAPA') socket.write('+OK\r\nUSER\r\n.\r\n')
			else if (word == 'STAT') socket.write('+OK 1 40\r\n')
			else if (word == 'LIST' || word == 'UIDL') socket.write('+OK\r\n1 40\r\n.\r\n')
			else if (word == 'QUIT') socket.end('+OK\r\n')
			else socket.write('+OK\r\n')
		}
	})
})
await new Promise(done => server.listen(0, '127.0.0.1', done))
const host = '127.0.0.1', port = server.address().port
const seen = {}
{
	const client = new (await import('node-pop3')).default({ host, port, user: 'u', password: 'p' })
	seen['node-pop3'] = await client.RETR(1)
	await client.QUIT()
}
{
	const client = new (require('yapople').Client)({ host, port, username: 'u', password: 'p', tls: false, mailparser: false })
	await client.connect()
	seen.yapople = await client.retrieve(1)
	await client.quit()
}
for (const name of ['mailpop3', 'poplib']) seen[name] = await new Promise((done, failed) => {
	const client = new (require(name))(port, host, { enabletls: false })
	client.on('error', failed)
	client.on('connect', () => client.login('u', 'p'))
	client.on('login', () => client.retr(1))
	client.on('retr', (status, number, data) => { client.quit(); done(data) })
})
console.log('the mail itself', JSON.stringify(sent))
let all = true
for (const name in seen) {
	const text = String(seen[name])
	console.log(name.padEnd(15), JSON.stringify(text))
	all &&= text == wire.slice(0, -2)
}
console.log(all ? 'as stated: no client takes the dots away' : 'not as stated')
process.exit(all ? 0 : 1)
END
timeout 20 node --no-deprecation see.mjs

#!/bin/bash
# Finding: HAProxy 2.6.12 finds no name (req.ssl_sni) in a ClientHello that comes as two TLS records split before the name, and says at once that it is a ClientHello; nginx 1.22.1 (ssl_preread) puts the records together and finds it.
#
# One would guess: both read the ClientHello that a TLS server reads. RFC 8446, section 5.1, lets a handshake message be
#   split over records wherever the sender likes, every TLS library takes it, and HAProxy does wait when the same bytes
#   come in two TCP segments.
# What it means: HAProxy sends such a client to default_backend, without a wait for inspect-delay and without a log
#   line that looks unusual: the user gets another site's certificate. It is a rare client today (senders with small
#   records), but ClientHellos grow (post-quantum keys, tickets with certificates),
#   and above 16 KiB the split is forced. Two proxies before one service differ, so test with the one that is used.
# Seen with: haproxy 2.6.12-1+deb12u4, nginx 1.22.1-9+deb12u11, OpenSSL 3.0 as client and server by python3. Whole:
#   both "www". In two TCP segments: both "www". In two records: haproxy "default" within 0.1 s, nginx "www", the server
#   itself handshakes. Needs: Debian 12 (amd64 or arm64) with its python3, openssl, apt-get.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its haproxy 2.6 and nginx 1.22"
for tool in /usr/bin/python3 openssl apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 120 apt-get download -q haproxy=2.6.12-1+deb12u4 liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0 libopentracing1 \
	nginx=1.22.1-9+deb12u11 libnginx-mod-stream=1.22.1-9+deb12u11 >apt.log 2>&1 ||
	fail "apt-get download failed (haproxy 2.6.12-1+deb12u4 and nginx 1.22.1-9+deb12u11 are needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" root || exit 1; done
for name in www default; do
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name" -addext "subjectAltName=DNS:$name.example.com" \
		-keyout $name.key -out $name.crt 2>openssl.log || fail "openssl: $(tail -n 1 openssl.log)"
done
cat >haproxy.cfg <<END
defaults
	mode tcp
	timeout connect 2s
	timeout client 8s
	timeout server 8s
frontend front
	bind unix@$dir/haproxy
	tcp-request inspect-delay 3s
	tcp-request content accept if { req.ssl_hello_type 1 }
	use_backend www if { req.ssl_sni -m str www.example.com }
	default_backend default
backend www
	server s unix@$dir/www
backend default
	server s unix@$dir/default
END
user=
[ "$(id -u)" != 0 ] || user='user root;'
cat >nginx.conf <<END
load_module $dir/root/usr/lib/nginx/modules/ngx_stream_module.so;
$user
daemon off;
error_log nginx.log;
pid nginx.pid;
events {}
stream {
	map \$ssl_preread_server_name \$back { www.example.com unix:$dir/www; default unix:$dir/default; }
	server { listen unix:$dir/nginx; ssl_preread on; preread_timeout 3s; proxy_pass \$back; }
}
END
cat >see.py <<'END'
import os, socket, ssl, subprocess, sys, threading, time
os.environ['LD_LIBRARY_PATH'] = os.environ['LIBRARIES']

def serve(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(name + '.crt', name + '.key')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(name)
    listener.listen()
    while True:
        plain = listener.accept()[0]
        plain.settimeout(5)
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.sendall(name.encode())
        except OSError as error:
            print('server', name, error)

def records(*parts):
    return [b''.join(b'\x16\x03\x01' + len(part).to_bytes(2, 'big') + part for part in parts)]

def ask(where, form):
    """Handshakes; the first flight is sent in the form. Returns who answered."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    came, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(came, to_send, server_hostname='www.example.com')
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(6)
    raw.connect(where)
    first, step = True, tls.do_handshake
    for _ in range(100):
        try:
            text = step()
            if step == tls.do_handshake:
                step = tls.read
                continue
            raw.close()
            return text.decode()
        except ssl.SSLWantReadError:
            data = to_send.read()
            if first:
                name = data.index(b'www.example.com')
                for part in form(data, name):
                    raw.sendall(part)
                    time.sleep(0.05)
            elif data:
                raw.sendall(data)
            first = False
            data = raw.recv(65536)
            if not data:
                return 'closed'
            came.write(data)
    return 'no end'

forms = {
    'one record': lambda data, name: [data],
    'one record, two segments': lambda data, name: [data[:name - 20], data[name - 20:]],
    'two records, split before the name': lambda data, name: records(data[5:name - 20], data[name - 20:]),
    'two records, split behind the name': lambda data, name: records(data[5:name + 20], data[name + 20:]),
}
for name in 'www', 'default':
    threading.Thread(target=serve, args=(name,), daemon=True).start()
log = open('proxies.log', 'w')
proxies = [subprocess.Popen(command, stdout=log, stderr=log) for command in (
    ['root/usr/sbin/haproxy', '-db', '-f', 'haproxy.cfg'],
    ['root/usr/sbin/nginx', '-p', os.getcwd(), '-c', os.getcwd() + '/nginx.conf', '-e', 'nginx.log'])]
seen = {}
try:
    for _ in range(100):
        if all(os.path.exists(name) for name in ('www', 'default', 'haproxy', 'nginx')):
            break
        time.sleep(0.1)
    time.sleep(0.3)
    for form in forms:
        for where in 'www', 'haproxy', 'nginx':
            begin = time.monotonic()
            who = ask(where, forms[form])
            seen[form, where] = who
            print(f'{form:36}{"the server itself" if where == "www" else where:20}{who:10}{time.monotonic() - begin:.2f} s')
finally:
    for proxy in proxies:
        proxy.terminate()
        proxy.wait()
stated = all(who == ('default' if key == ('two records, split before the name', 'haproxy') else 'www') for key, who in seen.items())
print('as stated: only haproxy misses the name, only in the second record' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
LIBRARIES=$(echo "$dir"/root/usr/lib/*-linux-gnu*) timeout 60 /usr/bin/python3 see.py

#!/bin/bash
# Finding: sniproxy 0.6.0 reads a ClientHello of up to 4,096 bytes; a longer one goes to the fallback, whatever name is in it, so a client with a certificate of 4.4 KB reaches its server by the first connection and the fallback by the second, which resumes the session; a name in capitals goes there, too, as it does with sslh 1.20.
#
# One would guess: a TLS record may hold 16 KiB and the proxy reads that much, or it refuses the connection; the name stands
#   near the start, so it is known after a few hundred bytes; and host names are the same in capitals (RFC 6066, section 3,
#   RFC 4343).
# What it means: OpenSSL 3.0's tickets hold the client's certificate, so with mutual TLS the ClientHello grows from 517 bytes to
#   more than 4,096 as soon as a session is resumed: one call works, the next ends at another server, with another
#   certificate, or is refused, and a retry without the ticket works again. Long lists of protocols (ALPN) do the same. Turn
#   tickets off at the server, keep client certificates small, or make the fallback the server of such clients. In capitals: a
#   name in a configuration or QR code, which Python sends as it is; write (?i) first in sniproxy's pattern. sslh takes long
#   ones. (The limit is known: dlundquist/sniproxy#385.)
# Seen with: sniproxy 0.6.0-2.1, sslh 1.20-1+deb12u1, OpenSSL 3.0 through /usr/bin/python3 at both ends; hellos of 3,945 and
#   4,347 bytes by ALPN; certificates of one and of 121 names. Needs: Debian 12, openssl, /usr/bin/python3, apt-get.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its sniproxy and sslh"
for tool in /usr/bin/python3 openssl apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 500 apt-get -o Acquire::Retries=3 download -q sniproxy=0.6.0-2.1 sslh=1.20-1+deb12u1 libconfig9 libev4 libudns0 libpcre3 >apt.log 2>&1 ||
	fail "apt-get download failed (sniproxy 0.6.0-2.1 and sslh 1.20-1+deb12u1 are needed): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -addext "subjectAltName=$2" \
		-keyout "$1.key" -out "$1.crt" 2>openssl.log || fail "openssl: $(tail -n 1 openssl.log)"
}
certificate server DNS:www.example.com
certificate small DNS:client.example.com
certificate big "$(for i in {101..220}; do printf 'DNS:host-%s.department.example.com,' "$i"; done)DNS:client.example.com"
cat big.crt small.crt >clients.crt
cat >see.py <<'END'
import glob, os, socket, ssl, subprocess, sys, threading, time

os.environ['LD_LIBRARY_PATH'] = ':'.join(glob.glob('files/usr/lib/*-linux-gnu*') + glob.glob('files/lib/*-linux-gnu*'))

def serve(name):
    """A TLS server that asks for a certificate and says its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain('server.crt', 'server.key')
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations('clients.crt')
    def talk(raw):
        try:
            with context.wrap_socket(raw, server_side=True) as tls:
                tls.sendall(name.encode())
                tls.recv(1)
        except OSError:
            pass
    def accept():
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
    listener = socket.create_server(('127.0.0.1', 0))
    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]

def free_port():
    with socket.create_server(('127.0.0.1', 0)) as probe:
        return probe.getsockname()[1]

www, fallback, sniproxy, sslh = serve('www'), serve('fallback'), free_port(), free_port()
with open('sniproxy.conf', 'w') as file:
    file.write(f'''error_log {{
	filename {os.getcwd()}/sniproxy.err
}}
listener 127.0.0.1:{sniproxy} {{
	proto tls
	table names
	fallback 127.0.0.1:{fallback}
}}
table names {{
	^www\\.example\\.com$ 127.0.0.1:{www}
}}
''')
with open('sslh.conf', 'w') as file:
    file.write(f'''foreground: true; inetd: false; numeric: true; timeout: 5; verbose: 0; on_timeout: "anyprot";
listen: ( {{ host: "127.0.0.1"; port: "{sslh}"; }} );
protocols: ( {{ name: "tls"; host: "127.0.0.1"; port: "{www}"; sni_hostnames: [ "www.example.com" ]; }},
	{{ name: "anyprot"; host: "127.0.0.1"; port: "{fallback}"; }} );
''')

def connect(port, name='www.example.com', context=None, session=None):
    """Returns (length of the ClientHello with its record header, who answered, session)."""
    came, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(came, to_send, server_hostname=name, session=session)
    hello = None
    with socket.create_connection(('127.0.0.1', port), timeout=60) as raw:
        step = tls.do_handshake
        for _ in range(100):
            try:
                answer = step()
                raw.sendall(to_send.read())
                if step != tls.do_handshake:
                    return hello, answer.decode(), tls.session
                step = lambda: tls.read(99)
                continue
            except ssl.SSLWantReadError:
                pass
            data = to_send.read()
            if hello is None:
                hello = len(data)
            raw.sendall(data)
            data = raw.recv(65536)
            if not data:
                break
            came.write(data)
    sys.exit('no end of the handshake')

def client(certificate=None, protocols=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations('server.crt')
    if certificate:
        context.load_cert_chain(certificate + '.crt', certificate + '.key')
    if protocols:
        context.set_alpn_protocols(protocols)
    return context

stated = True
processes = []
try:
    for command in (['files/usr/sbin/sniproxy', '-f', '-c', 'sniproxy.conf'], ['files/usr/sbin/sslh', '-Fsslh.conf']):
        with open(os.path.basename(command[0]) + '.log', 'w') as log:
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
    for proxy, port in (('sniproxy', sniproxy), ('sslh', sslh)):
        for _ in range(300):
            try:
                socket.create_connection(('127.0.0.1', port)).close()
                break
            except OSError:
                time.sleep(0.1)
        late = 'fallback' if proxy == 'sniproxy' else 'www'
        # Below and above 4,096 bytes with the rest of the hello.
        for what, arguments, wanted in (('a short hello', {'context': client()}, 'www'),
                                        ('capitals', {'context': client(), 'name': 'WWW.Example.COM'}, 'fallback'),
                                        ('ALPN of 3.6 KB', {'context': client(protocols=['x' * 200] * 18)}, 'www'),
                                        ('ALPN of 4.0 KB', {'context': client(protocols=['x' * 200] * 20)}, late)):
            length, who, _ = connect(port, **arguments)
            print(f'{proxy:9}{what:32}hello {length:5}: {who}')
            stated &= who == wanted and (length > 4096) == (what == 'ALPN of 4.0 KB')
        for certificate, wanted in (('small', 'www'), ('big', late)):
            context = client(certificate)
            first, who, session = connect(port, context=context)
            second, who_then, _ = connect(port, context=context, session=session)
            print(f'{proxy:9}{certificate + " certificate, first":32}hello {first:5}: {who}')
            print(f'{proxy:9}{certificate + " certificate, second":32}hello {second:5}: {who_then}')
            stated &= who == 'www' and who_then == wanted and (second > 4096) == (certificate == 'big')
finally:
    for process in processes:
        # sslh is two processes.
        os.killpg(process.pid, 9)
        process.wait()
print('as stated: the length of the hello decides' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
timeout 300 /usr/bin/python3 see.py
result=$?
[ $result = 0 ] || tail -n 3 sniproxy.log sniproxy.err sslh.log >&2
exit $result

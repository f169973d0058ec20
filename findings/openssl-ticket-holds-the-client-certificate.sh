#!/bin/bash
# Finding: OpenSSL 3.0's TLS server puts the client's whole certificate into the session ticket, so the ClientHello that resumes a session grows from 517 bytes to above 2,900 with a client certificate of 2.4 KB.
#
# One would guess: a ticket is a few keys and times, some 200 bytes whatever the certificates are (without a client
#   certificate it is); resumption is there to send less, and the certificate was sent once, in the first handshake.
# What it means: with mutual TLS each resumed connection carries the certificate back to the server, in both TLS 1.2 and
#   1.3, and there in the *first* flight: more than one segment, so that whoever reads the ClientHello (SNI routers, IDS,
#   load balancers) needs a larger buffer and must wait for several segments, but only from the second connection on: a
#   test with fresh connections never shows it. A client certificate with hundreds of names makes a ClientHello above
#   16 KiB, which then needs several TLS records. Early data and TCP's first window shrink by it, too.
# Seen with: OpenSSL 3.0.19 through Debian 12's /usr/bin/python3 on both sides. TLS 1.3, second connection: no certificate
#   586, one of 409 bytes 1,002, one of 2,394 bytes 2,986. TLS 1.2: 517, 907, 2,891. First connections: always 517.
#   Needs: OpenSSL 3.0, /usr/bin/python3, openssl.
# Date: 2026-11-28
set -u
fail() { echo "$*" >&2; exit 1; }
for tool in /usr/bin/python3 openssl; do command -v $tool >/dev/null || fail "needs $tool"; done
version=$(/usr/bin/python3 -c 'import ssl; print(ssl.OPENSSL_VERSION)')
case $version in "OpenSSL 3.0."*) ;; *) fail "needs /usr/bin/python3 with OpenSSL 3.0 (Debian 12), this is $version" ;; esac
echo "$version"
dir=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" -addext "subjectAltName=$2" \
		-keyout "$1.key" -out "$1.crt" 2>openssl.log || fail "openssl: $(tail -n 1 openssl.log)"
}
certificate server DNS:localhost
certificate small DNS:client.example.com
certificate big "$(for i in {101..160}; do printf 'DNS:host-%s.department.example.com,' $i; done)DNS:client.example.com"
cat >see.py <<'END'
import socket, ssl, sys, threading

def serve(listener, context):
    for _ in range(2):
        with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.sendall(b'x')
            connection.recv(1)

def connect(address, context, session):
    """Handshakes and reads a byte. Returns (length of the ClientHello with its record header, resumed, session)."""
    came, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(came, to_send, server_hostname='localhost', session=session)
    hello = None
    with socket.create_connection(address, timeout=5) as raw:
        step = tls.do_handshake
        for _ in range(100):
            try:
                step()
                raw.sendall(to_send.read())
                if step == tls.read:
                    return hello, tls.session_reused, tls.session
                step = tls.read
                continue
            except ssl.SSLWantReadError:
                pass
            data = to_send.read()
            if hello is None:
                hello = len(data)
            raw.sendall(data)
            came.write(raw.recv(65536))
    sys.exit('no end of the handshake')

stated = True
for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    for name in None, 'small', 'big':
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain('server.crt', 'server.key')
        server.maximum_version = version
        client = ssl.create_default_context(cafile='server.crt')
        size = 0
        if name:
            server.verify_mode = ssl.CERT_REQUIRED
            server.load_verify_locations(name + '.crt')
            client.load_cert_chain(name + '.crt', name + '.key')
            size = len(ssl.PEM_cert_to_DER_cert(open(name + '.crt').read()))
        with socket.create_server(('127.0.0.1', 0)) as listener:
            threading.Thread(target=serve, args=(listener, server), daemon=True).start()
            first, resumed, session = connect(listener.getsockname(), client, None)
            second, resumed_then, _ = connect(listener.getsockname(), client, session)
        print(f'{version.name} client certificate of {size:4} bytes: ClientHello {first}, resumed {second}')
        stated &= not resumed and resumed_then and first == 517 and (size < second < size + 640 if size else second < 640)
print('as stated: the resuming ClientHello carries the client certificate' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
timeout 60 /usr/bin/python3 see.py

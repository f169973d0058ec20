#!/bin/bash
# Finding: the stream module of nginx 1.22.1 takes a PROXY v2 header of up to 107 bytes and drops the connection for a longer one, so behind HAProxy with proxy-v2-options authority a client works or not by the length of the name that it asks for: 76 characters over IPv4, 52 over IPv6; the http module of the same nginx takes more.
#
# One would guess: version 2 says its length in two bytes so that it may grow, receivers skip the TLVs that they do not
#   know, and 107 is the longest line of version *1*; a limit would be the same for all clients, and for both modules, and
#   the manual would name it.
# What it means: the long name of a preview or a customer is unreachable, and at first only for clients with IPv6, whose
#   addresses take 52 of the bytes. An ALPN that the client agreed on is in HAProxy's header, too; ssl, cert-cn, ssl-cipher and
#   unique-id fill it sooner. Clients see a closed connection, HAProxy a server that is up, and nginx logs "header is too large".
#   Leave the options out, or use version 1.
# Seen with: nginx and libnginx-mod-stream 1.22.1-9+deb12u11, haproxy 2.6.12-1+deb12u4. stream: names of 15 and 76 characters over
#   IPv4, 15 and 52 over IPv6 are answered, 77 and 53 closed without a byte; without authority or by http: answered. Needs:
#   Debian 12, openssl, /usr/bin/python3, apt-get, IPv6 on the loopback.
# Date: 2026-11-29
set -u
fail() { echo "$*" >&2; exit 1; }
grep -q '^VERSION_ID="12"' /etc/os-release || fail "needs Debian 12, for its nginx 1.22 and haproxy 2.6"
for tool in /usr/bin/python3 openssl apt-get dpkg; do command -v $tool >/dev/null || fail "needs $tool"; done
dir=$(mktemp -d) || fail "no temporary folder"
nginx=
haproxy=
trap '{ for process in $nginx $haproxy; do kill $process; done; wait; } 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1
timeout 90 apt-get download -q nginx=1.22.1-9+deb12u11 libnginx-mod-stream=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 \
	liblua5.3-0=5.3.6-2 libopentracing-c-wrapper0 libopentracing1 >apt.log 2>&1 ||
	fail "apt-get download failed (see the versions above): $(tail -n 3 apt.log)"
for package in *.deb; do dpkg -x "$package" files || exit 1; done
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=example.com -keyout key.pem -out crt.pem \
	2>openssl.log || fail "openssl: $(tail -n 1 openssl.log)"
cat crt.pem key.pem >both.pem
read -r four six http plain <<<"$(/usr/bin/python3 -c '
import socket
probes = [socket.create_server((host, 0), family=family) for host, family in (("127.0.0.1", 2), ("::1", 10), ("127.0.0.1", 2), ("127.0.0.1", 2))]
print(*(probe.getsockname()[1] for probe in probes))')"
[ -n "$plain" ] || fail "needs 127.0.0.1 and ::1"
cat >nginx.conf <<END
load_module $dir/files/usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
pid $dir/nginx.pid;
error_log $dir/error.log error;
events { worker_connections 64; }
stream { server { listen unix:$dir/stream proxy_protocol; return "from \$proxy_protocol_addr"; } }
http {
	access_log off;
	client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi; uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
	server { listen unix:$dir/http proxy_protocol; return 200 "from \$proxy_protocol_addr"; }
}
END
cat >haproxy.cfg <<END
defaults
	mode tcp
	timeout connect 2s
	timeout client 5s
	timeout server 5s
listen stream
	bind 127.0.0.1:$four ssl crt $dir/both.pem
	bind [::1]:$six ssl crt $dir/both.pem
	server nginx unix@$dir/stream send-proxy-v2 proxy-v2-options authority
listen http
	bind 127.0.0.1:$http ssl crt $dir/both.pem
	server nginx unix@$dir/http send-proxy-v2 proxy-v2-options authority
listen plain
	bind 127.0.0.1:$plain ssl crt $dir/both.pem
	server nginx unix@$dir/stream send-proxy-v2
END
chmod a+rx "$dir"
files/usr/sbin/nginx -c "$dir/nginx.conf" >nginx.log 2>&1 &
nginx=$!
LD_LIBRARY_PATH=$(echo files/usr/lib/*-linux-gnu*) files/usr/sbin/haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
haproxy=$!
for ((i = 0; i < 100; i++)); do [ -S stream ] && [ -S http ] && (: <>/dev/tcp/127.0.0.1/"$plain") 2>/dev/null && break; sleep 0.1; done
cat >see.py <<'END'
import socket, ssl, sys

four, six, http, plain = map(int, sys.argv[1:])

def ask(address, length):
    """Whether an answer comes for a name of this length."""
    name = 'www.example.com'
    if length > len(name):
        name = 'customer-portal.' + name
        name = 'x' * (length - len(name) - 1) + '.' + name
    assert len(name) == length
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection(address, timeout=10) as raw, context.wrap_socket(raw, server_hostname=name) as tls:
            if address[1] == http:
                tls.sendall(b'GET / HTTP/1.0\r\nHost: example.com\r\n\r\n')
            return b'from ' in tls.recv(9999)
    except (ConnectionError, ssl.SSLError):
        return False

stated = True
for title, address, lengths in (('stream, IPv4', ('127.0.0.1', four), {15: True, 76: True, 77: False}),
                                ('stream, IPv6', ('::1', six), {15: True, 52: True, 53: False}),
                                ('http, IPv4', ('127.0.0.1', http), {15: True, 76: True, 77: True}),
                                ('stream, no authority', ('127.0.0.1', plain), {15: True, 76: True, 77: True})):
    seen = {length: ask(address, length) for length in lengths}
    print(f'{title:22}' + ', '.join(f"name of {length}: {'answered' if came else 'closed'}" for length, came in seen.items()))
    stated &= seen == lengths
print('as stated: 107 bytes are the limit' if stated else 'not as stated')
sys.exit(0 if stated else 1)
END
timeout 60 /usr/bin/python3 see.py "$four" "$six" "$http" "$plain"
result=$?
grep -o 'header is too large' error.log | sort | uniq -c
[ $result = 0 ] || tail -n 3 nginx.log haproxy.log error.log >&2
exit $result

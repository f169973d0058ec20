"""sni.so: TLS routed by the name of the server, with real TLS clients and servers at both ends."""

import os
import shutil
import socket
import ssl
import subprocess

from support.certificates import Authority
from support.harness import Skipped, check, has, same, test
from support.net import connect
from test_redirect import tcp
from test_tls import TlsEcho, client_context, connect_tls


def build_map(t, lines):
    text, path = t.path("names.txt"), t.path("names.cdb")
    with open(text, "w") as f:
        f.write("".join(line + "\n" for line in lines))
    subprocess.run([t.run.build.rum_map, "build", path, text], check=True, stdout=subprocess.DEVNULL)
    return path


class Names:
    """Two servers, each with a certificate for its own names, and rum in front of both."""

    def __init__(self, t, *options):
        self.authority = Authority(t.folder)
        self.one = t.keep(TlsEcho(*self.authority.sign("one", "DNS:one.example")))
        self.two = t.keep(TlsEcho(*self.authority.sign("two", "DNS:*.two.example,DNS:two.example")))
        plain = [echo.address.replace("tls:", "tcp:") for echo in (self.one, self.two)]
        self.map = build_map(t, ["one.example - " + plain[0], "*.two.example - " + plain[1],
                                 "down.example - tcp:127.0.0.1:1"])
        self.here = tcp()
        self.rum = t.rum("-s", self.here, "-P", "sni.so", "-M", self.map, *options)

    def ask(self, name, context=None):
        context = context or client_context(self.authority)
        with context.wrap_socket(connect(self.here), server_hostname=name) as s:
            s.sendall(b"hello")
            return s.recv(16)


@test("The server's certificate is the client's to verify, and the name leads to the right one",
      needs="sni.so")
def _(t):
    names = Names(t)
    for name in ("one.example", "ONE.example", "a.two.example"):
        same(names.ask(name), b"hello", name)
    record = names.rum.session()
    same(record["user"], "one.example", "the user in the log is the name")
    same(record["reason"], "client_closed", "reason")


@test("A name that nobody has is told so by an alert that clients show", needs="sni.so")
def _(t):
    names = Names(t)
    for name, alert in (("nobody.example", "TLSV1_UNRECOGNIZED_NAME"),
                        ("two.example", "TLSV1_UNRECOGNIZED_NAME"),
                        ("down.example", "TLSV1_ALERT_INTERNAL_ERROR")):
        try:
            names.ask(name)
        except ssl.SSLError as error:
            same(error.reason, alert, name)
        else:
            raise AssertionError(name + " was served")
    with connect(names.here) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n")
        same(s.recv(64), b"\x15\x03\x03\x00\x02\x02\x0a", "the alert for what is no TLS")
        same(s.recv(64), b"", "then the end")


@test("A client without a name goes to the default destination", needs="sni.so")
def _(t):
    names = Names(t)
    context = client_context()
    context.check_hostname = False
    try:
        names.ask(None, context)
    except ssl.SSLError as error:
        same(error.reason, "TLSV1_UNRECOGNIZED_NAME", "reason")
    names.rum.finish()
    other = Names(t, "-d", names.two.address.replace("tls:", "tcp:"))
    same(other.ask(None, context), b"hello")
    same(other.ask("nobody.example", context), b"hello")


@test("openssl and curl are routed, in small records and with a resumed session", needs="sni.so")
def _(t):
    names = Names(t)
    address = names.here[4:]

    def s_client(*arguments):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", address, "-servername", "one.example", "-CAfile",
             names.authority.certificate, "-verify_return_error", *arguments],
            input=b"hello\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30)
        has(done.stdout.decode(errors="replace"), "Verify return code: 0 (ok)", "s_client")
        return done.stdout.decode(errors="replace")

    session = t.path("session")
    has(s_client("-tls1_2", "-sess_out", session), "New, TLSv1.2", "s_client")
    has(s_client("-tls1_2", "-sess_in", session), "Reused, TLSv1.2", "the second session")
    s_client("-max_send_frag", "512")
    s_client("-alpn", "h2," + ",".join("proto%03d-%s" % (i, "x" * 200) for i in range(60)),
             "-max_send_frag", "512")


@test("A hello in pieces of one byte, and one of 60 KB, are passed on as they came", needs="sni.so")
def _(t):
    from support.peers import Echo
    echo = t.keep(Echo())
    path = build_map(t, ["one.example - " + echo.address])
    here = tcp()
    t.rum("-s", here, "-P", "sni.so", "-M", path)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(incoming, outgoing, server_hostname="one.example")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    # The same with a padding extension (21) behind the others: all lengths grow with it.
    body = bytearray(hello[9:])
    at = 34 + 1 + body[34]
    at += 2 + int.from_bytes(body[at:at + 2], "big")
    at += 1 + body[at]
    padding = b"\x00\x15" + (60000).to_bytes(2, "big") + bytes(60000)
    size = int.from_bytes(body[at:at + 2], "big") + len(padding)
    if size > 65535:
        raise Skipped("the extensions of this openssl leave no room")
    large = bytes(body[:at]) + size.to_bytes(2, "big") + bytes(body[at + 2:]) + padding
    message = b"\x01" + len(large).to_bytes(3, "big") + large
    records = b"".join(b"\x16\x03\x01" + len(message[i:i + 1000]).to_bytes(2, "big")
                       + message[i:i + 1000] for i in range(0, len(message), 1000))
    for bytes_, piece in ((hello, 1), (records, 7000), (records + b"\x17\x03\x03\x00\x01x", 65536)):
        with connect(here) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(0, len(bytes_), piece):
                s.sendall(bytes_[i:i + piece])
            got = b""
            while len(got) < len(bytes_):
                more = s.recv(65536)
                check(more, "the connection ended after %d of %d bytes" % (len(got), len(bytes_)))
                got += more
            check(got == bytes_, "what the server got is not what the client sent")


@test("curl is routed by name", needs="sni.so")
def _(t):
    if not shutil.which("curl"):
        raise Skipped("no curl here: apt-get install curl")
    names = Names(t)
    # The echo answers with the request itself, which is no HTTP: that curl was let in is what counts.
    port = names.here.rsplit(":", 1)[1]
    done = subprocess.run(
        ["curl", "-sv", "--http0.9", "--max-time", "5", "--cacert", names.authority.certificate,
         "--resolve", "one.example:%s:127.0.0.1" % port, "https://one.example:%s/" % port],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, no_proxy="*"))
    has(done.stdout.decode(errors="replace"), "SSL certificate verify ok", "curl -v")

"""sni.so: TLS routed by the name of the server, with real TLS clients and servers at both ends."""

import functools
import os
import shutil
import socket
import ssl
import subprocess

from support.build import program
from support.certificates import Authority
from support.harness import Skipped, check, has, same, test
from support.net import connect, free_port
from test_control import ctl
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

    def __init__(self, t, *options, here=None, one=TlsEcho, two=TlsEcho):
        self.authority = Authority(t.folder)
        self.one = t.keep(one(*self.authority.sign("one", "DNS:one.example")))
        self.two = t.keep(two(*self.authority.sign("two", "DNS:*.two.example,DNS:two.example")))
        plain = [echo.address.replace("tls:", "tcp:") for echo in (self.one, self.two)]
        self.map = build_map(t, ["one.example - " + plain[0], "*.two.example - " + plain[1],
                                 "down.example - tcp:127.0.0.1:1"])
        self.here = here or tcp()
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


@test("explain says that names lead somewhere, and that servers are not tried", needs="sni.so")
def _(t):
    names = Names(t, "--control", "sock:" + t.path("control"))
    explained = ctl(t, "explain", "one.example")
    has(explained, names.one.address.replace("tls:", "tcp:"))
    has(explained, "the module sni asks the map, but makes no probes: servers are not tried")


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


class Web(TlsEcho):
    """Answers each request with one text."""

    def __init__(self, text, *certificate):
        self.text = text
        super().__init__(*certificate)

    def handle(self, connection):
        try:
            with self.context.wrap_socket(connection, server_side=True) as s:
                request = b""
                while b"\r\n\r\n" not in request:
                    more = s.recv(4096)
                    if not more:
                        return
                    request += more
                s.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n"
                          b"Content-Length: %d\r\n\r\n%s" % (len(self.text), self.text))
        except ssl.SSLError:
            connection.close()


def lands_right(t, command, request=None):
    """`command(port, name, authority)`: a client that prints what the server of the name answers."""
    names = Names(t, one=functools.partial(Web, b"served by one"),
                  two=functools.partial(Web, b"served by two"))
    port = names.here.rsplit(":", 1)[1]
    for number, (name, text) in enumerate((("one.example", "served by one"),
                                           ("a.two.example", "served by two"))):
        done = subprocess.run(command(port, name, names.authority.certificate), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30 * t.scale,
                              input=request and request % name.encode())
        has(done.stdout.decode(errors="replace"), text, name)
        same(names.rum.session(number)["user"], name, "the user in the log")


def installed(name, package):
    found = program(name)
    if not found:
        raise Skipped("no %s here: apt-get install %s" % (name, package))
    return found


def script(name):
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "support", "clients", name)


@test("GnuTLS lands on the server of the name", needs="sni.so")
def _(t):
    client = installed("gnutls-cli", "gnutls-bin")
    lands_right(t, lambda port, name, authority: [
        client, "--port", port, "--sni-hostname", name, "--verify-hostname", name, "--x509cafile",
        authority, "127.0.0.1"], b"GET / HTTP/1.0\r\nHost: %s\r\n\r\n")


@test("node lands on the server of the name", needs="sni.so")
def _(t):
    client = installed("node", "nodejs")
    lands_right(t, lambda *arguments: [client, script("tls.js"), *arguments])


@test("Java lands on the server of the name", needs="sni.so", seconds=120)
def _(t):
    quick = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    subprocess.run([installed("javac", "default-jdk-headless"), *("-J" + word for word in quick), "-d",
                    t.folder, script("TlsClient.java")], check=True, timeout=60 * t.scale)
    lands_right(t, lambda *arguments: [installed("java", "default-jre-headless"), *quick, "-cp",
                                       t.folder, "TlsClient", *arguments])


@test("Go lands on the server of the name", needs="sni.so", seconds=120)
def _(t):
    client = t.path("tls")
    subprocess.run([installed("go", "golang-go"), "build", "-o", client, script("tls.go")], check=True,
                   env=dict(os.environ, GOCACHE=t.path("go-cache"), GOPROXY="off", GO111MODULE="off",
                            GOTOOLCHAIN="local", HOME=t.folder), timeout=100 * t.scale)
    lands_right(t, lambda *arguments: [client, *arguments])


@test("Chromium lands on the servers of two names", needs="sni.so", seconds=120)
def _(t):
    client = installed("chromium", "chromium")
    # The page of one server has a script of the other.
    here = free_port()
    names = Names(t, here="tcp:127.0.0.1:%d" % here, one=functools.partial(
        Web, b'<p>served by one</p><script src="https://a.two.example:%d/"></script>' % here),
        two=functools.partial(Web, b'document.write("<p>served by " + "two</p>")'))
    done = subprocess.run(
        [client, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         "--disable-component-update", "--no-first-run", "--no-proxy-server",
         "--ignore-certificate-errors", "--host-resolver-rules=MAP * 127.0.0.1",
         "--user-data-dir=" + t.path("browser"), "--dump-dom", "https://one.example:%d/" % here],
        env=dict(os.environ, HOME=t.path("home"), XDG_CONFIG_HOME=t.path("home")),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=100 * t.scale)
    page = done.stdout.decode(errors="replace")
    has(page, "<p>served by one</p>", "the page")
    has(page, "<p>served by two</p>", "what the script of the other server wrote")
    users = {record["user"] for record in names.rum.wait_sessions(2)}
    same(users, {"one.example", "a.two.example"}, "the users in the log")

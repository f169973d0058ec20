"""Who may read the statistics: TLS on their address, and the token."""

import base64
import os
import shutil
import ssl
import subprocess

from support import net
from support.certificates import Authority
from support.harness import Skipped, check, has, same, test
from support.net import connect
from support.peers import Echo
from support.rum import run_once
from test_control import ctl
from test_redirect import ask, tcp
from test_stats import crowd_in
from test_tls import client_context, connect_tls, tls

TOKEN, OTHER = "aToken-of-16/bytes+", "another.token~16=="
PRIVATE = ("/", "/stats", "/metrics", "/sessions", "/users", "/limits", "/nothing")


def write(t, name, text, mode=0o600):
    """A file, replaced as a whole."""
    path = t.path(name)
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT, mode), "w") as f:
        f.write(text)
    os.rename(path + ".new", path)
    return path


def fetch(s, path, *headers):
    """(status, headers as a list of lines, body) over a connection that stays open."""
    s.sendall("\r\n".join(["GET %s HTTP/1.1" % path, "Host: x", *headers, "", ""]).encode())
    return read_answer(s)


def read_answer(s):
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = s.recv(65536)
        if not part:
            return None
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    size, = [int(line.split()[1]) for line in lines if line.lower().startswith("content-length:")]
    while len(body) < size:
        part = s.recv(65536)
        check(part, "the answer is complete")
        body += part
    return int(lines[0].split()[1]), lines[1:], body


def status(stats, path, *headers):
    with connect(stats) as s:
        return fetch(s, path, *headers)[0]


def bearer(token, scheme="Bearer"):
    return "Authorization: %s %s" % (scheme, token)


def basic(password, user="me"):
    return bearer(base64.b64encode(("%s:%s" % (user, password)).encode()).decode(), "Basic")


def start(t, stats, *arguments, **more):
    echo, here = t.keep(Echo()), tcp()
    rum = t.rum("-s", here, "-d", echo.address, "-m", stats, *arguments, stats=False, **more)
    net.until(lambda: net.listening(stats), 5, "statistics are bound")
    return rum, here


def with_certificate(t):
    authority = Authority(t.path(""))
    certificate, key = authority.sign("stats")
    return authority, ("--tls-cert", certificate, "--tls-key", key)


@test("Statistics on a tls: address are HTTPS with rum's certificate, and nothing else")
def _(t):
    authority, options = with_certificate(t)
    stats = tls()
    rum, here = start(t, stats, *options)
    with connect_tls(stats, client_context(authority)) as s:
        for path in ("/live", "/ready", "/stats", "/metrics", "/") * 3:
            same(fetch(s, path)[0], 200, path)
        # A request in several records that arrive in one segment, and two requests in one record.
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        raw = connect(stats)
        inner = client_context(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                inner.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65536))
        for part in (b"GET /li", b"ve HTTP/1.1\r\n", b"Host: x\r\n\r\n",
                     b"GET /live HTTP/1.1\r\nHost: x\r\n\r\nGET /live HTTP/1.1\r\nHost: x\r\n\r\n"):
            inner.write(part)
        raw.sendall(outgoing.read())
        got = b""
        while got.count(b"alive\n") < 3:
            data = raw.recv(65536)
            check(data, "closed early: %r" % got)
            incoming.write(data)
            try:
                while True:
                    got += inner.read(65536)
            except ssl.SSLWantReadError:
                pass
        raw.close()
    for hello in (b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\0" * 70000):
        with connect(stats) as s:
            s.sendall(hello)
            answer = net.ended(s)
            check(answer in ("closed", "reset") or b"HTTP" not in answer, "plain: %r" % answer)
    same(ask(here), b"hello")
    rum.stats_address = None


@test("curl reads statistics by HTTPS with the right CA, and refuses another")
def _(t):
    if not shutil.which("curl"):
        raise Skipped("no curl here: apt-get install curl")
    authority, options = with_certificate(t)
    os.mkdir(t.path("other"))
    other = Authority(t.path("other"))
    stats, token = tls(), write(t, "token", TOKEN + "\n")
    start(t, stats, *options, "--stats-token-file", token)
    url = "https://localhost:%s/stats" % stats.rsplit(":", 1)[1]

    def curl(ca, *more):
        done = subprocess.run(["curl", "-sS", "-4", "--max-time", "10", "-o", t.path("out"), "-w",
                               "%{http_code}", "--cacert", ca.certificate, *more, url],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stdout

    same(curl(authority, "-H", bearer(TOKEN)), (0, "200"))
    same(curl(authority, "-u", "anybody:" + TOKEN), (0, "200"))
    same(curl(authority), (0, "401"))
    same(curl(authority, "-u", "anybody:" + OTHER), (0, "401"))
    same(curl(other, "-H", bearer(TOKEN))[0], 60, "the certificate is not trusted")


@test("A listener's CA for clients asks nothing of readers of the statistics, and no ticket leads past it")
def _(t):
    authority, options = with_certificate(t)
    stats, here = tls(), tls()
    echo = t.keep(Echo())
    rum = t.rum("-s", here, "-d", echo.address, "-m", stats, *options, "--tls-ca",
                authority.certificate, stats=False)
    net.until(lambda: net.listening(stats), 5, "statistics are bound")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(authority)
        context.minimum_version = context.maximum_version = version
        with connect_tls(stats, context) as s:
            same(fetch(s, "/live")[0], 200)
            ticket = s.session
        with connect_tls(stats, context, ticket) as s:
            same(fetch(s, "/live")[0], 200)
            check(s.session_reused, "the statistics resume")
        try:
            with connect_tls(here, context, ticket) as s:
                s.sendall(b"x")
                same(net.read_all(s), b"", "no echo without a certificate")
        except (ssl.SSLError, ConnectionError):
            pass
    same({r["reason"] for r in rum.wait_sessions(2)}, {"tls_failed"})


def ready(stats, *headers):
    with connect(stats) as s:
        return fetch(s, "/ready", *headers)[2]


@test("With a token, only probes read the statistics without it")
def _(t):
    token = write(t, "token", TOKEN + "\r\n")
    for stats in (tcp(), "sock:" + t.path("stats")):
        rum, _ = start(t, stats, "--stats-token-file", token, "--control", "sock:" + t.path("control"))
        same(status(stats, "/live"), 200)
        net.until(lambda: status(stats, "/ready") == 200, 5, "it is ready")
        bad = [(), (bearer(OTHER),), (bearer(TOKEN[:-1]),), (bearer(TOKEN + "x"),), (bearer(""),),
               ("Authorization: Bearer",), ("Authorization:",), (bearer(TOKEN, "Token"),),
               ("Authorization: " + TOKEN,), (basic(OTHER),), (basic("", TOKEN),), (basic(""),),
               (bearer("!!!!", "Basic"),), (bearer("====", "Basic"),), (bearer("bWU=", "Basic"),),
               (bearer("A" * 8000, "Basic"),), (bearer("\x01" * 64),), (bearer(TOKEN, "Basic"),)]
        for path in PRIVATE:
            for headers in bad if path == "/stats" else bad[:2]:
                with connect(stats) as s:
                    code, lines, body = fetch(s, path, *headers)
                same(code, 401, "%s %s" % (path, headers))
                same([line for line in lines if line.startswith("WWW-Authenticate:")],
                     ['WWW-Authenticate: Bearer realm="rum"',
                      'WWW-Authenticate: Basic realm="rum", charset="UTF-8"'])
                check(TOKEN.encode() not in body, "the answer has the token")
            for header in (bearer(TOKEN), bearer(TOKEN, "bearer"), bearer(" " + TOKEN, "BEARER"),
                           basic(TOKEN), basic(TOKEN, ""), basic(TOKEN, "a user \u00e9")):
                same(status(stats, path, header), 404 if path == "/nothing" else 200, header)
        rum.wait_log("sent a wrong token")
        has(ctl(t, "status"), "serving")
        secret = "redis://127.0.0.1:1/?key=inner:{user}"
        other = tcp()
        start(t, other, "--stats-token-file", token, "-P", "passthrough.so", "-M", secret,
              ready=False)
        net.until(lambda: b"refused" in ready(other, bearer(TOKEN)), 10, "the reason, with the token")
        for headers in ((), (bearer(OTHER),)):
            same(ready(other, *headers), b"not ready; the reason is for those who send the token\n")
        check(TOKEN not in rum.log() and OTHER not in rum.log(), "a token is in the log")
        rum.finish()


@test("A reload reads the token and the certificate again, and a bad token file changes nothing")
def _(t):
    authority, _ = with_certificate(t)
    certificate = t.path("both.pem")

    def place(name):
        parts = [open(path).read() for path in authority.sign(name)]
        write(t, "both.pem", "".join(parts))

    def name_shown():
        with connect_tls(stats, client_context(authority)) as s:
            return dict(pair[0] for pair in s.getpeercert()["subject"])["commonName"]

    def code(token):
        with connect_tls(stats, client_context(authority)) as s:
            return fetch(s, "/stats", bearer(token))[0]

    place("first")
    stats, token = tls(), write(t, "token", TOKEN)
    rum, _ = start(t, stats, "--tls-cert", certificate, "--stats-token-file", token,
                   "--control", "sock:" + t.path("control"))
    with connect_tls(stats, client_context(authority)) as held:
        same((name_shown(), code(TOKEN), code(OTHER)), ("first", 200, 401))
        place("second")
        net.until(lambda: name_shown() == "second", 10, "the new certificate is used")
        write(t, "token", OTHER)
        same(code(OTHER), 401, "not before a reload")
        ctl(t, "reload")
        same((code(TOKEN), code(OTHER)), (401, 200))
        same(fetch(held, "/stats", bearer(OTHER))[0], 200)
    for bad in ("", "short", OTHER + "\n\n", "with blanks in it " + OTHER, OTHER + "\0", "x" * 513):
        write(t, "token", bad)
        has(ctl(t, "reload", code=1), "one line of 16 to 512 printable characters")
        same((code(TOKEN), code(OTHER)), (401, 200), "kept, with %r" % bad)
    os.unlink(token)
    has(ctl(t, "reload", code=1), "No such file")
    same(code(OTHER), 200)
    check(OTHER not in rum.log(), "a token is in the log")


@test("A hand-over keeps TLS and the token of the statistics")
def _(t):
    authority, options = with_certificate(t)
    stats, token = tls(), write(t, "token", TOKEN)
    rum, _ = start(t, stats, *options, "--stats-token-file", token)
    old = rum.hand_over()
    old.wait(20)
    with connect_tls(stats, client_context(authority)) as s:
        same((fetch(s, "/stats", bearer(TOKEN))[0], fetch(s, "/stats")[0]), (200, 401))


@test("Hundreds of TLS handshakes that never end take no client's descriptor", seconds=120)
def _(t):
    authority, options = with_certificate(t)
    stats = tls()
    rum, here = start(t, stats, *options, descriptors=200)
    hello = ssl.MemoryBIO()
    try:
        client_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = hello.read()
    _, most = crowd_in(t, rum, here, stats, hello, hello[:7], b"")
    for path in ("/live", "/stats", "/metrics"):
        with connect_tls(stats, client_context(authority)) as s:
            same(fetch(s, path)[0], 200)
    check(most < sum(rum.baseline.values()) + 40, "%d descriptors" % most)
    # The deadline of a request includes the handshake.
    net.until(lambda: sum(rum.descriptors().values()) == sum(rum.baseline.values()), 30, "all are ended")


@test("A token that protects nothing or cannot be read is refused at the start")
def _(t):
    here = ("-s", tcp(), "-d", tcp())
    token = write(t, "token", TOKEN)
    code, _, err = run_once(t, *here, "--stats-token-file", token)
    same(code, 2)
    has(err, "--stats-token-file: no statistics are served; give their address by --stats")
    stats = ("-m", tcp())
    os.mkdir(t.path("all"))
    os.chmod(t.path("all"), 0o1777)
    os.symlink(token, t.path("all/link"))
    for path, why in ((t.path("none"), "No such file or directory"), (t.path(""), "Is a directory"),
                      (write(t, "short", "0123456789abcde"), "one line of 16 to 512"),
                      (t.path("all/link"), "is a symbolic link")):
        for more in ((), ("--check",)):
            code, _, err = run_once(t, *here, *stats, "--stats-token-file", path, *more)
            same(code, 1, path)
            has(err, "stats-token-file: '%s': " % path)
            has(err, why)
    good = (*here, *stats, "--stats-token-file", token, "--check")
    same(run_once(t, *good)[:2], (0, "rum: the configuration is good\n"))
    os.chmod(token, 0o604)
    has(run_once(t, *good)[2], "every user of this machine can read")


@test("A token that crosses a network without TLS is warned of")
def _(t):
    token = write(t, "token", TOKEN)
    rum, _ = start(t, "tcp:0.0.0.0:%d" % net.free_port(), "--stats-token-file", token)
    rum.wait_log("the token crosses the network in clear text")
    rum, _ = start(t, tcp(), "--stats-token-file", token)
    check("clear text" not in rum.log(), "a loopback address is no network")

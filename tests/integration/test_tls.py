"""TLS from the first byte on (tls:HOST:PORT), towards clients and towards servers, for any module."""

import contextlib
import hashlib
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess
import threading

from support import net, peers
from support.certificates import Authority, openssl
from support.harness import check, has, same, test
from support.net import connect, free_port
from support.peers import Echo, NeverAccepts, closed_port
from support.rum import environment, run_once
from test_redirect import ask, tcp
from test_relay import MEGA, bulk, digest


def tls():
    return "tls:127.0.0.1:%d" % free_port()


def client_context(authority=None, certificate=None, key=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority:
        context.load_verify_locations(authority.certificate)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def connect_tls(address, context, session=None):
    return context.wrap_socket(connect(address), server_hostname="localhost", session=session)


def ask_tls(address, context, text=b"hello"):
    with connect_tls(address, context) as s:
        s.sendall(text)
        return net.read_exact(s, len(text))


def exchange(s, blocks, size):
    """Sends blocks and receives at the same time: (bytes, SHA-256) of what came. One thread does both,
    since two must not be inside of one TLS connection."""
    s.setblocking(False)
    sha, count, left = hashlib.sha256(), 0, memoryview(b"")
    while count < size:
        left = left or memoryview(next(blocks, b""))
        moved = 0
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if left:
                sent = s.send(left[:65536])
                left, moved = left[sent:], sent
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            data = s.recv(MEGA)
            if not data:
                break
            sha.update(data)
            count, moved = count + len(data), 1
        if not moved and not any(select.select([s], [s] if left else [], [], 30)):
            raise net.TooLate("nothing moved for 30 s behind %d bytes" % count)
    return count, sha.hexdigest()


class TlsEcho(Echo):
    """An echo that speaks TLS from the first byte on."""

    def __init__(self, certificate, key, **settings):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        super().__init__(**settings)
        self.address = "tls:" + self.address[4:]

    def handle(self, connection):
        try:
            super().handle(self.context.wrap_socket(connection, server_side=True))
        except ssl.SSLError:
            connection.close()


@test("A TLS client reaches a plain destination, verified by the authority that signed")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    echo = t.keep(Echo())
    here = tls()
    rum = t.rum("-s", here, "-d", echo.address, "--tls-cert", certificate, "--tls-key", key)
    same(ask_tls(here, client_context(authority)), b"hello")
    record = rum.session()
    same((record["received"], record["sent"]), (5, 5), "bytes as the application counts them")


@test("Without a certificate rum makes one that signs itself, keeps it, and uses it again")
def _(t):
    state = t.path("state")
    echo = t.keep(Echo())
    first = None
    for _ in range(2):
        here = tls()
        rum = t.rum("-s", here, "-d", echo.address, "--state-dir", state)
        with connect_tls(here, client_context()) as s:
            shown = s.getpeercert(True)
            s.sendall(b"x")
            net.read_exact(s, 1)
        first = first or shown
        same(shown, first, "certificate")
        rum.finish()
    files = os.listdir(state)
    same(len(files), 1, "files in the state directory")
    same(os.stat(os.path.join(state, files[0])).st_mode & 0o777, 0o600, "mode")


@test("A plain client reaches a TLS destination, and verify refuses one that nobody signed")
def _(t):
    authority, stranger = Authority(t.folder), Authority(t.folder, "stranger")
    good = t.keep(TlsEcho(*authority.sign("good")))
    bad = t.keep(TlsEcho(*stranger.sign("bad")))
    named = t.keep(TlsEcho(*authority.sign("other", "DNS:other.example")))
    for echo, reason in ((good, "client_closed"), (bad, "tls_failed"), (named, "tls_failed")):
        here = tcp()
        rum = t.rum("-s", here, "-d", echo.address, "--upstream-tls", "verify",
                    "--upstream-tls-ca", authority.certificate)
        with connect(here) as s:
            s.sendall(b"hello")
            s.shutdown(socket.SHUT_WR)
            same(net.read_all(s), b"hello" if echo is good else b"")
        same(rum.session()["reason"], reason)
    here = tcp()
    rum = t.rum("-s", here, "-d", named.address, "--upstream-tls", "verify",
                "--upstream-tls-ca", authority.certificate, "--upstream-tls-name", "other.example")
    with connect(here) as s:
        s.sendall(b"hello")
        same(net.read_exact(s, 5), b"hello")


@test("The dot of an absolute name is no part of the name that a certificate is for")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("localhost", "DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    asked = []
    context.sni_callback = lambda _, name, __: asked.append(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = tcp()
        t.rum("-s", here, "-d", "tls:localhost.:%d" % listener.getsockname()[1],
              "--upstream-tls", "verify", "--upstream-tls-ca", authority.certificate)
        with connect(here) as s:
            s.sendall(b"hello")
            with context.wrap_socket(listener.accept()[0], server_side=True) as server:
                same(net.read_exact(server, 5), b"hello")
    same(asked, ["localhost"])


@test("An end without TLS's own word for it is passed on as one, either way")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("localhost")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = client_context()
    for context in (server_side, client_side):
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # which would hide the difference
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here, plain = tls(), tcp()
        t.rum("-s", here, "-s", plain, "-d", "tls:127.0.0.1:%d" % listener.getsockname()[1],
              "--tls-cert", certificate, "--tls-key", key)

        def pair():
            client = client_side.wrap_socket(connect(here), suppress_ragged_eofs=False)
            client.sendall(b"hello")
            server = server_side.wrap_socket(listener.accept()[0], server_side=True,
                                             suppress_ragged_eofs=False)
            same(net.read_exact(server, 5), b"hello")
            server.sendall(b"hello")
            same(net.read_exact(client, 5), b"hello")
            return client, server

        def end_seen(s):
            try:
                return s.recv(1) == b"" and "said"
            except ssl.SSLError as e:
                same(e.reason, "UNEXPECTED_EOF_WHILE_READING")
                return "cut"

        for from_client in (True, False):
            for how in ("said", "cut"):
                client, server = pair()
                ends, sees = (client, server) if from_client else (server, client)
                if how == "said":
                    with contextlib.suppress(ssl.SSLWantReadError):
                        ends.setblocking(False)
                        ends.unwrap()
                # Not all of it: Python has no shutdown of one way inside TLS.
                socket.socket.shutdown(ends, socket.SHUT_WR)
                same(end_seen(sees), how, "of the %s" % ("client" if from_client else "server"))
                client.close()
                server.close()
        # Without a module that knows better, the end of a stream without TLS is its proper end.
        with connect(plain) as client:
            client.sendall(b"hello")
            with server_side.wrap_socket(listener.accept()[0], server_side=True,
                                         suppress_ragged_eofs=False) as server:
                same(net.read_exact(server, 5), b"hello")
                client.shutdown(socket.SHUT_WR)
                same(end_seen(server), "said")


@test("--login-timeout ends with a client's handshake where there is no other login")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    echo, here = t.keep(Echo()), tls()
    holes = [t.keep(NeverAccepts()) for _ in range(2)]
    t.rum("-s", here, "-d", ",".join([h.address for h in holes] + [echo.address]), "--tls-cert",
          certificate, "--tls-key", key, "--connect-timeout", "1s", "--login-timeout", "1500ms")
    same(ask_tls(here, client_context(authority)), b"hello")


@test("Clients without a certificate of the authority are refused when --tls-ca is given")
def _(t):
    authority, stranger = Authority(t.folder), Authority(t.folder, "stranger")
    certificate, key = authority.sign("front")
    echo = t.keep(Echo())
    here = tls()
    rum = t.rum("-s", here, "-d", echo.address, "--tls-cert", certificate, "--tls-key", key,
                "--tls-ca", authority.certificate)
    same(ask_tls(here, client_context(authority, *authority.sign("client"))), b"hello")
    same(rum.session()["reason"], "client_closed")
    liar = client_context(authority, *stranger.sign("liar"))
    for number, context in ((1, client_context(authority)), (2, liar)):
        try:
            answer = ask_tls(here, context)
        except (ssl.SSLError, OSError, EOFError):
            answer = None
        same(answer, None, "answer to a client without a good certificate")
        same(rum.session(number)["reason"], "tls_failed")


@test("--tls-ca is refused where clients without TLS would be accepted without a certificate")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    common = ("-d", closed_port(), "--tls-cert", certificate, "--tls-key", key, "--tls-ca",
              authority.certificate)
    sentence = "--tls-ca: on a tcp: listener clients without TLS would be accepted without a certificate"
    both = ("-s", tls(), "-s", tcp()) + common
    for options in (("--check",), ()):
        code, out, err = run_once(t, *both, *options)
        check(code != 0, "refused")
        has(err, sentence)
        same(out, "")
    for listeners in (("-s", tls()), ("-s", tls(), "-s", "sock:" + t.path("sock"))):
        same(run_once(t, *listeners, *common, "--check"), (0, "rum: the configuration is good\n", ""))
    # Nor does a reload open that door.
    config = t.path("rum.conf")

    def write(*lines):
        with open(config, "w") as f:
            f.write("".join(line + "\n" for line in lines))
    lines = ("listen = " + tls(), "listen = " + tcp(), "destination = " + common[1],
             "tls-cert = " + certificate, "tls-key = " + key, "health-check = off")
    write(*lines)
    rum = t.rum("--config", config)
    write(*lines, "tls-ca = " + authority.certificate)
    rum.process.send_signal(signal.SIGHUP)
    rum.wait_log(sentence)


@test("--check finds that a module that only relays cannot verify, nor turn to TLS, nor know users")
def _(t):
    sock = "sock:" + t.path("server")
    for destination, options, words in (
            (sock, ("--upstream-tls", "verify"), "--upstream-tls: passthrough.so has no TLS inside its "
             "protocol; %s cannot be verified: use tls:HOST:PORT" % sock),
            (closed_port(), ("--upstream-tls", "verify"), "--upstream-tls: passthrough.so has no TLS"),
            (closed_port(), ("--tls", "require"), "--tls: passthrough.so has no TLS inside its protocol"),
            (closed_port(), ("--user-rate", "1/s"), "--user-rate: passthrough.so knows no users")):
        code, _, err = run_once(t, "-s", tcp(), "-d", destination, *options, "--check")
        same(code, 1)
        has(err, words)


@test("A key with a pass phrase is refused with a sentence, and nobody is asked for it")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    modern, old = t.path("modern.key"), t.path("old.key")
    for how, to in (("pkey", modern), ("ec", old)):
        openssl(how, "-in", key, "-aes256", "-passout", "pass:secret", "-out", to)
    with open(old) as f:
        has(f.read(), "Proc-Type: 4,ENCRYPTED")
    locked = t.path("locked.pem")
    with open(certificate) as f, open(locked, "w") as to:
        to.write(f.read().replace("BEGIN CERTIFICATE-----\n", "BEGIN CERTIFICATE-----\nProc-Type: "
                                  "4,ENCRYPTED\nDEK-Info: AES-256-CBC,%s\n\n" % ("0a" * 16), 1))
    sentence = "it is encrypted; remove the pass phrase of a key with 'openssl pkey -in FILE -out NEW'"
    for files, words in ((("--tls-cert", certificate, "--tls-key", modern), "%s': %s" % (modern, sentence)),
                         (("--tls-cert", certificate, "--tls-key", old), "%s': %s" % (old, sentence)),
                         (("--tls-cert", locked, "--tls-key", key), "%s': %s" % (locked, sentence)),
                         (("--tls-cert", certificate, "--tls-key", key, "--tls-ca", locked), locked)):
        # Without a terminal OpenSSL reads from standard input, where nothing comes.
        process = subprocess.Popen(
            [t.run.build.rum, "-s", tls(), "-d", closed_port(), *files, "--check"],
            env=environment(t, t.path("report")), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True)
        try:
            process.wait(20 * t.scale)
        finally:
            process.kill()
        err = process.stderr.read().decode()
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()
        same(process.returncode, 1, "what --check ends with")
        has(err, words)

    # One that takes the place of the key in use does no harm either.
    echo, here, used = t.keep(Echo()), tls(), t.path("used.key")
    shutil.copy(key, used)
    rum = t.rum("-s", here, "-d", echo.address, "--tls-cert", certificate, "--tls-key", used,
                prepare=os.setsid)
    shutil.copy(modern, used + ".new")
    os.rename(used + ".new", used)
    rum.wait_log(sentence)
    same(ask_tls(here, client_context(authority)), b"hello")


class HandshakeFails(peers.Server):
    """Reads the beginning of a handshake and answers with these bytes and the end, or not at all."""

    def __init__(self, answer=b""):
        self.answer = answer
        super().__init__()
        self.address = "tls:" + self.address[4:]

    def handle(self, connection):
        connection.recv(1 << 16)
        if self.answer is None:
            connection.recv(1)
        else:
            connection.sendall(self.answer)


@test("When the TLS handshake with a server fails the next one is tried, and the circuit breaker counts it")
def _(t):
    authority, stranger = Authority(t.folder), Authority(t.folder, "stranger")
    good = t.keep(TlsEcho(*authority.sign("good")))
    bad = [t.keep(HandshakeFails()), t.keep(HandshakeFails(b"HTTP/1.0 400 Bad Request\r\n\r\n")),
           t.keep(HandshakeFails(None)), t.keep(TlsEcho(*stranger.sign("bad")))]
    verify = ("--upstream-tls", "verify", "--upstream-tls-ca", authority.certificate,
              "--first-byte-timeout", "500ms")
    for one in bad:
        here = tcp()
        rum = t.rum("-s", here, "-d", "%s,%s" % (one.address, good.address), *verify,
                    "--breaker", "2/10m")
        for _ in range(3):
            with connect(here) as s:
                s.sendall(b"hello")
                same(net.read_exact(s, 5), b"hello")
        same(one.accepted, 2, "connections to the bad one")
        same(rum.stats()["circuit_breaker"]["opened"], 1)
        same({r["destination"] for r in rum.wait_sessions(3)}, {good.address})
    here = tcp()
    rum = t.rum("-s", here, "-d", "%s,%s" % (bad[3].address, bad[0].address), *verify)
    with connect(here) as s:
        same(net.read_all(s), b"")
    record = rum.session()
    same((record["reason"], record["destination"]), ("tls_failed", bad[0].address))


@test("A server that begins the handshake anew, or changes its keys, goes on", seconds=60)
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("back")
    for version, commands in (("-tls1_2", b"rR"), ("-tls1_3", b"kK")):
        server = OpensslServer(certificate, key, version)
        try:
            here = tcp()
            rum = t.rum("-s", here, "-d", server.address, "--upstream-tls", "verify",
                        "--upstream-tls-ca", authority.certificate)
            with connect(here) as s:
                for number in range(6):
                    s.sendall(b"<client %d>\n" % number)
                    server.hears(b"<client %d>" % number)
                    server.say(commands[number % 2:number % 2 + 1])
                    net.until(lambda: server.heard.count(b"SSL_do_handshake -> 1") == number + 1, 10,
                              "it has begun")
                    server.say(b"<server %d>" % number)
                    same(net.read_exact(s, 11), b"<server %d>\n" % number)
                    s.sendall(b"<again %d>\n" % number)
                    server.hears(b"<again %d>" % number)
            same(rum.session()["reason"], "client_closed")
        finally:
            server.close()


class OpensslServer:
    """openssl s_server: a line that begins with r, R, k or K is a command, any other is sent."""

    def __init__(self, certificate, key, *options):
        port = net.free_port()
        self.address, self.heard = "tls:127.0.0.1:%d" % port, bytearray()
        self.process = subprocess.Popen(
            ["stdbuf", "-o0", "openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert", certificate, "-key", key,
             *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        self.hears(b"ACCEPT")

    def _listen(self):
        for data in iter(lambda: self.process.stdout.read1(65536), b""):
            self.heard.extend(data)

    def say(self, line):
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def hears(self, text):
        net.until(lambda: text in self.heard, 10, lambda: "%r in %r" % (text, bytes(self.heard)))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.thread.join(10)
        self.process.stdin.close()
        self.process.stdout.close()


@test("No session with a server is resumed, toward another or the same")
def _(t):
    authority = Authority(t.folder)
    reused = []

    class Watched(TlsEcho):
        def handle(self, connection):
            s = self.context.wrap_socket(connection, server_side=True)
            reused.append(s.session_reused)
            Echo.handle(self, s)
    servers = [t.keep(Watched(*authority.sign("back%d" % i))) for i in range(2)]
    here = tcp()
    t.rum("-s", here, "-d", ",".join(s.address for s in servers), "--balance", "round-robin")
    for _ in range(6):
        same(ask(here), b"hello")
    same(reused, [False] * 6)


@test("64 MB go through TLS on both sides, both ways at once, byte for byte", seconds=90)
def _(t):
    authority = Authority(t.folder)
    echo = t.keep(TlsEcho(*authority.sign("back")))
    certificate, key = authority.sign("front")
    here = tls()
    t.rum("-s", here, "-d", echo.address, "--tls-cert", certificate, "--tls-key", key)
    blocks = bulk(64, seed=7)
    with connect_tls(here, client_context(authority)) as s:
        same(exchange(s, blocks(), 64 * MEGA), (64 * MEGA, digest(blocks())))


@test("A certificate that is replaced serves the next client; a bad one leaves the old in use")
def _(t):
    authority = Authority(t.folder)
    first, second = authority.sign("first"), authority.sign("second")
    certificate, key = t.path("used.pem"), t.path("used.key")

    def use(pair):
        for source, target in zip(pair, (certificate, key)):
            shutil.copy(source, target + ".new")
            os.rename(target + ".new", target)

    def shown(address):
        with connect_tls(address, client_context(authority)) as s:
            return dict(x[0] for x in s.getpeercert()["subject"])["commonName"]

    use(first)
    echo = t.keep(Echo())
    here = tls()
    rum = t.rum("-s", here, "-d", echo.address, "--tls-cert", certificate, "--tls-key", key)
    same(shown(here), "first")
    with connect_tls(here, client_context(authority)) as old:
        use(second)
        net.until(lambda: shown(here) == "second", 10, "the second certificate is shown")
        old.sendall(b"still here")
        same(net.read_exact(old, 10), b"still here")
    with open(certificate, "w") as f:
        f.write("nonsense")
    net.until(lambda: "keeps the certificates in use" in rum.log(), 10, "the bad file is told in the log")
    same(shown(here), "second")


@test("A certificate that has expired, or soon will, is warned of whenever it is read, and its date told")
def _(t):
    authority = Authority(t.folder)
    used = t.path("used.pem")

    def use(name, days):
        certificate, key = authority.sign(name, days=days)
        with open(used + ".new", "w") as to:
            for path in (certificate, key):
                with open(path) as f:
                    to.write(f.read())
        os.rename(used + ".new", used)
        text = subprocess.check_output(["openssl", "x509", "-in", used, "-noout", "-enddate"], text=True)
        return int(ssl.cert_time_to_seconds(text.strip().split("=")[1]))

    def told(rum):
        return (rum.stats()["tls"]["certificate_not_after"],
                rum.metrics()["rum_tls_certificate_not_after_seconds"])
    arguments = ("-s", tls(), "-d", closed_port(), "--tls-cert", used)
    expired = use("expired", -1)
    words = "the certificate '%s' has expired, on 20" % used
    code, out, err = run_once(t, *arguments, "--check")
    same((code, out), (0, "rum: the configuration is good\n"), "--check")
    has(err, words)
    rum = t.rum(*arguments)
    rum.wait_log(words)
    same(told(rum), (expired, expired), "the date")
    soon = use("soon", 13)
    rum.wait_log("the certificate '%s' expires soon, on 20" % used)
    net.until(lambda: told(rum) == (soon, soon), 10, "the date is told anew")
    good = use("good", 20)
    net.until(lambda: told(rum) == (good, good), 10, "the date is told anew")
    same(rum.log().count("the certificate '"), 2, "warnings")
    code, _, err = run_once(t, *arguments, "--check")
    same((code, err), (0, ""), "--check of a good one")


@test("A TLS session is resumed by a ticket")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    echo = t.keep(Echo())
    here = tls()
    t.rum("-s", here, "-d", echo.address, "--tls-cert", certificate, "--tls-key", key)
    context = client_context(authority)
    with connect_tls(here, context) as s:
        s.sendall(b"x")
        net.read_exact(s, 1)
        session = s.session
    with connect_tls(here, context, session) as s:
        s.sendall(b"y")
        net.read_exact(s, 1)
        check(s.session_reused, "the second handshake is a resumption")


@test("Plain text, garbage, half a handshake and silence on a TLS port end only themselves")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    echo = t.keep(Echo())
    here = tls()
    rum = t.rum("-s", here, "-d", echo.address, "--tls-cert", certificate, "--tls-key", key,
                "--login-timeout", "1s")
    with connect(here) as s:
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        net.read_all(s)
    same(rum.session()["reason"], "tls_failed")
    with connect(here) as s:
        # One of 512 random beginnings is that of a longer hello, as SSL 2 wrote it.
        s.sendall(b"\0" + os.urandom(4999))
        check(net.ended(s) is not None, "ended")
    same(rum.session(1)["reason"], "tls_failed")
    with connect(here) as s:
        s.sendall(b"\x16\x03\x01\x02\x00\x01")
        net.read_all(s)
    same(rum.session(2)["reason"], "login_timeout")
    same(ask_tls(here, client_context(authority)), b"hello")


@test("The end of a TLS client is passed on, and what the server says after it arrives")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    reply = net.pattern(3 * MEGA)
    server = t.keep(peers.ReplyAfterEnd(reply))
    here = tls()
    t.rum("-s", here, "-d", server.address, "--tls-cert", certificate, "--tls-key", key)
    # Python closes both ways at once, so the end is made on the socket below TLS.
    raw = connect(here)
    context = client_context(authority)
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    s = context.wrap_bio(inside, outside, server_hostname="localhost")

    def pump(step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                if outside.pending:
                    raw.sendall(outside.read())
                data = raw.recv(65536)
                inside.write(data) if data else inside.write_eof()

    pump(s.do_handshake)
    s.write(b"the request")
    raw.sendall(outside.read())
    raw.shutdown(socket.SHUT_WR)
    got = b""
    while len(got) < len(reply):
        got += pump(lambda: s.read(65536))
    raw.close()
    same(got, reply)


@test("A TLS listener is refused at start when its certificate is missing or does not fit its key")
def _(t):
    authority = Authority(t.folder)
    (one, key), (_, other_key) = authority.sign("one"), authority.sign("other")
    text = t.path("text")
    with open(text, "w") as f:
        f.write("no PEM\n")
    for options, words in ((("--tls-cert", t.path("none.pem")), "none.pem': No such file or directory"),
                           (("--tls-cert", one, "--tls-key", t.path("none.key")),
                            "one.pem': the key '%s': No such file or directory" % t.path("none.key")),
                           (("--tls-cert", text), "text': the file has no certificate in PEM form"),
                           (("--tls-cert", key), "one.key': the file has no certificate in PEM form"),
                           (("--tls-cert", one), "one.pem': the file has no private key in PEM form"),
                           (("--tls-cert", one, "--tls-key", key, "--tls-ca", t.path("none.pem")),
                            "none.pem': No such file or directory"),
                           (("--tls-cert", one, "--tls-key", key, "--tls-ca", text),
                            "text': the file has no certificate in PEM form"),
                           (("--tls-cert", one, "--tls-key", other_key), "key values mismatch"),
                           (("--tls-min-version", "1.0"), "1.2 or 1.3")):
        rum = t.rum("-s", tls(), "-d", closed_port(), *options,
                    "--state-dir", t.path("state"), wait=False)
        code = rum.process.wait(10)
        check(code != 0, "rum does not start")
        has(rum.log(), words, "what it said")
        rum.ended = True

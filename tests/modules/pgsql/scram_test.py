#!/usr/bin/env python3
"""Logs psql in at a real PostgreSQL through rum's two SCRAM roles (scram_roles, with this file as its
sockets), and compares what they refuse with what the server refuses."""

import base64
import glob
import hashlib
import hmac
import os
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

ROLES = os.path.abspath("tests/modules/pgsql/scram_roles")
TIMEOUT = 20  # seconds, for each thing that is waited for
PASSWORD = "pencil"
BINARIES = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
PATH = os.pathsep.join(BINARIES[::-1] + [os.environ["PATH"]])

if not all(shutil.which(program, path=PATH) for program in ("initdb", "postgres", "psql", "openssl")):
    print("SKIP: there is no PostgreSQL with psql, or no openssl (Debian: postgresql postgresql-client"
          " openssl)")
    sys.exit(77)


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=4 * TIMEOUT, **options).stdout


def make_verifier(password, salt, iterations):
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (iterations, *(base64.b64encode(part).decode()
                                                       for part in (salt, stored, server)))


class Server:
    """A cluster in a folder of its own; the server does not run as root."""

    def __init__(self, folder):
        self.user = "postgres" if os.getuid() == 0 else None
        self.folder = folder
        self.data = folder + "/data"
        self.make_certificate("server")
        if self.user:
            for name in ("", "/server.key", "/server.pem"):
                shutil.chown(folder + name, self.user)
        self.own("initdb", "-D", self.data, "-U", "admin", "-A", "trust", "--no-sync")
        with open(self.data + "/pg_hba.conf", "w", encoding="ascii") as hba:
            hba.write("local all all trust\nhost all hashed 127.0.0.1/32 md5\n"
                      "host all all 127.0.0.1/32 scram-sha-256\n")
        for _ in range(5):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            if self.start():
                return
        raise RuntimeError(open(folder + "/log", encoding="utf-8").read())

    def own(self, *command):
        return run(*command, env={"PATH": PATH, "LC_ALL": "C"}, cwd="/", user=self.user)

    def start(self):
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "fsync": "off",
                    "unix_socket_directories": self.folder, "ssl": "on",
                    "ssl_cert_file": self.folder + "/server.pem",
                    "ssl_key_file": self.folder + "/server.key", "log_connections": "on",
                    "authentication_timeout": "%ds" % TIMEOUT}
        command = [shutil.which("postgres", path=PATH), "-D", self.data]
        command += [word for name, value in settings.items() for word in ("-c", "%s=%s" % (name, value))]
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, user=self.user, cwd="/",
                                            env={"LC_ALL": "C"})
        deadline = time.monotonic() + 3 * TIMEOUT
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                self.sql("SELECT 1")
                return True
            except subprocess.CalledProcessError:
                time.sleep(0.05)
        return False

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def sql(self, *statements):
        words = [word for statement in statements for word in ("-c", statement)]
        return run("psql", "-X", "-w", "-At", "-h", self.folder, "-p", str(self.port), "-U", "admin",
                   "-d", "postgres", *words, env={"PATH": PATH, "LC_ALL": "C"}).decode().strip()

    def secret(self, role):
        return self.sql("SELECT rolpassword FROM pg_authid WHERE rolname = '%s'" % role)

    def make_certificate(self, name):
        path = "%s/%s" % (self.folder, name)
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path + ".key", "-out",
            path + ".pem", "-days", "2", "-subj", "/CN=" + name, "-addext",
            "subjectAltName=IP:127.0.0.1")
        os.chmod(path + ".key", 0o600)
        return path


class Roles:
    """The program under test: a line in, a line out."""

    def __init__(self):
        self.process = subprocess.Popen([ROLES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command, *values):
        """The answer as bytes, or as the text of a fault."""
        values = [value.encode() if isinstance(value, str) else value for value in values]
        print(command, *(value.hex() or "-" for value in values), file=self.process.stdin, flush=True)
        word, _, rest = self.process.stdout.readline().strip().partition(" ")
        if word == "ok":
            return b"" if rest == "-" else bytes.fromhex(rest)
        if word != "fault":
            raise RuntimeError("scram_roles ended")
        return rest

    def close(self):
        self.process.stdin.close()
        self.process.wait(TIMEOUT)
        self.process.stdout.close()


class Link:
    """One side of a session: messages over a socket, with TLS or without."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(TIMEOUT)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.sock.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def message(self):
        kind = self.exactly(1)
        return kind, self.exactly(struct.unpack("!I", self.exactly(4))[0] - 4)

    def send(self, kind, body=b""):
        self.sock.sendall(kind + struct.pack("!I", len(body) + 4) + body)

    def close(self):
        self.sock.close()


def fields(body):
    """Those of an ErrorResponse."""
    return {part[:1]: part[1:] for part in body.split(b"\0") if part}


def open_back(server, tls):
    link = Link(socket.create_connection(("127.0.0.1", server.port), TIMEOUT))
    if tls:
        link.sock.sendall(struct.pack("!II", 8, 80877103))
        assert link.exactly(1) == b"S"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        link.sock = context.wrap_socket(link.sock)
    return link


def startup(user):
    body = struct.pack("!I", 0x30000) + b"user\0" + user.encode() + b"\0database\0postgres\0\0"
    return struct.pack("!I", len(body) + 4) + body


class Front(threading.Thread):
    """Takes one session after the other, until stop(). `verifiers`: the map. Notes what happened."""

    def __init__(self, server, verifiers, certificate, back_tls):
        super().__init__()
        self.server, self.verifiers, self.back_tls = server, verifiers, back_tls
        self.certificate = certificate  # None: no TLS
        self.notes, self.backs, self.failure = [], 0, None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.join(2 * TIMEOUT)
        self.listener.close()
        if self.failure:
            raise self.failure

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            roles = Roles()
            link = Link(sock)
            try:
                self.session(link, roles)
            except (EOFError, ConnectionError, ssl.SSLError):
                self.notes.append("the client went away")
            except Exception as error:  # told by stop()
                self.failure = error
            finally:
                link.close()
                roles.close()

    def session(self, link, roles):
        packet, binding = self.first_packet(link), b""
        if packet[:4] == struct.pack("!I", 80877103):
            link.sock.sendall(b"S" if self.certificate else b"N")
            if self.certificate:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.certificate + ".pem", self.certificate + ".key")
                link.sock = context.wrap_socket(link.sock, server_side=True)
                with open(self.certificate + ".pem", encoding="ascii") as pem:
                    binding = roles.ask("hash", ssl.PEM_cert_to_DER_cert(pem.read()))
            packet = self.first_packet(link)
        words = packet[4:].split(b"\0")
        user = words[words.index(b"user") + 1].decode()
        roles.ask("user", user)
        known = user in self.verifiers
        mechanisms = roles.ask("edge" if known else "mock", self.verifiers[user] if known else user,
                               binding)
        link.send(b"R", struct.pack("!I", 10) + mechanisms)
        initial = link.message()[1]
        self.notes.append("client: " + initial.split(b"\0")[0].decode())
        step = roles.ask("initial", initial)
        if isinstance(step, bytes):
            link.send(b"R", struct.pack("!I", 11) + step)
            step = roles.ask("final", link.message()[1])
        if isinstance(step, str):
            return self.refuse(link, step)
        back = open_back(self.server, self.back_tls)
        try:
            self.backs += 1
            fault = self.log_in(back, packet, roles)
            if fault:
                return self.refuse(link, "57P03 " + fault)
            link.send(b"R", struct.pack("!I", 12) + step)
            link.send(b"R", struct.pack("!I", 0))
            self.relay(link.sock, back.sock)
        finally:
            back.close()

    def first_packet(self, link):
        return link.exactly(struct.unpack("!I", link.exactly(4))[0] - 4)

    def refuse(self, link, text):
        self.notes.append("refused: " + text)
        code, _, message = text.partition(" ")
        link.send(b"E", b"".join(name + value.encode() + b"\0" for name, value in (
            (b"S", "FATAL"), (b"V", "FATAL"), (b"C", code), (b"M", message))) + b"\0")

    def log_in(self, back, packet, roles):
        """By the second role. Returns why not."""
        back.sock.sendall(struct.pack("!I", len(packet) + 4) + packet)
        binding = b""
        if self.back_tls:
            binding = roles.ask("hash", back.sock.getpeercert(True))
        for kind, command in ((10, "back"), (11, "continue"), (12, "finish")):
            name, body = back.message()
            if name == b"E":
                return "server: " + fields(body)[b"M"].decode()
            if (name, struct.unpack("!I", body[:4])[0]) != (b"R", kind):
                return "not R %d: %r" % (kind, body)
            step = roles.ask(command, body[4:], *((binding,) if command == "back" else ()))
            if isinstance(step, str):
                return "fault " + step
            if command == "back":
                self.notes.append("server: " + step.split(b"\0")[0].decode())
            if step:
                back.send(b"p", step)
        name, body = back.message()
        return None if (name, body) == (b"R", struct.pack("!I", 0)) else "no AuthenticationOk"

    def relay(self, client, server):
        client.settimeout(None)
        server.settimeout(None)
        while True:
            ready = [sock for sock in (client, server)
                     if isinstance(sock, ssl.SSLSocket) and sock.pending()]
            for sock in ready or select.select([client, server], [], [], TIMEOUT)[0]:
                data = sock.recv(65536)
                if not data:
                    return
                (server if sock is client else client).sendall(data)


class ScramTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rum-scram-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.server = Server(cls.folder)
        cls.addClassCleanup(cls.server.stop)
        cls.long = make_verifier(PASSWORD, bytes(range(32)), 16)
        cls.server.sql("CREATE ROLE alice LOGIN PASSWORD '%s'" % PASSWORD,
                       "CREATE ROLE long LOGIN PASSWORD '%s'" % cls.long,
                       "CREATE ROLE moved LOGIN PASSWORD '%s'" % PASSWORD,
                       "SET password_encryption = md5",
                       "CREATE ROLE hashed LOGIN PASSWORD '%s'" % PASSWORD)
        cls.map = {role: cls.server.secret(role) for role in ("alice", "long", "moved")}
        cls.certificate = cls.server.make_certificate("rum")

    def front(self, back_tls=False, tls=True):
        front = Front(self.server, self.map, self.certificate if tls else None, back_tls)
        self.addCleanup(front.stop)
        return front

    def psql(self, port, user, password=PASSWORD, **settings):
        environment = {"PATH": PATH, "LC_ALL": "C", "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "20"}
        settings = dict({"sslmode": "require"}, **settings)
        target = "host=127.0.0.1 port=%d user=%s dbname=postgres " % (port, user)
        target += " ".join("%s=%s" % pair for pair in settings.items())
        return subprocess.run(["psql", "-X", "-w", "-At", "-d", target, "-c", "SELECT current_user"],
                              env=environment, capture_output=True, text=True, timeout=2 * TIMEOUT)

    def test_psql_logs_in_with_any_links(self):
        for tls in (True, False):
            for back_tls in (True, False):
                front = self.front(back_tls, tls)
                for user in ("alice", "long"):
                    with self.subTest(tls=tls, back_tls=back_tls, user=user):
                        front.notes.clear()
                        done = self.psql(front.port, user, sslmode="require" if tls else "prefer")
                        self.assertEqual((done.stdout, done.stderr), (user + "\n", ""))
                        plus = {True: "SCRAM-SHA-256-PLUS", False: "SCRAM-SHA-256"}
                        self.assertEqual(front.notes[:2],
                                         ["client: " + plus[tls], "server: " + plus[back_tls]])

    def test_psql_logs_in_with_channel_binding_required_or_disabled(self):
        front = self.front(back_tls=True)
        for how in ("require", "disable"):
            done = self.psql(front.port, "alice", channel_binding=how)
            self.assertEqual((done.stdout, done.stderr), ("alice\n", ""))

    def test_a_wrong_password_never_reaches_the_server(self):
        front = self.front()
        for user in ("alice", "nobody"):
            done = self.psql(front.port, user, "wrong")
            self.assertIn('password authentication failed for user "%s"' % user, done.stderr)
            self.assertEqual(front.notes[-1],
                             'refused: 28P01 password authentication failed for user "%s"' % user)
        self.assertEqual(front.backs, 0)

    def test_no_proof_goes_to_a_server_with_another_verifier(self):
        front = self.front()
        self.server.sql("ALTER ROLE moved PASSWORD '%s'" % PASSWORD)  # the same one, another salt
        done = self.psql(front.port, "moved")
        self.assertIn("fault 5", done.stderr)  # kOtherVerifier
        self.server.sql("ALTER ROLE moved RENAME TO gone")
        self.assertIn("fault 5", self.psql(front.port, "moved").stderr, "the server's own mock")

    def test_an_md5_answer_logs_in(self):
        roles = Roles()
        self.addCleanup(roles.close)
        for secret, expected in ((self.server.secret("hashed"), b"R"), ("md5" + "0" * 32, b"E")):
            back = open_back(self.server, False)
            back.sock.sendall(startup("hashed"))
            kind, body = back.message()
            self.assertEqual((kind, body[:4]), (b"R", struct.pack("!I", 5)))
            back.send(b"p", roles.ask("md5", secret, body[4:]) + b"\0")
            self.assertEqual(back.message()[0], expected)
            back.close()

    # What a client may send, and what it gets: messages are those of the server itself.

    def of_server(self, tls, initial, final):
        back = open_back(self.server, tls)
        try:
            back.sock.sendall(startup("alice"))
            back.message()
            back.send(b"p", initial)
            kind, body = back.message()
            if kind == b"R":
                back.send(b"p", final(body[4:]))
                kind, body = back.message()
            if kind == b"R":
                return "good"
            return (fields(body)[b"C"] + b" " + fields(body)[b"M"]).decode()
        finally:
            back.close()

    def of_rum(self, roles, binding, initial, final):
        roles.ask("user", "alice")
        roles.ask("edge", self.map["alice"], binding)
        step = roles.ask("initial", initial)
        if isinstance(step, bytes):
            step = roles.ask("final", final(step))
        return step if isinstance(step, str) else "good"

    def test_refuses_what_the_server_refuses_in_its_words(self):
        def initial(message, plus=False):
            mechanism = b"SCRAM-SHA-256-PLUS" if plus else b"SCRAM-SHA-256"
            return mechanism + b"\0" + struct.pack("!I", len(message)) + message

        def nonce(first):
            return first.split(b",")[0]  # r=...

        proof = b",p=" + base64.b64encode(bytes(32))

        def final(first):
            return b"c=biws," + nonce(first) + proof

        header = b"p=tls-server-end-point,,"
        cases = [(tls, initial(text, plus), final) for tls, plus, text in (
            (0, 0, b"n,,n=,r=abc"), (0, 0, b"n,,n=,r=abc,x=y"),
            (0, 0, b"n,,n=,r=abc,x"), (0, 0, b"n,,r=abc"), (0, 0, b"n,,"), (0, 0, b"n"), (0, 0, b""),
            (0, 0, b"x,,n=,r=abc"), (0, 0, b"n,a=bob,n=,r=abc"), (0, 0, b"n,b=bob,n=,r=abc"),
            (0, 0, b"n,,m=x,n=,r=abc"), (0, 0, b"n,,n=,r=a bc"), (0, 0, b"n,,n=,r=a\xc3\xa9"),
            (0, 0, b"n,,n=,r=ab\0c"), (0, 0, header + b"n=,r=abc"), (0, 1, header + b"n=,r=abc"),
            (0, 0, b"n,,n=,r=" + b"a" * 2000), (1, 0, b"n,,n=,r=abc"), (1, 0, b"y,,n=,r=abc"),
            (1, 0, header + b"n=,r=abc"), (1, 1, b"n,,n=,r=abc"), (1, 1, b"y,,n=,r=abc"),
            (1, 1, header + b"n=,r=abc"), (1, 1, b"p=tls-exporter,,n=,r=abc"),
            (1, 1, b"p=tls-server-end-point,a=bob,n=,r=abc"))]
        cases += [(0, b"SCRAM-SHA-1\0" + struct.pack("!I", 11) + b"n,,n=,r=abc", final)]
        cases += [(0, initial(b"n,,n=,r=abc"), change) for change in (
            lambda first: b"c=eSws," + nonce(first) + proof, lambda first: b"c=," + nonce(first) + proof,
            lambda first: nonce(first) + proof, lambda first: b"c=biws," + nonce(first),
            lambda first: b"c=biws," + nonce(first) + b"x" + proof,
            lambda first: b"c=biws,r=abc" + proof, lambda first: final(first) + b",x=y",
            lambda first: b"c=biws," + nonce(first) + b",x=y" + proof,
            lambda first: b"c=biws," + nonce(first) + b",p=AAAA",
            lambda first: b"c=biws," + nonce(first) + b",p=!", lambda first: b"", lambda first: b"\0",
            lambda first: final(first) + b"\0")]
        roles = Roles()
        self.addCleanup(roles.close)
        with open(self.folder + "/server.pem", encoding="ascii") as pem:
            binding = roles.ask("hash", ssl.PEM_cert_to_DER_cert(pem.read()))
        bound = b"c=" + base64.b64encode(header + binding) + b","
        cases += [(1, initial(header + b"n=,r=abc", True),
                   lambda first: bound + nonce(first) + proof)]
        seen = set()
        for first in (b"", b"SCRAM-SHA-256\0",
                      b"SCRAM-SHA-256\0" + struct.pack("!I", 99) + b"n,,n=,r=abc"):
            # Not even SASL: the server's text is of its reader of messages.
            self.assertEqual(self.of_rum(roles, b"", first, final)[:5],
                             self.of_server(0, first, final)[:5])
        for tls, first, last in cases:
            with self.subTest(tls=tls, initial=first, final=last(b"r=NONCE,s=,i=1")):
                expected = self.of_server(tls, first, last)
                actual = self.of_rum(roles, binding if tls else b"", first, last)
                if actual.endswith("unsupported SCRAM channel-binding type"):
                    expected = expected.rpartition(" ")[0]  # without the type
                self.assertEqual(actual, expected)
                seen.add(expected)
        self.assertGreaterEqual(len(seen), 9, seen)


if __name__ == "__main__":
    unittest.main()

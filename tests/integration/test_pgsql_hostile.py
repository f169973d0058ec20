"""pgsql.so between clients and servers that lie: what is said out of turn, too much, or to forge the log."""

import socket
import struct

from pgsql_setup import Front
from support import net
from support.certificates import Authority
from support.harness import check, same, test
from support.peers import Server
from support.pgsql_wire import SSL_REQUEST, Closed, cancel, message, startup

NEEDS = ("pgsql.so",)
OFF = ("--pgsql-upstream-tls", "off")
HELLO = startup({"user": "alice", "database": "app"})
OK = message("R", struct.pack("!I", 0))
MD5 = message("R", struct.pack("!I", 5) + b"salt")
KEY = message("K", b"pidxkeyx")
READY = message("Z", b"I")


class Liar(Server):
    """Reads the Startup, and says for each client's message the next of its lines; then the end."""

    def __init__(self, *lines, ends=None):
        self.lines, self.ends, self.heard = lines, ends, []
        super().__init__()

    def handle(self, connection):
        for line in self.lines:
            self.heard.append(connection.recv(70000))
            connection.sendall(line)
        if self.ends:
            self.ends(connection)
        else:
            while connection.recv(70000):
                pass


def whole(client):
    """What a client reads up to the end, and None behind it if that is a reset."""
    heard = b""
    try:
        while more := client.socket.recv(70000):
            heard += more
    except ConnectionResetError:
        return heard + b"(reset)"
    return heard


@test("Bytes behind a request for TLS are never read as if they had come by TLS", needs=NEEDS)
def _(t):
    server = t.keep(Liar(OK + KEY + READY))
    rum = Front(t, *OFF, default=server.address,
                tls=Authority(t.folder).sign("rum", "DNS:localhost"))
    client = rum.client().send(SSL_REQUEST + HELLO)
    same(client.read(1), b"S")
    whole(client)
    rum.rum.wait_sessions(1)
    same((rum.rum.session()["reason"], server.accepted), ("tls_failed", 0))
    # The same behind a TLS handshake that is whole.
    client = rum.client(tls=True).send(HELLO)
    same(client.until("Z")[0], ("R", struct.pack("!I", 0)))


@test("First packets of any length and code end, and reach no server", needs=NEEDS)
def _(t):
    server = t.keep(Liar(OK))
    rum = Front(t, *OFF, default=server.address)
    bad = [struct.pack("!II", size, 0x30000) for size in (0, 1, 3, 4, 7, 10005, 0x7fffffff, 0xffffffff)]
    bad += [cancel(b""), cancel(b"1234567"), cancel(b"k" * 261), b"GET / HTTP/1.0\r\n\r\n"]
    for packet in bad:
        same(whole(rum.client().send(packet)).replace(b"(reset)", b""), b"", "no answer, as by a server")
    for packet in (startup({"user": "alice"}, 0x20000), struct.pack("!II", 8, 80877105),
                   startup({"User": "alice"}), startup({"user": ""}), HELLO[:-1] + b"x",
                   struct.pack("!II", len(HELLO) + 3, 0x30000) + HELLO[8:] + b"abc"):
        heard = whole(rum.client().send(packet))
        same(heard[:1], b"E", packet)
    same(server.accepted, 0)
    rum.rum.wait_sessions(len(bad) + 6)


@test("What a client or a server says cannot forge or colour a line of the log", needs=NEEDS)
def _(t):
    bad = b"S\x1b[2J\0C\x1b[\n]\0M\x1b]0;x\x07\nevent\0\0"
    server = t.keep(Liar(message("E", bad)))
    for log in ("json", "text"):
        rum = Front(t, *OFF, default=server.address, log=log)
        name = "al\x1b[31mice\n\"session\" id=1 \u202e"
        client = rum.client().send(startup({"user": name, "database": name}))
        same(client.read_message(), ("E", bad), "the client reads its server's words")
        net.until(lambda: "session" in rum.rum.log(), 10, "the line")
        check(not any(c < " " and c != "\n" for c in rum.rum.log()), repr(rum.rum.log()))


@test("A server that talks without an end in a login is refused, and rum keeps little of it", needs=NEEDS)
def _(t):
    notice = message("N", b"SNOTICE\0M" + b"n" * 60000 + b"\0\0")

    def talk(connection):
        for _ in range(2000):  # 120 MB
            connection.sendall(notice)

    for said in (b"", OK):
        server = t.keep(Liar(said, ends=talk))
        rum = Front(t, *OFF, default=server.address)
        before = rum.rum.resident()
        clients = [rum.client().send(HELLO) for _ in range(8)]  # which read nothing
        rum.rum.wait_sessions(8)
        grown = rum.rum.resident() - before
        check(grown < 64 << 20, "%d MiB" % (grown >> 20))
        same({r["reason"] for r in rum.rum.sessions()}, {"upstream_protocol"})
        same(len(clients), 8)


@test("A login that one side resets at any step ends at once, and by an error if the client lives",
      needs=NEEDS)
def _(t):
    steps = (MD5, OK, KEY)
    for count in range(len(steps) + 1):
        for ends in (net.reset, socket.socket.close):
            said = b"".join(steps[:count])
            server = t.keep(Liar(said, ends=ends))
            rum = Front(t, *OFF, default=server.address)
            heard = whole(rum.client().send(HELLO))
            check(heard.startswith(said), heard)
            same(heard[len(said):len(said) + 1], b"E", heard)
            check(b"57P03" in heard, heard)
            quiet = t.keep(Liar(said))
            rum = Front(t, *OFF, default=quiet.address)
            client = rum.client().send(HELLO)
            client.read(len(said))
            connection = quiet.connection()
            ends(client.socket)
            rum.rum.wait_sessions(1)
            net.until(lambda: connection.fileno() < 0, 10, lambda: "the server's side ends")


@test("A trickle does not hold a login beyond its time", needs=NEEDS)
def _(t):
    def trickle(connection):
        for byte in message("N", b"SNOTICE\0M" + b"n" * 600 + b"\0\0"):
            connection.sendall(bytes([byte]))
            net.readable(connection, 0.1)

    server = t.keep(Liar(b"", ends=trickle))
    rum = Front(t, *OFF, "--login-timeout", "2s", default=server.address)
    heard = whole(rum.client().send(HELLO))
    check(b"08006" in heard, heard)
    client = rum.client()
    try:
        for byte in HELLO * 20:
            client.send(bytes([byte]))
            if net.readable(client.socket, 0.1):
                break
    except OSError:
        pass
    rum.rum.wait_sessions(2)
    same({r["reason"] for r in rum.rum.sessions()}, {"login_timeout"})

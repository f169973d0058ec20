"""Faults during a MySQL login: servers that are down, full or broken, clients that vanish or talk
nonsense. Each ends with one error that the client understands, and harms nobody else."""

import os
import random
import socket
import struct
import threading
import time

from mysql_setup import front, row, usual_map, write_map
from support import mysql_wire, net, newer_servers, peers
from support.harness import check, full, has, same, test
from support.mariadb import password
from support.mysql_wire import (Client, FakeServer, ServerError, native_token, packet, read_packet,
                                response)
from support.peers import closed_port

BOTH = ("mysql.so", "mariadb")


def error_of(here, user="alice", word="pw", **more):
    with Client(here) as c:
        try:
            c.login(user, word, **more)
        except ServerError as e:
            same(net.ended(c.socket), "closed", "after the error")
            return e
    raise AssertionError("%s logged in" % user)


def tells_nothing_internal(e, *words):
    check(e.sqlstate and len(e.sqlstate) == 5, "a SQL state: %s" % e)
    check(len(e.text) > 10, "a sentence: %s" % e)
    for word in ("127.0.0.1", "127.0.0.2", "/", "cdb", "upstream", "errno", *words):
        check(word not in e.text, "%r in %r" % (word, e.text))


@test("A server that is down gives an error at once that a user understands", needs="mysql.so")
def _(t):
    down = closed_port()
    for mode in ("relay", "rewrite"):
        path = write_map(t, row(t, "alice", down))
        rum, here = front(t, path, "--mysql-auth", mode)
        took = []
        for _ in range(20):
            begin = time.monotonic()
            e = error_of(here, "alice", password("alice"))
            took.append(time.monotonic() - begin)
            tells_nothing_internal(e, down.rsplit(":", 1)[1])
        check(sorted(took)[10] < 0.5 * t.scale, "took %s" % took)
        same({r["reason"] for r in rum.wait_sessions(20)}, {"connect_refused"})


@test("A server that does not answer, or has no address, gives an error at its timeout",
      needs="mysql.so", seconds=60)
def _(t):
    dead = t.keep(peers.NeverAccepts())
    path = write_map(t, ("dead", "", dead.address), ("nameless", "", "tcp:db7.internal.invalid:3306"))
    rum, here = front(t, path, "--connect-timeout", "500ms", "--login-timeout", "30s")
    begin = time.monotonic()
    e = error_of(here, "dead")
    took = time.monotonic() - begin
    check(0.4 < took < 3 * t.scale, "took %.2f s" % took)
    tells_nothing_internal(e, dead.address.rsplit(":", 1)[1])
    tells_nothing_internal(error_of(here, "nameless"), "db7", "internal", "3306")
    same([r["reason"] for r in rum.wait_sessions(2)], ["connect_timeout", "unresolved"])


@test("A full server's error reaches the client well-formed (max_connections)", needs=BOTH)
def _(t):
    server = t.run.servers.own(t, ["--max-connections=10", "--extra-max-connections=1"])
    _, here = front(t, write_map(t, row(t, "alice", server.address)))
    held = []
    for _ in range(30):
        c = Client(server.address)
        try:
            c.login("alice", password("alice"))
            held.append(c)
        except ServerError as e:
            same(e.code, 1040)
            c.close()
            break
    e = error_of(here, "alice", password("alice"))
    same((e.code, e.sqlstate), (1040, "08004"), str(e))
    has(e.text, "Too many connections")
    # PyMySQL blindly cuts the six bytes of a SQL state: the text must be whole.
    import pymysql
    try:
        pymysql.connect(host="127.0.0.1", port=int(here.rsplit(":", 1)[1]), user="alice",
                        password=password("alice"))
        check(False, "logged in")
    except pymysql.MySQLError as e:
        same(e.args, (1040, "Too many connections"))
    for c in held:
        c.close()

    def free():
        try:
            with Client(here) as c:
                c.login("alice", password("alice"))
            return True
        except ServerError:
            return False
    net.until(free, 10, "logins work again")


@test("Errors in place of a server's greeting are passed on with a SQL state and the right number",
      needs="mysql.so")
def _(t):
    for code, text in ((1040, "Too many connections"),
                       (1129, "Host '127.0.0.1' is blocked because of many connection errors"),
                       (1130, "Host 'x' is not allowed to connect to this server"),
                       (1203, "User has already more than 'max_user_connections' connections")):
        def refuse(s, code=code, text=text):
            s.sendall(packet(0, b"\xff" + struct.pack("<H", code) + text.encode()))
        server = t.keep(peers.Script(refuse))
        _, here = front(t, write_map(t, ("alice", "", server.address)))
        with Client(here) as c:
            c.greet()
            c.send(response("alice", native_token("pw", c.greeting.nonce)))
            answer = c.read()
            same(c.sequence, 2, "sequence of the error")
            e = ServerError(answer)
            same(e.code, code)
            check(e.sqlstate, "a SQL state: %s" % e)
            has(e.text, text[:20])
            same(net.ended(c.socket), "closed")


@test("A server that closes or resets at each step of the login gives an error", needs="mysql.so")
def _(t):
    nonce = b"abcdefghij0123456789"

    def at_once(s):
        pass

    def half_greeting(s):
        s.sendall(packet(0, mysql_wire.greeting_payload(nonce))[:30])

    def greeting(s):
        s.sendall(packet(0, mysql_wire.greeting_payload(nonce)))

    def after_response(s):
        greeting(s)
        read_packet(s)

    def after_switch(s):
        after_response(s)
        s.sendall(packet(2, b"\xfemysql_native_password\0" + nonce + b"\0"))

    def after_token(s):
        after_switch(s)
        read_packet(s)

    for step in (at_once, half_greeting, greeting, after_response, after_switch, after_token):
        for reset in (False, True):
            def serve(s, step=step, reset=reset):
                step(s)
                if reset:
                    net.reset(s)
            server = t.keep(peers.Script(serve))
            rum, here = front(t, write_map(t, ("alice", "", server.address)))
            e = error_of(here)
            tells_nothing_internal(e)
            # Reset at once, the connection may not even have been seen as made.
            early = reset and step in (at_once, half_greeting, greeting)
            check(rum.session()["reason"] in ("upstream_gone", "upstream_reset")
                  or early and rum.session()["reason"] == "connect_failed",
                  "%s: %s" % (step.__name__, rum.session()))


@test("A server that talks nonsense in place of its greeting gives an error", needs="mysql.so")
def _(t):
    dice = random.Random(9)
    nonsense = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0" * 200,
                b"\xff" * 200, packet(0, b""), packet(0, b"\x09old"), packet(0, b"\x0a"),
                packet(0, b"\x0aversion without an end"), packet(1, b"\x0anumber one"),
                packet(0, b"\xff"), packet(0, b"\xff\x10"), packet(0, dice.randbytes(100)),
                packet(0, mysql_wire.greeting_payload(b"a" * 20)[:-30]),
                packet(0, mysql_wire.greeting_payload(b"a" * 20, capabilities=0)),
                b"\xff\xff\xff\0" + b"a" * 300_000]
    for data in nonsense:
        server = t.keep(peers.Script(lambda s, data=data: (s.sendall(data), s.recv(1000))))
        rum, here = front(t, write_map(t, ("alice", "", server.address)))
        e = error_of(here)
        check(e.sqlstate, "%r: %s" % (data[:30], e))
        check(rum.session()["reason"] in ("upstream_protocol", "upstream_gone", "upstream_reset",
                                          "upstream_denied", "unsupported"),
              "%r: %s" % (data[:30], rum.session()))


@test("A greeting that comes byte by byte is understood", needs="mysql.so")
def _(t):
    class Slow(FakeServer):
        def handle(self, s):
            class Trickle:
                def sendall(self, data):
                    for byte in data:
                        s.sendall(bytes([byte]))

                def recv(self, n):
                    return s.recv(n)
            super().handle(Trickle())

    server = t.keep(Slow("pw"))
    _, here = front(t, write_map(t, ("alice", "", server.address)))
    for _ in range(5):
        with Client(here) as c:
            c.login("alice", "pw")


GARBAGE = {
    "an HTTP request": b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100dc010000d80303") + os.urandom(200),
    "an SSH banner": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "zeros": bytes(4000),
    "ones": b"\xff" * 4000,
    "an empty packet": packet(1, b""),
    "a short response": packet(1, b"\x85\xa6"),
    "a response cut in its head": packet(1, b"\x85\xa6\xff\x01" + bytes(20)),
    "a user without an end": packet(1, struct.pack("<IIB23x", mysql_wire.USUAL, 1 << 24, 45) + b"user"),
    "a wrong sequence": packet(7, response("alice", b"")),
    "an old client": packet(1, b"\x01\x00\x00\x00\x01user\0password"),
    "a TLS request": packet(1, struct.pack("<IIB23x", mysql_wire.USUAL | mysql_wire.SSL, 1 << 24, 45)),
    "an endless packet": b"\xff\xff\xff\x01" + b"a" * 400_000,
    "a token longer than the packet": packet(1, struct.pack(
        "<IIB23x", mysql_wire.USUAL | mysql_wire.LENENC_AUTH, 1 << 24, 45) + b"u\0\xfe" + b"\xff" * 8),
}


@test("Garbage on the port ends with an error or a close, and harms only that session", needs=BOTH)
def _(t):
    rum, here = front(t, usual_map(t), "-w", "1")
    with Client(here) as safe:
        safe.login("alice", password("alice"))
        for name, data in GARBAGE.items():
            with Client(here) as c:
                c.greet()
                try:
                    c.socket.sendall(data)
                    c.socket.shutdown(socket.SHUT_WR)
                    rest = net.read_all(c.socket)
                except (ConnectionResetError, BrokenPipeError):
                    rest = b""
                if rest:
                    same(rest[4], 0xFF, "%s: an error packet: %r" % (name, rest))
            same(safe.query("SELECT 1"), ["1"], name)
    reasons = {r["reason"] for r in rum.wait_sessions(len(GARBAGE) + 1)[:len(GARBAGE)]}
    check(reasons <= {"client_protocol", "unsupported", "client_gone", "client_reset"}, str(reasons))


@test("Random bytes and responses with flipped bytes never end the process", needs=BOTH, seconds=90)
def _(t):
    rum, here = front(t, usual_map(t), "--login-timeout", "2s")
    dice = random.Random(11)
    good = packet(1, response("alice", b"\1" * 20, mysql_wire.USUAL | mysql_wire.LENENC_AUTH,
                              database="rumtest", attributes=mysql_wire.attribute_bytes(400)))
    cases = [dice.randbytes(dice.randrange(1, 300)) for _ in range(150)]
    for _ in range(350):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 0x7F, 0xFB, 0xFC, 0xFD, 0xFE, 0xFF,
                                                           dice.randrange(256)))
        cases.append(bytes(data[:dice.randrange(4, len(data) + 1)]
                           if dice.random() < 0.5 else data))
    for data in cases:
        with Client(here) as c:
            c.greet()
            try:
                c.socket.sendall(data)
                c.socket.shutdown(socket.SHUT_WR)
                net.read_all(c.socket)
            except OSError:
                pass
    check(rum.alive(), "alive")
    with Client(here) as c:
        c.login("alice", password("alice"))
        same(c.query("SELECT 1"), ["1"])
    rum.wait_sessions(len(cases) + 1)


STEPS = ("at the switch", "responded", "reset at the switch", "reset after the response", "greeted",
         "half a response")


def vanish(address, step, source=None, user="alice"):
    """Connects and goes away at a step of the login."""
    c = Client(address, source=source)
    if step == "connected":
        return c.close()
    c.greet()
    if step == "greeted":
        return c.close()
    if step == "half a response":
        c.socket.sendall(packet(1, response(user, b""))[:20])
        return c.close()
    c.send(response(user, b"\1" * 20, plugin="no_such_plugin"))
    if step == "responded":
        return c.close()
    if step == "reset after the response":
        return net.reset(c.socket)
    answer = c.read()
    assert answer[0] == 0xFE, answer
    if step == "reset at the switch":
        return net.reset(c.socket)
    c.close()  # at the switch, where clients end that lack the plugin


def until_blocked(server, limit, step="greeted"):
    """Proves that this server blocks 127.0.0.4 for clients that nobody says good-bye for. The server
    counts a client some time after it has gone, so this may take more of them than its limit."""
    for _ in range(10 * limit):
        try:
            vanish(server.address, step, source="127.0.0.4")
        except ServerError as e:
            same(e.code, 1129)
            return
    check(False, "the server does not block; this test would prove nothing")


@test("150 clients that vanish during the login do not make the server block the proxy",
      needs=BOTH, seconds=120)
def _(t):
    # 127.0.0.1 is exempt from counting, so rum's connections get another source address.
    server = t.run.servers.own(t, ["--max-connect-errors=100"])

    until_blocked(server, 100, "at the switch")

    for step in STEPS:
        path = write_map(t, row(t, "alice", server.address))
        rum, here = front(t, path, preload=t.run.build.preload, env={"RUM_TEST_SOURCE": "127.0.0.3"})
        for _ in range(150):
            vanish(here, step)
        records = rum.wait_sessions(150, 20)
        check({r["reason"] for r in records} <= {"client_gone", "client_reset"}, str(records[-3:]))
        with Client(here) as c:
            try:
                c.login("alice", password("alice"))
            except ServerError as e:
                raise AssertionError("after 150 x '%s': %s" % (step, e))
            host = c.query("SELECT SUBSTRING_INDEX(USER(), '@', -1)")
            same(host, ["127.0.0.3"], "the server saw this source")
        rum.wait_sessions(151)


@test("Clients that vanish do not make MariaDB 11.8 and MySQL 9 block the proxy",
      needs=("mysql.so", "mariadb-trixie", "mysql-sid"), seconds=300)
def _(t):
    number = 200 if full() else 30
    # A server answers an unknown user by the plugin of one of its accounts, so that each of these also
    # shows that rum's own logins, for those who have left, and its probes are not counted.
    for kind, user in (("mariadb-trixie", "native"), ("mariadb-trixie", "curve"),
                       ("mariadb-trixie", "parsec"), ("mysql-sid", "sha2"), ("mysql-sid", "sha256")):
        server = t.run.newer[kind].own(t, options=["--max-connect-errors=%d" % (number // 2)])

        def asks_for_a_password(address):
            with Client(address) as c:
                c.greet()
                c.send(response(user, b"\1" * 20, plugin="no_such_plugin"))
                same(c.read()[0], 0xFE)

        until_blocked(server, number // 2)

        for step in STEPS:
            rum, here = front(t, None, "-d", server.address, preload=t.run.build.preload,
                              env={"RUM_TEST_SOURCE": "127.0.0.3"})
            for _ in range(number):
                vanish(here, step, user=user)
            ends = {r["reason"] for r in rum.wait_sessions(number, 20)}
            check(ends <= {"client_gone", "client_reset"},
                  "%s, %s, %s: %s" % (kind, user, step, ends))
            asks_for_a_password(here)
        rum, here = front(t, None, "-d", server.address, "--health-check", "20ms", preload=t.run.build.preload,
                          env={"RUM_TEST_SOURCE": "127.0.0.3"})
        net.until(lambda: rum.stats()["health_checks"]["made"] > number, 60, "so many probes")
        asks_for_a_password(here)


class SlowTls(peers.Server):
    """Passes connections on to a server, from `source`; holds what comes behind a request for TLS until
    it is released."""

    def __init__(self, server, source):
        self.server, self.source = server, source
        self.asked, self.released = threading.Semaphore(0), threading.Semaphore(0)
        super().__init__()

    def handle(self, s):
        with net.connect(self.server, 60, source=self.source) as back:
            s.sendall(packet(*read_packet(back)))
            back.sendall(packet(*read_packet(s)))
            self.asked.release()
            self.released.acquire()
            threading.Thread(target=self._pass, args=(back, s), daemon=True).start()
            self._pass(s, back)

    @staticmethod
    def _pass(source, sink):
        try:
            while block := source.recv(65536):
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def error_from(server, source):
    """None, or the error of a login from there that needs no password."""
    try:
        with Client(server.address, source=source) as c:
            c.greet()
            c.send(response("empty", b""))
            c.finish_login("")
            c.quit()
        return None
    except ServerError as e:
        return e.code


def never_blocked_by_tls(t, kind):
    """Logins whose response behind the request for TLS is another one than that of the client."""
    server = t.run.newer[kind].own(t, tls=True, options=["--max-connect-errors=4"])
    number = 8
    until_blocked(server, 4)
    native = kind != "mysql-sid"
    user = "native" if native else "sha2"
    word = newer_servers.password(user)
    path = write_map(t, (user, mysql_wire.stored_hash(word) if native else "", server.address))
    by_tls = ("--upstream-tls", "require", "-t", "mariadb1011" if native else "mysql90")
    preload = {"preload": t.run.build.preload, "env": {"RUM_TEST_SOURCE": "127.0.0.3"}}

    def still_served(after):
        same(error_from(server, "127.0.0.3"), None, "the error after " + after)

    _, here = front(t, path, *by_tls, "--mysql-auth", "relay", **preload)
    for _ in range(number):
        with Client(here) as c:
            c.greet()
            c.send(response(user, b"", database="d\u00f6tabase", attributes=b"\1a\1b"))
            c.read()
    still_served("a database that is named behind the login")
    if native:
        _, here = front(t, path, *by_tls, "--mysql-auth", "rewrite", **preload)
        for _ in range(number):
            with Client(here) as c:
                c.login(user, word, plugin_auth=False, attributes=b"\1a\1b", database="rumtest")
                c.quit()
        still_served("rewriting for a client with attributes and without plugins")
    between = t.keep(SlowTls(server.address, "127.0.0.3"))
    path = write_map(t, (user, "", between.address), name="between.cdb")
    for database, attributes in (("rumtest", b"\1a\1b"), (None, None), ("d\u00f6tabase", None)):
        rum, here = front(t, path, *by_tls)
        for _ in range(number):
            c = Client(here)
            c.greet()
            c.send(response(user, b"\1" * 20, database=database, attributes=attributes))
            check(between.asked.acquire(timeout=20), "rum asks for TLS")
            c.close()
            time.sleep(0.02)  # rum is to hear of that first; where it does not, the login goes on
            between.released.release()
        same({r["reason"] for r in rum.wait_sessions(number, 20)}, {"client_gone"})
        still_served("clients that left during the server's handshake (%s)" % database)


for kind_name in newer_servers.KINDS:
    test("Logins by TLS do not make the server block the proxy (%s)" % kind_name,
         needs=("mysql.so", kind_name), seconds=120)(
             lambda t, kind=kind_name: never_blocked_by_tls(t, kind))


@test("A client that says COM_QUIT right behind its login is not logged in for that", needs=BOTH)
def _(t):
    server = t.run.servers.own(t)
    rum, here = front(t, write_map(t, row(t, "empty", server.address)))
    before = server.status("Aborted_clients")
    for _ in range(5):
        with Client(here) as c:
            c.greet()
            c.socket.sendall(packet(1, response("empty", b"")) + packet(0, b"\x01"))
            c.read()
            net.ended(c.socket)
    rum.wait_sessions(5)
    net.until(lambda: len(server.admin("SHOW PROCESSLIST")) == 1, 10, "the server has let go of all")
    same(server.status("Aborted_clients"), before, "clients that the server counts as aborted")


@test("Clients that vanish while the server is silent do not make it block the proxy",
      needs=BOTH, seconds=120)
def _(t):
    import signal
    server = t.run.servers.own(t, ["--max-connect-errors=20"])
    path = write_map(t, row(t, "alice", server.address))
    rum, here = front(t, path, "--first-byte-timeout", "20s", "--login-timeout", "20s",
                      preload=t.run.build.preload, env={"RUM_TEST_SOURCE": "127.0.0.3"})
    for _ in range(3):
        server.process.send_signal(signal.SIGSTOP)
        for _ in range(20):
            vanish(here, "responded")
        net.until(lambda: rum.stats()["upstream"]["connects"] % 20 == 0, 10, "all are connected")
        server.process.send_signal(signal.SIGCONT)
        net.until(lambda: rum.stats()["sessions"]["active"] == 0, 15, "all are gone")
    with Client(here) as c:
        c.login("alice", password("alice"))
        same(c.query("SELECT SUBSTRING_INDEX(USER(), '@', -1)"), ["127.0.0.3"])


@test("Logins that rum's own timeouts end do not make the server block the proxy", needs=BOTH,
      seconds=60)
def _(t):
    server = t.run.servers.own(t, ["--max-connect-errors=20"])
    path = write_map(t, row(t, "alice", server.address))
    rum, here = front(t, path, "--login-timeout", "500ms", preload=t.run.build.preload,
                      env={"RUM_TEST_SOURCE": "127.0.0.3"})
    crowd = []
    for _ in range(40):
        c = t.keep(Client(here))
        c.greet()
        c.send(response("alice", b"\1" * 20))
        crowd.append(c)
    for c in crowd:
        same(c.read()[0], 0xFE, "the switch")
    same({r["reason"] for r in rum.wait_sessions(40)}, {"login_timeout"})
    with Client(here) as c:
        c.login("alice", password("alice"))


@test("Wrong passwords do not make the server block the proxy", needs=BOTH)
def _(t):
    server = t.run.servers.own(t, ["--max-connect-errors=20"])
    path = write_map(t, row(t, "alice", server.address))
    for mode in ("relay", "rewrite"):
        rum, here = front(t, path, "--mysql-auth", mode, preload=t.run.build.preload,
                          env={"RUM_TEST_SOURCE": "127.0.0.3"})
        for _ in range(50):
            same(error_of(here, "alice", "wrong").code, 1045)
        with Client(here) as c:
            c.login("alice", password("alice"))


@test("Responses and answers that no client gives do not make the server block the proxy",
      needs=BOTH, seconds=120)
def _(t):
    server = t.run.servers.own(t, ["--max-connect-errors=20"])
    path = write_map(t, row(t, "alice", server.address), row(t, "curve", server.address))
    rum, here = front(t, path, "-d", server.address, "--mysql-auth", "relay",
                      preload=t.run.build.preload, env={"RUM_TEST_SOURCE": "127.0.0.3"})

    def refused(user, answer=b"", **more):
        """The code of the error."""
        with Client(here) as c:
            c.greet()
            c.send(response(user, b"\1" * 20, **more))
            payload = c.read()
            if payload[0] == 0xFE:
                c.send(answer or native_token(password("alice"), payload[-21:-1]))
                payload = c.read()
            same(net.ended(c.socket), "closed", "after the error")
            return ServerError(payload).code

    for code, user, more in ((1045, "", {"answer": b"x" * 20}),  # goes to -d, as all unknown ones
                             (1045, "alice", {"answer": b"x"}),
                             (1045, "alice", {"answer": b"x" * 21}),
                             (1045, "curve", {"answer": b"x"}),
                             (1045, "curve", {"answer": b"x" * 63}),
                             (1045, "nobody", {"answer": b"x"}),
                             (1231, "alice", {"charset": 35}),
                             (1231, "nobody", {"charset": 183}),
                             (1300, "alice", {"database": "\u00e9\U0001f600"}),
                             (1300, "alice", {"database": "\u00e9", "charset": 11})):
        for _ in range(30):
            same(refused(user, **more), code, "%r with %s" % (user, more))
        with Client(here) as c:
            try:
                c.login("alice", password("alice"))
            except ServerError as e:
                raise AssertionError("after %r with %s: %s" % (user, more, e))
    same(server.status("Aborted_connects_preauth"), 0)


@test("A database whose name is not ASCII is the client's, in each way", needs=BOTH)
def _(t):
    server = t.run.servers.own(t)
    server.admin("CREATE DATABASE `sh\u00f6p`")
    server.admin("GRANT ALL ON `sh\u00f6p`.* TO alice@'%'")
    server.admin("CREATE USER ''@'%'")
    path = write_map(t, row(t, "alice", server.address))
    for mode in ("relay", "rewrite"):
        rum, here = front(t, path, "-d", server.address, "--mysql-auth", mode)
        with Client(here) as c:
            c.login("alice", password("alice"), database="sh\u00f6p")
            same(c.query("SELECT HEX(DATABASE())"), ["7368C3B670"], mode)
            same(c.quit(), "closed")
        same(error_of(here, "alice", password("alice"), database="gr\u00f6ss").code, 1044, mode)
        with Client(here) as c:
            c.login("", "")
            same(c.query("SELECT CURRENT_USER()"), ["@%"], "an anonymous account")
            same(c.quit(), "closed")
    same(server.status("Aborted_clients"), 0)
    same(server.status("Aborted_connects"), 0)


@test("What a client asked for before its login is not answered after a refusal", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t), "--mysql-auth", "rewrite")
    with Client(here) as c:
        c.greet()
        c.socket.sendall(packet(1, response("alice", native_token("wrong", c.greeting.nonce)))
                         + packet(0, b"\x03SELECT 1"))
        same(ServerError(c.read()).code, 1045)
        check(net.ended(c.socket) in ("closed", "reset"), "ended")


@test("A server that dies after the login ends the session, and only that", needs=BOTH)
def _(t):
    server = t.run.servers.own(t)
    rum, here = front(t, write_map(t, row(t, "alice", server.address), row(t, "bob", "B")))
    with Client(here) as a, Client(here) as b:
        a.login("alice", password("alice"))
        b.login("bob", password("bob"))
        server.process.kill()
        check(net.ended(a.socket, 10) in ("closed", "reset"), "ended")
        same(b.query("SELECT 1"), ["1"])
        e = error_of(here, "alice", password("alice"))
        tells_nothing_internal(e)
    rum.wait_sessions(3)


@test("1,000 clients that do nothing are ended by the login timeout while honest ones log in",
      needs=BOTH, seconds=60)
def _(t):
    rum, here = front(t, usual_map(t), "--login-timeout", "2s")
    idle = [net.connect(here) for _ in range(1000)]
    for _ in range(100):
        with Client(here) as c:
            c.login("alice", password("alice"))
    for s in idle:
        net.until(lambda s=s: net.readable(s, 0), 10 * t.scale, "something comes")
        s.settimeout(10)
        net.read_all(s)
        s.close()
    reasons = [r["reason"] for r in rum.wait_sessions(1100, 20)]
    same(reasons.count("login_timeout"), 1000)

"""Logins by hand: clients without PLUGIN_AUTH, unknown users, packets split and joined, long names
and attributes, and what rum says itself."""

import socket
import time

from mysql_setup import front, port_of, row, tcp, usual_map, write_map
from support import clients, mysql_wire, net
from support.harness import check, same, test
from support.mariadb import LONG_USER, password
from support.mysql_wire import (CONNECT_ATTRS, LENENC_AUTH, USUAL, Client, FakeServer, ServerError,
                                native_token, packet, response)

BOTH = ("mysql.so", "mariadb")


def refusal(here, user, word, **more):
    """The error of a login that must fail, and all packets but the greeting."""
    with Client(here) as c:
        try:
            c.login(user, word, **more)
        except ServerError as e:
            same(net.ended(c.socket), "closed", "after the error")
            # The nonce of a switch is random.
            rest = [(n, p if p[0] != 0xFE else p[:22] + bytes(len(p) - 22))
                    for n, p in c.transcript[1:]]
            return e, rest
    raise AssertionError("%r logged in" % user)


@test("A client without PLUGIN_AUTH logs in by rewriting, in rewrite and in auto mode", needs=BOTH)
def _(t):
    for mode in ("rewrite", "auto"):
        rum, here = front(t, usual_map(t), "--mysql-auth", mode)
        for user, server in (("alice", t.run.servers.a), ("bob", t.run.servers.b),
                             (LONG_USER, t.run.servers.a)):
            with Client(here) as c:
                c.login(user, password(user), plugin_auth=False)
                same(c.switches, 0, "switches of a client that knows none")
                same(c.query("SELECT @@port"), [str(server.port)])
                same(c.query("SELECT text FROM rumtest.word ORDER BY id"), ["one", "two", "three"])
                same(c.quit(), "closed")
        for word in ("wrong", ""):
            error, _ = refusal(here, "alice", word, plugin_auth=False)
            same((error.code, error.sqlstate), (1045, "28000"))


@test("A client without PLUGIN_AUTH and with an empty password logs in", needs=BOTH)
def _(t):
    for mode in ("rewrite", "auto"):
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with Client(here) as c:
            c.login("empty", "", plugin_auth=False)
            same(c.query("SELECT @@port"), [str(t.run.servers.a.port)])


@test("In relay mode a client without PLUGIN_AUTH that follows a switch all the same logs in",
      needs=BOTH)
def _(t):
    # As npm's mysql does. One that does not cannot log in without a hash in the map.
    _, here = front(t, usual_map(t), "--mysql-auth", "relay")
    with Client(here) as c:
        c.login("alice", password("alice"), plugin_auth=False)
        same(c.query("SELECT @@port"), [str(t.run.servers.a.port)])
    same(refusal(here, "alice", "wrong", plugin_auth=False)[0].code, 1045)


@test("A wrong password never reaches a server in rewrite mode", needs=BOTH)
def _(t):
    server = t.run.servers.own(t)
    rum, here = front(t, write_map(t, row(t, "alice", server.address)), "--mysql-auth", "rewrite")
    with Client(here) as c:
        c.login("alice", password("alice"))
        before = int(c.query("SHOW GLOBAL STATUS LIKE 'Connections'") and server.status("Connections"))
    # What the question itself costs.
    cost = server.status("Connections") - before
    before = server.status("Connections")
    for plugin_auth in (True, False):
        for word in ("wrong", "", "x" * 100):
            same(refusal(here, "alice", word, plugin_auth=plugin_auth)[0].code, 1045)
    same(server.status("Connections") - before, cost, "connections to the server")


@test("Unknown user and wrong password are the very same bytes where rum answers itself", needs=BOTH)
def _(t):
    path = write_map(t, row(t, "alice", "A"))
    _, here = front(t, path, "--mysql-auth", "rewrite")
    for plugin_auth in (True, False):
        for word in ("wrong", ""):
            for plugin in ("mysql_native_password", "caching_sha2_password"):
                more = {"plugin_auth": plugin_auth, "plugin": plugin}
                known = refusal(here, "alice", word, **more)[1]
                unknown = refusal(here, "carol", word, **more)[1]
                same([(n, p.replace(b"carol", b"alice")) for n, p in unknown], known,
                     "packets (plugin_auth %s, password %r, %s)" % (plugin_auth, word, plugin))


@test("In auto mode an unknown user sees the steps and the error that a known one sees", needs=BOTH)
def _(t):
    # Without the reverse look-up of names, server and rum call the client by the same address.
    server = t.run.servers.own(t, ["--skip-name-resolve"])
    path = write_map(t, row(t, "alice", server.address))
    for mode in ("auto", "relay"):
        _, here = front(t, path, "--mysql-auth", mode)
        for word in ("wrong", ""):
            known = refusal(here, "alice", word)[1]
            unknown = refusal(here, "carol", word)[1]
            same([(n, p.replace(b"carol", b"alice")) for n, p in unknown], known,
                 "%s mode, password %r" % (mode, word))


@test("An unknown user goes to the default destination, which may know it", needs=BOTH)
def _(t):
    path = write_map(t, row(t, "bob", "B"))
    for mode in ("auto", "relay", "rewrite"):
        rum, here = front(t, path, "-d", t.run.servers.a.address, "--mysql-auth", mode)
        with Client(here) as c:
            c.login("alice", password("alice"))
            same(c.query("SELECT @@port"), [str(t.run.servers.a.port)], mode)
        same(refusal(here, "alice", "wrong")[0].code, 1045)
        same(refusal(here, "nobody", "x")[0].code, 1045)
        with Client(here) as c:
            c.login("bob", password("bob"))
            same(c.query("SELECT @@port"), [str(t.run.servers.b.port)], mode)


@test("--mysql-unknown-user deny refuses unknown users though there is a default destination",
      needs=BOTH)
def _(t):
    path = write_map(t, row(t, "bob", "B"))
    for mode in ("auto", "relay", "rewrite"):
        rum, here = front(t, path, "-d", t.run.servers.a.address, "--mysql-unknown-user", "deny",
                          "--mysql-auth", mode)
        error, _ = refusal(here, "alice", password("alice"))
        same((error.code, error.sqlstate), (1045, "28000"))
        same(rum.session()["reason"], "denied")
        with Client(here) as c:
            c.login("bob", password("bob"))


@test("A login sent byte by byte works, in both ways", needs=BOTH)
def _(t):
    for mode in ("relay", "rewrite"):
        _, here = front(t, usual_map(t), "--mysql-auth", mode, "-w", "1")
        with Client(here) as c:
            c.greet()

            def trickle(payload, sequence):
                for byte in packet(sequence, payload):
                    c.socket.sendall(bytes([byte]))
            trickle(response("bob", native_token(password("bob"), c.greeting.nonce)), 1)
            answer = c.read()
            if answer[0] == 0xFE:
                nonce = answer[1:].partition(b"\0")[2][:20]
                trickle(native_token(password("bob"), nonce), c.sequence + 1)
                answer = c.read()
            same(answer[0], 0, "%s: %r" % (mode, answer))
            trickle(b"\x03SELECT @@port", 0)
            same(c.result(), [str(t.run.servers.b.port)])


@test("A query in one segment with the last packet of the login is answered", needs=BOTH)
def _(t):
    query = packet(0, b"\x03SELECT @@port")
    for mode in ("rewrite", "relay"):
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with Client(here) as c:
            c.greet()
            first = packet(1, response("bob", native_token(password("bob"), c.greeting.nonce)))
            if mode == "rewrite":
                c.socket.sendall(first + query)
                same(c.read()[0], 0, "rewrite: OK")
            else:
                c.socket.sendall(first)
                switch = c.read()
                same(switch[0], 0xFE, "relay: switch")
                token = native_token(password("bob"), switch[1:].partition(b"\0")[2][:20])
                c.socket.sendall(packet(c.sequence + 1, token) + query)
                same(c.read()[0], 0, "relay: OK")
            same(c.result(), [str(t.run.servers.b.port)], mode)


@test("Ten queries sent at once behind the login are all answered in order", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t), "--mysql-auth", "rewrite")
    with Client(here) as c:
        c.greet()
        first = packet(1, response("bob", native_token(password("bob"), c.greeting.nonce)))
        c.socket.sendall(first + b"".join(packet(0, b"\x03SELECT %d" % n) for n in range(10)))
        same(c.read()[0], 0, "OK")
        same([c.result() for _ in range(10)], [[str(n)] for n in range(10)])


@test("A user name of 128 characters reaches the server whole; a longer one is refused", needs="mysql.so")
def _(t):
    server = t.keep(FakeServer("pw"))
    name = "u" * 100 + "é" * 28
    path = write_map(t, (name, "", server.address))
    rum, here = front(t, path)
    with Client(here) as c:
        c.login(name, "pw")
    check((name.encode() + b"\0") in server.responses[0], "the name in what the server got")
    same(rum.session()["user"], name)
    for long_name in ("v" * 129, "v" * 513, "v" * 5000, "v" * 60000):
        error, _ = refusal(here, long_name, "pw")
        check(error.code in (1045, 1043), str(error))


@test("Connection attributes of nearly 64 KiB reach the server whole", needs="mysql.so")
def _(t):
    server = t.keep(FakeServer("pw"))
    rum, here = front(t, write_map(t, ("alice", "", server.address)))
    for size in (0, 1, 250, 251, 1000, 30000, 65535):
        attributes = mysql_wire.attribute_bytes(size) if size > 300 else b"\1k" + bytes(
            [size - 3]) + b"v" * (size - 3) if size > 3 else b""
        with Client(here) as c:
            c.login("alice", "pw", capabilities=USUAL | CONNECT_ATTRS | LENENC_AUTH,
                    attributes=attributes)
        got = server.responses[-1]
        check(got.endswith(mysql_wire.lenenc(len(attributes)) + attributes),
              "attributes of %d bytes" % len(attributes))


@test("Attributes of 64 KiB reach a real server", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t))
    with Client(here) as c:
        c.login("alice", password("alice"), capabilities=USUAL | CONNECT_ATTRS | LENENC_AUTH,
                attributes=mysql_wire.attribute_bytes(65000))
        same(c.query("SELECT 1"), ["1"])


@test("A login with a database and one without reach the server as they are", needs=BOTH)
def _(t):
    for mode in ("relay", "rewrite"):
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with Client(here) as c:
            c.login("alice", password("alice"), database="rumtest")
            same(c.query("SELECT DATABASE()"), ["rumtest"])
        with Client(here) as c:
            c.login("alice", password("alice"))
            same(c.query("SELECT IFNULL(DATABASE(), 'none')"), ["none"])
        error, _ = refusal(here, "alice", password("alice"), database="not_there")
        same((error.code, error.sqlstate), (1044, "42000"), mode)


@test("A client that begins with another plugin is switched to the account's", needs=BOTH)
def _(t):
    for mode in ("relay", "rewrite"):
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with Client(here) as c:
            c.greet()
            c.send(response("alice", b"\1" * 32, plugin="caching_sha2_password"))
            c.finish_login(password("alice"))
            same(c.switches, 1, "switches: more than one breaks clients")
            same(c.query("SELECT @@port"), [str(t.run.servers.a.port)])


@test("A relayed login asks the client for exactly one switch, whatever the map holds", needs=BOTH)
def _(t):
    for mode in ("relay", "auto"):
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with Client(here) as c:
            c.login("alice", password("alice"))
            same(c.switches, 1)


@test("Only capabilities that the client has and the server has too go to the server",
      needs="mysql.so")
def _(t):
    import struct
    session_track, deprecate_eof = 1 << 23, 1 << 24
    server = t.keep(FakeServer("pw", capabilities=0x81FFF7FF & ~session_track & ~CONNECT_ATTRS))
    _, here = front(t, write_map(t, ("alice", "", server.address)))
    query_attributes, found_rows = 1 << 27, 2
    with Client(here) as c:
        c.login("alice", "pw", capabilities=USUAL | session_track | found_rows | query_attributes
                | CONNECT_ATTRS | LENENC_AUTH, attributes=b"\1k\1v")
    sent = struct.unpack_from("<I", server.responses[-1])[0]  # before it came a probe
    check(sent & found_rows, "FOUND_ROWS of the client is passed on")
    for bit, name in ((session_track, "SESSION_TRACK"), (CONNECT_ATTRS, "CONNECT_ATTRS"),
                      (query_attributes, "QUERY_ATTRIBUTES"), (deprecate_eof, "DEPRECATE_EOF"),
                      (mysql_wire.SSL, "SSL"), (1 << 5, "COMPRESS")):
        check(not sent & bit, "%s must not be set: %08x" % (name, sent))
    check(b"\1k\1v" not in server.responses[0], "the attributes' field is gone with its flag")


@test("The nonce of every greeting is new, without NUL, and different between clients",
      needs="mysql.so")
def _(t):
    _, here = front(t, None, "-d", tcp())
    seen = set()
    for _ in range(300):
        with Client(here) as c:
            nonce = c.greet().nonce
        same(len(nonce), 20, "length")
        check(all(0x21 <= b <= 0x7E for b in nonce), "bytes of %r" % nonce)
        seen.add(nonce)
    same(len(seen), 300, "different nonces")


@test("A captured login cannot be played again", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t), "--mysql-auth", "rewrite")
    with Client(here) as c:
        c.greet()
        token = native_token(password("alice"), c.greeting.nonce)
        c.send(response("alice", token))
        same(c.read()[0], 0, "the login itself")
    with Client(here) as c:
        c.greet()
        c.send(response("alice", token))
        answer = c.read()
        if answer[0] == 0xFE:
            c.send(token)
            answer = c.read()
        same(ServerError(answer).code, 1045)


@test("Connection numbers of sessions are different, and the answer carries the server's text",
      needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t))
    numbers = set()
    for _ in range(20):
        with Client(here) as c:
            c.login("alice", password("alice"))
            numbers.add(c.greeting.thread)
            try:
                c.query("SELECT nonsense FROM nowhere")
                check(False, "an error")
            except ServerError as e:
                same((e.code, e.sqlstate), (1046, "3D000"))
    same(len(numbers), 20)


@test("The counters of logins by relay, by rewriting and of refusals are exact", needs=BOTH)
def _(t):
    rum, here = front(t, write_map(t, row(t, "alice", "A"), row(t, "curve", "A")),
                      "--mysql-auth", "rewrite")
    for _ in range(5):
        with Client(here) as c:
            c.login("alice", password("alice"))
    for _ in range(3):
        refusal(here, "alice", "wrong")
    for _ in range(2):
        refusal(here, "carol", "wrong")
    check(clients.mariadb_program(t, port_of(here), "curve", password("curve")).ok, "curve")
    rum.wait_sessions(11)
    same(rum.metric("rum_mysql_rewritten_logins_total"), 5)
    same(rum.metric("rum_mysql_wrong_passwords_total"), 3)
    same(rum.metric("rum_mysql_unknown_users_total"), 2)
    same(rum.metric("rum_mysql_relayed_logins_total"), 1)


@test("With -L each login has a line of its own when it is through, a refused one has none",
      needs=BOTH)
def _(t):
    rum, here = front(t, usual_map(t), "-L")
    with Client(here) as c:
        c.login("bob", password("bob"))
        net.until(lambda: [r for r in rum.records() if r.get("event") == "login"], 5,
                  "the line comes while the session goes on")
        same(rum.sessions(), [])
    refusal(here, "bob", "wrong")
    rum.wait_sessions(2)
    logins = [r for r in rum.records() if r.get("event") == "login"]
    same(len(logins), 1, "lines of logins")
    same(logins[0]["user"], "bob")
    same(logins[0]["destination"], t.run.servers.b.address)


@test("No password and no hash stands in the log or the statistics, even with -v and -L", needs=BOTH)
def _(t):
    # What is looked for at the end of every test; here everything is said that can be.
    for mode in ("relay", "rewrite"):
        rum, here = front(t, usual_map(t), "--mysql-auth", mode, "-v", "-L")
        for user in ("alice", "bob", "empty"):
            with Client(here) as c:
                c.login(user, password(user))
            refusal(here, user, password("shared"))
        refusal(here, password("alice")[:3] + "x", password("alice"))
        clients.mariadb_program(t, port_of(here), "curve", password("curve"))
        rum.wait_sessions(8)
        rum.stats(), rum.metrics()
        check("alice" in rum.log(), "the log names users")


@test("Time to refuse an unknown user and a wrong password differ by less than the noise of a test",
      needs=BOTH)
def _(t):
    def middle(user):
        took = []
        for _ in range(40):
            begin = time.monotonic()
            refusal(here, user, "wrong", plugin_auth=False)
            took.append(time.monotonic() - begin)
        return sorted(took)[20]
    _, here = front(t, write_map(t, row(t, "alice", "A")), "--mysql-auth", "rewrite")
    known, unknown = middle("alice"), middle("carol")
    # Both are answered from memory: a delay of its own in one of them would be seen.
    check(abs(known - unknown) < 0.02 * t.scale, "known %.4f s, unknown %.4f s" % (known, unknown))


@test("A client that closes its half after COM_QUIT is let go, and the server sees the quit",
      needs=BOTH)
def _(t):
    server = t.run.servers.own(t)
    rum, here = front(t, write_map(t, row(t, "alice", server.address)))
    before = server.status("Aborted_clients")
    for _ in range(20):
        with Client(here) as c:
            c.login("alice", password("alice"))
            c.command(b"\x01")
            c.socket.shutdown(socket.SHUT_WR)
            same(net.read_all(c.socket), b"")
    rum.wait_sessions(20)
    same(server.status("Aborted_clients"), before, "connections that the server calls aborted")
    same(server.status("Aborted_connects"), 0, "logins that the server calls aborted")

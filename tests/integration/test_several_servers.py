"""Which server of several a client comes to: --balance, the circuit breaker, rumctl drain, maint and ready."""

import signal
import socket
import time
from collections import Counter

from support import cdb, mariadb, net, peers
from support.harness import check, full, has, same, test
from support.net import connect
from support.peers import Echo, closed_port
from test_control import ctl
from test_redirect import ask, tcp


def named(t, names="ABC"):
    """Servers that say who they are."""
    return [t.keep(Echo(prefix=name.encode() + b":")) for name in names]


def listed(servers):
    return ",".join(s.address for s in servers)


def visit(here, source=None):
    """One client: the name of the server that answered."""
    with connect(here, source=source) as s:
        s.sendall(b"x")
        s.shutdown(socket.SHUT_WR)
        return net.read_all(s)[:1].decode()


def told(rum, server):
    """What the statistics say of a destination."""
    return next(d for d in rum.stats()["destinations"] if d["address"] == server)


@test("round-robin gives each server its turn over all workers, and passes one that is down over")
def _(t):
    servers = named(t)
    here = tcp()
    t.rum("-s", here, "-d", listed(servers), "--balance", "round-robin", "-w", "3")
    same("".join(visit(here) for _ in range(9)), "ABC" * 3)
    servers[1].close()
    came = Counter(visit(here) for _ in range(30))
    same(set(came), {"A", "C"})


@test("least takes the server with the fewest sessions, those that are being connected included")
def _(t):
    servers = named(t)
    here = tcp()
    rum = t.rum("-s", here, "-d", listed(servers), "--balance", "least")
    held = [connect(here) for _ in range(30)]
    net.until(lambda: rum.stats()["sessions"]["relaying"] == 30, 10, "all are there")
    same([told(rum, s.address)["sessions"] for s in servers], [10] * 3)
    mine = [s for s in held if net.read_exact(s, 2) == b"B:"]
    for s in mine:
        s.close()
    net.until(lambda: told(rum, servers[1].address)["sessions"] == 0, 10, "they are gone")
    same({visit(here) for _ in range(5)}, {"B"}, "the one that has none")


@test("source leads an address to the same server, in each process, and spreads addresses")
def _(t):
    servers = named(t)
    one, two = tcp(), tcp()
    t.rum("-s", one, "-d", listed(servers), "--balance", "source")
    t.rum("-s", two, "-d", listed(servers[::-1]), "--balance", "source")
    came = {}
    for n in range(1, 41):
        source = "127.0.1.%d" % n
        came[source] = visit(one, source)
        same({visit(here, source) for here in (one, two, one)}, {came[source]}, source)
    same(set(came.values()), set("ABC"))
    gone = servers["ABC".index(came["127.0.1.1"])]
    gone.close()
    for source, server in came.items():
        now = visit(one, source)
        check(now == server or server == came["127.0.1.1"], "%s moved without need" % source)


@test("-R is --balance random, and HUP changes the balance")
def _(t):
    servers = named(t)
    here, path = tcp(), t.path("rum.conf")
    with open(path, "w") as f:
        f.write("failover-r = %s\n" % listed(servers))
    rum = t.rum("-s", here, "--config", path)
    came = Counter(visit(here) for _ in range(60))
    same(set(came), set("ABC"), "one of 10^9 runs fails by chance")
    with open(path, "w") as f:
        f.write("destination = %s\n" % listed(servers))
    rum.signal(signal.SIGHUP)
    rum.wait_log("applied")
    net.until(lambda: "".join(visit(here) for _ in range(5)) == "AAAAA", 10, "the first")


@test("The circuit of a server that refuses opens, lets one attempt through, and closes again",
      seconds=60)
def _(t):
    here, dead = tcp(), closed_port()
    rum = t.rum("-s", here, "-d", dead, "--breaker", "5/10s")
    count = 100_000 if full() else 300
    began = time.monotonic()
    for _ in range(count):
        with connect(here) as s:
            check(net.ended(s) in ("closed", "reset"), "ended")
    took = time.monotonic() - began
    rum.wait_sessions(count, 60)
    stats = rum.stats()
    same(stats["sessions"]["ended"]["connect_refused"], count)
    tried = stats["upstream"]["connect_failures"]
    # Five until it opens, then one at the end of each pause: a second, without another server.
    check(5 <= tried <= 5 + 1 + took, "%d attempts in %.1f s" % (tried, took))
    same(stats["circuit_breaker"]["opened"], 1)
    same(stats["circuit_breaker"]["skipped"], count - tried)
    one = told(rum, dead)
    # Half open as soon as its pause of a second is over.
    check(one["circuit"] in ("open", "half-open"), one)
    same((one["circuit_reason"], "admin" in one), ("connect_refused", False))
    has(rum.log(), "failed 5 times in a row")
    records = [r for r in rum.sessions() if r.get("detail") == "--breaker"]
    same(len(records), count - tried)
    if not full():
        t.keep(Echo(dead))
        net.until(lambda: ask(here) == b"hello", 10, "it is found again")
        rum.wait_log("answers again")
        check("circuit" not in told(rum, dead), "it is closed")


@test("The circuit of a server that accepts and says nothing opens, too; others of the list are taken",
      needs="mysql.so", seconds=60)
def _(t):
    from support.mysql_wire import Client, FakeServer, ServerError
    silent = t.keep(peers.Holds())
    good = t.keep(FakeServer("pw"))
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("alone", "", silent.address),
                                ("both", "", silent.address + "," + good.address)))
    here = tcp()
    rum = t.rum("-s", here, "-M", path, "--first-byte-timeout", "200ms", "--breaker", "3/10s")
    for _ in range(3):
        with Client(here) as c:
            try:
                c.login("alone", "pw")
                check(False, "nobody is there")
            except ServerError as e:
                same(e.code, 1159)
    began = time.monotonic()
    with Client(here) as c:
        try:
            c.login("alone", "pw")
            check(False, "nobody is there")
        except ServerError as e:
            same(e.code, 1159, "the same error, at once")
    check(time.monotonic() - began < 0.19 * t.scale, "at once")
    with Client(here) as c:
        c.login("both", "pw")
    same(rum.stats()["circuit_breaker"]["opened"], 1)
    same([r.get("detail") for r in rum.wait_sessions(5)].count("--breaker"), 1)


@test("Clients that leave, or say nothing, do not open the circuit of a good server",
      needs=("mysql.so", "mariadb"), seconds=60)
def _(t):
    from mysql_setup import front, row, write_map
    from support.mysql_wire import Client, response
    rum, here = front(t, write_map(t, row(t, "alice", "A")), "--breaker", "2/10s",
                      "--login-timeout", "300ms", "--first-byte-timeout", "250ms")
    for n in range(30):
        c = Client(here)
        c.greet()
        c.send(response("alice", b"")[: 20 if n % 3 == 0 else None])
        if n % 3 == 1:
            net.reset(c.socket)
        else:
            c.close()
    rum.wait_sessions(30)
    same(rum.stats()["circuit_breaker"]["opened"], 0)


@test("drain sends no new sessions to a server, maint ends those it has, ready takes it back")
def _(t):
    a, b = named(t, "AB")
    here, alone = tcp(), tcp()
    rum = t.rum("-s", here, "-s", alone, "-d", listed([a, b]),
                "--control", "sock:" + t.path("control"))
    held = connect(here)
    same(net.read_exact(held, 2), b"A:")
    has(ctl(t, "drain", a.address), "takes no new sessions")
    same({visit(here) for _ in range(5)}, {"B"})
    held.sendall(b"still")
    same(net.read_exact(held, 5), b"still")
    has(ctl(t, "destinations"), "drain")
    same((told(rum, a.address)["admin"], "circuit" in told(rum, a.address)), ("drain", False))
    ctl(t, "drain", b.address)
    with connect(here) as s:
        check(net.ended(s) in ("closed", "reset"), "nobody is left")
    net.until(lambda: rum.stats()["sessions"]["ended"]["maintenance"] == 1, 10, "the reason")
    net.until(lambda: [r["detail"] for r in rum.sessions() if r["reason"] == "maintenance"] ==
              ["rumctl drain"], 10, "the detail")
    has(ctl(t, "maint", a.address), "ended")
    check(net.ended(held) in ("closed", "reset"), "it has been ended")
    net.until(lambda: rum.stats()["sessions"]["ended"]["maintenance"] == 2, 10, "the reason")
    same(rum.stats()["admin"]["disabled"], 2)
    # A hand-over keeps what was said.
    rum.hand_over()
    same(rum.stats()["admin"]["disabled"], 2)
    ctl(t, "ready", a.address)
    ctl(t, "ready", b.address)
    same(visit(here), "A")
    has(ctl(t, "drain", "tcp:nowhere:1"), "no option and no record")
    has(ctl(t, "drain", "nowhere", code=1), "give a destination:")
    has(ctl(t, "drain", code=1), "give a destination:")


@test("A client whose only server is in maintenance hears so in its own protocol",
      needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import front, row, write_map
    from support.mysql_wire import Client, ServerError
    rum, here = front(t, write_map(t, row(t, "alice", "A")), "--control",
                      "sock:" + t.path("control"))
    address, word = t.run.servers.a.address, mariadb.password("alice")
    with Client(here) as c:
        c.login("alice", word)
    ctl(t, "drain", address)
    with Client(here) as c:
        try:
            c.login("alice", word)
            check(False, "it is out of use")
        except ServerError as e:
            same((e.code, e.sqlstate), (1105, "08S01"))
            has(e.text, "maintenance")
    has(ctl(t, "explain", "alice", code=1), "DISABLED: rumctl drain")
    ctl(t, "ready", address)
    with Client(here) as c:
        c.login("alice", word)


@test("100,000 different destinations over time are forgotten", seconds=300 if full() else 60,
      needs="mysql.so")
def _(t):
    from support.mysql_wire import Client, ServerError, response
    count = 100_000 if full() else 2_000
    path = t.path("users.cdb")
    # Port 1 of addresses where nobody listens: each is another server.
    cdb.replace(path, cdb.users(*[("u%d" % n, "", "tcp:127.%d.%d.%d:1" % (
        1 + n // 65536, n // 256 % 256, n % 256)) for n in range(count)]))
    here = tcp()
    rum = t.rum("-s", here, "-M", path)
    base = None
    for n in range(count):
        with Client(here) as c:
            c.greet()
            c.send(response("u%d" % n, b""))
            same(c.read()[0], 0xFF)
        if n == count // 4:
            base = rum.resident()
    net.until(lambda: rum.stats()["sessions"]["active"] == 0, 10, "all are gone")
    check(len(rum.stats()["destinations"]) <= 1000, "bounded")
    same(sum(d["sessions"] for d in rum.stats()["destinations"]), 0)
    grown = rum.resident() - base
    # A sanitizer keeps what was freed.
    check(grown < (64 if t.run.build.sanitizer else 4) << 20, "memory grew by %d KiB" % (grown >> 10))
    t.say("%d destinations, memory grew by %d KiB" % (count, grown >> 10))

"""Destinations that refuse, are silent, cannot be resolved or break: what each client gets."""

import contextlib
import os
import signal
import threading
import time

from support import mysql_wire, net, peers
from support.harness import check, full, same, test
from support.names import NameServer
from support.net import connect
from support.peers import Echo, closed_port
from test_redirect import tcp


@test("A refused connection ends the client's at once")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-d", closed_port())
    begin = time.monotonic()
    for _ in range(20):
        with connect(here) as s:
            check(net.ended(s) in ("closed", "reset"), "ended")
    check(time.monotonic() - begin < 5 * t.scale, "at once")
    same({r["reason"] for r in rum.wait_sessions(20)}, {"connect_refused"})


@test("A unix socket that is not there is refused, one whose queue is full is not the end")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-d", "sock:" + t.path("nothing.sock"))
    with connect(here) as s:
        check(net.ended(s) in ("closed", "reset"), "ended")
    same(rum.session()["reason"], "connect_refused")


@test("A name that does not resolve ends the session with that reason, others are not held up",
      seconds=60)
def _(t):
    here, other = tcp(), tcp()
    echo = t.keep(Echo())
    rum = t.rum("-s", here, "-d", "tcp:no.such.host.invalid:80", "-w", "1")
    t.rum("-s", other, "-d", echo.address)
    for _ in range(3):
        with connect(here, 30) as s:
            check(net.ended(s, 30) in ("closed", "reset"), "ended")
    same({r["reason"] for r in rum.wait_sessions(3)}, {"unresolved"})


def resolv_conf(t, text):
    """The path of such a file, which is replaced as a whole."""
    path = t.path("resolv.conf")
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)
    return path


def echoes(address, want=b"x"):
    with connect(address, 30) as s:
        s.sendall(want)
        return net.read_exact(s, len(want)) == want


@test("HUP asks for names again, and reads the file of name servers")
def _(t):
    port = net.free_port()
    here = tcp()
    names = t.keep(NameServer({"db.test": ["127.0.0.2"]}))
    one, two = (t.keep(Echo("tcp:127.0.0.%d:%d" % (n, port))) for n in (2, 3))
    rum = t.rum("-s", here, "-d", "tcp:db.test:%d" % port, "--dns-refresh", "1h",
                "--resolv-conf", resolv_conf(t, names.conf))
    check(echoes(here), "the first address")
    same((one.accepted, two.accepted), (1, 0))
    names.records["db.test"] = ["127.0.0.3"]
    check(echoes(here), "kept for an hour")
    same((one.accepted, two.accepted), (2, 0))
    rum.signal(signal.SIGHUP)

    def at_two():
        check(echoes(here), "one of both")
        return two.accepted > 0
    net.until(at_two, 10, "the new address")

    later = t.keep(NameServer({"db.test": ["127.0.0.2"]}))
    resolv_conf(t, later.conf)
    rum.signal(signal.SIGHUP)
    before = one.accepted

    def at_one():
        check(echoes(here), "one of both")
        return one.accepted > before
    net.until(at_one, 10, "what the new name server says")


@test("Of several clients one waits for a dead address of a name", seconds=60)
def _(t):
    port = net.free_port()
    here = tcp()
    t.keep(peers.NeverAccepts("tcp:127.0.0.2:%d" % port))
    echo = t.keep(Echo("tcp:127.0.0.1:%d" % port))
    names = t.keep(NameServer({"db.test": ["127.0.0.2", "127.0.0.1"]}))
    began = time.monotonic()
    rum = t.rum("-s", here, "-d", "tcp:db.test:%d" % port, "--connect-timeout", "1s",
                "--resolv-conf", resolv_conf(t, names.conf))
    for _ in range(6):
        check(echoes(here), "served")
    same(echo.accepted, 6)
    if time.monotonic() - began < 9:  # after ten seconds it is tried again
        same(rum.stats()["upstream"]["connect_failures"], 1)


@test("While a name is being resolved the worker serves others", seconds=60)
def _(t):
    from support import cdb
    from support.mysql_wire import Client, FakeServer, ServerError
    if not t.run.build.has_module("mysql.so"):
        raise AssertionError("this test needs the mysql module")
    server = t.keep(FakeServer("pw"))
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("good", "", server.address), *[
        ("bad%d" % n, "", "tcp:h%d.no.such.host.invalid:3306" % n) for n in range(20)]))
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "-w", "1")
    waiting = []
    for n in range(20):
        c = t.keep(Client(here, 40))
        c.greet()
        from support.mysql_wire import response
        c.send(response("bad%d" % n, b""))
        waiting.append(c)
    for _ in range(20):
        with Client(here) as c:
            c.login("good", "pw")
    for c in waiting:
        answer = c.read()
        same(answer[0], 0xFF)
        check(b"invalid" not in answer, "the internal name: %r" % answer)
        check(ServerError(answer).sqlstate, "a SQL state")
    rum.wait_sessions(40)


@test("A destination that comes up later is found")
def _(t):
    here, there = tcp(), tcp()
    t.rum("-s", here, "-d", there)
    with connect(here) as s:
        check(net.ended(s) in ("closed", "reset"), "ended")
    t.keep(Echo(there))
    with connect(here) as s:
        s.sendall(b"now")
        same(net.read_exact(s, 3), b"now")


@test("A server that dies with all its connections takes its sessions along, and only those")
def _(t):
    dies = threading.Event()

    def serve(s):
        s.sendall(s.recv(1))
        dies.wait(30)
        net.reset(s)

    one, two = t.keep(peers.Script(serve)), t.keep(Echo())
    to_one, to_two = tcp(), tcp()
    rum = t.rum("-s", to_one, "-d", one.address)
    t.rum("-s", to_two, "-d", two.address)
    crowd = [connect(to_one) for _ in range(50)]
    with connect(to_two) as safe:
        for s in crowd + [safe]:
            s.sendall(b"x")
            same(net.read_exact(s, 1), b"x")
        dies.set()
        for s in crowd:
            same(net.ended(s, 5), "reset")
            s.close()
        safe.sendall(b"y")
        same(net.read_exact(safe, 1), b"y")
    same({r["reason"] for r in rum.wait_sessions(50)}, {"upstream_reset"})


@test("A flood of connections to a dead server does not keep anything", seconds=60)
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-d", closed_port())
    for _ in range(10):
        crowd = [connect(here) for _ in range(100)]
        for s in crowd:
            net.ended(s)
            s.close()
    rum.wait_sessions(1000, 20)
    same(rum.stats()["sessions"]["connecting"], 0)
    rum.back_to_baseline()


@test("A server that only accepts holds as many sessions as come, and each can leave", seconds=60)
def _(t):
    holds = t.keep(peers.Holds())
    here = tcp()
    rum = t.rum("-s", here, "-d", holds.address)
    crowd = [connect(here) for _ in range(300)]
    net.until(lambda: rum.stats()["sessions"]["relaying"] == 300, 10, "all are there")
    for s in crowd:
        net.reset(s)
    net.until(lambda: rum.stats()["sessions"]["active"] == 0, 5, "all are gone")


@test("A server that does not answer holds as many clients as it may, the others go on at once",
      seconds=120 if full() else 60)
def _(t):
    most, count = (200, 10_000) if full() else (20, 400)
    dead, echo = t.keep(peers.NeverAccepts()), t.keep(peers.ManyEcho())
    to_dead, to_echo = tcp(), tcp()
    rum = t.rum("-s", to_dead, "-d", dead.address, "--max-connecting-per-destination", str(most),
                "--connect-timeout", "3s", "--breaker", "off")
    t.rum("-s", to_echo, "-d", echo.address)
    first = [connect(to_dead) for _ in range(most)]
    began = time.monotonic()
    net.until(lambda: rum.stats()["sessions"]["connecting"] == most, 10, "so many are on their way")
    for _ in range(count - most):
        with connect(to_dead) as s:
            check(net.ended(s, 2 * t.scale) in ("closed", "reset"), "refused")
        check(rum.alive(), "alive")
        if time.monotonic() - began > 2.5:
            break
        with connect(to_echo) as s:
            s.sendall(b"x")
            same(net.read_exact(s, 1), b"x")
    refused = rum.stats()["limits"]["clients_refused"]["max_connecting_per_destination"]
    check(refused > most or refused == count - most, "%d refused" % refused)
    for s in first:
        check(net.ended(s, 10) in ("closed", "reset"), "its time is over")
        s.close()
    took = time.monotonic() - began
    check(2.7 <= took <= 3.3 + t.scale, "the last one ended after %.2f s" % took)
    reasons = [r["reason"] for r in rum.wait_sessions(most + refused)]
    same((reasons.count("connect_timeout"), reasons.count("limit")), (most, refused))
    t.say("%d on their way, %d refused meanwhile" % (most, refused))


@test("Clients that come all at once are throttled, and none is lost in its queue",
      needs="mysql.so", seconds=90)
def _(t):
    from support import cdb
    from support.mysql_wire import Client, FakeServer

    class Slow(FakeServer):
        """Takes its time to greet, and counts who waits for that."""
        waiting = most = 0
        lock = threading.Lock()
        # Slower when rum is: else few wait at once. But all are served before rum stops queueing.
        pause = 0.03 if full() else 0.03 * min(t.scale, 4)

        def handle(self, s):
            with self.lock:
                self.waiting += 1
                self.most = max(self.most, self.waiting)
            time.sleep(self.pause)
            with self.lock:
                self.waiting -= 1
            super().handle(s)

    clients = 2000 if full() else 300
    server = t.keep(Slow("pw", backlog=80))
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("alice", "", server.address)))
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "--login-timeout", "40s")
    waiting = []
    for _ in range(clients):
        c = Client(here, 60)
        c.greet()
        waiting.append(c)
    for c in waiting:  # all at once
        c.send(mysql_wire.response("alice", b""))
    for c in waiting:
        c.finish_login("pw")
    check(10 <= server.most <= 50, "%d waited for the server" % server.most)
    stats = rum.stats()
    same(stats["sessions"]["relaying"], clients)
    check(clients // 2 < stats["upstream"]["throttled"] <= clients - 50, stats["upstream"]["throttled"])
    for c in waiting:
        c.quit()
    same({r["reason"] for r in rum.wait_sessions(clients, 20)}, {"client_closed"}, "how they end")


@test("A server that takes them slowly is not waited for longer than three seconds", needs="mysql.so",
      seconds=90)
def _(t):
    from support import cdb
    from support.mysql_wire import Client, FakeServer

    class Slow(FakeServer):
        def handle(self, s):
            time.sleep(1)
            super().handle(s)

    server = t.keep(Slow("pw"))
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("alice", "", server.address)))
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "--server-backlog", "5")
    waiting = []
    for _ in range(80):  # 5 a second would be 16 s, twice the time for a login
        c = t.keep(Client(here, 60))
        c.greet()
        c.send(mysql_wire.response("alice", b""))
        waiting.append(c)
    for c in waiting:
        c.finish_login("pw")
    same(rum.stats()["sessions"]["relaying"], 80)
    for c in waiting:
        c.quit()
    rum.wait_sessions(80, 20)


@test("--server-backlog says how many wait for a server at a time", needs="mysql.so")
def _(t):
    from support import cdb
    from support.mysql_wire import Client
    server = t.keep(peers.Script(lambda s: s.recv(1)))
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("alice", "", server.address)))
    for given, waits in (("8", 12), ("off", 0)):
        here = tcp()
        rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "--health-check", "off", "--breaker",
                    "off", "--server-backlog", given)
        before = server.accepted
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                c = stack.enter_context(contextlib.closing(Client(here, 60)))
                c.greet()
                c.send(mysql_wire.response("alice", b""))
            # Those who wait go when the server has taken nobody for a second.
            net.until(lambda: server.accepted == before + 20, 20 * t.scale, "all are there")
            same(rum.stats()["upstream"]["throttled"], waits)
        rum.wait_sessions(20, 20)


@test("Who waits for a server that takes nobody goes to it soon all the same", needs="mysql.so",
      seconds=60)
def _(t):
    from support import cdb
    from support.mysql_wire import Client
    server = t.keep(peers.Script(lambda s: s.recv(1)))
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(("alice", "", server.address)))
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "--first-byte-timeout", "8s",
                "--login-timeout", "20s", "--breaker", "off")
    waiting = []
    for _ in range(70):
        c = Client(here, 60)
        c.greet()
        c.send(mysql_wire.response("alice", b""))
        waiting.append(c)
    net.until(lambda: server.accepted == 70, 20 * t.scale, "all are there")
    same(rum.stats()["sessions"]["active"], 70, "before the first of them has been given up")
    same({r["reason"] for r in rum.wait_sessions(70, 20)}, {"first_byte_timeout"})
    for c in waiting:
        c.close()

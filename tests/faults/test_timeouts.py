"""Every deadline: what ends a session, when, and what the log calls it."""

import os
import socket
import time

from support import net, peers
from support.harness import check, same, test
from support.net import connect
from support.peers import Echo
from test_redirect import tcp


def lasts(s, low, high, t):
    """The connection ends between these times (seconds from now); says how."""
    begin = time.monotonic()
    how = net.ended(s, high * t.scale + 20)
    took = time.monotonic() - begin
    check(low * 0.9 - 0.05 <= took <= high * t.scale, "ended after %.2f s (%r)" % (took, how))
    return how


@test("The idle timeout ends a session on which nothing moves, and only that")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--idle-timeout", "1s")
    with connect(here) as idle, connect(here) as busy:
        for s in (idle, busy):
            s.sendall(b"x")
            same(net.read_exact(s, 1), b"x")
        begin = time.monotonic()
        while not net.readable(idle, 0):
            busy.sendall(b"y")
            same(net.read_exact(busy, 1), b"y")
            check(time.monotonic() - begin < 4 * t.scale, "the idle session goes on")
            time.sleep(0.05)
        check(time.monotonic() - begin > 0.7, "too early")
        check(net.ended(idle) in ("closed", "reset"), "ended")
        busy.sendall(b"z")
        same(net.read_exact(busy, 1), b"z")
    reasons = sorted(r["reason"] for r in rum.wait_sessions(2))
    same(reasons, ["client_closed", "idle_timeout"])


@test("Bytes of one direction keep a session from being idle")
def _(t):
    def drip(s):
        for _ in range(15):
            s.sendall(b".")
            time.sleep(0.15)

    server = t.keep(peers.Script(drip))
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address, "--idle-timeout", "1s")
    with connect(here) as s:
        same(net.read_all(s), b"." * 15)
    same(rum.session()["reason"], "upstream_closed")


@test("Without an idle timeout a silent session stays")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    t.rum("-s", here, "-d", echo.address, "--connect-timeout", "200ms", "--login-timeout", "200ms",
          "--first-byte-timeout", "200ms", "--half-close-timeout", "200ms")
    with connect(here) as s:
        check(not net.readable(s, 1.0), "nothing ends it")
        s.sendall(b"x")
        same(net.read_exact(s, 1), b"x")


@test("The half-close timeout ends a session whose other half stays silent")
def _(t):
    holds = t.keep(peers.Holds())
    here = tcp()
    rum = t.rum("-s", here, "-d", holds.address, "--half-close-timeout", "500ms")
    with connect(here) as s:
        s.sendall(b"x")
        s.shutdown(socket.SHUT_WR)
        lasts(s, 0.5, 2.5, t)
    same(rum.session()["reason"], "half_close_timeout")


@test("The half-close timeout ends a session whose server has ended and whose client stays silent")
def _(t):
    server = t.keep(peers.EndFirst(b"bye"))
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address, "--half-close-timeout", "500ms")
    with connect(here) as s:
        same(net.read_all(s), b"bye")
        record = rum.session()
    same(record["reason"], "half_close_timeout")


@test("A half-closed session on which bytes still move is not ended")
def _(t):
    def slow(s):
        net.read_all(s)
        for _ in range(12):
            s.sendall(b"." * 100)
            time.sleep(0.1)

    server = t.keep(peers.Script(slow))
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address, "--half-close-timeout", "400ms")
    with connect(here) as s:
        s.shutdown(socket.SHUT_WR)
        same(len(net.read_all(s)), 1200)
    same(rum.session()["reason"], "client_closed")


@test("1,000 half-closed sessions that stay silent are all ended, and nothing is left", seconds=90)
def _(t):
    holds = t.keep(peers.Holds())
    here = tcp()
    rum = t.rum("-s", here, "-d", holds.address, "--half-close-timeout", "700ms")
    crowd = []
    for _ in range(1000):
        s = connect(here)
        s.shutdown(socket.SHUT_WR)
        crowd.append(s)
    records = rum.wait_sessions(1000, 20)
    same({r["reason"] for r in records}, {"half_close_timeout"})
    rum.back_to_baseline()
    for s in crowd:
        s.close()


@test("The connect timeout ends the attempt on a server that does not answer")
def _(t):
    dead = t.keep(peers.NeverAccepts())
    here = tcp()
    rum = t.rum("-s", here, "-d", dead.address, "--connect-timeout", "600ms")
    with connect(here) as s:
        lasts(s, 0.6, 2.5, t)
    same(rum.session()["reason"], "connect_timeout")


@test("Each destination of a list has its own connect timeout")
def _(t):
    dead, dead2 = t.keep(peers.NeverAccepts()), t.keep(peers.NeverAccepts())
    here = tcp()
    rum = t.rum("-s", here, "-d", "%s,%s" % (dead.address, dead2.address), "--connect-timeout",
                "500ms")
    with connect(here) as s:
        lasts(s, 1.0, 3.5, t)
    same(rum.session()["reason"], "connect_timeout")
    same(rum.stats()["upstream"]["connect_failures"], 2)


@test("A client that leaves while rum connects is noticed, and nothing is left")
def _(t):
    dead = t.keep(peers.NeverAccepts())
    here = tcp()
    rum = t.rum("-s", here, "-d", dead.address, "--connect-timeout", "30s", "--login-timeout", "30s")
    for end in (net.reset, net.reset, net.reset):
        s = connect(here)
        s.sendall(b"hello")
        end(s)
    records = rum.wait_sessions(3, 5)
    check({r["reason"] for r in records} <= {"client_gone", "client_reset"}, str(records))


# Logins: the mysql module's conversation.

@test("The login timeout is absolute: a client that says nothing, or one byte at a time, is ended",
      needs="mysql.so")
def _(t):
    from support.mysql_wire import Client, response, packet
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-d", tcp(), "--login-timeout", "1s")
    with Client(here) as silent, Client(here) as slow:
        silent.greet(), slow.greet()
        begin = time.monotonic()
        data = packet(1, response("alice", b"", attributes=b"\1k\1v" * 200))
        at = 0
        while not net.readable(slow.socket, 0.05):
            slow.socket.send(data[at:at + 1])
            at = min(at + 1, len(data) - 2)
            check(time.monotonic() - begin < 5 * t.scale, "bytes keep the login alive")
        check(time.monotonic() - begin > 0.6, "too early")
        for c in (silent, slow):
            answer = c.read()
            same(answer[0], 0xFF, "an error before the end: %r" % answer)
            same(net.ended(c.socket), "closed")
    same({r["reason"] for r in rum.wait_sessions(2)}, {"login_timeout"})


@test("A server that accepts and says nothing is given up after the first-byte timeout",
      needs="mysql.so")
def _(t):
    from support.mysql_wire import Client, ServerError
    holds = t.keep(peers.Holds())
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-d", holds.address, "--first-byte-timeout", "600ms",
                "--login-timeout", "20s")
    with Client(here) as c:
        begin = time.monotonic()
        try:
            c.login("alice", "pw")
            check(False, "logged in")
        except ServerError as e:
            took = time.monotonic() - begin
            check(0.5 < took < 3 * t.scale, "after %.2f s" % took)
            check(e.sqlstate, "a SQL state: %s" % e)
            check("127.0.0.1" not in e.text and holds.address.rsplit(":")[-1] not in e.text, e.text)
    same(rum.session()["reason"], "first_byte_timeout")


@test("A server that greets and then stops is ended by the login timeout", needs="mysql.so")
def _(t):
    from support.mysql_wire import Client, FakeServer, ServerError
    server = t.keep(FakeServer("pw", after_switch=lambda s, n: s.recv(1) and s.recv(1000)
                               and s.recv(1000)))
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-d", server.address, "--login-timeout", "1s")
    with Client(here) as c:
        try:
            c.login("alice", "pw")
            check(False, "logged in")
        except ServerError as e:
            check(e.sqlstate, "a SQL state: %s" % e)
    same(rum.session()["reason"], "login_timeout")


@test("A slow login does not hold up others, and a session outlives the login timeout",
      needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import front, usual_map
    from support.mariadb import password
    from support.mysql_wire import Client
    _, here = front(t, usual_map(t), "--login-timeout", "1s", "-w", "1")
    with Client(here) as c:
        c.login("alice", password("alice"))
        with Client(here) as silent:
            silent.greet()
            same(c.query("SELECT 1"), ["1"])
            same(net.readable(silent.socket, 3 * t.scale), True, "the silent one is ended")
        same(c.query("SELECT SLEEP(0.5)"), ["0"])
        same(c.query("SELECT 2"), ["2"])


@test("A server that stops in the middle of a result and goes on later loses nothing")
def _(t):
    import threading
    go_on = threading.Event()
    reply = net.pattern(6 << 20)

    def pause(s):
        s.sendall(reply[:3 << 20])
        go_on.wait(20)
        s.sendall(reply[3 << 20:])

    server = t.keep(peers.Script(pause))
    here = tcp()
    t.rum("-s", here, "-d", server.address, "--login-timeout", "300ms", "--first-byte-timeout", "300ms")
    with connect(here) as s:
        first = net.read_exact(s, 3 << 20)
        check(not net.readable(s, 0.8), "nothing comes meanwhile, and it is not ended")
        go_on.set()
        check(first + net.read_all(s) == reply, "the same bytes")


@test("A process that was stopped for a while goes on without ending sessions before their time",
      seconds=60)
def _(t):
    import signal
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--idle-timeout", "30s")
    crowd = [connect(here) for _ in range(50)]
    for s in crowd:
        s.sendall(b"a")
        same(net.read_exact(s, 1), b"a")
    rum.signal(signal.SIGSTOP)
    for s in crowd:
        s.sendall(b"b")
    waiting = [connect(here) for _ in range(20)]  # into the queue of the listener
    for s in waiting:
        s.sendall(b"c")
    time.sleep(1.5)  # the point is that it stands still for this long
    rum.signal(signal.SIGCONT)
    for s in crowd:
        same(net.read_exact(s, 1), b"b")
    for s in waiting:
        same(net.read_exact(s, 1), b"c")
    for s in crowd + waiting:
        s.close()


@test("A clock that jumps by an hour, again and again, ends no session and delays none")
def _(t):
    echo, dead = t.keep(peers.ManyEcho()), t.keep(peers.NeverAccepts())
    here, silent, clock = tcp(), tcp(), t.path("clock")

    def jump(seconds):
        with open(clock + ".new", "w") as f:
            f.write(str(seconds))
        os.rename(clock + ".new", clock)
    jump(0)
    env = {"RUM_TEST_CLOCK": clock}
    rum = t.rum("-s", here, "-d", echo.address, "--idle-timeout", "20s", "--half-close-timeout", "20s",
                preload=t.run.build.preload, env=env)
    other = t.rum("-s", silent, "-d", dead.address, "--connect-timeout", "1500ms",
                  preload=t.run.build.preload, env=env)
    held = [connect(here) for _ in range(20)]
    waiting = connect(silent)
    began = time.monotonic()
    for n in range(100):
        jump((3600, -3600, 0, 86400 * 400)[n % 4])
        for s in held[n % 2::2]:
            s.sendall(b"x")
            same(net.read_exact(s, 1), b"x")
        time.sleep(0.005)
    same(rum.stats()["sessions"]["active"], 20)
    check(net.ended(waiting, 10) in ("closed", "reset"), "its time is over")
    took = time.monotonic() - began
    check(1.4 <= took < 1.5 + 2 * t.scale, "the connect timeout came after %.2f s" % took)
    same(other.session()["reason"], "connect_timeout")
    for s in held:
        s.close()
    records = rum.wait_sessions(20)
    same({r["reason"] for r in records}, {"client_closed"})
    check(all(0 < r["duration"] < 60 for r in records), "durations are true")
    jump(86400 * 400)
    with connect(here) as s:
        s.sendall(b"x")
        same(net.read_exact(s, 1), b"x")
    year = time.gmtime(time.time() + 86400 * 400).tm_year
    check(rum.wait_sessions(21)[20]["time"].startswith(str(year)), "the clock was set")

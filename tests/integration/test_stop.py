"""Stopping: TERM lets sessions end by themselves within a time, a second TERM or QUIT does not wait."""

import json
import os
import signal
import time

from support import net, peers
from support.harness import check, same, test
from support.net import connect
from support.peers import Echo
from test_control import ctl
from test_redirect import tcp


def echo_works(s, text=b"ping"):
    s.sendall(text)
    same(net.read_exact(s, len(text)), text, "echo")


def wait_drain(*addresses):
    """Until nobody listens on the addresses any more; new clients are refused then."""
    for address in addresses:
        net.until(lambda: not net.listening(address), 5, "%s is let go" % address)
        try:
            with connect(address):
                raise AssertionError("%s takes clients" % address)
        except (ConnectionRefusedError, FileNotFoundError):
            pass


@test("TERM without sessions ends at once with 0")
def _(t):
    rum = t.rum("-s", tcp(), "-d", tcp())
    begin = time.monotonic()
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(5), 0, "exit code")
    check(time.monotonic() - begin < 5 * t.scale, "soon")


@test("After TERM sessions go on, new clients are refused, and the process ends with the last session")
def _(t):
    echo = t.keep(Echo())
    here, path = tcp(), "sock:" + t.path("in.sock")
    rum = t.rum("-s", here, "-s", path, "-d", echo.address, "--drain-timeout", "60s")
    with connect(here) as one, connect(path) as two:
        echo_works(one), echo_works(two)
        rum.signal(signal.SIGTERM)
        wait_drain(here, path)
        for _ in range(3):
            echo_works(one), echo_works(two)
        check(rum.alive(), "alive while there are sessions")
    same(rum.wait_exit(10), 0, "exit code")
    same([r["reason"] for r in rum.sessions()], ["client_closed"] * 2)


@test("What outlives the drain timeout is cut, and the log says so")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--drain-timeout", "700ms")
    with connect(here) as s:
        echo_works(s)
        begin = time.monotonic()
        rum.signal(signal.SIGTERM)
        check(net.ended(s, 20) in ("closed", "reset"), "cut")
        check(time.monotonic() - begin >= 0.6, "not before its time")
        same(rum.wait_exit(5), 0, "exit code")
    same([r["reason"] for r in rum.sessions()], ["drain"])


@test("A second TERM ends the drain at once")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--drain-timeout", "1h")
    with connect(here) as s:
        echo_works(s)
        rum.signal(signal.SIGTERM)
        wait_drain(here)
        echo_works(s)
        rum.signal(signal.SIGTERM)
        check(net.ended(s, 10) in ("closed", "reset"), "cut")
        same(rum.wait_exit(5), 0, "exit code")
    same([r["reason"] for r in rum.sessions()], ["drain"])


@test("QUIT ends at once")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--drain-timeout", "1h")
    with connect(here) as s:
        echo_works(s)
        rum.signal(signal.SIGQUIT)
        check(net.ended(s, 10) in ("closed", "reset"), "cut")
        same(rum.wait_exit(5), 0, "exit code")


@test("INT stops as TERM does")
def _(t):
    rum = t.rum("-s", tcp(), "-d", tcp())
    rum.signal(signal.SIGINT)
    same(rum.wait_exit(5), 0, "exit code")


@test("While draining /ready says 503 and /live says 200")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--drain-timeout", "1h")
    with connect(here) as s:
        echo_works(s)
        same(rum.get("/ready")[0], 200)
        rum.signal(signal.SIGTERM)
        net.until(lambda: rum.get("/ready")[0] == 503, 5, "/ready says 503")
        same(rum.get("/live")[0], 200)
        echo_works(s)
    same(rum.wait_exit(10), 0, "exit code")


@test("While draining, sessions are listed and killed though a worker has none left")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "-w", "2", "--drain-timeout", "1h",
                "--control", "sock:" + t.path("control"))
    with connect(here) as s:
        echo_works(s)
        rum.signal(signal.SIGTERM)
        wait_drain(here)
        time.sleep(0.2)  # for the worker that has none to be over
        for _ in range(2):  # the second waits for the first
            same(json.loads(ctl(t, "--json", "sessions"))["matched"], 1)
        same(ctl(t, "kill", "ip=127.0.0.1"), "1 ended\n")
        check(net.ended(s, 10) in ("closed", "reset"), "killed")
        same(rum.wait_exit(10), 0, "exit code")
    same([r["reason"] for r in rum.sessions()], ["killed"])


@test("A drain delivers a reply that is under way")
def _(t):
    reply = net.pattern(20 << 20)
    source = t.keep(peers.Source(lambda: [reply]))
    here = tcp()
    rum = t.rum("-s", here, "-d", source.address, "--drain-timeout", "60s")
    with connect(here, receive_buffer=65536) as s:
        first = net.read_exact(s, 1000)
        rum.signal(signal.SIGTERM)
        wait_drain(here)
        check(first + net.read_all(s) == reply, "the whole reply")
    same(rum.wait_exit(10), 0, "exit code")


@test("A drain ends sessions that are still connecting when its time is over")
def _(t):
    dead = t.keep(peers.NeverAccepts())
    here = tcp()
    rum = t.rum("-s", here, "-d", dead.address, "--connect-timeout", "1h", "--login-timeout", "1h",
                "--drain-timeout", "300ms")
    with connect(here) as s:
        s.sendall(b"x")
        net.until(lambda: rum.stats() and sum(rum.descriptors().values()) >
                  sum(rum.baseline.values()), 5, "the session is there")
        rum.signal(signal.SIGTERM)
        check(net.ended(s, 10) in ("closed", "reset"), "cut")
        same(rum.wait_exit(5), 0, "exit code")
    same([r["reason"] for r in rum.sessions()], ["drain"])


@test("PIPE, HUP and USR1 do not end the process")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address)
    with connect(here) as s:
        echo_works(s)
        for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGUSR1):
            rum.signal(number)
            same(rum.get("/live")[0], 200)
            echo_works(s)


@test("HUP opens the log file again after it was moved away")
def _(t):
    echo = t.keep(Echo())
    here, log = tcp(), t.path("access.log")
    rum = t.rum("-s", here, "-d", echo.address, "-l", log)

    def session():
        with connect(here) as s:
            echo_works(s)

    def lines(path):
        if not os.path.exists(path):
            return 0
        with open(path) as f:
            return f.read().count("client_closed")

    session()
    net.until(lambda: lines(log) == 1, 5, "the first line")
    os.rename(log, log + ".1")
    rum.signal(signal.SIGHUP)
    count = [1]

    def lands_in_new_file():
        session()
        count[0] += 1
        net.until(lambda: lines(log) + lines(log + ".1") == count[0], 5, "a line for every session")
        return os.path.exists(log)
    net.until(lands_in_new_file, 5, "a new file")
    old = lines(log + ".1")
    for _ in range(3):
        session()
        count[0] += 1
    net.until(lambda: lines(log) + old == count[0], 5, "all further lines in the new file")
    same(lines(log + ".1"), old, "lines in the old file")


@test("A client that connects in the moment of TERM is served or closed, never left hanging", seconds=90)
def _(t):
    echo = t.keep(Echo())
    for _ in range(15):
        here = tcp()
        rum = t.rum("-s", here, "-d", echo.address, "--drain-timeout", "60s")
        with connect(here) as s:
            echo_works(s)
            rum.signal(signal.SIGTERM)
            while True:
                try:
                    with connect(here) as late:
                        late.sendall(b"?")
                        check(net.ended(late) in (b"?", "closed", "reset"), "served or closed")
                except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
                    break
            echo_works(s)
        same(rum.wait_exit(10), 0, "exit code")

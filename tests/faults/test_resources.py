"""Descriptors that run out and system calls that fail: no spinning, no end of the process, and rum
serves again afterwards."""

import errno
import itertools
import os
import signal
import socket
import time

from support import net, peers
from support.harness import check, same, test
from support.net import connect
from support.peers import Echo
from test_redirect import ask, tcp


def crowd_of(here, size):
    found = []
    for _ in range(size):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(net.parse(here)[1])
        found.append(s)
    return found


@test("With the descriptors used up rum does not spin, and serves again when some are free",
      seconds=90)
def _(t):
    echo = t.keep(peers.ManyEcho())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, descriptors=100)
    crowd = crowd_of(here, 400)
    net.until(lambda: sum(rum.descriptors().values()) >= 95, 10, "the descriptors are used up")
    # The processor's time over two seconds is what the test is about.
    before = rum.processor_seconds()
    time.sleep(2)
    used = rum.processor_seconds() - before
    check(used < 0.4 * t.scale, "used %.2f s of 2 s" % used)
    check(rum.alive(), "alive")
    for s in crowd:
        s.close()
    net.until(lambda: sum(rum.descriptors().values()) <= sum(rum.baseline.values()) + 2, 15,
              "descriptors are free again")

    def served():
        try:
            return ask(here) == b"hello"
        except OSError:
            return False
    net.until(served, 10, "clients are served again")
    # Complaints are bounded: about one a second.
    complaints = [r for r in rum.records() if r["level"] == "error"]
    check(1 <= len(complaints) <= 40, "%d lines" % len(complaints))
    check(rum.metric("rum_accept_failures_total") > 0, "accept failures are counted")


@test("A client that is refused for lack of descriptors gets an error in its own protocol",
      needs="mysql.so", seconds=60)
def _(t):
    from support.mysql_wire import read_packet, ServerError
    holds = t.keep(peers.Holds())
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-d", holds.address, "--login-timeout", "60s",
                descriptors=80)
    crowd = crowd_of(here, 300)

    def refused():
        found = []
        for s in crowd:
            s.setblocking(True)
            s.settimeout(0.5)
            try:
                _, payload = read_packet(s)
                if payload[0] == 0xFF:
                    found.append(ServerError(payload))
            except (OSError, EOFError):
                pass
            if len(found) >= 3:
                return found
            s.setblocking(False)
        return found
    net.until(lambda: sum(rum.descriptors().values()) >= 75, 10, "the descriptors are used up")
    told = refused()
    check(told, "nobody was told")
    for e in told:
        same(e.code, 1040)
        same(e.sqlstate, None, "an error in place of a greeting has no SQL state")
    for s in crowd:
        s.close()


@test("Sessions that are open stay well while the descriptors are used up", seconds=60)
def _(t):
    echo = t.keep(peers.ManyEcho())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, descriptors=100)
    with connect(here) as s:
        s.sendall(b"x")
        same(net.read_exact(s, 1), b"x")
        crowd = crowd_of(here, 300)
        net.until(lambda: sum(rum.descriptors().values()) >= 95, 10, "the descriptors are used up")
        data = net.pattern(3 << 20)  # bulk, for which no pipe is left
        from test_relay import background
        join = background(s.sendall, data)
        check(net.read_exact(s, len(data)) == data, "the same bytes")
        join()
        for other in crowd:
            other.close()


@test("Bulk takes no descriptor that was promised to --max-connections", seconds=120)
def _(t):
    block = net.pattern(1 << 20)
    source = t.keep(peers.Source(lambda: itertools.repeat(block)))
    here = tcp()
    rum = t.rum("-s", here, "-d", source.address, "--max-connections", "132", "--nofile", "464")
    check("open files" not in rum.log(), "the limit is enough")
    crowd = []
    for number in range(132):
        s = connect(here, receive_buffer=1 << 16)
        crowd.append(s)
        check(net.read_exact(s, len(block)) == block, "what client %d gets" % number)
    same(rum.stats()["sessions"]["active"], 132)
    same(rum.metric("rum_accept_failures_total"), 0)
    for s in crowd:
        s.close()


@test("What the network says of one client does not stop the listener", seconds=90)
def _(t):
    echo = t.keep(Echo())
    for number in (errno.ENETDOWN, errno.EPROTO, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET,
                   errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH, errno.EPERM,
                   errno.ECONNABORTED):
        here, when = tcp(), t.path("fail-%d" % number)
        rum = t.rum("-s", here, "-d", echo.address, preload=t.run.build.preload, env={
            "RUM_TEST_FAIL": "accept4=%d/2" % number, "RUM_TEST_FAIL_WHEN": when})
        open(when, "w").close()
        for _ in range(10):
            same(ask(here), b"hello")
        same(rum.metric("rum_accept_failures_total"), 0, errno.errorcode[number])
        rum.finish()


@test("A listener on which nothing but such errors come pauses", seconds=60)
def _(t):
    echo, here, when = t.keep(Echo()), tcp(), t.path("fail-now")
    rum = t.rum("-s", here, "-d", echo.address, preload=t.run.build.preload, env={
        "RUM_TEST_FAIL": "accept4=%d/1" % errno.EPERM, "RUM_TEST_FAIL_WHEN": when})
    open(when, "w").close()
    with connect(here) as s:
        rum.wait_log("cannot accept clients")
        os.unlink(when)
        s.sendall(b"hello")
        same(net.read_exact(s, 5), b"hello")


CALLS = {
    "accept4": [errno.ECONNABORTED, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOBUFS,
                errno.ENOMEM, errno.EPROTO, errno.EPERM],
    "socket": [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EACCES],
    "connect": [errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EACCES, errno.ENOBUFS, errno.EAGAIN,
                errno.ECONNREFUSED],
    "setsockopt": [errno.ENOBUFS, errno.EINVAL, errno.EPERM],
    "epoll_ctl": [errno.ENOSPC, errno.ENOMEM],
    "pipe2": [errno.EMFILE, errno.ENFILE],
    "splice": [errno.EINVAL, errno.ENOMEM, errno.EINTR],
    "recv": [errno.ECONNRESET, errno.EINTR, errno.ENOMEM, errno.ETIMEDOUT],
    "send": [errno.EPIPE, errno.EINTR, errno.ECONNRESET, errno.ENOBUFS],
}


def under_failures(t, call, number):
    echo = t.keep(Echo())
    here, when = tcp(), t.path("fail-now")
    # Whatever fails, a session ends by it and not by a timeout.
    rum = t.rum("-s", here, "-d", echo.address, "--half-close-timeout", "1h",
                preload=t.run.build.preload, env={
                    "RUM_TEST_FAIL": "%s=%d/3" % (call, number), "RUM_TEST_FAIL_WHEN": when})
    same(ask(here), b"hello", "before")
    data = net.pattern(1 << 20)
    open(when, "w").close()
    for turn in range(12):
        try:
            with connect(here, 5) as s:
                s.sendall(data if turn % 4 == 0 else b"abc")
                s.shutdown(socket.SHUT_WR)
                got = net.read_all(s)
            sent = data if turn % 4 == 0 else b"abc"
            check(sent.startswith(got), "wrong bytes: %d of %d" % (len(got), len(sent)))
        except OSError:
            pass
        check(rum.alive(), "ended by %s %s" % (call, errno.errorcode[number]))
    os.unlink(when)

    def well():
        try:
            return ask(here) == b"hello"
        except OSError:
            return False
    net.until(well, 10, "served again after %s %s" % (call, errno.errorcode[number]))
    check(ask(here, data) == data, "bulk afterwards")


for call_name, numbers in CALLS.items():
    @test("Sessions fail alone when %s fails, and rum serves afterwards" % call_name, seconds=90)
    def _(t, call=call_name, numbers=tuple(numbers)):
        for number in numbers:
            under_failures(t, call, number)


@test("An idle process with idle sessions uses no processor time")
def _(t):
    echo = t.keep(peers.ManyEcho())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--idle-timeout", "1h")
    crowd = [connect(here) for _ in range(200)]
    for s in crowd:
        s.sendall(b"x")
        same(net.read_exact(s, 1), b"x")
    before = rum.processor_seconds()
    time.sleep(2)
    used = rum.processor_seconds() - before
    check(used <= 0.04 * t.scale, "used %.2f s of 2 s" % used)
    for s in crowd:
        s.close()


@test("A peer that ended and one that is held up do not make rum spin")
def _(t):
    holds = t.keep(peers.Holds())
    here = tcp()
    rum = t.rum("-s", here, "-d", holds.address, "--half-close-timeout", "1h")
    ended = [connect(here) for _ in range(20)]
    for s in ended:
        s.shutdown(socket.SHUT_WR)
    stuffed = [connect(here) for _ in range(20)]
    for s in stuffed:
        s.setblocking(False)
        full = 0
        while full < 20:
            try:
                s.send(b"z" * 1_000_000)
                full = 0
            except BlockingIOError:
                full += 1
                time.sleep(0.005)
    before = rum.processor_seconds()
    time.sleep(2)
    used = rum.processor_seconds() - before
    check(used <= 0.1 * t.scale, "used %.2f s of 2 s" % used)
    for s in ended + stuffed:
        net.reset(s)


@test("A storm of signals and statistics under traffic is survived")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address)
    for _ in range(150):
        rum.signal(signal.SIGHUP)
        rum.signal(signal.SIGUSR1)
        same(ask(here), b"hello")
        rum.get("/stats")

"""HUP: options are read again, what can change is applied, and a mistake changes nothing."""

import os
import signal

from support import net
from support.harness import check, has, same, test
from support.net import connect
from support.peers import Echo
from test_redirect import tcp
from test_stop import echo_works


def write(t, *lines):
    path = t.path("rum.conf")
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    return path


def says(rum, text, times=1):
    net.until(lambda: rum.log().count(text) >= times, 10, lambda: "%r in:\n%s" % (text, rum.log()))


def destination_of(rum, here):
    with connect(here) as s:
        echo_works(s)
    return rum.wait_sessions(1)[-1]["destination"]


@test("HUP sends new clients to the new destination and leaves the sessions that are there")
def _(t):
    old, new = t.keep(Echo()), t.keep(Echo())
    here = tcp()
    path = write(t, "destination = " + old.address)
    rum = t.rum("-s", here, "--config", path)
    with connect(here) as before:
        echo_works(before)
        write(t, "destination = " + new.address, "idle-timeout = 1h")
        rum.signal(signal.SIGHUP)
        says(rum, "applied: destination, idle-timeout")
        echo_works(before)
        with connect(here) as after:
            echo_works(after)
    same({r["destination"] for r in rum.wait_sessions(2)}, {old.address, new.address})


@test("A name of -d that does not exist is told before a client needs it, at the start and after HUP")
def _(t):
    servers = t.path("resolv.conf")
    with open(servers, "w") as f:
        f.write("nameserver 127.0.0.77\n")  # nobody is there
    path = write(t, "destination = tcp:first.example.net:1, tcp:127.0.0.1:1")
    rum = t.rum("-s", tcp(), "--config", path, "--resolv-conf", servers, "--dns-timeout", "200ms")
    says(rum, "cannot resolve first.example.net: ")
    write(t, "destination = tcp:second.example.net:1")
    rum.signal(signal.SIGHUP)
    says(rum, "cannot resolve second.example.net: ")


@test("HUP applies a timeout to the sessions to come")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    path = write(t, "idle-timeout = off")
    rum = t.rum("-s", here, "-d", echo.address, "--config", path)
    write(t, "idle-timeout = 400ms")
    rum.signal(signal.SIGHUP)
    says(rum, "applied: idle-timeout")
    with connect(here) as s:
        echo_works(s)
        check(net.ended(s, 20) in ("closed", "reset"), "the idle session is ended")
    same(rum.wait_sessions(1)[0]["reason"], "idle_timeout")


@test("HUP with a mistake changes nothing and says where it is")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    path = write(t, "destination = " + echo.address)
    rum = t.rum("-s", here, "--config", path)
    write(t, "destination = nonsense", "log-logins = perhaps")
    rum.signal(signal.SIGHUP)
    says(rum, "nothing has changed")
    has(rum.log(), "rum.conf:1: destination: 'nonsense'")
    has(rum.log(), "rum.conf:2: log-logins")
    with connect(here) as s:
        echo_works(s)


@test("HUP names the options that need a new process and goes on with the old")
def _(t):
    echo = t.keep(Echo())
    here, other = tcp(), tcp()
    path = write(t, "listen = " + here, "workers = 1")
    rum = t.rum("-d", echo.address, "--config", path)
    write(t, "listen = " + other, "workers = 3", "log-logins")
    rum.signal(signal.SIGHUP)
    says(rum, "need a new process: listen, workers")
    check(not net.listening(other), "the old address stays")
    with connect(here) as s:
        echo_works(s)
        says(rum, '"event":"login"')


@test("A listener that stays until there is a new process keeps its access lists")
def _(t):
    echo = t.keep(Echo())
    here, later = tcp(), tcp()
    path = write(t, "listen = " + here, "deny = %s=127.0.0.0/8" % here)
    rum = t.rum("-d", echo.address, "--config", path)

    def refused():
        with connect(here) as s:
            return net.ended(s, 5) in ("closed", "reset")

    check(refused(), "before")
    write(t, "listen = " + later, "deny = %s=10.0.0.0/8" % later)
    rum.signal(signal.SIGHUP)
    says(rum, "need a new process: listen")
    check(refused(), "after")
    rum.hand_over()
    with connect(later) as s:
        echo_works(s)


@test("HUP changes the log's form and file between two lines, and loses none")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    path = write(t, "log = " + t.path("one.log"), "log-format = text")
    rum = t.rum("-s", here, "-d", echo.address, "--config", path, log=None, check_descriptors=False)
    for _ in range(5):
        with connect(here) as s:
            echo_works(s)
    net.until(lambda: open(t.path("one.log")).read().count(" session id=") == 5, 10, "five lines")
    write(t, "log = " + t.path("two.log"), "log-format = json")
    rum.signal(signal.SIGHUP)
    net.until(lambda: os.path.exists(t.path("two.log")) and
              "applied: log, log-format" in open(t.path("two.log")).read(), 10, "the new file")
    for _ in range(5):
        with connect(here) as s:
            echo_works(s)
    net.until(lambda: open(t.path("two.log")).read().count('"event":"session"') == 5, 10,
              "five lines more")

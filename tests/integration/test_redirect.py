"""Where connections go: every kind of address, several listeners, names, lists of destinations."""

import os
import socket
import stat

from support import net, peers
from support.harness import check, has, same, test
from support.net import connect, free_port
from support.peers import Echo, closed_port


def ask(address, text=b"hello"):
    """Sends a text, ends, and returns all that came back."""
    with connect(address) as s:
        s.sendall(text)
        s.shutdown(socket.SHUT_WR)
        return net.read_all(s)


def tcp(host="127.0.0.1"):
    return "tcp:%s:%d" % (host, free_port())


@test("A TCP connection reaches its TCP destination and brings the answer back")
def _(t):
    echo = t.keep(Echo(prefix=b"A:"))
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address)
    same(ask(here), b"A:hello")
    record = rum.session()
    same(record["reason"], "client_closed")
    same((record["received"], record["sent"]), (5, 7), "bytes")


@test("A unix socket leads to a TCP destination")
def _(t):
    echo = t.keep(Echo())
    here = "sock:" + t.path("in.sock")
    t.rum("-s", here, "-d", echo.address)
    same(ask(here), b"hello")


@test("A TCP listener leads to a unix socket")
def _(t):
    echo = t.keep(Echo("sock:" + t.path("echo.sock")))
    here = tcp()
    t.rum("-s", here, "-d", echo.address)
    same(ask(here), b"hello")


@test("A unix socket leads to a unix socket")
def _(t):
    echo = t.keep(Echo("sock:" + t.path("echo.sock")))
    here = "sock:" + t.path("in.sock")
    t.rum("-s", here, "-d", echo.address)
    same(ask(here), b"hello")


@test("IPv6 is listened on and connected to")
def _(t):
    echo = t.keep(Echo(tcp("[::1]")))
    here = tcp("[::1]")
    rum = t.rum("-s", here, "-d", echo.address)
    same(ask(here), b"hello")
    has(rum.session()["client"], "[::1]:")


@test("IPv4 leads to IPv6 and back")
def _(t):
    six, four = t.keep(Echo(tcp("[::1]"))), t.keep(Echo())
    to_six, to_four = tcp(), tcp("[::1]")
    t.rum("-s", to_six, "-d", six.address)
    t.rum("-s", to_four, "-d", four.address)
    same((ask(to_six), ask(to_four)), (b"hello", b"hello"))


@test("An IPv4 and an IPv6 listener may have the same port")
def _(t):
    echo = t.keep(Echo())
    port = free_port()
    listeners = ["tcp:0.0.0.0:%d" % port, "tcp:[::]:%d" % port]
    t.rum("-s", listeners[0], "-s", listeners[1], "-d", echo.address)
    same(ask("tcp:127.0.0.1:%d" % port), b"hello")
    same(ask("tcp:[::1]:%d" % port), b"hello")


@test("Several listeners of every kind lead to the one destination, and the log names them")
def _(t):
    echo = t.keep(Echo())
    listeners = [tcp(), tcp(), tcp("[::1]"), "sock:" + t.path("a.sock"), "sock:" + t.path("b.sock")]
    arguments = []
    for one in listeners:
        arguments += ["--listen", one]
    rum = t.rum(*arguments, "--destination", echo.address)
    for one in listeners:
        same(ask(one, one.encode()), one.encode())
    named = sorted(r["listener"] for r in rum.wait_sessions(len(listeners)))
    same(named, sorted(listeners), "listeners in the log")


@test("A name is listened on and resolved")
def _(t):
    port = free_port()
    echo = t.keep(Echo())
    rum = t.rum("-s", "tcp:localhost:%d" % port, "-d",
                echo.address.replace("127.0.0.1", "localhost"))
    same(ask("tcp:127.0.0.1:%d" % port), b"hello")
    same(rum.session()["reason"], "client_closed")


@test("A unix socket file has the mode that is asked for")
def _(t):
    echo = t.keep(Echo())
    usual, narrow = t.path("usual.sock"), t.path("narrow.sock")
    os.umask(0o077)  # the mode must not depend on it
    t.rum("-s", "sock:" + usual, "-d", echo.address)
    t.rum("-s", "sock:" + narrow, "-d", echo.address, "--socket-mode", "0600")
    same(oct(stat.S_IMODE(os.stat(usual).st_mode)), oct(0o777))
    same(oct(stat.S_IMODE(os.stat(narrow).st_mode)), oct(0o600))


@test("A socket file that nobody answers on is replaced")
def _(t):
    echo = t.keep(Echo())
    path = t.path("stale.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
        stale.listen()
    check(os.path.exists(path), "the stale file is there")
    t.rum("-s", "sock:" + path, "-d", echo.address)
    same(ask("sock:" + path), b"hello")


@test("A socket file that somebody answers on is not removed and rum does not start")
def _(t):
    from support.rum import run_once
    other = t.keep(Echo("sock:" + t.path("live.sock"), prefix=b"other:"))
    code, _, err = run_once(t, "-s", other.address, "-d", tcp())
    check(code != 0, "exit code %d" % code)
    has(err, t.path("live.sock"), "standard error")
    same(ask(other.address), b"other:hello", "the other program still answers")


@test("A file that is no socket is never replaced by one")
def _(t):
    from support.rum import run_once
    path = t.path("precious.txt")
    with open(path, "w") as f:
        f.write("precious")
    code, _, err = run_once(t, "-s", "sock:" + path, "-d", tcp())
    check(code != 0, "exit code %d" % code)
    has(err, path, "standard error")
    with open(path) as f:
        same(f.read(), "precious")


@test("The socket file is gone when rum has ended")
def _(t):
    import signal
    path = t.path("in.sock")
    rum = t.rum("-s", "sock:" + path, "-d", tcp())
    check(os.path.exists(path), "the file is there while rum runs")
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0, "exit code")
    check(not os.path.exists(path), "the file is left behind")


@test("Of several destinations the first that answers is taken")
def _(t):
    one, two = t.keep(Echo(prefix=b"1:")), t.keep(Echo(prefix=b"2:"))
    here, there = tcp(), tcp()
    t.rum("-s", here, "-d", "%s,%s,%s" % (closed_port(), one.address, two.address))
    t.rum("-s", there, "-d", "%s,%s" % (two.address, one.address))
    for _ in range(3):
        same((ask(here), ask(there)), (b"1:hello", b"2:hello"))


@test("The next destination is taken while the first is down, and the first again when it is back")
def _(t):
    first = tcp()
    second = t.keep(Echo(prefix=b"2:"))
    here = tcp()
    rum = t.rum("-s", here, "-d", "%s,%s" % (first, second.address))
    same(ask(here), b"2:hello")
    has(rum.session()["destination"], second.address.split(":", 1)[1])
    t.keep(Echo(first, prefix=b"1:"))
    same(ask(here), b"1:hello")
    has(rum.session(1)["destination"], first.split(":", 1)[1])


@test("A list may mix TCP, unix sockets, and names that do not resolve")
def _(t):
    echo = t.keep(Echo("sock:" + t.path("echo.sock")))
    here = tcp()
    t.rum("-s", here, "-d", "tcp:nowhere.invalid:1,%s,sock:%s,%s" % (
        closed_port(), t.path("nothing.sock"), echo.address))
    same(ask(here), b"hello")


@test("A destination that does not answer in time is passed over for the next")
def _(t):
    dead = t.keep(peers.NeverAccepts())
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", "%s,%s" % (dead.address, echo.address), "--connect-timeout",
                "300ms")
    same(ask(here), b"hello")
    check(rum.session()["connect"] >= 0, "time to connect")

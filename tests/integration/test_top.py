"""rumctl top in a terminal, which a library emulates: it fits the window, sorts, names the servers that
are down, and no name can change the screen."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

from support import cdb, net
from support.harness import check, has, same, test
from support.peers import closed_port
from test_control import ctl
from test_redirect import tcp

EVIL = "\x1b[2J\x1b]0;owned\x07\u202e\u200b\r\n\t" + "e\u0301\u0323" + "界" * 6 + "\x9b31m"


class Terminal:
    """A program on a pty of a given size, and what a person sees there."""

    def __init__(self, t, command, wide, high, term="xterm-256color", locale="C.UTF-8"):
        import pyte
        self.screen = pyte.Screen(wide, high)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            # curses keeps what it knows of the terminal until the process has ended.
            os.environ.update(TERM=term, LC_ALL=locale, ASAN_OPTIONS="detect_leaks=0")
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", high, wide, 0, 0))
            os.execv(command[0], command)
        self.code = None
        t.on_end(self.close)

    def read(self, seconds=0.05):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self.fd], [], [], left)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # the program has ended
                return
            if not data:
                return
            self.raw += data
            self.stream.feed(data)

    def text(self):
        return "\n".join(self.screen.display)

    def until(self, condition, seconds, what):
        def look():
            self.read()
            return condition(self.text())
        net.until(look, seconds, lambda: "%s; the screen:\n%s" % (what, self.text()))
        return self.text()

    def resize(self, wide, high):
        self.read()
        self.screen.resize(high, wide)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", high, wide, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def ended(self):
        self.read()
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.code = -9
        os.close(self.fd)


def table(text):
    """The rows of the table, without its head and the line of keys."""
    lines = text.split("\n")
    head = next((i for i, line in enumerate(lines) if "USER" in line and "BYTES/S" in line),
                len(lines))
    return [line for line in lines[head + 1:-1] if line.strip()]


@test("rumctl top fits its window, sorts by a key, names the servers that are down, and quits",
      needs="mysql.so", seconds=120)
def _(t):
    from support.mysql_wire import Client, FakeServer
    server, dead = t.keep(FakeServer("pw")), closed_port()
    users = ["shop%02d" % n for n in range(40)]
    path = t.path("users.cdb")
    cdb.replace(path, cdb.users(*[(u, "", server.address) for u in users + ["w" * 80]],
                                ("lost", "", dead)))
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "--control", "sock:" + t.path("control"),
                "--health-check", "1s")
    net.until(lambda: rum.stats()["health_checks"]["unknown"] == 0, 20, "all are checked")
    held = {}
    for user in users + ["w" * 80]:
        held[user] = t.keep(Client(here))
        held[user].login(user, "pw")
    for _ in range(300):
        held["shop07"].send(b"\x03" + b"x" * 5000)
        held["shop07"].read()
    top = Terminal(t, [t.run.build.rumctl, "-s", t.path("control"), "top"], 120, 30)
    top.until(lambda text: "q quit" in text and len(table(text)) > 10, 20, "it is drawn")
    top.type("b")
    text = top.until(lambda text: "SENT*" in text and "shop07" in table(text)[0], 10, "by bytes")
    has(text, dead + " connect_refused")
    has(text, "degraded")
    has(text.split("\n")[-1], "of 41 sessions")
    check("1.4M" in table(text)[0], "human units: " + table(text)[0])
    same([line for line in text.split("\n") if len(line) > 120], [])
    # Numbers are right-aligned: the column ends at the same place in each row.
    same(len(set(len(line.rstrip()) for line in table(text))), 1, "right-aligned: " + text)
    top.type("a")
    text = top.until(lambda text: "AGE*" in text, 10, "by age")
    check("shop00" in table(text)[0], "the oldest first: " + table(text)[0])
    top.type("r")
    top.until(lambda text: "BYTES/S*" in text, 10, "by rate")
    held["shop31"].send(b"\x03" + b"x" * 50000)
    held["shop31"].read()
    top.until(lambda text: "shop31" in table(text)[0], 10, "who is busy comes first")
    # Windows of every size; each line is cut, the keys stay, and the down server is named.
    for wide, high in ((80, 24), (200, 50), (40, 12), (60, 5), (20, 3), (1, 1), (9, 40), (120, 30)):
        top.resize(wide, high)
        if wide >= 40 and high >= 12:
            text = top.until(lambda text: "q quit" in text.split("\n")[-1] and "USER" in text
                             and "connect_refuse"[:4] in text, 10, "%dx%d" % (wide, high))
            has(text, dead)
        else:
            top.until(lambda text: text.split("\n")[-1].startswith("b bytes"[:wide - 1] or "…"),
                      10,
                      "%dx%d" % (wide, high))
    top.until(lambda text: len(table(text)) == 30 - 7, 10, "as many as fit")
    top.type("q")
    net.until(top.ended, 10, "it ends")
    same(top.code, 0)
    check(b"\x1b[?1049l" in top.raw, "the screen is as it was")
    for c in held.values():
        c.close()


@test("A name cannot change the screen of rumctl top", needs="mysql.so", seconds=120)
def _(t):
    from support.mysql_wire import Client, FakeServer
    server = t.keep(FakeServer("pw"))
    path = t.path("users.cdb")
    names = [EVIL, "plain", "界" * 20, "a" + "\u0300" * 30]
    cdb.replace(path, cdb.users(*[(name, "", server.address) for name in names]))
    here = tcp()
    t.rum("-s", here, "-P", "mysql.so", "-M", path, "--control", "sock:" + t.path("control"))
    held = []
    for name in names:
        held.append(t.keep(Client(here)))
        held[-1].login(name, "pw")
    for locale in ("C.UTF-8", "C"):
        for wide in (120, 61, 33):
            top = Terminal(t, [t.run.build.rumctl, "-s", t.path("control"), "top"], wide, 20,
                           locale=locale)
            text = top.until(lambda text: "q quit" in text and "USER" in text and len(table(text)) == 4,
                             20, "it is drawn")
            for bad in ("\u202e", "\u200b", "\u0300", "\x07", "\x9b"):
                check(bad not in text, "%r is on the screen" % bad)
            check(b"owned\x07" not in top.raw and b"\x1b]0" not in top.raw, "a title was set")
            has(text, "plain")
            same(top.screen.title, "")
            # The columns behind the names are where the head says.
            lines = text.split("\n")
            check(all(line.rstrip()[-1] in "0123456789KM-" for line in table(text)), text)
            check(lines[-1].startswith("b bytes"), text)
            top.type("q")
            net.until(top.ended, 10, "it ends")
    for c in held:
        c.close()


@test("rumctl top without a terminal, without rum and when rum ends", seconds=60)
def _(t):
    rum = t.rum("-s", tcp(), "-d", closed_port(), "--control", "sock:" + t.path("control"))
    has(ctl(t, "top"), "ID  CLIENT")
    check("\x1b" not in ctl(t, "top"), "escape sequences in plain output")
    command = [t.run.build.rumctl, "-s", t.path("control"), "top"]
    plain = Terminal(t, command, 80, 24, term="no-such-terminal")
    net.until(plain.ended, 10, "it prints once")
    has(plain.raw.decode(), "ID  CLIENT")
    top = Terminal(t, command, 80, 24)
    top.until(lambda text: "q quit" in text, 10, "it is drawn")
    rum.finish()
    top.until(lambda text: "no answer since " in text, 15, "it says so")
    top.type("q")
    net.until(top.ended, 10, "it ends")
    same(top.code, 0)
    none = Terminal(t, command, 80, 24)
    net.until(none.ended, 10, "it ends")
    same(none.code, 3)

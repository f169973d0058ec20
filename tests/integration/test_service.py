"""As a service: what systemd is told and what it hands in, the drain delay, and giving up root."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from support import net
from support.harness import Skipped, check, end_with_parent, has, same, test
from support.net import connect
from support.peers import Echo
from support.rum import environment, run_once
from test_redirect import tcp
from test_stop import echo_works, wait_drain


class Systemd:
    """The end of NOTIFY_SOCKET that systemd has."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.messages = []

    def wait(self, text, seconds=20):
        """Until a message with this line comes; returns those before it, and it."""
        begin, end = len(self.messages), time.monotonic() + seconds * net.TIMEOUT
        while True:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                self.messages.append(self.socket.recv(4096).decode())
            except socket.timeout:
                raise AssertionError("%r does not come; there was %s" % (text, self.messages))
            if any(line.startswith(text) for line in self.messages[-1].split("\n")):
                return self.messages[begin:]

    def close(self):
        self.socket.close()


@test("systemd is told: ready, reloading, the sessions, alive, and stopping")
def _(t):
    for address in (t.path("notify"), "\0rum-test-notify-%d" % os.getpid()):
        systemd = t.keep(Systemd(address))
        echo = t.keep(Echo())
        here = tcp()
        rum = t.rum("-s", here, "-d", echo.address, env={
            "NOTIFY_SOCKET": address.replace("\0", "@"), "WATCHDOG_USEC": "200000"})
        same(systemd.wait("READY=1"), ["READY=1"], "the first message")
        systemd.wait("STATUS=Serving 0 sessions")
        with connect(here) as s:
            echo_works(s)
            systemd.wait("STATUS=Serving 1 session")
            systemd.wait("WATCHDOG=1")
            before = time.monotonic_ns() // 1000
            rum.signal(signal.SIGHUP)
            told = dict(line.split("=") for line in systemd.wait("RELOADING=1")[-1].split("\n"))
            check(before <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000, "its time")
            systemd.wait("READY=1")
        rum.signal(signal.SIGTERM)
        systemd.wait("STOPPING=1")
        same(rum.wait_exit(), 0, "exit code")


@test("A watchdog that is meant for another process is ignored")
def _(t):
    systemd = t.keep(Systemd(t.path("notify")))
    rum = t.rum("-s", tcp(), "-d", tcp(), env={
        "NOTIFY_SOCKET": t.path("notify"), "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    rum.signal(signal.SIGHUP)
    systemd.wait("RELOADING=1")
    rum.signal(signal.SIGTERM)
    systemd.wait("STOPPING=1")
    check("WATCHDOG=1" not in systemd.messages, "no sign of life")
    same(rum.wait_exit(), 0, "exit code")


@test("At a hand-over systemd learns of the new main process, which then tells how it goes")
def _(t):
    systemd = t.keep(Systemd(t.path("notify")))
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, env={
        "NOTIFY_SOCKET": t.path("notify"), "WATCHDOG_USEC": "200000"})
    systemd.wait("READY=1")
    with connect(here) as s:
        echo_works(s)
        rum.hand_over()
        systemd.wait("MAINPID=%d" % rum.pid)
        with connect(here) as two, connect(here) as three, connect(here) as four:
            echo_works(two), echo_works(three), echo_works(four)
            systemd.wait("STATUS=Serving 3 sessions")
        systemd.wait("WATCHDOG=1")
    rum.signal(signal.SIGTERM)
    systemd.wait("STOPPING=1")
    same(rum.wait_exit(), 0, "exit code")


def activate(t, *addresses):
    """A program that starts rum as systemd does, with sockets for these addresses."""
    program = t.path("activate")
    with open(program, "w") as f:
        f.write("#!/usr/bin/python3\nimport os, socket, sys\nall = []\n"
                "for family, where in %r:\n"
                "    s = socket.socket(family)\n"
                "    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
                "    s.bind(where)\n    s.listen(64)\n    all.append(s)\n"
                "copies = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(all)]\n"
                "for i, fd in enumerate(copies): os.dup2(fd, 3 + i)\n"
                "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(all)))\n"
                "os.closerange(3 + len(all), 200)\n"
                "os.execv(%r, [%r] + sys.argv[1:])\n"
                % ([(int(net.parse(a)[0]), net.parse(a)[1]) for a in addresses],
                   t.run.build.rum, t.run.build.rum))
    os.chmod(program, 0o755)
    return program


@test("Sockets that systemd has bound are taken over by their addresses, and their files stay")
def _(t):
    echo = t.keep(Echo())
    port, path, other = tcp(), "sock:" + t.path("in.sock"), "sock:" + t.path("other.sock")
    stats, own = "sock:" + t.path("stats.sock"), tcp()
    program = activate(t, port, path, stats, other)
    rum = t.rum("-s", own, "-s", path, "-s", port.replace("127.0.0.1", "localhost"),
                "-d", echo.address, "-m", stats, stats=stats, program=program)
    rum.wait_log("other.sock: bound by systemd, but no option names it")
    for address in (port, path, own):
        with connect(address) as s:
            echo_works(s)
    inode = os.stat(t.path("in.sock")).st_ino
    with open(program, "w") as f:  # the next one is started by rum itself, not by systemd
        f.write("#!/bin/sh\nexec %s \"$@\"\n" % t.run.build.rum)
    rum.hand_over()
    for address in (port, path, own):
        with connect(address) as s:
            echo_works(s)
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0, "exit code")
    same(os.stat(t.path("in.sock")).st_ino, inode, "the file is systemd's")
    check(os.path.exists(t.path("stats.sock")), "this one, too")


@test("With --drain-delay /ready says 503 while clients are still served, and only then none are taken")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--drain-delay", "1s", "--drain-timeout", "1h")
    with connect(here) as before:
        echo_works(before)
        begin = time.monotonic()
        rum.signal(signal.SIGTERM)
        net.until(lambda: rum.get("/ready")[0] == 503, 5, "/ready says 503")
        if time.monotonic() - begin < 0.9:  # else the machine was too slow to look
            with connect(here) as late:
                echo_works(late)
        wait_drain(here)
        check(time.monotonic() - begin >= 0.9, "not before its time")
        echo_works(before)
        check(rum.alive(), "alive while there is a session")
    same(rum.wait_exit(), 0, "exit code")


@test("During the drain delay a second TERM ends at once, and USR2 is refused")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--drain-delay", "1h")
    with connect(here) as s:
        echo_works(s)
        rum.signal(signal.SIGTERM)
        net.until(lambda: rum.get("/ready")[0] == 503, 5, "/ready says 503")
        with connect(here) as late:
            echo_works(late)
        rum.signal(signal.SIGUSR2)
        rum.wait_log("no hand-over: this process is ending")
        rum.signal(signal.SIGTERM)
        check(net.ended(s, 10) in ("closed", "reset"), "cut")
        same(rum.wait_exit(5), 0, "exit code")


class Place:
    """A folder that other users may look into, with rum and its modules, and one of a user's own."""

    def __init__(self, t, user):
        check(os.geteuid() == 0, "these tests change the user: run them as root")
        self.folder = tempfile.mkdtemp(prefix="rum-tests-user-")
        os.chmod(self.folder, 0o755)
        self.rum = shutil.copy(t.run.build.rum, self.path("rum"))
        self.modules = self.path("modules")
        shutil.copytree(t.run.build.modules, self.modules)
        self.own = self.path("own")
        os.mkdir(self.own)
        self.user = pwd.getpwnam(user)
        os.chown(self.own, self.user.pw_uid, self.user.pw_gid)

    def path(self, name):
        return os.path.join(self.folder, name)

    def close(self):
        shutil.rmtree(self.folder)


def status_of(pid):
    """The rights of all threads of a process, which are the same for all."""
    found = set()
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            lines = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        found.add(tuple(lines[name].strip() for name in
                        ("Uid", "Gid", "Groups", "NoNewPrivs", "CapEff", "CapPrm")))
    same(len(found), 1, "the same rights in all threads: %s" % found)
    return found.pop()


@test("--user NAME:GROUP: no rights of root are left, and what root has bound is handed over")
def _(t):
    place = t.keep(Place(t, "nobody"))
    echo = t.keep(Echo())
    low, path = "tcp:127.77.%d.%d:843" % (os.getpid() >> 8 & 255, os.getpid() & 255), \
        "sock:" + place.path("own/in.sock")
    pidfile = place.path("own/rum.pid")
    rum = t.rum("-s", low, "-s", path, "-d", echo.address, "--user", "nobody:daemon",
                "-p", pidfile, "--state-dir", place.path("state"), "-w", "2",
                "-s", "tls:127.0.0.1:%d" % net.free_port(), "-m", "sock:" + place.path("own/stats"),
                stats="sock:" + place.path("own/stats"), program=place.rum,
                env={"RUM_MODULE_DIR": place.modules})
    uid, gid = place.user.pw_uid, int(subprocess.check_output(["getent", "group", "daemon"])
                                      .decode().split(":")[2])

    def rights():
        uids, gids, groups, none_new, effective, permitted = status_of(rum.pid)
        same(uids, "\t".join([str(uid)] * 4), "users")
        same(gids, "\t".join([str(gid)] * 4), "groups")
        check(str(gid) in groups.split() and "0" not in groups.split(), "groups: " + groups)
        same((none_new, int(effective, 16), int(permitted, 16)), ("1", 0, 0), "privileges")
    rights()
    for name in ("own/rum.pid", "own/in.sock", "own/stats", "state", "state/rum-selfsigned.pem"):
        same(os.stat(place.path(name)).st_uid, uid, "the owner of " + name)
    for address in (low, path):
        with connect(address) as s:
            echo_works(s)
    rum.signal(signal.SIGHUP)
    rum.hand_over()
    rights()
    for address in (low, path):
        with connect(address) as s:
            echo_works(s)
    with open(pidfile) as f:
        same(int(f.read()), rum.pid, "the pidfile")
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0, "exit code")
    same(sorted(os.listdir(place.own)), [], "files that are left")


@test("What cannot be: users that are not there, and another user without root")
def _(t):
    place = t.keep(Place(t, "nobody"))
    rest = ("-s", tcp(), "-d", tcp())
    for option, value in (("--user", "nobody-at-all"), ("--user", "nobody:no-such-group"),
                          ("--user", "123456789")):
        for more in ((), ("--check",)):
            code, out, err = run_once(t, *rest, option, value, *more)
            same(code, 1, "exit code")
            has(err, option + ": ")
    code, _, err = run_once(t, *rest, "--chroot", t.path("none"), "--state-dir", t.path("state"))
    same(code, 6, "exit code")
    has(err, "--chroot: '%s' cannot be the root directory: No such file" % t.path("none"))
    done = subprocess.run(
        [place.rum, *rest, "--user", "daemon", "--state-dir", place.path("own/state")],
        env=dict(environment(t, place.path("own/sanitizer")), RUM_MODULE_DIR=place.modules),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, user="nobody", group="nogroup",
        extra_groups=[], cwd="/", timeout=20 * t.scale, preexec_fn=end_with_parent)
    same(done.returncode, 6, "exit code")
    has(done.stderr, "only root can become another user")


@test("Behind --chroot syslog is looked for again, below the folder, until it is there")
def _(t):
    if os.path.exists("/dev/log"):
        raise Skipped("there is a syslog, which rum is connected to")
    place = t.keep(Place(t, "nobody"))
    root = place.own
    rum = t.rum("-s", "sock:/syslog-in.sock", "-d", "sock:/none", "-l", "syslog", "-m", "sock:/stats",
                "--user", "nobody", "--chroot", root, "--state-dir", "/state", stats=False,
                log=False)
    os.mkdir(os.path.join(root, "dev"), 0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(os.path.join(root, "dev", "log"))
        os.chmod(os.path.join(root, "dev", "log"), 0o777)
        s.settimeout(20)
        connect("sock:" + os.path.join(root, "syslog-in.sock")).close()
        line = s.recv(4096).decode()
        while " serves " in line:  # the last line of the start may come late
            line = s.recv(4096).decode()
        has(line, " rum[%d]: " % rum.pid)
        has(line, "reason=")
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0, "exit code")


@test("--chroot: every file is one below the folder, and USR2 is refused")
def _(t):
    place = t.keep(Place(t, "nobody"))
    root = place.own
    t.keep(Echo("sock:" + os.path.join(root, "echo.sock")))
    os.chmod(os.path.join(root, "echo.sock"), 0o777)
    rum = t.rum("-s", "sock:/in.sock", "-d", "sock:/echo.sock", "-m", "sock:/stats",
                "--user", "nobody", "--chroot", root, "-p", "/rum.pid", "--state-dir", "/state",
                stats=False)
    same(os.readlink("/proc/%d/root" % rum.pid), root, "the root folder")
    same(os.readlink("/proc/%d/cwd" % rum.pid), root, "the current folder")
    for name in ("rum.pid", "state", "in.sock"):
        same(os.stat(os.path.join(root, name)).st_uid, place.user.pw_uid, "the owner of " + name)
    with connect("sock:" + os.path.join(root, "in.sock")) as s:
        echo_works(s)
        rum.signal(signal.SIGUSR2)
        rum.wait_log("no hand-over: the program is outside of --chroot")
        echo_works(s)
    stats = json.loads(net.http_get("sock:" + os.path.join(root, "stats"), "/stats")[2])
    same(stats["rum"]["pid"], rum.pid, "who answers")
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0, "exit code")
    same(sorted(os.listdir(root)), ["echo.sock", "state"], "files that are left")

"""USR2: a new process takes over the sockets, and nobody notices. One that cannot changes nothing."""

import glob
import json
import os
import re
import select
import shutil
import signal
import time

from support import net, peers
from support.harness import check, end_with_parent, full, has, same, test
from support.net import connect
from support.peers import Echo
from test_control import ctl
from test_redirect import tcp
from test_stop import echo_works


class EchoProcess:
    """An echo server in a process of its own."""

    def __init__(self):
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            end_with_parent()
            echo = peers.ManyEcho()
            os.write(write, echo.address.encode())
            echo.thread.join()
            os._exit(0)
        os.close(write)
        self.address = os.read(read, 100).decode()
        os.close(read)

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Load:
    """A process that makes connections, `rate` a second, each with a word that must come back."""

    def __init__(self, address, rate):
        self.result, write = os.pipe()
        stop, self.stop = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            end_with_parent()
            os.close(self.stop)
            done, failures = self._run(address, rate, stop)
            os.write(write, ("%d\n%s" % (done, "\n".join(failures[:5]))).encode())
            os._exit(0)
        os.close(write)
        os.close(stop)

    @staticmethod
    def _run(address, rate, stop):
        done, failures, begin = 0, [], time.monotonic()
        while not select.select([stop], [], [], max(0, begin + done / rate - time.monotonic()))[0]:
            done += 1
            try:
                with connect(address, 30) as s:
                    echo_works(s, b"%08d" % done)
            except (OSError, EOFError, AssertionError) as e:
                failures.append("connection %d: %r" % (done, e))
        return done, failures

    def finish(self):
        """(connections, failures)"""
        os.write(self.stop, b"x")
        os.close(self.stop)
        text = b""
        while part := os.read(self.result, 65536):
            text += part
        os.close(self.result)
        os.waitpid(self.pid, 0)
        count, _, failures = text.decode().partition("\n")
        return int(count), failures


def handover_under_load(t, times, rate, sessions):
    echo = t.keep(EchoProcess())
    here, path = tcp(), "sock:" + t.path("in.sock")
    rum = t.rum("-s", here, "-s", path, "-d", echo.address, "-w", "3", "--drain-timeout", "1h")
    loads = [Load(address, rate / 2) for address in (here, path)]  # first: they inherit what is open
    held = [connect((here, path)[i % 2], 30) for i in range(sessions)]
    for s in held:
        echo_works(s)
    old = []
    for i in range(times):
        old.append(rum.hand_over())
        # Sessions of every generation: some of those that there are move over.
        for j in range(i % 7, sessions, max(7, times)):
            held[j].close()
            held[j] = connect((here, path)[j % 2], 30)
        for s in held[:: max(1, sessions // 50)]:
            echo_works(s)
    for s in held:
        echo_works(s)
    results = [load.finish() for load in loads]
    for count, failures in results:
        same(failures, "", "failures of %d connections" % count)
        check(count > times, "there was a load: %d connections" % count)
    for s in held:
        s.close()
    for process in old:
        same(process.wait(30), 0, "exit code of an old process")
    t.say("%d hand-overs, %d connections, %d sessions held" % (
        times, sum(count for count, _ in results), sessions))


@test("Hand-overs under a load of connects: none fails, no session is cut",
      seconds=900 if full() else 120, alone=full())
def _(t):
    if full():
        handover_under_load(t, times=100, rate=2000, sessions=1000)
    else:
        handover_under_load(t, times=8, rate=400, sessions=60)


@test("A hand-over keeps the sockets, the pidfile and the statistics, and leaks no descriptor")
def _(t):
    echo = t.keep(Echo())
    here, path, pidfile = tcp(), "sock:" + t.path("in.sock"), t.path("rum.pid")
    control = "sock:" + t.path("control")
    rum = t.rum("-s", here, "-s", path, "-d", echo.address, "-p", pidfile, "--control", control)
    inode = os.stat(t.path("in.sock")).st_ino
    before = rum.descriptors()
    for _ in range(3):
        with connect(here) as s:
            echo_works(s)
            old = rum.hand_over()
            echo_works(s)
            same(rum.stats()["rum"]["pid"], rum.pid, "who answers -m")
            same(json.loads(net.http_get(control, "/stats")[2])["rum"]["pid"], rum.pid, "--control")
            with open(pidfile) as f:
                same(int(f.read()), rum.pid, "the pidfile")
            check(old.poll() is None, "the old one waits for its session")
        same(old.wait(10 * t.scale), 0, "exit code")
        same(os.stat(t.path("in.sock")).st_ino, inode, "the socket's file")
        check(os.path.exists(pidfile), "the pidfile is still there")
        for address in (here, path):
            with connect(address) as s:
                echo_works(s)
    net.until(lambda: rum.descriptors() == before, 10,
              lambda: "descriptors as before: %s, now %s" % (before, rum.descriptors()))
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0, "exit code")
    check(not os.path.exists(pidfile) and not os.path.exists(t.path("in.sock")), "files are removed")


@test("Thousands of listeners with long names are handed over", seconds=120)
def _(t):
    echo, config, folder = t.keep(Echo()), t.path("rum.conf"), t.path("in")
    os.mkdir(folder)
    name = "sock:" + folder + "/" + "n" * (95 - len(folder)) + "%04d"
    with open(config, "w") as f:
        f.write("destination = %s\n" % echo.address)
        for n in range(1800):  # about 180 KiB of addresses
            f.write("listen = %s\n" % (name % n))
    rum = t.rum("--config", config, descriptors=8192)
    rum.hand_over(60)
    for n in (0, 1799):
        with connect(name % n) as s:
            echo_works(s)


@test("What is configured otherwise is bound or closed when the new process takes over")
def _(t):
    one, two = t.keep(Echo(prefix=b"1")), t.keep(Echo(prefix=b"2"))
    stays, goes, comes = tcp(), "sock:" + t.path("old.sock"), tcp()
    conf = t.path("rum.conf")

    def write(destination, *listeners):
        with open(conf, "w") as f:
            f.write("\n".join("listen = " + a for a in listeners) + "\ndestination = %s\n" % destination)

    write(one.address, stays, goes)
    rum = t.rum("--config", conf)
    with connect(goes) as kept:
        same(net.read_exact(kept, 1), b"1")
        # The same port by another name, and for TLS or not, is the same socket.
        write(two.address, stays.replace("127.0.0.1", "localhost"), comes)
        rum.hand_over()
        for address in (stays, comes):
            with connect(address) as s:
                same(net.read_exact(s, 1), b"2", "the new destination")
        check(not os.path.exists(t.path("old.sock")), "the socket that is named no more is removed")
        rum.wait_log("old.sock: bound until now, but no option names it")
        echo_works(kept)


def serves_on(t, rum, here, pid, why):
    """The hand-over fails for this reason and the old process serves."""
    count = rum.log().count("the hand-over has failed") + rum.log().count("no hand-over:")
    rum.signal(signal.SIGUSR2)
    net.until(lambda: rum.log().count("the hand-over has failed") + rum.log().count("no hand-over:")
              > count, 30 * t.scale, lambda: "a failure in the log:\n" + rum.log()[-2000:])
    lines = [r["message"] for r in rum.records() if "hand-over" in r.get("message", "")]
    has(lines[-1], why)
    same(rum.stats()["rum"]["pid"], pid, "who serves")
    same(rum.stats()["rum"]["draining"], False)
    with connect(here) as s:
        echo_works(s)
    return lines[-1]


@test("A bad program, a bad configuration or a missing module leave the old process serving",
      seconds=600 if full() else 90)
def _(t):
    echo = t.keep(Echo())
    here, path, conf = tcp(), "sock:" + t.path("in.sock"), t.path("c.conf")
    program, module = t.path("rum"), t.path("passthrough.so")
    source = t.run.build.rum

    def put(target, text=None, mode=0o755):
        """As a package manager does: a new file under the old name."""
        if text is None:
            shutil.copy(source, target + ".new")
        else:
            with open(target + ".new", "w") as f:
                f.write(text)
        os.chmod(target + ".new", mode)
        os.rename(target + ".new", target)

    def configure(*more):
        with open(conf, "w") as f:
            f.write("\n".join(("listen = " + here, "listen = " + path) + more) + "\n")

    put(program), configure()
    shutil.copy(os.path.join(t.run.build.modules, "passthrough.so"), module)
    rum = t.rum("--config", conf, "-d", echo.address, "-P", module, program=program)
    pid = rum.pid
    taken = t.keep(Echo())
    with connect(path) as kept:
        echo_works(kept)
        for _ in range(40 if full() else 1):
            put(program, "#!/bin/sh\necho first >&2\necho cannot run here >&2\nexit 7\n")
            serves_on(t, rum, here, pid, "it exited with status 7 before it was ready: cannot run here")
            put(program, "#!/bin/sh\nkill -SEGV $$\n")
            serves_on(t, rum, here, pid, "it was killed by signal 11 before it was ready")
            put(program, "no program at all", mode=0o644)
            serves_on(t, rum, here, pid, "cannot be started: Permission denied")
            os.unlink(program)
            serves_on(t, rum, here, pid, "cannot be started: No such file or directory")
            put(program)
            configure("socket-mode = 999", "idle-timeout = never")
            line = serves_on(t, rum, here, pid, "c.conf:3: socket-mode: '999'")
            has(line, "c.conf:4: idle-timeout")
            configure("listen = " + taken.address)
            serves_on(t, rum, here, pid, "cannot listen on " + taken.address)
            configure("pidfile = /nowhere/rum.pid")
            serves_on(t, rum, here, pid, "pidfile")
            configure()
            os.rename(module, module + ".away")
            serves_on(t, rum, here, pid, "passthrough.so")
            os.rename(module + ".away", module)
            with connect(path) as s:  # its file is still there
                echo_works(s)
            echo_works(kept)
        rum.hand_over()
        check(rum.pid != pid, "a good one takes over")


@test("A process without a good map takes over from none that has one", needs="mysql.so")
def _(t):
    from support import cdb
    echo = t.keep(Echo())
    here, users = tcp(), t.path("users.cdb")
    good = cdb.users(("alice", "", echo.address))
    cdb.replace(users, good)
    rum = t.rum("-s", here, "-M", users, "--health-check", "off", "--control",
                "sock:" + t.path("control"))
    cdb.replace(users, good[:-1])
    rum.wait_log("stays in use")
    for _ in range(2):
        text = ctl(t, "upgrade", code=1)
        has(text, "the old process continues to serve: ")
        has(text, users)
        has(text, "no map is loaded")
    same(rum.get("/ready")[0], 200)
    cdb.replace(users, good)
    told = []
    rum.hand_over(ask=lambda: told.append(ctl(t, "upgrade")))
    same(told, ["process %d serves; 0 sessions left in the old one\n" % rum.pid])
    # Where there was none before, none is needed.
    there = tcp()
    none = t.rum("-s", there, "-M", t.path("none.cdb"), "-d", echo.address, ready=False)
    none.hand_over()


@test("Sessions go on in the old process for as long as they like, or for --handover-timeout")
def _(t):
    echo = t.keep(Echo())
    for more, cut in ((), False), (("--handover-timeout", "1s"), True):
        here, log = tcp(), t.path("%s.log" % cut)
        rum = t.rum("-s", here, "-d", echo.address, "--drain-timeout", "1s", *more)
        with connect(here) as s:
            echo_works(s)
            old = rum.hand_over()
            if cut:
                check(net.ended(s, 10 * t.scale) in ("closed", "reset"), "cut")
            else:
                time.sleep(2)
                echo_works(s)
                # TERM is for all processes of a service: then the usual time begins.
                old.send_signal(signal.SIGTERM)
                check(net.ended(s, 10 * t.scale) in ("closed", "reset"), "cut")
            same(old.wait(10 * t.scale), 0, "exit code")


def text(path):
    with open(path) as f:
        return f.read()


@test("The old process follows the log when it is rotated", seconds=60)
def _(t):
    echo = t.keep(Echo())
    here, log = tcp(), t.path("rotated.log")
    rum = t.rum("-s", here, "-d", echo.address, "-l", log)
    with connect(here) as s:
        echo_works(s)
        rum.signal(signal.SIGUSR2)
        net.until(lambda: "this process ends after its" in text(log), 20 * t.scale, "the new one serves")
        rum.pid, old = int(re.search(r"process (\d+) serves", text(log)).group(1)), rum.pid
        os.rename(log, log + ".1")
        os.kill(rum.pid, signal.SIGUSR1)
        net.until(lambda: log in [os.readlink(f) for f in glob.glob("/proc/%d/fd/*" % old)],
                  20 * t.scale, "the old one has it, too")
    same(rum.wait_exit(), 0)
    has(text(log), '"reason":"client_closed"')
    os.kill(rum.pid, signal.SIGTERM)


@test("A second USR2 while a hand-over is under way is ignored; TERM gives the hand-over up")
def _(t):
    echo = t.keep(Echo())
    here, program, mark = tcp(), t.path("rum"), t.path("started")
    shutil.copy(t.run.build.rum, program)
    rum = t.rum("-s", here, "-d", echo.address, "--control", "sock:" + t.path("control"),
                program=program)
    with open(program + ".new", "w") as f:
        f.write("#!/bin/sh\necho $$ > %s.new; mv %s.new %s\nexec sleep 3600\n" % (mark, mark, mark))
    os.chmod(program + ".new", 0o755)
    os.rename(program + ".new", program)
    rum.signal(signal.SIGUSR2)
    net.until(lambda: os.path.exists(mark), 10, "the new program runs")
    with open(mark) as f:
        starting = int(f.read())
    rum.signal(signal.SIGUSR2)
    rum.wait_log("process %d is already taking over" % starting)
    # The new process would not know of what is said now.
    for words in (["drain", echo.address], ["ready", echo.address], ["pause", "user=alice"],
                  ["resume", "user=alice"]):
        has(ctl(t, *words, code=1), "a new process is taking over")
    with connect(here) as s:
        echo_works(s)
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0, "exit code")
    check(not os.path.exists("/proc/%d" % starting), "the new one is ended")


@test("TERM to a process that has handed over is its first, and a second one ends it")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--drain-timeout", "1h")
    with connect(here) as s:
        echo_works(s)
        old = rum.hand_over()
        old.send_signal(signal.SIGUSR2)
        rum.wait_log("no hand-over: this process is ending")
        old.send_signal(signal.SIGTERM)
        rum.wait_log("1 session left, with 1h to end")
        echo_works(s)
        old.send_signal(signal.SIGTERM)
        check(net.ended(s, 10) in ("closed", "reset"), "cut")
        same(old.wait(10 * t.scale), 0, "exit code")
    with connect(here) as s:
        echo_works(s)


@test("In the background, too: the new process goes on with the log and is no child of a shell")
def _(t):
    from test_start import Daemon, wait_for
    echo = t.keep(Echo())
    here, pidfile, log = tcp(), t.path("rum.pid"), t.path("b.log")
    daemon = Daemon(t, "-b", "-s", here, "-d", echo.address, "-p", pidfile, "-l", log)
    first = daemon.pid()

    def text():
        with open(log) as f:
            return f.read()

    with connect(here) as s:
        echo_works(s)
        os.kill(first, signal.SIGUSR2)
        net.until(lambda: " serves; this process ends after its 1 session" in text(), 20, text)
        echo_works(s)
    with open(pidfile) as f:
        second = int(f.read())
    check(second != first, "another process")
    daemon.pids = [second]
    same(wait_for(first, 10), 0, "exit code of the old one")
    same(os.getsid(second) != os.getsid(0), True, "a session of its own")
    with connect(here) as s:
        echo_works(s)
    net.until(lambda: text().count("client_closed") == 2, 10, text)

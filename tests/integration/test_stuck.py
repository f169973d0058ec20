"""A module that blocks, breaks or ends the process in a hook takes as little as possible with it."""

import json
import os
import re
import signal
import socket
import threading
import time

from support import net
from support.build import SOURCE
from support.harness import check, has, same, test
from support.net import connect
from support.rum import run_once
from test_control import ctl
from test_redirect import tcp
from test_start import Daemon

LONG = "10m"  # longer than any test


def bad(t):
    """The module: echoes, until a client says 'bad'."""
    with open(os.path.join(SOURCE, "tests", "support", "bad_hooks.c")) as f:
        return t.run.build.compile_module(t.folder, "bad", f.read(), ["-lpthread"])


def start(t, *arguments, workers=2, **settings):
    here = tcp()
    rum = t.rum("-s", here, "-d", tcp(), "-w", workers, "-P", bad(t), "--bad-time", LONG, *arguments,
                check_descriptors=False, **settings)
    return rum, here


def served(here, text=b"hello", seconds=10):
    """A client that gets an answer, or None."""
    s = connect(here)
    s.settimeout(seconds)
    s.sendall(text)
    try:
        return s if net.read_exact(s, len(text)) == text else None
    except (OSError, AssertionError):
        return None


def stick(t, rum, here, count=1):
    """A client that makes its worker stuck, once rum has noticed."""
    before = rum.metric("rum_workers_stuck")
    s = t.keep(connect(here))
    s.sendall(b"bad")
    net.until(lambda: rum.metric("rum_workers_stuck") == before + count, 20 * t.scale, "it is noticed")
    return s


def let_go(t):
    """Ends the hooks of the deed "wait"."""
    with open(t.path("go"), "w"):
        pass


def holds_port(pid, here):
    """Whether a process listens on a TCP address."""
    port = int(here.rsplit(":", 1)[1])
    with open("/proc/%d/net/tcp" % pid) as f:
        rows = [line.split() for line in f.readlines()[1:]]
    inodes = {r[9] for r in rows if int(r[1].split(":")[1], 16) == port and r[3] == "0A"}
    folder = "/proc/%d/fd" % pid
    for fd in os.listdir(folder):
        try:
            found = re.match(r"socket:\[(\d+)\]", os.readlink(os.path.join(folder, fd)))
        except OSError:
            continue
        if found and found[1] in inodes:
            return True
    return False


@test("Of 100 clients each is served while one of two workers is stuck, the one that accepts or not")
def _(t):
    for others in (0, 1):
        rum, here = start(t)
        # Each client goes to the worker with the fewest, and of equals to the one that accepts.
        held = [served(here) for _ in range(others)]
        stick(t, rum, here)
        clients = [served(here) for _ in range(100)]
        same(sum(c is not None for c in clients), 100, "served")
        same(rum.metric("rum_workers_stuck"), 1)
        same(rum.get("/ready")[0], 200)
        for s in clients + held:
            s.close()
        rum.signal(signal.SIGQUIT)
        same(rum.wait_exit(15), 0, "exit code")


@test("Clients that wait for the worker that accepts are served by the other one")
def _(t):
    rum, here = start(t, "--bad-deed", "wait", env={"BAD_GO": t.path("go")})
    first = t.keep(connect(here))
    first.sendall(b"bad")
    answers, lock = [], threading.Lock()

    def client():
        s = served(here, seconds=60)
        with lock:
            answers.append(s)

    threads = [threading.Thread(target=client) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(sum(s is not None for s in answers), 100, "served while the hook blocks")
    let_go(t)
    same(net.read_exact(first, 3), b"bad", "the hook returns, too")
    for s in answers:
        s.close()


@test("A hook that blocks is in the log and the statistics, and once more when it has returned")
def _(t):
    rum, here = start(t, "--control", "sock:" + t.path("control"), "--bad-deed", "wait",
                      env={"BAD_GO": t.path("go")})
    begin = time.monotonic()
    s = stick(t, rum, here)
    rum.wait_log("module bad: hook client_data blocks worker ")
    same(rum.stats()["rum"]["workers_stuck"], 1)
    same(rum.stats()["rum"]["hook_stalls"], 1)
    has(ctl(t, "status"), "2, 1 stuck")
    has(ctl(t, "sessions"), "CLIENT")  # of the other worker: the answer does not wait
    has(rum.get("/")[2].decode(), "is stuck in the module: client_data")
    blocked = time.monotonic() - begin
    let_go(t)
    same(net.read_exact(s, 3), b"bad")
    rum.wait_log("module bad: hook client_data has blocked worker ")
    lines = [r["message"] for r in rum.records() if "client_data" in r.get("message", "")]
    same(len(lines), 2, "lines: %s" % lines)
    session = re.search(r"\(session (\d+)\)", lines[0])[1]
    total = re.search(r"has blocked worker \d for ([\d.]+)(m?)s \(session %s\)$" % session, lines[1])
    seconds = float(total[1]) / (1000 if total[2] else 1)
    # It is seen up to a look late, and from 10 s on whole seconds are shown.
    check(seconds >= blocked - (1.5 if blocked > 10 else 0.5), "%s, and it was %.1f s" % (lines[1], blocked))
    net.until(lambda: rum.metric("rum_workers_stuck") == 0, 20 * t.scale, "it is trusted again")
    same(rum.metric("rum_hook_stalls_total"), 1)
    s.close()
    # Both accept and serve as before.
    clients = [served(here) for _ in range(10)]
    check(all(clients), "served")
    net.until(lambda: rum.stats()["sessions"]["active"] == 10, 10, "the first one has gone")
    for c in clients:
        c.close()


@test("A worker that was stuck takes over when the next one is")
def _(t):
    rum, here = start(t, "--bad-deed", "wait", env={"BAD_GO": t.path("go")})
    for _ in range(4):
        stick(t, rum, here).close()
        s = served(here)
        check(s, "served by the other one")
        s.close()
        let_go(t)
        net.until(lambda: rum.metric("rum_workers_stuck") == 0, 20 * t.scale, "it goes on")
        os.unlink(t.path("go"))


@test("With all workers stuck /ready says 503 and why, /live 200; QUIT and a second TERM end the process")
def _(t):
    for signals in ([signal.SIGQUIT], [signal.SIGTERM, signal.SIGTERM]):
        rum, here = start(t, "--drain-timeout", "off")
        stick(t, rum, here)
        stick(t, rum, here)
        status, _, body = rum.get("/ready")
        same(status, 503)
        check(re.fullmatch(r"all workers are stuck in module bad: hook client_data for [\d.]+m?s\n",
                           body.decode()), body)
        same(rum.get("/live")[0], 200)
        same(rum.metric("rum_ready"), 0)
        rum.wait_log("all workers are stuck in module bad: no client is served")
        for number in signals:
            rum.signal(number)
            net.until(lambda: not net.listening(here), 10, "the address is free")
        same(rum.wait_exit(15), 0, "exit code")
        has(rum.log(), "is in hook client_data of module bad")
        check(not os.path.exists(rum.stats_address[len("sock:"):]), "the socket's file is gone")


@test("TERM frees the address at once though a worker is stuck, and its time ends the process")
def _(t):
    path = "sock:" + t.path("in.sock")
    rum, here = start(t, "-s", path, "--drain-timeout", "1s")
    stick(t, rum, here)
    s = served(here)
    rum.signal(signal.SIGTERM)
    net.until(lambda: not holds_port(rum.pid, here), 10, "the address is free")
    check(not os.path.exists(t.path("in.sock")), "the file of the socket is gone")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", int(here.rsplit(":", 1)[1])))
        again.listen()
    same(rum.wait_exit(20), 0, "exit code")
    s.close()


@test("A hand-over serves though all workers of the old process are stuck, which ends after its time")
def _(t):
    rum, here = start(t, "--handover-timeout", "2s", workers=1)
    stick(t, rum, here)
    waits = connect(here)  # in the queue of the socket, and served by the new process
    waits.sendall(b"hello")
    old = rum.hand_over()
    net.until(lambda: not holds_port(old.pid, here), 10, "the old one has let go of the address")
    for _ in range(20):
        s = served(here)
        check(s, "served by the new process")
        s.close()
    waits.close()
    same(old.wait(20 * t.scale), 0, "exit code of the old one")


@test("With -b a module's threads run, and why one does not load is told with status 5")
def _(t):
    here, module = tcp(), bad(t)
    daemon = Daemon(t, "-b", "-s", here, "-d", tcp(), "-P", module, "-l", t.path("log"),
                    "--state-dir", t.path("state"))
    same((daemon.code, daemon.output()), (0, ""))

    def runs():
        with connect(here) as s:
            s.sendall(b"thread")
            return int(net.read_exact(s, 1) + s.recv(100))

    first = runs()
    net.until(lambda: runs() > first, 10, "the thread that the module has started runs")
    daemon.end()
    os.environ["BAD_INIT"] = "the moon is not full"
    try:
        daemon = Daemon(t, "-b", "-s", here, "-d", tcp(), "-P", module, "-l", t.path("log"))
    finally:
        del os.environ["BAD_INIT"]
    same(daemon.code, 5)
    has(daemon.output(), "the moon is not full")
    daemon = Daemon(t, "-b", "-s", here, "-d", tcp(), "-P", t.path("nobody.so"))
    same(daemon.code, 5)
    has(daemon.output(), "no such file")
    daemon = Daemon(t, "-b", "-s", here, "-d", tcp(), "--no-such-option")
    same(daemon.code, 2)
    has(daemon.output(), "--no-such-option")
    # The same from a file.
    with open(t.path("rum.conf"), "w") as f:
        f.write("background = yes\nlisten = %s\ndestination = %s\nprotocol = %s\nlog = %s\n"
                "state-dir = %s\n" % (here, tcp(), module, t.path("log"), t.path("state")))
    daemon = Daemon(t, "--config", t.path("rum.conf"))
    same((daemon.code, daemon.output()), (0, ""))
    first = runs()
    net.until(lambda: runs() > first, 10, "the thread runs")
    daemon.end()


ENDS = {"segv": (-signal.SIGSEGV, "SIGSEGV in hook %s of module bad"),
        "bus": (-signal.SIGBUS, "SIGBUS in hook %s of module bad"),
        "fpe": (-signal.SIGFPE, "SIGFPE in hook %s of module bad"),
        "ill": (-signal.SIGILL, "SIGILL in hook %s of module bad"),
        "abort": (-signal.SIGABRT, "SIGABRT in hook %s of module bad"),
        "overflow": (-signal.SIGSEGV, "SIGSEGV in hook %s of module bad"),
        "exit": (5, "exit(0) was called in hook %s of module bad"),
        "exit7": (7, "exit(7) was called in hook %s of module bad")}


@test("A process that a hook ends says in its last line which hook of which session it was")
def _(t):
    faults = {} if t.run.build.sanitizer else ENDS  # which have handlers of their own
    cases = [(deed, "client_data") for deed in faults or ("exit", "exit7")]
    cases += [("exit", "timeout"), ("exit7", "session_close")]
    cases += [("segv", "session_close"), ("abort", "timeout")] if faults else []
    for i, (deed, hook) in enumerate(cases):
        json_log = i % 2 == 0
        file = t.path("log-%d" % i) if i % 3 == 0 else None
        rum, here = start(t, "--bad-deed", deed, "--bad-hook", hook, *(["-l", file] if file else []),
                          log="json" if json_log else "text")
        s = t.keep(connect(here))
        s.sendall(b"bad")
        code, text = ENDS[deed]
        same(rum.wait_exit(20), code, "%s in %s" % (deed, hook))
        text = re.escape(text % hook) + r", session (\d+): the process ends"
        log = rum.log()
        if file:
            if not deed.startswith("exit"):
                check(re.search("^rum: " + text + "$", log, re.M), "%s on standard error: %s" % (deed, log))
            with open(file) as f:
                log = f.read()
        # On a slow machine the end itself may take long enough to be told as a hook that blocks.
        last = [line for line in log.splitlines() if "blocks worker" not in line][-1]
        if json_log:
            record = json.loads(last)
            same(record["level"], "error")
            check(re.match(text, record["message"]), last)
            check(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$", record["time"]), last)
        else:
            check(re.match(r"\S+ error " + text, last), last)


@test("A module that ends the process while it is loaded or configured is named as well")
def _(t):
    code, out, err = run_once(t, "-s", tcp(), "-d", tcp(), "-P", bad(t), "--bad-hook", "config_new",
                              "--bad-deed", "exit7")
    same(code, 7)
    has(err, "exit(7) was called in hook config_new of module bad: the process ends with 7")
    if t.run.build.sanitizer:
        return
    code, out, err = run_once(t, "-s", tcp(), "-d", tcp(), "-P", bad(t), "--bad-hook", "worker_start",
                              "--bad-deed", "segv")
    same(code, -signal.SIGSEGV)
    has(err, "SIGSEGV in hook worker_start of module bad: the process ends")

"""Counts system calls per operation, which no other load on the machine changes.

Two runs that differ in the number of operations alone are traced; what they differ in is what the
operations took, whatever starting, connecting and tracing may cost.
"""

import os
import shutil
import signal
import subprocess
import time

from comparison import run_load
from proxies import USERS, Missing, free_port


class CannotTrace(Exception):
    """strace is not here or may not look into another process."""


class Operation:
    def __init__(self, name, proxy, command, connections, fewer, more):
        self.name, self.proxy, self.connections = name, proxy, connections
        self.command, self.fewer, self.more = command, fewer, more


# The name is what tests/bench/limits calls it.
OPERATIONS = [
    Operation("roundtrip-64", "tcp", ["roundtrip"], 64, 640, 5120),
    Operation("roundtrip-1", "tcp", ["roundtrip"], 1, 100, 1100),
    Operation("connect-8", "tcp", ["connect"], 8, 100, 600),
    Operation("connect-1", "tcp", ["connect"], 1, 100, 400),
    Operation("mysql-login-8", "mysql", ["mysql-login", "--users", str(USERS)], 8, 100, 500),
    Operation("mysql-login-1", "mysql", ["mysql-login", "--users", str(USERS)], 1, 50, 250),
]


def trace(bench, pids, work):
    """Runs `work` while the processes are traced: name of the call -> number."""
    strace = shutil.which("strace")
    if not strace:
        raise CannotTrace("there is no strace")
    out = os.path.join(bench.folder, "strace.out")
    command = [strace, "-c", "-f", "-qq", "-o", out]
    for pid in pids:
        command += ["-p", str(pid)]
    tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_attached(tracer, pids)
        work()
        time.sleep(0.15)  # what the proxy does after the last answer: close, log
    finally:
        if tracer.poll() is None:
            tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=20)
    counts = {}
    with open(out) as f:
        for line in f:
            # % time, seconds, usecs/call, calls, [errors,] name
            fields = line.split()
            if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
                counts[fields[-1]] = int(fields[3])
    return counts


def _wait_attached(tracer, pids):
    def tracers():
        for pid in pids:
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/status" % (pid, task)) as f:
                    yield next(line for line in f if line.startswith("TracerPid")).split()[1]
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if tracer.poll() is not None:
            raise CannotTrace("strace cannot attach: " + tracer.communicate()[1].strip()[:300])
        if all(t == str(tracer.pid) for t in tracers()):
            return
        time.sleep(0.02)
    raise CannotTrace("strace does not attach")


def count(bench, operation, process, back):
    """Calls per operation by name."""
    def run(number):
        def work():
            run_load(bench, operation.command + ["--connections", str(operation.connections),
                                                 "--operations", str(number)], process.port, back)
        return trace(bench, process.pids(), work)
    few, many = run(operation.fewer), run(operation.more)
    each = {name: (many.get(name, 0) - few.get(name, 0)) / (operation.more - operation.fewer)
            for name in set(few) | set(many)}
    return {name: n for name, n in each.items() if abs(n) >= 0.005}


def perf_count(bench, operation, process, back):
    """The same by perf, which slows nothing down, without names; None where it does not work."""
    perf = shutil.which("perf")
    if not perf:
        return None

    def run(number):
        command = [perf, "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p",
                   ",".join(map(str, process.pids())), "--", "taskset", "-c",
                   str(bench.load_cpu or 0), bench.load, *operation.command, "--connections",
                   str(operation.connections), "--operations", str(number), "--connect",
                   "127.0.0.1:%d" % process.port, "--backend", "127.0.0.1:%d" % back]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              timeout=120)
        for line in done.stderr.splitlines():
            fields = line.split(",")
            if len(fields) > 2 and fields[2].startswith("raw_syscalls") and fields[0].isdigit():
                return int(fields[0])
        return None
    factor = 10  # it is fast enough for more
    few, many = run(operation.fewer), run(operation.more * factor)
    if few is None or many is None:
        return None
    return (many - few) / (operation.more * factor - operation.fewer)


def measure(bench, names, with_perf=True, tell=lambda text: None):
    """(operation, proxy, calls by name, number by perf) for all that can be had; (proxy, reason)
    for the others."""
    found, missing = [], []
    for name in names:
        for kind in ("tcp", "mysql"):
            proxy = name + "-mysql" if kind == "mysql" and name in ("rum", "before") else name
            if kind == "mysql" and name not in ("rum", "before", "haproxy"):
                continue
            back, process = free_port(), None
            try:
                process = bench.start(proxy, back)
                for operation in OPERATIONS:
                    if operation.proxy == kind:
                        calls = count(bench, operation, process, back)
                        perf = perf_count(bench, operation, process, back) if with_perf else None
                        found.append((operation, proxy, calls, perf))
                        tell("%s: %s" % (operation.name, proxy))
            except Missing as e:
                missing.append((proxy, e))
            finally:
                if process:
                    process.stop()
    return found, missing


def table(found):
    lines = ["%-15s %-15s %7s %9s   %s" % ("operation", "proxy", "strace", "perf", "calls by name")]
    for operation, name, calls, perf in sorted(found, key=lambda row: OPERATIONS.index(row[0])):
        names = ", ".join("%s %.2f" % (call, n)
                          for call, n in sorted(calls.items(), key=lambda item: -item[1]))
        lines.append("%-15s %-15s %7.2f %9s   %s" % (
            operation.name, name, sum(calls.values()),
            "-" if perf is None else "%.2f" % perf, names))
    return "\n".join(lines)


def read_limits(path, names):
    """What is counted -> limit."""
    limits = {}
    with open(path) as f:
        for number, line in enumerate(f, 1):
            fields = line.split("#")[0].split()
            if not fields:
                continue
            if len(fields) != 2 or fields[0] not in names:
                raise ValueError("%s:%d: what is counted and its limit are expected" % (path, number))
            limits[fields[0]] = float(fields[1])
    return limits

"""Runs the loads on the proxies in turns, A B C A B C, and makes a table of what came of it."""

import json
import os
import re
import statistics
import subprocess
import time

from postgresql import run_pgbench
from proxies import PASSWORD, USERS, Missing, free_port, program
from sni import run_sni


class Figure:
    def __init__(self, key, label, digits=1, high=False):
        self.key, self.label, self.digits, self.high = key, label, digits, high

    def best(self, values):
        """The least disturbed: what shares a machine only ever makes it worse."""
        return max(values) if self.high else min(values)


class Load:
    """`kind` is what is spoken: tcp, tls (to the proxy alone), sni (TLS through it), mysql
    or pgsql."""

    def __init__(self, name, command, figures, kind="tcp", server="echo-server", fresh=False,
                 run=None):
        self.name, self.command, self.figures, self.kind = name, command, figures, kind
        self.server = server  # of load itself, for direct; None: a real one is started
        self.fresh = fresh    # a new process for each run
        self.run = run or run_load


def run_load(bench, arguments, front, back=None, pids=(), timeout=120, host="127.0.0.1"):
    command = [bench.load, *arguments, "--connect", "%s:%d" % (host, front)]
    if back:
        command += ["--backend", "127.0.0.1:%d" % back]
    for pid in pids:
        command += ["--pid", str(pid)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, preexec_fn=bench.beside_load)
    if done.returncode not in (0, 1) or not done.stdout:
        raise Missing("load %s ended with %d: %s" % (arguments[0], done.returncode, done.stderr))
    result = json.loads(done.stdout)
    if result["failures"]:
        raise Missing("load %s: %d operations failed: %s" % (
            arguments[0], result["failures"], result.get("first_failure", "")))
    return result


def cpu_seconds(pids):
    """Of all threads of the processes, by the scheduler's count."""
    total = 0
    for pid in pids:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                total += int(f.read().split()[0])
    return total / 1e9


def run_program(bench, command, pids, env=None):
    """What it said, how long it took, and the proxy's CPU seconds meanwhile."""
    before, begin = cpu_seconds(pids), time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, preexec_fn=bench.beside_load,
                          env=dict(os.environ, **(env or {})))
    seconds, used = time.monotonic() - begin, cpu_seconds(pids) - before
    if done.returncode != 0:
        raise Missing("%s ended with %d: %s" % (command[0], done.returncode, done.stdout[-500:]))
    return done.stdout, seconds, used


SYSBENCH = ["--db-driver=mysql", "--mysql-host=127.0.0.1", "--mysql-user=bench0",
            "--mysql-password=" + PASSWORD, "--mysql-ssl=off", "--tables=1", "--table-size=10000"]


def sysbench(script, *arguments):
    if not program("sysbench"):
        raise Missing("sysbench is not here (Debian: sysbench)")
    return [program("sysbench"), script, *SYSBENCH, *arguments]


def run_sysbench(bench, arguments, front, back=None, pids=()):
    options = dict(zip(arguments[1::2], arguments[2::2]))
    said, _, used = run_program(bench, sysbench(
        arguments[0], "--mysql-port=%d" % front, "--threads=32", "--rand-type=uniform",
        "--time=%d" % max(2, round(float(options["--seconds"]) * 2)), "run"), pids)
    found = re.search(r"queries: +(\d+) +\(([\d.]+) per sec", said)
    if not found:
        raise Missing("sysbench: " + said[-500:])
    queries = int(found[1])
    return {"cpu_us": used / queries * 1e6 if pids else None, "rate": float(found[2])}


RESULT_BYTES = 100 << 20


def run_result(bench, arguments, front, back=None, pids=()):
    client = program("mariadb")
    if not client:
        raise Missing("mariadb is not here (Debian: mariadb-client)")
    said, seconds, used = run_program(bench, [
        client, "--no-defaults", "-h127.0.0.1", "-P%d" % front, "-ubench0", "--quick", "-sN", "-Dsbtest", "-e",
        "SELECT REPEAT('x', 1048576) FROM seq_1_to_100"], pids, {"MYSQL_PWD": PASSWORD})
    if len(said) < RESULT_BYTES:
        raise Missing("the result has %d bytes: %s" % (len(said), said[:200]))
    return {"cpu_each": used / (RESULT_BYTES / 1e9) if pids else None,
            "rate": RESULT_BYTES / 1e9 / seconds}


LOADS = [
    Load("roundtrip", ["roundtrip", "--connections", "64", "--size", "100"],
         [Figure("cpu_us", "64 connections, 100 bytes there and back: CPU us each", 2),
          Figure("rate", "the same: round trips a second", 0, high=True)]),
    Load("latency", ["roundtrip", "--connections", "1", "--size", "100"],
         [Figure("p50_us", "one connection: p50 us"),
          Figure("cpu_us", "the same: CPU us each", 2)]),
    Load("bulk", ["bulk", "--connections", "4"],
         [Figure("cpu_each", "bulk, 4 streams: CPU s per GB", 3),
          Figure("rate", "the same: GB a second", 2, high=True)], server="bulk-server"),
    Load("connect", ["connect", "--connections", "8", "--size", "100"],
         [Figure("cpu_us", "connect, round trip, close; 8 at a time: CPU us each"),
          Figure("rate", "the same: connections a second", 0, high=True)]),
    Load("mysql-login", ["mysql-login", "--connections", "8", "--users", str(USERS)],
         [Figure("cpu_us", "MySQL login, SELECT 1, quit; 8 at a time: CPU us each"),
          Figure("rate", "the same: logins a second", 0, high=True)], "mysql", None),
    Load("select", ["oltp_point_select"],
         [Figure("cpu_us", "sysbench oltp_point_select, 32 threads: CPU us per query"),
          Figure("rate", "the same: queries a second", 0, high=True)], "mysql", None,
         run=run_sysbench),
    Load("read-write", ["oltp_read_write"],
         [Figure("cpu_us", "sysbench oltp_read_write, 32 threads: CPU us per query"),
          Figure("rate", "the same: queries a second", 0, high=True)], "mysql", None,
         run=run_sysbench),
    Load("result", ["result"],
         [Figure("cpu_each", "a result of 100 MB to the mariadb client: CPU s per GB", 3),
          Figure("rate", "the same: GB a second", 2, high=True)], "mysql", None, run=run_result),
    Load("pgsql-connect", ["pgbench", "--connect"],
         [Figure("cpu_us", "pgbench -C -S: login, SELECT, end; 8 at a time: CPU us each"),
          Figure("rate", "the same: logins a second", 0, high=True)], "pgsql", None,
         run=run_pgbench),
    Load("pgsql-select", ["pgbench"],
         [Figure("cpu_us", "pgbench -S, 8 clients: CPU us per query"),
          Figure("rate", "the same: queries a second", 0, high=True)], "pgsql", None,
         run=run_pgbench),
    Load("tls-connect", ["connect", "--tls", "full", "--connections", "8", "--size", "100"],
         [Figure("cpu_us", "the same with TLS to the proxy, a full handshake: CPU us each"),
          Figure("rate", "the same: connections a second", 0, high=True)], "tls"),
    Load("tls-resume", ["connect", "--tls", "resume", "--connections", "8", "--size", "100"],
         [Figure("cpu_us", "with TLS to the proxy, resumed: CPU us each"),
          Figure("rate", "the same: connections a second", 0, high=True)], "tls"),
    Load("tls-roundtrip", ["roundtrip", "--tls", "full", "--connections", "64", "--size", "100"],
         [Figure("cpu_us", "64 connections with TLS to the proxy, 100 bytes: CPU us each", 2),
          Figure("rate", "the same: round trips a second", 0, high=True)], "tls"),
    Load("tls-bulk-up", ["bulk", "--tls", "full", "--direction", "up", "--connections", "4"],
         [Figure("cpu_each", "bulk from 4 clients with TLS to the proxy: CPU s per GB", 3),
          Figure("rate", "the same: GB a second", 2, high=True)], "tls"),
    Load("tls-bulk-down", ["bulk", "--tls", "full", "--direction", "down", "--connections", "4"],
         [Figure("cpu_each", "bulk to 4 clients with TLS to the proxy: CPU s per GB", 3),
          Figure("rate", "the same: GB a second", 2, high=True)], "tls"),
    Load("sni", ["connect", "--tls", "full", "--connections", "8", "--size", "100"],
         [Figure("cpu_us", "TLS routed by one of 100,000 names, not decrypted: CPU us per connection"),
          Figure("rate", "the same: connections a second", 0, high=True),
          Figure("pss_mb", "the same: MB of memory, all processes of the proxy", 2)], "sni",
         run=run_sni),
    Load("idle", ["idle"],
         [Figure("private_each", "idle connection: bytes of process memory", 0)], fresh=True),
    Load("tls-idle", ["idle", "--tls", "full"],
         [Figure("private_each", "idle connection with TLS to the proxy: bytes", 0)], "tls",
         fresh=True),
]


class Comparison:
    def __init__(self, bench, names, rounds, seconds, idle_connections, tell):
        self.bench, self.names, self.rounds = bench, names, rounds
        self.seconds, self.idle_connections = seconds, idle_connections
        self.tell = tell
        self.results = {}  # load -> contender -> list of results
        self.missing = []

    def run(self, load):
        started, back = {}, free_port()
        database = None
        try:
            if load.server is None:
                database = (self.bench.start_postgresql() if load.kind == "pgsql"
                            else self.bench.start_mariadb())
                back = database.port
                if load.run is run_sysbench:
                    for step in ("cleanup", "prepare"):
                        run_program(self.bench, sysbench(load.command[0], "--mysql-port=%d" % back,
                                                         step), ())
            names = self._contenders(load)
            if not load.fresh:
                for name in list(names):
                    try:
                        started[name] = self._start(load, name, back, database)
                    except Missing as e:
                        self.missing.append("%s: %s: %s" % (load.name, name, e))
                        names.remove(name)
            for number in range(min(self.rounds, 3) if load.fresh else self.rounds):
                # Another one goes first each time.
                turn = number % max(1, len(names))
                for name in names[turn:] + names[:turn]:
                    try:
                        self._run_once(load, name, started.get(name), back, database)
                    except Missing as e:
                        self.missing.append("%s: %s: %s" % (load.name, name, e))
                self.tell("%s: round %d" % (load.name, number + 1))
        finally:
            for process in started.values():
                process.stop()
            if database:
                database.stop()

    def _contenders(self, load):
        names = [n for n in self.names if n != "rum-sid" or load.kind == "tls"]
        if load.kind == "mysql":
            # Splice has no say where no bulk is moved.
            names = [n for n in names if "splice" not in n or load.name == "result"]
            names = [n + "-mysql" if n in ("rum", "before") else n for n in names]
            if load.name == "mysql-login":
                at = [n for n in names if n.endswith("-mysql")]
                names = at + [n[:-len("mysql")] + "rewrite" for n in at] + names[len(at):]
            names = [n for n in names if not n.startswith("pgbouncer")]
        elif load.kind == "pgsql":
            names = [n for n in names if "splice" not in n and n != "mysqlrouter"]
            names = [n + "-pgsql" if n in ("rum", "before") else n for n in names]
            if load.name == "pgsql-connect":
                at = [n for n in names if n.endswith("-pgsql")]
                names = at + [n + "-rewrite" for n in at] + names[len(at):]
        else:
            names = [n for n in names if n != "mysqlrouter" and not n.startswith("pgbouncer")]
        if load.kind == "tls":
            return [n + "-tls" for n in names if "splice" not in n]
        if load.kind == "sni":
            names = [n + "-sni" for n in names if "splice" not in n]
        return names + ([] if load.fresh else ["direct"])

    def _start(self, load, name, back, database):
        if name != "direct":
            return self.bench.start(name, back)
        more = ["--server-cert", self.bench.certificate()] if load.kind == "sni" else []
        return database or self.bench.start_server(load.server, more)

    def _run_once(self, load, name, process, back, database):
        arguments = list(load.command)
        if load.fresh:
            arguments += ["--connections", str(self.idle_connections)]
            process = self.bench.start(name, back)
        else:
            arguments += ["--seconds", str(self.seconds)]
        try:
            direct = name == "direct"
            result = load.run(self.bench, arguments, process.port,
                              None if direct or database else back,
                              () if direct else process.pids())
        finally:
            if load.fresh:
                process.stop()
        self.results.setdefault(load.name, {}).setdefault(name, []).append(result)

    def rows(self):
        """(load, figure, [(contender, least, median, ratio of least, ratio of medians)])"""
        for load in LOADS:
            results = self.results.get(load.name)
            for figure in load.figures if results else []:
                values = {name: [r[figure.key] for r in runs if r.get(figure.key) is not None]
                          for name, runs in results.items()}
                values = {name: v for name, v in values.items() if v}
                own = next((v for name, v in values.items() if name.startswith("rum")), None)
                row = []
                for name, v in values.items():
                    best, middle = figure.best(v), statistics.median(v)
                    ratios = (None, None)
                    if own and v is not own and best and middle:
                        ratios = (figure.best(own) / best, statistics.median(own) / middle)
                    row.append((name, best, middle) + ratios)
                yield load, figure, row

    def table(self):
        lines = ["%-62s %10s %10s   %s" % ("", "least dist.", "median",
                                           "rum / this (least, median)")]
        for _, figure, row in self.rows():
            lines.append(figure.label + (" (more is better)" if figure.high else ""))
            for name, best, middle, by_best, by_middle in row:
                ratio = "" if by_best is None else "%.2f  %.2f" % (by_best, by_middle)
                lines.append("    %-58s %10.*f %10.*f   %s" % (
                    name, figure.digits, best, figure.digits, middle, ratio))
        lines += ["not measured: " + m for m in self.missing]
        return "\n".join(line.rstrip() for line in lines)


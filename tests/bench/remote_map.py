"""MySQL logins with the map in a file (CDB) and in Redis by a unix socket, with the cache of rum cold
(each login is of a user that was not asked for yet) and warm: CPU of rum for a login, logins a second,
and the times of the look-ups by rum's own histogram. Each run has a new rum; the runs take turns.
"""

import os
import re
import shutil
import statistics
import subprocess
import time
import urllib.request

from comparison import run_load
from proxies import Missing, Process, free_port

WARM_USERS = 10000
CONNECTIONS = 32


def write_users(path, users, port):
    with open(path, "w") as f:
        for i in range(users):
            f.write("bench%d - tcp:127.0.0.1:%d\n" % (i, port))


class Redis:
    def __init__(self, bench):
        if not shutil.which("redis-server"):
            raise Missing("redis-server is not here (Debian: redis-server)")
        self.socket = os.path.join(bench.folder, "redis.sock")
        port = free_port()
        self.process = Process(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save",
                                "", "--unixsocket", self.socket, "--dir", bench.folder],
                               bench.beside_load, port, os.path.join(bench.folder, "redis.out")).wait()
        self.map = "redis+sock:%s?key=rum:user:{user}" % self.socket

    def fill(self, text):
        feeder = subprocess.Popen(["redis-cli", "-s", self.socket, "--pipe"], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL)
        with open(text) as f, feeder.stdin as to:
            for line in f:
                line = line.rstrip("\n")
                to.write(('SET rum:user:%s "%s"\n' % (line.split(" ", 1)[0], line)).encode())
            to.write(b"SET rum:map:id 1\n")
        if feeder.wait() != 0:
            raise Missing("redis-cli did not write the users")

    def bytes(self):
        said = subprocess.run(["redis-cli", "-s", self.socket, "info", "memory"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        return {name: int(re.search(name + r":(\d+)", said)[1])
                for name in ("used_memory", "used_memory_rss")}


def start_rum(bench, source):
    front, stats = free_port(), free_port()
    log = os.path.join(bench.folder, "rum-%d.log" % front)
    rum = Process([bench.built("rum"), "-w", "1", "-l", log, "-s", "tcp:127.0.0.1:%d" % front,
                   "-P", "mysql.so", "-M", source, "-m", "tcp:127.0.0.1:%d" % stats, "--health-check",
                   "off", "--map-ttl", "1h"],
                  bench.beside_proxy, front, log + ".out", bench._environment(None)).wait()
    rum.stats = "http://127.0.0.1:%d" % stats
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            return urllib.request.urlopen(rum.stats + "/ready").read() and rum
        except OSError:
            time.sleep(0.05)
    rum.stop()
    raise Missing("rum does not become ready")


def quantile(rum, share):
    """Microseconds below which this share of the questions was answered, to the next bound."""
    text = urllib.request.urlopen(rum.stats + "/metrics").read().decode()
    buckets = re.findall(r'^rum_map_source_seconds_bucket\{le="([^"]*)"\} (\d+)', text, re.M)
    total = int(buckets[-1][1]) if buckets else 0
    return next((float(bound) * 1e6 for bound, count in buckets
                 if total and int(count) >= share * total), None)


def run(bench, source, users, warm, seconds):
    rum = start_rum(bench, source)
    try:
        arguments = ["mysql-login", "--connections", str(CONNECTIONS)]
        if warm:
            users = WARM_USERS
            run_load(bench, arguments + ["--users", str(users), "--operations", str(users)], rum.port)
        found = run_load(bench, arguments + ["--users", str(users), "--seconds", str(seconds)],
                         rum.port, pids=rum.pids())
        found["p99_lookup_us"] = None if warm else quantile(rum, 0.99)
        return found
    finally:
        rum.stop()


def measure(bench, users, rounds, seconds, tell):
    server = bench.start_server("mysql-server")
    rows, redis = {}, None
    try:
        text, cdb = (os.path.join(bench.folder, "users." + kind) for kind in ("txt", "cdb"))
        write_users(text, users, server.port)
        subprocess.run([bench.built("rum-map"), "build", cdb, text], check=True,
                       stdout=subprocess.DEVNULL)
        redis = Redis(bench)
        redis.fill(text)
        memory = redis.bytes()
        tell("%d users: %s; CDB %d bytes" % (users, memory, os.path.getsize(cdb)))
        ways = [("file, each user once", cdb, False), ("Redis, cold", redis.map, False),
                ("file, %d users" % WARM_USERS, cdb, True), ("Redis, warm", redis.map, True)]
        for number in range(rounds):
            for name, source, warm in ways:
                rows.setdefault(name, []).append(run(bench, source, users, warm, seconds))
            tell("round %d" % (number + 1))
    finally:
        for process in (redis and redis.process, server):
            if process:
                process.stop()
    return rows, memory


def table(rows):
    lines = ["%-24s %12s %12s %10s %10s %14s" % ("map", "rum CPU us", "median", "ratio", "logins/s",
                                                 "p99 look-up us")]
    for name, runs in rows.items():
        cpu = [one["cpu_us"] for one in runs]
        beside = rows[next(other for other in rows if other.startswith("file")
                           and ("once" in other) == (name.endswith("cold") or "once" in name))]
        # Of the runs of one round, which had the same neighbours on the machine.
        ratio = statistics.median(one / two["cpu_us"] for one, two in zip(cpu, beside))
        p99 = [one["p99_lookup_us"] for one in runs if one["p99_lookup_us"] is not None]
        lines.append("%-24s %12.1f %12.1f %10.3f %10.0f %14s" % (
            name, min(cpu), statistics.median(cpu), ratio, max(one["rate"] for one in runs),
            "%.0f" % statistics.median(p99) if p99 else "-"))
    return "\n".join(lines)

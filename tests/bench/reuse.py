"""Logins as a PHP page makes them, connect, query, quit: direct and through rum, with connections that
are new and that are kept (--mysql-reuse), server links plain and with TLS, relayed and rewritten: CPU
of rum and of the server for a login, and the time that it takes. The client of "direct, TLS" speaks
TLS to the server; to rum all speak plainly.
With --round-trip the server is behind a wire that takes so long, in a network of its own.
"""

import os
import statistics

from comparison import run_load
from proxies import PASSWORD, USERS, Missing

OWN = "rum_kept"
COLUMNS = ("way", "rum CPU us", "server CPU us", "p50 us", "logins", "reused")


class Way:
    def __init__(self, auth, tls, kept):
        self.auth, self.tls, self.kept = auth, tls, kept

    @property
    def name(self):
        return "%s, %s, %s" % (self.auth, "TLS" if self.tls else "plain",
                               "kept" if self.kept else "new")

    def start(self, bench, server):
        options = ["--upstream-tls", "require" if self.tls else "off", "--health-check", "off"]
        if self.kept:
            word = bench.write("own-password", PASSWORD + "\n")
            os.chmod(word, 0o600)
            options += ["--mysql-reuse", "32", "--mysql-reuse-user", OWN,
                        "--mysql-reuse-password-file", word]
        proxy = "rum-rewrite" if self.auth == "rewrite" else "rum-mysql"
        return bench.start(proxy, server.port, more=options)


WAYS = [Way(auth, tls, kept) for tls in (False, True) for auth in ("relay", "rewrite")
        for kept in (False, True)]


def count(bench, process, pids, seconds, tls=False):
    return run_load(bench, ["mysql-login", "--connections", "1", "--users", str(USERS),
                            "--seconds", str(seconds)] + (["--tls", "full"] if tls else []),
                    process.port, pids=pids, host=process.host)


def log_in(bench, rum, server, seconds, tls=False):
    """(rum's CPU, the server's, the client's p50, in microseconds; logins)"""
    front = rum or server
    own = count(bench, front, rum.pids(), seconds)["cpu_us"] if rum else None
    found = count(bench, front, server.pids(), seconds, tls)
    return own, found["cpu_us"], found["p50_us"], found["operations"]


def reused(bench, rum):
    with open(os.path.join(bench.folder, "rum-%d.log" % rum.port)) as f:
        return sum('reused="yes"' in line for line in f)


def measure(bench, rounds, seconds, tell):
    """Name of the way -> the figures of each round, and how many logins were on kept connections."""
    server = bench.start_mariadb(tls=True, more_users=(OWN,))
    rows = {}
    try:
        for number in range(rounds):
            for tls in (False, True):
                rows.setdefault("direct, TLS" if tls else "direct, plain", []).append(
                    (*log_in(bench, None, server, seconds, tls), 0))
            for way in WAYS:
                if way.kept and not way.tls and bench.wire:
                    continue  # MariaDB's are kept only over links that nobody can read
                rum = way.start(bench, server)
                try:
                    figures = log_in(bench, rum, server, seconds)
                finally:
                    rum.stop()
                again = reused(bench, rum)
                if (again > 0) != way.kept:
                    raise Missing("%s: %d logins on kept connections" % (way.name, again))
                rows.setdefault(way.name, []).append((*figures, again))
            tell("round %d" % (number + 1))
    finally:
        server.stop()
    return rows


def table(rows):
    lines = ["%-22s %12s %14s %10s %9s %8s" % COLUMNS]
    for name, runs in rows.items():
        # The least disturbed, as everywhere.
        best = [min(run[i] for run in runs) if runs[0][i] is not None else None for i in range(3)]
        lines.append("%-22s %12s %14s %10s %9d %8d" % (
            name, *["%.1f" % value if value is not None else "-" for value in best],
            statistics.median(run[3] for run in runs), sum(run[4] for run in runs)))
    return "\n".join(lines)

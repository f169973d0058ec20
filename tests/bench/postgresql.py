"""PostgreSQL for the bench: a server, PgBouncer beside the other proxies, and pgbench as the load.

Every login is by SCRAM and no link has TLS. PgBouncer pools sessions, so its servers see a login only
now and then; rum and HAProxy pass each one on, and so does pgbouncer-fresh, which keeps no connection.
"""

import os
import re
import subprocess
import sys

from proxies import Bench, Missing, NotBuilt

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KIND = "postgresql-17"
USER = "alice"  # of the tests' servers
CLIENTS = 8

PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={back}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {front}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = session
max_client_conn = 1000
default_pool_size = 50
server_tls_sslmode = disable
client_tls_sslmode = disable
ignore_startup_parameters = extra_float_digits
server_lifetime = {lifetime}
log_connections = {log}
log_disconnections = {log}
tcp_keepalive = {log}
"""


def _support(name):
    """A module of the integration tests."""
    sys.path.insert(0, os.path.join(TESTS, "integration"))
    try:
        return getattr(__import__("support." + name), name)
    finally:
        sys.path.pop(0)


def tell(text):
    print(text, file=sys.stderr, flush=True)


def tree():
    trees = _support("server_trees")
    try:
        return trees.tree(KIND, tell)
    except trees.Unavailable as e:
        raise Missing(str(e)) from None


class Server:
    """What the bench asks of a process, of a server of the tests."""

    def __init__(self, bench):
        postgresql = _support("postgresql")
        self.server = postgresql.PostgreSQL(tree(), bench.folder, "postgresql", prepare=bench.beside_load)
        self.port = self.server.port
        try:
            self.server.wait()
        except (AssertionError, RuntimeError) as e:
            self.stop()
            raise Missing(str(e)) from None

    def stop(self):
        self.server.close()


class PostgreSQLBench(Bench):
    def start_postgresql(self):
        server = Server(self)
        try:
            pgbench(self, ["--initialize", "--quiet", "--scale=1"], server.port, ())
        except Missing:
            server.stop()
            raise
        return server

    # The proxies.

    def _rum_pgsql(self, front, back, build=None, secret="-", options=()):
        if subprocess.run([self.built("rum", build), "-P", "pgsql.so", "--help"],
                          env=self._environment(build), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).returncode != 0:
            raise NotBuilt("rum is built without pgsql.so")
        text = self.write("roles-%d.txt" % front, "%s %s tcp:127.0.0.1:%d\n" % (USER, secret, back))
        cdb = os.path.join(self.folder, "roles-%d.cdb" % front)
        subprocess.run([self.built("rum-map", build), "build", cdb, text], check=True,
                       stdout=subprocess.DEVNULL)
        return self._rum_with(front, ["-P", "pgsql.so", "-M", cdb, "--pgsql-upstream-tls", "off",
                                      *options], build)

    def _rum_pgsql_rewrite(self, front, back, build=None):
        return self._rum_pgsql(front, back, build, _support("postgresql").verifier(USER))

    def _before_pgsql(self, front, back):
        return self._rum_pgsql(front, back, self.before)

    def _before_pgsql_rewrite(self, front, back):
        return self._rum_pgsql_rewrite(front, back, self.before)

    def _pgbouncer(self, front, back, release="bookworm", lifetime=3600):
        trees, postgresql_tree = _support("server_trees"), _support("postgresql_tree")
        try:
            found = trees.programs("pgbouncer-" + release, release, [], ["pgbouncer", "libc6"], tell,
                                   libraries=True)
        except trees.Unavailable as e:
            raise Missing(str(e)) from None
        users = self.write("users-%d.txt" % front, '"%s" "%s"\n' % (
            USER, _support("postgresql").verifier(USER)))
        path = self.write("pgbouncer-%d.ini" % front, PGBOUNCER.format(
            front=front, back=back, users=users, log=int(self.alike), lifetime=lifetime))
        return [*postgresql_tree.unprivileged(), *found.command("usr/sbin/pgbouncer", path)], None

    def _pgbouncer_sid(self, front, back):
        return self._pgbouncer(front, back, "sid")

    def _pgbouncer_fresh(self, front, back):
        return self._pgbouncer(front, back, "sid", 0)


def pgbench(bench, arguments, port, pids):
    """What it said, how long it took, and the proxy's CPU seconds meanwhile."""
    from comparison import run_program
    env = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": USER, "PGSSLMODE": "disable",
           "PGPASSWORD": _support("postgresql").password(USER), "PGGSSENCMODE": "disable"}
    command = [tree().program("pgbench"), *arguments, _support("postgresql").DATABASE]
    return run_program(bench, command, pids, env)


def run_pgbench(bench, arguments, front, back=None, pids=()):
    seconds = float(arguments[arguments.index("--seconds") + 1])
    options = arguments[1:arguments.index("--seconds")]
    # pgbench counts whole seconds.
    said, _, used = pgbench(bench, [*options, "--select-only", "--no-vacuum",
                                    "--client=%d" % CLIENTS, "--jobs=1", "--protocol=simple",
                                    "--time=%d" % max(2, round(seconds * 2))], front, pids)
    done = re.search(r"transactions actually processed: (\d+)", said)
    rate = re.search(r"tps = ([\d.]+)", said)
    if not done or not rate or not int(done[1]):
        raise Missing("pgbench: " + said[-500:])
    if re.search(r"failed transactions: [1-9]|aborted", said):
        raise Missing("pgbench: " + said[-500:])
    return {"cpu_us": used / int(done[1]) * 1e6 if pids else None, "rate": float(rate[1])}

"""PostgreSQL's own regression tests, by the pg_regress of its packages and the tests of its source:
sql and isolation, each directly and through rum.

The tests of a schedule build on each other, so all of them run on each server, and again when some
failed through rum only.
"""

import os
import re
import shutil
import subprocess
import time

from support import cdb, net, postgresql, postgresql_tree, server_trees
from support.harness import end_with_parent

def say(text):
    print(text, flush=True)


RELEASES = {"postgresql-15": "bookworm", "postgresql-17": "trixie", "postgresql-18": "sid"}
OWNER = "boss"  # it may do what the tests do, and has a password
# Everybody else, whom the tests make themselves, needs none.
HBA = "host all %s all scram-sha-256\nhost all all all trust\n" % OWNER
# As the tests expect a server to be.
SETTINGS = {"autovacuum": "on", "max_connections": "100", "shared_buffers": "64MB",
            "max_prepared_transactions": "10", "track_activity_query_size": "1024"}


class PostgreSQLSuite:
    modes = ("relay", "rewrite")

    def __init__(self, kind, part):
        self.kind, self.part = kind, part
        self.name = kind + ("-isolation" if part == "isolation" else "")


class PostgreSQLRun:
    """One suite in one mode: servers, and a rum before each. relay: TLS on both links with one
    certificate, to which clients bind; rewrite: by the verifier in the map."""

    # What can come out as test by test.
    OUTCOMES = (re.compile(r"^(?P<bad>not )?ok \d+ +[-+] (?P<name>\S+)"),
                re.compile(r"^(?:test)? *(?P<name>\S+) +\.\.\. (?:ok|(?P<bad>FAILED|failed))"))

    def __init__(self, suite, mode, build, folder):
        self.suite, self.mode, self.build = suite, mode, build
        self.folder = os.path.join(folder, suite.name + "-" + mode)
        os.mkdir(self.folder)
        self.kind = postgresql.Kind(suite.kind, self.folder, say)
        self.tree = self.kind.tree
        self.count, self.runs = 0, {}
        self._prepare()

    def _prepare(self):
        release, version = RELEASES[self.suite.kind], self.tree.version
        package = "postgresql-%d" % version
        source = server_trees.sources("source-" + package, release, package,
                                      ["src/test/regress/*", "src/test/isolation/*"], say)
        headers = server_trees.programs("headers-" + package, release, [],
                                        ["postgresql-server-dev-%d" % version, "libc6"], say)
        self.tests = os.path.join(source, "src/test", self.suite.part)
        self.programs = os.path.join(self.folder, "programs")
        place = "usr/lib/postgresql/%d/lib/pgxs/src/test" % version
        shutil.copytree(self.tree.path(place), self.programs)
        for name in ("regress/pg_regress", "isolation/pg_isolation_regress",
                     "isolation/isolationtester"):
            self.tree.wrap(os.path.join(self.programs, name))
        # One folder with what the tests load: their own and the server's.
        self.loaded = os.path.join(self.folder, "loaded")
        os.mkdir(self.loaded)
        theirs = self.tree.path("usr/lib/postgresql/%d/lib" % version)
        for name in os.listdir(theirs):
            if name.endswith(".so"):
                os.symlink(os.path.join(theirs, name), os.path.join(self.loaded, name))
        subprocess.run(["cc", "-O1", "-w", "-shared", "-fPIC", "-I",
                        headers.path("usr/include/postgresql/%d/server" % version),
                        os.path.join(source, "src/test/regress/regress.c"),
                        "-o", os.path.join(self.loaded, "regress.so")], check=True)

    def names(self):
        """Of the schedule; what stands there twice runs twice."""
        found = []
        with open(os.path.join(self.tests, self._schedule())) as f:
            for line in f:
                if line.startswith("test:"):
                    found += line.split()[1:]
        return list(dict.fromkeys(found))

    def _schedule(self):
        return "isolation_schedule" if self.suite.part == "isolation" else "parallel_schedule"

    def outcomes(self, names, through):
        """{name: passed}. Whoever asks again gets those of a second run."""
        asked = self.runs.setdefault(through, [])
        if len(names) > 1 or len(asked) < 2:
            asked.append(self._run_all(through))
        return {name: asked[-1].get(name, False) for name in names}

    def _run_all(self, through):
        self.count += 1
        folder = os.path.join(self.folder, str(self.count))
        os.mkdir(folder)
        server = self.kind.server(folder, "server", self.kind.certificate, settings=SETTINGS, hba=HBA)
        rum = None
        try:
            server.wait()
            port = server.port
            if through:
                rum, port = self._start_rum(server, folder)
            found = self._regress(folder, port, server)
            if rum and rum.poll() is not None:
                raise SystemExit("rum has ended: see %s/rum.log" % folder)
            return found
        finally:
            if rum:
                rum.terminate()
                rum.wait(30)
            server.close()

    def _start_rum(self, server, folder):
        port = net.free_port()
        path = os.path.join(folder, "users.cdb")
        secret = postgresql.verifier(OWNER) if self.mode == "rewrite" else ""
        cdb.replace(path, cdb.users((OWNER, secret, server.address)))
        certificate, key = self.kind.certificate
        command = [self.build.rum, "-s", "tcp:127.0.0.1:%d" % port, "-d", server.address, "-P",
                   "pgsql.so", "-M", path, "--pgsql-auth", self.mode, "--tls", "on", "--tls-cert",
                   certificate, "--tls-key", key, "--state-dir", os.path.join(folder, "state"), "-v"]
        with open(os.path.join(folder, "rum.log"), "w") as log:
            rum = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   env=dict(os.environ, RUM_MODULE_DIR=self.build.modules),
                                   preexec_fn=end_with_parent)
        net.until(lambda: net.listening("tcp:127.0.0.1:%d" % port) or rum.poll() is not None, 20,
                  "rum listens")
        if rum.poll() is not None:
            raise SystemExit("rum did not start: see %s/rum.log" % folder)
        return rum, port

    def _regress(self, folder, port, server):
        program = {"regress": "regress/pg_regress",
                   "isolation": "isolation/pg_isolation_regress"}[self.suite.part]
        output = os.path.join(folder, "output")
        os.mkdir(output)
        postgresql_tree.give_away(output)  # the server writes there, too
        command = [os.path.join(self.programs, program), "--inputdir=" + self.tests,
                   "--outputdir=" + output, "--bindir=" + self.tree.bin, "--dlpath=" + self.loaded,
                   "--host=127.0.0.1", "--port=%d" % port, "--user=" + OWNER, "--max-connections=10",
                   "--schedule=" + os.path.join(self.tests, self._schedule())]
        env = dict(os.environ, PGPASSWORD=postgresql.password(OWNER), PGSSLMODE="verify-full",
                   PGSSLROOTCERT=self.kind.authority.certificate, PGCONNECT_TIMEOUT="30",
                   HOME=folder)
        log, deadline = os.path.join(folder, "tests.log"), time.monotonic() + 3600
        with open(log, "w") as f:
            running = subprocess.Popen(command, cwd=output, env=env, stdin=subprocess.DEVNULL, stdout=f,
                                       stderr=subprocess.STDOUT, preexec_fn=end_with_parent)
            while running.poll() is None:
                if server.process.poll() is not None or time.monotonic() > deadline:
                    running.terminate()
                    running.wait()
                time.sleep(0.2)
        found = {}
        with open(log, errors="replace") as f:
            for line in f:
                for pattern in self.OUTCOMES:
                    outcome = pattern.match(line)
                    if outcome:
                        name = outcome["name"]
                        found[name] = found.get(name, True) and not outcome["bad"]
                        break
        return found


SUITES_OF_POSTGRESQL = {suite.name: suite for suite in [
    PostgreSQLSuite(kind, part) for kind in RELEASES for part in ("regress", "isolation")]}

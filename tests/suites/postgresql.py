"""PostgreSQL's own regression tests, by the pg_regress of its packages and the tests of its source:
sql and isolation, each directly and through rum.

The sql tests build on each other, so all of them run on each server, and again when some failed
through rum only.
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
        # The same for both modes: where the tests are, and the outcomes of the runs without rum.
        self.tests, self.direct = None, []


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
        self.count, self.through = 0, []
        self._prepare()

    def _prepare(self):
        version = self.tree.version
        headers = server_trees.programs("headers-" + self.suite.kind, RELEASES[self.suite.kind], [],
                                        ["postgresql-server-dev-%d" % version, "libc6"], say)
        kind, source = self._source()
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
        # Newer headers bring less along than the tests of an older release take from them.
        subprocess.run(["cc", "-O1", "-w", "-shared", "-fPIC", "-I",
                        headers.path("usr/include/postgresql/%d/server" % version),
                        "-include", "postgres.h", "-include", "utils/array.h",
                        os.path.join(source, "src/test/regress/regress.c"),
                        "-o", os.path.join(self.loaded, "regress.so")], check=True)

        if not self.suite.tests:
            self.suite.tests = os.path.join(source, "src/test", self.suite.part)
            if kind != self.suite.kind:
                self._expect_what_the_server_answers()

    def _source(self):
        """(kind, folder) of the server's own source, or of the next older one that the mirror has:
        its index may name files that it does not hold."""
        kinds = sorted((kind for kind in RELEASES if kind <= self.suite.kind), reverse=True)
        wanted = ["src/test/regress/*", "src/test/isolation/*"]
        for kind in kinds:
            try:
                return kind, server_trees.sources("source-" + kind, RELEASES[kind], kind, wanted, say)
            except server_trees.Unavailable as e:
                say("%s: no source of %s, an older one will do:\n%s" % (self.suite.name, kind, e))
        raise server_trees.Unavailable("no source of %s" % " nor ".join(kinds))

    def _expect_what_the_server_answers(self):
        """Tests of another release: what they bring out directly must come through rum."""
        own = os.path.join(self.folder, "tests")
        shutil.copytree(self.suite.tests, own)
        self.suite.tests, expected = own, os.path.join(own, "expected")
        with open(os.path.join(own, "resultmap"), "w"):
            pass  # it names files for other platforms
        schedule = os.path.join(own, self._schedule())
        with open(schedule) as f:
            lines = [line for line in f if not line.startswith("ignore:")]  # until 15
        with open(schedule, "w") as f:
            f.writelines(lines)
        self._run(through=False)
        shutil.rmtree(expected)
        shutil.copytree(os.path.join(self.folder, str(self.count), "output", "results"), expected)

    def names(self):
        """Of the schedule; what stands there twice runs twice."""
        found = []
        with open(os.path.join(self.suite.tests, self._schedule())) as f:
            for line in f:
                if line.startswith("test:"):
                    found += line.split()[1:]
        return list(dict.fromkeys(found))

    def _schedule(self):
        return "isolation_schedule" if self.suite.part == "isolation" else "parallel_schedule"

    def outcomes(self, names, through, again=False):
        """{name: passed} of the first run, or of a second one."""
        alone = names if self.suite.part == "isolation" else ()
        if again and alone:
            return self._run(through, alone)
        runs = self.through if through else self.suite.direct
        while len(runs) < 1 + again:
            runs.append(self._run(through, alone))
        return {name: runs[again].get(name, False) for name in names}

    def _run(self, through, alone=()):
        """{name: passed} of the whole schedule, or of the tests `alone`."""
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
            found = self._regress(folder, port, server, alone)
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

    def _regress(self, folder, port, server, alone):
        program = {"regress": "regress/pg_regress",
                   "isolation": "isolation/pg_isolation_regress"}[self.suite.part]
        output = os.path.join(folder, "output")
        os.mkdir(output)
        postgresql_tree.give_away(output)  # the server writes there, too
        command = [os.path.join(self.programs, program), "--inputdir=" + self.suite.tests,
                   "--outputdir=" + output, "--bindir=" + self.tree.bin, "--dlpath=" + self.loaded,
                   "--host=127.0.0.1", "--port=%d" % port, "--user=" + OWNER,
                   "--max-connections=10"]
        command += alone or ["--schedule=" + os.path.join(self.suite.tests, self._schedule())]
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

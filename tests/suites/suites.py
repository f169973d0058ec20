"""The suites: where each comes from, what its server needs, how its tests are run one by one or
together, and how their outcomes are read.
"""

import os
import re
import subprocess
import time

from support import server_trees
from support.harness import end_with_parent

# kind of server -> (release, packages with what they depend on, packages alone)
PACKAGES = {
    "mariadb-bookworm": ("bookworm", ["mariadb-test"], []),
    "mariadb-trixie": ("trixie", ["mariadb-test"], []),
    "mysql-sid": ("sid", ["mysql-client-core"], ["mysql-testsuite"]),
}


class Suite:
    """One suite of one kind of server."""

    together = 1000  # tests on one server
    PASSED, FAILED, LOST = range(3)

    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        # The servers of MySQL 9 have no plugin whose proof could be rewritten.
        self.modes = ("relay",) if kind == "mysql-sid" else ("relay", "rewrite")

    def prepare(self, tree, folder, say):
        """Puts the files of server and suite together below folder/usr, so that the suite finds what
        it takes for installed; programs are run by the linker of their own release."""
        self.top = os.path.join(folder, "usr")
        release, packages, alone = PACKAGES[self.kind]
        suite = server_trees.programs("suite-" + self.kind, release, packages, alone, say)
        os.mkdir(self.top)
        for part in (tree, suite):
            subprocess.run(["cp", "-rsf", part.path("usr/."), self.top], check=True)
        for part in (tree, suite):
            for top, _, files in os.walk(part.path("usr")):
                for name in files:
                    inside = os.path.relpath(os.path.join(top, name), part.files)
                    if is_program(os.path.join(top, name)):
                        self._wrap(part, inside)
        self.after_layout()

    def _wrap(self, part, inside):
        path = os.path.join(self.top, os.path.relpath(inside, "usr"))
        os.unlink(path)
        with open(path, "w") as f:
            f.write('#!/bin/sh\nexec %s "$@"\n' % " ".join(part.command(inside)))
        os.chmod(path, 0o755)

    def after_layout(self):
        pass

    def options(self, folder):
        """Of the server, whose own files are in `folder`."""
        return ["--secure-file-priv=" + folder]

    def statements(self, password):
        """What makes the account of the tests, which is root from everywhere, and what they expect
        to be there."""
        made = ["CREATE DATABASE IF NOT EXISTS test", "CREATE DATABASE mtr",
                "CREATE PROCEDURE mtr.add_suppression(pattern VARCHAR(255)) BEGIN END",
                "CREATE USER root@'%'", "GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION"]
        if password:
            made += ["ALTER USER %s IDENTIFIED BY '%s'" % (user, password)
                     for user in ("root@'%'", "root@localhost")]
        return made

    def names(self):
        raise NotImplementedError

    def run(self, target, names):
        """{name: PASSED, FAILED, or LOST} of those that were run."""
        raise NotImplementedError


def is_program(path):
    if os.path.islink(path) or not os.access(path, os.X_OK) or ".so" in os.path.basename(path):
        return False
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


class TestRun(Suite):
    """Suites of mysql-test-run or mariadb-test-run, against a server that is there. `folders`: where
    the tests of each lie."""

    together = 30
    OWN_SERVER = ("-master.opt", ".opt", ".cnf", ".combinations", "-master.sh")
    STOPS_SERVER = re.compile(r"^(?!\s*#).*(restart|shutdown|kill_mysqld|start_mysqld|have_debug"
                              r"|debug_sync|master-slave|expect_crash)", re.I | re.M)
    SOURCED = re.compile(r"^\s*(?:--)?\s*source\s+([\w./-]+)", re.I | re.M)
    OUTCOME = re.compile(r"(?:\[ *\d+%\] )?(\w+\.\S+)(?: '.*?')? +(?:w\d+ +)?\[ ([a-z-]+)")

    def __init__(self, *arguments, script, folders, server=(), client=()):
        super().__init__(*arguments)
        self.script, self.folders, self.server, self.client = script, folders, server, client

    def after_layout(self):
        # The script looks for these where the others are installed.
        tools = os.path.join(self.top, "lib/mysql-test/bin")
        for name in os.listdir(tools) if os.path.isdir(tools) else ():
            place = os.path.join(self.top, "bin", name)
            if not os.path.exists(place):
                os.symlink(os.path.join(tools, name), place)
        self.place = os.path.join(self.top, os.path.dirname(self.script))

    def options(self, folder):
        # As the script starts its own servers; what names its variables is about files.
        found, section = [], ""
        with open(os.path.join(self.place, "include/default_mysqld.cnf")) as f:
            for line in f:
                line = "".join(line.split())
                if line.startswith("["):
                    section = line
                elif section == "[mysqld]" and line[:1] not in ("", "#", "!") and "@" not in line \
                        and not line.startswith("log-basename"):
                    found.append("--" + line)
        return found + list(self.server) + super().options(folder)

    def names(self):
        """Those that are content with a server that is there: they bring no options of their own
        and do not stop it."""
        found = []
        for suite, folder in self.folders.items():
            folder = os.path.join(self.place, folder)
            there = set(os.listdir(folder))
            for file in sorted(there):
                name = file[:-5]
                if not file.endswith(".test") or there & {name + end for end in self.OWN_SERVER}:
                    continue
                if not self._stops(os.path.join(folder, file), set()):
                    found.append("%s.%s" % (suite, name))
        return found

    def _stops(self, path, seen):
        """Whether the file, or one that it sources, stops the server."""
        seen.add(path)
        with open(path, errors="replace") as f:
            text = f.read()
        if self.STOPS_SERVER.search(text):
            return True
        for name in self.SOURCED.findall(text):
            for place in (self.place, os.path.dirname(path)):
                sourced = os.path.normpath(os.path.join(place, name))
                if os.path.isfile(sourced):
                    if sourced not in seen and self._stops(sourced, seen):
                        return True
                    break
        return False

    def run(self, target, names):
        own = os.path.join(target.folder, "var")
        os.makedirs(os.path.join(own, "log"))
        command = ["perl", os.path.basename(self.script), "--vardir=" + own, "--force",
                   "--max-test-fail=0", "--retry=1", "--suite-timeout=300", "--testcase-timeout=5",
                   "--suite=" + ",".join(self.folders), "--extern", "host=127.0.0.1", "--extern", "port=%d" % target.port,
                   "--extern", "socket=" + target.socket, "--extern", "user=root"]
        for more in self.client:
            command += ["--extern", more]
        if target.password:
            command += ["--extern", "password=" + target.password]
        log = os.path.join(target.folder, "tests.log")
        environment = dict(os.environ, MASTER_MYPORT=str(target.port), MASTER_MYSOCK=target.socket)
        with open(log, "w") as f:
            running = subprocess.Popen(command + names, cwd=self.place, env=environment,
                                       stdin=subprocess.DEVNULL, stdout=f, stderr=subprocess.STDOUT,
                                       preexec_fn=end_with_parent)
            while running.poll() is None:
                if not target.alive():
                    running.terminate()
                    running.wait()
                time.sleep(0.2)
        found, name = {}, None
        with open(log, errors="replace") as f:
            for line in f:
                outcome = self.OUTCOME.match(line)
                if outcome and outcome[2] in ("pass", "fail", "skipped"):
                    name = outcome[1]
                    found[name] = max(found.get(name, self.PASSED),
                                      self.PASSED if outcome[2] == "pass" else self.FAILED)
                elif name and "Could not open connection 'default'" in line:
                    found[name] = self.LOST
        return found


class ClientTest(Suite):
    """The tests of a C API, one process each."""

    def __init__(self, *arguments, program):
        super().__init__(*arguments)
        self.inside = program

    def names(self):
        done = subprocess.run([self.program(), "--no-defaults", "-T"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=60)
        return [word for word in done.stdout.split() if word.startswith("test_")]

    def program(self):
        return os.path.join(self.top, self.inside)

    def run(self, target, names):
        found = {}
        command = [self.program(), "--no-defaults", "-h127.0.0.1", "-P%d" % target.port, "-uroot",
                   "-v" + target.folder, "-s"]
        if target.password:
            command.append("-p" + target.password)
        os.makedirs(os.path.join(target.folder, "log"), exist_ok=True)
        with open(os.path.join(target.folder, "tests.log"), "w") as f:
            for name in names:
                f.write("== %s\n" % name)
                f.flush()
                try:
                    done = subprocess.run(command + [name], cwd=target.folder, timeout=120,
                                          stdin=subprocess.DEVNULL, stdout=f, stderr=f)
                    found[name] = self.FAILED if done.returncode else self.PASSED
                except subprocess.TimeoutExpired:
                    found[name] = self.FAILED
        return found


FOLDERS_OF_MARIADB = {"main": "main", "plugins": "suite/plugins/t", "roles": "suite/roles"}

SUITES = {suite.name: suite for suite in (
    TestRun("mariadb-10.11", "mariadb-bookworm",
            script="share/mysql/mysql-test/mariadb-test-run.pl", folders=FOLDERS_OF_MARIADB,
            server=["--log-output=file"]),
    TestRun("mariadb", "mariadb-trixie",
            script="share/mariadb/mariadb-test/mariadb-test-run.pl", folders=FOLDERS_OF_MARIADB,
            server=["--log-output=file"],
            # An account without a password cannot vouch for a certificate.
            client=["ssl-verify-server-cert=0"]),
    TestRun("mysql", "mysql-sid", script="lib/mysql-test/mysql-test-run.pl",
            folders={"main": "t", "auth_sec": "suite/auth_sec/t",
                     "multi_factor_authentication": "suite/multi_factor_authentication/t"},
            server=["--explain-format=TRADITIONAL_STRICT"]),
    ClientTest("mariadb-10.11-client", "mariadb-bookworm", program="bin/mariadb-client-test"),
    ClientTest("mariadb-client", "mariadb-trixie", program="bin/mariadb-client-test"),
    ClientTest("mysql-client", "mysql-sid", program="lib/mysql-test/bin/mysql_client_test"),
)}

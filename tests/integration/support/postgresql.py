"""Real PostgreSQL servers of every release in server_trees: without TLS, with rum's own certificate,
and with another one. Accounts, passwords and pg_hba.conf are those of postgresql_tree.
"""

import os
import shutil
import signal
import subprocess

from support import mariadb, net, postgresql_tree, server_trees
from support.certificates import Authority
from support.harness import end_with_parent
from support.postgresql_tree import ACCOUNTS, DATABASE, LONG_USER, UTF8_USER, password, verifier

__all__ = ["ACCOUNTS", "DATABASE", "KINDS", "LONG_USER", "UTF8_USER", "Kind", "PostgreSQL", "Servers",
           "password", "verifier"]

KINDS = tuple(kind for kind in server_trees.TREES if server_trees.is_postgresql(kind))

mariadb.SECRETS.extend(postgresql_tree.secrets())

# Small and forgetful; what a test writes need not survive a power cut.
SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "16MB",
    "max_connections": "200", "max_wal_senders": "10", "autovacuum": "off", "jit": "off",
    "huge_pages": "off", "min_wal_size": "4MB", "log_line_prefix": "%m [%p] ",
}


class PostgreSQL:
    """One server. certificate: None for ssl=off, or (certificate, key); settings: of postgresql.conf;
    hba: lines that come before the usual ones; prepare: called in the child before it is the server."""

    def __init__(self, tree, folder, name, certificate=None, authority=None, settings=None, hba="",
                 bind="127.0.0.1", prepare=end_with_parent):
        self.kind, self.name, self.tree, self.folder = tree.name, name, tree, folder
        self.data = os.path.join(folder, name)
        self.sockets = os.path.join(folder, name + ".s")
        self.log = os.path.join(folder, name + ".err")
        subprocess.run(["cp", "-a", "--reflink=auto", tree.template, self.data], check=True)
        with open(os.path.join(self.data, "pg_hba.conf"), "w") as f:
            f.write(hba + postgresql_tree.hba())
        os.mkdir(self.sockets)
        postgresql_tree.give_away(self.sockets)
        self.port = net.free_port()
        self.host = bind.split(",")[0]
        self.address = "tcp:%s:%d" % (self.host, self.port)
        self.socket = "sock:%s/.s.PGSQL.%d" % (self.sockets, self.port)
        self.settings = dict(SETTINGS, port=self.port, listen_addresses=bind,
                             unix_socket_directories=self.sockets)
        if certificate:
            self.settings.update(ssl="on", ssl_cert_file=certificate[0], ssl_key_file=certificate[1],
                                 ssl_ca_file=authority.certificate)
        if tree.version >= 18:
            self.settings.update(io_method="sync", md5_password_warnings="off")
        self.settings.update(settings or {})
        self.process, self.prepare = None, prepare
        self.start()

    def start(self):
        """Once more, too, after stop()."""
        command = [*postgresql_tree.unprivileged(), self.tree.program("postgres"), "-D", self.data]
        for name, value in self.settings.items():
            command += ["-c", "%s=%s" % (name, value)]
        self.said_before = len(self.error_log())
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=self.prepare, cwd=self.data,
                                            env=dict(os.environ, LC_ALL="C"))
        return self

    def wait(self, seconds=60):
        def up():
            if self.process.poll() is not None:
                raise RuntimeError("%s did not start:\n%s" % (self.kind, self.error_log()[-3000:]))
            return "ready to accept connections" in self.error_log()[self.said_before:]
        net.until(up, seconds, lambda: "%s is up:\n%s" % (self.kind, self.error_log()[-3000:]))
        return self

    def error_log(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def admin(self, *statements, database=DATABASE):
        """Runs statements as the superuser by the unix socket; returns rows of texts of the last."""
        command = [self.tree.program("psql"), "-X", "-h", self.sockets, "-p", str(self.port), "-U",
                   "postgres", "-d", database, "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1"]
        for statement in statements:
            command += ["-c", statement]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        if done.returncode:
            raise AssertionError("%s: %s" % (statements, done.stderr))
        return [tuple(line.split("\x1f")) for line in done.stdout.splitlines()]

    def sessions(self, user=None):
        """How many clients of the user are logged in."""
        return int(self.admin("SELECT count(*) FROM pg_stat_activity WHERE backend_type IN"
                              " ('client backend', 'walsender') AND pid <> pg_backend_pid()"
                              + (" AND usename = '%s'" % user if user else ""))[0][0])

    def stop(self, how=signal.SIGINT):
        """SIGINT: at once, clients are told. SIGTERM: when all clients have gone. SIGQUIT: no farewell."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self):
        self.stop(signal.SIGQUIT)
        for folder in (self.data, self.sockets):
            shutil.rmtree(folder, ignore_errors=True)


class Kind:
    """The servers of one release that a run shares: `plain` without TLS, `tls` with the certificate
    that is rum's, too, `other` with one of its own. `authority` has signed all of them, for 127.0.0.1,
    127.0.0.2 and localhost, and `client_certificate`, which is of the user "certified"."""

    def __init__(self, kind, folder, say):
        self.kind = kind
        self.folder = os.path.join(folder, kind)
        os.mkdir(self.folder)
        self.tree = server_trees.tree(kind, say)
        self.authority = Authority(self.folder)
        names = "DNS:localhost,IP:127.0.0.1,IP:127.0.0.2"
        self.certificate = self.authority.sign("server", names)
        self.other_certificate = self.authority.sign("other", names)
        self.client_certificate = self.authority.sign("certified", "DNS:certified")
        self.plain = self.tls = self.other = None

    def start(self):
        self.plain = self.server(self.folder, "plain")
        self.tls = self.server(self.folder, "tls", self.certificate)
        self.other = self.server(self.folder, "other", self.other_certificate)
        return self

    def server(self, folder, name, certificate=None, **more):
        """One more process, which whoever asks for it waits for and closes."""
        return PostgreSQL(self.tree, folder, name, certificate, self.authority, **more)

    def shared(self):
        return [server for server in (self.plain, self.tls, self.other) if server]

    def wait(self):
        for server in self.shared():
            server.wait()
        return self

    def own(self, context, tls=False, **more):
        """A server of a test, ended with it. settings={"max_connections": 3}, hba="host all ..." and
        bind= as PostgreSQL has them; tls: True for rum's certificate, or (certificate, key)."""
        certificate = self.certificate if tls is True else tls or None
        server = self.server(context.folder, "pg%d-%d" % (self.tree.version, context.number()),
                             certificate, **more)
        context.keep(server)
        return server.wait()

    def close(self):
        for server in self.shared():
            server.close()


class Servers:
    """The releases that a run needs; servers["postgresql-17"].tls is a server."""

    def __init__(self, folder, needs, say=lambda text: print(text, flush=True)):
        self.kinds = {}
        self.missing = {}  # kind: why. The tests that need it fail; the others can still run.
        try:
            for kind in KINDS:
                if kind in needs:
                    try:
                        self.kinds[kind] = Kind(kind, folder, say)
                        self.kinds[kind].start()
                    except server_trees.Unavailable as e:
                        say("%s could not be had: %s" % (kind, e))
                        self.missing[kind] = str(e)
            for kind in self.kinds.values():
                kind.wait()
        except BaseException:
            self.close()
            raise

    def __getitem__(self, kind):
        if kind in self.missing:
            raise AssertionError("%s could not be had: %s" % (kind, self.missing[kind]))
        return self.kinds[kind]

    def close(self):
        for kind in self.kinds.values():
            kind.close()

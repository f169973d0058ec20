"""Real servers of every kind in server_trees.py, each twice: with TLS and without. Each of their
accounts has a plugin of its own.
"""

import os
import shutil
import signal
import subprocess

from support import mariadb, net, server_trees
from support.build import SUPPORT
from support.certificates import Authority
from support.harness import end_with_parent

# user -> (password, plugin, kinds of servers that have it)
ACCOUNTS = {
    "native": ("Nat1ve-4kL0p", "mysql_native_password", "mariadb-bookworm mariadb-trixie"),
    "curve": ("Edward-5gT1b", "ed25519", "mariadb-bookworm mariadb-trixie"),
    "parsec": ("Parsec-7mX2q", "parsec", "mariadb-trixie"),
    "sha2": ("Cach1ng-9wE3r", "caching_sha2_password", "mysql-sid"),
    "sha256": ("Sha256-2bN6t", "sha256_password", "mysql-sid"),
    "clear": ("Readable-3vB8y", "clear_text", "mariadb-bookworm mariadb-trixie mysql-sid"),
    # After its first password (sha2), the server asks for SECOND_PASSWORD in clear text.
    "twofactor": ("F1rst-8cM5u", "caching_sha2_password", "mysql-sid"),
    "empty": ("", None, "mariadb-bookworm mariadb-trixie mysql-sid"),
    # These have their server's default plugin.
    "tlsonly": ("Requ1re-6hJ8s", None, "mariadb-bookworm mariadb-trixie mysql-sid"),
}
SECOND_PASSWORD = "S3cond-1kP7d"
KINDS = tuple(kind for kind in server_trees.TREES if not server_trees.is_postgresql(kind))
DATABASE = mariadb.DATABASE

mariadb.SECRETS.extend([SECOND_PASSWORD] + [word for word, _, _ in ACCOUNTS.values() if word])


def users_of(kind):
    return [user for user, (_, _, kinds) in ACCOUNTS.items() if kind in kinds.split()]


def password(user):
    return ACCOUNTS[user][0]


def create_statements(kind):
    lines = ["CREATE DATABASE %s;" % DATABASE,
             "CREATE TABLE %s.word (id INT PRIMARY KEY, text VARCHAR(200));" % DATABASE,
             "INSERT INTO %s.word VALUES (1,'one'),(2,'two'),(3,'three');" % DATABASE]
    for user in users_of(kind):
        lines += [statement + ";" for statement in account(kind, user, user)]
    return "\n".join(lines) + "\n"


def account(kind, user, name):
    """The statements that create an account like that of `user`, with another name."""
    word, plugin, _ = ACCOUNTS[user]
    if plugin and kind == "mysql-sid":
        how = "IDENTIFIED WITH %s BY '%s'" % (plugin, word)
        if user == "twofactor":
            how += " AND IDENTIFIED WITH clear_text BY '%s'" % SECOND_PASSWORD
    elif plugin == "clear_text":
        how = "IDENTIFIED VIA clear_text USING '%s'" % word
    elif plugin:
        how = "IDENTIFIED VIA %s USING PASSWORD('%s')" % (plugin, word)
    else:
        how = "IDENTIFIED BY '%s'" % word
    return ["CREATE USER '%s'@'%%' %s%s" % (name, how, " REQUIRE SSL" if user == "tlsonly" else ""),
            "GRANT ALL ON %s.* TO '%s'@'%%'" % (DATABASE, name)]


def caches_password(kind, user):
    """Whether the server requires a full authentication until its cache has the password."""
    word, plugin, _ = ACCOUNTS[user]
    return kind == "mysql-sid" and bool(word) and plugin in (None, "caching_sha2_password")


class Server(mariadb.MariaDB):
    """One process of the kind. tls: None, or (certificate, key). plugins: the folder of its plugins."""

    def __init__(self, kind, made, plugins, folder, name, tls=None, options=(), bind="127.0.0.1"):
        self.kind, self.name, self.folder, self.tree = kind, name, folder, made
        self.data = os.path.join(folder, name)
        shutil.copytree(made.template, self.data)
        self.port = net.free_port()
        self.socket = os.path.join(folder, name + ".sock")
        self.log = os.path.join(folder, name + ".err")
        self.host = bind.split(",")[0]
        self.address = "tcp:%s:%d" % (self.host, self.port)
        init = os.path.join(folder, name + ".sql")
        with open(init, "w") as f:
            f.write(create_statements(kind))
        own = ["--datadir=" + self.data, "--socket=" + self.socket, "--port=%d" % self.port,
               "--bind-address=" + bind, "--pid-file=" + os.path.join(folder, name + ".pid"),
               "--log-error=" + self.log, "--init-file=" + init, "--tmpdir=" + self.data,
               "--max-connections=300", "--max-allowed-packet=64M", "--local-infile=1",
               "--character-set-server=utf8mb4", "--innodb-buffer-pool-size=32M",
               "--innodb-flush-log-at-trx-commit=0", "--performance-schema=0",
               "--key-buffer-size=1M", "--long-query-time=3600", "--plugin-dir=" + plugins]
        own += self._mysql_options(tls) if kind == "mysql-sid" else self._mariadb_options(tls)
        if tls:
            own += ["--ssl-cert=" + tls[0], "--ssl-key=" + tls[1]]
        command = made.command("usr/sbin/mysqld" if kind == "mysql-sid" else "usr/sbin/mariadbd",
                               *server_trees.server_options(made))
        self.process = subprocess.Popen(command + own + list(options), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        preexec_fn=end_with_parent)

    def _mysql_options(self, tls):
        options = ["--plugin-load-add=clear_text_plugin.so", "--mysqlx=0",
                   "--secure-file-priv=" + self.data, "--innodb-doublewrite=0",
                   "--log-error-verbosity=2"]
        if not tls:  # disables TLS and the automatic certificate
            options += ["--tls-version=", "--auto-generate-certs=0"]
        return options

    def _mariadb_options(self, tls):
        options = ["--plugin-load-add=clear_text_plugin", "--plugin-load-add=auth_ed25519",
                   "--aria-pagecache-buffer-size=2M"]
        if self.kind == "mariadb-trixie":
            options.append("--plugin-load-add=auth_parsec")
        if not tls:
            options.append("--skip-ssl")
        return options

    def restart(self):
        """Stops it, and starts it again with what it has."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        os.unlink(self.log)
        command = [word for word in self.process.args if not word.startswith("--init-file=")]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)
        self.wait()

    def admin_all(self, statements):
        """Runs statements as root on one connection."""
        import pymysql
        connection = pymysql.connect(unix_socket=self.socket, user="root")
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def fill_cache(self, user):
        """Makes the server cache the password of a caching_sha2_password account."""
        done = subprocess.run(
            self.tree.client("--socket=" + self.socket, "--user=" + user,
                             "--password1=" + password(user), "--password2=" + SECOND_PASSWORD,
                             "--enable-cleartext-plugin", "-e", "DO 0"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        if done.returncode:
            raise AssertionError("%s: %s" % (user, done.stdout.decode("utf-8", "replace")))


class Kind:
    """The servers of one kind that a run shares (`plain` and `tls`, once started), and more for
    tests that need their own. `authority` signed the certificate, which is for 127.0.0.1, 127.0.0.2 and localhost."""

    def __init__(self, kind, folder, say):
        self.kind = kind
        self.folder = os.path.join(folder, kind)
        os.mkdir(self.folder)
        self.tree = server_trees.tree(kind, say)
        self.plugins = self._plugins()
        self.authority = Authority(self.folder)
        self.certificate = self.authority.sign("server",
                                               "DNS:localhost,IP:127.0.0.1,IP:127.0.0.2")
        self.plain = self.tls = None

    def start(self):
        self.plain = self.server(self.folder, "plain")
        self.tls = self.server(self.folder, "tls", self.certificate)
        return self

    def _plugins(self):
        """A folder with the tree's plugins and that of these tests."""
        place = os.path.join(self.folder, "plugins")
        os.mkdir(place)
        theirs = self.tree.path("usr/lib/mysql/plugin")
        for name in os.listdir(theirs):
            os.symlink(os.path.join(theirs, name), os.path.join(place, name))
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", os.path.join(SUPPORT, "clear_text_plugin.c"),
                        "-o", os.path.join(place, "clear_text_plugin.so")], check=True)
        return place

    def server(self, folder, name, tls=None, **more):
        """One more process; the caller waits for it and closes it."""
        return Server(self.kind, self.tree, self.plugins, folder, name, tls, **more)

    def wait(self):
        self.plain.wait()
        self.tls.wait()
        return self

    def own(self, context, tls=False, options=(), bind="127.0.0.1"):
        """A server that ends with its test."""
        server = self.server(context.folder, "%s-%d" % (self.kind, context.number()),
                             self.certificate if tls else None, options=options, bind=bind)
        context.keep(server)
        return server.wait()

    def close(self):
        for server in (self.plain, self.tls):
            if server:
                server.close()


class NewerServers:
    """The kinds that a run needs; newer["mysql-sid"].tls is a server."""

    def __init__(self, folder, needs, say=lambda text: print(text, flush=True)):
        self.kinds = {}
        self.missing = {}  # kind: reason. Tests that need it fail; others still run.
        wanted = [kind for kind in KINDS if kind in needs]
        try:
            for kind in wanted:
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

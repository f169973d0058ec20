"""Real MariaDB servers: two that the whole run shares, and more for tests that need their own.

The users and their passwords are below; SECRETS is what must never be seen in a log.
"""

import hashlib
import os
import shutil
import signal
import subprocess

from support import net, server_trees
from support.harness import end_with_parent
from support.mysql_wire import stored_hash

LONG_USER = "long_" + "u" * 75
UTF8_USER = "žluťoučký"

# user -> (password, plugin, servers that know the user)
ACCOUNTS = {
    "alice": ("Wonder-7Kd0q", "native", "A"),
    "bob": ("Builder-e41Zz", "native", "B"),
    "shared": ("Common-9vXw2", "native", "AB"),
    "other": ("Second-Lk3p8", "native", "AB"),
    "empty": ("", "native", "AB"),
    "curve": ("Edward-5gT1b", "ed25519", "AB"),
    LONG_USER: ("Stretch-0oPq6", "native", "AB"),
    UTF8_USER: ("Kun-2mNv4", "native", "AB"),
}
DATABASE = "rumtest"


def password(user):
    return ACCOUNTS[user][0]


def hash_of(user):
    return stored_hash(ACCOUNTS[user][0])


def _secrets():
    found = []
    for word, _, _ in ACCOUNTS.values():
        if word:
            one = hashlib.sha1(word.encode())
            found += [word, one.hexdigest(), stored_hash(word)[1:]]
    return found


SECRETS = _secrets()


def create_statements(server):
    lines = ["CREATE DATABASE %s;" % DATABASE,
             "CREATE TABLE %s.word (id INT PRIMARY KEY, text VARCHAR(200));" % DATABASE,
             "INSERT INTO %s.word VALUES (1,'one'),(2,'two'),(3,'three');" % DATABASE]
    for user, (word, plugin, servers) in ACCOUNTS.items():
        if server not in servers:
            continue
        if plugin == "ed25519":
            how = "IDENTIFIED VIA ed25519 USING PASSWORD('%s')" % word
        else:
            how = "IDENTIFIED BY '%s'" % word if word else ""
        lines.append("CREATE USER '%s'@'%%' %s;" % (user, how))
        lines.append("GRANT ALL ON %s.* TO '%s'@'%%';" % (DATABASE, user))
    return "\n".join(lines) + "\n"


class MariaDB:
    def __init__(self, tree, folder, name, options=(), bind="127.0.0.1"):
        self.name, self.folder = name, folder
        self.data = os.path.join(folder, name)
        shutil.copytree(tree.template, self.data)
        self.port = net.free_port()
        self.socket = os.path.join(folder, name + ".sock")
        self.log = os.path.join(folder, name + ".err")
        self.host = bind.split(",")[0]
        self.address = "tcp:%s:%d" % (self.host, self.port)
        init = os.path.join(folder, name + ".sql")
        with open(init, "w") as f:
            f.write(create_statements(name[0]))
        command = tree.command("usr/sbin/mariadbd", *server_trees.server_options(tree))
        command += ["--datadir=" + self.data, "--socket=" + self.socket,
                    "--port=%d" % self.port, "--bind-address=" + bind,
                    "--pid-file=" + os.path.join(folder, name + ".pid"), "--log-error=" + self.log,
                    "--init-file=" + init, "--plugin-load-add=auth_ed25519",
                    "--max-allowed-packet=64M", "--local-infile=1", "--character-set-server=utf8mb4",
                    "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0",
                    "--performance-schema=0", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=2M",
                    "--tmpdir=" + self.data,
                    # Otherwise the reply to a slow statement has the flag SERVER_QUERY_WAS_SLOW.
                    "--long-query-time=3600"]
        if not any(o.startswith("--max-connections") for o in options):
            command += ["--max-connections=1500", "--back-log=1500"]
        self.process = subprocess.Popen(command + list(options), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        preexec_fn=end_with_parent)

    def wait(self, seconds=60):
        def up():
            if self.process.poll() is not None:
                raise RuntimeError("MariaDB did not start:\n" + self.error_log()[-3000:])
            # The server runs the init file before it accepts connections.
            return "ready for connections" in self.error_log()
        net.until(up, seconds, lambda: "MariaDB is up:\n" + self.error_log()[-3000:])
        return self

    def error_log(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def admin(self, statement):
        """Runs a statement as root by the unix socket; returns rows of tuples."""
        import pymysql
        connection = pymysql.connect(unix_socket=self.socket, user="root")
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def status(self, name):
        return int(self.admin("SHOW GLOBAL STATUS LIKE '%s'" % name)[0][1])

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.data, ignore_errors=True)


class Servers:
    """The two servers A and B of a run, and more for tests that need their own."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "mariadb")
        os.mkdir(self.folder)
        self.tree = server_trees.tree("mariadb-bookworm")
        self.a = MariaDB(self.tree, self.folder, "A")
        self.b = MariaDB(self.tree, self.folder, "B")
        self.a.wait()
        self.b.wait()

    def own(self, context, options=(), bind="127.0.0.1", name="A"):
        """A server that ends with its test. It has the accounts of A or B."""
        server = MariaDB(self.tree, context.folder, "%s-own-%d" % (name, context.number()),
                         options, bind)
        context.keep(server)
        return server.wait()

    def close(self):
        self.a.close()
        self.b.close()

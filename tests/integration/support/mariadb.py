"""Real MariaDB servers: two that the whole run shares, and more for tests that need their own.

The users and their passwords are below; SECRETS is what must never be seen in a log.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile

from support import net
from support.build import program
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


def plugin_folder():
    """Where auth_ed25519.so is. Debian has it in mariadb-server, a package that also starts a server of
    the machine's own: it is unpacked beside the other things that tests keep, and not installed."""
    inside = "usr/lib/mysql/plugin"
    name = "auth_ed25519.so"
    if os.path.exists(os.path.join("/", inside, name)):
        return os.path.join("/", inside)
    cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                         "rum-tests")
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "mariadb-server-core"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    kept = os.path.join(cache, "mariadb-server-" + version.replace(":", "_"))
    if not os.path.exists(os.path.join(kept, inside, name)):
        os.makedirs(cache, exist_ok=True)
        fresh = tempfile.mkdtemp(prefix="mariadb-server.", dir=cache)
        try:
            for command in (["apt-get", "-q", "download", "mariadb-server=" + version],
                            ["sh", "-c", "dpkg-deb -x mariadb-server_*.deb tree"]):
                done = subprocess.run(command, cwd=fresh, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                if done.returncode:
                    raise RuntimeError("%s is not here, and mariadb-server %s cannot be unpacked:\n%s"
                                       % (name, version, done.stdout[-2000:]))
            try:
                os.rename(os.path.join(fresh, "tree"), kept)
            except OSError:  # another run was faster
                if not os.path.exists(os.path.join(kept, inside, name)):
                    raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return os.path.join(kept, inside)


class MariaDB:
    def __init__(self, template, folder, name, options=(), bind="127.0.0.1"):
        self.name, self.folder = name, folder
        self.data = os.path.join(folder, name)
        shutil.copytree(template, self.data)
        self.port = net.free_port()
        self.socket = os.path.join(folder, name + ".sock")
        self.log = os.path.join(folder, name + ".err")
        self.host = bind.split(",")[0]
        self.address = "tcp:%s:%d" % (self.host, self.port)
        init = os.path.join(folder, name + ".sql")
        with open(init, "w") as f:
            f.write(create_statements(name[0]))
        command = [program("mariadbd"), "--no-defaults", "--datadir=" + self.data,
                   "--socket=" + self.socket, "--port=%d" % self.port, "--bind-address=" + bind,
                   "--pid-file=" + os.path.join(folder, name + ".pid"), "--log-error=" + self.log,
                   "--init-file=" + init, "--plugin-dir=" + plugin_folder(),
                   "--plugin-load-add=auth_ed25519",
                   "--max-allowed-packet=64M", "--local-infile=1", "--character-set-server=utf8mb4",
                   "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0",
                   "--performance-schema=0", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=2M",
                   "--tmpdir=" + self.data,
                   # A statement that took long would carry the flag SERVER_QUERY_WAS_SLOW in its end.
                   "--long-query-time=3600"]
        if not any(o.startswith("--max-connections") for o in options):
            command += ["--max-connections=1500", "--back-log=1500"]
        if os.getuid() == 0:
            command.append("--user=root")
        self.process = subprocess.Popen(command + list(options), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        preexec_fn=end_with_parent)

    def wait(self, seconds=60):
        def up():
            if self.process.poll() is not None:
                raise RuntimeError("MariaDB did not start:\n" + self.error_log()[-3000:])
            # The init file is worked off before the server is ready for connections.
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
    """The two servers A and B of a run, and the template for further ones."""

    def __init__(self, folder):
        if not program("mariadbd") or not program("mariadb-install-db"):
            raise RuntimeError("no MariaDB server here (Debian: mariadb-server)")
        self.folder = os.path.join(folder, "mariadb")
        os.mkdir(self.folder)
        self.template = os.path.join(self.folder, "template")
        command = [program("mariadb-install-db"), "--no-defaults", "--datadir=" + self.template,
                   "--auth-root-authentication-method=normal", "--skip-test-db",
                   "--innodb-log-file-size=8M"]
        if os.getuid() == 0:
            command.append("--user=root")
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise RuntimeError("mariadb-install-db failed:\n" + done.stdout[-3000:])
        self.a = MariaDB(self.template, self.folder, "A")
        self.b = MariaDB(self.template, self.folder, "B")
        self.a.wait()
        self.b.wait()

    def own(self, context, options=(), bind="127.0.0.1", name="A"):
        """A server of a test, ended with it. It has the accounts of A or B."""
        server = MariaDB(self.template, context.folder, "%s-own-%d" % (name, context.number()),
                         options, bind)
        context.keep(server)
        return server.wait()

    def close(self):
        self.a.close()
        self.b.close()

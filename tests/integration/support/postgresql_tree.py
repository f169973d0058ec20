"""PostgreSQL of one Debian release in a tree of server_trees: its programs behind scripts, and a data
folder with the accounts of the tests.

Its programs look for each other beside themselves and refuse to serve as root, so each is a script
that calls the tree's own linker, and servers run as nobody, with root's way past file permissions.
"""

import base64
import glob
import hashlib
import hmac
import os
import shutil

from support import server_trees

# Counted up when trees are made in another way than before.
FORMAT = 1
NOBODY = 65534
DATABASE = "rumtest"

# A name is cut at 63 bytes.
LONG_USER = "long_" + "u" * 58
UTF8_USER = "žluťoučký"
# user -> (password, how it is stored, method in pg_hba.conf, options of the role)
ACCOUNTS = {
    "alice": ("Wonder-7Kd0q", "scram", "scram-sha-256", ""),
    "bob": ("Builder-e41Zz", "scram", "scram-sha-256", ""),
    "legacy": ("Mess4ge-6qDg5", "md5", "md5", ""),
    "clear": ("Readable-3vB8y", "scram", "password", ""),
    "trusted": ("", "none", "trust", ""),
    "certified": ("", "none", "cert", ""),
    "tlsonly": ("Requ1re-6hJ8s", "scram", "scram-sha-256", ""),
    "plainonly": ("Nev3r-2kV9x", "scram", "scram-sha-256", ""),
    "copier": ("Repl1ca-8tR4w", "scram", "scram-sha-256", "REPLICATION"),
    "boss": ("Super-5yU7n", "scram", "scram-sha-256", "SUPERUSER"),
    LONG_USER: ("Stretch-0oPq6", "scram", "scram-sha-256", ""),
    UTF8_USER: ("Kun-2mNv4", "scram", "scram-sha-256", ""),
}
# What pg_hba.conf names in another way than "host".
LINES = {"certified": "hostssl", "tlsonly": "hostssl", "plainonly": "hostnossl"}


def password(user):
    return ACCOUNTS[user][0]


def verifier(user):
    """As in pg_authid: the same on all servers, so that one is good for a map of many servers."""
    word, stored, _, _ = ACCOUNTS[user]
    if stored == "md5":
        return "md5" + hashlib.md5((word + user).encode()).hexdigest()
    if stored == "none":
        return ""
    salt, rounds = hashlib.sha256(user.encode()).digest()[:16], 4096
    salted = hashlib.pbkdf2_hmac("sha256", word.encode(), salt, rounds)

    def text(data):
        return base64.b64encode(data).decode()
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (rounds, text(salt), text(stored_key),
                                          text(hmac.digest(salted, b"Server Key", "sha256")))


def secrets():
    """What must never be seen in a log."""
    found = []
    for user, (word, stored, _, _) in ACCOUNTS.items():
        if word:
            found += [word, verifier(user)[3:] if stored == "md5" else
                      verifier(user).split("$")[2].split(":")[0]]
    return found


def hba():
    lines = ["local all all trust"]
    lines += ["%s all \"%s\" all %s" % (LINES.get(user, "host"), user, method)
              for user, (_, _, method, _) in ACCOUNTS.items()]
    lines += ["host replication copier,boss all scram-sha-256"]
    return "\n".join(lines) + "\n"


def statements():
    made = []
    for user, (_, _, _, options) in ACCOUNTS.items():
        secret = verifier(user)
        made.append('CREATE ROLE "%s" LOGIN %s %s' % (
            user, options, "PASSWORD '%s'" % secret if secret else ""))
    return made + ["CREATE DATABASE %s" % DATABASE]


TABLES = ["GRANT ALL ON SCHEMA public TO public",
          "CREATE TABLE word (id INT PRIMARY KEY, text VARCHAR(200))",
          "INSERT INTO word VALUES (1,'one'),(2,'two'),(3,'three')",
          "GRANT ALL ON word TO public"]


def recipe():
    """What else a tree is made of than its packages."""
    return repr((FORMAT, statements(), TABLES))


def unprivileged():
    """The words before a command that is not to run as root: nobody, who still passes all folders."""
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid=%d" % NOBODY, "--regid=%d" % NOBODY, "--clear-groups",
            "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override",
            "--bounding-set=-all,+dac_override", "--pdeathsig=KILL",
            # Without it access(2) does not count what the process may do beyond its user.
            "--securebits=+no_setuid_fixup"]


def give_away(folder):
    """Makes the folder the servers' own."""
    if os.getuid() != 0:
        return
    for top, folders, files in os.walk(folder):
        for name in folders + files:
            os.chown(os.path.join(top, name), NOBODY, NOBODY, follow_symlinks=False)
    os.chown(folder, NOBODY, NOBODY)


class PostgreSQLTree(server_trees.Programs):
    def __init__(self, name, folder):
        super().__init__(name, folder)
        self.version = int(name.rsplit("-", 1)[1])
        self.bin = self.path("usr/lib/postgresql/%d/bin" % self.version)
        self.template = os.path.join(folder, "data")

    def program(self, name):
        """The path of psql, pg_dump and so on, for use as it is."""
        return os.path.join(self.bin, name)

    # Making

    def fill(self):
        for path in glob.glob(self.path("usr/lib/postgresql/*/lib/bitcode")):
            shutil.rmtree(path)
        for name in os.listdir(self.bin):
            path = os.path.join(self.bin, name)
            with open(path, "rb") as f:
                if f.read(4) == b"\x7fELF":
                    self.wrap(path)
        os.mkdir(self.template)
        give_away(self.template)
        self._run(["initdb", "--pgdata=" + self.template, "--username=postgres", "--no-sync",
                   "--auth=trust", "--encoding=UTF8", "--locale=C", "--wal-segsize=1"])
        self._single("postgres", statements())
        self._single(DATABASE, TABLES)

    def wrap(self, path):
        """Puts a script in the place of a program, wherever that lies."""
        os.rename(path, path + ".elf")
        words = self.command(path + ".elf")
        words[1:1] = ["--argv0", path]
        with open(path, "w") as f:
            f.write('#!/bin/sh\nexec %s "$@"\n' % " ".join("'%s'" % word for word in words))
        os.chmod(path, 0o755)

    def _single(self, database, lines):
        self._run(["postgres", "--single", "-D", self.template, "-c", "fsync=off", "-c",
                   "exit_on_error=on", "-c", "log_min_messages=error", database],
                  input="".join(line + "\n" for line in lines).encode())

    def _run(self, command, **more):
        server_trees.call(self.name, [*unprivileged(), self.program(command[0]), *command[1:]],
                                 300, env=dict(os.environ, LC_ALL="C"), cwd="/", **more)

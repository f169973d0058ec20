"""What the tests of kept connections share: a server with accounts for them, a rum that keeps
connections, and a client by hand for every plugin that a password can be proved with here.
"""

import hashlib
import json
import os
import struct
import subprocess

from mysql_setup import front
from support import mariadb, mysql_wire as wire, net, newer_servers
from support.harness import test

OWN, OWN_WORD = "rum_kept", "Waiting-3hN8w"
WORD = "Leaver-6tR4e"
mariadb.SECRETS.extend([OWN_WORD, WORD])
MARIADB = ("mariadb-bookworm", "mariadb-trixie")
PARSE_ERROR, DENIED = 1064, 1045
TAIL = b"\x01\0\0\0\x01"  # what looks like COM_QUIT


def sha2_token(word, nonce):
    once = hashlib.sha256(word).digest()
    mask = hashlib.sha256(hashlib.sha256(once).digest() + nonce).digest()
    return bytes(a ^ b for a, b in zip(once, mask))


class Client(wire.Client):
    """A client that proves its password by mysql_native_password or caching_sha2_password."""

    def log_in(self, user, word=WORD, capabilities=wire.USUAL, **more):
        self.greet()
        self.send(wire.response(user, b"", capabilities, plugin="none_of_both", **more), 1)
        return self.prove(word)

    def prove(self, word):
        while True:
            answer = self.read()
            if answer[0] == 0xFF:
                raise wire.ServerError(answer)
            if answer[0] == 0xFE:
                name, _, nonce = answer[1:].partition(b"\0")
                by = wire.native_token if name == b"mysql_native_password" else (
                    lambda word, nonce: sha2_token(word.encode(), nonce))
                self.send(by(word, nonce[:20]))
            elif answer[0] == 0:
                self.ok = answer
                return self
            elif answer[:2] != b"\1\3":
                raise AssertionError("the server asks for more: %r" % answer[:40])

    def ask(self, text):
        """The first column of the first row, or None."""
        rows = self.query(text)
        return rows[0] if rows else None

    def rows(self, text):
        """All columns of all rows of a text result."""
        self.command(b"\x03" + text.encode())
        first = self.read()
        if first[0] == 0xFF:
            raise wire.ServerError(first)
        if first[0] == 0:
            return []
        for _ in range(first[0] + 1):
            self.read()
        found = []
        while True:
            payload = self.read()
            if payload[0] == 0xFE and len(payload) < 9:
                return found
            at, row = 0, []
            while at < len(payload):
                if payload[at] == 0xFB:
                    row.append(None)
                    at += 1
                else:
                    size, at = wire.read_lenenc(payload, at)
                    row.append(payload[at:at + size].decode("utf-8", "replace"))
                    at += size
            found.append(tuple(row))

    def try_query(self, text):
        """The error's number, 0: it went well."""
        try:
            self.query(text)
            return 0
        except wire.ServerError as e:
            return e.code

    def become(self, user, word=WORD, charset=45):
        self.command(b"\x11" + user.encode() + b"\0\0\0" + struct.pack("<H", charset) + b"none\0")
        return self.prove(word)


def prepare(kind, server):
    """The accounts: one of rum's own, one with all rights, two with few."""
    statements = ["CREATE USER %s@'%%' IDENTIFIED BY '%s'" % (OWN, OWN_WORD)]
    for user in ("boss", "leaver", "next"):
        statements += ["CREATE USER %s@'%%' IDENTIFIED BY '%s'" % (user, WORD),
                       "GRANT ALL ON %s.* TO %s@'%%'" % (mariadb.DATABASE, user)]
    statements += ["GRANT ALL ON *.* TO boss@'%' WITH GRANT OPTION",
                   "CREATE ROLE chief", "GRANT SELECT ON mysql.* TO chief", "GRANT chief TO leaver"]
    server.admin_all(statements)
    if kind == "mysql-sid":  # their plugin lets clients without TLS in when it knows the password
        for user, word in ((OWN, OWN_WORD), ("boss", WORD), ("leaver", WORD), ("next", WORD)):
            login(server, user, word)


def login(server, user, word):
    import pymysql
    pymysql.connect(unix_socket=server.socket, user=user, password=word).close()


def keeper(t, server, *arguments, most=8, idle="2s", workers=1, path=None, control=True,
           **more):
    """(rum, address) of a rum that keeps connections of this server."""
    word = t.path("own-password")
    if not os.path.exists(word):
        with open(os.open(word, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write(OWN_WORD + "\n")
    where = [] if server is None else ["-d", server.address]
    return front(t, path, *where, "--mysql-reuse", most, "--mysql-reuse-idle", idle,
                 "--mysql-reuse-user", OWN, "--mysql-reuse-password-file", word, "--workers", workers,
                 *(["--control", "sock:" + t.path("control")] if control else []),
                 *arguments, check_descriptors=False, **more)


def ctl(t, *words):
    done = subprocess.run([t.run.build.rumctl, "-s", t.path("control"), *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return done.stdout


def sessions(t):
    return json.loads(ctl(t, "--json", "sessions"))["sessions"]


def kept(rum):
    return rum.stats()["upstream"]["kept"]


def wait_kept(rum, number, seconds=10):
    net.until(lambda: kept(rum) == number, seconds * rum.context.scale,
              lambda: "%d connections are kept, not %d:\n%s" % (kept(rum), number,
                                                               rum.log()[-2000:]))


def counts(rum):
    """(kept, not clean, reused) since the start."""
    metrics = rum.metrics()
    return tuple(int(metrics["rum_mysql_%s_total" % name])
                 for name in ("kept_connections", "not_clean", "reused_logins"))


def own(t, kind, **more):
    server = t.run.newer[kind].own(t, **more)
    prepare(kind, server)
    return server


KINDS = newer_servers.KINDS


def each_kind(name, kinds=KINDS, **more):
    """A test for every kind of servers, which the function gets."""
    def mark(function):
        for kind in kinds:
            test("%s (%s)" % (name, kind), needs=("mysql.so", kind), **more)(
                lambda t, kind=kind: function(t, kind))
        return function
    return mark

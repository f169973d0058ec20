"""Servers of several releases of PostgreSQL: that each is up, with its accounts and its ways to log
in, so that tests which refuse something refuse it for the reason they name."""

import os
import subprocess

from support import postgresql
from support.harness import check, end_with_parent, has, same, test


def log_in(t, kind, server, user, word, sslmode="disable", **more):
    """What psql of the same release says, straight to the server."""
    env = dict(os.environ, PGPASSWORD=word, PGSSLMODE=sslmode, PGCONNECT_TIMEOUT="10",
               PGSSLROOTCERT=kind.authority.certificate, HOME=t.folder)
    env.update(more)
    done = subprocess.run(
        [kind.tree.program("psql"), "-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(server.port), "-U",
         user, "-d", postgresql.DATABASE, "-c", "SELECT session_user, text FROM word WHERE id = 2"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env,
        timeout=30 * t.scale, preexec_fn=end_with_parent)
    return done.stdout.strip()


def kind_is_up(t, name):
    kind = t.run.postgresql[name]
    version, = kind.plain.admin("SHOW server_version_num")[0]
    same(int(version) // 10000, kind.tree.version)
    for server, tls in ((kind.plain, "off"), (kind.tls, "on"), (kind.other, "on")):
        same(server.admin("SHOW ssl"), [(tls,)])
        have = {user for user, in server.admin("SELECT rolname FROM pg_roles")}
        same(set(postgresql.ACCOUNTS) - have, set(), "accounts that are missing")


def accounts_log_in(t, name):
    kind = t.run.postgresql[name]
    certificate, key = kind.client_certificate
    own = {"PGSSLCERT": certificate, "PGSSLKEY": key}
    for user in postgresql.ACCOUNTS:
        word, good = postgresql.password(user), "%s|two" % user
        if user not in ("tlsonly", "certified"):
            same(log_in(t, kind, kind.plain, user, word), good)
        if user != "plainonly":
            for server in (kind.tls, kind.other):
                same(log_in(t, kind, server, user, word, "verify-full", **own), good)
        if word:
            has(log_in(t, kind, kind.tls, user, "wrong", "require"),
                "no pg_hba.conf entry" if user == "plainonly" else "authentication failed")
    has(log_in(t, kind, kind.plain, "tlsonly", postgresql.password("tlsonly")), "no pg_hba.conf entry")
    has(log_in(t, kind, kind.tls, "certified", "", "require"), "certificate")
    has(log_in(t, kind, kind.tls, "alice", "Wonder-7Kd0q", "verify-full", PGSSLROOTCERT=certificate),
        "certificate verify failed")


def stored_as_meant(t, name):
    """The verifiers of the map are those of the server."""
    stored = dict(t.run.postgresql[name].plain.admin(
        "SELECT rolname, coalesce(rolpassword, '') FROM pg_authid"))
    for user in postgresql.ACCOUNTS:
        same(stored[user], postgresql.verifier(user), user)


def own_servers(t, name):
    kind = t.run.postgresql[name]
    server = kind.own(t, tls=True, settings={"max_connections": 7, "log_connections": "on"},
                      hba="host all bob all reject\n")
    same(server.admin("SHOW max_connections"), [("7",)])
    has(log_in(t, kind, server, "bob", postgresql.password("bob")), "pg_hba.conf rejects connection")
    same(log_in(t, kind, server, "alice", postgresql.password("alice"), "require"), "alice|two")
    has(server.error_log(), "connection authorized: user=alice")
    server.stop()
    check("refused" in log_in(t, kind, server, "alice", ""), "it is down")
    server.start().wait()
    same(log_in(t, kind, server, "alice", postgresql.password("alice")), "alice|two")


for kind_name in postgresql.KINDS:
    for title, function in (
            ("The servers of %s are up and know their accounts", kind_is_up),
            ("The accounts of %s log in as pg_hba.conf says", accounts_log_in),
            ("%s stores what the map of the tests has", stored_as_meant),
            ("A test can have %s with settings of its own, and restart it", own_servers)):
        test(title % kind_name, needs=kind_name)(
            lambda t, function=function, kind=kind_name: function(t, kind))

"""pgsql.so: which server a client is sent to, by user, database, both, and the server name of TLS."""

import subprocess

from pgsql_setup import NEEDS, PG15, Front, any_certificate, build_map, stored
from support import postgresql
from support.harness import check, end_with_parent, has, same, test
from support.pgsql_wire import Client, Refused, startup
from support.rum import run_once
from test_redirect import tcp

OFF = ("--pgsql-upstream-tls", "off")


def servers(t):
    """Two servers that say who they are."""
    kind = t.run.postgresql[PG15]
    return kind, kind.plain, kind.other


def where(front, user, tls=False, name=None, **more):
    """The port of the server that the client has reached, or the error."""
    client = front.client()
    if tls:
        client.start_tls(any_certificate(), name)
    try:
        client.log_in(user, postgresql.password(user), **more)
    except Refused as e:
        return e.code
    return int(client.ask("SHOW port")[0])


@test("The user is the key, * is for the others, and -d for those that have no record", needs=NEEDS)
def _(t):
    _, one, two = servers(t)
    rum = Front(t, map=["alice - " + one.address, "* - " + two.address])
    same([where(rum, user) for user in ("alice", "bob")], [one.port, two.port])
    rum = Front(t, map=["alice - " + one.address], default=two)
    same([where(rum, user) for user in ("alice", "bob")], [one.port, two.port])
    rum = Front(t, map=["alice - " + one.address])
    same([where(rum, user) for user in ("alice", "bob")], [one.port, "28P01"])
    same(rum.rum.session()["reason"], "no_destination")


@test("A map under the name that version 6.7 gave it needs no -P", needs=NEEDS)
def _(t):
    _, one, _ = servers(t)
    here = tcp()
    t.rum("-s", here, "--postgresql-cdb", build_map(t, ["alice - " + one.address]))
    client = Client(here)
    client.log_in("alice", postgresql.password("alice"))
    same(int(client.ask("SHOW port")[0]), one.port)
    client.close()


@test("The database can be the key, and is the user's name if it is not said", needs=NEEDS)
def _(t):
    _, one, two = servers(t)
    rum = Front(t, "--pgsql-key", "database",
                map=["rumtest - " + one.address, "postgres - " + two.address,
                     "alice - tcp:127.0.0.1:1"])
    same([where(rum, "alice", database=name) for name in ("rumtest", "postgres", "other")],
         [one.port, two.port, "28P01"])
    error = rum.client().send(startup({"user": "alice"})).refusal()
    same(error.code, "57P03", "to alice's server, which is down")
    rum.rum.wait_sessions(2)
    check(("alice", "alice") in {(r["user"], r["role"]) for r in rum.rum.sessions()},
          "the log names the key, and the role")


@test("User and database together are the key, and fall back to one of them", needs=NEEDS)
def _(t):
    _, one, two = servers(t)
    nowhere = "tcp:127.0.0.1:1"
    rum = Front(t, "--pgsql-key", "user@database",
                map=["alice@rumtest %s %s" % (postgresql.verifier("alice"), one.address),
                     "bob@* - " + two.address, "*@rumtest - " + nowhere, "* - " + one.address])
    same(where(rum, "alice"), one.port)
    same(where(rum, "bob"), two.port)
    same(where(rum, "legacy"), "57P03")
    same(where(rum, "legacy", database="postgres"), one.port)
    same(rum.rum.metric("rum_pgsql_stored_logins_total"), 1)


@test("The server name of TLS leads to records of its own, and clients without one go on", needs=NEEDS)
def _(t):
    kind, one, two = servers(t)
    rum = Front(t, "--pgsql-sni", *OFF, tls=kind.certificate,
                map=["one.example/* - " + one.address, "two.example/alice - " + two.address,
                     "alice - " + one.address])
    same(where(rum, "alice", True, "one.example"), one.port)
    same(where(rum, "bob", True, "ONE.example"), one.port)
    same(where(rum, "alice", True, "two.example"), two.port)
    same(where(rum, "bob", True, "two.example"), "28P01")
    same(where(rum, "alice", True, "three.example"), one.port)
    same(where(rum, "alice"), one.port)


@test("Replication goes to the server of the user, whatever the key", needs=NEEDS)
def _(t):
    kind, one, two = servers(t)
    rum = Front(t, "--pgsql-key", "database",
                map=["copier - " + one.address, "replication - tcp:127.0.0.1:1",
                     "rumtest - " + two.address])
    done = subprocess.run(
        [kind.tree.program("pg_basebackup"), "-h", "127.0.0.1", "-p", rum.here.rsplit(":", 1)[1],
         "-U", "copier", "-D", t.path("copy"), "-X", "stream", "-c", "fast"],
        env={"PGPASSWORD": postgresql.password("copier"), "PGSSLMODE": "disable", "PATH": "/usr/bin"},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=50 * t.scale, preexec_fn=end_with_parent)
    same((done.returncode, done.stdout), (0, ""))
    # One of a database is of that database.
    same(where(rum, "copier", parameters=[("replication", "database")]), two.port)


@test("Rules and limits of the record hold, and rules look like a wrong password", needs=NEEDS)
def _(t):
    _, one, _ = servers(t)
    rum = Front(t, map=["alice - %s max=1" % one.address, "bob - %s allow=192.0.2.1" % one.address,
                        stored("legacy", one, "disabled"),
                        "clear - %s disabled=back\\sat\\s14:00" % one.address])
    held = rum.log_in("alice")
    same(where(rum, "alice"), "53300")
    held.close()
    same(where(rum, "bob"), "28P01")
    same(where(rum, "legacy"), "28P01")
    same(where(rum, "clear"), "57P03")
    rum.rum.wait_sessions(5)
    same(where(rum, "alice"), one.port)


@test("--explain says where a name goes, by which record, and who checks the password", needs=NEEDS)
def _(t):
    kind, one, _ = servers(t)
    path = build_map(t, [stored("alice", one), "* - " + one.address])
    for name, record, auth in (("alice", "alice", "stored"), ("bob", "*", "relay")):
        code, out, err = run_once(t, "-P", "pgsql.so", "-M", path, "--explain", name)
        same(code, 0, err)
        has(out, one.address[4:])
        has(out, "record")
        has(out, record)
        has(out, auth)
    check(postgresql.verifier("alice")[20:40] not in out + err, "no verifier is shown")

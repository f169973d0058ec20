"""pgsql.so: how clients prove their password, to the server or to rum, and what a refused one hears."""

import contextlib
import os
import signal
import subprocess

from pgsql_setup import NEEDS, PG15, Front, psql, stored
from support import postgresql
from support.harness import check, has, same, test
from support.net import until
from support.pgsql_wire import Refused, message, startup

PLAIN = ("--pgsql-upstream-tls", "off")


def refused(function, *arguments, **more):
    try:
        function(*arguments, **more)
    except Refused as e:
        return e
    raise AssertionError("the login was not refused")


@test("Trust, MD5 and SCRAM are passed on, on plain links and on one by TLS to the server", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    for server in (kind.plain, kind.tls):
        rum = Front(t, default=server)
        for user in ("alice", "legacy", "trusted"):
            same(rum.log_in(user).ask("SELECT session_user"), [user])
            same(psql(t, kind, rum.here, user), (0, user))
            if user != "trusted":
                same(refused(rum.log_in, user, word="wrong").code, "28P01")
        counts = {name: rum.rum.metric("rum_pgsql_%s_logins_total" % name)
                  for name in ("trust", "md5", "scram", "scram_plus", "stored")}
        same(counts, {"trust": 2, "md5": 2, "scram": 2, "scram_plus": 0, "stored": 0})
        same(rum.rum.metric("rum_pgsql_server_denials_total"), 2)


@test("A client without TLS is not offered channel binding by a server with TLS", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, default=kind.other)
    client = rum.log_in("alice")
    same(client.mechanisms, ["SCRAM-SHA-256"])
    same(client.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), ["t"])


@test("With the server's certificate on rum, channel binding goes through", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, default=kind.tls, tls=kind.certificate)
    for bind in (None, "p"):
        client = rum.log_in("alice", tls=True, bind=bind)
        same(client.mechanisms, ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])
    same(psql(t, kind, rum.here, "alice", sslmode="require", PGCHANNELBINDING="require"), (0, "alice"))
    same(rum.rum.metric("rum_pgsql_scram_plus_logins_total"), 2)


@test("A client that came by TLS never ends on a plain link, unless that is chosen", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, default=kind.plain, tls=kind.certificate)
    error = refused(rum.log_in, "alice", tls=True)
    same(error.code, "57P03", "libpq does not fall back to a plain connection at that")
    has(error.text, "TLS")
    code, text = psql(t, kind, rum.here, "alice", sslmode="prefer")
    same(code, 2)
    has(text, "no TLS")
    has(rum.rum.session()["detail"], "--pgsql-upstream-tls off")
    same(psql(t, kind, rum.here, "alice"), (0, "alice"), "a client without TLS goes on without")
    chosen = Front(t, *PLAIN, default=kind.plain, tls=kind.certificate)
    same(psql(t, kind, chosen.here, "alice", sslmode="require"), (0, "alice"))
    same(chosen.log_in("alice", tls=True, bind="y").mechanisms, ["SCRAM-SHA-256"])


@test("A password in clear text goes to no server without TLS, unless that is chosen", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, default=kind.plain)
    client = rum.client().send(startup({"user": "clear", "database": "rumtest"}))
    error = client.refusal()  # it was not even asked for
    same(error.code, "28000")
    has(error.text, "clear text")
    has(rum.rum.session()["detail"], "--pgsql-clear-text allow")
    same(rum.rum.metric("rum_pgsql_refused_clear_text_total"), 1)
    for front in (Front(t, default=kind.tls),
                  Front(t, "--pgsql-clear-text", "allow", default=kind.plain),
                  Front(t, default=kind.tls, tls=kind.other_certificate)):
        client = front.log_in("clear", tls=front.rum.arguments.count("--tls-cert") > 0)
        same(client.ask("SELECT session_user"), ["clear"])
        same(refused(front.log_in, "clear", word="wrong").code, "28P01")
        same(front.rum.metric("rum_pgsql_password_logins_total"), 1)


@test("A server behind a socket that trusts rum's system user lets nobody in", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, default=kind.plain.socket)
    same(refused(rum.log_in, "boss").code, "28P01")
    has(rum.rum.session()["detail"], "--pgsql-socket-trust allow")
    same(kind.plain.sessions("boss"), 0)
    allowed = Front(t, "--pgsql-socket-trust", "allow", default=kind.plain.socket)
    same(allowed.log_in("trusted").ask("SELECT session_user"), ["trusted"])


@test("The server's errors reach the client, but for what they say of rum's own link", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, default=kind.plain)
    same(refused(rum.log_in, "alice", database="nowhere").code, "3D000")
    same(refused(rum.log_in, "alice", parameters=[("no_such_setting", "1")]).code, "42704")
    error = refused(rum.log_in, "tlsonly")
    same(error.code, "28000")
    check("127.0.0.1" not in error.text and "encryption" not in error.text, error.text)
    same(refused(rum.log_in, "stranger", word="x").code, "28000", "nobody has an entry for it")


@test("What cannot be reached is 57P03, and each end before the login is an error", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    same(refused(Front(t, default="tcp:127.0.0.1:1").log_in, "alice").code, "57P03")
    full = kind.own(t, settings={"max_connections": 3, "superuser_reserved_connections": 0,
                                 "max_wal_senders": 0})
    rum = Front(t, default=full)
    held = [rum.log_in("alice") for _ in range(3)]
    same(refused(rum.log_in, "alice").code, "53300")
    same(len(held), 3)
    # The server stops without a word in the middle of a login.
    dying = kind.own(t)
    rum = Front(t, default=dying)
    client = rum.client().send(startup({"user": "alice", "database": "rumtest"}))
    same(client.read_message()[0], "R")
    for pid in subprocess.run(["pgrep", "-P", str(dying.process.pid)], stdout=subprocess.PIPE,
                              text=True).stdout.split():
        with contextlib.suppress(ProcessLookupError):  # the server ends some itself when one has died
            os.kill(int(pid), signal.SIGKILL)
    dying.process.kill()
    same(client.refusal().code, "57P03")


@test("A login that takes too long hears why", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    server = kind.own(t)  # other tests have sessions of the same role on the shared ones
    rum = Front(t, "--login-timeout", "1s", default=server)
    client = rum.client().send(startup({"user": "alice", "database": "rumtest"}))
    same(client.read_message()[0], "R")
    same(client.refusal().code, "08006")
    until(lambda: server.sessions("alice") == 0, 10, lambda: "its connection is closed")


@test("What is no answer is refused by rum, and the server's log has no line of it", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    server = kind.own(t)
    rum = Front(t, default=server)
    before = server.error_log()
    client = rum.client().send(startup({"user": "alice", "database": "rumtest"}))
    same(client.read_message()[0], "R")
    client.send(message("Q", b"SELECT 1\0"))
    same(client.refusal().code, "08P01")
    client = rum.client().send(startup({"user": "alice", "database": "rumtest"}))
    same(client.read_message()[0], "R")
    client.send(message("X"))
    check(client.at_end(), "a goodbye is the end")
    rum.rum.wait_sessions(2)
    same(server.error_log(), before)


@test("Passwords are checked by the map, and a wrong one reaches no server", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    server = kind.own(t)
    for server, front in ((server, None), (kind.other, kind.certificate)):
        rum = Front(t, map=[stored(user, server) for user in ("alice", "legacy")], tls=front)
        for user in ("alice", "legacy"):
            before = server.error_log()
            error = refused(rum.log_in, user, tls=bool(front), word="wrong")
            same((error.code, error.text),
                 ("28P01", 'password authentication failed for user "%s"' % user))
            same(server.error_log(), before)
            same(rum.log_in(user, tls=bool(front)).ask("SELECT session_user"), [user])
        same(rum.rum.metric("rum_pgsql_wrong_passwords_total"), 2)
        same(rum.rum.metric("rum_pgsql_stored_logins_total"), 2)
        mode = "require" if front else "disable"
        same(psql(t, kind, rum.here, "alice", sslmode=mode), (0, "alice"))


@test("A name that nobody has hears what a wrong password hears", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, "--pgsql-unknown-user", "deny", map=[stored("alice", kind.plain)],
                default=kind.plain)
    seen = []
    for user in ("alice", "nobody_at_all", "nobody_at_all"):
        client = rum.client().send(startup({"user": user, "database": "rumtest"}))
        salts = []
        client._sasl, read = None, client._sasl

        def spy(code):
            body = read(code)
            salts.append(body.split(b",s=")[1] if code == 11 else b"")
            return body
        client._sasl = spy
        error = refused(client.authenticate, user, "wrong")
        seen.append((error.code, error.text.replace(user, "X"), client.mechanisms, salts))
    same(seen[0][:3], seen[1][:3])
    same(len(seen[0][3][0]), len(seen[1][3][0]), "salts and rounds look alike")
    same(seen[1], seen[2], "the salt of a name stays")
    same(rum.rum.metric("rum_pgsql_unknown_users_total"), 2)
    same(kind.plain.sessions("nobody_at_all"), 0)


@test("A server that has another verifier than the map is told apart from a wrong password",
      needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    other = kind.own(t)
    other.admin("ALTER ROLE alice PASSWORD 'Another-7Kd0q'")
    rum = Front(t, map=[stored("alice", other)])
    same(refused(rum.log_in, "alice").code, "57P03")
    has(rum.rum.session()["detail"], "verifier")
    same(rum.rum.metric("rum_pgsql_other_verifiers_total"), 1)
    relay = Front(t, "--pgsql-auth", "relay", map=[stored("alice", other)])
    same(relay.log_in("alice", word="Another-7Kd0q").ask("SELECT 1"), ["1"])


@test("rum answers newer versions itself where it checks the password", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, map=[stored("alice", kind.plain)])
    client = rum.log_in("alice", version=0x30002, parameters=[("_pq_.test", "1")])
    same(client.version, 0x30000)
    same(client.ask("SELECT 1"), ["1"])
    same(rum.log_in("alice").version, None, "not where nobody asked for more")


@test("The client's address can be told by application_name", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, "--pgsql-app-name-address", default=kind.plain)
    ask = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
    client = rum.log_in("alice", parameters=[("Application_Name", "shop")])
    address = "%s:%d" % client.socket.getsockname()
    same(client.ask(ask), ["shop - " + address])
    client = rum.log_in("alice", parameters=[("application_name", "s" * 80)])
    address = "%s:%d" % client.socket.getsockname()
    same(client.ask(ask), ["s" * (60 - len(address)) + " - " + address])
    client = rum.log_in("alice")
    same(client.ask(ask), ["%s:%d" % client.socket.getsockname()])

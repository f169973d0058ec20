"""pgsql.so: cancel requests reach the server of their session, and no other."""

import signal
import subprocess
import threading

from pgsql_setup import NEEDS, PG15, Front, any_certificate
from support import postgresql
from support.harness import check, end_with_parent, has, same, test
from support.net import until
from support.pgsql_wire import Refused, query, send_cancel

OFF = ("--pgsql-upstream-tls", "off")


def sleeps(client):
    """The session runs a query that only a cancel ends soon; one that comes earlier finds nothing."""
    client.send(query("DO $$ BEGIN RAISE NOTICE 'begun'; PERFORM pg_sleep(60); END $$"))
    client.until("N")
    return client


def is_cancelled(client):
    try:
        client.until("Z")
    except Refused as e:
        same(e.code, "57014")
        client.until("Z")
        return True
    return False


@test("A cancel reaches the right server, from plain clients and by TLS", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, map=["alice - " + kind.plain.address, "bob - " + kind.other.address],
                tls=kind.certificate, *OFF)
    for user in ("alice", "bob"):
        for tls in (False, True):
            for context in (None, any_certificate()):
                client = sleeps(rum.log_in(user, tls=tls))
                check(send_cancel(rum.here, client.key, context), "the cancel ends in order")
                check(is_cancelled(client), "the query is cancelled")
    same(rum.rum.metric("rum_pgsql_cancels_total"), 8)
    records = [r for r in rum.rum.sessions() if r.get("request") == "cancel"]
    same({r["reason"] for r in records}, {"upstream_closed"})


@test("A cancel of a session with TLS to its server goes there by TLS", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    server = kind.own(t, tls=True, settings={"log_connections": "on"})
    rum = Front(t, default=server)
    client = sleeps(rum.log_in("alice"))
    check(send_cancel(rum.here, client.key), "the cancel ends in order")
    check(is_cancelled(client), "the query is cancelled")
    check("could not accept SSL" not in server.error_log(), server.error_log())


@test("psql's Ctrl-C cancels, by each of the ways", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, *OFF, default=kind.plain, tls=kind.certificate)
    for mode in ("disable", "require"):
        process = subprocess.Popen(
            [kind.tree.program("psql"), "-X", "-h", "127.0.0.1", "-p", rum.here.rsplit(":", 1)[1],
             "-U", "alice", "-d", "rumtest", "-c", "SELECT pg_sleep(50)"],
            env={"PGPASSWORD": postgresql.password("alice"), "PGSSLMODE": mode, "PATH": "/usr/bin"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=end_with_parent)
        until(lambda: kind.plain.admin("SELECT count(*) FROM pg_stat_activity WHERE query ="
                                       " 'SELECT pg_sleep(50)'") == [("1",)], 20 * t.scale,
              lambda: "the query runs")
        process.send_signal(signal.SIGINT)
        has(process.communicate(timeout=20)[0], "canceling statement due to user request")


@test("Unknown keys reach no server, and a key is one only for as long as its session lives",
      needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    server = kind.own(t)
    rum = Front(t, default=server)
    client = sleeps(rum.log_in("alice"))
    before = server.error_log()
    key = client.key
    for bad in (key[:4] + bytes(4), bytes(4) + key[4:], key + b"\0", key[:-1], b"", key + bytes(252),
                bytes(300)):
        check(send_cancel(rum.here, bad), "the cancel ends in order")
    records = rum.rum.wait_sessions(7)
    same({r.get("upstream") for r in records}, {None})
    same(rum.rum.metric("rum_pgsql_unknown_cancels_total"), 4)
    same(server.error_log(), before)
    check(send_cancel(rum.here, key), "the cancel ends in order")
    check(is_cancelled(client), "the query is cancelled")
    client.close()
    rum.rum.wait_sessions(9)
    check(send_cancel(rum.here, key), "the cancel ends in order")
    same(rum.rum.metric("rum_pgsql_unknown_cancels_total"), 5)
    text = rum.rum.log()
    check(key[4:].hex() not in text.lower(), "the key stands in no log")


@test("A cancel is no login, for the user's limits neither", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, map=["alice - %s max=1" % kind.plain.address])
    client = sleeps(rum.log_in("alice"))
    check(send_cancel(rum.here, client.key), "the cancel ends in order")
    check(is_cancelled(client), "the query is cancelled")
    rum.rum.wait_sessions(1)
    same(client.ask("SELECT 1"), ["1"])


@test("Cancels reach sessions of another process, before and after a hand-over", needs=NEEDS,
      seconds=240)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, "--workers", "2", default=kind.plain, check_descriptors=False)
    clients = [rum.log_in("alice") for _ in range(20)]
    for round_ in range(50):
        if round_ == 25:
            old = rum.rum.hand_over()
            check(old.poll() is None, "the old process lives on for its sessions")
            # The first ten stay with the old process; the others are the new one's.
            for client in clients[10:]:
                client.close()
            clients[10:] = [rum.log_in("alice") for _ in range(10)]
        for client in clients:
            sleeps(client)
        done = []
        threads = [threading.Thread(target=lambda c=client: done.append(send_cancel(rum.here, c.key)))
                   for client in clients]
        for thread in threads:
            thread.start()
        for client in clients:
            check(is_cancelled(client), "each query is cancelled, round %d" % round_)
        for thread in threads:
            thread.join()
        same(done, [True] * len(clients), "each cancel ends in order")
    for client in clients:
        client.close()


@test("One address has no more than some cancels under way, and the others wait for their turn",
      needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, "--workers", "1", default=kind.plain)
    client = rum.log_in("alice")
    results = []
    threads = [threading.Thread(target=lambda: results.append(send_cancel(rum.here, client.key)))
               for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(results, [True] * 60)
    same(rum.rum.metric("rum_pgsql_refused_cancels_total"), 0)
    same(rum.rum.metric("rum_pgsql_cancels_total"), 60)

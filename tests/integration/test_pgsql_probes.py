"""pgsql.so: health checks, the warnings of the start, and clients that rum refuses at the door."""

from pgsql_setup import NEEDS, PG15, Front, psql
from support import postgresql
from support.certificates import openssl
from support.harness import check, has, same, test
from support.net import until
from support.pgsql_wire import Client, startup
from support.rum import run_once
from test_redirect import tcp


@test("Health checks leave no line in a server's log, by TCP, TLS and socket", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    plain, tls = kind.own(t, hba="host all all all scram-sha-256\n"), kind.own(
        t, tls=True, hba="host all all all scram-sha-256\n")
    before = plain.error_log(), tls.error_log()
    rum = Front(t, "-d", plain.address, "-d", tls.address, "-d", plain.socket, "--health-check", "300ms")
    until(lambda: rum.rum.metric("rum_health_checks_total") >= 9, 20 * t.scale,
          lambda: "there were checks: %s" % rum.rum.get("/metrics")[2].decode())
    same((plain.error_log(), tls.error_log()), before)
    same(rum.rum.log().count("down"), 0, rum.rum.log())


@test("A health check finds a server that starts up, or is full", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    full = kind.own(t, hba="host all all all scram-sha-256\n",
                    settings={"max_connections": 3, "superuser_reserved_connections": 0,
                              "max_wal_senders": 0})
    held = [t.keep(Client(full.address)) for _ in range(3)]
    for client in held:
        client.log_in("alice", postgresql.password("alice"))
    rum = Front(t, "--health-check", "300ms", default=full)
    rum.rum.wait_log("53300", 20)
    for client in held:
        client.close()
    rum.rum.wait_log(" is up", 20)


@test("With TLS on both links, rum warns of certificates that break channel binding", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    hba = "host all all all scram-sha-256\n"
    other = kind.own(t, tls=kind.other_certificate, hba=hba)
    same_one = kind.own(t, tls=True, hba=hba)
    rum = Front(t, "-d", other.address, "-d", same_one.address, "--health-check", "300ms",
                tls=kind.certificate)
    rum.rum.wait_log("the server's certificate is another than rum's", 20)
    until(lambda: rum.rum.metric("rum_health_checks_total") >= 6, 20 * t.scale, lambda: "more checks")
    warnings = [r["message"] for r in rum.rum.records() if "SCRAM-SHA-256-PLUS" in r.get("message", "")]
    same(len(warnings), 1, warnings)
    has(warnings[0], other.address)
    # Nothing can be bound to a signature of Ed25519, whatever the server has.
    key, certificate = t.path("ed.key"), t.path("ed.pem")
    openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=localhost", "-days", "2",
            "-keyout", key, "-out", certificate)
    rum = Front(t, "--health-check", "300ms", default=same_one, tls=(certificate, key))
    rum.rum.wait_log("Ed25519", 20)


@test("A client that binds to another certificate hears why, and does not fall back to clear text",
      needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, default=kind.other, tls=kind.certificate)
    for mode in ("prefer", "require"):
        code, text = psql(t, kind, rum.here, "alice", sslmode=mode)
        same(code, 2, text)
        has(text, "channel binding is not possible")
    same(psql(t, kind, rum.here, "alice", sslmode="require", PGCHANNELBINDING="disable"), (0, "alice"))
    same(rum.rum.metric("rum_pgsql_other_certificates_total"), 2)


@test("A client that rum refuses at the door hears it after TLS and its Startup", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, "--max-connections", "1", default=kind.tls, tls=kind.certificate)
    held = rum.log_in("alice")
    for mode in ("disable", "prefer", "require"):
        code, text = psql(t, kind, rum.here, "alice", sslmode=mode)
        same(code, 2, text)
        has(text, "too many connections")
    same(rum.client().send(startup({"user": "alice"})).refusal().code, "53300")
    same(rum.client(tls=True).send(startup({"user": "alice"})).refusal().code, "53300")
    same(held.ask("SELECT 1"), ["1"])


@test("--send-proxy is refused at the start, since servers have no PROXY protocol", needs="pgsql.so")
def _(t):
    code, out, err = run_once(t, "-s", tcp(), "-P", "pgsql.so", "-d", "tcp:127.0.0.1:1", "--send-proxy",
                              "v2", "--check")
    check(code != 0, out)
    has(out + err, "--send-proxy")
    has(out + err, "no PROXY protocol")

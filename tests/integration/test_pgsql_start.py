"""pgsql.so: what clients begin with, and that a login passes whatever the form of its first packets."""

import ssl

from pgsql_setup import NEEDS, PG15, Front, any_certificate, psql
from support import postgresql
from support.harness import check, has, same, test
from support.pgsql_wire import (GSS_REQUEST, SSL_REQUEST, V3_2, Client, Refused, first, query, startup)
from test_redirect import tcp


def front(t, *options, **more):
    kind = t.run.postgresql[PG15]
    return kind, Front(t, *options, default=kind.plain, **more)


@test("A login by psql and by a raw client reaches the server", needs=NEEDS)
def _(t):
    kind, rum = front(t)
    same(psql(t, kind, rum.here, "alice"), (0, "alice"))
    same(rum.log_in("alice").ask("SELECT session_user || '@' || current_database()"),
         ["alice@rumtest"])
    record = rum.rum.session()
    same(record["user"], "alice")
    same(record["reason"], "client_closed")


@test("A Startup may come in any pieces, and what is behind it reaches the server", needs=NEEDS)
def _(t):
    _, rum = front(t)
    client = rum.client()
    for byte in startup({"user": "trusted", "database": "rumtest"}):
        client.send(bytes([byte]))
    client.authenticate("trusted", "")
    same(client.enter().ask("SELECT 1"), ["1"])
    # The query comes before the server was even connected to.
    client = rum.client()
    client.send(startup({"user": "trusted", "database": "rumtest"}) + query("SELECT 'early'"))
    client.authenticate("trusted", "")
    client.enter()
    rows = [body for kind, body in client.until("Z") if kind == "D"]
    check(rows and rows[0].endswith(b"early"), "the query in one segment with the Startup: %r" % rows)


@test("GSSENCRequest and SSLRequest are answered with N, and the login goes on", needs=NEEDS)
def _(t):
    _, rum = front(t)
    client = rum.client()
    for request in (GSS_REQUEST, SSL_REQUEST):
        same(client.send(request).read(1), b"N")
    same(client.log_in("alice", postgresql.password("alice")).ask("SELECT 1"), ["1"])
    # All in one segment.
    client = rum.client()
    client.send(GSS_REQUEST + SSL_REQUEST + startup({"user": "trusted", "database": "rumtest"}))
    same(client.read(2), b"NN")
    client.authenticate("trusted", "")
    same(client.enter().ask("SELECT 1"), ["1"])


@test("The same request twice is refused as a server refuses it", needs=NEEDS)
def _(t):
    _, rum = front(t, tls=t.run.postgresql[PG15].certificate)
    client = rum.client()
    same(client.send(GSS_REQUEST).read(1), b"N")
    refused = client.send(GSS_REQUEST).refusal()
    same(refused.code, "0A000")
    has(refused.text, "1234.5680")
    for request, code in ((GSS_REQUEST, "1234.5680"), (SSL_REQUEST, "1234.5679")):
        refused = rum.client(tls=True).send(request).refusal()
        same(refused.code, "0A000")
        has(refused.text, code)


@test("What is not PostgreSQL's protocol is closed without an answer, as by a server", needs=NEEDS)
def _(t):
    _, rum = front(t)
    for bad in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0\0\0\7\0\3\0\0", b"\0\0\x27\x15\0\3\0\0",
                b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"):
        same(rum.client().send(bad).at_end(), True, repr(bad))
    # The longest that a server reads.
    longest = first(0x30000, b"user\0trusted\0options\0" + b" " * (10004 - 8 - 23) + b"\0\0")
    same(len(longest), 10004)
    client = rum.client().send(longest)
    try:
        client.authenticate("trusted", "")
        client.enter()
    except Refused as e:
        same(e.code, "3D000", "the database of the user's name does not exist")


@test("A Startup that a server would not take gets the server's error", needs=NEEDS)
def _(t):
    kind, rum = front(t)
    bad = [startup({"database": "rumtest"}), startup({"user": "", "database": "rumtest"}),
           startup({"User": "alice"}), first(0x30000, b"user\0alice\0"),
           first(0x30000, b"user\0alice\0\0more"), first(0x30000, b"user\0\0"), first(0x40000, b"\0"),
           first(0x30000, b"")]
    for packet in bad:
        refused = [Client(address).send(packet).refusal().code
                   for address in (rum.here, kind.plain.address)]
        same(refused[0], refused[1], repr(packet))
    old = rum.client().send(first(0x20000, b"\0" * 100))
    same(old.read(1), b"E", "an error of the old protocol")
    check(b"unsupported frontend protocol" in old.socket.recv(200), "its text has no length before it")


@test("Parameters come in any order, and of a repeated one the last counts", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    nowhere = "tcp:127.0.0.1:1"
    rum = Front(t, map=["alice - " + kind.plain.address, "bob - " + nowhere,
                        "postgres - " + nowhere])
    word = postgresql.password("alice")
    pairs = [("client_encoding", "UTF8"), ("database", "postgres"), ("user", "bob"),
             ("extra_float_digits", "2"), ("user", "alice"), ("database", "rumtest")]
    client = rum.client().send(startup(pairs))
    client.authenticate("alice", word)
    same(client.enter().ask("SELECT session_user || current_database()"), ["alicerumtest"])
    # Who is routed by the first name would get round the rules of the last.
    refused = rum.client().send(startup([("user", "alice"), ("user", "bob")])).refusal()
    same(refused.code, "57P03")


@test("Names are cut at 63 bytes before the map is asked", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    long = postgresql.LONG_USER
    same(len(long), 63)
    rum = Front(t, map=[long + " - " + kind.plain.address])
    client = rum.client().send(startup({"user": long + "more", "database": "rumtest"}))
    client.authenticate(long, postgresql.password(long))
    same(client.enter().ask("SELECT session_user"), [long])
    client.close()
    same(rum.rum.session()["user"], long)


@test("Versions up to 3.9999 and unknown protocol options are the server's to answer", needs=NEEDS)
def _(t):
    kind, rum = front(t)
    for version in (0x30001, V3_2, 0x3270f):
        for extra in ((), (("_pq_.test", "1"),)):
            said = []
            for address in (rum.here, kind.plain.address):
                with Client(address) as client:
                    client.send(startup([("user", "trusted"), ("database", "rumtest"), *extra], version))
                    said.append(client.read_message())
            same(said[0], said[1], "%x %s" % (version, extra))
            same(said[0][0], "v")


@test("A client with TLS logs in, and direct TLS needs the protocol's name", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, "--pgsql-upstream-tls", "off", default=kind.plain, tls=kind.certificate)
    same(rum.log_in("alice", tls=True).ask("SELECT 1"), ["1"])
    # The ClientHello may come in one segment with the request: what is behind it is TLS's.
    client = rum.client()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = any_certificate().wrap_bio(incoming, outgoing)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    client.send(SSL_REQUEST + outgoing.read())
    same(client.read(1), b"S")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.send(outgoing.read())
            incoming.write(client.socket.recv(65536))


@test("A listener that requires TLS refuses a Startup without it, after it has come", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    rum = Front(t, "--tls", "require", "--tls-cert", kind.certificate[0], "--tls-key",
                kind.certificate[1], default=kind.tls)
    refused = rum.client().send(startup({"user": "alice"})).refusal()
    same(refused.code, "28000")
    has(refused.text, "TLS")
    same(psql(t, kind, rum.here, "alice", sslmode="require"), (0, "alice"))


@test("Direct TLS, from clients and to servers, is for postgresql by ALPN",
      needs=("postgresql-17", "pgsql.so"))
def _(t):
    kind = t.run.postgresql["postgresql-17"]
    rum = Front(t, default=kind.tls, tls=kind.certificate)
    direct = {"PGSSLNEGOTIATION": "direct"}
    same(psql(t, kind, rum.here, "alice", sslmode="require", **direct), (0, "alice"))
    same(psql(t, kind, rum.here, "alice", sslmode="require"), (0, "alice"))
    client = rum.client()
    client.start_tls(any_certificate(["postgresql"]), direct=True)
    same(client.socket.selected_alpn_protocol(), "postgresql")
    for names in (None, ["http/1.1"]):
        client = rum.client()
        client.start_tls(any_certificate(names), direct=True)
        check(client.at_end(), "closed, as by a server")
    # To the server: rum names the protocol, without which version 17 closes.
    behind = Front(t, default=kind.tls.address.replace("tcp:", "tls:"))
    client = behind.log_in("alice")
    same(client.ask("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), ["t"])


@test("A listener for TLS from the first byte on takes logins", needs=NEEDS)
def _(t):
    kind = t.run.postgresql[PG15]
    here = tcp()
    rum = Front(t, "--tls-cert", kind.certificate[0], "--tls-key", kind.certificate[1],
                default=kind.tls, here=here.replace("tcp:", "tls:"))
    client = Client(here)
    rum.clients.append(client)
    client.start_tls(any_certificate(), direct=True)
    client.log_in("alice", postgresql.password("alice"), bind="p")
    same(client.ask("SELECT 1"), ["1"])

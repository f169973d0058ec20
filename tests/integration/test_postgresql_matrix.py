"""Every client with every kind of account, by TLS and without on both links, through rum as directly.

Where rum must differ from a direct login, DIFFERENCES says how and why; -v shows the tables.
"""

import collections

from mysql_setup import port_of, tcp
from support import cdb, postgresql
from support import postgresql_clients as clients
from support.harness import check, full, same, test
from support.postgresql_clients import Login

USERS = ("alice", postgresql.UTF8_USER, "legacy", "clear", "trusted", "tlsonly", "plainonly", "certified")
FRONTS = ("plain", "tls")
# The server of a Kind: without TLS, with rum's own certificate, with another one.
BACKS = ("plain", "tls", "other")
MODES = ("relay", "rewrite")

# Not in CI, unless RUM_TEST_FULL is set: the other clients of the older servers.
FEW = ("psql 15", "psql 17", "psql 18", "asyncpg", "pg, binding", "postgres.js")

# The first that fits a cell tells what must come out; else it is what comes out directly by the kind
# of link that rum has to the server.
Difference = collections.namedtuple("Difference", "users fronts backs modes clients outcome why")
ANY = None
SCRAM = {"alice", postgresql.UTF8_USER, "tlsonly"}

DIFFERENCES = [
    Difference({"clear"}, ANY, {"plain"}, ANY, ANY, "not in clear text",
               "a password must not go to a server in clear text"),
    Difference({"certified"}, ANY, {"tls", "other"}, ANY, ANY, "not admitted",
               "the server sees no certificate of the client"),
    Difference(SCRAM, {"tls"}, {"other"}, {"relay"}, clients.BINDING, "other certificate",
               "the client binds to rum's certificate, and the server to its own"),
    # What it says is part of the proof, so rum can change nothing of it.
    Difference(SCRAM, {"plain"}, {"tls", "other"}, {"relay"}, {"pg, binding"}, "not admitted",
               "the client says without TLS, too, that it could bind, and the server that has TLS to"
               " rum takes that for an attack"),
]


def expect(user, client, front, back, mode, direct):
    """(outcome, why) of a cell; direct: {kind of link: outcome} of the same client and user."""
    for row in DIFFERENCES:
        if all(wanted is ANY or has in wanted for wanted, has in (
                (row.users, user), (row.fronts, front), (row.backs, back), (row.modes, mode),
                (row.clients, client))):
            return row.outcome, row.why
    outcome = direct["plain" if back == "plain" else "tls"]
    # The server's words would tell the client of rum's address and link.
    return {"no hba entry": "not admitted"}.get(outcome, outcome), "as directly"


def start_rums(t, kind):
    """{(back, mode): port}, and the rums."""
    ports, rums = {}, {}
    certificate, key = kind.certificate
    for back in BACKS:
        server = getattr(kind, back)
        path = t.path("users-%s.cdb" % back)
        # Where the server asks for the password itself, rum has to get it from the client.
        cdb.replace(path, cdb.users(*[
            (user, "" if user == "clear" else postgresql.verifier(user), server.address)
            for user in USERS]))
        options = ["--pgsql-upstream-tls", "off"] if back == "plain" else []
        for mode in MODES:
            here = tcp()
            rums[back, mode] = t.rum("-s", here, "-P", "pgsql.so", "-M", path, "--pgsql-auth", mode,
                                     "--tls", "on", "--tls-cert", certificate, "--tls-key", key,
                                     *options)
            ports[back, mode] = port_of(here)
    return ports, rums


def cells():
    """(user, front, back, mode) of all logins of a client; directly without back and mode."""
    ways = [(front, None, None) for front in FRONTS]
    ways += [(front, back, mode) for mode in MODES for front in FRONTS for back in BACKS]
    return [(user, *way) for user in USERS for way in ways]


def login(kind, ports, user, front, back, mode):
    authority = kind.authority.certificate if front == "tls" else ""
    own = kind.client_certificate if authority and user == "certified" else ("", "")
    port = ports[back, mode] if back else kind.tls.port
    return Login(port, user, postgresql.password(user), authority, *own)


def column(front, back, mode):
    return "%s>%s, %s" % (front, back, mode) if back else front + ", direct"


def table(results):
    lines = []
    for (client, user, *way), (outcome, expected, _) in results.items():
        mark = "" if outcome == expected else "  EXPECTED " + expected
        lines.append("%-12s %-10s %-20s %s%s" % (client, user, column(*way), outcome, mark))
    return lines


def logs_in_as_directly(t, name):
    kind = t.run.postgresql[name]
    ports, rums = start_rums(t, kind)
    results = {}
    through = 0
    all_clients = full() or name == postgresql.KINDS[-1]
    for client, log_in in clients.ALL.items():
        if not all_clients and client not in FEW:
            continue
        asked = cells()
        answers = log_in(t, [login(kind, ports, *cell) for cell in asked])
        direct = {}
        for (user, front, back, mode), answer in zip(asked, answers, strict=True):
            if back is None:
                outcome = answer.outcome(front)
                direct.setdefault(user, {})[front] = outcome
                wanted = outcome, "direct"
            else:
                outcome = answer.outcome("plain" if back == "plain" else "tls")
                wanted = expect(user, client, front, back, mode, direct[user])
                through += 1
            results[client, user, front, back, mode] = (outcome, *wanted)
        # A matrix in which nobody can log in would prove nothing.
        for user, found in direct.items():
            check("ok" in found.values(), "%s, %s: does not log in directly: %s" % (client, user, found))
    lines = table(results)
    t.say("%s\n" % name + "\n".join("      " + line for line in lines))
    wrong = [line + ": " + why for line, (outcome, expected, why) in zip(lines, results.values())
             if outcome != expected]
    check(not wrong, "%d of %d cells:\n%s" % (len(wrong), len(lines), "\n".join(wrong)))
    same(sum(len(rum.wait_sessions(1)) > 0 for rum in rums.values()), len(rums), "rums that were used")


def binds_as_told(t, version):
    """What psql is told of channel binding and TLS, with rum's certificate and another on the server."""
    kind = t.run.postgresql["postgresql-%d" % version]
    ports, rums = start_rums(t, kind)

    def outcome(back, mode, **settings):
        answer, = clients.psql(version, **settings)(t, [login(kind, ports, "alice", "tls", back, mode)])
        return answer.outcome()

    require, disable = {"PGCHANNELBINDING": "require"}, {"PGCHANNELBINDING": "disable"}
    # Without a server's name psql cannot verify it, and takes what it gets.
    prefer = {"PGSSLMODE": "prefer", "PGSSLROOTCERT": "/nonexistent"}
    for settings, cell, expected in (
            (require, ("tls", "relay"), "ok"),
            (require, ("other", "relay"), "other certificate"),
            (require, ("plain", "relay"), "no binding offered"),
            (require, ("tls", "rewrite"), "ok"),
            (require, ("other", "rewrite"), "ok"),
            (require, ("plain", "rewrite"), "ok"),
            (disable, ("tls", "relay"), "ok"),
            (disable, ("other", "relay"), "ok"),
            (prefer, ("tls", "relay"), "ok"),
            (prefer, ("other", "rewrite"), "ok"),
            # Not a second try without TLS, which would succeed and send all in clear text.
            (prefer, ("other", "relay"), "other certificate")):
        same(outcome(*cell, **settings), expected, "%s, %s" % (settings, cell))
    for rum in rums.values():
        for record in rum.wait_sessions(1):
            check(record.get("tls"), "a session without TLS: %s" % record)


for kind_name in postgresql.KINDS:
    test("psql of %s binds to certificates as it is told, and never falls back to clear text"
         % kind_name, needs=("pgsql.so", kind_name))(
             lambda t, kind=kind_name: binds_as_told(t, int(kind.split("-")[1])))
    test("Matrix: the clients of PostgreSQL log in through rum to %s as directly" % kind_name,
         needs=("pgsql.so", kind_name), seconds=400)(
             lambda t, kind=kind_name: logs_in_as_directly(t, kind))

"""Every client with every account of every server, by TLS and without, through rum as directly.

Where rum must differ from a direct login, DIFFERENCES says how and why; -v shows the tables.
"""

import collections

from mysql_setup import front, port_of
from support import matrix, newer_servers
from support.harness import check, same, test

# The first that fits a cell tells what must come out; else it is what comes out directly, by the same
# kind of link as the one to rum. A row goes when rum has learnt what it tells.
Difference = collections.namedtuple("Difference", "kinds users cold clients way outcomes why")

MYSQL, MARIADB, ANY = {"mysql-sid"}, {"mariadb-bookworm", "mariadb-trixie"}, None
UP, DOWN = ("plain", "tls"), ("tls", "plain")  # from the client's link to the server's

DIFFERENCES = [
    # What stays: the server sees the link that rum has to it.
    Difference(MARIADB, {"tlsonly"}, ANY, ANY, UP, {"ok"}, "the server's link is TLS"),
    Difference(MARIADB, {"tlsonly"}, ANY, ANY, DOWN, {"1045"}, "the server's link is not TLS"),
    # What stays as long as clients trust their own link with what they say in clear text.
    Difference(ANY, {"clear"}, ANY, ANY, DOWN, {"1105"},
               "a password must not go on in clear text where its client sent it by TLS"),
    # What rum could translate: the RSA of these plugins, and a second factor.
    Difference(MYSQL, {"sha2", "sha256", "twofactor", "empty", "tlsonly"}, ANY, ANY, DOWN, {"1105"},
               "rum does not yet encrypt a password by the server's RSA key"),
    Difference(MYSQL, {"sha2", "twofactor", "tlsonly"}, True, ANY, UP, {"1045", "2006", "2061"},
               "rum does not yet give the client an RSA key to encrypt the password by"),
    Difference(MYSQL, {"sha256"}, ANY, ANY, UP, {"1045", "2006", "2061"},
               "rum does not yet give the client an RSA key to encrypt the password by"),
    # PyMySQL 1.0 takes the NUL behind the nonce of a switch for a part of it. What it proves by that
    # is wrong and the server asks for the password itself, so for PyMySQL no password is in a cache.
    Difference(MYSQL, {"sha2"}, False, {"PyMySQL"}, UP, {"1045"},
               "rum does not yet give the client an RSA key to encrypt the password by"),
    Difference(MYSQL, {"twofactor"}, ANY, {"mysql 9"}, ANY, {"1045"},
               "rum does not yet offer the capability of a second factor"),
]

VERSIONS = {"mariadb-bookworm": "mariadb1011", "mariadb-trixie": "mariadb118", "mysql-sid": "mysql90"}


def expect(kind, user, cold, results):
    """{(client, way): set of outcomes}, and the reasons of those that differ from a direct login."""
    def fits(row, client, way):
        return all(wanted is ANY or has in wanted for wanted, has in (
            (row.kinds, kind), (row.users, user), (row.clients, client))) and (
                row.cold in (ANY, cold)) and row.way in (ANY, way)

    expected, why = {}, {}
    for client, way in results:
        expected[client, way] = {results[client, (way[0], None)]}
        row = next((row for row in DIFFERENCES if way[1] and fits(row, client, way)), None)
        if row:
            expected[client, way], why[client, way] = row.outcomes, row.why
    return expected, why


def accounts_for(servers, user, cold):
    """The account of each cell: one that all share, or one for each, whose password the server has
    not seen yet."""
    cells = [(client, way) for client in matrix.CLIENTS for way in matrix.WAYS]
    if not cold:
        return dict.fromkeys(cells, user)
    names = {cell: "%s_%02d" % (user, number) for number, cell in enumerate(cells)}
    for server in (servers.plain, servers.tls):
        server.admin_all([statement for name in names.values()
                          for statement in newer_servers.account(servers.kind, user, name)])
    return names


def logs_in_as_directly(t, kind, user, cold):
    servers = t.run.newer[kind]
    accounts = accounts_for(servers, user, cold)
    certificate, key = servers.certificate
    ports = {("plain", None): servers.tls.port, ("tls", None): servers.tls.port}
    rums = {}
    for back, server, tls in (("plain", servers.plain, "mirror"), ("tls", servers.tls, "require")):
        rums[back], here = front(t, None, "-d", server.address, "-t", VERSIONS[kind], "--tls", "on",
                                 "--tls-cert", certificate, "--tls-key", key, "--upstream-tls", tls)
        for link in matrix.LINKS:
            ports[link, back] = port_of(here)
    if not cold and newer_servers.caches_password(kind, user):
        for server in (servers.plain, servers.tls):
            server.fill_cache(user)
    results = matrix.log_in_all(t, ports, user, accounts, servers.authority.certificate)
    expected, why = expect(kind, user, cold, results)
    lines = matrix.table(results, expected)
    t.say("%s, %s\n" % (kind, user) + "\n".join("      " + line for line in lines))
    wrong = ["%s %s>%s: got %s, expected %s%s" % (
        client, *way, results[client, way], " or ".join(sorted(expected[client, way])),
        ": " + why[client, way] if (client, way) in why else "") for client, way in results
        if results[client, way] not in expected[client, way]]
    check(not wrong, "\n".join(lines + wrong))
    # A matrix in which nobody can log in would prove nothing.
    check("ok" in results.values(), "nobody logged in:\n" + "\n".join(lines))
    for rum in rums.values():
        records = rum.wait_sessions(2 * len(matrix.CLIENTS))
        same(sum(r.get("tls") == "client" for r in records), len(matrix.CLIENTS), "logins by TLS")


for kind_name in newer_servers.KINDS:
    for user_name in newer_servers.users_of(kind_name):
        for is_cold in (True, False):
            caches = newer_servers.caches_password(kind_name, user_name)
            # Nobody can fill the cache of a server without TLS for an account that requires it.
            if is_cold if user_name == "tlsonly" and caches else caches or not is_cold:
                title = {True: ", whose password the server has %s" % (
                    "not seen yet" if is_cold else "in its cache"), False: ""}[caches]
                test("Matrix: %s, the account %s%s: as directly" % (kind_name, user_name, title),
                     needs=("mysql.so", kind_name), seconds=120)(
                         lambda t, kind=kind_name, user=user_name, cold=is_cold:
                         logs_in_as_directly(t, kind, user, cold))

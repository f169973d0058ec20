"""Servers of several releases: that each is up with its accounts, and what is particular to one."""

from mysql_setup import front, port_of
from support import clients, matrix, net, newer_servers, server_trees
from support.certificates import Authority
from support.harness import check, same, test


def kind_is_up(t, kind):
    servers = t.run.newer[kind]
    for server, tls in ((servers.plain, False), (servers.tls, True)):
        have = {user for user, in server.admin("SELECT user FROM mysql.user")}
        missing = set(newer_servers.users_of(kind)) - have
        check(not missing, "accounts that are missing: %s\n%s" % (missing, server.error_log()[-3000:]))
        version, = server.admin("SELECT VERSION()")[0]
        same("MariaDB" in version, kind != "mysql-sid", version)
        t.say("%s %s" % (version, "with TLS" if tls else "without TLS"))


for kind_name in newer_servers.KINDS:
    test("The servers of %s are up and know their accounts" % kind_name, needs=kind_name)(
        lambda t, kind=kind_name: kind_is_up(t, kind))


def secure_front(t, servers, server, *arguments):
    """(rum, port) on 127.0.0.2, which clients of MariaDB 11.4 and later do not take for local."""
    certificate, key = servers.certificate
    here = "tcp:127.0.0.2:%d" % net.free_port()
    rum = t.rum("-s", here, "-P", "mysql.so", "-d", server.address, "--tls", "on", "--tls-cert",
                certificate, "--tls-key", key, *arguments)
    return rum, port_of(here)


def usual_client(t, port, user, *arguments):
    """The mariadb program of MariaDB 11.8 as it is: it demands TLS and a certificate it can trust."""
    tree = server_trees.tree("mariadb-trixie")
    return clients.Answer(clients.run(t, tree.client(
        "--host=127.0.0.2", "--port=%d" % port, "--user=" + user, "--batch", "--skip-column-names",
        "--password=" + newer_servers.password(user), *arguments, newer_servers.DATABASE, "-e",
        "SELECT CONCAT('ok ', @@port, ' ', text) FROM word WHERE id = 2")))


@test("A client of MariaDB 11.8 as it is logs in by a certificate that its authority signed",
      needs=("mysql.so", "mariadb-trixie"))
def _(t):
    servers = t.run.newer["mariadb-trixie"]
    stranger = Authority(t.folder, "stranger")
    for server in (servers.plain, servers.tls):
        rum, port = secure_front(t, servers, server, "-t", "mariadb118")
        users = [user for user in newer_servers.users_of("mariadb-trixie")
                 if server is servers.tls or user not in ("clear", "tlsonly")]
        for user in users:
            answer = usual_client(t, port, user, "--ssl-ca=" + servers.authority.certificate)
            same((answer.ok, answer.port), (True, server.port), "%s: %r" % (user, answer))
        for user in ("native", "clear"):
            answer = usual_client(t, port, user, "--ssl-ca=" + stranger.certificate)
            same(answer.code, 2026, "%s, another authority: %r" % (user, answer))
        same([r.get("tls") for r in rum.wait_sessions(len(users))[:len(users)]],
             ["client"] * len(users), "logins by TLS")


@test("MySQL's logins work on when its server has forgotten all passwords",
      needs=("mysql.so", "mysql-sid"))
def _(t):
    servers = t.run.newer["mysql-sid"]
    server = servers.own(t, tls=True)
    certificate, key = servers.certificate
    rum, here = front(t, None, "-d", server.address, "-t", "mysql90", "--tls", "on", "--tls-cert",
                      certificate, "--tls-key", key)

    def in_cache():
        """A client without TLS that does not ask for the key can log in by the cache alone."""
        answer = clients.Answer(clients.run(t, servers.tree.client(
            "-h127.0.0.1", "-P%d" % server.port, "-usha2", "-p" + newer_servers.password("sha2"),
            "--ssl-mode=DISABLED", "-NBe", "SELECT 'ok 0 two'")))
        check(answer.ok or answer.code == 2061, repr(answer))
        return answer.ok

    for client in ("mysql 9", "mariadb 11.8", "mysql2", "mysqli"):
        for authority in (servers.authority.certificate, ""):
            server.admin("FLUSH PRIVILEGES")
            check(not in_cache(), "the cache is empty")
            for cached in (False, True):
                answer, = matrix.CLIENTS[client](t, [matrix.Login(
                    port_of(here), "sha2", newer_servers.password("sha2"), "", authority)])
                same((answer.ok, answer.port), (True, server.port),
                     "%s, %s, cached %s: %r" % (client, authority and "TLS", cached, answer))
                check(in_cache(), "the login has filled the cache")

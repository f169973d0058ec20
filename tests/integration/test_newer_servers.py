"""The servers of today are what they say: each kind, with TLS and without, knows its accounts."""

from support import newer_servers
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

"""What the MySQL tests share: maps of the accounts, a rum in front of the two servers."""

from support import cdb, mariadb, net


def tcp():
    return "tcp:127.0.0.1:%d" % net.free_port()


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def row(t, user, where, with_hash=True, rest=b""):
    """A record of the map: `where` is 'A', 'B', or an address."""
    servers = t.run.servers
    address = {"A": servers.a.address, "B": servers.b.address}.get(where, where) if servers else where
    known = user in mariadb.ACCOUNTS and mariadb.ACCOUNTS[user][1] == "native"
    return user, mariadb.hash_of(user) if with_hash and known else "", address, rest


def write_map(t, *rows, name="users.cdb"):
    path = t.path(name)
    cdb.replace(path, cdb.users(*rows))
    return path


def usual_map(t, with_hash=True):
    """alice and the special accounts on A; bob and shared on B."""
    on_a = ["alice", "other", "empty", "curve", mariadb.LONG_USER, mariadb.UTF8_USER]
    return write_map(t, *[row(t, user, "A", with_hash) for user in on_a],
                     *[row(t, user, "B", with_hash) for user in ("bob", "shared")])


def front(t, path, *arguments, **more):
    """(rum, address) of a rum with the mysql module and a map."""
    here = tcp()
    options = ["-s", here, "-P", "mysql.so"]
    if path:
        options += ["-M", path]
    return t.rum(*options, *arguments, **more), here

"""Names of users in the spellings that servers take for one account: the map, its rules and the
limits know the account whichever of them a client chooses."""

import struct

from mysql_setup import front, write_map
from support import newer_servers
from support.harness import check, same, test
from support.mysql_wire import Client, ServerError, response

UTF8, LATIN1, CP1251 = 45, 8, 14
# (bytes, collation) of a login as "empty", and of one as "hänsel", on MariaDB 10.11, 11.8 or MySQL 9.7.
AS_EMPTY = ((b"empty", UTF8), (b"'empty'", UTF8), (b"'empty'", LATIN1), (b"empty\xc3", UTF8),
            (b"empty\xff", UTF8), (b"empty\xe2\x82", UTF8), (b"'empty'\xc3", UTF8))
AS_UMLAUT = (("hänsel".encode(), UTF8), ("'hänsel'".encode(), UTF8), ("hänsel".encode("latin1"), LATIN1),
             ("'hänsel'".encode("latin1"), LATIN1))


def login(here, name, charset=UTF8):
    """The client, logged in without a password; or raises the server's error."""
    c = Client(here)
    try:
        c.greet()
        c.send(response(name, b"", charset=charset))
        return c.finish_login("")
    except BaseException:
        c.close()
        raise


def code_of(here, name, charset=UTF8):
    """0, or the error of this login."""
    try:
        with login(here, name, charset) as c:
            c.quit()
        return 0
    except ServerError as e:
        return e.code


def umlaut(server):
    """An account 'hänsel' without a password."""
    import pymysql
    connection = pymysql.connect(unix_socket=server.socket, user="root", charset="utf8mb4")
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER 'hänsel'@'%'")


def for_each_kind(sentence, function):
    for kind in newer_servers.KINDS:
        test("%s (%s)" % (sentence, kind), needs=("mysql.so", kind))(
            lambda t, kind=kind: function(t, t.run.newer[kind].own(t)))


def rules(t, server):
    umlaut(server)
    forbidden = write_map(t, ("empty", "", server.address, b"\x80disabled"),
                          ("hänsel", "", server.address, b"\x80disabled"))
    _, here = front(t, forbidden, "-d", server.address)
    for name, charset in AS_EMPTY + AS_UMLAUT:
        same(code_of(here, name, charset), 1045, "%r in %d" % (name, charset))
    allowed = write_map(t, ("empty", "", server.address), ("hänsel", "", server.address), name="all.cdb")
    rum, here = front(t, allowed, "--mysql-unknown-user", "deny")
    for name, charset in AS_EMPTY[:3] + AS_UMLAUT:
        same(code_of(here, name, charset), 0, "%r in %d" % (name, charset))
    users = [one["user"] for one in rum.wait_sessions(7)]
    same(users, ["empty"] * 3 + ["hänsel"] * 4)


for_each_kind("The rules of a user hold for each spelling of its name", rules)


def limits(t, server):
    umlaut(server)
    path = write_map(t, ("empty", "", server.address), ("hänsel", "", server.address, b"\x80max=1"))
    _, here = front(t, path, "-d", server.address, "--max-connections-per-user", "1")
    for names in (AS_EMPTY, AS_UMLAUT):
        with login(here, *names[0]):
            for name, charset in names:
                check(code_of(here, name, charset) in (1045, 1226), "%r in %d" % (name, charset))


for_each_kind("The limits of a user hold for each spelling of its name", limits)


def change(here, name, charset):
    """The error of a change to this user, 0: it is done."""
    with Client(here) as c:
        c.login("free", "", attributes=b"")  # for which rum leads a change
        c.command(b"\x11" + name + b"\0\0\0" + struct.pack("<H", charset)
                  + b"mysql_native_password\0")
        try:
            c.finish_login("")
        except ServerError as e:
            return e.code
        return 0


def changes(t, server):
    umlaut(server)
    server.admin("CREATE USER 'free'@'%'")
    path = write_map(t, ("free", "", server.address), ("empty", "", server.address, b"\x80disabled"),
                     ("hänsel", "", server.address, b"\x80disabled"))
    _, here = front(t, path, "-d", server.address, "--mysql-client-attrs", "on")
    same(change(here, b"free", UTF8), 0)
    for name, charset in AS_EMPTY + AS_UMLAUT:
        same(change(here, name, charset), 1045, "%r in %d" % (name, charset))
    path = write_map(t, ("free", "", server.address), ("hänsel", "", server.address), name="all.cdb")
    _, here = front(t, path, "--mysql-client-attrs", "on")
    for name, charset in (AS_UMLAUT[0], AS_UMLAUT[2]):
        same(change(here, name, charset), 0, "%r in %d" % (name, charset))


for_each_kind("The rules of a user hold for each spelling of its name in a change of the user", changes)

"""Names of users in the spellings that servers take for one account: the map, its rules and the
limits know the account whichever of them a client chooses."""

import ctypes
import os
import struct

from mysql_setup import front, write_map
from support import net, newer_servers
from support.harness import Skipped, check, same, test
from support.mariadb import password
from support.mysql_wire import Client, ServerError, response
from test_service import Place

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


# -- the user that a server behind a unix socket takes rum for ---------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
_NEWNS, _BIND, _REC, _PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000


def with_passwd(path):
    """For a child: /etc/passwd is this file."""
    def prepare():
        if (_libc.unshare(_NEWNS) or _libc.mount(b"none", b"/", None, _REC | _PRIVATE, None)
                or _libc.mount(path.encode(), b"/etc/passwd", None, _BIND, None)):
            raise OSError(ctypes.get_errno(), "no /etc/passwd of its own")
    return prepare


def trusting(t, *names):
    """A server in which the system is a proof that is tried after a wrong password."""
    if os.geteuid() != 0:
        raise Skipped("needs root, to be another user")
    server = t.run.servers.own(t)
    for name in names:
        server.admin("CREATE USER IF NOT EXISTS '%s'@localhost" % name)
        server.admin("ALTER USER '%s'@localhost IDENTIFIED VIA mysql_native_password USING 'invalid' "
                     "OR unix_socket" % name)
    return server


def cannot_be(here, *names):
    for name in names:
        with Client(here) as c:
            try:
                c.login(name, "any")
            except ServerError as e:
                same(e.code, 1045, "%r" % name)
                continue
            check(False, "logged in as %r" % name)


@test("Over a unix socket nobody becomes rum's own system user in another spelling",
      needs=("mysql.so", "mariadb"))
def _(t):
    server = trusting(t, "root")
    _, here = front(t, None, "-d", "sock:" + server.socket)
    cannot_be(here, b"root", b"'root'")
    with Client(here) as c:
        c.login("other", password("other"))


@test("Over a unix socket nobody becomes rum's own system user by another name of it",
      needs=("mysql.so", "mariadb"))
def _(t):
    with open("/etc/passwd") as f, open(t.path("passwd"), "w") as own:
        own.write(f.read() + "toor:x:0:0::/:/bin/sh\n")
    server = trusting(t, "root", "toor")
    # A server whose passwd tells toor first would let this account in. This one refuses it itself.
    rum, here = front(t, None, "-d", "sock:" + server.socket, prepare=with_passwd(t.path("passwd")))
    cannot_be(here, b"toor", b"root")
    same({r["reason"] for r in rum.wait_sessions(2)}, {"denied"})


@test("Behind --chroot nobody becomes rum's own system user over a unix socket",
      needs=("mysql.so", "mariadb"))
def _(t):
    server = trusting(t, "daemon")
    place = t.keep(Place(t, "daemon"))  # whom no library knows without a file
    os.link(server.socket, os.path.join(place.own, "db.sock"))
    os.chmod(place.own, 0o755)
    here = "sock:" + os.path.join(place.own, "names.sock")
    t.rum("-s", "sock:/names.sock", "-P", "mysql.so", "-d", "sock:/db.sock", "--user", "daemon", "--chroot",
          place.own, "--state-dir", "/state", stats=False)
    cannot_be(here, b"daemon")
    with Client(here) as c:
        c.login("other", password("other"))


@test("Over a unix socket nobody is relayed when rum's system user has no name, unless that is wanted",
      needs=("mysql.so", "mariadb"))
def _(t):
    server = trusting(t)
    place = t.keep(Place(t, "nobody"))
    common = ("-P", "mysql.so", "-d", "sock:" + place.path("db.sock"), "--user", "54321:54321",
              "--state-dir", place.path("state"))
    os.link(server.socket, place.path("db.sock"))
    here = "tcp:127.0.0.1:%d" % net.free_port()
    rum = t.rum("-s", here, *common, program=place.rum, env={"RUM_MODULE_DIR": place.modules}, stats=False)
    cannot_be(here, b"other")
    rum.wait_log("set --mysql-socket-user")
    for given in ("none", "mysql,root"):
        here = "tcp:127.0.0.1:%d" % net.free_port()
        t.rum("-s", here, *common, "--mysql-socket-user", given, program=place.rum,
              env={"RUM_MODULE_DIR": place.modules}, stats=False)
        with Client(here) as c:
            c.login("other", password("other"))

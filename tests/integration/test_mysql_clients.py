"""Real clients against real servers: each logs in through rum, in both ways, and lands where the map
says; wrong passwords are refused as a server would."""

import collections

from mysql_setup import front, port_of, usual_map
from support import clients, matrix
from support.harness import check, has, same, test
from support.mariadb import LONG_USER, UTF8_USER, password

MODES = {"relay": "by relay", "rewrite": "by rewriting", "auto": "in auto mode"}


def logs_in(t, client, mode):
    a, b = t.run.servers.a, t.run.servers.b
    rum, here = front(t, usual_map(t), "--mysql-auth", mode)
    port = port_of(here)
    logins = 0
    for user, server in (("alice", a), ("bob", b), ("alice", a), ("shared", b), ("empty", a),
                         (LONG_USER, a)):
        answer = client(t, port, user, password(user))
        check(answer.ok, "%s: %r" % (user, answer))
        same((answer.port, answer.word), (server.port, "two"), user)
        logins += 1
    for user, word in (("alice", "wrong"), ("alice", ""), ("empty", "not empty"), ("bob", "x" * 200),
                       ("nobody_knows_me", "pw"), ("nobody_knows_me", "")):
        answer = client(t, port, user, word)
        check(not answer.ok, "%s logged in with %r" % (user, word))
        same(answer.code, 1045, "%s: %r" % (user, answer))
        has(answer.text, "Access denied for user '%s'" % user)
    records = rum.wait_sessions(logins + 6)
    # A client may be on its next login before the last one is in the log: the order is not fixed.
    ends = collections.Counter(r["reason"] for r in records)
    same(ends["client_closed"], logins, "ends: %s" % ends)
    same(ends["denied"] + ends["upstream_denied"], 4, "ends: %s" % ends)
    same(ends["no_destination"], 2, "ends: %s" % ends)
    same({r["user"] for r in records},
         {"alice", "bob", "shared", "empty", LONG_USER, "nobody_knows_me"})


for client_name, client_function in clients.ALL.items():
    for mode_name, mode_text in MODES.items():
        if mode_name == "auto" and client_name != "PyMySQL":
            continue  # the same as relay for a client that can switch plugins
        test("Logins with %s land on the right server %s, wrong passwords are 1045" % (
            client_name, mode_text), needs=("mysql.so", "mariadb"), seconds=90)(
                lambda t, c=client_function, m=mode_name: logs_in(t, c, m))


@test("A user name in UTF-8 is looked up and logged in by its bytes", needs=("mysql.so", "mariadb"))
def _(t):
    for mode in ("relay", "rewrite"):
        rum, here = front(t, usual_map(t), "--mysql-auth", mode)
        for client in (clients.mariadb_program, clients.pymysql_client, clients.node_client):
            answer = client(t, port_of(here), UTF8_USER, password(UTF8_USER))
            check(answer.ok, "%s: %r" % (mode, answer))
        same({r["user"] for r in rum.wait_sessions(3)}, {UTF8_USER})


@test("An ed25519 account logs in by relay, and a wrong password is refused",
      needs=("mysql.so", "mariadb"))
def _(t):
    for mode in ("relay", "auto", "rewrite"):
        rum, here = front(t, usual_map(t), "--mysql-auth", mode)
        answer = clients.mariadb_program(t, port_of(here), "curve", password("curve"))
        check(answer.ok, "%s: %r" % (mode, answer))
        same(answer.port, t.run.servers.a.port)
        same(clients.mariadb_program(t, port_of(here), "curve", "wrong").code, 1045, mode)


@test("A map without hashes is enough for clients of today, even in rewrite mode",
      needs=("mysql.so", "mariadb"))
def _(t):
    for mode in ("auto", "relay", "rewrite"):
        _, here = front(t, usual_map(t, with_hash=False), "--mysql-auth", mode)
        for client in (clients.pymysql_client, clients.libmariadb_client):
            answer = client(t, port_of(here), "bob", password("bob"))
            check(answer.ok, "%s: %r" % (mode, answer))
            same(answer.port, t.run.servers.b.port)
            same(client(t, port_of(here), "bob", "wrong").code, 1045)


@test("Clients can use a unix socket too", needs=("mysql.so", "mariadb"))
def _(t):
    import pymysql
    path = t.path("mysqld.sock")
    t.rum("-s", "sock:" + path, "-M", usual_map(t), "-P", "mysql.so")
    db = pymysql.connect(unix_socket=path, user="bob", password=password("bob"))
    with db, db.cursor() as cursor:
        cursor.execute("SELECT @@port")
        same(cursor.fetchone()[0], t.run.servers.b.port)
    try:
        pymysql.connect(unix_socket=path, user="bob", password="wrong")
        check(False, "logged in with a wrong password")
    except pymysql.MySQLError as e:
        same(e.args[0], 1045)


@test("The servers may be reached by their unix sockets", needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import row, write_map
    path = write_map(t, row(t, "alice", "sock:" + t.run.servers.a.socket),
                     row(t, "bob", "sock:" + t.run.servers.b.socket, with_hash=False))
    for mode in ("relay", "rewrite"):
        _, here = front(t, path, "--mysql-auth", mode)
        for user, server in (("alice", t.run.servers.a), ("bob", t.run.servers.b)):
            answer = clients.pymysql_client(t, port_of(here), user, password(user))
            check(answer.ok, "%s: %r" % (mode, answer))
            same(answer.port, server.port)


@test("Without a map every login goes to the default destination", needs=("mysql.so", "mariadb"))
def _(t):
    rum, here = front(t, None, "-d", t.run.servers.a.address)
    for client in (clients.mariadb_program, clients.pymysql_client):
        answer = client(t, port_of(here), "alice", password("alice"))
        check(answer.ok, repr(answer))
        same(answer.port, t.run.servers.a.port)
        same(client(t, port_of(here), "bob", password("bob")).code, 1045)


@test("The greeting carries the version that was asked for, and clients get along with it",
      needs=("mysql.so", "mariadb"))
def _(t):
    from support.mysql_wire import Client
    for version in ("5.5.5-10.11.0-MariaDB", "8.0.40", "5.7.44-rum"):
        _, here = front(t, usual_map(t), "--mysql-version", version)
        with Client(here) as c:
            same(c.greet().version, version)
        for client in (clients.mariadb_program, clients.pymysql_client, clients.php_client):
            answer = client(t, port_of(here), "alice", password("alice"))
            check(answer.ok, "%s: %r" % (version, answer))


def every_client_logs_in(t, version):
    single = {"alone, " + name: lambda t, logins, one=one: [
        one(t, login.port, login.user, login.word) for login in logins]
        for name, one in clients.ALL.items()}
    for with_hash in (True, False):
        _, here = front(t, usual_map(t, with_hash), "-t", version)
        wrong = {}
        for name, log_in in {**matrix.CLIENTS, **single}.items():
            if "PyMySQL" in name and not with_hash and version in ("mysql50", "mysql51"):
                continue  # takes a switch for the passwords of before 4.1 where no plugins are promised
            for word, expected in ((password("alice"), (None, t.run.servers.a.port)),
                                   ("wrong", (1045, None))):
                answer = log_in(t, [matrix.Login(port_of(here), "alice", word, "", "")])[0]
                if (answer.code, answer.port) != expected:
                    wrong[name, word] = answer
        same(wrong, {}, "with%s a hash in the map" % ("" if with_hash else "out"))


# What their greetings do not promise clients leave out, and some set the flags all the same.
for old_version in ("mysql50", "mysql51", "mysql55", "mariadb55"):
    test("Every client logs in where the greeting is that of " + old_version, seconds=120,
         needs=("mysql.so", "mariadb", "mariadb-trixie", "mysql-sid"))(
             lambda t, version=old_version: every_client_logs_in(t, version))


@test("A list of servers in the map is tried in order", needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import row, write_map
    from support.peers import closed_port
    a, b = t.run.servers.a, t.run.servers.b
    path = write_map(t, row(t, "shared", "%s,%s,%s" % (closed_port(), b.address, a.address)),
                     row(t, "other", "%s,%s" % (a.address, b.address)))
    for mode in ("relay", "rewrite"):
        _, here = front(t, path, "--mysql-auth", mode)
        same(clients.pymysql_client(t, port_of(here), "shared", password("shared")).port, b.port)
        same(clients.pymysql_client(t, port_of(here), "other", password("other")).port, a.port)


@test("Rules of the older form behind the second NUL are obeyed, and countries let everybody in",
      needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import row, write_map
    rest = b"\3\2\x7f\0\0\0\xff\0\0\0\n\0\0\0\xff\0\0\0" b"\2DEFR"
    path = write_map(t, row(t, "alice", "A", rest=rest), row(t, "bob", "B", False, rest=rest))
    for mode in ("relay", "rewrite"):
        _, here = front(t, path, "--mysql-auth", mode)
        for user, server in (("alice", t.run.servers.a), ("bob", t.run.servers.b)):
            same(clients.pymysql_client(t, port_of(here), user, password(user)).port, server.port)

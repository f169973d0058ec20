"""What must be seen of a client after its login: KILL by rum's connection ids, COM_CHANGE_USER in
every mode, and compression, of which nothing is seen."""

import os
import pty
import select
import shutil
import signal
import struct
import time

from mysql_setup import front, port_of, row, tcp, usual_map, write_map
from support import clients, net, newer_servers
from support.certificates import Authority
from support.harness import Skipped, check, end_with_parent, has, same, test
from support.mariadb import DATABASE, password
from support.mysql_wire import LOCAL_FILES, USUAL, Client, ServerError, native_token
from support.net import connect
from test_mysql_commands import pymysql_connect
from test_mysql_tls import front_tls, tls_server
from test_relay import background
from test_start import run_once

BOTH = ("mysql.so", "mariadb")


def front_id(c):
    return c.greeting.thread


def metric(rum, name):
    return rum.stats()["module"]["counters"][name]


def running(server, marker):
    """Whether a statement with this text runs on the server."""
    rows = server.admin("SELECT INFO FROM information_schema.PROCESSLIST WHERE INFO LIKE 'SELECT%'")
    return any(marker in (info or "") and "PROCESSLIST" not in info for info, in rows)


def slow_query(server, c, marker):
    """Begins a query of 60 s on a Client; returns a function that waits for its end."""
    def ask():
        try:
            return c.query("SELECT SLEEP(60), '%s'" % marker)
        except (ServerError, EOFError, OSError) as e:
            return e
    join = background(ask)
    net.until(lambda: running(server, marker), 20, "the query runs")
    return join


def interrupted(outcome):
    """A killed SLEEP returns 1, or its statement or connection ends."""
    return outcome == ["1"] or isinstance(outcome, (ServerError, EOFError, OSError))


def press_ctrl_c(t, command, server, marker):
    """Runs an interactive client in a terminal, begins a slow query, and presses Ctrl-C; the client
    must go on and answer another query."""
    process, terminal = pty.fork()
    if process == 0:
        end_with_parent()
        os.environ["TERM"] = "dumb"
        os.execv(command[0], command)
    seen = b""

    def read_until(text, seconds=20 * t.scale):
        nonlocal seen
        end = time.monotonic() + seconds
        while text not in seen:
            if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                return check(False, "%r did not come: %r" % (text, seen[-2000:]))
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                return check(False, "the client ended: %r" % seen[-2000:])

    try:
        read_until(b"> ")
        os.write(terminal, ("SELECT SLEEP(60), '%s';\n" % marker).encode())
        net.until(lambda: running(server, marker), 20 * t.scale, "the query runs")
        os.write(terminal, b"\x03")
        net.until(lambda: not running(server, marker), 20 * t.scale, "the query is killed")
        os.write(terminal, b"SELECT CONCAT('still', 'here');\n")
        read_until(b"stillhere")
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)


# -- KILL -----------------------------------------------------------------------------------------


@test("Ctrl-C in the mariadb program ends the query and not the session", needs=BOTH, seconds=90)
def _(t):
    rum, here = front(t, usual_map(t))
    press_ctrl_c(t, [shutil.which("mariadb"), "--no-defaults", "-h127.0.0.1", "-P%d" % port_of(here),
                     "-ualice", "-p" + password("alice")], t.run.servers.a, "ctrl-c")
    same(metric(rum, "mysql_kills"), 1)


@test("Ctrl-C in the mysql program of MySQL ends the query and not the session",
      needs=("mysql.so", "mysql-sid"), seconds=90)
def _(t):
    servers = t.run.newer["mysql-sid"]
    rum, here = front(t, write_map(t, ("sha2", "", servers.plain.address, b"")), "-t", "mysql80")
    word = newer_servers.password("sha2")
    press_ctrl_c(t, servers.tree.client("-h127.0.0.1", "-P%d" % port_of(here), "-usha2", "-p" + word,
                                        "--get-server-public-key", "--ssl-mode=DISABLED"),
                 servers.plain, "ctrl-c in mysql")
    same(metric(rum, "mysql_kills"), 1)


@test("Ctrl-C reaches the server from programs that compress, too",
      needs=("mysql.so", "mariadb", "mysql-sid"), seconds=90)
def _(t):
    rum, here = front(t, usual_map(t), "--mysql-compress")
    press_ctrl_c(t, [shutil.which("mariadb"), "--no-defaults", "-h127.0.0.1", "-P%d" % port_of(here),
                     "-ualice", "-p" + password("alice"), "--compress"], t.run.servers.a, "by zlib")
    same(metric(rum, "mysql_kills"), 1)
    servers = t.run.newer["mysql-sid"]
    rum, here = front(t, write_map(t, ("sha2", "", servers.plain.address, b"")), "-t", "mysql80",
                      "--mysql-compress")
    press_ctrl_c(t, servers.tree.client("-h127.0.0.1", "-P%d" % port_of(here), "-usha2",
                                        "-p" + newer_servers.password("sha2"),
                                        "--get-server-public-key", "--ssl-mode=DISABLED",
                                        "--compression-algorithms=zstd"), servers.plain, "by zstd")
    same(metric(rum, "mysql_kills"), 1)


@test("KILL by mariadb-admin, PyMySQL and PHP reaches the session with rum's id", needs=BOTH)
def _(t):
    rum, here = front(t, usual_map(t))
    server = t.run.servers.a

    def by_admin(number):
        clients.run(t, [shutil.which("mariadb-admin"), "--no-defaults", "-h127.0.0.1",
                        "-P%d" % port_of(here), "-ualice", "-p" + password("alice"),
                        "kill", str(number)])

    def by_pymysql(number):
        with pymysql_connect(here, "alice") as db:
            db.kill(number)

    def by_php(number):
        clients.run(t, [shutil.which("php"), "-r",
                        "mysqli_report(0); $db = mysqli_connect('127.0.0.1', 'alice', '%s', '', %d);"
                        "mysqli_kill($db, %d);" % (password("alice"), port_of(here), number)])

    for done, kill in enumerate((by_admin, by_pymysql, by_php), 1):
        with Client(here, 60) as c:
            c.login("alice", password("alice"))
            join = slow_query(server, c, kill.__name__)
            kill(front_id(c))
            outcome = join()
            check(interrupted(outcome), "%s: %r" % (kill.__name__, outcome))
        same(metric(rum, "mysql_kills"), done, kill.__name__)


@test("A session may kill itself by the id it was given", needs=BOTH)
def _(t):
    import pymysql
    _, here = front(t, usual_map(t))
    db = pymysql_connect(here, "alice")
    try:
        db.kill(db.thread_id())
        db.ping(reconnect=False)
        check(False, "alive")
    except pymysql.MySQLError:
        pass
    out = clients.run(t, [shutil.which("php"), "-r",
                          "mysqli_report(0); $db = mysqli_connect('127.0.0.1', 'alice', '%s', '', %d);"
                          "$db->kill($db->thread_id); echo @$db->query('DO 1') ? 'alive' : 'gone';"
                          % (password("alice"), port_of(here))])
    has(out, "gone")


@test("A KILL of another user's id, and of one on another server, is the server's to refuse",
      needs=BOTH)
def _(t):
    path = write_map(t, row(t, "alice", "A"), row(t, "other", "A"), row(t, "shared", "B"))
    rum, here = front(t, path)
    with Client(here) as victim, Client(here) as there:
        victim.login("alice", password("alice"))
        there.login("shared", password("shared"))
        for number in (front_id(victim), front_id(there)):
            with Client(here) as killer:
                killer.login("other", password("other"))
                try:
                    killer.query("KILL %d" % number)
                    check(False, "it was killed")
                except ServerError as e:
                    has(str(e), "Unknown thread id: %d" % number)
        same(victim.query("SELECT 1"), ["1"])
        same(there.query("SELECT 1"), ["1"])
    same(metric(rum, "mysql_kills"), 0)


# -- COM_CHANGE_USER ------------------------------------------------------------------------------


@test("COM_CHANGE_USER of every client works by relay and by rewriting", needs=BOTH, seconds=120)
def _(t):
    for mode in ("relay", "rewrite"):
        rum, here = front(t, usual_map(t), "--mysql-auth", mode)
        arguments = ["127.0.0.1", str(port_of(here)), "alice", password("alice"), DATABASE, "other",
                     password("other")]
        answer = clients.libmariadb_client(t, port_of(here), "alice", password("alice"), "other",
                                           password("other"))
        has(answer.output, "changed other", "libmariadb, " + mode)
        env = dict(os.environ, NODE_PATH=os.path.join(clients.node_modules(), "node_modules"))
        same(clients.run(t, [shutil.which("node"),
                             os.path.join(clients.CLIENTS, "change_user.js"), *arguments],
                         env=env).split("\n")[:3],
             ["changed other", "changed alice", "changed other"], "mysql2, " + mode)
        same(clients.run(t, [shutil.which("php"), os.path.join(clients.CLIENTS, "change_user.php"),
                             *arguments]).split("\n")[:2],
             ["again alice same", "changed other"], "mysqlnd, " + mode)
        same(metric(rum, "mysql_user_changes") > 0, mode == "rewrite")


@test("After a login by ed25519 libmariadb changes to a user of another plugin, and back", needs=BOTH)
def _(t):
    server = t.run.servers.a
    key = server.admin("SELECT authentication_string FROM mysql.user WHERE user='curve'")[0][0]
    path = write_map(t, row(t, "other", "A"), ("curve", "ed25519:" + key, server.address))
    for mode in ("relay", "rewrite"):
        rum, here = front(t, path, "--mysql-auth", mode)
        for user, other in (("curve", "other"), ("curve", "curve"), ("other", "curve")):
            answer = clients.libmariadb_client(t, port_of(here), user, password(user), other,
                                               password(other))
            has(answer.output, "changed " + other, "%s: %s to %s" % (mode, user, other))
        answer = clients.libmariadb_client(t, port_of(here), "curve", password("curve"), "other",
                                           "wrong")
        has(answer.output, "1045", mode)


def change_user(c, user, word, database=b"rumtest", plugin=True):
    body = b"\x11" + user.encode() + b"\0\x14" + native_token(word, c.greeting.nonce) + database
    c.command(body + b"\0\x2d\0" + (b"mysql_native_password\0" if plugin else b""))
    c.finish_login(word)


@test("After a rewritten login users change and sessions go on, many times", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t), "--mysql-auth", "rewrite")
    with Client(here) as c:
        c.login("alice", password("alice"))
        for user in ("other", "alice", "shared", "other"):
            change_user(c, user, password(user))
            same(c.query("SELECT SUBSTRING_INDEX(USER(), '@', 1)"), [user])
            same(len(c.query("SELECT REPEAT('x', 3000000)")[0]), 3000000)
        c.quit()


@test("A change to a wrong password ends as without rum", needs=BOTH)
def _(t):
    def outcome(address):
        with Client(address) as c:
            c.login("alice", password("alice"))
            try:
                change_user(c, "other", "wrong")
                check(False, "logged in")
            except ServerError as e:
                code = e.code
            try:
                c.query("SELECT 1")
                return code, c.sequence, "goes on"
            except (EOFError, OSError):
                return code, c.sequence, "closed"

    for mode in ("relay", "rewrite"):
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        same(outcome(here), outcome(t.run.servers.a.address), mode)


@test("Who changes the user before all is answered is ended, whatever the answers look like",
      needs=BOTH)
def _(t):
    path = usual_map(t)
    for arguments in (("--mysql-auth", "rewrite"), ("--mysql-change-user", "same")):
        rum, here = front(t, path, *arguments)
        change = b"\x11alice\0\x00" + b"\0\x2d\0mysql_native_password\0"
        # Answers that could be taken for the server's side of a change: OK, ERR, and what is in rows.
        for first in (b"DO 1", b"nonsense", b"SELECT REPEAT('\0', 100000)",
                      b"SELECT SLEEP(0.1), REPEAT(UNHEX('0100000203'), 40000)"):
            with Client(here) as c:
                c.login("alice", password("alice"))
                query = b"\x03" + first
                c.socket.sendall(struct.pack("<I", len(query))[:3] + b"\0" + query +
                                 struct.pack("<I", len(change))[:3] + b"\0" + change)
                check(b"#08S01Got packets out of order" in net.read_all(c.socket), first)
        same({s["reason"] for s in rum.wait_sessions(4)}, {"client_protocol"})
        # A command that has no answer may stand before it.
        with Client(here) as c:
            c.login("alice", password("alice"))
            c.command(b"\x19\1\0\0\0")
            change_user(c, "alice", password("alice"))
            same(c.query("SELECT 1"), ["1"])


@test("A client without plugins changes to its own user by the stored hash", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t))
    with Client(here) as c:
        c.login("alice", password("alice"), plugin_auth=False)
        for _ in range(2):
            change_user(c, "alice", password("alice"), plugin=False)
            same(c.query("SELECT SUBSTRING_INDEX(USER(), '@', 1)"), ["alice"])


@test("A client without plugins that follows a switch changes its user by relay", needs=BOTH)
def _(t):
    # So does mysqljs.
    _, here = front(t, usual_map(t, with_hash=False))
    for packets in (0, 5):
        with Client(here) as c:
            c.login("alice", password("alice"), plugin_auth=False)
            for number in range(packets):
                same(c.query("SELECT %d" % number), [str(number)])
            for user in ("alice", "other", "alice"):
                change_user(c, user, password(user), plugin=False)
                same(c.query("SELECT SUBSTRING_INDEX(USER(), '@', 1)"), [user])


@test("A client without plugins reads of an account with another plugin what the server says", needs=BOTH)
def _(t):
    server = t.run.servers.a

    def refusal(address):
        with Client(address) as c:
            return error_of(c.login, "curve", password("curve"), plugin_auth=False)

    same(refusal(server.address), 1251)
    for mode in ("relay", "rewrite"):
        rum, here = front(t, usual_map(t), "--mysql-auth", mode)
        same(refusal(here), 1251, mode)


@test("--mysql-change-user same and deny", needs=BOTH)
def _(t):
    for mode in ("relay", "rewrite"):
        rum, here = front(t, usual_map(t), "--mysql-auth", mode, "--mysql-change-user", "same")
        with Client(here) as c:
            c.login("alice", password("alice"))
            for number in range(5):
                same(c.query("SELECT %d" % number), [str(number)])
            change_user(c, "alice", password("alice"))
            same(c.query("SELECT 1"), ["1"])
            try:
                change_user(c, "other", password("other"))
                check(False, "another user")
            except ServerError as e:
                same((e.code, c.sequence), (1045, 1))
            check(net.ended(c.socket), "the session is over")
        same(rum.wait_sessions(1)[-1]["reason"], "denied")
        _, here = front(t, usual_map(t), "--mysql-auth", mode, "--mysql-change-user", "deny")
        answer = clients.libmariadb_client(t, port_of(here), "alice", password("alice"), "alice",
                                           password("alice"))
        has(answer.output, "error 1045")


def error_of(attempt, *arguments, **more):
    try:
        attempt(*arguments, **more)
        return 0
    except ServerError as e:
        return e.code


@test("The rules and limits of the user that a session becomes are looked at", needs=BOTH)
def _(t):
    path = write_map(t, row(t, "alice", "A", rest=b"\x80max=1"),
                     row(t, "other", "A", rest=b"\x80max=1"),
                     row(t, "empty", "A", rest=b"\x80deny=127.0.0.0/8"))
    # What is led: after a rewritten login, of a client without plugins, and where it is asked for.
    for mode, plugins in (("rewrite", True), ("relay", False)):
        rum, here = front(t, path, "--mysql-auth", mode)

        def login(user):
            with Client(here) as more:
                return error_of(more.login, user, password(user))

        def change(c, user, word=None):
            return error_of(change_user, c, user, password(user) if word is None else word,
                            plugin=plugins)

        def who(c):
            return c.query("SELECT SUBSTRING_INDEX(USER(), '@', 1)")[0]

        with Client(here) as c:
            c.login("alice", password("alice"), plugin_auth=plugins)
            same((login("alice"), login("other")), (1226, 0), mode)
            # Its own session does not stand in its way.
            same((change(c, "alice"), who(c)), (0, "alice"), mode)
            same((change(c, "empty", "x"), c.sequence, who(c)), (1045, 3, "alice"), mode)
            net.until(lambda: change(c, "other") == 0, 10, "other has left")
            same(who(c), "other")
            same(login("other"), 1226, mode)
            with Client(here) as second:
                second.login("alice", password("alice"))
                same((change(c, "alice"), who(c)), (1226, "other"), mode)
            net.until(lambda: login("alice") == 0, 10, "the second one has left")
            net.until(lambda: change(c, "alice", "wrong") == 1045, 10, "the server refuses")
            same((who(c), login("other")), ("other", 1226), mode)
            net.until(lambda: login("alice") == 0, 10, "its place is free")
            c.quit()
        net.until(lambda: login("other") == 0, 10, "the session's place is free")
        net.until(lambda: any(s.get("changed_to") and s["user"] == "alice" and s["change_refused"]
                              for s in rum.sessions()), 10, "the log's line")
        check(metric(rum, "mysql_denied_user_changes") >= 2, rum.stats()["module"])
    # A change that is not seen is not judged: so says the manual.
    _, here = front(t, path, "--mysql-auth", "relay")
    with Client(here) as c, Client(here) as second:
        second.login("other", password("other"))
        c.login("alice", password("alice"))
        change_user(c, "other", password("other"))
        same(c.query("SELECT 1"), ["1"])


@test("--mysql-change-user same judges the user anew, and counts it once", needs=BOTH)
def _(t):
    rules = b"\x80max=1 rate=1/h"
    path = write_map(t, row(t, "alice", "A", rest=rules))
    rum, here = front(t, path, "--mysql-auth", "relay", "--mysql-change-user", "same")
    with Client(here) as c:
        c.login("alice", password("alice"))
        for _ in range(3):
            change_user(c, "alice", password("alice"))
        write_map(t, row(t, "alice", "A", rest=b"\x80disabled"))
        net.until(lambda: error_of(change_user, c, "alice", password("alice")) == 1045, 10,
                  "the new map")
        same(c.query("SELECT SUBSTRING_INDEX(USER(), '@', 1)"), ["alice"])


@test("deny sees a change of the user behind data whose numbers wrap, and not in them", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t), "--mysql-change-user", "deny")
    with Client(here) as c:
        c.login("alice", password("alice"), capabilities=USUAL | LOCAL_FILES, database="rumtest")
        c.query("CREATE TEMPORARY TABLE loaded (text VARCHAR(100))")
        for lines in (1, 252, 253, 254, 255, 300, 510):
            c.command(b"\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE loaded")
            same(c.read()[:1], b"\xfb")
            for number in range(lines):
                c.send(b"\x11bob\x01\n", (c.sequence + 1) % 256)
            c.send(b"", (c.sequence + 1) % 256)
            same(c.read()[:1], b"\0", "%d packets of data" % lines)
            same(c.query("SELECT COUNT(*) FROM loaded"), [str(lines)])
            c.query("DELETE FROM loaded")
        try:
            change_user(c, "other", password("other"))
            check(False, "another user")
        except ServerError as e:
            same(e.code, 1045)


@test("A password of a TLS client in a COM_CHANGE_USER never goes to MySQL without TLS",
      needs=("mysql.so", "mysql-sid"), seconds=90)
def _(t):
    servers = t.run.newer["mysql-sid"]
    server = servers.plain
    server.admin("CREATE USER fresh@'%' IDENTIFIED WITH caching_sha2_password BY 'Fresh-5tR2w'")
    server.admin("GRANT ALL ON " + DATABASE + ".* TO fresh@'%'")
    authority = Authority(t.folder)
    listener = Recorder(server.port)
    t.keep(listener)
    path = write_map(t, ("sha2", "", listener.address, b""))
    rum, here = front_tls(t, path, authority, "-t", "mysql80")
    out = clients.run(t, [shutil.which("php"), os.path.join(clients.CLIENTS, "change_user.php"),
                          "127.0.0.1", str(port_of(here)), "sha2", newer_servers.password("sha2"),
                          DATABASE, "fresh", "Fresh-5tR2w", authority.certificate])
    has(out, "again sha2 same")
    has(out, "changed fresh")
    check(b"Fresh-5tR2w" not in listener.seen(), "the password was on the plain link")
    check(metric(rum, "mysql_user_changes") >= 1, rum.stats()["module"])


@test("Over a unix socket nobody becomes rum's own system user", needs=BOTH)
def _(t):
    import pwd
    name = pwd.getpwuid(os.geteuid()).pw_name
    if name != "root":
        raise Skipped("the server's administrator is root")
    server = t.run.servers.own(t, [])
    for how in ("unix_socket", "mysql_native_password USING 'invalid' OR unix_socket"):
        server.admin("ALTER USER root@localhost IDENTIFIED VIA " + how)
        path = write_map(t, row(t, "other", "sock:" + server.socket),
                         (name, "", "sock:" + server.socket, b""))
        _, here = front(t, path, "--mysql-auth", "relay")
        with Client(here) as c, Client(here) as root:
            c.login("other", password("other"))
            for number in range(5):
                same(c.query("SELECT %d" % number), [str(number)])
            for attempt in (lambda: change_user(c, name, "any"), lambda: root.login(name, "any")):
                try:
                    attempt()
                    check(False, "logged in as " + name)
                except ServerError as e:
                    same(e.code, 1045)


class Recorder:
    """Passes connections on to a port of 127.0.0.1, and keeps what clients sent."""

    def __init__(self, port):
        import socket
        import threading
        self.port, self.bytes = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp:127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def seen(self):
        return b"".join(self.bytes)

    def close(self):
        self.listener.close()

    def _accept(self):
        import threading
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = connect("tcp:127.0.0.1:%d" % self.port, 60)
            client.settimeout(60)
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source, sink, keep):
        import socket
        try:
            while True:
                block = source.recv(65536)
                if not block:
                    break
                if keep:
                    self.bytes.append(block)
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


# -- compression ----------------------------------------------------------------------------------


@test("--mysql-compress lets a client compress, and others as they like", needs=BOTH)
def _(t):
    asks = "SHOW SESSION STATUS LIKE 'Compression'; SELECT LENGTH(REPEAT('x', 5000000))"
    for mode in ("relay", "rewrite"):
        for option, word, wanted in (("--mysql-compress", "--compress", "ON"),
                                     ("--mysql-compress", "--skip-compress", "OFF"),
                                     ("", "--compress", "OFF")):
            arguments = ["--mysql-auth", mode] + ([option] if option else [])
            _, here = front(t, usual_map(t), *arguments)
            answer = clients.mariadb_program(t, port_of(here), "alice", password("alice"), [word],
                                             asks)
            same(answer.output.split(), ["Compression", wanted, "5000000"],
                 " ".join((mode, option, word)))


@test("A client may compress inside TLS if the server's link has TLS, too", needs=BOTH)
def _(t):
    authority = Authority(t.folder)
    server = tls_server(t, authority)
    asks = ["--compress", "--ssl-ca=" + authority.certificate]
    for mode in ("relay", "rewrite"):
        path = write_map(t, row(t, "alice", server.address), row(t, "bob", "B"))
        _, here = front_tls(t, path, authority, "--mysql-auth", mode, "--mysql-compress")
        answer = clients.mariadb_program(t, port_of(here), "alice", password("alice"), asks,
                                         "SHOW SESSION STATUS LIKE 'Compression'")
        same(answer.output.split(), ["Compression", "ON"], mode)
        refused = clients.mariadb_program(t, port_of(here), "bob", password("bob"), asks)
        same(refused.code, 1105, "to a server without TLS")


@test("--mysql-compress lets MySQL's client compress by zstd, where all servers can",
      needs=("mysql.so", "mysql-sid", "mariadb"))
def _(t):
    kind = t.run.newer["mysql-sid"]
    server, word = kind.plain, newer_servers.password("sha2")
    server.fill_cache("sha2")
    path = write_map(t, row(t, "alice", "A"), ("sha2", "", server.address))
    asks = "SHOW SESSION STATUS LIKE 'Compression_%'; SELECT LENGTH(REPEAT('x', 5000000))"

    def ask(address, *options):
        return clients.run(t, kind.tree.client(
            "-h127.0.0.1", "-P%d" % port_of(address), "-usha2", "-p" + word, "--ssl-mode=DISABLED",
            *options, "-Ne", asks)).split()[-7:]

    zstd = ["--compression-algorithms=zstd", "--zstd-compression-level=10"]
    wanted = ["Compression_algorithm", "zstd", "Compression_level", "10", "5000000"]
    same(ask(server.address, *zstd)[-5:], wanted)
    _, here = front(t, path, "-t", "mysql80", "--mysql-compress")
    same(ask(here, *zstd)[-5:], wanted)
    same(ask(here, "--compression-algorithms=zlib")[-5:],
         ["Compression_algorithm", "zlib", "Compression_level", "6", "5000000"])
    # Not offered by a server of MariaDB, so not by rum in front of one.
    _, here = front(t, path, "--mysql-compress", "--mysql-greeting", "learn", "--health-check", "1s")
    has(" ".join(ask(here, *zstd)), "compression algorithm")


@test("--mysql-compress and --mysql-change-user same are refused together", needs=("mysql.so",))
def _(t):
    code, _, err = run_once(t, "--check", "-s", tcp(), "-d", tcp(), "-P", "mysql.so",
                            "--mysql-compress", "--mysql-change-user", "same")
    check(code != 0, "accepted")
    has(err, "--mysql-compress")

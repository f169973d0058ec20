"""Users who move between two servers: rumctl pause and resume, and --map-moved."""

import signal
import subprocess
import threading
import time

from mysql_setup import front, row, write_map
from support import net
from support.harness import check, has, same, test
from support.mariadb import password
from support.mysql_wire import Client, ServerError, native_token, response
from support.net import connect
from support.peers import Echo
from test_control import ctl
from test_mysql_map import where
from test_redirect import tcp

BOTH = ("mysql.so", "mariadb")
USER = "shared"


def rum_map(t, *arguments):
    subprocess.run([t.run.build.rum_map, *arguments], check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, timeout=60)


def start(t, *options, name="users.cdb", **more):
    """(rum, address, map) with the user on server A."""
    path = write_map(t, row(t, USER, "A"), name=name)
    rum, here = front(t, path, "--control", "sock:" + t.path("control"), *options, **more)
    same(where(here), t.run.servers.a.port)
    return rum, here, path


class Login(threading.Thread):
    """A login of the user in the background: the port of its server, or the error."""

    def __init__(self, t, here):
        super().__init__(daemon=True)
        self.here, self.result = here, None
        self.start()

    def run(self):
        try:
            self.result = where(self.here)
        except Exception as e:
            self.result = e


def restore(server, rows):
    import pymysql
    connection = pymysql.connect(unix_socket=server.socket, user="root", autocommit=True)
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO rumtest.moved VALUES (%s)", rows)
    connection.close()


def held(rum):
    return rum.stats()["pauses"]["held"]


@test("A user moves between two MariaDB servers under load: no new login fails, no write is lost",
      needs=BOTH, seconds=180)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    rum, here, path = start(t, "--login-timeout", "1s")
    create = "CREATE OR REPLACE TABLE rumtest.moved (id BIGINT PRIMARY KEY)"
    a.admin(create)
    b.admin(create)
    stop = threading.Event()
    failed, written, cut = [], [], []
    lock = threading.Lock()

    def write(writer):
        number = writer * 1_000_000
        while not stop.is_set():
            number += 1
            try:
                client = Client(here, 60)
                client.login(USER, password(USER))
            except Exception as e:
                failed.append(repr(e))
                continue
            try:
                client.query("INSERT INTO rumtest.moved VALUES (%d)" % number)
                with lock:
                    written.append(number)
            except Exception as e:  # an open session, which the operator ends
                cut.append(repr(e))
            finally:
                client.socket.close()

    writers = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(1, 9)]
    for writer in writers:
        writer.start()
    net.until(lambda: len(written) > 100, 20, "writes at A")
    has(ctl(t, "pause", "user=" + USER, "2m"), "new logins wait, at most 2m")
    net.until(lambda: held(rum) > 0, 10, "logins wait")
    mine = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '%s'" % USER

    def clear():
        ctl(t, "kill", "user=" + USER)
        return a.admin(mine)[0][0] == 0

    net.until(clear, 20, "A has no session of the user")
    before = a.admin("SELECT COUNT(*) FROM rumtest.moved")[0][0]
    time.sleep(1.5 * t.scale)  # longer than --login-timeout
    rows = a.admin("SELECT id FROM rumtest.moved")
    same(len(rows), before, "nothing is written any more")
    restore(b, rows)
    same(held(rum), len(writers), "all writers wait")
    has(ctl(t, "status"), "user shared, %d logins wait" % len(writers))
    rum_map(t, "set", path, USER, b.address)
    has(ctl(t, "resume", "user=" + USER), "lets %d logins go on" % len(writers))
    moved = len(written)
    net.until(lambda: len(written) > moved + 100, 20, "writes at B")
    stop.set()
    for writer in writers:
        writer.join(30)
    same(failed, [], "new logins")
    same(a.admin("SELECT COUNT(*) FROM rumtest.moved")[0][0], len(rows), "none went to A again")
    there = {r[0] for r in b.admin("SELECT id FROM rumtest.moved")}
    same(set(written) - there, set(), "acknowledged writes that are lost")
    same(rum.stats()["pauses"]["held"], 0)
    t.say("%d writes, %d of them after the move; %d open sessions ended" % (
        len(written), len(written) - moved, len(cut)))


@test("A pause ends by its time with a line in the log, and its logins go on", needs=BOTH)
def _(t):
    rum, here, _ = start(t)
    same(ctl(t, "pause", "user=nobody"),
         "user nobody: new logins wait, at most 30s; the map has no record of this name\n")
    ctl(t, "resume", "user=nobody")
    same(ctl(t, "pause", "user=" + USER, "1s"), "user shared: new logins wait, at most 1s\n")
    login = Login(t, here)
    net.until(lambda: held(rum) == 1, 5, "it waits")
    has(ctl(t, "sessions"), "held")
    net.until(lambda: login.result is not None, 10, "the pause has ended")
    same(login.result, t.run.servers.a.port)
    rum.wait_log("the pause of user shared has ended by its time and lets 1 login go on")
    same(rum.metric("rum_pauses"), 0)
    same(rum.metric("rum_pause_logins_total"), 1)
    has(ctl(t, "resume", "user=" + USER, code=1), "user shared is not paused")


@test("A pause goes on in the process that takes over, and nobody who waits gets an error", needs=BOTH,
      seconds=120)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    rum, here, path = start(t)
    ctl(t, "pause", "user=" + USER, "2m")
    ctl(t, "pause", "server=sock:/run/a,b%c", "1m")
    early = [Login(t, here) for _ in range(3)]
    net.until(lambda: held(rum) == 3, 5, "they wait in the old process")
    old = rum.hand_over()
    pauses = rum.stats()["pauses"]["list"]
    same([one.get("user", one.get("server")) for one in pauses], [USER, "sock:/run/a,b%c"])
    check(90 < pauses[0]["seconds"] < 120, "the time that is left: %r" % pauses[0])
    late = [Login(t, here) for _ in range(2)]
    net.until(lambda: held(rum) == 2, 5, "they wait in the new one")
    same(ctl(t, "sessions").count("held"), 5)
    rum_map(t, "set", path, USER, b.address)
    has(ctl(t, "resume", "user=" + USER), "which lets 2 logins go on; also in process %d" % old.pid)
    for login in early + late:
        login.join(20)
        same(login.result, b.port)
    ctl(t, "resume", "server=sock:/run/a,b%c")
    has(ctl(t, "resume", "user=" + USER, code=1), "is not paused")


@test("A pause that was handed over ends by its time, and one that is given then holds in all", needs=BOTH)
def _(t):
    a = t.run.servers.a
    rum, here, _ = start(t)
    stays = Client(here)
    stays.login(USER, password(USER))
    ctl(t, "pause", "user=" + USER, "4s")
    login = Login(t, here)
    net.until(lambda: held(rum) == 1, 5, "it waits")
    old = rum.hand_over()
    late = Login(t, here)
    for one in (login, late):
        one.join(20)
        same(one.result, a.port)
    net.until(lambda: rum.log().count("has ended by its time and lets 1 login go on") == 2, 10, "both say so")
    has(ctl(t, "pause", "user=" + USER), "also in process %d" % old.pid)
    has(ctl(t, "resume", "user=" + USER), "also in process %d" % old.pid)
    stays.socket.close()


@test("A pause of a server holds those whom the map sends there, and nobody else", needs=BOTH)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    rum, here, path = start(t)
    check("names it" not in ctl(t, "pause", "server=" + a.address), "the map names it")
    has(ctl(t, "pause", "server=tcp:typo:1"), "no option and no record of the map names it")
    ctl(t, "resume", "server=tcp:typo:1")
    login = Login(t, here)
    net.until(lambda: held(rum) == 1, 5, "it waits")
    rum_map(t, "set", path, USER, b.address)
    net.until(lambda: rum.stats()["map"]["changes"] == 1, 5, "the map has changed")
    same(where(here), b.port, "a login to the other server")
    same(held(rum), 1)
    ctl(t, "resume", "server=" + a.address)
    net.until(lambda: login.result is not None, 10, "it goes on")
    same(login.result, b.port)


@test("A client that leaves during a pause frees its place, and too many are refused", needs=BOTH,
      seconds=120)
def _(t):
    rum, here, _ = start(t, "--login-timeout", "off")
    ctl(t, "pause", "user=" + USER, "5m")
    logins = [Login(t, here) for _ in range(3)]
    net.until(lambda: held(rum) == 3, 5, "they wait")
    ctl(t, "kill", "user=" + USER)
    same(held(rum), 3, "kill by user spares them")
    for n, leave in enumerate(("close", "reset")):
        client = Client(here)
        start_login(client)
        net.until(lambda: held(rum) == 4, 5, "one more")
        if leave == "reset":
            net.reset(client.socket)
        else:
            client.socket.close()
        net.until(lambda: held(rum) == 3, 5, "its place is free after a " + leave)
    crowd = []
    while held(rum) < 1000:
        for _ in range(1000 - held(rum)):
            client = Client(here)
            start_login(client)
            crowd.append(client)
        time.sleep(0.1)
    try:
        where(here)
        check(False, "one too many")
    except ServerError as e:
        check(e.code in (1040, 1203, 1226, 1041), "a limit: %d" % e.code)
    same(rum.metric("rum_pause_refused_total"), 1)
    for client in crowd:
        client.socket.close()
    net.until(lambda: held(rum) == 3, 20, "all but three have left")
    ctl(t, "resume", "user=" + USER)
    for login in logins:
        login.join(10)
        same(login.result, t.run.servers.a.port)


def start_login(client):
    """Sends the answer to the greeting, and waits for nothing."""
    client.greet()
    client.send(response(USER, native_token(password(USER), client.greeting.nonce)))


@test("Without a map and a module's login, a pause of the server holds the connection")
def _(t):
    echo, here = t.keep(Echo()), tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--control", "sock:" + t.path("control"))
    ctl(t, "pause", "server=" + echo.address)
    with connect(here) as s:
        s.sendall(b"hello")
        net.until(lambda: held(rum) == 1, 5, "it waits")
        ctl(t, "resume", "server=" + echo.address)
        same(net.read_exact(s, 5), b"hello")
    for words in ([], ["user=a", "server=tcp:a:1"], ["user="], ["server=nowhere"], ["user=a", "11m"],
                  ["user=a", "off"]):
        ctl(t, "pause", *words, code=1)


@test("--map-moved ends sessions of users who have moved: all, those that are idle, or none",
      needs=BOTH, seconds=120)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    for mode in ("keep", "end-idle", "end"):
        rum, here, path = start(t, "--map-moved", mode, name=mode + ".cdb")
        idle, busy, stays = Client(here), Client(here, 20 * t.scale), Client(here)
        for client in (idle, busy, stays):
            client.login(USER, password(USER))
        same(idle.query("SELECT @@port"), [str(a.port)])
        # Longer than the wait for what must not happen.
        statement = "SELECT SLEEP(%d)" % (4 * t.scale)
        slow = threading.Thread(target=lambda: results.append(busy.query(statement)), daemon=True)
        results = []
        if mode != "end":
            slow.start()
        rum_map(t, "set", path, USER, "%s,%s" % (b.address, a.address))
        net.until(lambda: rum.stats()["map"]["changes"] == 1, 5, "the change")
        time.sleep(2 * t.scale)
        same(rum.stats()["sessions"]["relaying"], 3, "A is in the list, so all stay")
        rum_map(t, "set", path, USER, b.address)
        left = {"keep": 3, "end-idle": 1, "end": 0}[mode]
        net.until(lambda: rum.stats()["sessions"]["relaying"] == left, 10, "%s: %d left" % (mode, left))
        same(where(here), b.port)
        if mode != "end":
            slow.join(20 * t.scale)
            same(results, [["0"]], "the statement is complete")
        if mode == "end-idle":
            net.until(lambda: rum.stats()["sessions"]["relaying"] == 0, 10, "now it is idle, too")
        killed = lambda: [r for r in rum.records() if r.get("reason") == "killed"]
        net.until(lambda: len(killed()) == (0 if mode == "keep" else 3), 5, "their lines")
        for record in killed():
            has(record["detail"], "the map sends the user elsewhere")
        for client in (idle, busy, stays):
            client.socket.close()
        rum.signal(signal.SIGTERM)
        same(rum.wait_exit(20), 0)

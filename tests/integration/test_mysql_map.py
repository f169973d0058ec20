"""The user map while rum runs: replaced, broken, truncated, missing, and what logins see of it."""

import os
import random
import signal
import subprocess
import threading
import time

from mysql_setup import front, row, write_map
from support import cdb, mariadb, net
from support.harness import check, full, has, same, test
from support.mariadb import password
from support.certificates import Authority
from support.mysql_wire import Client, ServerError
from support.rum import run_once
from test_control import ctl

BOTH = ("mysql.so", "mariadb")


def where(here, user="shared"):
    """The port of the server that a login lands on."""
    with Client(here) as c:
        c.login(user, password(user))
        return int(c.query("SELECT @@port")[0])


def load(t, here, logins, parallel, user="shared", extra=()):
    """Starts the load of logins; returns a function that waits for its result."""
    import json
    process = subprocess.Popen(
        [t.run.build.login_load, "--address", here, "--user", user, "--password", password(user),
         "--logins", str(logins), "--parallel", str(parallel), "--query", "SELECT @@port", *extra],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    t.on_end(lambda: process.poll() is None and process.kill())

    def result(seconds=120):
        out, _ = process.communicate(timeout=seconds)
        return json.loads(out)
    result.process = process
    return result


def swap_until_done(rum, path, versions, result, every=0.1):
    """Puts one version after the other in place until the load is over, and has each taken at once;
    returns how often."""
    count = 0
    while result.process.poll() is None:
        count += 1
        cdb.replace(path, versions[count % len(versions)])
        rum.signal(signal.SIGHUP)
        try:
            result.process.wait(every)
        except subprocess.TimeoutExpired:
            pass
    return count


@test("A command line of 6.7 is good word for word, and what is not there is told by name", needs=("mysql.so",))
def _(t):
    path = write_map(t, ("alice", "", "tcp:127.0.0.1:1"))
    certificate, key = Authority(t.folder).sign("front")
    line = ["--source", "tcp:127.0.0.1:1", "--failover-r", "tcp:127.0.0.1:2,tcp:127.0.0.1:3",
            "--stats", "tcp:127.0.0.1:4", "--mysql-cdb", path, "--dbtype", "mysql51",
            "--logfile", t.path("log"), "--loglogins", "--verbose", "--background",
            "--connect-timeout", "6", "--read-timeout", "6", "--ssl-server", "--ssl-cert", certificate,
            "--ssl-key", key, "--ssl-ciphers", "HIGH", "--ssl-min-proto", "tls1.2", "--check"]
    same(run_once(t, *line), (0, "rum: the configuration is good\n", ""))
    line[line.index("mysql51")] = "none"
    has(run_once(t, *line)[2], "--mysql-version: ")
    config = t.path("rum.conf")
    with open(config, "w") as f:
        f.write("dbtype = mariadb55\next = tcp:127.0.0.1:5\n")
    code, _, err = run_once(t, "-s", "tcp:127.0.0.1:1", "-M", path, "--config", config, "--check")
    same((code, err), (1, "rum: %s:2: --ext of version 6.7 was removed: write --map with the address "
                          "of the service, such as http://127.0.0.1:8080/users/{user}; see MAPS "
                          "ON OTHER MACHINES in rum(8)\n" % config))


@test("A new map is taken within 2 s and decides all further logins", needs=BOTH)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    path = write_map(t, row(t, "shared", "A"))
    rum, here = front(t, path)
    same(where(here), a.port)
    for server, letter in ((b, "B"), (a, "A"), (b, "B")):
        write_map(t, row(t, "shared", letter))
        begin = time.monotonic()
        net.until(lambda: where(here) == server.port, 5, "the new map counts")
        # 2 s are promised; the rest is for a busy machine.
        check(time.monotonic() - begin < 2 * t.scale + 1.5, "within 2 s")
        for _ in range(10):
            same(where(here), server.port, "no way back")


@test("A session goes on where it is when the map is replaced", needs=BOTH)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    path = write_map(t, row(t, "shared", "A"))
    _, here = front(t, path)
    with Client(here) as c:
        c.login("shared", password("shared"))
        same(c.query("SELECT @@port"), [str(a.port)])
        write_map(t, row(t, "shared", "B"))
        net.until(lambda: where(here) == b.port, 5, "the new map counts")
        same(c.query("SELECT @@port"), [str(a.port)])


def swaps(t, mode, logins, extra=()):
    a, b = t.run.servers.a, t.run.servers.b
    versions = [cdb.users(row(t, "shared", "A"), *[("filler%d" % n, "", "tcp:x:1") for n in range(99)]),
                cdb.users(row(t, "shared", "B"), *[("filler%d" % n, "", "tcp:y:2") for n in range(9)])]
    path = t.path("users.cdb")
    cdb.replace(path, versions[0])
    rum, here = front(t, path, "--mysql-auth", mode)
    # Once through, so that buffers and pools exist before memory is compared.
    load(t, here, 500, 64, extra=extra)()
    rum.wait_sessions(500)
    rum.back_to_baseline()
    before = rum.resident()
    result = load(t, here, logins, 64, extra=extra)
    count = swap_until_done(rum, path, versions, result)
    outcome = result(300)
    same((outcome["ok"], outcome["failed"], outcome["errors"]), (logins, 0, {}), "logins")
    allowed = {str(a.port), str(b.port)}
    same(set(outcome["values"]), allowed, "servers")
    taken = rum.stats()["map"]["loads"] - 1
    check(taken >= 3, "%d swaps, %d maps taken" % (count, taken))
    net.until(lambda: rum.stats()["sessions"]["active"] == 0, 10, "no session is left")
    same(rum.stats()["sessions"]["accepted"], logins + 500)
    grown = rum.resident() - before
    check(grown < (24 << 20 if not t.run.build.sanitizer else 600 << 20), "grew by %d" % grown)
    t.say("%d logins, %d of them on A and %d on B, %d swaps of which %d were taken, memory grew by "
          "%d KiB, descriptors as before" % (logins, outcome["values"][str(a.port)],
                                             outcome["values"][str(b.port)], count,
                                             taken, grown >> 10))


@test("Logins, 64 at a time, while the map is swapped every 100 ms: none fails, none goes wrong",
      needs=BOTH, seconds=400 if full() else 120)
def _(t):
    swaps(t, "auto", 100_000 if full() else 5_000)


@test("The same in rewrite mode, by clients without PLUGIN_AUTH", needs=BOTH, seconds=120)
def _(t):
    swaps(t, "rewrite", 5_000, ["--no-plugin-auth"])


@test("A bad map is refused with one line and a count, and the last good one stays", needs=BOTH)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    path = write_map(t, row(t, "shared", "A"))
    rum, here = front(t, path)
    good = cdb.users(row(t, "shared", "B"))
    dice = random.Random(3)
    bad = {
        "empty": b"",
        "random": dice.randbytes(5000),
        "short": good[:2048],
        "cut": good[:-5],
        "zeros behind the head": good[:2048] + bytes(len(good) - 2048),
        "an absurd table": b"\xff" * 2048 + good[2048:],
        "an HTML page": b"<html><body>404</body></html>" * 100,
    }
    for number, (name, data) in enumerate(bad.items(), 1):
        cdb.replace(path, data)
        net.until(lambda: rum.stats()["map"]["load_failures"] >= number, 5,
                  "the map '%s' is noticed" % name)
        same(where(here), a.port, "the last good map stays after '%s'" % name)
        same(rum.get("/ready")[0], 200)
    same(rum.metric("rum_map_load_failures_total"), len(bad))
    net.until(lambda: len([r for r in rum.records() if r["level"] == "error"]) >= len(bad), 5,
              "a line for each")
    lines = [r for r in rum.records() if r["level"] == "error"]
    same(len(lines), len(bad), "lines: %s" % lines)
    for line in lines:
        has(line["message"], "users.cdb")
    cdb.replace(path, good)
    net.until(lambda: where(here) == b.port, 5, "a good map is taken again")


@test("A map that is truncated in place under load does not end the process", needs=BOTH, seconds=60)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    filler = [("user%05d" % n, "", "tcp:nowhere:1") for n in range(20000)]
    data = cdb.users(row(t, "shared", "A"), *filler)
    path = t.path("users.cdb")
    cdb.replace(path, data)
    rum, here = front(t, path)
    same(where(here), a.port)
    result = load(t, here, 3000, 16)
    sizes = [len(data) // 2, 4096, 2048, 100, 0]
    while result.process.poll() is None:
        for size in sizes:
            with open(path, "r+b") as f:
                f.truncate(size)
            try:
                result.process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
        with open(path, "r+b") as f:  # written in place too, which nobody should do
            f.write(data)
            f.truncate()
    outcome = result()
    same((outcome["ok"], outcome["failed"]), (3000, 0), str(outcome))
    same(set(outcome["values"]), {str(a.port)})
    check(rum.alive(), "alive")
    cdb.replace(path, cdb.users(row(t, "shared", "B")))
    net.until(lambda: where(here) == b.port, 5, "a good map is taken")


@test("Without a map at the start logins get an error and /ready says 503; then the map comes",
      needs=BOTH)
def _(t):
    path = t.path("later.cdb")
    rum, here = front(t, path, ready=False)
    same(rum.get("/live")[0], 200)
    same(rum.get("/ready")[0], 503)
    for _ in range(3):
        with Client(here) as c:
            try:
                c.login("shared", password("shared"))
                check(False, "logged in without a map")
            except ServerError as e:
                check(e.code != 1045, "not the same as a wrong password: %s" % e)
                check(e.sqlstate, "a SQL state: %s" % e)
                check("cdb" not in e.text and "/" not in e.text, "internals: %s" % e)
    same([r["reason"] for r in rum.wait_sessions(3)], ["map_unavailable"] * 3)
    write_map(t, row(t, "shared", "A"), name="later.cdb")
    net.until(lambda: rum.get("/ready")[0] == 200, 5, "/ready says 200")
    same(where(here), t.run.servers.a.port)


@test("A bad map at the start is the same as none", needs=BOTH)
def _(t):
    path = t.path("users.cdb")
    cdb.replace(path, b"rubbish" * 1000)
    rum, here = front(t, path, ready=False)
    same(rum.get("/ready")[0], 503)
    write_map(t, row(t, "shared", "A"))
    net.until(lambda: rum.get("/ready")[0] == 200, 5, "/ready says 200")
    same(where(here), t.run.servers.a.port)


@test("A map that is deleted or may not be read any more leaves the last one in use", needs=BOTH)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    path = write_map(t, row(t, "shared", "A"))
    rum, here = front(t, path)
    os.unlink(path)
    # Noticed or not, it must not count: three times the interval.
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        same(where(here), a.port)
        time.sleep(0.2)
    same(rum.get("/ready")[0], 200)
    os.mkdir(path)
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        same(where(here), a.port)
        time.sleep(0.2)
    os.rmdir(path)
    write_map(t, row(t, "shared", "B"))
    net.until(lambda: where(here) == b.port, 5, "the new map counts")


@test("A map behind a symbolic link is taken anew when the link is turned", needs=BOTH)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    write_map(t, row(t, "shared", "A"), name="1.cdb")
    write_map(t, row(t, "shared", "B"), name="2.cdb")
    link = t.path("current.cdb")
    os.symlink("1.cdb", link)
    _, here = front(t, link)
    same(where(here), a.port)
    os.symlink("2.cdb", link + ".new")
    os.rename(link + ".new", link)
    net.until(lambda: where(here) == b.port, 5, "the new map counts")


@test("A record with a destination that is written wrong ends that login only", needs=BOTH)
def _(t):
    wrong = ["", "nonsense", "tcp:", "tcp:host", "tcp:host:0", "tcp:host:99999", "tcp:host:http",
             "sock:", "tcp:[::1:3306", "tcp:a b:1", ",", "tcp:127.0.0.1:1,", "udp:127.0.0.1:1",
             "sock:" + "x" * 300]
    rows = [("wrong%d" % n, "", text) for n, text in enumerate(wrong)]
    raw = [(b"nonul", b"just text"), (b"onenul", b"hash\0tcp:127.0.0.1:1"), (b"nothing", b""),
           (b"badhash", b"*ABCDEF\0" + t.run.servers.a.address.encode() + b"\0")]
    path = t.path("users.cdb")
    cdb.replace(path, cdb.encode([cdb.user_record(*r) for r in rows] + raw
                                 + [cdb.user_record(*row(t, "alice", "A"))]))
    rum, here = front(t, path)
    for user in [r[0] for r in rows] + [k.decode() for k, _ in raw]:
        with Client(here) as c:
            try:
                c.login(user, "pw")
                check(False, user + " logged in")
            except ServerError as e:
                check(e.sqlstate, "%s: %s" % (user, e))
        same(where(here, "alice"), t.run.servers.a.port)
    reasons = {r["user"]: r["reason"] for r in rum.wait_sessions(2 * (len(rows) + len(raw)))}
    for user in [r[0] for r in rows]:
        same(reasons[user], "bad_destination", user)


@test("A map that is written wrong in one record is not noticed by others", needs="mysql.so")
def _(t):
    from support.mysql_wire import FakeServer
    server = t.keep(FakeServer("pw"))
    path = write_map(t, ("good", "", server.address), ("bad", "", "tcp:no.such.host.invalid:3306"))
    rum, here = front(t, path)
    for _ in range(5):
        with Client(here) as c:
            try:
                c.login("bad", "pw")
                check(False, "logged in")
            except ServerError as e:
                check("invalid" not in e.text, "the internal name: %s" % e)
        with Client(here) as c:
            c.login("good", "pw")
    reasons = [r["reason"] for r in rum.wait_sessions(10)]
    same(reasons.count("unresolved"), 5)


@test("rum-map builds what rum reads, and tells the same of it", needs=BOTH)
def _(t):
    tool = t.run.build.rum_map
    check(tool, "rum-map is built")
    text = t.path("users.txt")
    a, b = t.run.servers.a, t.run.servers.b
    with open(text, "w") as f:
        f.write("alice %s %s\n" % (mariadb.hash_of("alice"), a.address))
        f.write("bob %s %s\n" % (mariadb.hash_of("bob"), b.address))
    path = t.path("users.cdb")
    done = subprocess.run([tool, "build", path, text], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    same(done.returncode, 0, "rum-map build: " + done.stdout)
    for mode in ("relay", "rewrite"):
        _, here = front(t, path, "--mysql-auth", mode)
        same((where(here, "alice"), where(here, "bob")), (a.port, b.port))
    # And the other way round: rum-map reads what this test writes by itself.
    write_map(t, row(t, "alice", "A"), row(t, "bob", "B", False), name="own.cdb")
    done = subprocess.run([tool, "dump", t.path("own.cdb")], stdout=subprocess.PIPE, text=True)
    same(done.returncode, 0, "rum-map dump")
    has(done.stdout, a.address)
    has(done.stdout, b.address)
    same(subprocess.run([tool, "check", t.path("own.cdb")], stdout=subprocess.DEVNULL).returncode, 0)


@test("HUP looks at the map now, and a storm of them loses no login", needs=BOTH, seconds=60)
def _(t):
    path = write_map(t, row(t, "shared", "A"))
    rum, here = front(t, path)
    result = load(t, here, 2000, 16)
    storms = 0
    while result.process.poll() is None or storms < 200:
        storms += 1
        rum.signal(signal.SIGHUP)
        time.sleep(0.005)
    outcome = result()
    same((outcome["ok"], outcome["failed"]), (2000, 0), str(outcome))


# The order of contrib/doc/operations.md, "Moving a user".
@test("A user who moves to another server as the guide says loses no write", needs=BOTH, seconds=60)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    for server in (a, b):
        # admin() does not commit.
        server.admin("CREATE OR REPLACE TABLE rumtest.moves (id INT PRIMARY KEY) ENGINE=MyISAM")
        t.on_end(lambda server=server: server.admin("DROP TABLE rumtest.moves"))
    path = write_map(t, row(t, "shared", "A"))
    rum, here = front(t, path, "--control", "sock:" + t.path("control"))
    written, refusals, stop = [], set(), threading.Event()

    def write(first):
        number = first
        while not stop.is_set():
            try:
                with Client(here) as c:
                    c.login("shared", password("shared"))
                    while not stop.is_set():
                        number += 4
                        c.command(b"\x03INSERT INTO rumtest.moves VALUES (%d)" % number)
                        c.result()
                        written.append(number)
            except ServerError as e:
                refusals.add(e.code)
                stop.wait(0.02)
            except (OSError, EOFError):
                pass
    writers = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for one in writers:
        one.start()
    try:
        net.until(lambda: len(written) > 100, 20, "they write")
        write_map(t, row(t, "shared", "A", rest=b"\x80disabled=moving,\\sback\\sin\\sa\\sminute"))
        ctl(t, "reload")
        has(ctl(t, "explain", "shared", code=1), "disabled, clients see: moving, back in a minute")
        ctl(t, "kill", "user=shared")
        net.until(lambda: a.admin("SELECT COUNT(*) FROM information_schema.processlist "
                                  "WHERE user = 'shared'")[0][0] == 0, 20, "none is at the old server")
        rows = a.admin("SELECT id FROM rumtest.moves")
        before = len(written)
        b.admin("INSERT INTO rumtest.moves VALUES " + ",".join("(%d)" % one for one in rows))
        net.until(lambda: 1053 in refusals, 10, "clients see the text")
        write_map(t, row(t, "shared", "B"))
        ctl(t, "reload")
        net.until(lambda: len(written) > before + 100, 20, "they write again")
    finally:
        stop.set()
        for one in writers:
            one.join(30)
    same(refusals - {1927}, {1053})  # 1927: killed in its login
    there = {one for one, in b.admin("SELECT id FROM rumtest.moves")}
    same(sorted(set(written) - there), [], "writes that were confirmed and are lost")
    same(a.admin("SELECT COUNT(*) FROM rumtest.moves")[0][0], len(rows), "at the old server")

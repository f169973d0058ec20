"""Single users of a large map changed by its journal while rum runs and logins go on."""

import os
import subprocess
import threading
import time

from mysql_setup import front, row
from support import cdb, net
from support.harness import check, full, has, same, test
from test_mysql_map import load, where

BOTH = ("mysql.so", "mariadb")
FILLERS = 200_000


def rum_map(t, *arguments, stdin=None):
    done = subprocess.run([t.run.build.rum_map, *arguments], input=stdin, capture_output=True,
                          timeout=60)
    same(done.returncode, 0, "%s: %s" % (arguments, done.stderr))
    return done


def large_map(t):
    """(path, text) of a map where the user shared is on server A."""
    user, secret, address, _ = row(t, "shared", "A")
    text = ["%s %s %s\n" % (user, secret, address)]
    text += ["filler%06d - tcp:filler%d:1\n" % (n, n % 50) for n in range(FILLERS)]
    path, lines = t.path("users.cdb"), t.path("users.txt")
    with open(lines, "w") as f:
        f.writelines(text)
    rum_map(t, "build", path, lines)
    return path, lines


@test("A user moved by rum-map set is live at once, without a load of the map", needs=BOTH, seconds=120)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    path, _ = large_map(t)
    rum, here = front(t, path)
    same(where(here), a.port)
    times = []
    for turn in range(10):
        server = (b, a)[turn % 2]
        begin = time.monotonic()
        rum_map(t, "set", path, "shared", server.address)
        done = time.monotonic()
        net.until(lambda: where(here) == server.port, 5, "the change counts")
        times.append((done - begin, time.monotonic() - begin))
    t.say("set took %.0f ms, live after %.0f ms at most, of %d users" % (
        max(s for s, _ in times) * 1000, max(live for _, live in times) * 1000, FILLERS + 1))
    rum_map(t, "unset", path, "shared")
    net.until(lambda: rum.stats()["map"]["records"] == FILLERS, 5, "shared is gone")
    stats = rum.stats()["map"]
    same((stats["loads"], stats["changes"], stats["journal_error"]), (1, 1, ""))
    check(stats["changed_at"] > 0, "changed_at")
    same(rum.metric("rum_map_changes"), 1)
    os.remove(path + ".log")
    rum.wait_log("its journal is gone: the changes of 1 user apply no more")
    same(where(here), a.port, "as the map was built")


@test("Logins while users change by the journal and the map is built: none fails, none goes wrong",
      needs=BOTH, seconds=240)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    path, lines = large_map(t)
    rum, here = front(t, path)
    same(where(here), a.port)
    logins, changes = (20_000, 10_000) if full() else (2_000, 2_000)
    result = load(t, here, logins, 32)
    made = 0
    begin = time.monotonic()
    while made < changes:
        # In lots, as a program does it that follows a table of users.
        lot = "".join("moved%d - tcp:n%d:1\n" % (made + n, made % 50) for n in range(50))
        rum_map(t, "set", "-q", path, stdin=lot.encode())
        rum_map(t, "set", "-q", path, "shared", (a, b)[made // 51 % 2].address)
        made += 51
        if made % 1020 == 0:
            rum_map(t, "fold", "-q", path)
    took = time.monotonic() - begin
    outcome = result(200)
    same((outcome["ok"], outcome["failed"], outcome["errors"]), (logins, 0, {}), "logins")
    same(set(outcome["values"]) | {str(a.port), str(b.port)}, {str(a.port), str(b.port)}, "servers")
    net.until(lambda: rum.stats()["map"]["records"] == FILLERS + 1 + made - made // 51, 10,
              "all changes are there")
    t.say("%d logins; %d changes and %d folds in %.1f s" % (logins, made, made // 1020, took))

    # The text is the truth, but for what changes while it is read.
    rum_map(t, "set", path, "shared", b.address)
    read, write = os.pipe()
    builder = subprocess.Popen([t.run.build.rum_map, "build", "-q", path], stdin=read)
    os.close(read)
    with os.fdopen(write, "wb") as pipe, open(lines, "rb") as text:
        pipe.write(text.read(1 << 20))
        pipe.flush()
        rum_map(t, "set", path, "new", b.address)
        pipe.write(text.read())
    same(builder.wait(60), 0)
    net.until(lambda: rum.stats()["map"]["records"] == FILLERS + 2, 10, "the new map is loaded")
    same(where(here), a.port)
    rum_map(t, "get", path, "new")
    same(rum.stats()["map"]["journal_error"], "")


@test("A journal reaches another node by rsync, before or after its map", needs=BOTH, seconds=120)
def _(t):
    a, b = t.run.servers.a, t.run.servers.b
    os.makedirs(t.path("home"), exist_ok=True)
    home, path = t.path("home/users.cdb"), t.path("users.cdb")
    cdb.replace(home, cdb.users(row(t, "shared", "A")))
    cdb.replace(path, cdb.users(row(t, "shared", "A")))
    rum, here = front(t, path)

    def copy(*suffixes):
        for suffix in suffixes:
            with open(home + suffix, "rb") as f:
                cdb.replace(path + suffix, f.read())

    rum_map(t, "set", home, "shared", b.address)
    copy(".log")
    net.until(lambda: where(here) == b.port, 5, "the copied change counts")
    rum_map(t, "set", home, "shared", a.address)
    copy(".log")
    net.until(lambda: where(here) == a.port, 5, "the next one, too")
    rum_map(t, "set", home, "shared", b.address)
    rum_map(t, "set", home, "new", b.address)
    rum_map(t, "fold", home)
    copy(".log", "")
    net.until(lambda: rum.stats()["map"]["records"] == 2, 5, "the folded map")
    net.until(lambda: where(here) == b.port, 5, "the folded change counts")
    same(rum.stats()["map"]["journal_error"], "")
    rum_map(t, "set", home, "late", a.address)
    copy(".log")
    net.until(lambda: rum.stats()["map"]["records"] == 3, 5, "a change of the folded map")
    # One that something else has put there.
    cdb.replace(path, cdb.users(row(t, "shared", "A"), ("x", "", "tcp:x:1")))
    net.until(lambda: where(here) == a.port, 5, "the other map counts, without the changes")
    has(rum.stats()["map"]["journal_error"], "another version")
    with open(path + ".log", "rb") as f:
        journal = f.read()
    cdb.replace(path + ".log", journal[:40] + b"\xff" + journal[41:])
    net.until(lambda: "is damaged at byte 16" in rum.stats()["map"]["journal_error"], 5, "damage")
    same(where(here), a.port)

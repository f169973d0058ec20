"""Kept connections (--mysql-reuse) are the first to go: no client waits or is refused for one, and
what changes while one is kept holds for the next client.
"""

import subprocess

import mysql_reuse as reuse
from mysql_setup import write_map
from mysql_reuse import Client, counts, each_kind, kept, keeper, wait_kept
from support import mysql_wire as wire, net
from support.harness import check, same, test
from support.names import NameServer

NEEDS = ("mysql.so",)
ONE = "mariadb-trixie"
CHARSETS = (8, 11, 33, 45, 47, 63, 83, 192)  # each makes a connection that only its own kind gets
OTHER = wire.USUAL & ~wire.MULTI_STATEMENTS  # gets none of these


def leave(here, user="leaver", word=reuse.WORD, **more):
    """The id of the connection that a client has had."""
    with Client(here).log_in(user, word, **more) as client:
        thread = client.ask("SELECT CONNECTION_ID()")
        client.quit()
    return thread


def refusal(here, user, word=reuse.WORD, **more):
    """The number of the error of a login, 0: it is let in."""
    try:
        Client(here).log_in(user, word, **more).quit()
        return 0
    except wire.ServerError as e:
        return e.code


def fill(rum, here, number):
    for charset in CHARSETS[:number]:
        leave(here, charset=charset)
    wait_kept(rum, number)


def log_in_until_refused(here, most):
    """The clients that get in, one after the other."""
    clients = []
    while len(clients) < most:
        try:
            clients.append(Client(here).log_in("next", capabilities=OTHER))
        except (wire.ServerError, OSError, EOFError):
            break
    return clients


# -- descriptors ----------------------------------------------------------------------------------

def room(t, server, number, silent, workers):
    """How many clients get in while so many connections are kept, all by the worker that does not
    accept clients if there are two, and while so many clients are silent, who have one descriptor
    each."""
    # A sixteenth of 176 may be kept.
    rum, here = keeper(t, server, "--nofile", "176", "--max-connections", "off", "--login-timeout",
                       "60s", idle="60s", workers=workers, control=False)
    # The first worker accepts, and clients go to the worker with fewer: two stay with the first.
    clients = [Client(here).log_in("next", capabilities=OTHER) for _ in range(4)]
    for client in (clients.pop(3), clients.pop(1)):
        client.close()
    rum.wait_sessions(2)
    if number:
        fill(rum, here, number)
    held = [net.connect(here) for _ in range(silent)]
    clients += log_in_until_refused(here, 200)
    for client in clients + held:
        client.close()
    rum.wait_sessions(2 + number + len(clients))  # with descriptors for the statistics again
    same(kept(rum), 0)
    return len(clients)


for number_of_workers in (1, 2):
    @test("Kept connections leave their descriptors to clients (%d workers)" % number_of_workers,
          needs=NEEDS + (ONE,), seconds=200)
    def _(t, workers=number_of_workers):
        server = reuse.own(t, ONE)
        for silent in (0, 1):  # so that once a client finds no descriptor, and once its server
            without = room(t, server, 0, silent, workers)
            check(30 < without < 90, "%d clients get in" % without)
            beside = room(t, server, 8, silent, workers)
            # One descriptor may be in use for a file at that moment.
            check(beside >= without - 1, "%d, and %d with kept connections" % (without, beside))


@test("Descriptors that clients may need are not used to keep connections",
      needs=NEEDS + (ONE,), seconds=120)
def _(t):
    server = reuse.own(t, ONE)
    for nofile, most in ((260, 3), (248, 0), (150, 0)):  # 248: 24 clients, and 200 for all else
        rum, here = keeper(t, server, "--nofile", nofile, "--max-connections", "24", idle="60s",
                           control=False)
        for charset in CHARSETS:
            leave(here, charset=charset)
        same(kept(rum), most, "of %d" % nofile)
        clients = [Client(here).log_in("next", capabilities=OTHER) for _ in range(24)]
        same(kept(rum), most)
        for client in clients:
            client.quit()
        for row in rum.wait_sessions(8 + 24):
            same(row["reason"], "client_closed")


# -- the server -----------------------------------------------------------------------------------

@each_kind("A server that is restarted has its connections replaced", seconds=200)
def is_restarted(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server, idle="60s")
    fill(rum, here, 3)
    server.restart()
    wait_kept(rum, 0)
    same(rum.stats()["upstream"]["kept_lost"], 3)
    if kind == "mysql-sid":  # so that its cache has the passwords again
        for user, word in (("next", reuse.WORD), (reuse.OWN, reuse.OWN_WORD)):
            reuse.login(server, user, word)
    thread = leave(here, "next")
    same(counts(rum), (4, 0, 0), "kept, not clean, reused")
    same(leave(here, "next"), thread)


@test("A server that has no place for a client has none for kept connections",
      needs=NEEDS + (ONE,), seconds=120)
def _(t):
    server = t.run.newer[ONE].own(t, options=["--max-connections=10"])
    reuse.prepare(ONE, server)
    rum, here = keeper(t, server, idle="60s")
    fill(rum, here, 8)
    clients = log_in_until_refused(here, 8)
    check(len(clients) < 8, "the server is full")
    rum.wait_log(" has too many connections (error 1040): its connections are not kept for a minute")
    wait_kept(rum, 0)  # long before their time
    clients += net.until(lambda: log_in_until_refused(here, 1), 10, "the next client gets in")
    for client in clients:
        client.quit()
    same(kept(rum), 0, "nothing is kept for a minute")
    clients = [Client(here).log_in("next", capabilities=OTHER) for _ in range(9)]
    same(rum.log().count("are not kept for a minute"), 1)
    for client in clients:
        client.close()


# -- addresses ------------------------------------------------------------------------------------

@test("With --send-proxy a kept connection is for clients of its address only",
      needs=NEEDS + ("mariadb-bookworm",))
def _(t):
    server = t.run.newer["mariadb-bookworm"].own(
        t, options=["--proxy-protocol-networks=127.0.0.0/8", "--skip-name-resolve"])
    reuse.prepare("mariadb-bookworm", server)
    server.admin("CREATE USER near@127.0.0.5 IDENTIFIED BY '%s'" % reuse.WORD)

    def who(here, user, source):
        with Client(here, source=source).log_in(user) as client:
            seen = client.ask("SELECT USER()"), client.ask("SELECT CURRENT_USER()")
            client.quit()
        return seen

    for version in ("v1", "v2"):
        rum, here = keeper(t, server, "--send-proxy", version, idle="20s", control=False)
        for number, source in enumerate(("127.0.0.5", "127.0.0.7")):
            same(who(here, "leaver", source), ("leaver@" + source, "leaver@%"))
            same(counts(rum), (number + 1, 0, 0), "kept, not clean, reused: it is a new one")
            wait_kept(rum, number + 1)
        for number, source in enumerate(("127.0.0.7", "127.0.0.5") * 2):
            same(who(here, "next", source), ("next@" + source, "next@%"))
            same(counts(rum)[2], number + 1, "it is the kept one of " + source)
        # The rights of an address are those of the client's.
        same(who(here, "near", "127.0.0.5"), ("near@127.0.0.5", "near@127.0.0.5"))
        try:
            who(here, "near", "127.0.0.7")
            check(False, "near may not come from 127.0.0.7")
        except wire.ServerError as e:
            same(e.code, reuse.DENIED)


@test("A connection to an address that the server's name no longer has is not given to a client",
      needs=NEEDS + (ONE,), seconds=180)
def _(t):
    server = t.run.newer[ONE].own(t, bind="127.0.0.2,127.0.0.3")
    reuse.prepare(ONE, server)
    names = t.keep(NameServer({"db.test": ["127.0.0.2"]}))
    path = t.path("resolv.conf")
    with open(path, "w") as f:
        f.write(names.conf)
    rum, here = keeper(t, None, "-d", "tcp:db.test:%d" % server.port, "--dns-refresh", "1s",
                       "--resolv-conf", path, idle="60s")
    thread = leave(here)
    same(leave(here, "next"), thread)
    names.records["db.test"] = ["127.0.0.2", "127.0.0.3"]  # one more: it stays
    asked = len(names.asked)
    net.until(lambda: len(names.asked) > asked + 4, 10, "the name is asked for again")
    same(leave(here, "next"), thread)
    names.records["db.test"] = ["127.0.0.3"]
    wait_kept(rum, 0)  # though nobody asks for it
    check(leave(here, "next") != thread, "it is a new one")
    same(counts(rum), (4, 0, 2), "kept, not clean, reused")
    # Nor is what a session leaves that began at the old address.
    client = Client(here).log_in("leaver")
    thread = client.ask("SELECT CONNECTION_ID()")
    names.records["db.test"] = ["127.0.0.2"]
    asked = len(names.asked)
    net.until(lambda: leave(here, capabilities=OTHER) and len(names.asked) > asked + 4, 10,
              "the name is asked for again")
    client.quit()
    check(leave(here, "next") != thread, "it is a new one")


# -- users ----------------------------------------------------------------------------------------

@test("A user who moves while a connection is kept is served by the new server at once",
      needs=NEEDS + (ONE,), seconds=120)
def _(t):
    old, new = reuse.own(t, ONE), reuse.own(t, ONE)
    for number, server in enumerate((old, new)):
        server.admin("CREATE TABLE rumtest.place AS SELECT %d AS number" % number)

    def rows(where):
        return [("leaver", "", where, b""), ("next", "", old.address, b"")]

    def place(client):
        return int(client.ask("SELECT number FROM rumtest.place"))

    def at(user):
        with Client(here).log_in(user) as client:
            found = place(client)
            client.quit()
        return found

    def move(where, by):
        changes = rum.stats()["map"]
        if by == "the journal":
            subprocess.run([t.run.build.rum_map, "set", "-q", users, "leaver", where.address],
                           check=True)
            net.until(lambda: rum.stats()["map"]["changes"] > changes["changes"], 10, "the change")
        else:
            write_map(t, *rows(where.address))
            net.until(lambda: rum.stats()["map"]["loads"] > changes["loads"], 10, "the map")

    users = write_map(t, *rows(old.address))
    rum, here = keeper(t, None, path=users, idle="60s")
    for by in ("a new map", "the journal"):
        same(at("leaver"), 0)
        wait_kept(rum, 1)
        session = Client(here).log_in("leaver")  # takes it, and is there while the user moves
        same(place(session), 0)
        same(at("leaver"), 0)
        wait_kept(rum, 1)
        move(new, by)
        wait_kept(rum, 0)
        same(place(session), 0, "a session stays where it is")
        same(at("leaver"), 1, by)
        kept_so_far = counts(rum)[0]
        session.quit()
        same(counts(rum)[0], kept_so_far, "what it leaves on the old server is not kept")
        wait_kept(rum, 1)
        same(at("leaver"), 1)
        same(at("next"), 0)
        if by == "a new map":
            move(old, by)


@each_kind("A password or an account that is changed while a connection is kept counts at once",
           seconds=200)
def counts_at_once(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server, idle="60s")
    plain, there = reuse.front(t, None, "-d", server.address)
    other = "Later-7kW2q"

    def keep_one():
        if not kept(rum):
            leave(here, "next")
        wait_kept(rum, 1)
        return counts(rum)[2]

    def outcome(word):
        """What a login on a kept connection says, which a new connection says as well."""
        found = []
        for where in (here, there):
            before = keep_one()
            try:
                found.append(refusal(where, "leaver", word))
            except AssertionError as e:  # the server wants the password itself
                found.append(str(e))
        same(found[0], found[1], "on a kept and on a new connection")
        return found[0]

    def again(statement):
        server.admin(statement)
        if kind == "mysql-sid":  # its plugin lets clients without TLS in when it knows the password
            for word in (reuse.WORD, other):
                try:
                    reuse.login(server, "leaver", word)
                except Exception:
                    pass

    same(outcome(reuse.WORD), 0)
    again("ALTER USER leaver@'%%' IDENTIFIED BY '%s'" % other)
    check(outcome(reuse.WORD) != 0, "the old password")
    same(outcome(other), 0)
    again("ALTER USER leaver@'%' ACCOUNT LOCK")
    check(outcome(other) != 0, "a locked account")
    again("ALTER USER leaver@'%' ACCOUNT UNLOCK")
    same(outcome(other), 0)
    again("DROP USER leaver@'%'")
    check(outcome(other) != 0, "no account")
    same(refusal(here, "next"), 0)
    # rum's own account: no client notices, nothing is kept, and what is kept still serves.
    keep_one()
    server.admin("ALTER USER %s@'%%' IDENTIFIED BY '%s'" % (reuse.OWN, other))
    same(refusal(here, "next"), 0)
    rum.wait_log("does not let --mysql-reuse-user in (error 1045)" if kind != "mysql-sid"
                 else "does not let --mysql-reuse-user in")
    same(refusal(here, "next"), 0)
    same(kept(rum), 0)

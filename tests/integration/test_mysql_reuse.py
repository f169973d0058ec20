"""Kept connections (--mysql-reuse): what a client leaves behind never reaches the next one, and the
next one sees what a new connection shows.
"""

import signal
import struct
import subprocess
import time

import mysql_reuse as reuse
from mysql_setup import port_of, write_map
from mysql_reuse import TAIL, Client, counts, each_kind, kept, keeper, wait_kept
from support import matrix, mysql_wire as wire, net, newer_servers
from support.harness import check, full, same, test

NEEDS = ("mysql.so",)


@each_kind("A connection is kept, and serves the next client as a new one would")
def serves_the_next(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server)
    threads = set()
    for number, user in enumerate(("leaver", "next", "leaver")):
        with Client(here).log_in(user, database="rumtest") as client:
            same(client.ask("SELECT CURRENT_USER()"), user + "@%")
            same(client.ask("SELECT DATABASE()"), "rumtest")
            threads.add(client.ask("SELECT CONNECTION_ID()"))
            client.quit()
        same(counts(rum), (number + 1, 0, number), "kept, not clean, reused")
    same(len(threads), 1, "one connection served all")
    same([r.get("reused") for r in rum.wait_sessions(3)], [None, "yes", "yes"])
    stats = rum.stats()
    same((stats["upstream"]["connects"], stats["upstream"]["kept_taken"]), (1, 2))
    # It belongs to rum's own account meanwhile, and goes when its time is over.
    users = [user for user, in server.admin("SELECT user FROM information_schema.processlist")]
    check(reuse.OWN in users and "leaver" not in users, repr(users))
    wait_kept(rum, 0)
    net.until(lambda: reuse.OWN not in [
        user for user, in server.admin("SELECT user FROM information_schema.processlist")], 10,
        lambda: "the connection is closed")


# What may be different: for each a reason that has nothing to do with another client.
VARIABLES = {
    "pseudo_thread_id": "the connection's id", "timestamp": "the time", "statement_id": "a counter",
    "rand_seed1": "random", "rand_seed2": "random",
}
# Of the server and not of the session, or what this session itself, logging in and asking, has done.
STATUS = {
    "Aborted_connects", "Busy_time", "Bytes_received", "Bytes_sent", "Connections", "Cpu_time",
    "Max_memory_used", "Memory_used", "Open_tables", "Opened_tables", "Opened_table_definitions",
    "Queries", "Query_time", "Questions", "Threads_cached", "Threads_created", "Uptime",
    "Uptime_since_flush_status", "Handler_external_lock", "Table_locks_immediate",
    "Acl_cache_items_count", "Access_denied_errors", "Opened_files", "Threads_connected",
    # MySQL reads its dictionary at a change of the user, and counts that for the session.
    "Handler_commit", "Handler_read_key", "Handler_read_next", "Table_open_cache_hits",
    "Table_open_cache_misses",
}


def look(client):
    """All that a session shows of itself."""
    return {
        "variables": dict(client.rows("SHOW SESSION VARIABLES")),
        "status": dict(row[:2] for row in client.rows("SHOW SESSION STATUS")),
        "who": client.rows("SELECT CURRENT_USER(), USER(), DATABASE(), CURRENT_ROLE(), @@autocommit,"
                           " LAST_INSERT_ID(), ROW_COUNT(), FOUND_ROWS(), @left, @@warning_count"),
        "warnings": client.rows("SHOW WARNINGS"),
        "profiles": client.rows("SHOW PROFILES"),
        "trace": client.rows("SELECT QUERY FROM information_schema.OPTIMIZER_TRACE"),
        "grants": client.rows("SHOW GRANTS"),
        # Without the proof for a certificate, which MariaDB 11.8 has in a login only; see fronts
        # that make their own.
        "ok": client.ok[:7].hex(),
    }


# All that a client can leave lying, on every server.
MESS = [
    "SET @left = 1", "CREATE TEMPORARY TABLE rumtest.mine (a INT)",
    "INSERT INTO rumtest.mine VALUES (1)", "PREPARE mine FROM 'SELECT 1'",
    "SELECT GET_LOCK('mine', 1)", "SET autocommit = 0, sql_mode = '', time_zone = '+03:00'",
    "SET NAMES latin1", "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
    "SET foreign_key_checks = 0, unique_checks = 0, sql_select_limit = 1, timestamp = 1",
    "SET lc_messages = 'de_DE', last_insert_id = 77, profiling = 1",
    "SET optimizer_trace = 'enabled=on'", "SELECT 'of the one before' FROM rumtest.word",
    "UPDATE rumtest.word SET text = 'changed' WHERE id = 1",
    "SELECT * FROM nowhere.nothing", "SET SESSION wait_timeout = 5",
]
MESS_OF = {
    "mariadb-bookworm": ["SET ROLE chief", "SET max_statement_time = 1"],
    "mysql-sid": ["SET ROLE chief"],
}
MESS_OF["mariadb-trixie"] = MESS_OF["mariadb-bookworm"]


def compare(fresh, again, what):
    for part in fresh:
        if part == "variables":
            names = {n for n in fresh[part] if fresh[part][n] != again[part].get(n)}
            same(names - set(VARIABLES), set(), what + ": variables")
        elif part == "status":
            names = {n for n in fresh[part] if fresh[part][n] != again[part].get(n)}
            names = {n for n in names if not n.startswith(
                ("Aria_", "Innodb_", "Max_used_connections", "Performance_", "Ssl_",
                 "option_tracker_"))}
            same({n: (fresh[part][n], again[part][n]) for n in names - STATUS}, {},
                 what + ": status")
        else:
            same(again[part], fresh[part], "%s: %s" % (what, part))


@each_kind("The next client sees what a new connection shows, whatever the one before has done",
           seconds=2400 if full() else 120)
def shows_the_same(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server, idle="60s")
    for number in range(1000 if full() else 3):
        with Client(here).log_in("leaver") as client:
            for statement in MESS + MESS_OF[kind]:
                error = client.try_query(statement)
                same(error in ((1046, 1049, 1146, 1142) if "nowhere" in statement else (0,)), True,
                     "%s: %d" % (statement, error))
            client.command(b"\x1b\x01\0" if number % 2 else b"\x1b\0\0")  # COM_SET_OPTION
            client.read()
            client.quit()
        same(counts(rum)[:2], (2 * number + 1, 0), "the connection is kept")
        user = "leaver" if number % 3 == 0 else "next"
        with Client(here).log_in(user) as client:
            again = look(client)
            # Not there, or free: tables, statements, locks.
            same(client.try_query("SELECT * FROM rumtest.mine"), 1146)
            same(client.try_query("EXECUTE mine"), 1243)
            same(client.ask("SELECT IS_FREE_LOCK('mine')"), "1")
            same(client.ask("SELECT text FROM rumtest.word WHERE id = 1"), "one", "rolled back")
            same(client.try_query("SELECT 1; SELECT 2"), 0, "several statements, as negotiated")
            client.result()
            client.quit()
        same(counts(rum)[2], 2 * number + 1, "it was a kept one")
        with Client(server.address).log_in(user) as client:
            compare(look(client), again, "%s, %d" % (user, number))


@each_kind("Profiles, FOUND_ROWS() and the time for slow readers are not those of the client before",
           seconds=120)
def shows_no_statement(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server, idle="20s")
    for off in (True, False):
        with Client(here).log_in("leaver") as client:
            for statement in ("SET net_write_timeout = 1, net_retry_count = 1", "SET profiling = 1",
                              "SELECT 'of the one before' FROM rumtest.word"):
                client.query(statement)
            if off:
                client.query("SET profiling = 0")
            client.quit()
        with Client(here).log_in("next") as client:
            same(client.ask("SELECT FOUND_ROWS()"), "0")
            same(client.rows("SHOW PROFILES"), [])
            same(client.query("SELECT COUNT(*) FROM information_schema.PROFILING"), ["0"])
            client.command(b"\x03SELECT REPEAT('x', 1000000) FROM rumtest.word a, rumtest.word b,"
                           b" rumtest.word c, rumtest.word d")
            time.sleep(4)
            payload = client.read()
            while payload[0] != 0xFE or len(payload) > 9:
                payload = client.read()
            while len(client.read()) > 9:
                pass
            client.quit()
    same(counts(rum), (4, 0, 3), "all of them kept")


@each_kind("A client that fails to become another user does not keep rum from keeping connections",
           kinds=reuse.MARIADB)
def fails_to_change(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server, idle="20s")
    with Client(here).log_in("leaver") as client:
        for _ in range(3):
            try:
                client.become("next", "wrong")
            except wire.ServerError as e:
                same(e.code, reuse.DENIED)
        client.quit()
    with Client(here).log_in("next") as client:
        client.quit()
    wait_kept(rum, 1)


@each_kind("What a client may do goes by what it negotiated itself")
def goes_by_its_own(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server)
    single = wire.USUAL & ~wire.MULTI_STATEMENTS
    for capabilities in (wire.USUAL, single, wire.USUAL, single):
        with Client(here).log_in("leaver", capabilities=capabilities) as client:
            client.command(b"\x1b\0\0")  # switches them on
            client.read()
            client.quit()
        with Client(here).log_in("next", capabilities=capabilities) as client:
            expected = 0 if capabilities & wire.MULTI_STATEMENTS else reuse.PARSE_ERROR
            same(client.try_query("SELECT 1; SELECT 2"), expected)
            if not expected:
                client.result()
            client.quit()
    same(counts(rum), (8, 0, 6), "kept, not clean, reused: each kind of client its own")
    interactive = 1 << 10
    with Client(here).log_in("leaver", capabilities=wire.USUAL | interactive) as client:
        client.query("DO 0")
        client.quit()
    same(counts(rum)[0], 9 if kind == "mysql-sid" else 8, "CLIENT_INTERACTIVE")
    with Client(here).log_in("leaver", capabilities=wire.USUAL | 1 << 8) as client:
        client.query("DO 0")
        client.quit()
    same(counts(rum)[0], 9 if kind == "mysql-sid" else 8, "IGNORE_SPACE")


class Leaving:
    """One way to leave. Each gets a client of `boss`, who may do anything, and says what becomes of the
    connection: True, it is kept; False, it is not; None, it may be."""

    def __init__(self, t, kind, server):
        self.t, self.kind, self.server = t, kind, server

    def nothing_said(self, c):
        c.quit()
        return True

    def in_a_transaction(self, c):
        c.query("BEGIN")
        c.query("UPDATE rumtest.word SET text = 'held' WHERE id = 2")
        c.quit()
        return True

    def with_tables_locked(self, c):
        c.query("LOCK TABLES rumtest.word WRITE")
        c.quit()
        return True

    def with_all_tables_locked(self, c):
        c.query("FLUSH TABLES WITH READ LOCK")
        c.quit()
        return True

    def with_a_backup_locked(self, c):
        if self.kind == "mysql-sid":
            c.query("LOCK INSTANCE FOR BACKUP")
        else:
            c.query("BACKUP STAGE START")
            c.query("BACKUP STAGE BLOCK_DDL")
        c.quit()
        return True

    def with_a_handler(self, c):
        c.query("HANDLER rumtest.word OPEN")
        c.query("HANDLER word READ FIRST")
        c.quit()
        return True

    def in_an_active_xa(self, c):
        c.query("XA START 'active'")
        c.query("UPDATE rumtest.word SET text = 'held' WHERE id = 2")
        c.quit()
        return False

    def with_an_xa_prepared(self, c):
        name = "'prepared%s'" % c.ask("SELECT CONNECTION_ID()")
        c.query("XA START " + name)
        c.query("INSERT INTO rumtest.word VALUES (1000 + CONNECTION_ID(), 'x')")
        c.query("XA END " + name)
        c.query("XA PREPARE " + name)
        c.quit()

        def recovered():
            return name[1:-1] in [row[3] if isinstance(row[3], str) else row[3].decode()
                                  for row in self.server.admin("XA RECOVER")]
        net.until(recovered, 10, lambda: "the transaction is still prepared")
        # Not before the connection is gone.
        net.until(lambda: not self.rolls_back(name), 10, lambda: "it can be rolled back")
        # MySQL takes such a transaction off its connection (xa_detach_on_prepare).
        return self.kind == "mysql-sid"

    def rolls_back(self, name):
        with Client(self.server.address).log_in("boss") as other:
            return other.try_query("XA ROLLBACK " + name)

    def with_a_statement(self, c):
        c.command(b"\x16SELECT 1")
        for _ in range(3):
            c.read()
        c.quit()
        return True

    def closing_a_statement_in_one_read(self, c):
        c.command(b"\x16DO 0")
        number = c.read()[1:5]
        c.socket.sendall(wire.packet(0, b"\x19" + number) + TAIL)
        net.ended(c.socket)
        return True

    def closing_a_statement_in_two_reads(self, c):
        c.command(b"\x16DO 0")
        c.command(b"\x19" + c.read()[1:5])
        time.sleep(0.01)
        c.command(b"\x01")
        c.close()
        return True

    def as_another_user(self, c):
        c.become("leaver")
        c.query("SET @left = 1")
        c.quit()
        return True

    def after_a_reset(self, c):
        c.command(b"\x1f")
        c.read()
        c.quit()
        return True

    def in_the_middle_of_a_packet(self, c):
        c.socket.sendall(b"\x64\0\0\0\x03SELECT 'half of")
        time.sleep(0.05)
        c.socket.sendall(TAIL)
        c.socket.shutdown(1)
        return False

    def in_the_middle_of_a_packet_of_16_mb(self, c):
        c.socket.sendall(b"\xff\xff\xff\0\x03SELECT '" + b"x" * 3_000_000)
        time.sleep(0.1)
        c.socket.sendall(TAIL)
        c.socket.shutdown(1)
        return False

    def after_a_packet_of_16_mb(self, c):
        text = b"\x03SELECT LENGTH('" + b"x" * 17_000_000 + b"')"
        c.socket.sendall(b"\xff\xff\xff\0" + text[:0xFFFFFF] + wire.packet(1, text[0xFFFFFF:]))
        same(c.result(), ["17000000"])
        c.quit()
        return True

    def in_the_middle_of_a_result(self, c):
        c.command(b"\x03SELECT REPEAT('of the one before', 20000) FROM "
                  b"information_schema.collations, rumtest.word LIMIT 400")
        c.read()
        c.command(b"\x01")
        c.close()
        return False

    def before_the_answer(self, c):
        c.command(b"\x03SELECT 'late', SLEEP(0.2)")
        time.sleep(0.02)
        c.command(b"\x01")
        same(c.result(), ["late"], "the answer comes all the same")
        net.ended(c.socket)
        return False

    def before_the_answer_with_its_end(self, c):
        c.command(b"\x03SELECT 'late', SLEEP(0.2)")
        time.sleep(0.02)
        c.command(b"\x01")
        c.socket.shutdown(1)
        return False

    def in_one_read_with_a_query(self, c):
        c.socket.sendall(wire.packet(0, b"\x03SELECT 'both'") + TAIL)
        same(c.result(), ["both"])
        net.ended(c.socket)
        return False

    def _load(self, c):
        c.command(b"\x03LOAD DATA LOCAL INFILE 'any' INTO TABLE rumtest.loaded")
        same(c.read()[0], 0xFB)

    def in_the_middle_of_a_file(self, c):
        self._load(c)
        c.send(b"1\n2\n3\n", 2)
        time.sleep(0.05)
        c.socket.sendall(TAIL)
        c.socket.shutdown(1)
        return False

    def after_a_file(self, c):
        self._load(c)
        c.send(b"1\n2\n3\n", 2)
        c.send(b"", 3)
        same(c.read()[0], 0)
        c.quit()
        return True

    def without_a_word(self, c):
        c.query("DO 0")
        c.close()
        return False

    def by_a_reset(self, c):
        c.query("DO 0")
        net.reset(c.socket)
        return False

    def with_an_expired_password(self, c):
        c.query("CREATE USER expired@'%%' IDENTIFIED BY '%s'" % reuse.WORD)
        if self.kind == "mysql-sid":
            reuse.login(self.server, "expired", reuse.WORD)
        c.query("ALTER USER expired@'%' PASSWORD EXPIRE")
        with Client(self.here).log_in("expired", capabilities=wire.USUAL | 1 << 22) as other:
            other.try_query("DO 0")
            other.quit()
        c.close()
        return False

    def swallowing(self, c, prefix, missing):
        """In the middle of a statement that rum's own words would complete: `missing` bytes of them."""
        text = b"\x03" + prefix
        c.socket.sendall(struct.pack("<I", len(text) + missing)[:3] + b"\0" + text)
        time.sleep(0.05)
        c.socket.sendall(TAIL)
        c.socket.shutdown(1)

    ways = ["nothing_said", "in_a_transaction", "with_tables_locked", "with_all_tables_locked",
            "with_a_backup_locked", "with_a_handler", "in_an_active_xa", "with_an_xa_prepared",
            "with_a_statement", "closing_a_statement_in_one_read",
            "closing_a_statement_in_two_reads", "as_another_user", "after_a_reset",
            "in_the_middle_of_a_packet", "in_the_middle_of_a_packet_of_16_mb",
            "after_a_packet_of_16_mb", "in_the_middle_of_a_result", "before_the_answer",
            "before_the_answer_with_its_end", "in_one_read_with_a_query", "in_the_middle_of_a_file",
            "after_a_file", "without_a_word", "by_a_reset", "with_an_expired_password"]


def find_nothing(t, here, server, what):
    """What the one before may have left, a client finds on no connection; and it holds nothing."""
    with Client(here).log_in("next", capabilities=wire.USUAL | wire.LOCAL_FILES) as c:
        same(c.ask("SELECT CURRENT_USER()"), "next@%", what)
        same(c.ask("SELECT @left"), "", what)
        same(c.try_query("SELECT user FROM mysql.user"), 1142, what + ": rights")
        same(c.try_query("HANDLER word READ NEXT") != 0, True, what + ": handler")
        same(c.try_query("EXECUTE mine"), 1243, what)
        # The row and the tables are free, and nothing of the transaction is there.
        c.query("SET innodb_lock_wait_timeout = 5, lock_wait_timeout = 5")
        same(c.try_query("UPDATE rumtest.word SET text = 'two' WHERE id = 2"), 0, what + ": locks")
        same(c.ask("SELECT text FROM rumtest.word WHERE id = 2"), "two", what)
        same(c.try_query("CREATE TABLE rumtest.new (a INT)"), 0, what + ": locks")
        same(c.try_query("DROP TABLE rumtest.new"), 0, what)
        c.quit()


@each_kind("However a client leaves, nothing of it reaches the next one", seconds=400)
def leaves_nothing(t, kind):
    server = reuse.own(t, kind)
    server.admin("CREATE TABLE rumtest.loaded (a VARCHAR(100))")
    rum, here = keeper(t, server, idle="20s")
    leaving = Leaving(t, kind, server)
    leaving.here = here
    for way in leaving.ways:
        number = len(rum.sessions())
        before = counts(rum)
        client = Client(here).log_in("boss", capabilities=wire.USUAL | wire.LOCAL_FILES)
        expected = getattr(leaving, way)(client)
        rum.wait_sessions(number + 1)
        # Until it is known what becomes of the connection.
        net.until(lambda: all(row["state"] != "closing" for row in reuse.sessions(t)), 10,
                  lambda: "%s: %s" % (way, reuse.sessions(t)))
        same(counts(rum)[0] > before[0], expected, way.replace("_", " "))
        find_nothing(t, here, server, way.replace("_", " "))
        client.close()


@each_kind("A statement that swallows what rum says after its client does not pass for a clean end",
           seconds=300)
def swallows(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server, idle="20s")
    leaving = Leaving(t, kind, server)
    prefixes = (b"@@@ ", b"SELECT 'of the one before' -- ", b"SET @left = 1; -- ", b"DO SLEEP(0) -- ")
    for missing in range(1, 320, 1 if full() else 23):  # rum says about 290
        clients = []
        for prefix in prefixes:
            client = Client(here).log_in("boss")
            client.query("SET @left = 1")
            for _ in range(4):  # the first packets of a session are read one by one
                client.query("DO 0")
            leaving.swallowing(client, prefix, missing)
            clients.append(client)
        net.until(lambda: not reuse.sessions(t), 20,
                  lambda: "%d: %s" % (missing, reuse.sessions(t)))
        for _ in range(1 + kept(rum)):
            find_nothing(t, here, server, "%d bytes" % missing)
        for client in clients:
            client.close()


@each_kind("A login that fails on a kept connection looks as on a new one, and ends the connection")
def fails_alike(t, kind):
    server = reuse.own(t, kind)
    server.admin("CREATE USER locked@'%%' IDENTIFIED BY '%s' ACCOUNT LOCK" % reuse.WORD)
    rum, here = keeper(t, server, idle="20s")
    plain, there = reuse.front(t, None, "-d", server.address)

    def error(where, user, word, **more):
        try:
            Client(where).log_in(user, word, **more).quit()
            return None
        except wire.ServerError as e:
            return e.code, str(e)
        except AssertionError as e:  # caching_sha2_password wants to see the password itself
            return str(e)

    for user, word, more in (("next", "wrong", {}), ("next", "", {}), ("locked", reuse.WORD, {}),
                             ("nobody", "x", {}), ("next", reuse.WORD, {"database": "mysql"}),
                             ("next", reuse.WORD, {"database": "nowhere"})):
        with Client(here).log_in("leaver") as client:
            client.quit()
        wait_kept(rum, 1)
        taken = rum.stats()["upstream"]["kept_taken"]
        same(error(here, user, word, **more), error(there, user, word, **more), "%s %r" % (user, more))
        same(rum.stats()["upstream"]["kept_taken"], taken + 1)
        same(kept(rum), 0, "it was used up")


@each_kind("A connection that the server has closed is replaced, and the client sees nothing of it")
def is_replaced(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server, idle="20s")
    for _ in range(5):
        with Client(here).log_in("leaver") as client:
            thread = client.ask("SELECT CONNECTION_ID()")
            client.quit()
        wait_kept(rum, 1)
        server.admin("KILL " + thread)
        with Client(here).log_in("next") as client:  # at once, and perhaps before rum has heard
            same(client.ask("SELECT CURRENT_USER()"), "next@%")
            check(client.ask("SELECT CONNECTION_ID()") != thread, "it is a new one")
            client.close()
    same([r["reason"] for r in rum.wait_sessions(10)], ["client_closed"] * 10)


@each_kind("A KILL of a connection that a client named, and init_connect, end the connection")
def is_left_alone(t, kind):
    server = reuse.own(t, kind)
    rum, here = keeper(t, server, idle="20s")
    with Client(here).log_in("leaver") as client, Client(here).log_in("leaver") as killer:
        killer.query("KILL QUERY %d" % client.greeting.thread)
        client.try_query("DO 0")
        client.quit()
        same(counts(rum), (0, 0, 0), "who was killed")
        killer.quit()
    wait_kept(rum, 1)
    server.admin("SET GLOBAL init_connect = 'SET @greeted = 1'")
    with Client(here).log_in("next") as client:  # kept before it was set
        client.quit()
    same(counts(rum)[:2], (1, 1), "one with init_connect is not kept")
    with Client(here).log_in("next") as client:
        same(client.ask("SELECT @greeted"), "1")
        if kind != "mysql-sid":  # an empty string is NULL then, and so is what is compared with it
            client.query("SET sql_mode = 'EMPTY_STRING_IS_NULL'")
        client.quit()
    same(counts(rum)[:2], (1, 2), "nor is one whose client has turned comparisons into NULL")


@each_kind("A user's places are free as soon as the client is told that it has left")
def gives_places_back(t, kind):
    server = reuse.own(t, kind)
    server.admin("ALTER USER leaver@'%' WITH MAX_USER_CONNECTIONS 1")
    rum, here = keeper(t, server, idle="20s")
    for _ in range(20):
        with Client(here).log_in("leaver") as client:
            client.query("DO 0")
            client.quit()  # which waits for the end
    same(counts(rum), (20, 0, 19), "kept, not clean, reused")


def real_clients(t, kind):
    """Every client of the matrix, every account: as by a rum that keeps nothing, the second time on a
    kept connection."""
    servers = t.run.newer[kind]
    certificate, key = servers.certificate
    for server, tls in ((servers.plain, False), (servers.tls, True)):
        server.admin("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY '%s'"
                     % (reuse.OWN, reuse.OWN_WORD))
        options = ["--tls", "on", "--tls-cert", certificate, "--tls-key", key] if tls else []
        options += ["-t", "mysql80" if kind == "mysql-sid" else "mariadb1011"]
        rum, here = keeper(t, server, *options, idle="20s", most=20, control=False)
        plain, there = reuse.front(t, None, "-d", server.address, *options)
        for user in newer_servers.users_of(kind):
            for name, log_in in matrix.CLIENTS.items():
                def outcome(where):
                    answer, = log_in(t, [matrix.Login(
                        port_of(where), user, newer_servers.password(user),
                        newer_servers.SECOND_PASSWORD if user == "twofactor" else "",
                        servers.authority.certificate if tls else "")])
                    return matrix.outcome(answer)
                expected = outcome(there)
                what = "%s, %s%s" % (name, user, ", TLS" if tls else "")
                before = counts(rum)
                same(outcome(here), expected, what)
                if expected != "ok" or name == "mysql2":  # which sets CLIENT_IGNORE_SPACE
                    same(counts(rum)[0], before[0], what + ": not kept")
                    continue
                # One that is held up while it leaves is not kept, which is no fault: it tries again.
                for _ in range(3):
                    try:
                        net.until(lambda: counts(rum)[0] > before[0], 3, what)
                        break
                    except net.TooLate:
                        same(outcome(here), expected, what)
                check(counts(rum)[0] > before[0], "%s: it is kept: %s" % (what, counts(rum)))
                same(outcome(here), "ok", what + ", again")
                same(counts(rum)[2] > before[2], True, what + " is on a kept one")
        check(counts(rum)[2] > 20 and counts(rum)[1] == 0, str(counts(rum)))


for real_kind in reuse.KINDS:
    test("Real clients log in on kept connections with every plugin (%s)" % real_kind,
         needs=NEEDS + (real_kind,), seconds=500)(
             lambda t, kind=real_kind: real_clients(t, kind))


@test("A login whose password rum checks itself is made on a kept connection, too",
      needs=NEEDS + ("mariadb-bookworm",))
def _(t):
    server = reuse.own(t, "mariadb-bookworm")
    users = write_map(t, *[(user, wire.stored_hash(reuse.WORD), server.address, b"")
                           for user in ("leaver", "next")])
    rum, here = keeper(t, None, "--mysql-auth", "rewrite", path=users)
    for number, user in enumerate(("leaver", "next", "next")):
        with Client(here).log_in(user) as client:
            same(client.ask("SELECT CURRENT_USER()"), user + "@%")
            client.quit()
        same(counts(rum), (number + 1, 0, number))
    same({r["auth"] for r in rum.wait_sessions(3)}, {"rewrite"})
    try:
        Client(here).log_in("next", "wrong")
        check(False, "a wrong password is refused")
    except wire.ServerError as e:
        same(e.code, reuse.DENIED)
    same(kept(rum), 1, "rum has judged it, the connection stays")


@test("What is kept is bounded, and goes with its server, the settings, the map and the process",
      needs=NEEDS + ("mariadb-bookworm",), seconds=120)
def _(t):
    server = reuse.own(t, "mariadb-bookworm")
    path = t.path("rum.conf")

    def write(number):
        with open(path, "w") as f:
            f.write("max-connections = %d\n" % number)

    write(100)
    users = write_map(t, ("leaver", "", server.address, b""), ("next", "", server.address, b""))
    rum, here = keeper(t, None, "--config", path, "--health-check", "off", most=3, idle="60s",
                       path=users)

    def fill(number):
        clients = [Client(here).log_in("leaver") for _ in range(number)]
        for client in clients:
            client.query("DO 0")
            client.quit()
        return clients

    fill(5)
    same(kept(rum), 3, "as many as may")
    for command in ("drain", "maint"):
        fill(2)
        reuse.ctl(t, command, server.address)
        wait_kept(rum, 0, 1)
        reuse.ctl(t, "ready", server.address)
    fill(1)
    write_map(t, ("leaver", "", server.address, b""), ("other", "", server.address, b""),
              ("next", "", server.address, b""))
    wait_kept(rum, 0)
    fill(2)
    wait_kept(rum, 2)
    # A change in the journal concerns its user only.
    for user, left in (("other", 2), ("leaver", 0)):
        subprocess.run([t.run.build.rum_map, "set", "-q", users, user, server.address], check=True)
        net.until(lambda: rum.stats()["map"]["changes"] == 2 - left // 2, 5, "the change")
        wait_kept(rum, left)
    fill(2)
    wait_kept(rum, 2)
    # A session that began before the reload leaves nothing.
    with Client(here).log_in("next") as client:
        client.query("DO 0")
        write(101)
        rum.signal(signal.SIGHUP)
        wait_kept(rum, 0)
        client.quit()
    same(kept(rum), 0)
    fill(1)
    wait_kept(rum, 1)
    server.close()
    wait_kept(rum, 0)
    same(rum.stats()["upstream"]["kept_lost"], 1)


@test("A hand-over ends what the old process keeps", needs=NEEDS + ("mariadb-bookworm",))
def _(t):
    server = reuse.own(t, "mariadb-bookworm")
    rum, here = keeper(t, server, idle="60s")
    with Client(here).log_in("leaver") as client:
        client.quit()
    same(kept(rum), 1)
    old = rum.hand_over()
    same(old.wait(20), 0)
    same(kept(rum), 0)
    same([row for row in server.admin("SELECT user FROM information_schema.processlist")
          if row[0] == reuse.OWN], [])


@test("A name that the map does not know fails as a known one does on a kept connection",
      needs=NEEDS + ("mariadb-bookworm",))
def _(t):
    server = reuse.own(t, "mariadb-bookworm")
    users = write_map(t, *[(user, "", server.address, b"") for user in ("leaver", "next")])
    rum, here = keeper(t, None, path=users, idle="20s")

    def refused(user):
        begin = time.monotonic()
        try:
            Client(here).log_in(user, "wrong")
            check(False, "it is refused")
        except wire.ServerError as e:
            same(e.code, reuse.DENIED)
        return time.monotonic() - begin

    for user in ("next", "stranger", "next", "stranger"):
        with Client(here).log_in("leaver") as client:
            client.quit()
        wait_kept(rum, 1)
        check(refused(user) > 0.99, user + " waits as long as MariaDB takes")
        same(kept(rum), 0, user + " has used the connection up")
        # And without one both are refused at once; a busy machine may delay one of them.
        check(min(refused(user) for _ in range(3)) < 0.9, user + " is refused at once")


@test("A client that compresses, and one whose rum has no account there, leave nothing",
      needs=NEEDS + ("mariadb-bookworm",))
def _(t):
    server = reuse.own(t, "mariadb-bookworm")
    rum, here = keeper(t, server, "--mysql-compress", "--mysql-version", "mariadb1011")
    client = Client(here).log_in("leaver", capabilities=wire.USUAL | wire.COMPRESS)
    client.socket.sendall(b"\x05\0\0\0\0\0\0" + TAIL)
    net.ended(client.socket)
    same(counts(rum), (0, 0, 0))
    server.admin("DROP USER %s@'%%'" % reuse.OWN)
    for _ in range(3):
        with Client(here).log_in("leaver") as client:
            client.query("DO 0")
            client.quit()
    rum.wait_log("does not let --mysql-reuse-user in (error 1045)")
    same(counts(rum), (0, 0, 0))
    same(rum.log().count("does not let --mysql-reuse-user in"), 1, "said once")

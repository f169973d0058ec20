"""KILL and cancel requests that arrive at another process (--share with --share-key-file): they reach
the right session, and no other; and what happens without Redis, without the key, and by strangers."""

import base64
import os
import signal
import socket
import threading
import time

import pgsql_setup
from mysql_setup import front, row, write_map
from support import mysql_wire
from support.harness import check, full, has, same, test
from support.mariadb import password
from support.mysql_wire import Client, ServerError
from support.net import until
from support.pgsql_wire import send_cancel
from support.redis import FakeRedis, Redis
from support.rum import run_once
from test_mysql_watch import front_id, interrupted, metric, slow_query
from test_pgsql_cancel import is_cancelled, sleeps
from test_share import address, share_of

MARIADB = ("mysql.so", "mariadb")
UNKNOWN_THREAD = 1094


def key_file(t, name="share.key", secret=None):
    path = t.path(name)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as f:
        f.write(base64.b64encode(secret or os.urandom(32)).decode() + "\n")
    return path


def asks(rum):
    return share_of(rum)["questions"]


def when_all_ask(*rums):
    for rum in rums:
        until(lambda: asks(rum)["up"], 20, "it can ask")


def nodes(t, path, redis, key, *names):
    """A rum for each name, with the same map, Redis and key."""
    made = [front(t, path, "--share", address(redis), "--share-name", name, "--share-key-file", key)
            for name in names]
    when_all_ask(*[rum for rum, _ in made])
    return made


def kill(here, user, what):
    """The number of the server's error, or 0."""
    with Client(here, 60) as killer:
        killer.login(user, password(user))
        try:
            killer.query(what)
            return 0
        except ServerError as error:
            return error.code


def running_marks(server):
    rows = server.admin("SELECT INFO FROM information_schema.PROCESSLIST WHERE INFO LIKE"
                        " 'SELECT SLEEP%'")
    return sorted(info.split("'")[1] for info, in rows)


class Sleeper:
    """A session with a long query, which is begun anew each time that it is killed."""

    def __init__(self, here, number):
        self.number, self.round = number, 0
        self.client = Client(here, 300)
        self.client.login("alice", password("alice"))
        self.begin()

    def begin(self):
        self.round += 1
        self.mark = "v%d-%d" % (self.number, self.round)
        self.client.command(b"\x03SELECT SLEEP(250), '%s'" % self.mark.encode())

    def was_killed(self):
        try:
            return interrupted(self.client.result())
        except (ServerError, EOFError, OSError):
            return True


@test("KILL through another process reaches the session with that id, and no other", needs=MARIADB,
      seconds=600)
def _(t):
    redis, server = Redis(t, fill=False), t.run.servers.a
    path = write_map(t, row(t, "alice", "A"), row(t, "other", "A"))
    (one, here), (two, there), (three, _) = nodes(t, path, redis, key_file(t), "one", "two", "three")
    places = [here, there]
    sleepers = [Sleeper(places[i % 2], i) for i in range(12)]
    marks = lambda: sorted(s.mark for s in sleepers)
    until(lambda: running_marks(server) == marks(), 20, "all sleep")
    count = 1000 if full() else 60
    begun, slowest = time.monotonic(), 0
    for i in range(count):
        victim = sleepers[i * 7 % len(sleepers)]
        at = time.monotonic()
        # Through the process that does not have the session.
        code = kill(places[(victim.number + 1) % 2], "alice",
                    "KILL QUERY %d" % front_id(victim.client))
        slowest = max(slowest, time.monotonic() - at)
        same(code, 0, "round %d" % i)
        check(victim.was_killed(), "round %d: its query has ended" % i)
        victim.begin()
        until(lambda: running_marks(server) == marks(), 20, "all others still sleep, round %d" % i)
    spent = time.monotonic() - begun
    same(metric(one, "mysql_kills") + metric(two, "mysql_kills"), count)
    same(asks(one)["answered"] + asks(two)["answered"], count)
    same(asks(one)["unanswered"] + asks(two)["unanswered"] + asks(three)["asked"], 0)
    same(sum(asks(rum)["answers_given"] for rum in (one, two, three)), 2 * count)
    same(sum(asks(rum)["messages_dropped"] for rum in (one, two, three)), 0)
    same(one.metric("rum_share_questions_total") + two.metric("rum_share_questions_total"), count)
    t.say("%d KILLs through another process in %.1f s: all at the right session; the slowest with its "
          "login took %.0f ms" % (count, spent, slowest * 1000))

    # A whole connection, and in both binary and text form.
    victim = sleepers[0]
    with Client(there, 60) as killer:
        killer.login("alice", password("alice"))
        killer.command(b"\x0c" + front_id(victim.client).to_bytes(4, "little"))
        killer.read()
    check(victim.was_killed(), "COM_PROCESS_KILL")
    # Another user's, and an id that nobody has: the server refuses what it does not know.
    victim = sleepers[1]
    same(kill(here, "other", "KILL %d" % front_id(victim.client)), UNKNOWN_THREAD)
    same(kill(here, "alice", "KILL %d" % 0x7ffffff0), UNKNOWN_THREAD)
    until(lambda: victim.mark in running_marks(server), 5, "it still sleeps")
    same(asks(one)["unanswered"], 0)
    for sleeper in sleepers:
        sleeper.client.close()


@test("A KILL of a session on another server is not translated, whoever has it", needs=MARIADB)
def _(t):
    redis = Redis(t, fill=False)
    key = key_file(t)
    elsewhere = write_map(t, row(t, "shared", "B"), name="one.cdb")
    same_user = write_map(t, ("shared", "", t.run.servers.a.address, b""), name="two.cdb")
    (one, here), = nodes(t, elsewhere, redis, key, "one")
    (two, there), = nodes(t, same_user, redis, key, "two")
    until(lambda: share_of(two)["processes"] == 1, 10, "they know each other")
    with Client(here, 60) as victim:
        victim.login("shared", password("shared"))
        with Client(there, 60) as killer:
            try:
                killer.login("shared", password("shared"))
            except ServerError:
                return t.say("the account exists on one server only")
            try:
                killer.query("KILL %d" % front_id(victim))
                check(False, "the server knows rum's id")
            except ServerError as error:
                same(error.code, UNKNOWN_THREAD)
        same(victim.query("SELECT 1"), ["1"])
    same(metric(two, "mysql_kills"), 0)


@test("After a hand-over a KILL reaches sessions of the old process, without Redis", needs=MARIADB,
      seconds=120)
def _(t):
    path = write_map(t, row(t, "alice", "A"), row(t, "other", "A"))
    rum, here = front(t, path, check_descriptors=False)
    server = t.run.servers.a
    with Client(here, 60) as victim:
        victim.login("alice", password("alice"))
        rum.hand_over()
        join = slow_query(server, victim, "old")
        same(kill(here, "other", "KILL QUERY %d" % front_id(victim)), UNKNOWN_THREAD)
        same(kill(here, "alice", "KILL QUERY %d" % front_id(victim)), 0)
        check(interrupted(join()), "it has ended")
        same(victim.query("SELECT 1"), ["1"])
    same(metric(rum, "mysql_kills"), 1)


@test("A KILL goes to the server as it is when Redis is gone or stopped, or without the key",
      needs=MARIADB, seconds=120)
def _(t):
    redis = Redis(t, fill=False)
    path, key = write_map(t, row(t, "alice", "A")), key_file(t)
    (one, here), (two, there) = nodes(t, path, redis, key, "one", "two")
    plain, without = front(t, path, "--share", address(redis), "--share-name", "three")
    plain.wait_log("without --share-key-file")
    same(asks(plain), {"configured": False})
    with Client(here, 60) as victim:
        victim.login("alice", password("alice"))
        statement = "KILL QUERY %d" % front_id(victim)
        same(kill(without, "alice", statement), UNKNOWN_THREAD, "without the key")
        same(kill(there, "alice", statement), 0, "with it")

        def refused(what, most):
            begun = time.monotonic()
            same(kill(there, "alice", statement), UNKNOWN_THREAD, what)
            check(time.monotonic() - begun < most * t.scale, what + ": it took too long")

        redis.signal(signal.SIGSTOP)
        refused("Redis has just stopped", 1.5)
        until(lambda: not asks(two)["up"], 10, "it is noticed")
        refused("Redis is stopped", 1)
        redis.signal(signal.SIGCONT)
        when_all_ask(one, two)
        same(kill(there, "alice", statement), 0, "it goes on")
        redis.kill()
        until(lambda: not asks(two)["up"], 10, "it is noticed")
        refused("Redis is dead", 1)
        has(two.log(), "other processes cannot be asked")
        redis.start()
        when_all_ask(one, two)
        same(kill(there, "alice", statement), 0, "Redis is back")
        # A process that is stopped does not answer: the others do, for what they have.
        three, third = front(t, path, "--share", address(redis), "--share-name", "three",
                             "--share-key-file", key)
        when_all_ask(three)
        three.signal(signal.SIGSTOP)
        same(kill(there, "alice", statement), 0, "another does not answer")
        begun = time.monotonic()
        same(kill(there, "alice", "KILL 2147483632"), UNKNOWN_THREAD)
        check(0.9 < time.monotonic() - begun < 2 * t.scale, "after a second")
        three.signal(signal.SIGCONT)


class Listener:
    """What is published in the channels of a Redis: by another connection, as a stranger sees it."""

    def __init__(self, t, redis):
        self.socket = socket.create_connection(("127.0.0.1", redis.port), 10)
        t.on_end(self.socket.close)
        self.socket.sendall(b"PSUBSCRIBE *\r\n")
        self.data, self.lock = b"", threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while True:
                more = self.socket.recv(65536)
                if not more:
                    return
                with self.lock:
                    self.data += more
        except OSError:
            pass

    def messages(self):
        """(channel, message) in the order of their coming."""
        with self.lock:
            rest, found = self.data, []
        while rest.startswith(b"*"):
            try:
                head, rest = rest.split(b"\r\n", 1)
                words = []
                for _ in range(int(head[1:])):
                    size, rest = rest.split(b"\r\n", 1)
                    if size.startswith(b":"):
                        words.append(size)
                        continue
                    size = int(size[1:])
                    words.append(rest[:size])
                    rest = rest[size + 2:]
            except ValueError:
                break
            if words[0] == b"pmessage":
                found.append((words[2], words[3]))
        return found


def publish(redis, channel, message):
    with socket.create_connection(("127.0.0.1", redis.port), 10) as s:
        words = (b"PUBLISH", channel, message)
        s.sendall(b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return s.recv(100)


@test("Who reads and writes the channels without the key learns nothing and causes no answer",
      needs=MARIADB, seconds=120)
def _(t):
    redis = Redis(t, fill=False)
    path, key = write_map(t, row(t, "alice", "A")), key_file(t)
    (one, here), (two, there) = nodes(t, path, redis, key, "one", "two")
    stranger, far = front(t, path, "--share", address(redis), "--share-name", "stranger",
                          "--share-key-file", key_file(t, "other.key"))
    when_all_ask(stranger)
    listener = Listener(t, redis)
    time.sleep(0.2)
    with Client(here, 60) as victim:
        victim.login("alice", password("alice"))
        same(kill(there, "alice", "KILL QUERY %d" % front_id(victim)), 0)
        until(lambda: len([c for c, _ in listener.messages() if b"rum:answer:" in c]) == 1, 5,
              "an answer by one: the stranger has another key")
        seen = listener.messages()
        for channel, message in seen:
            check(message.startswith(b"rumask1\n"), "sealed: %r" % message[:20])
            check(b"alice" not in message and b"one" not in message, "nothing is readable")
        # As a stranger, again and again: what was heard, in each channel, and junk.
        given, dropped = asks(one)["answers_given"], asks(one)["messages_dropped"]
        asked = [m for c, m in seen if b"rum:ask:" in c][0]
        questions = b"rum:ask:mysql"
        for message in [asked] * 20 + [m for _, m in seen] + [b"", b"junk", b"rumask1\n" + b"x" * 90,
                                                              b"x" * 60000, b"\x00" * 500]:
            publish(redis, questions, message)
        until(lambda: asks(one)["messages_dropped"] >= dropped + 27, 5, "all is dropped")
        same(asks(one)["answers_given"], given, "and nothing answered")
        answers = [c for c, _ in seen if b"rum:answer:" in c][0]
        before = asks(two)["messages_dropped"]
        for message in [m for _, m in seen] * 3 + [b"junk"]:
            publish(redis, answers, message)
        until(lambda: asks(two)["messages_dropped"] > before + 3, 5, "answers as well")
        # Its own KILL finds nothing: nobody understands it.
        same(kill(far, "alice", "KILL QUERY %d" % front_id(victim)), UNKNOWN_THREAD)
        same(victim.query("SELECT 1"), ["1"])
    same(redis.ask("KEYS", "*ask*"), "", "nothing is stored")


@test("Answers of Redis that are none end the connection, and nothing else", needs=("mysql.so",))
def _(t):
    server = t.keep(mysql_wire.FakeServer(password="right"))
    path = write_map(t, row(t, "alice", server.address))
    for hello in (b"-ERR unknown command 'HELLO'\r\n", b"-NOAUTH no\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
                  b"+OK\r\n+OK\r\n+OK\r\n", b">3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n"):
        fake = FakeRedis(t, lambda user, send: None, greeting={"HELLO": hello})
        rum, here = front(t, path, "--mysql-auth", "relay", "--share",
                          "redis://127.0.0.1:%d/" % fake.port, "--share-key-file", key_file(t))
        time.sleep(0.5)
        same(asks(rum)["up"], False)
        with Client(here, 20) as client:
            client.login("alice", "right")
        rum.finish()


@test("The key file is base64 of 32 bytes, and only its owner's to read", needs=("mysql.so",))
def _(t):
    good = key_file(t)
    arguments = ("-s", "tcp:127.0.0.1:1", "-d", "tcp:127.0.0.1:2", "--check", "--share",
                 "redis://127.0.0.1:3/")
    code, out, err = run_once(t, *arguments, "--share-key-file", good)
    same((code, "note" in out + err), (0, False), out + err)
    code, out, err = run_once(t, *arguments)
    same(code, 0)
    has(out + err, "without --share-key-file")
    secret = base64.b64encode(b"x" * 31).decode()
    for text, mode, word in ((secret, 0o600, "32 bytes"), ("nothing", 0o600, "32 bytes"),
                             ("", 0o600, "empty"),
                             (base64.b64encode(b"y" * 32).decode(), 0o604, "every user"),
                             (base64.b64encode(b"y" * 32).decode(), 0o602, "every user")):
        path = t.path("bad.key")
        with open(path, "w") as f:
            f.write(text + "\n")
        os.chmod(path, mode)
        code, out, err = run_once(t, *arguments, "--share-key-file", path)
        same(code, 1, text)
        has(out + err, word)
        has(out + err, "--share-key-file")
        check(not text or text not in out + err, "the secret is in no error")
        check("chmod o-r" not in out + err, "a file is warned of or refused, not both")


def memory_of(pid):
    """Its heap and its stacks; without what a sanitizer reserves."""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for span, mode, _, _, _, *name in map(str.split, maps):
            start, end = (int(number, 16) for number in span.split("-"))
            anonymous = not name or name[0].startswith("[")
            if mode.startswith("rw") and anonymous and end - start < 1 << 28:
                memory.seek(start)
                yield memory.read(end - start)


@test("A process keeps neither the key file's line nor its secret in memory", needs=("mysql.so",))
def _(t):
    secret, name = os.urandom(32), "a-name-of-sixteen-bytes-or-more"
    rum, _ = front(t, None, "-d", "tcp:127.0.0.1:2", "--share", "redis://127.0.0.1:3/",
                   "--share-name", name, "--share-key-file", key_file(t, secret=secret))
    found = dict.fromkeys((name.encode(), secret, base64.b64encode(secret)), 0)
    for part in memory_of(rum.pid):
        for what in found:
            found[what] += part.count(what)
    check(found[name.encode()], "other texts are found")
    same((found[secret], found[base64.b64encode(secret)]), (0, 0))
    rum.finish()


# -- pgsql.so -------------------------------------------------------------------------------------


def pgsql_nodes(t, redis, key, *names, **more):
    made = [pgsql_setup.Front(t, "--share", address(redis), "--share-name", name, "--share-key-file",
                              key, **more) for name in names]
    when_all_ask(*[front_.rum for front_ in made])
    return made


@test("A cancel through another process reaches the session with that key, and no other",
      needs=pgsql_setup.NEEDS, seconds=600)
def _(t):
    kind = t.run.postgresql[pgsql_setup.PG15]
    redis = Redis(t, fill=False)
    lines = ["alice - " + kind.plain.address, "bob - " + kind.other.address]
    one, two = pgsql_nodes(t, redis, key_file(t), "one", "two", map=lines)
    count = 1000 if full() else 40
    sessions = [(fronts, fronts[0].log_in(user)) for fronts in ((one, two), (two, one))
                for user in ("alice", "bob") for _ in range(2)]
    for _, client in sessions:
        sleeps(client)
    begun = time.monotonic()
    for i in range(count):
        (_, other), client = sessions[i * 5 % len(sessions)]
        check(send_cancel(other.here, client.key), "round %d: the cancel ends in order" % i)
        check(is_cancelled(client), "round %d: the query is cancelled" % i)
        sleeps(client)
    spent = time.monotonic() - begun
    # Nobody else was: each of the others still runs its query of the last round.
    for server, user in ((kind.plain, "alice"), (kind.other, "bob")):
        same(server.admin("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE"
                          " 'DO %%' AND usename = '%s'" % user), [("4",)], "those of " + user)
    for (_, other), client in sessions:
        check(send_cancel(other.here, client.key), "the cancel ends in order")
        check(is_cancelled(client), "its own cancel ends it")
        same(client.ask("SELECT 1"), ["1"])
    both = (one.rum, two.rum)
    same(sum(rum.metric("rum_pgsql_cancels_total") for rum in both), count + len(sessions))
    same(sum(rum.metric("rum_pgsql_unknown_cancels_total") for rum in both), 0)
    same(sum(asks(rum)["answered"] for rum in both), count + len(sessions))
    same(sum(asks(rum)["unanswered"] + asks(rum)["messages_dropped"] for rum in both), 0)
    t.say("%d cancels through another process in %.1f s: all at the right session" % (count, spent))


@test("Keys that no process knows reach no server, and many of them are bounded",
      needs=pgsql_setup.NEEDS, seconds=120)
def _(t):
    kind = t.run.postgresql[pgsql_setup.PG15]
    redis = Redis(t, fill=False)
    server = kind.own(t)
    one, two = pgsql_nodes(t, redis, key_file(t), "one", "two", default=server)
    client = sleeps(one.log_in("alice"))
    before = server.error_log()
    check(send_cancel(two.here, client.key[:4] + bytes(4)), "the cancel ends in order")
    same(two.rum.metric("rum_pgsql_unknown_cancels_total"), 1)
    results = []
    threads = [threading.Thread(target=lambda: results.append(send_cancel(two.here, os.urandom(8))))
               for _ in range(300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(asks(two.rum)["asked"] <= 301, "asked")
    check(asks(one.rum)["answers_given"] <= 301, "answered")
    same(server.error_log(), before, "no server was asked")
    same(two.rum.metric("rum_pgsql_cancels_total"), 0)
    time.sleep(1.1)
    check(send_cancel(two.here, client.key), "the cancel ends in order")
    check(is_cancelled(client), "the query is cancelled")
    redis.kill()
    until(lambda: not asks(two.rum)["up"], 10, "it is noticed")
    sleeps(client)
    begun = time.monotonic()
    check(send_cancel(two.here, client.key), "without Redis it is unknown, at once")
    check(time.monotonic() - begun < 1 * t.scale, "at once")
    check(send_cancel(one.here, client.key), "where the session is, it works")
    check(is_cancelled(client), "the query is cancelled")

"""Limits over several processes (--share): what they count together, and what happens when their
Redis or one of them is gone."""

import json
import signal
import threading
import time

from mysql_setup import front, row, tcp, write_map
from support import mysql_wire, net
from support.certificates import Authority
from support.harness import check, has, same, test
from support.net import until
from support.redis import FakeRedis, Redis
from support.rum import run_once
from test_control import ctl

NEEDS = ("mysql.so",)
TOO_MANY, BLOCKED = 1226, 1129


def address(redis):
    return "redis://127.0.0.1:%d/" % redis.port


def server_and_map(t, rest=b"\x80max=20", user="alice"):
    server = t.keep(mysql_wire.FakeServer(password="right"))
    return server, write_map(t, row(t, user, server.address, rest=rest))


def node(t, path, share, *arguments):
    """(rum, address) of a process that shares its limits."""
    return front(t, path, "--mysql-auth", "relay", "--share", share, *arguments)


def nodes(t, count, path, share, *arguments):
    all_of_them = [node(t, path, share, *arguments) for _ in range(count)]
    for rum, _ in all_of_them:
        until(lambda: processes(rum) == count - 1, 20, "the processes know each other")
    return all_of_them


def share_of(rum):
    return rum.stats()["share"]


def processes(rum):
    return share_of(rum)["processes"]


def log_in(here, user="alice", word="right", source="127.0.0.1"):
    """A session, or the number of the error that refused it."""
    try:
        client = mysql_wire.Client(here, 60, source=source)
    except OSError:
        return 0
    try:
        client.login(user, word)
        return client
    except mysql_wire.ServerError as error:
        client.close()
        return error.code
    except (OSError, EOFError, AssertionError):
        client.close()
        return 0


class Crowd:
    """Logins in threads of their own, which keep their sessions."""

    def __init__(self):
        self.sessions, self.codes, self.lock = [], [], threading.Lock()

    def come(self, places, pause=0):
        threads = []
        for here in places:
            threads.append(threading.Thread(target=self._come, args=(here,)))
            threads[-1].start()
            time.sleep(pause)
        for thread in threads:
            thread.join()

    def _come(self, here):
        got = log_in(here)
        with self.lock:
            (self.codes if isinstance(got, int) else self.sessions).append(
                got if isinstance(got, int) else (here, got))

    def leave(self, here=None):
        for one in [s for s in self.sessions if here in (None, s[0])]:
            one[1].close()
            self.sessions.remove(one)


def fill(here, limit=20, already=0):
    """Logs in until it is refused; the sessions."""
    held = []
    while len(held) + already <= limit + 1:
        got = log_in(here)
        if isinstance(got, int):
            same(got, TOO_MANY)
            return held
        held.append(got)
    raise AssertionError("more than %d sessions" % limit)


def close_all(held):
    for one in held:
        one.close()


@test("A limit of 20 sessions counts over three processes, for 200 clients at once and one by one",
      needs=NEEDS, seconds=180)
def _(t):
    redis = Redis(t, fill=False)
    server, path = server_and_map(t)
    three = nodes(t, 3, path, address(redis))
    places = [three[i % 3][1] for i in range(200)]

    crowd = Crowd()
    crowd.come(places)
    at_once = len(crowd.sessions)
    # Each process admits what it knows of: at worst, the limit itself before the first exchange.
    check(20 <= at_once <= 60, "at once: %d" % at_once)
    same(set(crowd.codes), {TOO_MANY}, "refusals")
    time.sleep(1.5)
    for _, here in three:
        same(log_in(here), TOO_MANY, "no place is left anywhere")
    crowd.leave()
    until(lambda: all(r.stats()["limits"]["users"] + share_of(r)["users"] == 0 for r, _ in three),
          10, "all sessions have ended")

    crowd = Crowd()
    crowd.come(places, 0.04)
    in_turn = len(crowd.sessions)
    check(20 <= in_turn <= 30, "one by one: %d" % in_turn)

    crowd.leave()
    until(lambda: all(r.stats()["limits"]["users"] + share_of(r)["users"] == 0 for r, _ in three),
          10, "all sessions have ended again")

    # One of them is killed: its sessions end, and its places come back within its time.
    (dead, there), (_, here), _ = three
    crowd = Crowd()
    for place in [there] * 8 + [here] * 12:
        crowd.come([place], 0.1)
    same(len(crowd.sessions), 20, "one after the other, as many as may")
    time.sleep(1.5)
    same([log_in(place) for _, place in three], [TOO_MANY] * 3, "all places are taken")
    dead.signal(signal.SIGKILL)
    dead.process.wait(10)
    dead.ended = True
    crowd.leave(there)
    begun = time.monotonic()
    same(log_in(here), TOO_MANY, "its sessions still count")
    until(lambda: not isinstance(log_in(here), int), 10, "a place is free")
    back = time.monotonic() - begun
    check(3 < back < 6.5 * t.scale, "the places came back after %.1f s" % back)
    time.sleep(1.5)
    crowd.come([three[1 + i % 2][1] for i in range(100)], 0.02)
    again = len(crowd.sessions)
    check(20 <= again <= 30, "after a process was killed: %d" % again)
    t.say("limit 20, three processes, 200 clients: %d at once, %d one by one; one was killed: "
          "its places were back after %.1f s, then %d" % (at_once, in_turn, back, again))


@test("A limit by address and a default limit of users count over processes, too", needs=NEEDS)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t, rest=b"")
    (one, here), (two, there) = nodes(t, 2, path, address(redis), "--max-connections-per-user", "4",
                                      "--max-connections-per-ip", "3")
    held = [log_in(here), log_in(here)]
    until(lambda: share_of(two)["sessions"] == 2, 10, "seen")
    held.append(log_in(there))
    same(log_in(there), 1040, "the fourth of the address")
    held.append(log_in(there, source="127.0.0.2"))
    time.sleep(1.5)
    same(log_in(here, source="127.0.0.3"), TOO_MANY, "the fifth of the user")
    users = json.loads(one.get("/users")[2])["users"]
    same(users, [{"user": "alice", "sessions": 2, "elsewhere": 2}])
    close_all(held)


@test("rumctl shows what is elsewhere, and explains a refusal by it", needs=NEEDS)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t, rest=b"\x80max=2")
    share = address(redis)
    one, here = node(t, path, share, "--share-name", "one")
    two, there = node(t, path, share, "--control", "sock:" + t.path("control"))
    until(lambda: processes(one) == processes(two) == 1, 10, "they know each other")
    has(redis.ask("ZRANGE", "rum:nodes", "0", "-1"), "one:")
    held = [log_in(here), log_in(there)]
    until(lambda: share_of(two)["users"] == 1, 10, "seen")
    has(ctl(t, "users"), "ELSEWHERE")
    has(ctl(t, "limits"), "shared with 1 other processes")
    has(ctl(t, "explain", "alice", code=1),
        "1 here, 1 in other processes (--share), of at most 2: REFUSED")
    held[0].close()
    until(lambda: share_of(two)["users"] == 0, 10, "gone")
    has(ctl(t, "explain", "alice"), "1 here, 0 in other processes (--share), of at most 2")
    close_all(held)


@test("An address that one process blocks for guessing is refused by the others", needs=NEEDS,
      seconds=120)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t)
    (one, here), (two, there) = nodes(t, 2, path, address(redis), "--login-failures",
                                      "3/1h,block=20s")
    for _ in range(3):
        same(log_in(here, word="wrong", source="127.0.0.7"), 1045)
    begun = time.monotonic()
    until(lambda: share_of(two)["blocked_addresses"] == 1, 5, "the block is known")
    same(log_in(there, source="127.0.0.7"), BLOCKED)
    log_in(there, source="127.0.0.8").close()
    late = node(t, path, address(redis), "--login-failures", "3/1h")
    until(lambda: share_of(late[0])["blocked_addresses"] == 1, 5, "known to one that starts later")
    same(log_in(late[1], source="127.0.0.7"), BLOCKED)
    until(lambda: not isinstance(log_in(there, source="127.0.0.7"), int), 40, "it ends")
    check(time.monotonic() - begun > 15, "not before its time")
    until(lambda: log_in(here, word="wrong", source="127.0.0.7") == 1045, 10, "it ends at home")
    until(lambda: redis.ask("ZCARD", "rum:blocks") == "0", 10, "it is gone")


@test("A rate of 5 logins counts over three processes: at once, one by one, and without Redis",
      needs=NEEDS, seconds=180)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t, rest=b"\x80rate=5/1h")
    three = nodes(t, 3, path, address(redis))
    places = [here for _, here in three]

    def come(count, pause):
        crowd = Crowd()
        crowd.come([places[i % 3] for i in range(count)], pause)
        crowd.leave()
        same(set(crowd.codes) - {TOO_MANY}, set(), "refusals")
        return count - len(crowd.codes)

    in_turn = come(20, 0.2)
    # A process that has admitted less than half of the rate waits for its next exchange.
    check(5 <= in_turn <= 9, "one by one: %d" % in_turn)
    time.sleep(1.5)
    same(come(9, 0), 0, "none is left anywhere")
    # Those that a process has admitted are charged to the others once, however often it says so.
    # What the others have is known up to the last exchange, in which refused logins may have a place.
    until(lambda: all(share_of(rum)["sessions"] == 0 for rum, _ in three), 5, "no sessions are left")
    redis.ask("FLUSHALL")
    until(lambda: all(processes(rum) == 2 for rum, _ in three), 10, "they know each other again")
    time.sleep(1.5)
    same(come(9, 0), 0, "still none")

    # Another user, all at the same moment: each process may admit the rate once, and no more.
    _, path = server_and_map(t, rest=b"\x80rate=5/3s", user="alice")
    redis.ask("FLUSHALL")
    rums = nodes(t, 3, path, "redis://127.0.0.1:%d/1" % redis.port)
    places = [here for _, here in rums]
    at_once = come(60, 0)
    check(5 <= at_once <= 15, "at once: %d" % at_once)
    begun, admitted = time.monotonic(), 0
    while time.monotonic() - begun < 12:
        admitted += come(3, 0.05)
        time.sleep(0.1)
    # 20 in the long run, less what was too much at first, and at most the bucket of each more.
    check(8 <= admitted <= 30, "in twelve seconds after that: %d" % admitted)

    redis.kill()
    until(lambda: all(processes(rum) == 0 for rum, _ in rums), 12, "alone")
    time.sleep(3.5)
    same(come(30, 0), 15, "each has its own rate")
    t.say("rate of 5, three processes: %d one by one, %d at once, then %d in 12 s of 5/3s" % (
        in_turn, at_once, admitted))


@test("Rates by address and failed logins count over processes, too", needs=NEEDS)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t, rest=b"")
    (one, here), (two, there) = nodes(t, 2, path, address(redis), "--connection-rate-per-ip", "4/1h",
                                      "--login-failures", "4/1h,block=1h", "--user-rate", "100/1h")
    for place in (here, here, there, there):
        log_in(place, source="127.0.0.5").close()
        time.sleep(1.2)
    for place in (here, there):
        same(log_in(place, source="127.0.0.5"), 1040, "by the rate of the address")
    for place in (here, there, here):
        same(log_in(place, word="wrong", source="127.0.0.6"), 1045)
        time.sleep(1.2)
    same(one.stats()["limits"]["blocked_addresses"] + two.stats()["limits"]["blocked_addresses"], 0)
    same(log_in(there, word="wrong", source="127.0.0.6"), 1045, "the fourth failure")
    until(lambda: share_of(one)["blocked_addresses"] == 1, 5, "it blocks the address")


@test("rumctl unblock ends a block in all processes, also in the one that saw the guesses", needs=NEEDS,
      seconds=120)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t)
    (one, here), (two, there) = nodes(t, 2, path, address(redis), "--login-failures", "3/1h,block=1h")
    three, _ = node(t, path, address(redis), "--login-failures", "3/1h,block=1h", "--control",
                    "sock:" + t.path("control"))
    until(lambda: processes(three) == 2, 10, "it knows the others")

    def guess():
        for _ in range(3):
            same(log_in(here, word="wrong", source="127.0.0.7"), 1045)
        same(log_in(here, source="127.0.0.7"), BLOCKED)
        until(lambda: share_of(two)["blocked_addresses"] == share_of(three)["blocked_addresses"] == 1,
              5, "the block is known")
        same(log_in(there, source="127.0.0.7"), BLOCKED)

    def is_free():
        for place in (here, there):
            until(lambda: not isinstance(log_in(place, source="127.0.0.7"), int), 5, "unblocked")
        same(one.stats()["limits"]["blocked_addresses"], 0)

    for spelling in ("127.0.0.7", "127.0.0.7/32"):  # the second block is not ended by the first unblock
        guess()
        time.sleep(1.2)
        same(log_in(here, source="127.0.0.7"), BLOCKED)
        has(ctl(t, "unblock", spelling),
            "127.0.0.7/32 is unblocked; the processes that share limits follow")
        is_free()
        same(redis.ask("ZCARD", "rum:blocks"), "0")
    has(ctl(t, "unblock", "127.0.0.7"), "was not blocked here")

    # While Redis is away, the unblock waits for it.
    redis.kill()
    until(lambda: not share_of(three)["up"] and not share_of(one)["up"], 10, "it is gone")
    for _ in range(3):
        same(log_in(here, word="wrong", source="127.0.0.7"), 1045)
    has(ctl(t, "unblock", "127.0.0.7"), "Redis is not reached, so other processes follow when it is")
    same(log_in(here, source="127.0.0.7"), BLOCKED)
    redis.start()
    until(lambda: all(share_of(rum)["up"] for rum in (one, two, three)), 10, "it is back")
    is_free()
    until(lambda: redis.ask("ZCARD", "rum:blocks") == "0", 5, "no process publishes the old block")


@test("Sessions of the process from before a hand-over count in the next one", needs=NEEDS)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t, rest=b"\x80max=3")
    rum, here = node(t, path, address(redis))
    until(lambda: share_of(rum)["up"], 10, "up")
    held = [log_in(here), log_in(here)]
    rum.hand_over()
    until(lambda: share_of(rum)["sessions"] == 2, 10, "the old process is seen")
    held += fill(here, 3, 2)
    same(len(held), 3)
    close_all(held)


@test("Redis is stopped, killed, started again and full: each process goes on with its own limits",
      needs=NEEDS, seconds=180)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t, rest=b"\x80max=3")
    (one, here), (two, there) = nodes(t, 2, path, address(redis))
    held = fill(here, 3)
    until(lambda: share_of(two)["sessions"] == 3, 10, "seen")
    same(log_in(there), TOO_MANY)

    def alone(what):
        """Others count for five seconds more; then `there` has only its own limit."""
        begun = time.monotonic()
        until(lambda: not share_of(two)["up"], 10, what + ": it is noticed")
        same(log_in(there), TOO_MANY, what + ": the counts are still used")
        until(lambda: processes(two) == 0, 12, what + ": nobody is seen any more")
        spent = time.monotonic() - begun
        more = fill(there, 3)
        same(len(more), 3, what + ": its own limit")
        close_all(more)
        same(two.get("/ready")[0], 200, "/ready")
        same(two.metric("rum_share_up"), 0)
        has(json.dumps(two.stats()["verdict"]), "limits are not fully shared")
        t.say("%s: alone after %.1f s" % (what, spent))

    def together(what):
        until(lambda: share_of(two)["up"] and share_of(one)["up"] and processes(two) == 1, 10,
              what + ": shared again")
        until(lambda: share_of(two)["sessions"] == 3, 5, what + ": seen again")
        same(log_in(there), TOO_MANY, what)

    redis.signal(signal.SIGSTOP)
    alone("stopped")
    redis.signal(signal.SIGCONT)
    together("continued")
    redis.kill()
    alone("killed")
    redis.start()
    together("started")
    redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    alone("full")
    has(share_of(two)["fault"], "OOM")
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    together("with memory")
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    until(lambda: "READONLY" in share_of(two)["fault"] or "MASTERDOWN" in share_of(two)["fault"],
          10, "a replica")
    redis.ask("REPLICAOF", "NO", "ONE")
    together("a master again")
    has(two.log(), "limits are not shared: no answer within 2 s")
    close_all(held)


@test("Whoever writes into the Redis can have users refused, and cannot do more", needs=NEEDS)
def _(t):
    redis = Redis(t, fill=False)
    _, path = server_and_map(t, rest=b"\x80max=2")
    rum, here = node(t, path, address(redis))
    until(lambda: share_of(rum)["up"], 10, "up")
    log_in(here).close()
    soon = str(int(time.time()) + 1000)
    for name, page in (("junk", "junk"), ("big", "64\nu1 1:a\n"), ("zero", "0\n"), ("none", None),
                       ("odd\x01\"<b>", "1\nu2 3:bob\n"), ("x" * 5000, "1\nu2 3:bob\n"),
                       ("long", "1\n" + "u1 5:alice\n" * 5000), ("full", "1\nu9 5:alice\n")):
        redis.ask("ZADD", "rum:nodes", soon, name)
        if page is not None:
            redis.ask("SET", "rum:n:%s:0" % name, page)
    until(lambda: log_in(here) == TOO_MANY, 10, "alice is refused")
    has(share_of(rum)["fault"], "cannot be read")
    redis.ask("FLUSHALL")
    until(lambda: not isinstance(log_in(here), int), 10, "alice is admitted again")
    redis.ask("EVAL", "for i=1,300 do redis.call('ZADD','rum:nodes',%s,'m'..i) end" % soon, "0")
    until(lambda: "more than 128" in share_of(rum)["fault"], 10, "too many processes")
    redis.ask("EVAL", "for i=1,20000 do redis.call('ZADD','rum:blocks',%s,'192.0.2.'..i) end" % soon,
              "0")
    until(lambda: share_of(rum)["blocked_addresses"] == 10000, 10, "as many as are kept")
    redis.ask("EVAL", "for i=1,2000 do redis.call('ZADD','rum:unblocks',i,'junk'..i) end", "0")
    done = sum(share_of(rum)[name] for name in ("exchanges", "failures"))
    until(lambda: sum(share_of(rum)[name] for name in ("exchanges", "failures")) > done + 1, 10,
          "exchanges go on")
    for key in ("rum:nodes", "rum:blocks", "rum:unblocks"):
        redis.ask("DEL", key)
        redis.ask("SET", key, "x")
        until(lambda: "WRONGTYPE" in share_of(rum)["fault"], 10, "of another type: " + key)
        redis.ask("DEL", key)
        until(lambda: share_of(rum)["up"], 10, "up again")
    log_in(here).close()

    for name, reply in (("junk", b"HTTP/1.1 200 OK\r\n\r\n"), ("huge", b"$1000000000\r\n"),
                        ("twice", b"*2\r\n$2\r\n10\r\n$1\r\n1\r\n" * 2), ("error", b"-ERR no\r\n"),
                        ("text", b"+OK\r\n"), ("no time", b"*2\r\n$1\r\nx\r\n$1\r\n1\r\n")):
        fake = FakeRedis(t, lambda user, send: None, greeting={"TIME": reply})
        rum, here = node(t, path, "redis://127.0.0.1:%d/" % fake.port)
        until(lambda: share_of(rum)["failures"] >= 2, 10, name)
        log_in(here).close()
        rum.finish()


@test("A password and TLS reach the Redis of --share, and mistakes are named", needs=NEEDS)
def _(t):
    authority = Authority(t.folder)
    port = net.free_port()
    certificate, key = authority.sign("redis", "DNS:localhost")
    redis = Redis(t, "--tls-port", str(port), "--tls-cert-file", certificate, "--tls-key-file", key,
                  "--tls-auth-clients", "no", "--requirepass", "Wonder-7Kd0q", fill=False)
    secret = t.path("secret")
    with open(secret, "w") as f:
        f.write("Wonder-7Kd0q\n")
    _, path = server_and_map(t)
    share = "rediss://localhost:%d/3?key=nodes:" % port
    rum, _ = node(t, path, share, "--share-ca", authority.certificate, "--share-password-file", secret)
    until(lambda: share_of(rum)["up"], 10, "up")
    has(redis.ask("-n", "3", "KEYS", "*", password="Wonder-7Kd0q"), "nodes:n:")
    rum, _ = node(t, path, share, "--share-password-file", secret)
    until(lambda: "certificate" in share_of(rum)["fault"], 10, "without the authority")
    rum, _ = node(t, path, address(redis))
    until(lambda: "NOAUTH" in share_of(rum)["fault"], 10, "without the password")
    # The rights that rum(8) names are enough.
    redis.ask("ACL", "SETUSER", "rum", "on", ">Wonder-7Kd0q", "~rum:*", "+get", "+set", "+zadd",
              "+zrange", "+zrangebyscore", "+zremrangebyscore", "+zremrangebyrank", "+expire", "+time",
              "+multi", "+exec", "+select", password="Wonder-7Kd0q")
    rum, _ = node(t, path, address(redis).replace("//", "//rum@"), "--share-password-file", secret)
    until(lambda: share_of(rum)["up"], 10, "up with few rights")
    for arguments, word in ((("--share", "redis://:Wonder-7Kd0q@h/"), "--share-password-file"),
                            (("--share", "http://h/"), "it is not redis://"),
                            (("--share", "redis://u@h/"), "needs a password"),
                            (("--share-name", "x"), "--share is not given"),
                            (("--share", "redis://h/", "--share-name", "a b"), "other characters"),
                            (("--share", "redis://h/", "--share-password-file", t.path("none")),
                             "--share-password-file")):
        code, out, err = run_once(t, "-s", tcp(), "-d", tcp(), "--check", *arguments)
        same(code, 1, " ".join(arguments))
        has(out + err, word)
        check("Wonder" not in out + err, "the password is in no error")

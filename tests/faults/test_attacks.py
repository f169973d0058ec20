"""Attacks: crowds that dribble their login, guess passwords or hammer at a limit. Honest clients log
in all the while, every one of them, and the servers see nobody else.

The attackers are processes of their own: what they cost the interpreter is not what honest clients
wait for.
"""

import json
import os
import resource
import select
import selectors
import sys
import time
import traceback
from collections import Counter, deque

from mysql_setup import front, write_map
from support import net
from support.harness import check, end_with_parent, full, same, test
from support.mysql_wire import (Client, FakeServer, ServerError, attribute_bytes, packet, response,
                                stored_hash)

PASSWORD = "pw"
USERS = ["u%d" % i for i in range(100)]
BLOCKED, USER_LIMIT, DENIED = 1129, 1226, 1045


class Attack:
    """A function in a process of its own; what it returns comes back as JSON."""

    def __init__(self, t, function, *arguments):
        self.pipe, out = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            end_with_parent()
            try:
                os.write(out, json.dumps(function(*arguments)).encode())
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                sys.stderr.flush()
            finally:
                os._exit(1)
        os.close(out)
        t.on_end(self.close)

    def under_way(self):
        return not select.select([self.pipe], [], [], 0)[0]

    def result(self):
        text = b""
        while part := os.read(self.pipe, 1 << 16):
            text += part
        check(text, "the attackers failed, see test.log")
        return json.loads(text)

    def close(self):
        os.close(self.pipe)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


def server_and_rum(t, *arguments, others=()):
    server = t.keep(FakeServer(PASSWORD))
    path = write_map(t, *[(u, stored_hash(PASSWORD), server.address) for u in [*USERS, *others]])
    return server, *front(t, path, *arguments)


def honest(here, meanwhile=lambda: False, least=30):
    """Logins from addresses of nobody else, one after the other: the seconds that each took."""
    took = []
    while len(took) < least or meanwhile():
        number = len(took)
        begin = time.monotonic()
        with Client(here, 30, source="127.200.0.%d" % (1 + number % 250)) as c:
            c.login(USERS[number % len(USERS)], PASSWORD)
            took.append(time.monotonic() - begin)
            same(c.query("SELECT 1"), [])
            same(c.quit(), "closed")
        time.sleep(0.002)
    return took


def alone(here):
    end = time.monotonic() + (5 if full() else 0)
    return honest(here, lambda: time.monotonic() < end)


def figures(took):
    took = sorted(took)
    return "%d, p50 %.1f ms, p99 %.1f ms" % (len(took), took[len(took) // 2] * 1e3,
                                             took[len(took) * 99 // 100] * 1e3)


def say(t, before, during, attack):
    if full():  # figures of a few logins on a busy machine say nothing
        t.say("honest logins alone %s; under attack %s; %s" % (
            figures(before), figures(during), attack))


def address(number):
    """An address of loopback, of another one for each number; not 127.0.x.y, nor of honest()."""
    return "127.%d.%d.%d" % (1 + number // 62500, number // 250 % 250, 1 + number % 250)


# Slow clients

def dribble(here, count, every):
    """Clients who send a byte of their response each `every` seconds until rum ends them."""
    data = packet(1, response("u1", b"\1" * 20, attributes=attribute_bytes(400)))
    selector = selectors.DefaultSelector()
    turns = deque()  # (when, client, where in data), the next one first
    began, said, ends = {}, {}, Counter()
    lives = []
    for number in range(count):
        s = net.connect(here, 60, source=address(number))
        began[s], said[s] = time.monotonic(), b""
        s.setblocking(False)
        selector.register(s, selectors.EVENT_READ)
        turns.append((time.monotonic() + every, s, 0))

    def end(s, how):
        selector.unregister(s)
        s.close()
        lives.append(time.monotonic() - began.pop(s))
        first = int.from_bytes(said[s][:3], "little") + 4  # of the greeting
        told = said[s][first + 4:first + 5] == b"\xff"
        ends[how + (" told" if told else " not told")] += 1

    sent = 0
    while began:
        while turns and turns[0][0] <= time.monotonic():
            _, s, at = turns.popleft()
            if s not in began:
                continue
            try:
                sent += s.send(data[at:at + 1])
            except OSError:
                pass  # ended: it is readable too
            turns.append((time.monotonic() + every, s, min(at + 1, len(data) - 2)))
        for key, _ in selector.select(0.05):
            s = key.fileobj
            try:
                part = s.recv(4096)
            except OSError:
                end(s, "reset")
                continue
            said[s] += part
            if not part:
                end(s, "closed")
    return {"ends": ends, "longest": max(lives), "bytes": sent}


@test("Slow clients who dribble their login are ended by its absolute timeout, honest ones log in",
      needs="mysql.so", seconds=180 if full() else 60, alone=full())
def slow(t):
    # A client needs a descriptor of the attackers' and one of rum's; 10,000 where the limit allows.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 500
    count, limit, every = (min(10_000, most), 12, 5) if full() else (min(300, most), 2, 0.3)
    server, rum, here = server_and_rum(t, "--login-timeout", "%ds" % limit)
    before = alone(here)
    attack = Attack(t, dribble, here, count, every)
    net.until(lambda: rum.stats()["sessions"]["active"] > count // 2, 20, "the crowd is there")
    during = honest(here, attack.under_way)
    seen = attack.result()
    same(seen["ends"], {"closed told": count}, "how the crowd ended")
    check(seen["bytes"] >= count, "each has sent something: %d" % seen["bytes"])
    tolerance = 10 * t.scale
    check(seen["longest"] < limit + tolerance, "the longest lived %.1f s" % seen["longest"])

    logins = len(before) + len(during)
    net.until(lambda: rum.stats()["sessions"]["active"] == 0, 10, "all are gone")
    records = rum.wait_sessions(count + logins, 30)
    same(Counter(r["reason"] for r in records), {"login_timeout": count, "client_closed": logins})
    lives = [r["duration"] for r in records if r["reason"] == "login_timeout"]
    check(limit - 0.1 <= min(lives) and max(lives) < limit + tolerance,
          "ended after %.2f to %.2f s" % (min(lives), max(lives)))
    same((server.accepted, server.logins), (logins, logins), "what the server saw")
    say(t, before, during, "%d slow clients lived %.2f to %.2f s and sent %d bytes" % (
        count, min(lives), max(lives), seen["bytes"]))


# Guessed passwords

def attempt(here, user, word, source=None):
    """The number of the error that a login brings, 0 for none."""
    with Client(here, 60, source=source) as c:
        try:
            c.login(user, word)
            return 0
        except ServerError as e:
            return e.code


def guess(here, addresses, each):
    """Guesses from each address in its turn: `each` of them, or until it is blocked."""
    heard, strangers, failures, longest = Counter(), 0, [], 0
    begin = time.monotonic()
    for number in range(addresses):
        mine, start = Counter(), time.monotonic()
        for turn in range(each or 1000):
            # Of users whom the map has, and each fourth time of one whom it has not.
            strange = turn % 4 == 3
            user = "stranger" if strange else USERS[(number + turn) % len(USERS)]
            code = attempt(here, user, "wrong", address(number))
            mine[code] += 1
            strangers += strange and code == DENIED
            if code == BLOCKED and not each:
                break
        heard += mine
        failures.append(mine[DENIED])
        longest = max(longest, time.monotonic() - start)
    return {"heard": heard, "strangers": strangers, "least": min(failures), "most": max(failures),
            "longest": longest, "seconds": time.monotonic() - begin}


def guessing(t, addresses, each):
    server, rum, here = server_and_rum(t, "--login-failures", "20/m,block=1h",
                                       "--mysql-auth", "rewrite")
    before = alone(here)
    attack = Attack(t, guess, here, addresses, each)
    during = honest(here, attack.under_way)
    seen = attack.result()
    heard = {int(code): times for code, times in seen["heard"].items()}
    same(set(heard), {DENIED, BLOCKED}, "what the attackers heard")
    # Blocked by the 20th failure; one is forgiven each three seconds.
    check(seen["least"] >= 20 and seen["most"] <= 20 + seen["longest"] // 3 + 1,
          "blocked after %d to %d failures" % (seen["least"], seen["most"]))
    logins = len(before) + len(during)
    same((server.accepted, len(server.responses), server.logins), (logins,) * 3, "the server saw")

    limits = rum.stats()["limits"]
    same({k: limits[k] for k in ("login_failures", "login_blocks", "blocked_addresses")},
         {"login_failures": heard[DENIED], "login_blocks": addresses,
          "blocked_addresses": addresses})
    records = rum.wait_sessions(logins + sum(heard.values()), 60)
    same(Counter(r["reason"] for r in records),
         {"denied": heard[DENIED] - seen["strangers"], "no_destination": seen["strangers"],
          "blocked": heard[BLOCKED], "client_closed": logins})
    same(rum.log().count("too many failed logins (20/m), blocked for 1h"), addresses, "warnings")
    say(t, before, during, "%d guesses at %.0f a second from %d addresses: %s" % (
        sum(heard.values()), sum(heard.values()) / seen["seconds"], addresses, heard))


@test("Who guesses passwords from one address is blocked, no guess reaches the server, honest ones "
      "log in", needs="mysql.so", seconds=300 if full() else 60, alone=full())
def guesses_of_one(t):
    guessing(t, 1, 20_000 if full() else 300)


@test("Who guesses passwords from many addresses is blocked at each, honest users log in",
      needs="mysql.so", seconds=600 if full() else 60, alone=full())
def guesses_of_many(t):
    guessing(t, 5_000 if full() else 50, None)


# A user at the limit

def hammer(here, times):
    begin = time.monotonic()
    heard = Counter(attempt(here, "noisy", PASSWORD) for _ in range(times))
    return {"heard": heard, "seconds": time.monotonic() - begin}


@test("A user who hammers at the limit of connections hears so each time, and harms nobody else",
      needs="mysql.so", seconds=300 if full() else 60, alone=full())
def noisy(t):
    most, times = 10, 20_000 if full() else 500
    server, rum, here = server_and_rum(t, "--max-connections-per-user", most, others=["noisy"])
    before = alone(here)
    held = [t.keep(Client(here)).login("noisy", PASSWORD) for _ in range(most)]
    attack = Attack(t, hammer, here, times)
    during = honest(here, attack.under_way)
    seen = attack.result()
    same(seen["heard"], {str(USER_LIMIT): times}, "what the noisy one heard")
    logins = len(before) + len(during) + most
    same((server.accepted, server.logins), (logins, logins), "what the server saw")
    for c in held:
        same(c.query("SELECT 1"), [], "a session that was there before")

    net.until(lambda: rum.stats()["sessions"]["active"] == most, 10, "only those held are left")
    stats = rum.stats()
    same((stats["limits"]["logins_refused"]["connections"], stats["sessions"]["ended"]["limit"],
          stats["sessions"]["logins"], stats["limits"]["users"]), (times, times, logins, 1))
    records = rum.wait_sessions(times + logins - most, 30)
    same(Counter((r["reason"], r["user"] == "noisy") for r in records),
         {("limit", True): times, ("client_closed", False): logins - most})
    # The place of one who leaves is free.
    same(held[0].quit(), "closed")
    net.until(lambda: attempt(here, "noisy", PASSWORD) == 0, 10, "there is a place")
    for c in held[1:]:
        same(c.quit(), "closed")
    say(t, before, during, "%d logins of the noisy one at %.0f a second" % (
        times, times / seen["seconds"]))

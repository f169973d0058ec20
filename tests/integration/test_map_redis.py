"""The user map in Redis: a real server with its faults, and fake ones with worse."""

import os
import signal
import subprocess
import threading
import time

import mysql_setup
from map_setup import UNAVAILABLE, UNKNOWN, Storm, front, hello, letter_server, login
from support import mariadb, net
from support.certificates import Authority
from support.harness import check, full, has, same, test
from support.mysql_wire import Client, ServerError
from support.names import NameServer
from support.net import until
from support.redis import CHANNEL, MARKER, FakeRedis, Redis, Sentinel, bulk
from support.rum import run_once
from test_control import ctl
from test_sni import build_map

NEEDS = ("sni.so",)


def two_servers(t):
    return letter_server(t, "A"), letter_server(t, "B")


def open_session(here, user):
    s = net.connect(here, 20)
    s.sendall(hello(user))
    check(s.recv(1) in (b"A", b"B"), "a session")
    return s


def up(rum, source, value=1):
    until(lambda: rum.metrics().get('rum_map_source_up{source="%s"}' % source) == value, 10,
          "the source is %s" % ("up" if value else "down"))


def ready(rum):
    status, _, body = rum.get("/ready")
    return status, body.decode().strip()


def source_of(rum):
    return rum.stats()["map"]["sources"][0]


@test("Users in Redis are found, and those that are not there are unknown", needs=NEEDS)
def _(t):
    a, b = two_servers(t)
    redis = Redis(t)
    redis.set("a.example", a)
    redis.set("b.example", b)
    rum, here = front(t, [redis.source()], "--control", "sock:" + t.path("control"))
    up(rum, redis.source())
    for _ in range(3):
        same(login(here, "a.example"), "A")
        same(login(here, "b.example"), "B")
        same(login(here, "c.example"), UNKNOWN)
    stats = rum.stats()["map"]
    # a, b, c and c's wildcard: one question each.
    same(source_of(rum)["questions"], 4, "questions")
    same(stats["cache"]["hits"], 8, "answers of the cache")
    same(stats["misses"], 6, "look-ups without a record")
    has(ctl(t, "map"), "up")
    same(ready(rum), (200, "ready"))


@test("A changed record is used at once: by SET alone, by PUBLISH, and by rumctl", needs=NEEDS)
def _(t):
    a, b = two_servers(t)
    redis = Redis(t)
    long = ("--map-ttl", "1h", "--map-negative-ttl", "1h")
    rum, here = front(t, [redis.source()], *long)
    up(rum, redis.source())
    same(login(here, "u.example"), UNKNOWN)
    for where, letter in ((a, "A"), (b, "B"), (a, "A")):
        redis.set("u.example", where)
        until(lambda: login(here, "u.example") == letter, 2, "SET was noticed")
    redis.ask("DEL", "rum:user:u.example")
    until(lambda: login(here, "u.example") == UNKNOWN, 2, "DEL was noticed")
    redis.set("u.example", b)
    until(lambda: login(here, "u.example") == "B", 2, "SET was noticed")
    redis.ask("FLUSHALL")
    until(lambda: "rum:map:id is missing" in source_of(rum)["fault"], 10, "FLUSHALL was noticed")
    same(login(here, "u.example"), "B", "the record before")
    same(login(here, "new.example"), UNAVAILABLE, "nothing is known of this user")

    hashes = redis.source().replace("rum:user:{user}", "rum:users") + "&field={user}"
    redis.ask("SET", MARKER, "1")
    redis.ask("HSET", "rum:users", "u.example", "u.example - " + a)
    rum, here = front(t, [hashes], *long, "--control", "sock:" + t.path("control"))
    up(rum, hashes)
    same(login(here, "u.example"), "A")
    redis.ask("HSET", "rum:users", "u.example", "u.example - " + b)
    same(login(here, "u.example"), "A", "nobody has announced the change")
    redis.ask("PUBLISH", CHANNEL, "u.example")
    until(lambda: login(here, "u.example") == "B", 2, "PUBLISH was noticed")
    redis.ask("HSET", "rum:users", "u.example", "u.example - " + a)
    redis.ask("PUBLISH", CHANNEL, "*")
    until(lambda: login(here, "u.example") == "A", 2, "PUBLISH * was noticed")
    redis.ask("HSET", "rum:users", "u.example", "u.example - " + b)
    has(ctl(t, "map", "forget", "u.example"), "forgotten")
    same(login(here, "u.example"), "B", "after rumctl map forget")
    redis.ask("HSET", "rum:users", "u.example", "u.example - " + a)
    has(ctl(t, "map", "forget", "--all"), "forgotten")
    same(login(here, "u.example"), "A", "after rumctl map forget --all")


@test("Nil is no answer without the marker, nor is an error, a wrong type or a bad record",
      needs=NEEDS)
def _(t):
    a, _ = two_servers(t)
    redis = Redis(t, fill=False)
    rum, here = front(t, [redis.source()])
    until(lambda: "is missing" in source_of(rum)["fault"], 10, "the fault is seen")
    same(login(here, "a.example"), UNAVAILABLE, "no marker")
    has(ready(rum)[1], "is missing")
    redis.set("a.example", a)
    same(login(here, "a.example"), "A", "a record is believed without the marker")
    redis.ask("SET", MARKER, "1")
    same(login(here, "b.example"), UNKNOWN, "the marker is there")
    redis.ask("LPUSH", "rum:user:list.example", "x")
    same(login(here, "list.example"), UNAVAILABLE, "WRONGTYPE")
    for name, record in (("empty", ""), ("other", "a.example - " + a), ("short", "short.example -"),
                         ("lines", "lines.example - %s\nx - %s" % (a, a)),
                         ("bad", "bad.example - nowhere"), ("plain", "plain.example Wonder-7Kd0q " + a),
                         ("big", "big.example - %s note=%s" % (a, "x" * 70000))):
        redis.ask("SET", "rum:user:%s.example" % name, record)
        same(login(here, name + ".example"), UNAVAILABLE, name)
        same(login(here, "a.example"), "A", "the next one, after " + name)
    rum.wait_log("has the record of 'a.example'")


@test("A password is used, and a wrong one or none makes the source unavailable", needs=NEEDS)
def _(t):
    a, _ = two_servers(t)
    rights = "~rum:* &* +@read +@connection +@transaction +subscribe +client"
    redis = Redis(t, "--requirepass", "Wonder-7Kd0q", "--user", "rum", "on", ">Builder-e41Zz",
                  *rights.split(), fill=False)
    for key, value in ((MARKER, "1"), ("rum:user:a.example", "a.example - " + a)):
        redis.ask("SET", key, value, password="Wonder-7Kd0q")
    words = {}
    for name, word in (("right", "Wonder-7Kd0q"), ("wrong", "nothing"), ("acl", "Builder-e41Zz")):
        words[name] = t.path(name)
        with open(words[name], "w") as f:
            f.write(word + "\n")
    as_user = redis.source().replace("redis://", "redis://rum@")
    for source, arguments, outcome, fault in (
            (redis.source(), ("--map-password-file", words["right"]), "A", ""),
            (as_user, ("--map-password-file", words["acl"]), "A", ""),
            (redis.source(), ("--map-password-file", words["wrong"]), UNAVAILABLE, "AUTH: WRONGPASS"),
            (redis.source(), (), UNAVAILABLE, "give --map-password-file")):
        rum, here = front(t, [source], *arguments, ready=not fault)
        up(rum, source, 0 if fault else 1)
        same(login(here, "a.example"), outcome)
        has(source_of(rum)["fault"], fault)
        check("nothing" not in rum.log(), "the password is in no log")
        rum.finish()
    code, _, err = run_once(t, "-s", "tcp:127.0.0.1:1", "-P", "sni.so", "-M",
                            redis.source().replace("redis://", "redis://:Wonder-7Kd0q@"))
    same(code, 2)
    has(err, "--map-password-file")
    check("Wonder" not in err, "the password is in no error")


@test("TLS to Redis: a certificate of the right name, and of no other", needs=NEEDS)
def _(t):
    a, _ = two_servers(t)
    authority = Authority(t.folder)
    port = net.free_port()
    certificate, key = authority.sign("redis", "DNS:localhost")
    redis = Redis(t, "--tls-port", str(port), "--tls-cert-file", certificate, "--tls-key-file", key,
                  "--tls-auth-clients", "no")
    redis.set("a.example", a)
    good = "rediss://localhost:%d/?key=rum:user:{user}" % port
    rum, here = front(t, [good], "--map-ca", authority.certificate)
    up(rum, good)
    same(login(here, "a.example"), "A")
    same(login(here, "b.example"), UNKNOWN)
    for source, arguments, fault in (
            (good.replace("localhost", "127.0.0.1"), ("--map-ca", authority.certificate), "mismatch"),
            (good, (), "certificate"),
            (good.replace(str(port), str(redis.port)), ("--map-ca", authority.certificate),
             "no TLS handshake, as with a port that has no TLS, within"),
            (good.replace("rediss", "redis"), (), "a port with TLS needs rediss: or sentinels:")):
        rum, here = front(t, [source], *arguments, ready=False)
        up(rum, source, 0)
        same(login(here, "a.example"), UNAVAILABLE, source)
        has(source_of(rum)["fault"], fault)


@test("The sources are asked in order; a file after Redis serves while that is down", needs=NEEDS)
def _(t):
    a, b = two_servers(t)
    redis = Redis(t)
    redis.set("a.example", a)
    path = build_map(t, ["a.example - " + b, "f.example - " + b])
    rum, here = front(t, ["redis+sock:%s?key=rum:user:{user}" % redis.socket, path],
                      "--map-ttl", "100ms", "--map-stale", "off",
                      "--control", "sock:" + t.path("control"))
    until(lambda: source_of(rum)["up"], 10, "the source is up")
    same(login(here, "a.example"), "A", "the first source that knows")
    same(login(here, "f.example"), "B", "the second one")
    same(login(here, "c.example"), UNKNOWN, "none")
    redis.kill()
    until(lambda: not source_of(rum)["up"], 10, "the source is down")
    time.sleep(0.2)  # --map-ttl
    same(login(here, "a.example"), "B", "the file, while Redis is down")
    same(login(here, "d.example"), UNAVAILABLE, "Redis may know this one")
    has(ready(rum)[1], "ready; down: redis+sock:")
    has(rum.stats()["verdict"]["word"], "degraded")
    redis.start()
    redis.ask("SET", MARKER, "1")
    redis.set("a.example", a)
    until(lambda: login(here, "a.example") == "A", 10, "Redis is asked again")
    has(ctl(t, "explain", "a.example"), "redis+sock:")

    rum, here = front(t, [path, redis.source()])
    same(login(here, "a.example"), "B", "the file is first")
    up(rum, redis.source())
    redis.set("r.example", a)
    same(login(here, "r.example"), "A", "Redis is second")


@test("rum starts without its Redis, says so, and uses it when it comes", needs=NEEDS)
def _(t):
    a, _ = two_servers(t)
    port = net.free_port()
    source = "redis://127.0.0.1:%d/?key=rum:user:{user}" % port
    rum, here = front(t, [source], ready=False)
    until(lambda: ready(rum)[0] == 503 and "refused" in ready(rum)[1], 10,
          "/ready names the source")
    same(login(here, "a.example"), UNAVAILABLE)
    redis = Redis(t, port=port)
    redis.set("a.example", a)
    up(rum, source)
    same(login(here, "a.example"), "A")
    has(run_once(t, "-s", "tcp:127.0.0.1:1", "-P", "sni.so", "-M", source, "--check")[1], "is good")
    redis.kill()
    code, out, err = run_once(t, "-s", "tcp:127.0.0.1:1", "-P", "sni.so", "-M", source, "--check")
    same(code, 0, "a source that is down does not prevent a start: " + err)
    has(out + err, "refused")


@test("Redis is killed, flushed, stopped, full, slow and talks junk under logins: none is wrong, and "
      "those in the cache go on", needs=NEEDS, seconds=180)
def _(t):
    a, b = two_servers(t)
    redis = Redis(t)
    expected = {}
    for i in range(100):
        user, (where, letter) = "u%d.example" % i, ((a, "A"), (b, "B"))[i % 2]
        redis.set(user, where)
        expected[user] = letter
    rum, here = front(t, [redis.source()], "--map-ttl", "1s", "--map-timeout", "500ms")
    up(rum, redis.source())
    for user in expected:
        login(here, user)
    # Sessions that are there must not notice anything.
    sessions = [open_session(here, user) for user in sorted(expected)[:20]]
    storm = Storm(here, expected, 500 if full() else 200)

    def phase(name, seconds):
        before, storm.slowest = storm.total(), 0
        time.sleep(seconds)
        t.say("%s: %d logins, slowest %.2f s" % (name, storm.total() - before, storm.slowest))
        check(storm.slowest < 5, "%s: no login waits long: %.1f s" % (name, storm.slowest))

    def refill():
        for user, letter in expected.items():
            redis.set(user, a if letter == "A" else b)
        redis.ask("SET", MARKER, "1")

    def replaced(name, answer):
        redis.kill()
        fake = FakeRedis(t, answer, port=redis.port)
        phase(name, 4)
        fake.close()
        redis.start()
        refill()
        phase("back after " + name, 2)

    phase("well", 2)
    redis.kill()
    phase("killed", 3)
    redis.start()
    phase("empty", 1)  # nothing is believed
    refill()
    phase("filled again", 1)
    redis.signal(signal.SIGSTOP)
    phase("stopped", 3)
    redis.signal(signal.SIGCONT)
    phase("continued", 2)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    has(redis.ask("SET", "more", "1"), "OOM")
    phase("full", 2)
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    replaced("junk", lambda user, send: b"HTTP/1.1 200 OK\r\n\r\n")
    replaced("slow by 2 s", lambda user, send: time.sleep(2) or bulk("%s - %s" % (
        user, a if expected[user] == "A" else b)))
    outcomes = storm.stop()
    t.say("%r" % outcomes)
    same(storm.wrong, [], "wrong outcomes")
    same(set(outcomes), {"A", "B"}, "outcomes")
    for s in sessions:
        s.sendall(b"again")
        same(s.recv(64), b"again", "a session from before")


@test("A replica that has not synced makes no user unknown", needs=NEEDS)
def _(t):
    a, _ = two_servers(t)
    master = Redis(t, "--repl-diskless-sync-delay", "3")
    master.set("a.example", a)
    replica = Redis(t, "--replicaof", "127.0.0.1 %d" % master.port, fill=False)
    rum, here = front(t, [replica.source()])
    seen = set()

    def synced():
        seen.add(login(here, "a.example"))
        return "A" in seen
    until(synced, 20, "the replica has synced")
    check(seen <= {"A", UNAVAILABLE}, "outcomes: %r" % seen)
    has(seen, UNAVAILABLE)
    replica.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
    master.kill()
    until(lambda: "MASTERDOWN" in replica.ask("GET", MARKER), 20, "the master is missed")
    same(login(here, "new.example"), UNAVAILABLE, "MASTERDOWN")


@test("With Sentinel, rum follows the master, and leaves one that has come back", needs=NEEDS,
      seconds=120)
def _(t):
    a, b = two_servers(t)
    one = Redis(t, name="one")
    two = Redis(t, "--replicaof", "127.0.0.1 %d" % one.port, fill=False, name="two")
    expected = {}
    for i in range(50):
        user, (where, letter) = "u%d.example" % i, ((a, "A"), (b, "B"))[i % 2]
        one.set(user, where)
        expected[user] = letter
    until(lambda: two.ask("GET", MARKER) == "1", 20, "the replica has synced")
    sentinel = Sentinel(t, one)
    source = "sentinel://127.0.0.1:%d,127.0.0.1:%d/main?key=rum:user:{user}" % (
        net.free_port(), sentinel.port)
    rum, here = front(t, [source], "--map-ttl", "1s", "--map-timeout", "500ms")
    up(rum, source)
    for user in expected:
        same(login(here, user), expected[user])
    storm = Storm(here, expected, 100)
    one.signal(signal.SIGSTOP)
    begun = time.monotonic()
    until(lambda: sentinel.master_port() == two.port, 30, "the replica is the master")
    two.set("new.example", a)
    until(lambda: login(here, "new.example") == "A", 10, "rum asks the new master")
    t.say("%.1f s until the new master was asked" % (time.monotonic() - begun))
    one.signal(signal.SIGCONT)
    one.ask("SET", "rum:user:late.example", "late.example - " + b)  # into the old master
    same(login(here, "late.example"), UNKNOWN, "the old master is asked no more")
    outcomes = storm.stop()
    same(storm.wrong, [], "wrong outcomes")
    same(set(outcomes), {"A", "B"}, "outcomes")
    same(source_of(rum)["source"], source)


@test("Sentinels by TLS, with a password of their own, that name the master by a name", needs=NEEDS,
      seconds=120)
def _(t):
    a, _ = two_servers(t)
    authority = Authority(t.folder)
    certificate, key = authority.sign("redis", "DNS:localhost")
    tls = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file",
           authority.certificate, "--tls-auth-clients", "no")
    port = net.free_port()
    redis = Redis(t, "--tls-port", str(port), *tls, password="Wonder-7Kd0q")
    redis.set("a.example", a)
    lines = ["port 0", "tls-port {port}", "tls-replication yes", "sentinel resolve-hostnames yes",
             "sentinel announce-hostnames yes"]
    lines += ["%s %s" % (name[2:], value) for name, value in zip(tls[::2], tls[1::2])]
    sentinel = Sentinel(t, redis, lines, host="localhost", port=port, replicas=0,
                        options=("--tls", "--cacert", authority.certificate, "-h", "localhost"),
                        password="Watcher-93xPm")
    words = {}
    for name, word in (("redis", redis.password), ("sentinel", sentinel.password), ("wrong", "no")):
        words[name] = t.path(name + "-word")
        with open(os.open(words[name], os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(word + "\n")
    source = "sentinels://localhost:%d/main?key=rum:user:{user}" % sentinel.port
    password = ("--map-password-file", words["redis"])
    verified = ("--map-ca", authority.certificate)
    asked = ("--map-sentinel-password-file", words["sentinel"])
    rum, here = front(t, [source], *password, *verified, *asked)
    up(rum, source)
    same(login(here, "a.example"), "A")
    same(login(here, "b.example"), UNKNOWN)
    check("Wonder" not in rum.log() and "Watcher" not in rum.log(), "no password is in the log")
    for wrong, arguments, fault in (
            (source, (*password, *verified), "give --map-sentinel-password-file"),
            (source, (*password, *verified, "--map-sentinel-password-file", words["wrong"]),
             "AUTH: WRONGPASS"),
            (source, (*password, *asked), "certificate"),
            (source.replace("localhost", "127.0.0.1"), (*password, *verified, *asked), "mismatch"),
            (source.replace("sentinels", "sentinel"), (*password, *asked), "rediss: or sentinels:")):
        rum, here = front(t, [wrong], *arguments, ready=False)
        up(rum, wrong, 0)
        until(lambda: fault in source_of(rum)["fault"], 10, lambda: source_of(rum)["fault"])
        has(source_of(rum)["fault"], "Sentinel ")
        same(login(here, "a.example"), UNAVAILABLE, wrong)
        rum.finish()
    code, _, err = run_once(t, "-s", "tcp:127.0.0.1:1", "-P", "sni.so", "-M", redis.source(), *asked)
    same(code, 2)
    has(err, "no source of --map is sentinel:")


@test("A Sentinel that answers junk is left for one that does not", needs=NEEDS, seconds=120)
def _(t):
    a, _ = two_servers(t)
    redis = Redis(t)
    redis.set("a.example", a)

    def master(name, port):
        return b"*2\r\n" + bulk(name) + bulk(port)

    answers = {
        "it names no valid master": [
            master("a b\n", "1"), master("", "1"), master("127.0.0.1", "0"), master("h", "65536"),
            master("h", "x"), master("x" * 254, "1"), b"*2\r\n$-1\r\n$-1\r\n"],
        "it sends no valid replies": [
            b"HTTP/1.1 200 OK\r\n\r\n", b"*1000000000\r\n", b"*1\r\n" + bulk("h"), b"+OK\r\n"],
        "it knows no master of this name": [b"*-1\r\n"],
        "ERR no": [b"-ERR no\r\n"],
    }
    for fault, replies in answers.items():
        for reply in replies:
            fake = FakeRedis(t, None, {"SENTINEL": reply})
            source = "sentinel://127.0.0.1:%d/main?key=rum:user:{user}" % fake.port
            rum, here = front(t, [source], "--map-timeout", "500ms", ready=False)
            until(lambda: fault in source_of(rum)["fault"], 10,
                  lambda: "%r: %s" % (reply, source_of(rum)["fault"]))
            rum.finish()
    good = FakeRedis(t, None, {"SENTINEL": master("127.0.0.1", str(redis.port))})
    source = "sentinel://127.0.0.1:%d,127.0.0.1:%d/main?key=rum:user:{user}" % (fake.port, good.port)
    rum, here = front(t, [source])
    up(rum, source)
    same(login(here, "a.example"), "A")


@test("A fake Redis that answers junk, too much, too slowly or twice confuses no user", needs=NEEDS,
      seconds=120)
def _(t):
    a, b = two_servers(t)
    records = {"a.example": "a.example - " + a, "b.example": "b.example - " + b}

    def twice(user, send):
        return bulk(records[user]) * 2

    def swapped(user, send):
        return bulk(records["b.example" if user == "a.example" else "a.example"])

    def slow(user, send):
        for byte in bulk(records[user]):
            time.sleep(0.1)
            send(bytes([byte]))

    answers = {
        "junk": lambda user, send: b"HTTP/1.1 200 OK\r\n\r\n",
        "a huge bulk": lambda user, send: b"$1000000000\r\n",
        "a huge array": lambda user, send: b"*1000000000\r\n",
        "nested arrays": lambda user, send: b"*1\r\n" * 10000,
        "a bad length": lambda user, send: b"$-5\r\n",
        "no end": lambda user, send: b"+" + b"x" * 100000,
        "nothing": lambda user, send: None,
        "nil": lambda user, send: b"$-1\r\n",
        "an error": lambda user, send: b"-ERR no\r\n",
        "an array": lambda user, send: b"*1\r\n" + bulk(records[user]),
        "another user's": swapped,
        "one byte at a time": slow,
    }
    for name, answer in answers.items():
        fake = FakeRedis(t, answer)
        rum, here = front(t, [fake.source()], "--map-timeout", "300ms", "--map-ttl", "off")
        until(lambda: source_of(rum)["up"], 10, "the source is up")
        for user in ("a.example", "b.example"):
            same(login(here, user), UNAVAILABLE, name)
        rum.finish()
    fake = FakeRedis(t, twice)
    rum, here = front(t, [fake.source()], "--map-ttl", "off")
    until(lambda: source_of(rum)["up"], 10, "the source is up")
    for i in range(20):
        user, letter = (("a.example", "A"), ("b.example", "B"))[i % 2]
        check(login(here, user) in (letter, UNAVAILABLE), "the reply of another question")
        time.sleep(0.05)


@test("Announcements of any size and form take nothing from the replies behind them", needs=NEEDS,
      seconds=120)
def _(t):
    a, _ = two_servers(t)
    head, three = b">2\r\n$10\r\ninvalidate\r\n*", b"$9\r\nrum:user:\r\n" * 3
    forms = {
        "none": (head + b"0\r\n", "A"),
        "all": (head[:-1] + b"_\r\n", "A"),
        "three": (head + b"3\r\n" + three, "A"),
        "two": (head + b"3\r\n" + three + head + b"3\r\n" + three, "A"),
        "thousands": (head + b"3000\r\n" + three * 1000, "A"),
        "another": (b">2\r\n$7\r\nchanged\r\n*1\r\n:1\r\n", "A"),
        "no number": (head + b"x\r\n", UNAVAILABLE),
        "no digits": (head + b"\r\n", UNAVAILABLE),
        "less than none": (head + b"-1\r\n", UNAVAILABLE),
        "too many": (head + b"9" * 20 + b"\r\n", UNAVAILABLE),
        "no end": (head + b"1" * 5000, UNAVAILABLE),
        "more than come": (head + b"18446744073709551615\r\n" + three, UNAVAILABLE),
        "numbers": (head + b"1\r\n:1\r\n", UNAVAILABLE),
    }
    for name, (form, outcome) in forms.items():
        for pieces in (form,), [form[i:i + 1] for i in range(min(len(form), 100))] + [form[100:]]:
            def answer(user, send):
                for piece in pieces:
                    send(piece)
                    if len(pieces) > 1:
                        time.sleep(0.0005)
                return bulk("a.example - " + a)
            fake = FakeRedis(t, answer)
            rum, here = front(t, [fake.source()], "--map-timeout", "1s", "--map-ttl", "off")
            until(lambda: source_of(rum)["up"], 10, "the source is up")
            same(login(here, "a.example"), outcome, name)
            rum.finish()


@test("A server that loads its data is down until it is done, and an old one serves without changes",
      needs=NEEDS)
def _(t):
    a, b = two_servers(t)
    where = [a]
    fake = FakeRedis(t, lambda user, send: bulk("%s - %s" % (user, where[0])),
                     {"GET": b"-LOADING Redis is loading the dataset in memory\r\n"})
    rum, here = front(t, [fake.source()], ready=False,
                      check_descriptors=False)  # the connection is made later
    until(lambda: "LOADING" in source_of(rum)["fault"], 10, "the fault is seen")
    same(login(here, "a.example"), UNAVAILABLE)
    del fake.greeting["GET"]
    up(rum, fake.source())
    same(login(here, "a.example"), "A")

    fake = FakeRedis(t, lambda user, send: bulk("%s - %s" % (user, where[0])),
                     {"HELLO": b"-ERR unknown command 'HELLO'\r\n"})
    rum, here = front(t, [fake.source()], "--map-ttl", "500ms")
    up(rum, fake.source())
    rum.wait_log("no RESP3")
    same(login(here, "a.example"), "A")
    where[0] = b
    until(lambda: login(here, "a.example") == "B", 5, "--map-ttl is over")


@test("A server that may evict users is told so in the log", needs=NEEDS)
def _(t):
    redis = Redis(t, "--maxmemory-policy", "allkeys-lru")
    rum, _ = front(t, [redis.source()])
    up(rum, redis.source())
    rum.wait_log("maxmemory-policy is allkeys-lru")


@test("MySQL logins by a Redis that rum-map has filled", needs=("mysql.so", "mariadb"))
def _(t):
    redis = Redis(t, fill=False)
    path = mysql_setup.usual_map(t)
    dump = subprocess.run([t.run.build.rum_map, "dump", "--redis", "rum:user:", path],
                          stdout=subprocess.PIPE, check=True)
    done = subprocess.run(["redis-cli", "-p", str(redis.port), "--pipe"], input=dump.stdout,
                          stdout=subprocess.PIPE, check=True)
    has(done.stdout.decode(), "errors: 0, replies: 9")
    rum, here = mysql_setup.front(t, redis.source(), "--mysql-unknown-user", "deny",
                                  check_descriptors=False)  # that to Redis is lost
    servers = t.run.servers
    for user, server in (("alice", servers.a), ("bob", servers.b), (mariadb.UTF8_USER, servers.a),
                         (mariadb.LONG_USER, servers.a)):
        with Client(here) as c:
            c.login(user, mariadb.password(user))
            same("tcp:127.0.0.1:" + c.query("SELECT @@port")[0], server.address, user)
    redis.kill()
    with Client(here) as c:
        c.login("alice", mariadb.password("alice"))
    for user in ("shared", "nobody"):
        try:
            with Client(here) as c:
                c.login(user, "x")
        except ServerError:
            continue
        raise AssertionError(user + " was served")
    rum.wait_sessions(7)
    same({r["reason"] for r in rum.sessions() if r["user"] in ("shared", "nobody")},
         {"map_unavailable"}, "reasons")


@test("Clients that leave while their look-up is under way leave nothing behind", needs=NEEDS)
def _(t):
    fake = FakeRedis(t, lambda user, send: None)
    rum, here = front(t, [fake.source()], "--map-timeout", "1s")
    until(lambda: source_of(rum)["up"], 10, "the source is up")
    clients = [net.connect(here) for _ in range(60)]
    for i, s in enumerate(clients):
        s.sendall(hello("u%d.example" % (i % 20)))
    until(lambda: len(fake.asked) == 20, 10, "each user has one question")
    same(rum.stats()["map"]["cache"]["under_way"], 20, "questions under way")
    for i, s in enumerate(clients):
        s.close() if i % 2 else net.reset(s)
    until(lambda: rum.stats()["map"]["cache"]["under_way"] == 0, 10, "the questions have ended")
    until(lambda: rum.stats()["sessions"]["active"] == 0, 10, "the sessions have ended")
    clients = [net.connect(here) for _ in range(5)]
    until(lambda: source_of(rum)["up"], 10, "the source is up")
    for s in clients:
        s.sendall(hello("w.example"))
    until(lambda: "w.example" in fake.asked, 10, "the user is asked for")
    rum.finish()  # by TERM, with a question under way


@test("A late answer goes to nobody", needs=NEEDS)
def _(t):
    a, b = two_servers(t)
    records = {"a.example": "a.example - " + a, "b.example": "b.example - " + b}

    def answer(user, send):
        if user == "a.example":
            time.sleep(1)
        return bulk(records[user])
    fake = FakeRedis(t, answer)
    rum, here = front(t, [fake.source()], "--map-timeout", "300ms")
    until(lambda: source_of(rum)["up"], 10, "the source is up")
    for _ in range(3):
        same(login(here, "a.example"), UNAVAILABLE, "too late")
        until(lambda: source_of(rum)["up"], 10, "the source is up")
        same(login(here, "b.example"), "B")
        time.sleep(1)


@test("A pause of a server holds logins that a remote source sends there, and asks anew at its end",
      needs=NEEDS)
def _(t):
    redis = Redis(t)
    old, new = letter_server(t, "A"), letter_server(t, "B")
    redis.set("moves.example", old)
    rum, here = front(t, [redis.source()], "--control", "sock:" + t.path("control"))
    same(login(here, "moves.example"), "A")
    ctl(t, "pause", "server=" + old, "20s")
    got = []
    waiting = threading.Thread(target=lambda: got.append(login(here, "moves.example")))
    waiting.start()
    until(lambda: rum.stats()["pauses"]["held"] == 1, 5, "the login waits")
    redis.set("moves.example", new)
    ctl(t, "resume", "server=" + old)
    waiting.join(20)
    same(got, ["B"])

    rum.finish()

    # Of a hash, nobody announces the change: the end of a pause asks anew, as does a reload.
    redis.ask("HSET", "rum:users", "moves.example", "moves.example - " + old)
    hashes = redis.source().replace("rum:user:{user}", "rum:users") + "&field={user}"
    rum, here = front(t, [hashes], "--map-ttl", "1h", "--control", "sock:" + t.path("control"))
    up(rum, hashes)
    for end, record, letter in ((("resume", "user=moves.example"), new, "B"),
                                (("reload",), old, "A")):
        check(login(here, "moves.example") != letter, "it is where it was")
        if end[0] == "resume":
            ctl(t, "pause", *end[1:])
        redis.ask("HSET", "rum:users", "moves.example", "moves.example - " + record)
        ctl(t, *end)
        same(login(here, "moves.example"), letter, "after " + end[0])
    ctl(t, "pause", "user=moves.example")
    redis.kill()
    up(rum, hashes, 0)
    has(ctl(t, "resume", "user=moves.example"), "old records may serve, down: redis:")


@test("A transaction that changes thousands of users is one announcement, and no fault", needs=NEEDS)
def _(t):
    a, b = two_servers(t)
    redis = Redis(t)
    redis.set("u3000.example", a)
    rum, here = front(t, [redis.source()], "--map-ttl", "1h")
    up(rum, redis.source())
    same(login(here, "u3000.example"), "A")
    words = ["MSET"]
    for i in range(5000):
        words += ["rum:user:u%d.example" % i, "u%d.example - %s" % (i, b)]
    redis.ask(*words)
    until(lambda: login(here, "u3000.example") == "B", 5, "the change was noticed")
    same(login(here, "u4999.example"), "B")
    for words in ("the connection is lost", "the source is down", "no valid replies"):
        check(words not in rum.log(), words)


@test("A Redis user without the right to be told of changes is a line in the log", needs=NEEDS)
def _(t):
    a, _ = two_servers(t)
    redis = Redis(t, "--user", "rum", "on", ">Builder-e41Zz", "~rum:*", "&*", "+@read",
                  "+@transaction", "+echo", "+hello", "+auth", "+select")
    redis.set("a.example", a)
    word = t.path("word")
    with open(word, "w") as f:
        f.write("Builder-e41Zz\n")
    os.chmod(word, 0o644)
    source = redis.source().replace("redis://", "redis://rum@")
    rum, here = front(t, [source], "--map-password-file", word)
    up(rum, source)
    same(login(here, "a.example"), "A")
    same(login(here, "b.example"), UNKNOWN)
    rum.wait_log("cannot listen to changes: NOPERM")
    rum.wait_log("changed keys are not announced, only what is published: NOPERM")
    rum.wait_log("every user of this machine can read '" + word)


@test("A Redis user who may read the marker but no record, or use no MULTI, is a fault", needs=NEEDS)
def _(t):
    a, _ = two_servers(t)
    word = t.path("word")
    with open(os.open(word, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
        f.write("Builder-e41Zz\n")
    redis = Redis(t, "--user", "rum", "on", ">Builder-e41Zz", "~rum:map:*", "&*", "+@all")
    redis.set("a.example", a)
    source = redis.source().replace("redis://", "redis://rum@")
    rum, here = front(t, [source], "--map-password-file", word, ready=False,
                      check_descriptors=False)  # the connection is made later
    until(lambda: "look-ups fail: NOPERM" in source_of(rum)["fault"], 10, "the fault is seen")
    same(ready(rum)[0], 503)
    redis.ask("ACL", "SETUSER", "rum", "~*", "-multi")
    up(rum, source)
    for _ in range(3):
        same(login(here, "b.example"), UNAVAILABLE, "it cannot be confirmed")
        same(login(here, "a.example"), "A")
    rum.wait_log("without MULTI, nobody is believed not to exist")
    check("do not fit the questions" not in rum.log(), "the connection stays")
    redis.ask("ACL", "SETUSER", "rum", "resetkeys", "~rum:map:*")
    up(rum, source, 0)
    redis.ask("ACL", "SETUSER", "rum", "~*", "+multi")
    up(rum, source)
    same(login(here, "b.example"), UNKNOWN)


@test("A Redis whose name gets an address later, or another one, is found", needs=NEEDS, seconds=90)
def _(t):
    a, b = two_servers(t)
    redis = Redis(t)
    redis.set("a.example", a)
    names = t.keep(NameServer({}))
    with open(t.path("resolv.conf"), "w") as f:
        f.write(names.conf)
    source = "redis://redis.test:%d/?key=rum:user:{user}" % redis.port
    rum, here = front(t, [source], "--resolv-conf", t.path("resolv.conf"), "--map-ttl", "100ms",
                      "--dns-refresh", "20s", ready=False, check_descriptors=False)
    until(lambda: "no address" in source_of(rum)["fault"], 10, "the fault is seen")
    names.records["redis.test"] = ["127.0.0.1"]
    up(rum, source)
    same(login(here, "a.example"), "A")
    redis.kill()
    up(rum, source, 0)
    other = Redis(t, port=redis.port, name="other", host="127.0.0.2")
    other.set("a.example", b)
    names.records["redis.test"] = ["127.0.0.2"]
    until(lambda: login(here, "a.example") == "B", 15, "the new address is in use")


@test("A process that reaches no source takes over from none that has users", needs=NEEDS,
      seconds=60)
def _(t):
    a, _ = two_servers(t)
    redis = Redis(t)
    redis.set("a.example", a)
    rum, here = front(t, [redis.source()], "--map-ttl", "100ms", "--control",
                      "sock:" + t.path("control"))
    up(rum, redis.source())
    same(login(here, "a.example"), "A")
    redis.kill()
    up(rum, redis.source(), 0)
    text = ctl(t, "upgrade", code=1)
    has(text, "the old process continues to serve: ")
    has(text, "no source of the user map has answered yet; redis:")
    same(login(here, "a.example"), "A", "from the cache of the old process")
    redis.start()
    redis.ask("SET", MARKER, "1")
    redis.set("a.example", a)
    up(rum, redis.source())
    rum.hand_over(ask=lambda: ctl(t, "upgrade"))
    same(login(here, "a.example"), "A", "from the new process")

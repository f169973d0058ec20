"""Statistics over HTTP: JSON, Prometheus, liveness and readiness, with exact figures."""

import json
import re
import socket

from support import net, peers
from support.harness import check, has, same, test
from support.net import connect, http_get
from support.peers import Echo, closed_port
from test_redirect import ask, tcp


@test("The four pages answer over TCP and over a unix socket")
def _(t):
    tcp_stats, sock_stats = tcp(), "sock:" + t.path("stats.sock")
    for stats in (tcp_stats, sock_stats):
        rum = t.rum("-s", tcp(), "-d", tcp(), "-m", stats, stats=False)
        rum.stats_address = stats
        net.until(lambda: net.listening(stats), 5, "statistics are bound")
        status, headers, body = rum.get("/stats")
        same(status, 200)
        has(headers["content-type"], "json")
        check(isinstance(json.loads(body), dict), "an object")
        status, headers, body = rum.get("/metrics")
        same(status, 200)
        has(headers["content-type"], "text/plain")
        check(re.search(rb"^rum_\w+ \d", body, re.M), "a metric: %r" % body[:200])
        same(rum.get("/live")[0], 200)
        same(rum.get("/ready")[0], 200)
        same(rum.get("/nothing")[0], 404)


@test("Counters are exact after sessions of every kind of end")
def _(t):
    echo = t.keep(Echo())
    good, bad = tcp(), tcp()
    one = t.rum("-s", good, "-d", echo.address)
    two = t.rum("-s", bad, "-d", closed_port())
    for _ in range(25):
        same(ask(good, b"12345678"), b"12345678")
    for _ in range(4):
        s = connect(good)
        s.sendall(b"xy")
        same(net.read_exact(s, 2), b"xy")
        net.reset(s)
    for _ in range(7):
        with connect(bad) as s:
            net.ended(s)
    one.wait_sessions(29), two.wait_sessions(7)
    stats = one.stats()
    same(stats["sessions"]["accepted"], 29)
    same(stats["sessions"]["active"], 0)
    same(stats["sessions"]["relaying"], 0)
    same(stats["sessions"]["ended"]["client_closed"], 25)
    same(stats["sessions"]["ended"]["client_reset"], 4)
    same(sum(stats["sessions"]["ended"].values()), 29)
    same(stats["upstream"]["connects"], 29)
    same(stats["bytes"]["client_received"], 25 * 8 + 4 * 2)
    same(stats["bytes"]["upstream_received"], 25 * 8 + 4 * 2)
    metrics = one.metrics()
    same(metrics["rum_sessions_total"], 29)
    same(metrics["rum_sessions_active"], 0)
    same(metrics['rum_sessions_ended_total{reason="client_closed"}'], 25)
    same(metrics["rum_client_received_bytes_total"], 208)
    stats = two.stats()
    same(stats["sessions"]["ended"]["connect_refused"], 7)
    same(stats["upstream"]["connects"], 0)
    same(stats["upstream"]["connect_failures"], 7)
    same(stats["sessions"]["connecting"], 0)


@test("Gauges follow the sessions that are open")
def _(t):
    holds = t.keep(peers.Holds())
    here = tcp()
    rum = t.rum("-s", here, "-d", holds.address)
    open_ = [connect(here) for _ in range(17)]
    for s in open_:
        s.sendall(b"x")
    net.until(lambda: rum.stats()["sessions"]["active"] == 17, 5, "17 active")
    net.until(lambda: rum.stats()["sessions"]["relaying"] == 17, 5, "17 relaying")
    for s in open_[:10]:
        net.reset(s)
    net.until(lambda: rum.stats()["sessions"]["active"] == 7, 5, "7 active")
    for s in open_[10:]:
        net.reset(s)
    net.until(lambda: rum.stats()["sessions"]["active"] == 0, 5, "0 active")
    same(rum.stats()["sessions"]["relaying"], 0)


@test("Bulk bytes are counted to the byte, spliced or not")
def _(t):
    sink = t.keep(peers.Sink())
    here = tcp()
    rum = t.rum("-s", here, "-d", sink.address)
    data = net.pattern(40 << 20)
    with connect(here, 30) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        answer = net.read_all(s)
    rum.wait_sessions(1)
    stats = rum.stats()
    same(stats["bytes"]["client_received"], len(data))
    same(stats["bytes"]["upstream_received"], len(answer))


@test("Every metric has a help and a type line, and every name is unique")
def _(t):
    rum = t.rum("-s", tcp(), "-d", tcp())
    lines = rum.get("/metrics")[2].decode().splitlines()
    helps, types, names, keys = set(), set(), set(), set()
    for line in lines:
        if line.startswith("# HELP "):
            check(line.split()[2] not in helps, "twice: " + line)
            helps.add(line.split()[2])
        elif line.startswith("# TYPE "):
            check(line.split()[3] in ("counter", "gauge", "histogram"), line)
            types.add(line.split()[2])
        else:
            found = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? '
                                 r'(\d+(\.\d+)?)', line)
            check(found, "not a sample: %r" % line)
            names.add(found.group(1))
            key = line.rsplit(" ", 1)[0]
            check(key not in keys, "twice: " + key)
            keys.add(key)
    same(helps, types)
    same(names - types, set(), "samples without a type")


@test("A module's counters are in the statistics", needs="mysql.so")
def _(t):
    rum = t.rum("-s", tcp(), "-d", tcp(), "-P", "mysql.so")
    counters = rum.stats()["module"]["counters"]
    check("mysql_relayed_logins" in counters, str(counters))
    check("rum_mysql_relayed_logins_total" in rum.metrics(), "in /metrics")


@test("HTTP garbage on the statistics' port does no harm and is bounded")
def _(t):
    stats = tcp()
    rum = t.rum("-s", tcp(), "-d", tcp(), "-m", stats, stats=stats)
    before = rum.resident()
    for data in (b"\0" * 100_000, b"GET " + b"/x" * 500_000 + b" HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200_000, b"\x16\x03\x01\x02\x00\x01",
                 b"POST /stats HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n" + b"z" * 3_000_000,
                 b"DELETE /stats HTTP/1.0\r\n\r\n", b"GET /../../etc/passwd HTTP/1.0\r\n\r\n"):
        with connect(stats) as s:
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                answer = net.read_all(s)
            except OSError:
                answer = b""
            check(b"root:" not in answer, "a file was served")
            check(not answer.startswith(b"HTTP/1.1 200"), "%r: %r" % (data[:30], answer[:60]))
    same(rum.get("/live")[0], 200)
    limit = (16 if not t.run.build.sanitizer else 200) << 20
    check(rum.resident() - before < limit, "memory: %d" % (rum.resident() - before))


@test("Many readers of the statistics at once, some of whom never read, do not stop the traffic")
def _(t):
    echo = t.keep(Echo())
    here, stats = tcp(), tcp()
    rum = t.rum("-s", here, "-d", echo.address, "-m", stats, stats=False)
    rum.stats_address = stats
    idle = [connect(stats) for _ in range(50)]
    for s in idle[:25]:
        s.sendall(b"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(100):
        same(http_get(stats, "/metrics")[0], 200)
    same(ask(here), b"hello")
    for s in idle:
        s.close()

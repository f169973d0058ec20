"""Statistics over HTTP: JSON, Prometheus, liveness and readiness, with exact figures."""

import json
import re
import socket

from support import net, peers
from support.harness import check, has, same, test
from support.net import connect, http_get
from support.peers import Echo, closed_port
from test_control import ctl
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
    same(stats["upstream"]["connect_failures"], 5, "then its circuit is open")
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
    helps, types, parts, names, keys = set(), set(), set(), set(), set()
    for line in lines:
        if line.startswith("# HELP "):
            check(line.split()[2] not in helps, "twice: " + line)
            helps.add(line.split()[2])
        elif line.startswith("# TYPE "):
            check(line.split()[3] in ("counter", "gauge", "histogram"), line)
            types.add(line.split()[2])
            if line.endswith(" histogram"):
                parts |= {line.split()[2] + end for end in ("_bucket", "_sum", "_count")}
        else:
            found = re.fullmatch(r'([a-z_]+)(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? '
                                 r'(\d+(\.\d+)?)', line)
            check(found, "not a sample: %r" % line)
            names.add(found.group(1))
            key = line.rsplit(" ", 1)[0]
            check(key not in keys, "twice: " + key)
            keys.add(key)
    same(helps, types)
    same(names - types - parts, set(), "samples without a type")


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


def crowd_in(t, rum, here, stats, *words):
    """600 connections to the statistics, each of which sends one of the words again and again. Clients
    are served meanwhile. Returns the connections, and the most descriptors that rum had."""
    crowd, most = [], 0
    for n in range(600):
        s = t.keep(socket.socket())
        s.setblocking(False)
        s.connect_ex(net.parse(stats)[1])
        crowd.append(s)
        if n % 20 == 19:
            for i, s in enumerate(crowd):
                try:
                    s.send(words[i % len(words)])
                except OSError:
                    pass
            most = max(most, sum(rum.descriptors().values()))
            same(ask(here), b"hello")
    return crowd, most


@test("Hundreds of slow readers of the statistics take no client's place, and quick ones are answered",
      seconds=90)
def _(t):
    echo, here, stats = t.keep(Echo()), tcp(), tcp()
    rum = t.rum("-s", here, "-d", echo.address, "-m", stats, stats=stats, descriptors=200)
    crowd, most = crowd_in(t, rum, here, stats, b"G")
    for path in ("/live", "/stats", "/metrics"):
        same(http_get(stats, path)[0], 200)
    most = max(most, sum(rum.descriptors().values()))
    check(most < sum(rum.baseline.values()) + 40, "%d descriptors" % most)
    for s in crowd:
        s.close()


@test("A client that shuts its writing side gets the whole of a long answer")
def _(t):
    echo = t.keep(Echo())
    here, stats = tcp(), tcp()
    t.rum("-s", here, "-d", echo.address, "-m", stats, stats=stats)
    held = [t.keep(connect(here)) for _ in range(200)]
    for s in held:
        s.sendall(b"x")
        same(net.read_exact(s, 1), b"x")
    for path in ("/sessions", "/", "/stats", "/metrics"):
        for version in (b"1.0", b"1.1"):
            with connect(stats) as s:
                s.sendall(b"GET " + path.encode() + b" HTTP/" + version + b"\r\nHost: x\r\n\r\n")
                s.shutdown(socket.SHUT_WR)
                head, _, body = net.read_all(s).partition(b"\r\n\r\n")
            has(head.decode(), "Content-Length: %d" % len(body), path)
            check(path != "/sessions" or len(body) > 32768, "%d bytes" % len(body))
    for s in held:
        s.close()


def session_list(rum, query=""):
    status, headers, body = rum.get("/sessions" + query)
    same((status, headers["content-type"]), (200, "application/json"))
    return json.loads(body)


@test("The list of sessions is exact, filtered and bounded, while sessions come and go")
def _(t):
    echo = t.keep(Echo())
    here, there = tcp(), "sock:" + t.path("in.sock")
    rum = t.rum("-s", here, "-s", there, "-d", echo.address, "-w", "2")
    held = [t.keep(connect(here, source="127.0.0.%d" % (2 + i % 2))) for i in range(2500)]
    held += [t.keep(connect(there))]
    held[7].sendall(b"1234")
    same(net.read_exact(held[7], 4), b"1234")
    net.until(lambda: rum.stats()["sessions"]["relaying"] == 2501, 20, "all are there")
    everybody = session_list(rum, "?limit=10000")
    same((everybody["matched"], len(everybody["sessions"])), (2501, 2501))
    ids = [s["id"] for s in everybody["sessions"]]
    same((ids, len(set(ids))), (sorted(ids), 2501))
    spoke, = [s for s in everybody["sessions"] if s["received"]]
    same((spoke["received"], spoke["sent"], spoke["state"], spoke["destination"]),
         (4, 4, "relay", echo.address))
    same(spoke["client"], "%s:%d" % held[7].getsockname())
    for query, number in (("?ip=127.0.0.2", 1250), ("?ip=127.0.0.9", 0), ("?ip=unix", 1),
                          ("?destination=" + echo.address, 2501), ("?user=nobody", 0),
                          ("?destination=" + echo.address + "&ip=127.0.0.3", 1250)):
        found = session_list(rum, query)
        same((found["matched"], len(found["sessions"])), (number, min(number, 1000)), query)
    same(len(session_list(rum, "?limit=3")["sessions"]), 3)
    same(rum.get("/sessions?limit=many")[0], 400)

    # Some ask and leave, some ask at once, while sessions end under their eyes.
    for _ in range(20):
        s = connect(rum.stats_address)
        s.sendall(b"GET /sessions?limit=10000 HTTP/1.0\r\n\r\n")
        s.close()
    for s in held[:2000]:
        s.close()
        if s is held[1000]:
            session_list(rum)
    net.until(lambda: session_list(rum)["matched"] == 501, 20, "the others are gone")
    for s in held:
        s.close()


@test("The page for people tells what there is, and shows a user's name as nothing but text",
      needs="mysql.so")
def _(t):
    from mysql_setup import front, write_map
    from support.mysql_wire import Client, FakeServer
    server = t.keep(FakeServer("pw"))
    name = "<script>alert(1)</script>&\"'"
    rum, here = front(t, write_map(t, (name, "", server.address)), "--health-check", "60s")
    with Client(here) as c:
        c.login(name, "pw")
        status, headers, body = rum.get("/")
        same((status, headers["content-type"]), (200, "text/html; charset=utf-8"))
        has(headers["content-security-policy"], "default-src 'none'")
        page = body.decode()
        check("<script>alert" not in page, "the name is code")
        has(page, "&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;")
        for word in (server.address, 'class="good">serving', here, "User map"):
            has(page, word)
        same(session_list(rum, "?user=%3Cscript%3Ealert(1)%3C/script%3E%26%22%27")["matched"], 1)
    check(not re.search(r"(src|href)=\"(?!/)", page), "it needs something from elsewhere")


@test("The histograms count what happened")
def _(t):
    echo = t.keep(Echo())
    good, bad = tcp(), tcp()
    one, two = t.rum("-s", good, "-d", echo.address), t.rum("-s", bad, "-d", closed_port())
    for _ in range(9):
        ask(good, b"x")
    for _ in range(4):
        with connect(bad) as s:
            net.ended(s)
    one.wait_sessions(9), two.wait_sessions(4)
    for rum, connects, sessions in ((one, 9, 9), (two, 0, 4)):
        metrics, times = rum.metrics(), rum.stats()["times"]
        for name, number in (("connect", connects), ("login", connects), ("session", sessions)):
            full = "rum_%s_seconds" % name
            same((metrics[full + "_count"], metrics[full + '_bucket{le="+Inf"}'],
                  times[name]["count"]), (number,) * 3, full)
            buckets = [v for k, v in metrics.items() if k.startswith(full + "_bucket")]
            same(buckets, sorted(buckets), full)
            check((metrics[full + "_sum"] > 0) == (number > 0), "the sum of " + full)


@test("Metrics by server and by user: counts, states, odd names and bounds", needs="mysql.so")
def _(t):
    from mysql_setup import front, write_map
    from support.mysql_wire import Client, FakeServer
    one, two = t.keep(FakeServer("pw")), t.keep(FakeServer("pw"))
    dead = closed_port()
    odd = ['a"b\\c', "a\nb", "a\\x0ab", "\u202eevil"]
    path = write_map(t, ("alice", "", one.address), ("lost", "", dead), ("bob", "", two.address),
                     *[(name, "", one.address) for name in odd])
    rum, here = front(t, path, "--health-check", "1s", "--metrics-users", "5")
    net.until(lambda: rum.stats()["health_checks"]["unknown"] == 0, 20, "all are checked")
    held = []
    for name in ["alice", "alice", *odd]:
        held.append(t.keep(Client(here)))
        held[-1].login(name, "pw")
    for user, password in (("alice", "wrong"), ("lost", "pw")):
        with Client(here) as c:
            try:
                c.login(user, password)
                check(False, "it logged in")
            except Exception:
                pass
    name = '{server="%s"}'
    net.until(lambda: rum.metric("rum_server_failures_total" + '{server="%s",reason="connect_refused"}'
                                 % dead) == 1, 10, "the failure is counted")
    same(rum.metric("rum_server_sessions" + name % one.address), 6)
    same(rum.metric("rum_server_logins_total" + name % one.address), 6)
    same(rum.metric("rum_server_failures_total"
                    + '{server="%s",reason="upstream_denied"}' % one.address), 1)
    same([rum.metric("rum_server_up" + name % s) for s in (one.address, two.address, dead)], [1, 1, 0])
    check(rum.metric("rum_server_check_seconds" + name % one.address) > 0, "check time")
    same((rum.metric("rum_servers_known"), rum.metric("rum_servers_listed")), (3, 3))
    same(rum.metric('rum_user_sessions{user="alice"}'), 2)
    text = rum.get("/metrics")[2].decode()
    users = re.findall(r'^rum_user_sessions\{user="((?:[^"\\]|\\[\\"n])*)"\} \d+$', text, re.M)
    same((len(users), len(set(users))), (5, 5), "each name is a series of its own: %r" % users)
    check(not re.search(r"[\u202e\x00-\x09]", text), "odd characters")
    # Over time.
    _, _, body = rum.get("/users?since=1h")
    over = json.loads(body)
    check(over["samples"] >= 1 and isinstance(over["users"], list), over)
    same(rum.get("/users?since=soon")[0], 400)
    for c in held:
        c.close()
    records = net.until(lambda: [r for r in rum.sessions()
                                 if r.get("user") == "alice" and "login" in r] or None, 10, "logged")
    check(all(0 < r["login"] <= r["duration"] for r in records), records)
    # A bound of 1: the first server has counters, the others are told by a metric.
    rum, here = front(t, path, "--metrics-servers", "1")
    for user in ("alice", "bob", "bob"):
        with Client(here) as c:
            c.login(user, "pw")
    same(rum.metric("rum_server_logins_total" + name % one.address), 1)
    check('rum_server_logins_total{server="%s"}' % two.address not in rum.get("/metrics")[2].decode(),
          "there is a second one")
    same(rum.metric("rum_servers_omitted_total"), 2)
    same((rum.metric("rum_servers_known"), rum.metric("rum_servers_listed")), (3, 1))


@test("--ready-servers: /ready says 503 while too few servers are up, and a reload changes it",
      needs="mysql.so", seconds=60)
def _(t):
    from support.mysql_wire import FakeServer
    server, path = t.keep(FakeServer("pw")), t.path("rum.conf")

    def config(text):
        with open(path, "w") as f:
            f.write("ready-servers = %s\n" % text)
    config("50%")
    rum = t.rum("-s", tcp(), "-P", "mysql.so", "-d", server.address, "-d", closed_port(),
                "--health-check", "1s", "--control", "sock:" + t.path("control"), "--config", path)
    net.until(lambda: rum.stats()["health_checks"]["down"] == 1
              and rum.stats()["health_checks"]["up"] == 1, 20, "both are checked")
    same(rum.get("/ready")[0], 200, "one of two is half of them")
    config("2")
    ctl(t, "reload")
    status, _, body = rum.get("/ready")
    same((status, body), (503, b"1 of 2 servers is up, --ready-servers wants 2\n"))
    same(rum.metric("rum_ready"), 0)
    same(rum.stats()["verdict"]["reasons"][0], body.decode().strip())
    has(ctl(t, "status"), "ready     no")
    config("1")
    ctl(t, "reload")
    same(rum.get("/ready")[0], 200)
    ctl(t, "drain", server.address)
    same(rum.get("/ready")[0], 503, "a server in drain is not up")
    config("off")
    ctl(t, "reload")
    same(rum.get("/ready")[0], 200)

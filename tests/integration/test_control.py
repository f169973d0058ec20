"""rumctl and the socket of --control: who may, what it shows, what it does."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading

from support import net
from support.harness import check, has, same, test
from support.net import connect
from support.peers import Echo, closed_port
from test_redirect import tcp


def ctl(t, *words, code=0):
    done = subprocess.run([t.run.build.rumctl, "-s", t.path("control"), *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60)
    same(done.returncode, code, done.stdout + done.stderr)
    return done.stdout + done.stderr


def start(t, *arguments):
    echo = t.keep(Echo())
    here = tcp()
    return t.rum("-s", here, "-d", echo.address, "--control", "sock:" + t.path("control"),
                 *arguments), here, echo


@test("rumctl shows status, sessions, destinations and the map, as text and as JSON")
def _(t):
    rum, here, echo = start(t)
    same(stat.S_IMODE(os.stat(t.path("control")).st_mode), 0o600, "the socket's mode")
    with connect(here) as s:
        s.sendall(b"12345")
        same(net.read_exact(s, 5), b"12345")
        has(ctl(t, "status"), "1 now, 1 logged in")
        lines = ctl(t, "sessions").splitlines()
        same(len(lines), 2, str(lines))
        for word in ("%s:%d" % s.getsockname(), echo.address, "relay", " 5"):
            has(lines[1], word)
        same(json.loads(ctl(t, "--json", "sessions", "ip=127.0.0.9"))["matched"], 0)
        has(ctl(t, "top"), echo.address)
    has(ctl(t, "destinations"), "STATE")
    has(ctl(t, "map"), "no user map")


@test("rumctl status and top say that no server is up, as the page does", needs="mysql.so")
def _(t):
    rum = t.rum("-s", tcp(), "-P", "mysql.so", "-d", closed_port(), "--health-check", "1s",
                "--control", "sock:" + t.path("control"))
    net.until(lambda: rum.stats()["health_checks"]["down"] == 1, 20, "it is down")
    text = ctl(t, "status")
    check(re.search("^state +down: the only server is down", text, re.M), text)
    check(re.search("^ready +yes$", text, re.M), "without --ready-servers: " + text)
    same(rum.stats()["verdict"]["word"], "down")
    has(ctl(t, "top"), "down: the only server is down")
    has(rum.get("/")[2].decode(), "the only server is down")


@test("The log says which user gave a command, and reload which limits it takes back")
def _(t):
    file = t.path("rum.conf")

    def config(text):
        with open(file, "w", encoding="ascii") as f:
            f.write("health-check = off\n" + text)
    config("max-connections = 100\n")
    rum, here, echo = start(t, "--config", file)
    ctl(t, "set", "max-connections", "50")
    ctl(t, "drain", "tcp:127.0.0.9:9")
    rum.wait_log("command of uid %d: set name=max-connections value=50" % os.geteuid())
    rum.wait_log("command of uid %d: drain destination=tcp:127.0.0.9:9" % os.geteuid())
    ctl(t, "explain", "x@127.0.0.1")
    ctl(t, "status")
    same(rum.log().count("command of "), 2, "questions are no commands")
    check("set by rumctl" not in ctl(t, "reload"), "nothing has changed in the file")
    config("max-connections = 200\n")
    has(ctl(t, "reload"), "the files replace what was set by rumctl: max-connections")
    rum.wait_log("the files replace what was set by rumctl: max-connections")
    check("set by rumctl" not in ctl(t, "reload"), "only once")
    # Each mistake is logged when it is made, and no reminder of it follows a good reload.
    for _ in range(3):
        config("max-connections = many\n")
        ctl(t, "reload", code=1)
    rum.wait_log("the configuration is not applied", times=3)
    config("max-connections = 300\n")
    ctl(t, "reload")
    rum.signal(signal.SIGTERM)  # at its end the log writes what it has gathered
    same(rum.wait_exit(10), 0, "exit code")
    check("more in" not in rum.log(), rum.log())


@test("kill ends the sessions that are meant, and no other")
def _(t):
    rum, here, echo = start(t)
    held = [connect(here, source="127.0.0.%d" % (2 + i % 3)) for i in range(9)]
    net.until(lambda: rum.stats()["sessions"]["relaying"] == 9, 10, "all are there")
    ids = [s["id"] for s in json.loads(ctl(t, "--json", "sessions"))["sessions"]]
    same(ctl(t, "kill", str(ids[0])), "1 ended\n")
    same(ctl(t, "kill", str(ids[0])), "0 ended\n")
    net.until(lambda: rum.stats()["sessions"]["active"] == 8, 10, "one is gone")
    ended = int(ctl(t, "kill", "ip=127.0.0.3").split()[0])
    check(2 <= ended <= 3, "%d ended" % ended)
    same(ctl(t, "kill", "ip=127.0.0.4", "destination=tcp:elsewhere:1"), "0 ended\n")
    has(ctl(t, "kill", code=1), "specify id, user")
    for record in rum.wait_sessions(1 + ended):
        same((record["reason"], record["detail"]), ("killed", "by an operator"))
    same(rum.stats()["sessions"]["active"], 8 - ended)
    for s in held:
        s.close()


@test("Commands need the control socket, a POST and their words")
def _(t):
    rum, here, echo = start(t)
    with connect(here):
        net.until(lambda: rum.stats()["sessions"]["relaying"] == 1, 10, "it is there")
        for address, request in ((rum.stats_address, b"POST /kill?ip=127.0.0.1"),
                                 (rum.stats_address, b"GET /kill?ip=127.0.0.1"),
                                 ("sock:" + t.path("control"), b"GET /kill?ip=127.0.0.1"),
                                 ("sock:" + t.path("control"), b"POST /stats")):
            with connect(address) as s:
                s.sendall(request + b" HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
                check(re.match(rb"HTTP/1.\d (404|405|501) ", net.read_all(s)), repr(request))
        same(rum.stats()["sessions"]["active"], 1)
    has(ctl(t, "frobnicate", code=2), "--help")
    has(ctl(t, "status", "x", code=2), "rumctl")
    has(ctl(t, "sessions", "colour=red", code=2), "unknown parameter 'colour'")
    has(ctl(t, "kill", "many", code=1), "numbers")
    # A word that is mistyped must not let more sessions be meant: "p" is no part of "ip".
    has(ctl(t, "kill", "ip=127.0.0.9", "p=127.0.0.1", code=2), "unknown parameter 'p'")
    with connect("sock:" + t.path("control")) as s:
        s.sendall(b"POST /kill?ip=127.0.0.1&usr=x HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
        has(net.read_all(s).decode(), "400")
    done = subprocess.run([t.run.build.rumctl, "-s", t.path("nobody"), "status"],
                          stderr=subprocess.PIPE, text=True)
    same(done.returncode, 3)
    has(done.stderr, "--control")
    refused = subprocess.run([t.run.build.rum, "-s", here, "-d", here, "--control", "tcp:127.0.0.1:1"],
                             stderr=subprocess.PIPE, text=True,
                             env=dict(os.environ, RUM_MODULE_DIR=t.run.build.modules))
    same(refused.returncode, 2)
    has(refused.stderr, "is not a unix socket")


@test("Each command and list of the table: who may give it, and by which words alone")
def _(t):
    source = os.path.join(os.path.dirname(__file__), "..", "..", "core", "admin", "commands.cc")
    with open(source) as f:
        lists, commands = (re.findall(r'{"(/\w+)"', part) for part in
                           re.search(r"kLists\[\] = {(.*?)};.*?kCommands\[\] = {(.*?)};", f.read(),
                                     re.S).groups())
    check(len(lists) >= 3 and len(commands) >= 10, "%s %s" % (lists, commands))
    rum, here, echo = start(t)
    control = "sock:" + t.path("control")

    def ask(address, line):
        with connect(address) as s:
            s.sendall(line.encode() + b" HTTP/1.0\r\nContent-Length: 0\r\n\r\n")
            return int(net.read_all(s).split()[1])
    with connect(here):
        net.until(lambda: rum.stats()["sessions"]["relaying"] == 1, 10, "it is there")
        for path in commands:
            check(ask(rum.stats_address, "POST " + path) in (404, 405, 501), "POST %s on -m" % path)
            if path != "/ready":  # which is a question, too
                same(ask(rum.stats_address, "GET " + path), 404, path)
                same(ask(control, "GET " + path), 404, path)
            same(ask(control, "POST %s?colour=red" % path), 400, path)
            same(ask(control, "POST %s?&&=&x" % path), 400, path)
        for path in lists:
            for address in (rum.stats_address, control):
                same(ask(address, "GET " + path), 200, path)
                same(ask(address, "GET %s?colour=red" % path), 400, path)
            same(ask(control, "POST " + path), 404, path)
        same(rum.stats()["sessions"]["active"], 1)
        same(rum.get("/ready")[0], 200, "nothing was done")


@test("reload tells what is wrong, log changes the level, stop ends the process")
def _(t):
    path = t.path("rum.conf")
    with open(path, "w") as f:
        f.write("idle-timeout = 1h\n")
    rum, here, echo = start(t, "--config", path)
    with open(path, "w") as f:
        f.write("idle-timeout = soon\n")
    has(ctl(t, "reload", code=1), path + ":1")
    with open(path, "w") as f:
        f.write("idle-timeout = 2h\n")
    same(ctl(t, "reload"), "read again; applied: idle-timeout\n")
    rum.wait_log("applied: idle-timeout")
    ctl(t, "log", "debug")
    with open(path, "w") as f:
        f.write("idle-timeout = 3h\n")
    has(ctl(t, "reload"), "read again")
    connect(here).close()
    net.until(lambda: any(r["level"] == "debug" for r in rum.records()), 10, "it is debug still")
    with open(path, "w") as f:
        f.write("verbose\n")
    ctl(t, "reload")
    with open(path, "w") as f:
        f.write("\n")
    ctl(t, "reload")
    before = len([r for r in rum.records() if r["level"] == "debug"])
    connect(here).close()
    net.until(lambda: len(rum.sessions()) == 2, 10, "both sessions have ended")
    same(len([r for r in rum.records() if r["level"] == "debug"]), before, "as it is configured")
    rum.signal(signal.SIGHUP)
    has(ctl(t, "log", "loud", code=1), "error, warning, info or debug")
    with connect(here) as s:
        has(ctl(t, "stop"), "draining")
        net.until(lambda: rum.get("/ready")[0] == 503, 10, "it drains")
        has(ctl(t, "status"), "draining")
    same(rum.wait_exit(), 0)


@test("reload tells of a map and of certificates that cannot be used, and what needs a new process")
def _(t):
    from support import cdb
    from support.certificates import Authority
    from test_tls import tls
    users, path = t.path("users.cdb"), t.path("rum.conf")
    certificate, key = Authority(t.folder).sign("localhost")
    good = cdb.users(("alice", "", "tcp:127.0.0.1:1"))
    cdb.replace(users, good)
    with open(path, "w") as f:
        f.write("workers = 1\n")
    rum, here, echo = start(t, "--config", path, "-P", "passthrough.so", "-M", users, "-s", tls(),
                            "--tls-cert", certificate, "--tls-key", key)
    same(ctl(t, "reload"), "read again; no option has changed\n")
    cdb.replace(users, b"bad")
    for _ in range(2):
        has(ctl(t, "reload", code=1), "stays in use")
    cdb.replace(users, good)
    os.rename(key, key + ".away")
    for _ in range(2):
        has(ctl(t, "reload", code=1), "rum keeps the certificates in use")
    os.rename(key + ".away", key)
    with open(path, "w") as f:
        f.write("workers = 2\n")
    same(ctl(t, "reload"),
         "read again; these options have changed and need a new process (upgrade): workers\n")


@test("set changes a limit until the configuration says something else; limits shows it")
def _(t):
    path = t.path("rum.conf")
    with open(path, "w") as f:
        f.write("max-connections = 2\n")
    rum, here, echo = start(t, "--config", path)

    def limit(name):
        return next(x for x in json.loads(ctl(t, "--json", "limits"))["limits"] if x["name"] == name)
    held = [connect(here) for _ in range(2)]
    net.until(lambda: limit("max-connections")["now"] == 2, 10, "both are in")
    with connect(here) as s:
        check(net.ended(s) in ("closed", "reset"), "one too many")
    same((limit("max-connections")["value"], limit("max-connections")["refused"]), ("2", 1))
    has(ctl(t, "set", "max-connections", "3"), "max-connections is 3")
    same(limit("max-connections")["value"], "3")
    held.append(connect(here))
    net.until(lambda: limit("max-connections")["now"] == 3, 10, "there is room")
    for words, part in ((("max-connections", "many"), "is not a number"), (("colour", "red"), "is not a limit"),
                        (("idle-timeout", "5s"), "is not a limit"), (("max-connections",), "its new value"),
                        ((), "name a limit")):
        has(ctl(t, "set", *words, code=1), part)
    has(ctl(t, "set", "a", "b", "c", code=2), "unknown parameter 'c'")
    same(limit("max-connections")["value"], "3", "a mistake changes nothing")
    ctl(t, "set", "max-memory", "1M")
    has(ctl(t, "limits"), "max-memory")
    net.until(lambda: "--max-memory is reached" in rum.log(), 10, "it is seen")
    ctl(t, "set", "max-connections", "off")
    with connect(here) as s:
        check(net.ended(s) in ("closed", "reset"), "no memory for it")
    same(limit("max-memory")["refused"], 1)
    # Another option changes: what was set by hand stays. Its own option changes: that holds.
    for more, values in (("idle-timeout = 1h", ("off", "1M")), ("max-memory = 64G", ("off", "64G")),
                         ("max-memory = 64G\nidle-timeout = 2h", ("off", "64G"))):
        with open(path, "w") as f:
            f.write("max-connections = 2\n%s\n" % more)
        ctl(t, "reload")
        same((limit("max-connections")["value"], limit("max-memory")["value"]), values, more)
    with open(path, "w") as f:
        f.write("max-connections = 4\n")
    ctl(t, "reload")
    same((limit("max-connections")["value"], limit("max-memory")["value"]), ("4", "off"))
    for s in held:
        s.close()
    net.until(lambda: limit("max-connections")["now"] == 0, 10, "all are gone")
    with connect(here) as s:
        s.sendall(b"x")
        same(net.read_exact(s, 1), b"x")


@test("users shows who is there, explain what becomes of a login", needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import front, usual_map
    from support import mariadb
    from support.mysql_wire import Client
    rum, here = front(t, usual_map(t), "--control", "sock:" + t.path("control"), "--deny",
                      "192.0.2.0/24")
    with Client(here) as one, Client(here) as two:
        one.login("alice", mariadb.password("alice"))
        two.login("alice", mariadb.password("alice"))
        same(json.loads(ctl(t, "--json", "users")),
             {"active": 1, "users": [{"user": "alice", "sessions": 2}]})
        has(ctl(t, "users"), "alice")
    explained = ctl(t, "explain", "alice")
    for part in (t.run.servers.a.address, "with a stored secret", "up"):
        has(explained, part)
    has(ctl(t, "explain", "alice@192.0.2.7", code=1), "REFUSED: in --deny")
    has(ctl(t, "explain", "alice@198.51.100.7"), "198.51.100.7")
    has(ctl(t, "explain", "alice@unix"), "unix")
    has(ctl(t, "explain", "nobody=x", code=1), "has no record of this name")
    has(ctl(t, "explain", "alice@here", code=1), "alice@here")
    has(ctl(t, "explain", code=1), "give a user name")
    processes = [subprocess.Popen([t.run.build.rumctl, "-s", t.path("control"), "explain", "bob"],
                                  stdout=subprocess.DEVNULL) for _ in range(20)]
    same({p.wait(60) for p in processes}, {0}, "20 at once, one after the other")


@test("An answer of another program is told, whatever it lacks, and a cut one too", seconds=120)
def _(t):
    path = t.path("control")
    answers = [b"{}", b"[]", b"7", b"null", b'"x"', b"no JSON", b'{"rum":{}}', b'{"sessions":[1]}',
               b'{"lines":[1]}', b'{"rum":{"ready":"yes"}}', b'{"done":7}', b'{"matched":"a"}']
    answer = [b""]
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve():
        while True:
            try:
                s = server.accept()[0]
            except OSError:
                return
            with s:
                s.recv(65536)
                s.sendall(answer[0])

    threading.Thread(target=serve, daemon=True).start()
    commands = re.findall(r"^\.It Cm (\w+)", open(os.path.join(
        os.path.dirname(__file__), "..", "..", "core", "ctl", "rumctl.8")).read(), re.M)
    check(len(commands) > 10, str(commands))
    for command in commands:
        for body in answers:
            for status in (b"200 OK", b"500 Oh"):
                answer[0] = b"HTTP/1.0 " + status + b"\r\n\r\n" + body
                words = {"explain": ["a"], "kill": ["1"], "set": ["a", "b"], "log": ["debug"]}
                done = subprocess.run(
                    [t.run.build.rumctl, "-s", path, command, *words.get(command, [])],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True, timeout=60)
                check(done.returncode in (0, 1, 2, 3), "%s of %s: %d, %s" % (
                    command, body, done.returncode, done.stderr))
    answer[0] = b"HTTP/1.0 200 OK\r\nContent-Length: 20\r\n\r\n{}"
    has(ctl(t, "status", code=3), "the answer is incomplete")
    answer[0] = b"HTTP/1.0 200 OK\r\n\r\n{}"
    has(ctl(t, "status", code=3), "unexpected answer")
    server.close()


@test("A control socket that another process has made under the same name is not removed")
def _(t):
    path = t.path("control")
    rum, here, echo = start(t)
    other = t.keep(socket.socket(socket.AF_UNIX))
    os.unlink(path)
    other.bind(path)
    other.listen()
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0)
    check(os.path.exists(path), "it is there still")


@test("IPv4 clients of a socket for both families are IPv4 addresses everywhere")
def _(t):
    from test_service import activate
    echo, port = t.keep(Echo()), net.free_port()
    here, there, stats = "tcp:[::]:%d" % port, "tcp:127.0.0.1:%d" % port, "sock:" + t.path("stats")
    rum = t.rum("-s", here, "-d", echo.address, "--control", "sock:" + t.path("control"), "-m",
                stats, "--deny", "127.0.0.7", stats=stats, program=activate(t, here))
    mine = []
    for n in range(3):
        s = t.keep(connect(there, source="127.0.0.%d" % (n + 2)))
        s.sendall(b"x")
        same(net.read_exact(s, 1), b"x")
        mine.append(s)
    with connect(there, source="127.0.0.7") as s:
        check(net.ended(s) in ("closed", "reset"), "it is refused")

    def clients(query=""):
        status, _, body = rum.get("/sessions" + query)
        same(status, 200, body)
        return [one["client"] for one in json.loads(body)["sessions"]]

    expected = ["%s:%d" % s.getsockname()[:2] for s in mine]
    net.until(lambda: sorted(clients()) == expected, 5 * t.scale, clients)  # the refused one may linger
    for spelled in ("127.0.0.3", "::ffff:127.0.0.3", "::FFFF:7f00:3"):
        same(clients("?ip=" + spelled.replace(":", "%3A")),
             ["%s:%d" % mine[1].getsockname()[:2]], spelled)
    status, _, body = rum.get("/sessions?ip=127.0.0")
    same((status, b"not a numeric address" in body or b"neither a numeric" in body), (400, True), body)
    same(ctl(t, "kill", "ip=127.0.0.4"), "1 ended\n")
    has(ctl(t, "kill", "ip=localhost", code=1), "neither a numeric address nor unix")
    check(net.ended(mine[2]) in ("closed", "reset"), "killed")
    killed = next(r for r in rum.wait_sessions(2) if r["reason"] == "killed")
    same(killed["client"], "%s:%d" % mine[2].getsockname()[:2])
    for s in mine:
        s.close()


@test("rumctl(8) has the commands that rumctl has")
def _(t):
    text = subprocess.run([t.run.build.rumctl, "--help"], stdout=subprocess.PIPE, text=True).stdout
    commands = set(re.findall(r"^  ([a-z]+) ", text[text.index("Commands:"):text.index("Examples:")], re.M))
    check(len(commands) > 5, text)
    page = os.path.join(os.path.dirname(__file__), "..", "..", "core", "ctl", "rumctl.8")
    with open(page) as f:
        section = re.search(r"^.Sh COMMANDS(.*?)^.Sh ", f.read(), re.M | re.S).group(1)
    same(set(re.findall(r"^.It Cm ([a-z]+)", section, re.M)), commands)

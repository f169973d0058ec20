"""The log: one line for every session, with every field and true figures, safe against odd bytes."""

import json
import os
import re
import signal
import socket
import subprocess

from support import net, peers
from support.harness import check, end_with_parent, has, same, test
from support.net import connect
from support.peers import Echo, closed_port
from support.rum import environment
from test_redirect import ask, tcp


@test("A session's json record has every field with true figures")
def _(t):
    echo = t.keep(Echo(prefix=b"welcome"))
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address)
    with connect(here) as s:
        mine = "%s:%d" % s.getsockname()
        s.sendall(b"12345")
        same(net.read_exact(s, 12), b"welcome12345")
        s.shutdown(socket.SHUT_WR)
        same(net.ended(s), "closed")
    r = rum.session()
    same(r["client"], mine)
    same(r["listener"], here)
    has(r["destination"], echo.address.split(":", 1)[1])
    same((r["received"], r["sent"]), (5, 12), "bytes with the client")
    same((r["upstream_received"], r["upstream_sent"]), (12, 5), "bytes with the server")
    same(r["reason"], "client_closed")
    check(0 <= r["connect"] <= r["duration"] < 60, "times: %s" % r)
    check(isinstance(r["id"], int), "a session's number")
    check(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", r["time"]), "time: %s" % r["time"])
    check("user" not in r, "no user was named")


@test("A session's text line has every field with true figures")
def _(t):
    echo = t.keep(Echo(prefix=b"welcome"))
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, log="text")
    same(ask(here, b"12345"), b"welcome12345")
    rum.wait_log("reason=")
    lines = [line for line in rum.log().splitlines() if "reason=" in line]
    same(len(lines), 1, "lines")
    line = lines[0]
    for part in (r"\bid=\d+", r"\bclient=127\.0\.0\.1:\d+", r"\blistener=" + re.escape(here),
                 r"\bdestination=\S*" + re.escape(echo.address.split(":", 1)[1]),
                 r"\bconnect=\d+\.\d+", r"\bduration=\d+\.\d+", r"\breceived=5\b", r"\bsent=12\b",
                 r"\breason=client_closed\b", r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"):
        check(re.search(part, line), "%s in %s" % (part, line))


@test("Who ends first is the reason: client or server")
def _(t):
    source = t.keep(peers.Source(lambda: [b"bye"]))
    here = tcp()
    rum = t.rum("-s", here, "-d", source.address)
    with connect(here) as s:
        same(net.read_all(s), b"bye")
    same(rum.session()["reason"], "upstream_closed")


@test("A session that finds no server is in the log with the reason")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-d", closed_port())
    with connect(here) as s:
        check(net.ended(s) in ("closed", "reset"), "ended")
    r = rum.session()
    same(r["reason"], "connect_refused")
    same((r["received"], r["sent"]), (0, 0))


@test("With --log-sessions failed only sessions that went wrong are in the log, with none none")
def _(t):
    echo = t.keep(Echo())
    file, here = t.path("rum.conf"), tcp()

    def config(text):
        with open(file, "w", encoding="ascii") as f:
            f.write("health-check = off\n" + text)

    def one_of_each(rum, count):
        with connect(here) as s:
            s.sendall(b"12345")
            same(net.read_exact(s, 5), b"12345")
            s.shutdown(socket.SHUT_WR)
            same(net.ended(s), "closed")
        with connect(here, source="127.0.0.9") as s:
            net.ended(s)
        net.until(lambda: sum(rum.stats()["sessions"]["ended"].values()) == count, 10, "ended")
    config("log-sessions = failed\ndeny = 127.0.0.9\n")
    rum = t.rum("-s", here, "-d", echo.address, "--config", file)
    one_of_each(rum, 2)
    same([r["reason"] for r in rum.wait_sessions(1)], ["not_allowed"])
    config("log-sessions = none\ndeny = 127.0.0.9\n")
    rum.signal(signal.SIGHUP)
    rum.wait_log("applied: log-sessions")
    one_of_each(rum, 4)
    config("deny = 127.0.0.9\n")
    rum.signal(signal.SIGHUP)
    rum.wait_log("applied: log-sessions", times=2)
    one_of_each(rum, 6)
    same(sorted(r["reason"] for r in rum.wait_sessions(3)),
         ["client_closed", "not_allowed", "not_allowed"])


@test("Lines to the journal have their priority, and no others")
def _(t):
    def lines(env_of):
        here, path = tcp(), t.path("stderr")
        with open(path, "wb") as f:
            status = os.fstat(f.fileno())
            env = environment(t, t.path("report"))
            env.update(env_of("%d:%d" % (status.st_dev, status.st_ino)))
            process = subprocess.Popen(
                [t.run.build.rum, "-s", here, "-d", closed_port(), "--health-check", "off",
                 "--state-dir", t.path("state")], stdin=subprocess.DEVNULL, stderr=f, env=env,
                preexec_fn=end_with_parent)
        try:
            net.until(lambda: " serves " in open(path).read(), 20 * t.scale, "it serves")
            process.terminate()
            same(process.wait(20 * t.scale), 0)
        finally:
            process.kill()
        with open(path, encoding="utf-8") as f:
            return f.read().splitlines()
    journal = lines(lambda stream: {"JOURNAL_STREAM": stream})
    for line in journal:
        level = re.match(r"<(\d)>\d{4}-\S+ (\w+) ", line)
        check(level, line)
        same(level[1], {"error": "3", "warning": "4", "info": "6", "debug": "7"}[level[2]])
    check(len(journal) >= 2, str(journal))
    # A variable that was inherited with another stream says nothing about this one.
    for other in ({}, {"JOURNAL_STREAM": "1:2"}, {"JOURNAL_STREAM": ""}):
        for line in lines(lambda stream, other=other: other):
            check(re.match(r"\d{4}-", line), line)


@test("A client on a unix socket is in the log")
def _(t):
    echo = t.keep(Echo())
    here = "sock:" + t.path("in.sock")
    rum = t.rum("-s", here, "-d", echo.address)
    same(ask(here), b"hello")
    r = rum.session()
    has(r["client"], "unix")
    same(r["listener"], here)


@test("The log goes to the file that is named, and nothing to standard error")
def _(t):
    echo = t.keep(Echo())
    here, path = tcp(), t.path("rum-file.log")
    rum = t.rum("-s", here, "-d", echo.address, "-l", path)
    same(ask(here), b"hello")

    def records():
        with open(path) as f:
            return [line for line in f if '"session"' in line]
    net.until(lambda: len(records()) == 1, 5, "one record in the file")
    json.loads(records()[0])
    same(rum.log(), "", "standard error")


@test("With -b the log file is written by the background process")
def _(t):
    from test_start import Daemon
    echo = t.keep(Echo())
    here, path = tcp(), t.path("rum-file.log")
    daemon = Daemon(t, "-b", "-s", here, "-d", echo.address, "-l", path, "--log-format", "json")
    same(daemon.code, 0, "exit code " + daemon.output())
    same(ask(here), b"hello")

    def records():
        with open(path) as f:
            return [line for line in f if '"session"' in line]
    net.until(lambda: len(records()) == 1, 5, "one record in the file")


@test("Every line of the json log is JSON, from start to end")
def _(t):
    import signal
    here = tcp()
    rum = t.rum("-s", here, "-d", closed_port(), "-v")
    with connect(here) as s:
        net.ended(s)
    rum.wait_sessions(1)
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0)
    lines = rum.log().splitlines()
    check(len(lines) >= 1, "lines")
    for line in lines:
        json.loads(line)


@test("A disk that is full for the log does not touch the traffic")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "-l", "/dev/full")
    for _ in range(50):
        same(ask(here), b"hello")
    check(rum.alive(), "alive")
    same(rum.get("/live")[0], 200)


@test("A log pipe that nobody reads does not stop the traffic", seconds=60)
def _(t):
    import os
    echo = t.keep(Echo())
    path = t.path("log.pipe")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "-l", path)
    # About 300 bytes a session: more than a pipe of 64 KiB holds.
    for _ in range(600):
        same(ask(here), b"hello")
    same(rum.get("/live")[0], 200)
    # Read on, so that the end is not held up by what waits for the pipe.
    from test_relay import background

    def drain():
        os.set_blocking(reader, True)
        while os.read(reader, 65536):
            pass
    background(drain)


ODD = [b"new\nline", b"carriage\rreturn", b"esc\x1b[31mred", b'quote"and\\slash', b"null-free\x01\x7f",
       b"broken\xff\xfe\xc3utf", b"%s%n%d", b"{\"a\":1}", b"user=root reason=ok", "přítel".encode(),
       b"\xe2\x80\xa8separator", b"tab\tbed", b"'; DROP TABLE users; --", b"x" * 512]


def unread_pipe(t):
    """The writing end of a pipe that is full and that nobody reads."""
    reader, writer = os.pipe()
    t.on_end(lambda: (os.close(reader), os.close(writer)))
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    return writer


def failing_name_server(t):
    path = t.path("resolv.conf")
    with open(path, "w") as f:
        f.write("nameserver 127.0.0.77\n")  # nobody is there
    return ["-d", "tcp:db.example.net:3306", "--resolv-conf", path, "--dns-timeout", "200ms"]


@test("Standard error is a pipe that nobody reads and the name server fails: rum answers and ends",
      seconds=90)
def _(t):
    full, servers, path = unread_pipe(t), failing_name_server(t), t.path("rum-file.log")
    # The log elsewhere, or on the pipe itself, where its thread stands still.
    for log in (["-l", path], []):
        for end in (signal.SIGTERM, signal.SIGQUIT):
            here = tcp()
            rum = t.rum("-s", here, *servers, *log, prepare=lambda: os.dup2(full, 2))
            for _ in range(3):
                with connect(here) as s:
                    check(net.ended(s, 20) in ("closed", "reset"), "no server")
            same(rum.get("/live")[0], 200)
            rum.signal(end)
            same(rum.wait_exit(15), 0, "exit code after %s" % end)
    with open(path) as f:
        for line in f:
            json.loads(line)


@test("While the name server fails every line on standard error is JSON")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, *failing_name_server(t))
    with connect(here) as s:
        check(net.ended(s, 20) in ("closed", "reset"), "no server")
    rum.session()
    for line in rum.log().splitlines():
        check(line.startswith("{"), "not JSON: " + line)
    rum.records()


@test("Odd bytes in a user name cannot forge a line or a field of the text log", needs="mysql.so")
def _(t):
    from support.mysql_wire import Client, ServerError
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", empty_map(t), log="text")
    for name in ODD:
        with Client(here) as c:
            try:
                c.login(name, "pw")
                check(False, "logged in")
            except ServerError as e:
                same(e.code, 1045)
    # Those that no server takes as they are come to another end than unknown ones.
    for reason, count in (("no_destination", len(ODD) - 2), ("denied", 2)):
        rum.wait_log(" reason=" + reason, times=count)
    with open(rum.log_path, "rb") as f:
        log = f.read()
    lines = log.split(b"\n")[:-1]
    ends = [line for line in lines if re.search(b" reason=(no_destination|denied)", line)]
    same(len(ends), len(ODD), "session lines")
    for line in lines:
        check(re.match(rb"\d{4}-", line), "begins with a time: %r" % line)
        check(not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", line), "control bytes: %r" % line)
        # One field user, and in quotes: what stands in it cannot be taken for another field.
        if b" reason=" in line:
            bare = re.sub(rb'"(?:[^"\\]|\\.)*"', b'""', line)
            same(bare.count(b" reason="), 1, "reasons outside of quotes")
            same(bare.count(b" user="), 1, "users outside of quotes")
        line.decode("utf-8")


@test("Odd bytes in a user name leave every json record readable, with the name inside",
      needs="mysql.so")
def _(t):
    from support.mysql_wire import Client, ServerError
    here = tcp()
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", empty_map(t))
    for name in ODD:
        with Client(here) as c:
            try:
                c.login(name, "pw")
            except ServerError:
                pass
    records = rum.wait_sessions(len(ODD))
    same(len(records), len(ODD), "records")
    names = [r["user"] for r in records]
    for name in ODD:
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if text.isprintable():
            # A byte that is no text is written \xHH, so a backslash itself is doubled.
            check(text.replace("\\", "\\\\") in names, "%r among %r" % (text, names))
    for line in open(rum.log_path, "rb").read().split(b"\n")[:-1]:
        json.loads(line.decode("utf-8"))


def empty_map(t):
    from support import cdb
    path = t.path("empty.cdb")
    cdb.replace(path, cdb.encode([]))
    return path


@test("With -v one session can be followed by its number from accept to end", needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import front, row, write_map
    from support import mariadb
    from support.mysql_wire import Client
    rum, here = front(t, write_map(t, row(t, "alice", "A")), "-v")
    with Client(here) as one, Client(here):
        one.login("alice", mariadb.password("alice"))
        one.quit()
    number = next(r["id"] for r in rum.wait_sessions(1) if r.get("user") == "alice")
    lines = [r["message"] for r in rum.records() if r.get("message", "").startswith("session %d: " % number)]
    steps = ["connected to " + here, 'the user is "alice"', "the map has a record", "connecting to",
             ": connected", "the server has sent its first bytes", "relaying", "the session ends: "]
    at = 0
    for line in lines:
        if at < len(steps) and steps[at] in line:
            at += 1
    same(at, len(steps), "\n".join(lines))


@test("The filter for fail2ban finds who guesses passwords, and nobody else", needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import tcp, usual_map
    from support import mariadb
    from support.build import program
    from support.mysql_wire import Client, ServerError
    source = os.path.join(os.path.dirname(__file__), "..", "..", "contrib", "fail2ban", "filter.conf")
    with open(source) as f:
        rules = re.search(r"^failregex = (.*?)^ignoreregex", f.read(), re.M | re.S).group(1).strip().split("\n")
    # What fail2ban has for the beginning of a line, without what it has for other daemons.
    prefix = r"\s*(?:\S+\s+)?(?:rum\[\d+\]:?\s+)?"
    rules = [re.compile(rule.strip().replace("%(__prefix_line)s", prefix)
                        .replace("<ADDR>", r"\[?(?P<ip>[0-9a-f.:]+?)\]?")) for rule in rules]
    same(len(rules), 2)
    injected = 'x" session id=1 client=9.9.9.9:1 login_failures=1'
    for form in ("text", "json"):
        for mode in ("relay", "rewrite"):
            here4, here6 = tcp(), "tcp:[::1]:%d" % net.free_port()
            log = t.path("log-%s-%s" % (form, mode))
            rum = t.rum("-s", here4, "-s", here6, "-M", usual_map(t), "--mysql-auth", mode, "-l", log,
                        "--log-format", form, log=None)
            for where, source, user, word in ((here4, "127.0.0.7", "alice", "wrong"),
                                              (here4, "127.0.0.8", injected, "pw"),
                                              (here6, None, "bob", "wrong")):
                with Client(where, source=source) as c:
                    try:
                        c.login(user, word)
                        check(False, "it should fail")
                    except ServerError as e:
                        same(e.code, 1045)
            with Client(here4, source="127.0.0.9") as c:
                c.login("alice", mariadb.password("alice"))
                c.quit()
            with connect(here4, source="127.0.0.10"):
                pass
            net.until(lambda: rum.stats()["sessions"]["active"] == 0, 10, "all have ended")
            rum.signal(signal.SIGTERM)
            rum.wait_exit()
            with open(log) as f:
                lines = f.read().splitlines()
            # And as syslog writes them: JSON as it is, of text the time and the level are not there.
            head = "Nov 26 04:38:00 host rum[5156]: "
            by_syslog = [head + (line if form == "json" else line.split(" ", 2)[2]) for line in lines]
            for some in (lines, by_syslog):
                found = []
                for line in some:
                    # fail2ban takes the time out of the line first.
                    line = line[15:] if line.startswith(head) else \
                        re.sub(r"\d{4}-\d\d-\d\dT\S+?[+]00:00", "", line, count=1)
                    match = next(filter(None, (rule.search(line) for rule in rules)), None)
                    if match:
                        found.append(match["ip"])
                same(sorted(found), ["127.0.0.7", "127.0.0.8", "::1"], "\n".join(some))
                if program("fail2ban-regex"):
                    path = t.path("lines")
                    with open(path, "w") as f:
                        f.write("\n".join(some) + "\n")
                    done = subprocess.run(
                        [program("fail2ban-regex"), "--print-all-matched", path, source_of(t)],
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                    has(done.stdout, "3 matched")


def source_of(t):
    """The filter where fail2ban finds its own beside it."""
    path = "/etc/fail2ban/filter.d"
    there = t.path("rum.conf")
    here = os.path.join(os.path.dirname(__file__), "..", "..", "contrib", "fail2ban", "filter.conf")
    with open(here) as f, open(there, "w") as to:
        to.write(f.read().replace("before = common.conf", "before = %s/common.conf" % path))
    return there

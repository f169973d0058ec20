"""After hand-overs the new process speaks for the older ones, which still have their sessions."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess

from support import net
from support.harness import check, has, same, test
from support.net import connect
from support.peers import ManyEcho
from test_control import ctl
from test_redirect import tcp
from test_stop import echo_works


def start(t, *arguments):
    echo = ManyEcho()
    t.keep(echo)
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--control", "sock:" + t.path("control"),
                "--drain-timeout", "1h", *arguments)
    return rum, here, echo


def listed(t, *words):
    return json.loads(ctl(t, "--json", "sessions", *words))


def states(rum):
    return [g["state"] for g in rum.stats()["generations"]]


def own_sockets(t):
    return sorted(name for name in os.listdir(t.folder) if name.startswith("control."))


def direct(t, pid, *words):
    """rumctl for one process."""
    return subprocess.check_output([t.run.build.rumctl, "-s", "%s.%d" % (t.path("control"), pid),
                                    *words], text=True, timeout=60)


def ids_of(rum):
    return [record["id"] for record in rum.sessions()]


@test("500 sessions of an old process are listed, counted, killed and ended by the new one")
def _(t):
    rum, here, echo = start(t)
    held = [connect(here, 30, source="127.0.0.%d" % (2 + i % 5)) for i in range(500)]
    for s in held:
        echo_works(s)
    before = {one["id"] for one in listed(t)["sessions"]}
    old = rum.hand_over()
    fresh = [connect(here, 30, source="127.0.0.2") for _ in range(3)]
    for s in fresh:
        echo_works(s)
    all_of_them = listed(t)
    same((all_of_them["matched"], len(all_of_them["sessions"])), (503, 503))
    ids = [one["id"] for one in all_of_them["sessions"]]
    same(len(set(ids)), 503, "every id once")
    check(max(before) < min(set(ids) - before), "the new process continues above the old one")
    same({one.get("process") for one in all_of_them["sessions"]}, {None, old.pid})
    same(len(listed(t, "limit=10")["sessions"]), 10)
    same(listed(t, "ip=127.0.0.3")["matched"], 100)

    stats = rum.stats()
    same(stats["sessions"]["active"], 503)
    same(stats["destinations"][0]["sessions"], 503)
    generation = stats["generations"]
    same([(one["pid"], one["state"], one["sessions"]) for one in generation],
         [(old.pid, "draining", 500)])
    metrics = rum.metrics()
    same(metrics['rum_generation_sessions{pid="%d"}' % old.pid], 500)
    same(metrics['rum_generation_answers{pid="%d"}' % old.pid], 1)
    same(metrics["rum_sessions_active"], 3, "its own: a counter of a process never falls")
    same(metrics['rum_server_sessions{server="%s"}' % echo.address], 503)
    page = rum.get("/")[2].decode()
    has(page, "%d, draining" % old.pid)
    has(page, "500 sessions in 1 older process")
    status = ctl(t, "status")
    check(re.search(r"^older +process %d, .* draining, 500 sessions" % old.pid, status, re.M), status)
    has(status, "503 now, 503 logged in")
    has(ctl(t, "destinations"), "503")
    has(ctl(t, "top"), str(old.pid))

    same(ctl(t, "kill", "ip=127.0.0.2"), "103 ended\n")
    same(ctl(t, "kill", str(min(before & {one["id"] for one in listed(t)["sessions"]}))),
         "1 ended\n")
    net.until(lambda: rum.stats()["sessions"]["active"] == 399, 10, "they are gone")
    has(ctl(t, "log", "debug"), "level debug; also in process %d" % old.pid)
    has(ctl(t, "drain", echo.address), "; also in process %d" % old.pid)
    has(ctl(t, "maint", echo.address), "; also in process %d" % old.pid)
    same(old.wait(20 * t.scale), 0, "the old process ends with its sessions")
    net.until(lambda: rum.stats()["generations"] == [], 10, "it is forgotten")
    same(own_sockets(t), [], "its socket is gone")
    rum.wait_log("process %d, which had handed over, has ended" % old.pid)
    records = rum.wait_sessions(503)
    same(len({record["id"] for record in records}), len(records), "every id once in the log")
    same({record["reason"] for record in records}, {"killed", "maintenance"})
    for s in held + fresh:
        s.close()


@test("After several hand-overs the newest process speaks for all, and each has a socket of its own")
def _(t):
    rum, here, echo = start(t)
    held, old, pids = [], [], []
    for _ in range(3):
        held.append(connect(here, 30))
        echo_works(held[-1])
        old.append(rum.hand_over())
        pids.append(old[-1].pid)
    held.append(connect(here, 30))
    echo_works(held[-1])
    same(own_sockets(t), sorted("control.%d" % pid for pid in pids))
    entries = listed(t)["sessions"]
    same([one.get("process") for one in entries], pids + [None], "by id, the oldest first")
    same([one["pid"] for one in rum.stats()["generations"]], pids)
    for pid, entry in zip(pids, entries):
        one = json.loads(direct(t, pid, "--json", "sessions"))["sessions"]
        same([(s["id"], s.get("process")) for s in one], [(entry["id"], None)], "only its own")
    same(ctl(t, "kill", str(entries[1]["id"])), "1 ended\n")
    same(net.ended(held[1], 10) in ("closed", "reset"), True)
    for s in (held[0], held[2], held[3]):
        echo_works(s)
    same(old[1].wait(10 * t.scale), 0)
    same(direct(t, pids[2], "kill", "ip=127.0.0.1"), "1 ended\n")
    same(old[2].wait(10 * t.scale), 0)
    # TERM to the new one is not for the oldest, which goes on.
    echo_works(held[0])
    has(direct(t, pids[0], "stop"), "draining")
    held[0].close()
    same(old[0].wait(10 * t.scale), 0)
    net.until(lambda: rum.stats()["generations"] == [], 10, "none is left")
    same(own_sockets(t), [])


@test("An old process that is stopped makes nothing hang, and one that is killed is forgotten")
def _(t):
    rum, here, echo = start(t)
    with connect(here, 30) as one:
        echo_works(one)
        old = rum.hand_over()
        with connect(here, 30) as two:
            echo_works(two)
            old.send_signal(signal.SIGSTOP)
            try:
                net.until(lambda: states(rum) == ["no answer"], 20, "its silence is noticed")
                has(ctl(t, "status"), "1 older process does not answer")
                has(ctl(t, "sessions"), "process %d does not answer, its sessions are missing" % old.pid)
                has(rum.get("/")[2].decode(), "process %d does not answer" % old.pid)
                same(rum.metrics()['rum_generation_answers{pid="%d"}' % old.pid], 0)
                has(ctl(t, "drain", echo.address, code=1),
                    "process %d does not answer" % old.pid)
                ctl(t, "ready", echo.address, code=1)
                text = ctl(t, "kill", "ip=127.0.0.1", code=1)
                has(text, "1 ended\nprocess %d does not answer" % old.pid)
                with connect(here, 30) as three:
                    echo_works(three)
            finally:
                old.send_signal(signal.SIGCONT)
            # It gets the commands that have waited, the last one among them, and may end at once.
            net.until(lambda: states(rum) in (["draining"], []), 20, "it answers again")
            check(net.ended(one, 10) in ("closed", "reset"), "killed")
    same(old.wait(10 * t.scale), 0)
    with connect(here, 30) as one:
        echo_works(one)
        old = rum.hand_over()
        same(own_sockets(t), ["control.%d" % old.pid])
        old.kill()
        old.wait()
        same(own_sockets(t), ["control.%d" % old.pid], "left behind")
        net.until(lambda: rum.stats()["generations"] == [], 10, "it is forgotten")
        same(own_sockets(t), [])


@test("kill user= and users reach all processes, and explain names the older ones",
      needs=("mysql.so", "mariadb"))
def _(t):
    from mysql_setup import front, usual_map
    from support import mariadb
    from support.mysql_wire import Client
    rum, here = front(t, usual_map(t), "--control", "sock:" + t.path("control"))

    def login(user, number):
        all_of_them = [t.keep(Client(here)) for _ in range(number)]
        for client in all_of_them:
            client.login(user, mariadb.password(user))
        return all_of_them

    login("alice", 6), login("bob", 1)
    old = rum.hand_over()
    login("alice", 2)
    users = json.loads(ctl(t, "--json", "users"))
    same(users, {"active": 2, "users": [{"user": "alice", "sessions": 8},
                                        {"user": "bob", "sessions": 1}]})
    same(rum.stats()["limits"]["users"], 2)
    history = json.loads(ctl(t, "--json", "users", "since=1h"))
    same({one["user"] for one in history["users"]} <= {"alice", "bob"}, True, str(history))
    has(ctl(t, "explain", "alice"), "process %d still has 6 sessions of the user" % old.pid)
    page = rum.get("/")[2].decode()
    check(re.search("title=\"alice\">alice<td class=\"n\">8", page), "the page counts all")
    same(ctl(t, "kill", "user=alice"), "8 ended\n")
    same(ctl(t, "kill", "user=bob"), "1 ended\n")
    same(old.wait(10 * t.scale), 0)


@test("Without --control, or a socket of its own, the old process is out of reach, and the log says so")
def _(t):
    echo = t.keep(ManyEcho())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address)
    with connect(here, 30) as s:
        echo_works(s)
        rum.hand_over()
        rum.wait_log("; nothing reaches it, since there is no --control")
        same(rum.stats()["generations"], [])
    folder = t.path("c" * (100 - len(t.folder) - 1))
    os.mkdir(folder)
    control = folder + "/ctl"
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address, "--control", "sock:" + control)
    with connect(here, 30) as s:
        echo_works(s)
        rum.hand_over()
        rum.wait_log("rumctl will not reach the sessions that stay in this process: the path")
        same(os.listdir(folder), ["ctl"])
        same(rum.stats()["generations"], [])


@test("A hand-over that fails leaves no socket, and the name of another process's is not touched")
def _(t):
    program = shutil.copy(t.run.build.rum, t.path("rum"))
    rum, here, echo = start(t)
    other = t.rum("-s", tcp(), "-d", echo.address, "--control", "sock:" + t.path("ctl2"),
                  program=program)
    os.unlink(program)
    has(subprocess.run([t.run.build.rumctl, "-s", t.path("ctl2"), "upgrade"], text=True,
                       capture_output=True).stderr, "cannot be started")
    check(not os.path.exists("%s.%d" % (t.path("ctl2"), other.pid)), "no socket of its own is left")
    # Somebody listens under the name that the socket would have.
    taken = "%s.%d" % (t.path("control"), rum.pid)
    with socket.socket(socket.AF_UNIX) as s, connect(here, 30) as held:
        s.bind(taken)
        s.listen()
        echo_works(held)
        rum.hand_over()
        rum.wait_log("cannot listen on sock:" + taken)
        check(os.path.exists(taken), "it is still there")
        same(rum.stats()["generations"], [])

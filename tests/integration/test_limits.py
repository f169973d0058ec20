"""Access lists and limits as MySQL clients see them, and that HUP applies them."""

import json
import os
import shutil
import signal
import subprocess
import threading

from mysql_setup import front, port_of, row, tcp, write_map
from support import mariadb, mysql_wire, net, peers
from support.harness import Skipped, check, end_with_parent, has, same, test
from support.rum import environment
from test_control import ctl


def refusal(address, source=None):
    """The number of the error that a client gets in place of a greeting; 0: a greeting came."""
    with net.connect(address, source=source) as client:
        head = net.read_exact(client, 4)
        body = net.read_exact(client, int.from_bytes(head[:3], "little"))
        return int.from_bytes(body[1:3], "little") if body[0] == 255 else 0


def config(t, text):
    path = t.path("rum.conf")
    with open(path, "w") as f:
        f.write("health-check = off\n" + text)
    return path


@test("A MySQL client learns why it is refused: 1130 by the lists, 1040 by a limit",
      needs="mysql.so")
def why(t):
    path = write_map(t, row(t, "alice", tcp()))
    rum, here = front(t, path, "--deny", "127.0.0.5", "--max-connections", "2",
                      "--max-connections-per-ip", "1")
    same(refusal(here, "127.0.0.5"), 1130)
    with net.connect(here, source="127.0.0.2") as first:
        net.read_exact(first, 4)
        same(refusal(here, "127.0.0.2"), 1040)
        with net.connect(here, source="127.0.0.3") as second:
            net.read_exact(second, 4)
            same(refusal(here, "127.0.0.4"), 1040)
        rum.wait_sessions(4)
        same(refusal(here, "127.0.0.4"), 0)
    refused = sorted((s["reason"], s["detail"]) for s in rum.wait_sessions(6)
                     if s["reason"] in ("limit", "not_allowed"))
    same(refused, [("limit", "--max-connections"), ("limit", "--max-connections-per-ip"),
                   ("not_allowed", "in --deny")])
    limits = rum.stats()["limits"]["clients_refused"]
    same((limits["deny"], limits["max_connections_per_ip"], limits["max_connections"]), (1, 1, 1))
    same(rum.metric("rum_clients_refused_by_limit_total"), 3)
    same(rum.stats()["limits"]["addresses"], 0)


@test("An access list may be for one listener alone, and HUP changes it", needs="mysql.so")
def one_listener(t):
    path = write_map(t, row(t, "alice", tcp()))
    second = tcp()
    file = config(t, "allow = %s=127.0.0.2,127.0.0.3\ndeny = 127.0.0.3\n" % second)
    rum, here = front(t, path, "-s", second, "--config", file)
    same([refusal(here, s) for s in ("127.0.0.2", "127.0.0.3", "127.0.0.4")], [0, 1130, 0])
    same([refusal(second, s) for s in ("127.0.0.2", "127.0.0.3", "127.0.0.4")], [0, 1130, 1130])
    config(t, "deny = %s=127.0.0.4\n" % here)
    rum.signal(signal.SIGHUP)
    rum.wait_log("applied: allow, deny")
    net.until(lambda: [refusal(here, s) for s in ("127.0.0.3", "127.0.0.4")] == [0, 1130], 10, "here")
    same([refusal(second, s) for s in ("127.0.0.3", "127.0.0.4")], [0, 0])


@test("HUP counts those who are in already, and lets everybody in again", needs="mysql.so")
def reload(t):
    path = write_map(t, row(t, "alice", tcp()))
    rum, here = front(t, path, "--config", config(t, ""))
    with net.connect(here) as inside:
        net.read_exact(inside, 4)
        config(t, "max-connections-per-ip = 1\n")
        rum.signal(signal.SIGHUP)
        rum.wait_log("applied: max-connections-per-ip")
        net.until(lambda: rum.stats()["limits"]["addresses"] == 1, 10, "the client is counted")
        same(refusal(here), 1040)
        same(refusal(here, "127.0.0.2"), 0)
        config(t, "")
        rum.signal(signal.SIGHUP)
        rum.wait_log("applied: max-connections-per-ip", times=2)
        net.until(lambda: rum.stats()["limits"]["addresses"] == 0, 10, "nobody is counted")
        same(refusal(here), 0)


@test("With too many logins under way to a server the others hear 1040, and none waits",
      needs="mysql.so")
def connecting(t):
    import pymysql
    server = t.keep(peers.Sink())  # accepts and says nothing
    path = write_map(t, row(t, "alice", server.address), row(t, "bob", server.address))
    rum, here = front(t, path, "--max-connecting-per-destination", "1", "--mysql-auth", "relay")

    def login(user):
        return pymysql.connect(host="127.0.0.1", port=port_of(here), user=user,
                               password=mariadb.password(user), connect_timeout=20)

    def hang():
        try:
            login("alice")
        except pymysql.err.MySQLError:
            pass
    threading.Thread(target=hang, daemon=True).start()
    server.connection()
    try:
        login("bob")
        code = 0
    except pymysql.err.MySQLError as e:
        code = e.args[0]
    same(code, 1040)
    same(rum.session()["detail"], "--max-connecting-per-destination")
    check(rum.wait_sessions(2, 30)[1]["reason"] == "first_byte_timeout", "the first one waited alone")


@test("The log says which number to change when --max-connections may need more open files")
def nofile(t):
    rum = t.rum("-s", tcp(), "-d", tcp(), "--max-connections", "1000", "--nofile", "1200")
    rum.wait_log("--max-connections 1000 may need 2200 open files and the limit is 1200")
    rum.wait_log("lower --max-connections to 500")
    with open("/proc/%d/limits" % rum.pid) as f:
        same([line.split()[3] for line in f if line.startswith("Max open files")], ["1200"])


# Runs in a network of its own, where the system has four ports to give.
FEW_PORTS = """
import json, socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as f:
    f.write("20000 20003")
server = socket.socket()
server.bind(("127.0.0.1", 9000))
server.listen(64)
server.settimeout(20)
rum = subprocess.Popen(sys.argv[2:], stderr=subprocess.PIPE, text=True)
try:
    while " serves " not in rum.stderr.readline():
        pass
    keep, seen = [], []
    for _ in range(9):
        keep.append(socket.socket(socket.AF_UNIX))
        keep[-1].settimeout(20)
        keep[-1].connect(sys.argv[1])
        if len(seen) < 8:
            connection, peer = server.accept()
            keep.append(connection)
            seen.append(peer[0])
    seen.append(keep[-1].recv(1).decode() or "refused")
    print(json.dumps(seen))
finally:
    rum.kill()
    rum.wait()
"""


@test("When the ports of one source address are used up the next one is taken")
def ports(t):
    path = t.path("in")
    command = ["unshare", "-n", "/usr/bin/python3", "-c", FEW_PORTS, path, t.run.build.rum, "-s",
               "sock:" + path, "-d", "tcp:127.0.0.1:9000", "--source-address", "127.0.0.2,127.0.0.3",
               "--login-timeout", "off"]
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("ip")):
        raise Skipped("needs root, unshare and ip, for a network of its own")
    done = subprocess.run(command, env=environment(t, t.path("rum.sanitizer")), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=50, preexec_fn=end_with_parent)
    if "unshare failed" in done.stderr:
        raise Skipped("no network of its own: " + done.stderr.strip())
    same(done.returncode, 0, done.stderr[-500:])
    same(json.loads(done.stdout), ["127.0.0.2"] * 4 + ["127.0.0.3"] * 4 + ["refused"])


@test("Of many guesses at once no more reach the server than may fail", needs="mysql.so")
def guesses_at_once(t):
    verdict, proofs = threading.Event(), []

    def judge(s, sequence):
        proof = mysql_wire.read_packet(s)[1]
        if proof != mysql_wire.RUMS_OWN_PROOF:  # for a client that rum refused
            proofs.append(proof)
            verdict.wait(30)
        s.sendall(mysql_wire.packet(sequence + 2, b"\xff\x15\x04#28000Access denied"))
    server = t.keep(mysql_wire.FakeServer(after_switch=judge))
    path = write_map(t, row(t, "alice", server.address))
    rum, here = front(t, path, "--login-failures", "5/1h", "--mysql-auth", "relay")
    codes = []

    def guess(word):
        try:
            with mysql_wire.Client(here, 30) as client:
                client.login("alice", word)
            codes.append(0)
        except mysql_wire.ServerError as e:
            codes.append(e.code)
    threads = [threading.Thread(target=guess, args=("guess %d" % i,)) for i in range(40)]
    for thread in threads:
        thread.start()
    net.until(lambda: len(server.responses) == 40, 20, "all are at the server")
    net.until(lambda: len(proofs) >= 5, 20, "the first proofs are there")
    verdict.set()
    for thread in threads:
        thread.join()
    same(len(proofs), 5, "proofs that the server saw")
    same(sorted(codes), [1045] * 5 + [1129] * 35)


@test("Refusals of a disabled user block no other user of the address", needs="mysql.so")
def disabled_users(t):
    server = t.keep(mysql_wire.FakeServer(password="right"))
    path = write_map(t, row(t, "alice", server.address),
                     row(t, "moved", server.address, rest=b"\x80disabled"),
                     row(t, "told", server.address, rest=b"\x80disabled=back\\sat\\s14:00"))
    rum, here = front(t, path, "--login-failures", "3/1h", "--mysql-auth", "relay")

    def log_in(user, word):
        with mysql_wire.Client(here, 30) as client:
            try:
                client.login(user, word)
                return 0
            except mysql_wire.ServerError as e:
                return e.code
    same([log_in("moved", "right") for _ in range(5)], [1045] * 5)
    same([log_in("told", "right") for _ in range(5)], [1053] * 5)
    same(rum.stats()["limits"]["login_failures"], 0)
    same(log_in("alice", "right"), 0)
    same([log_in("alice", "wrong") for _ in range(3)], [1045] * 3)
    same(log_in("moved", "right"), 1129)


@test("Strangers who begin logins as a user take neither its places nor its rate",
      needs="mysql.so")
def strangers(t):
    server = t.keep(mysql_wire.FakeServer(password="right"))
    path = write_map(t, row(t, "alice", server.address, rest=b"\x80max=2 rate=2/1h"))
    rum, here = front(t, path, "--mysql-auth", "relay")

    def log_in(word, source="127.0.0.1"):
        client = mysql_wire.Client(here, source=source)
        try:
            return client.login("alice", word)
        except mysql_wire.ServerError as e:
            client.close()
            return e.code
    begun = [mysql_wire.Client(here, source="127.0.1.%d" % (i + 1)) for i in range(10)]
    for stranger in begun:
        stranger.greet()
        stranger.send(mysql_wire.response("alice", b"x" * 20))
        same(stranger.read()[0], 0xFE)
    same([log_in("wrong", "127.0.2.1") for _ in range(5)], [1045] * 5)
    one, two = log_in("right"), log_in("right")
    for client in (one, two):
        client.query("select 1")
    same(log_in("right"), 1226)
    same(server.logins, 2)
    two.quit()
    two.close()
    net.until(lambda: json.loads(rum.get("/users")[2])["users"][0]["sessions"] == 1, 10,
              "one session of alice is left")
    same(log_in("right"), 1226, "the rate is used up by those that were proved")
    for client in begun + [one]:
        client.close()


@test("rumctl unblock ends a block, here and in the processes from before a hand-over", needs="mysql.so")
def _(t):
    server = t.keep(mysql_wire.FakeServer(password="right"))
    path = write_map(t, row(t, "alice", server.address))
    rum, here = front(t, path, "--login-failures", "3/1h,block=1h", "--mysql-auth", "relay",
                      "--control", "sock:" + t.path("control"))

    def log_in(source, word="right"):
        client = mysql_wire.Client(here, 60, source=source)
        try:
            client.login("alice", word)
            return client
        except mysql_wire.ServerError as error:
            client.close()
            return error.code

    for source in ("127.0.0.7", "127.0.0.8"):
        same([log_in(source, "wrong") for _ in range(3)] + [log_in(source)], [1045] * 3 + [1129])
    has(ctl(t, "unblock", "127.0.0.7"), "127.0.0.7/32 is unblocked\n")
    held = log_in("127.0.0.7")
    same(log_in("127.0.0.8"), 1129, "the other one is still blocked")
    old = rum.hand_over()

    def blocked_in_old():
        return json.loads(subprocess.check_output(
            [t.run.build.rumctl, "-s", "%s.%d" % (t.path("control"), old.pid), "--json", "status"],
            timeout=60))["limits"]["blocked_addresses"]
    same(blocked_in_old(), 1)
    has(ctl(t, "unblock", "127.0.0.8"), "was not blocked here; also in process %d" % old.pid)
    same(blocked_in_old(), 0)
    held.close()
    for word, error in (("127.0.0.7/24", "bits are set"), ("alice", "neither a numeric address"),
                        ("unix", "never blocked"), ("127.0.0.0/24", "blocked as 127.0.0.0/32"),
                        ("2001:db8::1/128", "2001:db8::/64")):
        has(ctl(t, "unblock", word, code=1), error)


@test("--login-failures says what it does not see of COM_CHANGE_USER", needs="mysql.so")
def unseen_guesses(t):
    path = write_map(t, row(t, "alice", tcp()))
    words = "does not count guesses by COM_CHANGE_USER"
    for more, times in ((["--login-failures", "5/1h"], 1), ([], 0),
                        (["--login-failures", "5/1h", "--mysql-change-user", "same"], 0)):
        rum, here = front(t, path, *more)
        rum.wait_log(" serves ")  # the line behind it
        same(rum.log().count(words), times)

"""Host calls of rum/module.h with a module of the test, on a real rum: the map's records, the table that
workers and processes share, timers and posts of workers, and what is refused."""

import hashlib
import os
import signal
import socket
import ssl
import subprocess

from support import net
from support.build import SOURCE, SUPPORT
from support.certificates import Authority
from support.harness import check, has, same, test
from support.net import connect
from support.redis import Redis
from support.rum import run_once
from test_redirect import tcp
from test_share_ask import key_file
from test_sni import build_map


def build_module(t, *defines):
    path = t.path("contract-%d.so" % t.number())
    subprocess.run([*t.run.build.module_compiler(), "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror",
                    "-shared", "-fPIC", "-pthread", "-I" + os.path.join(SOURCE, "core", "include"),
                    *defines, os.path.join(SUPPORT, "contract.c"), "-o", path], check=True)
    return path


class Client:
    def __init__(self, t, address):
        self.socket = t.keep(connect(address, 30))
        self.rest = b""

    def ask(self, line):
        self.socket.sendall(line.encode() + b"\n")
        return self.read(line)

    def read(self, line="nothing"):
        while b"\n" not in self.rest:
            part = self.socket.recv(65536)
            check(part, "the answer to %r comes" % line)
            self.rest += part
        answer, _, self.rest = self.rest.partition(b"\n")
        return answer.decode().strip()

    def close(self):
        self.socket.close()


@test("A module gets the destination, the secret and its own column of a record")
def _(t):
    users = build_map(t, ["alice - tcp:db1:1 max=5 contract-db=app\\s1",
                          "bob $6$salt1234$hash tcp:db2:1,tcp:db3:1 other-db=x"])
    here = tcp()
    t.rum("-s", here, "-P", build_module(t), "-M", users)
    client = Client(t, here)
    same(client.ask("user alice"), "user 0 tcp:db1:1 - app 1")
    same(client.ask("user bob"), "user 0 tcp:db2:1,tcp:db3:1 secret")
    same(client.ask("user carol"), "user 1")


@test("What a session shares is seen by all workers, taken once, and gone when the session ends")
def _(t):
    here = tcp()
    t.rum("-s", here, "-P", build_module(t), "-w", "2")
    clients = [Client(t, here) for _ in range(4)]
    same(clients[0].ask("put key value"), "put 0")
    for client in clients:
        same(client.ask("get key"), "get 0 value")
        same(client.ask("put key other"), "put %d" % (0 if client is clients[0] else -2))
        clients[0].ask("put key value")
    same(sorted(client.ask("take key") for client in clients), ["take 0 value"] + 3 * ["take 1"])
    same(clients[0].ask("put key value"), "put 0")
    same(clients[0].ask("put stays value 3600000"), "put 0")
    clients[0].close()
    net.until(lambda: clients[1].ask("get key") == "get 1", 10 * t.scale,
              lambda: "the entry goes with its session")
    same(clients[1].ask("get stays"), "get 0 value")
    for i in range(8):
        same(clients[1].ask("put own%d value" % i), "put 0")
    same(clients[1].ask("put own8 value"), "put -3")


@test("After a hand-over the old process and the new one share one table")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-P", build_module(t), "--drain-timeout", "1h")
    old, gone = Client(t, here), Client(t, here)
    same(old.ask("put old value"), "put 0")
    same(gone.ask("put gone value"), "put 0")
    same(old.ask("put stays value 3600000"), "put 0")
    rum.hand_over()
    new = Client(t, here)
    same(new.ask("get old"), "get 0 value")
    same(new.ask("get gone"), "get 0 value")
    same(new.ask("find old"), "find 0 value")
    same(new.ask("find none"), "find 1")
    same(new.ask("remove old"), "remove 1")
    same(old.ask("put unseen value"), "put 0")
    same(old.ask("remove unseen"), "remove 0")
    same(new.ask("put new value"), "put 0")
    same(old.ask("get new"), "get 0 value")
    same(old.ask("put late value"), "put 0")
    same(new.ask("get late"), "get 0 value")
    same(new.ask("put old mine"), "put -2")
    same(old.ask("take new"), "take 0 value")
    same(new.ask("get new"), "get 1")
    gone.close()
    net.until(lambda: new.ask("get gone") == "get 1", 10 * t.scale,
              lambda: "the entry of a session of the old process goes with it")
    old.close()
    net.until(lambda: new.ask("get old") == "get 1", 10 * t.scale,
              lambda: "those of the last session go as well")
    same(new.ask("take stays"), "take 0 value")


@test("A find asks other processes, of this module only, and is one at a time", seconds=90)
def _(t):
    redis, key = Redis(t, fill=False), key_file(t)
    module = build_module(t)

    def node(*arguments):
        here = tcp()
        rum = t.rum("-s", here, "-P", module, "--share", "redis://127.0.0.1:%d/" % redis.port,
                    "--share-key-file", key, *arguments)
        net.until(lambda: rum.stats()["share"]["questions"]["up"], 20, "it can ask")
        return Client(t, here)
    one, two = node("--workers", "2"), node("--workers", "2")
    same(one.ask("put key " + "v" * 500), "put 0")
    same(two.ask("get key"), "get 1")
    same(two.ask("find key"), "find 0 " + "v" * 500)
    same(one.ask("remove key"), "remove 2", "found before")
    same(two.ask("find key"), "find 1")
    same(two.ask("find " + "k" * 257), "find -3")
    same(two.ask("twice key"), "twice -2")
    same(two.read(), "find 1")


@test("What a process that was killed has shared is not found any more")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-P", build_module(t), "--drain-timeout", "1h")
    old = Client(t, here)
    same(old.ask("put old value"), "put 0")
    first = rum.process.pid
    rum.hand_over()
    new = Client(t, here)
    same(new.ask("get old"), "get 0 value")
    os.kill(first, signal.SIGKILL)
    net.until(lambda: new.ask("get old") == "get 1", 10 * t.scale, lambda: "it is gone")
    same(new.ask("put old mine"), "put 0")


@test("A session's destination is told as connect() takes it, and a relay that is no login counts as none")
def _(t):
    server = t.keep(socket.create_server(("127.0.0.1", 0)))
    here, there = tcp(), "tcp:127.0.0.1:%d" % server.getsockname()[1]
    rum = t.rum("-s", here, "-P", build_module(t), "--log-logins")
    client = Client(t, here)
    same(client.ask("where"), "where -2")
    same(client.ask("connect " + there), "connect 0")
    same(client.ask("where"), "where 0 " + there)
    same(client.ask("nologin"), "nologin 0")
    client.socket.sendall(b"relay\n")
    peer = t.keep(server.accept()[0])
    net.until(lambda: rum.stats()["sessions"]["relaying"] == 1, 10 * t.scale, lambda: "it relays")
    same(rum.stats()["sessions"]["logins"], 0)
    peer.close()
    client.close()
    net.until(lambda: '"login":"no"' in rum.log(), 10 * t.scale, lambda: "the log says so")
    check('"event":"login"' not in rum.log(), "no login is logged")


def end_point(certificate):
    return hashlib.sha256(certificate).hexdigest()


def facts(client, side):
    """The lines that the module says of a side's handshake, by their first words."""
    lines = [client.ask("facts " + side)] + [client.read() for _ in range(5)]
    return dict(line.split(" ", 1) for line in lines)


@test("A module sets protocols, and sees what a handshake with the client and the server has agreed on")
def _(t):
    authority = Authority(t.folder)
    server_certificate, server_key = authority.sign("server")
    mine, key = authority.sign("client")
    own, own_key = authority.sign("rum")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_certificate, server_key)
    context.set_alpn_protocols(["h2", "postgresql"])
    listener = t.keep(socket.create_server(("127.0.0.1", 0)))
    here, there = tcp(), "tcp:127.0.0.1:%d" % listener.getsockname()[1]
    t.rum("-s", here, "-P", build_module(t), "--tls", "require", "--tls-cert", own, "--tls-key", own_key,
          "--tls-ca", authority.certificate, "--upstream-tls", "require")
    client = Client(t, here)
    same(client.ask("alpn imap postgresql"), "alpn 0")
    same(facts(client, "client")["version"], "-2")
    client.socket.sendall(b"starttls client\n")
    wanted = ssl.create_default_context(cafile=authority.certificate)
    wanted.load_cert_chain(mine, key)
    wanted.set_alpn_protocols(["postgresql", "imap"])
    client.socket = t.keep(wanted.wrap_socket(client.socket, server_hostname="localhost"))
    same(client.socket.selected_alpn_protocol(), "imap", "the first of the module's")
    same(client.ask("connect " + there), "connect 0")
    plain = t.keep(listener.accept()[0])
    client.socket.sendall(b"starttls upstream\n")
    server = t.keep(context.wrap_socket(plain, server_side=True))
    same(client.read(), "tls 0")
    same(server.selected_alpn_protocol(), "postgresql")
    seen = facts(client, "client")
    same(seen["alpn"], "0 imap")
    same(seen["offered"], "0 " + b"\x0apostgresql\x04imap".hex())
    same(seen["name"], "0 localhost")
    same(seen["version"], str(0x0304))
    with open(mine) as f:
        same(seen["certificate"], str(len(ssl.PEM_cert_to_DER_cert(f.read()))))
    same(seen["end-point"], "0 " + end_point(client.socket.getpeercert(True)))
    seen = facts(client, "upstream")
    same(seen["alpn"], "0 postgresql")
    with open(server_certificate) as f:
        same(seen["end-point"], "0 " + end_point(ssl.PEM_cert_to_DER_cert(f.read())))
    other = ssl.create_default_context(cafile=authority.certificate)
    other.load_cert_chain(mine, key)
    other.set_alpn_protocols(["http/1.1"])
    second = Client(t, here)
    second.ask("alpn imap postgresql")
    second.socket.sendall(b"starttls client\n")
    second.socket = t.keep(other.wrap_socket(second.socket, server_hostname="localhost"))
    seen = facts(second, "client")
    same(seen["alpn"], "0", "nothing in common is no failure")
    same(seen["offered"], "0 " + b"\x08http/1.1".hex())


@test("A module goes on with another server, whenever the one before ends, and counts stay exact")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-P", build_module(t), "-w", "2")
    listeners = [t.keep(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
    addresses = ["tcp:127.0.0.1:%d" % one.getsockname()[1] for one in listeners]
    client = Client(t, here)
    same(client.ask("connect " + addresses[0]), "connect 0")
    first = t.keep(listeners[0].accept()[0])
    first.sendall(b"one")
    same(client.read(), "server 0 one")
    first.close()
    same(client.read(), "ended 0")
    same(client.ask("connect " + addresses[1]), "connect 0")
    second = t.keep(listeners[1].accept()[0])
    same(client.ask("connect " + addresses[2]), "connect 0", "the second is given up")
    same(net.read_all(second), b"", "and is told the end")
    third = t.keep(listeners[2].accept()[0])
    same(client.ask("where"), "where 0 " + addresses[2])
    for _ in range(5):
        same(client.ask("connect " + addresses[0]), "connect 0")
        listeners[0].accept()[0].close()
        same(client.read(), "ended 0")
    same(client.ask("connect " + addresses[0]), "connect -3", "eight connects a session")
    third.close()
    client.close()
    net.until(lambda: rum.stats()["sessions"]["active"] == 0, 10 * t.scale, lambda: "it ends")
    same(rum.stats()["upstream"]["connects"], 8)


@test("A module that sends part by part waits until the client has read")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-P", build_module(t))
    client = Client(t, here)
    client.socket.sendall(b"stream 1000\n")
    same(len(net.read_exact(client.socket, 65536000)), 65536000)
    check(rum.process.poll() is None, "never more than it chose was waiting")


@test("A refused client is led to its error, and a flood of them costs no more than the bounds")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-P", build_module(t), "--max-connections", "1")
    first = Client(t, here)
    same(first.ask("get x"), "get 1")
    second = Client(t, here)
    same(second.ask("hello"), "refused -2 hello", "no connect() there")
    same(net.read_all(second.socket), b"")
    answers = []
    for _ in range(20):
        flood = [connect(here, 30) for _ in range(100)]
        for s in flood[:8]:
            s.sendall(b"x\n")
            answers.append(net.read_all(s).split(b" ")[0])
        for s in flood:
            s.close()
    check(set(answers) <= {b"refused", b"busy", b""}, "one or the other: %r" % set(answers))
    check(b"busy" in answers, "beyond the bounds the words come at once")
    same(first.ask("get x"), "get 1")
    net.until(lambda: rum.stats()["sessions"]["active"] == 1, 30 * t.scale, lambda: "all are gone")
    same(rum.stats()["sessions"]["logins"], 0)


@test("Timers of a worker and posts of a module's own thread run, and end with the worker")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-P", build_module(t), "-w", "2")
    for name in ("rum_contract_ticks_total", "rum_contract_posts_total"):
        net.until(lambda: float(rum.metric(name)) > 20, 10 * t.scale, lambda: name + " grows")
    rum.signal(signal.SIGTERM)
    same(rum.wait_exit(), 0, "the threads of the module end, and so does rum")


@test("Sizes without end, other modules' names and floods of log lines are refused")
def _(t):
    here = tcp()
    rum = t.rum("-s", here, "-P", build_module(t))
    client = Client(t, here)
    same(client.ask("huge x"), "huge -3")
    same(client.ask("save contract-x value"), "save 0")
    same(client.ask("save mysql-greeting value"), "save -1")
    for _ in range(2):  # a second may begin in the middle of the first
        same(client.ask("log 5000"), "log 0")
    check(float(rum.metric("rum_log_lines_dropped_total")) >= 8000 - 2000, "dropped lines are counted")
    net.until(lambda: client.ask("log 1") and "lines in a second" in rum.log(), 10 * t.scale,
              lambda: "and told")
    check("x" * 4096 + "... (cut)" in rum.log(), "a long line is cut")
    check("x" * 4097 not in rum.log(), "at the bound")


@test("A module with two metrics of one name is not loaded")
def _(t):
    code, _, error = run_once(t, "-s", tcp(), "-P", build_module(t, "-DTWO_OF_ONE_NAME"))
    check(code != 0, "rum does not start")
    has(error, "metric 1 has the name of another one")

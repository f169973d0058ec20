"""The relay: bytes arrive whole and in order, ends and resets are passed on, slow readers are waited
for, and no connection is in the way of another."""

import hashlib
import os
import random
import signal
import socket
import threading
import time

from support import net, peers
from support.harness import check, full, same, test
from support.net import connect
from support.peers import Echo
from test_redirect import tcp

MEGA = 1 << 20


def digest(blocks):
    sha = hashlib.sha256()
    for block in blocks:
        sha.update(block)
    return sha.hexdigest()


def bulk(megabytes, seed=1):
    """A function that gives `megabytes` of blocks which all differ."""
    base = net.pattern(MEGA, seed)

    def blocks():
        for number in range(megabytes):
            yield number.to_bytes(8, "big") + base[8:]
    return blocks


def receive(s, size=None):
    """(bytes, SHA-256) of all that comes."""
    sha, count = hashlib.sha256(), 0
    buffer = bytearray(MEGA)
    while size is None or count < size:
        n = s.recv_into(buffer)
        if not n:
            break
        count += n
        sha.update(memoryview(buffer)[:n])
    return count, sha.hexdigest()


def background(function, *arguments):
    """Runs a function in a thread; join() gives its value or its error."""
    box = {}

    def work():
        try:
            box["value"] = function(*arguments)
        except BaseException as e:
            box["error"] = e
    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def join(seconds=60):
        thread.join(seconds)
        if thread.is_alive():
            raise net.TooLate("%s is not over within %s s" % (function.__name__, seconds))
        if "error" in box:
            raise box["error"]
        return box.get("value")
    return join


@test("A reply of 10 MB that begins after the client's end of file is delivered whole")
def _(t):
    reply = net.pattern(10 * MEGA)
    server = t.keep(peers.ReplyAfterEnd(reply))
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address)
    with connect(here) as s:
        s.sendall(b"the request")
        s.shutdown(socket.SHUT_WR)
        same(net.read_all(s) == reply, True, "the reply is the same")
    same(server.requests, [b"the request"])
    record = rum.session()
    same((record["reason"], record["received"], record["sent"]),
         ("client_closed", 11, len(reply)))


@test("What the client sends after the server's end of file is delivered whole")
def _(t):
    server = t.keep(peers.EndFirst(b"go on"))
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address)
    data = net.pattern(10 * MEGA)
    with connect(here) as s:
        same(net.read_all(s), b"go on")
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        rum.wait_sessions(1)
    net.until(lambda: server.received, 10, "the server has everything")
    check(server.received[0] == data, "the data is the same")
    same(rum.session()["reason"], "upstream_closed")


@test("Both half-closes pass through unix sockets")
def _(t):
    reply = net.pattern(3 * MEGA)
    server = t.keep(peers.ReplyAfterEnd(reply, "sock:" + t.path("server.sock")))
    here = "sock:" + t.path("in.sock")
    t.rum("-s", here, "-d", server.address)
    with connect(here) as s:
        s.sendall(b"request")
        s.shutdown(socket.SHUT_WR)
        check(net.read_all(s) == reply, "the reply is the same")


@test("On unix sockets what is behind a message with descriptors arrives, and no descriptor is kept")
def _(t):
    front, back = "sock:" + t.path("front"), "sock:" + t.path("back")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(net.parse(back)[1])
        listener.listen()
        rum = t.rum("-s", front, "-d", back)
        with connect(front) as client:
            client.sendall(b"x")
            server = listener.accept()[0]
            server.settimeout(20)
            with server:
                same(net.read_exact(server, 1), b"x")
                before = rum.descriptors()
                for one, other in ((client, server), (server, client)):
                    for _ in range(20):
                        # Stopped, so that it finds all of it at once.
                        rum.process.send_signal(signal.SIGSTOP)
                        socket.send_fds(one, [b"with one "], [one.fileno()])
                        one.sendall(b"and behind it")
                        rum.process.send_signal(signal.SIGCONT)
                        same(net.read_exact(other, 22), b"with one and behind it")
                same(rum.descriptors(), before)
                # Nor when it is spliced.
                block = net.pattern(1 << 16)

                def send():
                    client.sendall(64 * block)  # reads that fill the buffer, unlike those that follow
                    for _ in range(64):
                        client.sendall(block[socket.send_fds(client, [block], [client.fileno()]):])
                join = background(send)
                check(net.read_exact(server, 128 * len(block)) == 128 * block, "bulk with descriptors")
                join()
                check(rum.metric("rum_spliced_bytes_total") > 0, "it is spliced")


@test("A server's short reply and end of file in one go reach a client that has not sent yet")
def _(t):
    server = t.keep(peers.Source(lambda: [b"220 go away\r\n"]))
    here = tcp()
    t.rum("-s", here, "-d", server.address)
    for _ in range(50):
        with connect(here) as s:
            same(net.read_all(s), b"220 go away\r\n")


@test("Bulk from the client to the server is the same byte for byte", seconds=300)
def _(t):
    size = 1024 if full() else 256
    sink = t.keep(peers.Sink())
    here = tcp()
    rum = t.rum("-s", here, "-d", sink.address)
    blocks = bulk(size)
    with connect(here, 120) as s:
        for block in blocks():
            s.sendall(block)
        s.shutdown(socket.SHUT_WR)
        count, sha = net.read_all(s).split()
    same(int(count), size * MEGA, "bytes")
    same(sha.decode(), digest(blocks()), "SHA-256")
    same(rum.session()["received"], size * MEGA)


@test("Bulk from the server to the client is the same byte for byte", seconds=300)
def _(t):
    size = 1024 if full() else 256
    blocks = bulk(size)
    source = t.keep(peers.Source(blocks))
    here = tcp()
    rum = t.rum("-s", here, "-d", source.address)
    with connect(here, 120) as s:
        count, sha = receive(s)
    same(count, size * MEGA, "bytes")
    same(sha, digest(blocks()), "SHA-256")
    same(rum.session()["sent"], size * MEGA)


@test("Bulk both ways at once and through unix sockets is the same byte for byte", seconds=120)
def _(t):
    size = 256 if full() else 64
    down = bulk(size, 2)
    up = bulk(size, 3)
    got = {}

    def both(s):
        join = background(receive, s)
        for block in down():
            s.sendall(block)
        s.shutdown(socket.SHUT_WR)
        got["up"] = join(100)

    server = t.keep(peers.Script(both, "sock:" + t.path("server.sock")))
    here = tcp()
    t.rum("-s", here, "-d", server.address)
    with connect(here, 100) as s:
        join = background(receive, s)
        for block in up():
            s.sendall(block)
        s.shutdown(socket.SHUT_WR)
        same(join(100), (size * MEGA, digest(down())), "to the client")
    net.until(lambda: "up" in got, 20, "the server is done")
    same(got["up"], (size * MEGA, digest(up())), "to the server")


@test("Small and large messages in turn keep their order", seconds=60)
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    t.rum("-s", here, "-d", echo.address, "-w", "1")
    dice = random.Random(4)
    with connect(here, 30) as s:
        for number in range(60):
            size = dice.choice((1, 10, 1000, 70_000, 600_000, 2_000_000))
            data = net.pattern(size, number)
            join = background(s.sendall, data)
            check(net.read_exact(s, size) == data, "message %d of %d bytes" % (number, size))
            join()


@test("Bytes sent one by one arrive as they are")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address)
    data = net.pattern(2000)
    with connect(here) as s:
        for i in range(len(data)):
            s.send(data[i:i + 1])
        s.shutdown(socket.SHUT_WR)
        same(net.read_all(s) == data, True, "the same bytes")
    same(rum.session()["received"], len(data))


@test("A reader that stops is waited for with bounded memory, and the sender is held up", seconds=90)
def _(t):
    count, size = 10, 48  # more than the kernel's buffers of four sockets take
    blocks = bulk(size, 5)
    sent = [0] * count
    numbers = iter(range(count))

    def send(s):
        number = next(numbers)
        for block in blocks():
            s.sendall(block)
            sent[number] += len(block)

    source = t.keep(peers.Script(send))
    here = tcp()
    rum = t.rum("-s", here, "-d", source.address)
    before = rum.resident()
    clients = [t.keep(connect(here, 60, receive_buffer=32768)) for _ in range(count)]
    for s in clients:
        same(len(net.read_exact(s, 1000)), 1000)

    # Held up: nothing moves for a while though there is more.
    def still():
        a = list(sent)
        time.sleep(0.3)
        return a == sent
    net.until(still, 20, "the senders are held up")
    check(max(sent) < size * MEGA, "a sender could send all: %s" % sent)
    grown = rum.resident() - before
    # 1 MiB a side is what may wait; kernel buffers and pipes are not the process's.
    limit = count * 2 * MEGA if not t.run.build.sanitizer else count * 8 * MEGA
    check(grown < limit, "grew by %d bytes with %d slow readers" % (grown, count))
    expected = digest(blocks())
    for s in clients:
        rest = hashlib.sha256(next(iter(blocks()))[:1000])
        total = 1000
        while True:
            part = s.recv(MEGA)
            if not part:
                break
            rest.update(part)
            total += len(part)
        same((total, rest.hexdigest()), (size * MEGA, expected), "after the pause")
        s.close()


@test("A server that stops reading holds the client up and loses nothing", seconds=60)
def _(t):
    go_on = threading.Event()
    got = []

    def lazy(s):
        go_on.wait(50)
        got.append(receive(s))

    server = t.keep(peers.Script(lazy))
    here = tcp()
    t.rum("-s", here, "-d", server.address)
    blocks = bulk(32, 6)
    progress = [0]
    with connect(here, 50) as s:
        def send():
            for block in blocks():
                s.sendall(block)
                progress[0] += len(block)
            s.shutdown(socket.SHUT_WR)
        join = background(send)

        def still():
            a = progress[0]
            time.sleep(0.3)
            return a == progress[0]
        net.until(still, 20, "the client is held up")
        check(progress[0] < 32 * MEGA, "the client could send all")
        go_on.set()
        join()
        same(net.ended(s, 20), "closed")
    same(got, [(32 * MEGA, digest(blocks()))])


@test("A client's reset reaches the server as a reset")
def _(t):
    ends = []

    def wait(s):
        s.sendall(b"x")
        ends.append(net.ended(s))

    server = t.keep(peers.Script(wait))
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address)
    s = connect(here)
    same(net.read_exact(s, 1), b"x")
    net.reset(s)
    net.until(lambda: ends, 10, "the server sees the end")
    same(ends, ["reset"])
    same(rum.session()["reason"], "client_reset")


@test("A server's reset reaches the client as a reset")
def _(t):
    server = t.keep(peers.Resets())
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address)
    with connect(here) as s:
        s.sendall(b"hello")
        same(net.ended(s), "reset")
    same(rum.session()["reason"], "upstream_reset")


@test("A reset with bytes still on their way ends the other side soon", seconds=60)
def _(t):
    source = t.keep(peers.Source(bulk(64)))
    here = tcp()
    rum = t.rum("-s", here, "-d", source.address)
    for _ in range(20):
        s = connect(here, receive_buffer=16384)
        net.read_exact(s, 100_000)
        net.reset(s)
    records = rum.wait_sessions(20, 5)
    same({r["reason"] for r in records}, {"client_reset"})
    net.until(lambda: len(source.errors) == 20, 5, "the server's sends fail")


@test("A server that dies in the middle of its reply ends the client's connection soon")
def _(t):
    def die(s):
        s.sendall(net.pattern(3 * MEGA))
        s.recv(1)
        net.reset(s)

    server = t.keep(peers.Script(die))
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address)
    with connect(here) as s:
        net.read_exact(s, 3 * MEGA)
        s.sendall(b"!")
        same(net.ended(s, 5), "reset")
    record = rum.session()
    same((record["reason"], record["sent"]), ("upstream_reset", 3 * MEGA))


@test("Urgent data does no harm")
def _(t):
    echo = t.keep(Echo())
    here = tcp()
    t.rum("-s", here, "-d", echo.address)
    with connect(here) as s:
        s.sendall(b"abc")
        s.send(b"U", socket.MSG_OOB)
        s.sendall(b"def")
        s.shutdown(socket.SHUT_WR)
        check(net.read_all(s) in (b"abcdef", b"abcUdef"), "the rest arrives")


@test("One bulk transfer does not starve a small session on the same worker", seconds=60)
def _(t):
    stop = threading.Event()

    def serve(s):
        kind = s.recv(1)
        if kind == b"b":
            block = net.pattern(MEGA)
            while not stop.is_set():
                s.sendall(block)
            return
        while True:
            data = s.recv(100)
            if not data:
                return
            s.sendall(data)

    server = t.keep(peers.Script(serve))
    here = tcp()
    t.rum("-s", here, "-d", server.address, "-w", "1")
    with connect(here, 30) as big, connect(here, 30) as small:
        big.sendall(b"b")
        moved = [0]

        def drain():
            buffer = bytearray(MEGA)
            while True:
                n = big.recv_into(buffer)
                if not n:
                    return
                moved[0] += n
        join = background(drain)
        small.sendall(b"s")
        net.until(lambda: moved[0] > 32 * MEGA, 20, "the bulk flows")
        at = moved[0]
        for number in range(200):
            small.sendall(b"%04d" % number)
            same(net.read_exact(small, 4), b"%04d" % number)
        check(moved[0] > at, "the bulk went on meanwhile")
        stop.set()
        join()


@test("Many connections that are closed at random in every way leave nothing behind", seconds=120)
def _(t):
    def serve(s):
        dice = random.Random(os.urandom(8))
        try:
            while True:
                data = s.recv(65536)
                what = dice.random()
                if not data:
                    if what < 0.5:
                        s.sendall(b"z" * dice.randrange(100_000))
                    return
                if what < 0.05:
                    return net.reset(s)
                if what < 0.1:
                    return s.shutdown(socket.SHUT_WR)
                s.sendall(data)
        except OSError:
            pass

    server = t.keep(peers.Script(serve))
    here = tcp()
    rum = t.rum("-s", here, "-d", server.address)
    each, crowd = (400 if full() else 100), 8

    def client(seed):
        dice = random.Random(seed)
        done = 0
        while done < each:
            done += 1
            s = connect(here)
            try:
                for _ in range(dice.randrange(6)):
                    s.sendall(os.urandom(dice.choice((1, 100, 20_000, 200_000))))
                    if dice.random() < 0.5:
                        s.recv(dice.choice((1, 1000, 100_000)))
                what = dice.random()
                if what < 0.3:
                    net.reset(s)
                elif what < 0.6:
                    s.shutdown(socket.SHUT_WR)
                    net.read_all(s)
            except OSError:
                pass
            finally:
                s.close()
        return done

    joins = [background(client, seed) for seed in range(crowd)]
    total = sum(join(100) for join in joins)
    records = rum.wait_sessions(total, 40)
    same(len(records), total, "one line for every session")
    same(len({r["id"] for r in records}), total, "session numbers are different")


@test("2,000 connections at once are served, and all descriptors come back", seconds=120)
def _(t):
    echo = t.keep(peers.ManyEcho())
    here = tcp()
    rum = t.rum("-s", here, "-d", echo.address)
    clients = []
    try:
        for number in range(2000):
            s = connect(here, 30)
            s.sendall(b"%08d" % number)
            clients.append(s)
        for number, s in enumerate(clients):
            same(net.read_exact(s, 8), b"%08d" % number)
        check(sum(rum.descriptors().values()) >= 4000, "all are open at once")
        for number, s in enumerate(clients):
            s.sendall(b"again%03d" % (number % 1000))
        for number, s in enumerate(clients):
            same(net.read_exact(s, 8), b"again%03d" % (number % 1000))
    finally:
        for s in clients:
            s.close()
    rum.wait_sessions(2000, 30)
    rum.back_to_baseline()

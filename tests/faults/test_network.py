"""Networks that lose, delay, reorder and cut small: the same bytes arrive, and nothing is left."""

import random
import socket
import threading

from support import net
from support.bad_wire import THERE, BadWire
from support.harness import check, full, same, test
from support.peers import Echo


def over(t, sessions, **faults):
    """So many sessions over such a wire; each sends and gets back, in pieces of every size."""
    echo = t.keep(Echo("sock:" + t.path("echo.sock")))
    wire = t.keep(BadWire(**faults))
    there = "tcp:%s:4000" % THERE
    rum = t.rum("-s", there, "-d", echo.address, "--idle-timeout", "60s", wait=False,
                prepare=wire.go_there)

    def ready():
        try:
            return rum.get("/ready")[0] == 200
        except OSError:
            return False
    net.until(ready, 20 * t.scale, "rum is up")
    wrong, left, lock = [], list(range(sessions)), threading.Lock()

    def work():
        while True:
            with lock:
                if not left:
                    return
                number = left.pop()
            chance = random.Random(number)
            data = net.pattern(chance.choice((1, 100, 535, 536, 537, 5000, 60_000)), number)
            try:
                with net.connect(there, 60) as s:
                    sender = threading.Thread(target=send, args=(s, data, chance))
                    sender.start()
                    got = net.read_all(s)
                    sender.join()
                if got != data:
                    wrong.append("session %d: %d of %d bytes" % (number, len(got), len(data)))
            except OSError as e:
                wrong.append("session %d: %s" % (number, e))

    def send(s, data, chance):
        at = 0
        while at < len(data):
            size = chance.choice((1, 7, 536, 4096, 20_000))
            s.sendall(data[at:at + size])
            at += size
        s.shutdown(socket.SHUT_WR)
    threads = [threading.Thread(target=work) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(wrong[:5], [], "%d of %d sessions went wrong" % (len(wrong), sessions))
    records = rum.wait_sessions(sessions, 30)
    same({r["reason"] for r in records}, {"client_closed"})
    check(all(r["received"] == r["sent"] for r in records), "bytes")


COUNT = 1000 if full() else 60

for name, faults in {"one packet of a hundred": {"loss": 0.01, "delay": 0.01},
                     "one of ten": {"loss": 0.1, "delay": 0.005}}.items():
    @test("Over a wire with an MTU of 576 that loses %s the same bytes arrive" % name,
          seconds=900 if full() else 90)
    def _(t, faults=faults):
        over(t, COUNT, **faults)


@test("Over a wire with 200 ms each way, on which packets overtake each other, the same bytes arrive",
      seconds=900 if full() else 90)
def _(t):
    over(t, COUNT, delay=0.2, reorder=0.1, loss=0.002)

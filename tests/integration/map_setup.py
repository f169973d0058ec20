"""What the tests of remote maps share: sni.so in front of servers that say who they are. A login is
a ClientHello with the user's name; its outcome is the server's letter, 'unknown' or 'unavailable'."""

import functools
import ssl
import threading
import time

from support import net
from support.peers import Script
from test_redirect import tcp

UNKNOWN, UNAVAILABLE = "unknown", "unavailable"
ALERTS = {112: UNKNOWN, 80: UNAVAILABLE}


@functools.lru_cache(maxsize=None)
def hello(name):
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()


def letter_server(t, letter):
    """Answers the first bytes of each connection with its letter, and sends back all others."""
    def answer(s):
        if s.recv(4096):
            s.sendall(letter.encode())
        while more := s.recv(4096):
            s.sendall(more)
    return t.keep(Script(answer)).address


def login(here, user, seconds=20):
    with net.connect(here, seconds) as s:
        s.sendall(hello(user))
        got = s.recv(64)
        if got[:1] == b"\x15" and len(got) >= 7:
            return ALERTS.get(got[6], "alert %d" % got[6])
        return got.decode("latin-1") or "closed"


def front(t, sources, *arguments, **more):
    """(rum, address) of rum with sni.so and these sources."""
    here = tcp()
    return t.rum("-s", here, "-P", "sni.so", "-M", ",".join(sources), *arguments, **more), here


class Storm:
    """Logins of many users, so many a second, until stop(); counts outcomes by user's right one."""

    def __init__(self, here, expected, rate, threads=50):
        self.here, self.expected, self.rate, self.count = here, expected, rate, threads
        self.outcomes, self.wrong, self.slowest = {}, [], 0
        self.lock, self.running = threading.Lock(), True
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, index):
        users = sorted(self.expected)[index::self.count]
        next_at, at = time.monotonic(), 0
        while self.running:
            user = users[at % len(users)]
            at += 1
            begun = time.monotonic()
            try:
                got = login(self.here, user)
            except OSError as error:
                got = type(error).__name__
            with self.lock:
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.outcomes[got] = self.outcomes.get(got, 0) + 1
                if got not in (self.expected[user], UNAVAILABLE):
                    self.wrong.append((user, got))
            next_at = max(next_at + self.count / self.rate, time.monotonic() - 1)
            time.sleep(max(0, next_at - time.monotonic()))

    def total(self):
        with self.lock:
            return sum(self.outcomes.values())

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()
        return self.outcomes

"""Sockets for tests: reserved ports, connections with deadlines, and waiting for a condition.

Ports are taken below the range that the kernel hands out by itself, and each is locked by an
abstract unix socket, so that runs at the same time do not meet.
"""

import os
import random
import select
import socket
import struct
import time

# Deadlines of until() are this many times as long: a busy machine may miss shorter ones. A test
# that requires speed measures it itself.
TIMEOUT = 3

_port_locks = []


def free_port():
    """A TCP port that is free on every address; reserved until this process ends."""
    for _ in range(2000):
        port = random.SystemRandom().randrange(12000, 32000)
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind("\0rum-test-port-%d" % port)
        except OSError:
            lock.close()
            continue
        try:
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                with socket.socket(family, socket.SOCK_STREAM) as probe:
                    if family == socket.AF_INET6:
                        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((host, port))
        except OSError:
            lock.close()
            continue
        os.set_inheritable(lock.fileno(), False)
        _port_locks.append(lock)
        return port
    raise RuntimeError("no free port found")


class TooLate(AssertionError):
    """A condition was not met before its deadline."""


def until(condition, seconds, what):
    """Polls condition() until it is true, at most until the deadline; returns its value."""
    seconds *= TIMEOUT
    deadline = time.monotonic() + seconds
    pause = 0.002
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate("%s: not within %.1f s" % (what() if callable(what) else what, seconds))
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def parse(address):
    """'tcp:host:port', 'tls:host:port' or 'sock:path' -> (family, argument of connect())."""
    if address.startswith("sock:"):
        return socket.AF_UNIX, address[5:]
    assert address[:4] in ("tcp:", "tls:"), address
    host, port = address[4:].rsplit(":", 1)
    if host.startswith("["):
        return socket.AF_INET6, (host[1:-1], int(port))
    return socket.AF_INET, (host, int(port))


def connect(address, seconds=10, receive_buffer=None, source=None):
    family, where = parse(address)
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(seconds)
    if receive_buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if source:
        s.bind((source, 0))
    try:
        s.connect(where)
    except BaseException:
        s.close()
        raise
    if family != socket.AF_UNIX:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read_exact(s, size):
    parts, left = [], size
    while left:
        part = s.recv(min(left, 1 << 20))
        if not part:
            raise EOFError("the peer closed %d bytes early" % left)
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def read_all(s):
    parts = []
    while True:
        part = s.recv(1 << 18)
        if not part:
            return b"".join(parts)
        parts.append(part)


def ended(s, seconds=10):
    """How the peer ended the connection: 'closed', 'reset', or the bytes received instead."""
    s.settimeout(seconds)
    try:
        data = s.recv(65536)
    except ConnectionResetError:
        return "reset"
    except BrokenPipeError:
        return "reset"
    return "closed" if not data else data


def readable(s, seconds):
    poll = select.poll()  # select() takes no descriptor above 1,023
    poll.register(s, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def reset(s):
    """Closes with RST instead of FIN."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def listening(address):
    """Whether a socket listens, by the kernel's tables: makes no connection."""
    family, where = parse(address)
    if family == socket.AF_UNIX:
        # Flags 00010000: the socket accepts connections. Other names may contain any bytes.
        with open("/proc/net/unix", "rb") as table:
            for line in table:
                field = line.rstrip(b"\n").split(None, 7)
                if len(field) == 8 and field[3] == b"00010000" and field[7] == where.encode():
                    return True
        return False
    port = "%04X" % where[1]
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(name) as table:
                for line in table:
                    field = line.split()
                    if field[0] != "sl" and field[3] == "0A" and field[1].endswith(":" + port):
                        return True
        except FileNotFoundError:
            pass
    return False


def http_get(address, path, seconds=10 * TIMEOUT):
    """(status, headers, body) of one GET."""
    with connect(address, seconds) as s:
        s.sendall(("GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % path).encode())
        answer = read_all(s)
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split()[1])
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return status, headers, body


def pattern(size, seed=1):
    """Pseudo-random bytes, the same for the same seed; no two blocks are alike."""
    block = random.Random(seed).randbytes(65521)
    out = bytearray()
    number = 0
    while len(out) < size:
        out += struct.pack("<Q", number) + block
        number += 1
    del out[size:]
    return bytes(out)

"""A network behind a wire that loses, delays and reorders packets: the test is at one end of it, in a
network of its own, and the programs that it starts `there` are at the other. Needs root and
/dev/net/tun; nothing of it leaves the two networks.
"""

import ctypes
import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import time

from support.harness import Skipped, end_with_parent

HERE, THERE = "10.77.0.1", "10.77.0.2"
MTU = 576

_libc = ctypes.CDLL(None, use_errno=True)
_NEWNET = 0x40000000
_TUNSETIFF, _TUN, _NO_PI = 0x400454CA, 1, 0x1000


def _new_network():
    if _libc.unshare(_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network of its own")


def _ip(*words):
    subprocess.run(["ip", *words], check=True)


def _end(address):
    """This network's end of the wire."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"wire", _TUN | _NO_PI))
    _ip("link", "set", "lo", "up")
    _ip("addr", "add", address + "/24", "dev", "wire")
    _ip("link", "set", "wire", "mtu", str(MTU), "up")
    return fd


class BadWire:
    """loss and reorder: shares of the packets; delay: seconds each way."""
    there = THERE

    def __init__(self, loss=0.0, delay=0.0, reorder=0.0):
        if os.geteuid() != 0 or not os.path.exists("/dev/net/tun") or not shutil.which("ip"):
            raise Skipped("needs root, /dev/net/tun and ip, for a network of its own")
        _new_network()
        here = _end(HERE)
        ready, told = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                end_with_parent()
                _new_network()
                there = _end(THERE)
                os.write(told, b"x")
                _carry(here, there, loss, delay, reorder)
            finally:
                os._exit(1)
        os.close(told)
        os.close(here)
        if os.read(ready, 1) != b"x":
            raise RuntimeError("the wire is not up")
        os.close(ready)
        self.namespace = os.open("/proc/%d/ns/net" % self.pid, os.O_RDONLY)

    def go_there(self):
        """Called in a child process before exec."""
        if _libc.setns(self.namespace, _NEWNET) != 0:
            os._exit(1)

    def close(self):
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)
        os.close(self.namespace)


def _carry(one, two, loss, delay, reorder):
    chance = random.Random(1)
    other = {one: two, two: one}
    due, number = [], 0
    while True:
        wait = max(0, due[0][0] - time.monotonic()) if due else None
        for fd in select.select([one, two], [], [], wait)[0]:
            for _ in range(64):
                try:
                    packet = os.read(fd, 65536)
                except BlockingIOError:
                    break
                if chance.random() < loss:
                    continue
                # Later packets overtake one that is late by half a delay.
                late = delay * (1.5 if chance.random() < reorder else 1)
                number += 1
                heapq.heappush(due, (time.monotonic() + late, number, other[fd], packet))
        while due and due[0][0] <= time.monotonic():
            _, _, fd, packet = heapq.heappop(due)
            try:
                os.write(fd, packet)
            except BlockingIOError:
                pass  # a full queue drops it, as usual

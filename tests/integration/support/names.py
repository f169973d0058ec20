"""A name server on loopback, with A records that a test can change."""

import socket
import struct
import threading


class NameServer:
    def __init__(self, records):
        """`records`: name to IPv4 addresses; other names do not exist."""
        self.records = records
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.stop = False
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    @property
    def conf(self):
        return "nameserver 127.0.0.1:%d\n" % self.socket.getsockname()[1]

    def _loop(self):
        while not self.stop:
            try:
                question, peer = self.socket.recvfrom(2048)
            except socket.timeout:
                continue
            labels, at = [], 12
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
                at += 1 + question[at]
            name, kind = ".".join(labels), question[at + 2]
            self.asked.append(name)
            known = self.records.get(name)
            found = known if known and kind == 1 else []
            answer = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(one)
                              for one in found)
            head = question[:2] + struct.pack(">HHHHH", 0x8180 | (0 if known else 3), 1, len(found),
                                              0, 0)
            self.socket.sendto(head + question[12:at + 5] + answer, peer)

    def close(self):
        self.stop = True
        self.thread.join(5)
        self.socket.close()

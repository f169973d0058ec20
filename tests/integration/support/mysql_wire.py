"""The client's side of the MySQL protocol, step by step, and a server that a test controls.

It knows only what the tests need, and nothing of rum's own code: greeting, response, switch of the
plugin, text results of one column.
"""

import hashlib
import os
import struct

from support import net, peers

LONG_PASSWORD, FOUND_ROWS, CONNECT_WITH_DB, COMPRESS, LOCAL_FILES = 1, 2, 8, 0x20, 0x80
PROTOCOL_41, SSL, TRANSACTIONS, SECURE = 0x200, 0x800, 0x2000, 0x8000
MULTI_STATEMENTS, MULTI_RESULTS, PLUGIN_AUTH = 0x10000, 0x20000, 0x80000
CONNECT_ATTRS, LENENC_AUTH, DEPRECATE_EOF = 0x100000, 0x200000, 0x1000000

USUAL = (LONG_PASSWORD | PROTOCOL_41 | TRANSACTIONS | SECURE | MULTI_STATEMENTS | MULTI_RESULTS
         | PLUGIN_AUTH)

# rum's answer in place of a client that has left or was refused: it proves no password.
RUMS_OWN_PROOF = b"\x7f" * 19 + b"\0"


def sha1(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


def native_token(password, nonce):
    """The answer of mysql_native_password to a nonce of 20 bytes."""
    if not password:
        return b""
    one = sha1(password.encode())
    mask = sha1(nonce, sha1(one))
    return bytes(a ^ b for a, b in zip(one, mask))


def stored_hash(password):
    """*HEX of SHA1(SHA1(password)), as stored in servers and maps."""
    return "*" + sha1(sha1(password.encode())).hex().upper() if password else ""


def packet(sequence, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([sequence & 255]) + payload


def read_packet(s):
    """(sequence, payload)"""
    head = net.read_exact(s, 4)
    return head[3], net.read_exact(s, head[0] | head[1] << 8 | head[2] << 16)


def lenenc(n):
    if n < 251:
        return bytes([n])
    if n < 1 << 16:
        return b"\xfc" + struct.pack("<H", n)
    if n < 1 << 24:
        return b"\xfd" + struct.pack("<I", n)[:3]
    return b"\xfe" + struct.pack("<Q", n)


def read_lenenc(data, at):
    first = data[at]
    if first < 251:
        return first, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}[first]
    return int.from_bytes(data[at + 1:at + 1 + size], "little"), at + 1 + size


class Greeting:
    def __init__(self, payload):
        if payload[0] != 10:
            raise ServerError(payload)
        end = payload.index(0, 1)
        self.version = payload[1:end].decode()
        at = end + 1
        self.thread, self.nonce = struct.unpack_from("<I", payload, at)[0], payload[at + 4:at + 12]
        at += 13
        low, self.charset, self.status, high, size = struct.unpack_from("<HBHHB", payload, at)
        self.capabilities = low | high << 16
        self.reserved = payload[at + 8:at + 18]
        self.further = 0 if low & 1 else struct.unpack("<I", self.reserved[6:])[0]
        at += 18
        self.nonce += payload[at:at + max(13, size - 8) - 1]
        at += max(13, size - 8)
        self.plugin = payload[at:].split(b"\0")[0].decode()


class ServerError(Exception):
    """An ERR packet. sqlstate None: the packet has none."""

    def __init__(self, payload):
        assert payload[0] == 0xFF, payload[:200]
        self.payload = payload
        self.code = struct.unpack_from("<H", payload, 1)[0]
        self.sqlstate = None
        text = payload[3:]
        if text[:1] == b"#":
            self.sqlstate, text = text[1:6].decode(), text[6:]
        self.text = text.decode("utf-8", "backslashreplace")
        super().__init__("%d (%s): %s" % (self.code, self.sqlstate, self.text))


def response(user, token, capabilities=USUAL, database=None, plugin="mysql_native_password",
             attributes=None, charset=45):
    """The payload of a handshake response."""
    user = user if isinstance(user, bytes) else user.encode()
    if database is not None:
        capabilities |= CONNECT_WITH_DB
    if attributes is not None:
        capabilities |= CONNECT_ATTRS
    out = struct.pack("<IIB23x", capabilities, 1 << 24, charset) + user + b"\0"
    out += (lenenc(len(token)) if capabilities & LENENC_AUTH else bytes([len(token)])) + token
    if database is not None:
        out += database.encode() + b"\0"
    if capabilities & PLUGIN_AUTH:
        out += plugin.encode() + b"\0"
    if attributes is not None:
        out += lenenc(len(attributes)) + attributes
    return out


def attribute_bytes(total):
    """Connection attributes of exactly `total` bytes."""
    out = b""
    number = 0
    while len(out) < total:
        key = b"k%07d" % number
        number += 1
        left = total - len(out) - 9
        if left < 300:
            # One last pair fills the rest: the length of its value takes 1 or 3 bytes.
            for prefix in (1, 3):
                size = left - prefix
                if size >= 0 and len(lenenc(size)) == prefix:
                    return out + lenenc(8) + key + lenenc(size) + b"v" * size
            size = 100
        else:
            size = min(200, left - 100)
        out += lenenc(8) + key + lenenc(size) + b"v" * size
    return out


class Client:
    """A session, step by step. `transcript` receives all payloads with their sequence numbers."""

    def __init__(self, address, seconds=20, source=None):
        self.socket = net.connect(address, seconds, source=source)
        self.transcript = []

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def read(self):
        sequence, payload = read_packet(self.socket)
        self.transcript.append((sequence, payload))
        self.sequence = sequence
        return payload

    def send(self, payload, sequence=None):
        self.sequence = self.sequence + 1 if sequence is None else sequence
        self.socket.sendall(packet(self.sequence, payload))

    def greet(self):
        payload = self.read()
        if payload[0] == 0xFF:
            raise ServerError(payload)
        self.greeting = Greeting(payload)
        return self.greeting

    def login(self, user, password, plugin_auth=True, capabilities=USUAL, **more):
        """Logs in by mysql_native_password; follows one switch. Raises ServerError."""
        self.greet()
        if not plugin_auth:
            capabilities &= ~PLUGIN_AUTH
        self.send(response(user, native_token(password, self.greeting.nonce), capabilities, **more))
        return self.finish_login(password)

    def finish_login(self, password):
        self.switches = 0
        while True:
            answer = self.read()
            if answer[0] == 0:
                return self
            if answer[0] == 0xFF:
                raise ServerError(answer)
            assert answer[0] == 0xFE, answer[:50]
            self.switches += 1
            plugin, _, nonce = answer[1:].partition(b"\0")
            assert not password or plugin == b"mysql_native_password", plugin
            self.send(native_token(password, nonce[:20]))

    def command(self, payload):
        self.socket.sendall(packet(0, payload))

    def query(self, text):
        """The first column of every row of a text result; [] if there is no result set."""
        self.command(b"\x03" + text.encode())
        return self.result()

    def result(self):
        first = self.read()
        if first[0] == 0xFF:
            raise ServerError(first)
        if first[0] == 0:
            return []
        columns, _ = read_lenenc(first, 0)
        for _ in range(columns):
            self.read()
        rows, ends = [], 0
        deprecate = False
        payload = self.read()
        if not (payload[0] == 0xFE and len(payload) < 9):
            deprecate = True  # no packet between columns and rows
        while True:
            if deprecate or ends:
                if payload[0] == 0xFE and len(payload) < 1 << 24:
                    return rows
                if payload[0] == 0xFF:
                    raise ServerError(payload)
                size, at = (0, 1) if payload[0] == 0xFB else read_lenenc(payload, 0)
                rows.append(payload[at:at + size].decode("utf-8", "replace"))
            ends += 1
            payload = self.read()

    def quit(self):
        """COM_QUIT, and waits for the server to close."""
        self.command(b"\x01")
        answer = net.ended(self.socket)
        self.close()
        return answer


def greeting_payload(nonce, version="5.5.5-10.11.0-MariaDB", capabilities=0x81FFF7FF, thread=7,
                     plugin="mysql_native_password", further=0):
    return (b"\x0a" + version.encode() + b"\0" + struct.pack("<I", thread) + nonce[:8] + b"\0"
            + struct.pack("<HBHHB", capabilities & 0xFFFF, 45, 2, capabilities >> 16, 21)
            + bytes(6) + struct.pack("<I", further) + nonce[8:20] + b"\0" + plugin.encode() + b"\0")


OK = b"\0\0\0\x02\0\0\0"


class FakeServer(peers.Server):
    """Greets, switches to mysql_native_password, accepts `password` for every user, and answers
    every query with OK. Records the clients' responses."""

    def __init__(self, password="", address=None, after_switch=None, capabilities=0x81FFF7FF,
                 further=0, backlog=512):
        self.password = password
        self.further = further  # MariaDB's extended flags, if bit 0 of capabilities is clear
        self.capabilities = capabilities
        self.after_switch = after_switch  # if set, called with the socket instead of continuing
        self.responses, self.commands, self.logins, self.endings = [], [], 0, []
        super().__init__(address, backlog)

    def handle(self, s):
        nonce = bytes(33 + b % 90 for b in os.urandom(20))
        s.sendall(packet(0, greeting_payload(nonce, capabilities=self.capabilities,
                                             further=self.further)))
        sequence, payload = read_packet(s)
        self.responses.append(payload)
        nonce = bytes(33 + b % 90 for b in os.urandom(20))
        s.sendall(packet(sequence + 1, b"\xfemysql_native_password\0" + nonce + b"\0"))
        if self.after_switch:
            return self.after_switch(s, sequence + 1)
        sequence, token = read_packet(s)
        if token != native_token(self.password, nonce):
            s.sendall(packet(sequence + 1, b"\xff\x15\x04#28000Access denied"))
            return
        self.logins += 1
        s.sendall(packet(sequence + 1, OK))
        while True:
            sequence, payload = read_packet(s)
            self.commands.append(payload)
            if payload[:1] == b"\x01":
                return
            s.sendall(packet(sequence + 1, OK))

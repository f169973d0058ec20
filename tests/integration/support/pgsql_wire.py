"""A raw client of PostgreSQL: says what a test wants said, byte by byte if need be, and reads messages.

Logs in by SCRAM-SHA-256, with and without channel binding, by MD5 and in clear text.
"""

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct

from support import net

SSL_REQUEST = struct.pack("!II", 8, 80877103)
GSS_REQUEST = struct.pack("!II", 8, 80877104)
V3_0, V3_2 = 0x30000, 0x30002


def first(code, body=b""):
    return struct.pack("!II", 8 + len(body), code) + body


def startup(parameters, version=V3_0):
    """parameters: a dict, or pairs for repeated ones."""
    pairs = parameters.items() if isinstance(parameters, dict) else parameters
    body = b"".join(part.encode() + b"\0" for pair in pairs for part in pair)
    return first(version, body + b"\0")


def cancel(key):
    return first(80877102, key)


def message(kind, body=b""):
    return kind.encode() + struct.pack("!I", len(body) + 4) + body


def query(text):
    return message("Q", text.encode() + b"\0")


def error_fields(body):
    return {part[:1].decode(): part[1:].decode() for part in body.split(b"\0") if part}


class Refused(Exception):
    def __init__(self, body):
        self.fields = error_fields(body)
        self.code, self.text = self.fields.get("C"), self.fields.get("M")
        super().__init__("%s: %s" % (self.code, self.text))


class Closed(Exception):
    pass


class Client:
    def __init__(self, address, seconds=20, source=None):
        self.socket = net.connect(address, seconds, source=source)
        self.key, self.parameters, self.mechanisms, self.version = None, {}, None, None

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise Closed("the end after %r" % data)
            data += more
        return data

    def read_message(self):
        """(type, body)"""
        head = self.read(5)
        return chr(head[0]), self.read(struct.unpack("!I", head[1:])[0] - 4)

    def until(self, kind):
        """Reads messages up to one of this type; an error is raised."""
        found = []
        while True:
            found.append(self.read_message())
            if found[-1][0] == "E":
                raise Refused(found[-1][1])
            if found[-1][0] == kind:
                return found

    def refusal(self):
        """The error that comes next, and the end behind it."""
        kind, body = self.read_message()
        assert kind == "E", (kind, body)
        assert self.at_end(), "the connection ends behind the error"
        return Refused(body)

    def at_end(self):
        try:
            return self.socket.recv(1) == b""
        except (ConnectionResetError, ssl.SSLError):
            return False

    # TLS

    def start_tls(self, context, name="localhost", direct=False):
        if not direct:
            self.send(SSL_REQUEST)
            answer = self.read(1)
            assert answer == b"S", answer
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        return self

    def certificate_hash(self):
        return hashlib.sha256(self.socket.getpeercert(True)).digest()

    # Login

    def log_in(self, user, password="", database="rumtest", version=V3_0, parameters=(), bind=None):
        """bind: None for the flag n, "y", or "p" for SCRAM-SHA-256-PLUS. Returns the client."""
        pairs = [("user", user), ("database", database)] + list(parameters)
        self.send(startup(pairs, version))
        self.authenticate(user, password, bind)
        return self.enter()

    def authenticate(self, user, password, bind=None):
        while True:
            kind, body = self.read_message()
            if kind == "E":
                raise Refused(body)
            if kind == "v":
                self.version = struct.unpack("!I", body[:4])[0]
                continue
            assert kind == "R", (kind, body)
            code, data = struct.unpack("!I", body[:4])[0], body[4:]
            if code == 0:
                return
            if code == 3:
                self.send(message("p", password.encode() + b"\0"))
            elif code == 5:
                inner = hashlib.md5((password + user).encode()).hexdigest().encode()
                self.send(message("p", b"md5" + hashlib.md5(inner + data).hexdigest().encode() + b"\0"))
            elif code == 10:
                self.mechanisms = data.rstrip(b"\0").decode().split("\0")
                self._scram(password, bind)
            else:
                raise AssertionError("authentication %d" % code)

    def _scram(self, password, bind):
        header = {None: b"n,,", "y": b"y,,", "p": b"p=tls-server-end-point,,"}[bind]
        bare = b"n=,r=" + base64.b64encode(os.urandom(18))
        mechanism = b"SCRAM-SHA-256-PLUS" if bind == "p" else b"SCRAM-SHA-256"
        hello = header + bare
        self.send(message("p", mechanism + b"\0" + struct.pack("!I", len(hello)) + hello))
        server_first = self._sasl(11)
        fields = dict(part.split(b"=", 1) for part in server_first.split(b","))
        channel = header + (self.certificate_hash() if bind == "p" else b"")
        final = b"c=" + base64.b64encode(channel) + b",r=" + fields[b"r"]
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(fields[b"s"]),
                                     int(fields[b"i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        said = bare + b"," + server_first + b"," + final
        signature = hmac.digest(hashlib.sha256(client_key).digest(), said, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.send(message("p", final + b",p=" + base64.b64encode(proof)))
        proved = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), said, "sha256")
        assert self._sasl(12) == b"v=" + base64.b64encode(proved), "the server knows the password"

    def _sasl(self, code):
        kind, body = self.read_message()
        if kind == "E":
            raise Refused(body)
        assert kind == "R" and struct.unpack("!I", body[:4])[0] == code, (kind, body)
        return body[4:]

    def enter(self):
        """From AuthenticationOk to ReadyForQuery."""
        for kind, body in self.until("Z"):
            if kind == "S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            if kind == "K":
                self.key = body
        return self

    def ask(self, text):
        """The first column of each row."""
        self.send(query(text))
        rows = []
        for kind, body in self.until("Z"):
            if kind == "D":
                size = struct.unpack("!i", body[2:6])[0]
                rows.append(body[6:6 + size].decode() if size >= 0 else None)
        return rows


def send_cancel(address, key, context=None):
    """Sends it and waits for the end, as libpq does. True: the connection ended in order."""
    with Client(address) as client:
        if context:
            client.start_tls(context)
        client.send(cancel(key))
        try:
            return client.socket.recv(1) == b""
        except (ConnectionResetError, ssl.SSLEOFError, socket.timeout):
            return False

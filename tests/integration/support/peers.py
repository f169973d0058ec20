"""Fake clients and servers: an echo, a sink, a source, and several that misbehave."""

import hashlib
import os
import selectors
import socket
import threading

from support import net


class Server:
    """Accepts connections on an address and runs handle() for each in its own thread."""

    def __init__(self, address=None, backlog=512):
        if address is None:
            address = "tcp:127.0.0.1:%d" % net.free_port()
        self.address = address
        family, where = net.parse(address)
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(where)
        self.listener.listen(backlog)
        self.path = where if family == socket.AF_UNIX else None
        self.connections = []
        self.accepted = 0
        self.errors = []
        self.closed = False
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            if self.closed:
                connection.close()
                return
            self.accepted += 1
            self.connections.append(connection)
            connection.settimeout(60 * net.TIMEOUT)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            self.handle(connection)
        except (OSError, EOFError) as e:
            self.errors.append(e)
        finally:
            if not self.holds(connection):
                connection.close()

    def handle(self, connection):
        raise NotImplementedError

    def holds(self, connection):
        """True: the connection stays open after handle()."""
        return False

    def connection(self, number=0, seconds=10):
        net.until(lambda: len(self.connections) > number, seconds, "connection %d" % number)
        return self.connections[number]

    def close(self):
        self.closed = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            connection.close()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)


class Echo(Server):
    """Echoes its input, and ends when the client has ended. A prefix identifies the server."""

    def __init__(self, address=None, prefix=b""):
        self.prefix = prefix
        super().__init__(address)

    def handle(self, connection):
        connection.sendall(self.prefix)
        while True:
            data = connection.recv(1 << 18)
            if not data:
                return
            connection.sendall(data)


class Sink(Server):
    """Reads everything; sends its length and SHA-256 after the client has ended its half."""

    def handle(self, connection):
        digest, size = hashlib.sha256(), 0
        buffer = bytearray(1 << 18)
        while True:
            n = connection.recv_into(buffer)
            if not n:
                break
            size += n
            digest.update(memoryview(buffer)[:n])
        connection.sendall(b"%d %s" % (size, digest.hexdigest().encode()))


class Source(Server):
    """Sends the given blocks at once and ends."""

    def __init__(self, blocks, address=None):
        self.blocks = blocks
        super().__init__(address)

    def handle(self, connection):
        for block in self.blocks():
            connection.sendall(block)


class ReplyAfterEnd(Server):
    """Sends a reply after the client's end of file."""

    def __init__(self, reply, address=None):
        self.reply = reply
        self.requests = []
        super().__init__(address)

    def handle(self, connection):
        self.requests.append(net.read_all(connection))
        connection.sendall(self.reply)


class EndFirst(Server):
    """Sends something, ends its half at once, and records what the client still sends."""

    def __init__(self, greeting, address=None):
        self.greeting = greeting
        self.received = []
        super().__init__(address)

    def handle(self, connection):
        connection.sendall(self.greeting)
        connection.shutdown(socket.SHUT_WR)
        self.received.append(net.read_all(connection))


class Holds(Server):
    """Accepts, but never reads, writes or closes."""

    def handle(self, connection):
        pass

    def holds(self, connection):
        return True


class Script(Server):
    """Runs a function with every connection."""

    def __init__(self, function, address=None, hold=False):
        self.function, self.hold = function, hold
        super().__init__(address)

    def handle(self, connection):
        self.function(connection)

    def holds(self, connection):
        return self.hold


class Resets(Server):
    """Reads the first bytes and answers with RST."""

    def handle(self, connection):
        connection.recv(1)
        net.reset(connection)

    def holds(self, connection):
        return True


class ManyEcho:
    """A single-threaded echo server, for more connections than threads can serve."""

    def __init__(self):
        self.address = "tcp:127.0.0.1:%d" % net.free_port()
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(net.parse(self.address)[1])
        self.listener.listen(4096)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.accepted, self.stop = 0, False
        self.thread = threading.Thread(target=self._loop, daemon=True)
        self.thread.start()

    def _loop(self):
        while not self.stop:
            for key, _ in self.selector.select(0.1):
                if key.fileobj is self.listener:
                    s, _ = self.listener.accept()
                    self.accepted += 1
                    self.selector.register(s, 1)
                    continue
                try:
                    data = key.fileobj.recv(65536)
                    if data:
                        key.fileobj.sendall(data)
                        continue
                except OSError:
                    pass
                self.selector.unregister(key.fileobj)
                key.fileobj.close()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()

    def close(self):
        self.stop = True
        self.thread.join(5)


class NeverAccepts:
    """Listens with a full queue: the kernel drops further connects, and they time out."""

    def __init__(self, address=None):
        self.address = address or "tcp:127.0.0.1:%d" % net.free_port()
        self.listener = socket.socket()
        # As when the port was found free: it may have connections in TIME_WAIT.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(net.parse(self.address)[1])
        self.listener.listen(0)
        self.fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(net.parse(self.address)[1])
            self.fillers.append(filler)
        probe = socket.socket()
        probe.settimeout(0.3)
        try:
            probe.connect(net.parse(self.address)[1])
            raise RuntimeError("the queue of a listener did not fill up")
        except socket.timeout:
            pass
        finally:
            probe.close()

    def close(self):
        for filler in self.fillers:
            filler.close()
        self.listener.close()


def closed_port():
    """An address where nobody listens."""
    return "tcp:127.0.0.1:%d" % net.free_port()

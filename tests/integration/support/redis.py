"""A real redis-server of a test, and fake ones that a test scripts."""

import os
import shutil
import signal
import socket
import subprocess
import threading

from support import net
from support.harness import Skipped, end_with_parent

MARKER = "rum:map:id"
CHANNEL = "rum:changed"


class Redis:
    def __init__(self, t, *options, port=None, fill=True, name="redis", host="127.0.0.1", password=""):
        self.program = shutil.which("redis-server")
        if not self.program:
            raise Skipped("redis-server is not installed")
        self.t, self.options, self.host, self.password = t, options, host, password
        if password:
            self.options += ("--requirepass", password)
        self.port = port or net.free_port()
        self.folder = t.path("%s-%d" % (name, self.port))
        os.makedirs(self.folder, exist_ok=True)
        self.socket = os.path.join(self.folder, "sock")
        self.process = None
        t.on_end(self.close)
        self.start()
        if fill:
            self.ask("SET", MARKER, "1")

    def start(self, wait=True):
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", self.host, "--dir", self.folder,
             "--save", "", "--unixsocket", self.socket, "--daemonize", "no", *self.options],
            stdin=subprocess.DEVNULL, stdout=open(os.path.join(self.folder, "log"), "ab"),
            stderr=subprocess.STDOUT, preexec_fn=end_with_parent)
        if wait:
            net.until(self.up, 10, "redis is up")

    def up(self):
        try:
            with socket.create_connection((self.host, self.port), 1):
                return True
        except OSError:
            return False

    def source(self, more=""):
        return "redis://127.0.0.1:%d/?key=rum:user:{user}%s" % (self.port, more)

    def ask(self, *words, password=None):
        """The reply of one command, as redis-cli prints it."""
        command = ["redis-cli", "-h", self.host, "-p", str(self.port), "--raw"]
        password = password or self.password
        env = dict(os.environ, **({"REDISCLI_AUTH": password} if password else {}))
        done = subprocess.run(command + list(words), capture_output=True, text=True, timeout=20,
                              env=env)
        return done.stdout.rstrip("\n")

    def set(self, user, where, secret="-", rest=""):
        line = ("%s %s %s %s" % (user, secret or "-", where, rest)).rstrip()
        assert self.ask("SET", "rum:user:" + user, line) == "OK"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        os.kill(self.process.pid, number)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class Sentinel:
    """One Sentinel, which alone decides that the master is down. `lines`: more of its configuration;
    `options`: of redis-cli, to reach it."""

    def __init__(self, t, master, lines=(), host="127.0.0.1", port=None, replicas=1, options=(),
                 password=""):
        self.port = net.free_port()
        self.options = options
        self.password = password
        folder = t.path("sentinel-%d" % self.port)
        os.makedirs(folder)
        conf = os.path.join(folder, "conf")
        with open(conf, "w") as f:
            f.write("bind 127.0.0.1\ndir %s\nlogfile %s/log\n" % (folder, folder))
            f.write("".join(line.format(port=self.port) + "\n" for line in lines or ("port {port}",)))
            f.write("sentinel monitor main %s %d 1\n"
                    "sentinel down-after-milliseconds main 1000\n"
                    "sentinel failover-timeout main 3000\n" % (host, port or master.port))
            if password:
                f.write("requirepass %s\nsentinel auth-pass main %s\n" % (password, master.password))
        self.process = subprocess.Popen([master.program, conf, "--sentinel"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        preexec_fn=end_with_parent)
        t.on_end(self.close)
        net.until(lambda: "num-slaves\n%d\n" % replicas in self.ask("SENTINEL", "MASTER", "main"), 30,
                  "Sentinel knows the replica")

    def ask(self, *words):
        env = dict(os.environ, **({"REDISCLI_AUTH": self.password} if self.password else {}))
        done = subprocess.run(["redis-cli", "-p", str(self.port), *self.options, "--raw", *words],
                              capture_output=True, text=True, timeout=20, env=env)
        return done.stdout

    def master_port(self):
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").split()[1])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def bulk(text):
    data = text.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


class FakeRedis:
    """Greets as Redis does, and gives each question (GET of a user) to `answer(user, send)`, which
    returns the reply or None for none."""

    def __init__(self, t, answer, greeting=None, port=0):
        self.answer, self.greeting = answer, greeting or {}
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.connections = 0
        self.asked, self.open = [], []
        t.on_end(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def source(self):
        return "redis://127.0.0.1:%d/?key=rum:user:{user}" % self.port

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(s)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def close(self):
        for s in (self.listener, *self.open):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()

    def _serve(self, s):
        stream = s.makefile("rb")
        try:
            while True:
                head = stream.readline()
                if not head:
                    return
                words = []
                for _ in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2].decode())
                reply = self._reply(words, s.sendall)
                if reply:
                    s.sendall(reply)
        except (OSError, ValueError):
            pass
        finally:
            s.close()

    def _reply(self, words, send):
        word = words[0].upper()
        if word in self.greeting:
            return self.greeting[word]
        if word == "HELLO":
            return b"%1\r\n$5\r\nproto\r\n:3\r\n"
        if word == "SUBSCRIBE":
            return b">3\r\n$9\r\nsubscribe\r\n" + bulk(words[1]) + b":1\r\n"
        if word == "CONFIG":
            return b"*0\r\n"
        if word == "GET" and words[1] == MARKER:
            return bulk("1")
        if word == "GET":
            user = words[1][len("rum:user:"):]
            if user == "rum-check":
                return b"$-1\r\n"
            self.asked.append(user)
            return self.answer(user, send)
        return b"+OK\r\n"

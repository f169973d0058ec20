"""The user map behind HTTP: nginx, and a server of the test with the faults that services have."""

import http.server
import os
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time

from map_setup import UNAVAILABLE, UNKNOWN, Storm, front, letter_server, login
from support import net
from support.certificates import Authority
from support.harness import Skipped, check, end_with_parent, has, same, test
from support.net import until
from support.rum import run_once
from test_control import ctl
from test_map_redis import ready, source_of, two_servers, up
from test_sni import build_map

NEEDS = "sni.so"


class Nginx:
    """Serves the files of its folder: /users/NAME."""

    def __init__(self, t, tls=None):
        self.program = shutil.which("nginx") or "/usr/sbin/nginx"
        if not os.path.exists(self.program):
            raise Skipped("nginx is not installed")
        self.folder = t.path("nginx")
        self.users = os.path.join(self.folder, "users")
        os.makedirs(self.users)
        os.chmod(t.folder, 0o755)
        self.port, self.tls_port = net.free_port(), net.free_port()
        self.socket = os.path.join(self.folder, "sock")
        listen = "listen 127.0.0.1:%d; listen unix:%s;" % (self.port, self.socket)
        if tls:
            listen += "listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s;" % (
                self.tls_port, *tls)
        with open(os.path.join(self.folder, "conf"), "w") as f:
            f.write("user root; daemon off; worker_processes 1; pid %s/pid; error_log %s/log;"
                    "events {} http { access_log %s/access; client_body_temp_path %s/t; "
                    "proxy_temp_path %s/t; fastcgi_temp_path %s/t; uwsgi_temp_path %s/t; "
                    "scgi_temp_path %s/t; server { %s root %s; location /secret/ "
                    "{ if ($http_authorization != 'Bearer Builder-e41Zz') { return 401; } "
                    "alias %s/; } } }"
                    % (*[self.folder] * 8, listen, self.folder, self.users))
        self.start()
        t.on_end(self.close)

    def start(self):
        self.process = subprocess.Popen([self.program, "-c", os.path.join(self.folder, "conf")],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        preexec_fn=end_with_parent)
        until(lambda: net.listening("tcp:127.0.0.1:%d" % self.port), 10, "nginx is up")

    def set(self, user, where):
        path = os.path.join(self.users, user)
        with open(path + ".new", "w") as f:
            f.write("%s - %s\n" % (user, where))
        os.rename(path + ".new", path)

    def source(self):
        return "http://127.0.0.1:%d/users/{user}" % self.port

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()


class Service(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Gives each GET to `answer(handler, user)`; rum's checks get 404."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, t, answer):
        self.asked, self.connections = [], 0
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                user = self.path.rsplit("/", 1)[1]
                if user == "rum-check":
                    self.reply(404)
                else:
                    service.asked.append(self.path)
                    answer(self, user)

            def reply(self, status, body="", headers=()):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def raw(self, data):
                self.wfile.write(data)
                self.close_connection = True

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        t.on_end(self.shutdown)

    def handle_error(self, *_):
        pass

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def source(self, path="/users/{user}"):
        return "http://127.0.0.1:%d%s" % (self.server_address[1], path)


@test("Users behind nginx are found: by TCP, TLS, a unix socket, with a token", needs=NEEDS)
def _(t):
    a, b = two_servers(t)
    authority = Authority(t.folder)
    nginx = Nginx(t, authority.sign("web", "DNS:localhost"))
    nginx.set("a.example", a)
    nginx.set("b.example", b)
    token = t.path("token")
    with open(token, "w") as f:
        f.write("Builder-e41Zz\n")
    tls = "https://localhost:%d/users/{user}" % nginx.tls_port
    secret = nginx.source().replace("/users/", "/secret/")
    proxied = {"http_proxy": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1"}
    for source, arguments in ((nginx.source(), ()), (tls, ("--map-ca", authority.certificate)),
                              (nginx.source().replace("127.0.0.1", "localhost"), ()),
                              ("http+unix:%s:/users/{user}" % nginx.socket, ()),
                              (secret, ("--map-token-file", token))):
        rum, here = front(t, [source], *arguments, env=proxied)
        up(rum, source)
        for _ in range(2):
            same(login(here, "a.example"), "A", source)
            same(login(here, "b.example"), "B", source)
            same(login(here, "c.example"), UNKNOWN, source)
        same(source_of(rum)["questions"], 4, "questions")
        same(ready(rum), (200, "ready"))
        rum.finish()
    for source, arguments, fault in (
            (tls.replace("localhost", "127.0.0.1"), ("--map-ca", authority.certificate), "SSL"),
            (tls, (), "SSL"), (secret, (), "HTTP status 401")):
        rum, here = front(t, [source], *arguments, ready=False)
        until(lambda: fault in source_of(rum)["fault"], 10, "the fault is seen: " + fault)
        same(login(here, "a.example"), UNAVAILABLE, source)
        rum.finish()


@test("nginx is killed, stopped and started under logins: none is wrong, and the cache serves",
      needs=NEEDS, seconds=120)
def _(t):
    a, b = two_servers(t)
    nginx = Nginx(t)
    expected = {}
    for i in range(100):
        user, (where, letter) = "u%d.example" % i, ((a, "A"), (b, "B"))[i % 2]
        nginx.set(user, where)
        expected[user] = letter
    path = build_map(t, ["f.example - " + b])
    rum, here = front(t, [nginx.source(), path], "--map-ttl", "1s", "--map-timeout", "500ms",
                      check_descriptors=False)  # libcurl keeps connections
    up(rum, nginx.source())
    for user in expected:
        login(here, user)
    storm = Storm(here, expected, 200)
    time.sleep(1)
    nginx.process.terminate()
    nginx.process.wait()
    until(lambda: not source_of(rum)["up"], 10, "the source is down")
    same(login(here, "f.example"), "B", "the file, while nginx is down")
    same(login(here, "new.example"), UNAVAILABLE)
    time.sleep(2)
    nginx.start()
    up(rum, nginx.source())
    time.sleep(1)
    workers = subprocess.run(["pgrep", "-P", str(nginx.process.pid)], capture_output=True, text=True)
    for pid in workers.stdout.split():
        os.kill(int(pid), signal.SIGSTOP)
    until(lambda: not source_of(rum)["up"], 10, "the source is down")
    time.sleep(1)
    for pid in workers.stdout.split():
        os.kill(int(pid), signal.SIGCONT)
    up(rum, nginx.source())
    outcomes = storm.stop()
    t.say("%r, slowest %.2f s" % (outcomes, storm.slowest))
    same(storm.wrong, [], "wrong outcomes")
    same(set(outcomes), {"A", "B"}, "outcomes")


@test("What is not 200 with a whole record nor 404 is unavailable", needs=NEEDS, seconds=120)
def _(t):
    a, _ = two_servers(t)
    line = "a.example - %s\n" % a

    def slow(handler, user):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(line)))
        handler.end_headers()
        for byte in line:
            time.sleep(0.05)
            handler.wfile.write(byte.encode())

    def many(handler, user):
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 200)

    redirect = (("Location", "/users/b.example"),)
    answers = {
        "302": lambda h, u: h.reply(302, line, redirect),
        "204": lambda h, u: h.raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
        "401": lambda h, u: h.reply(401, line),
        "500": lambda h, u: h.reply(500, line),
        "410": lambda h, u: h.reply(410, line),
        "empty": lambda h, u: h.reply(200),
        "another user's": lambda h, u: h.reply(200, "b.example - %s\n" % a),
        "HTML": lambda h, u: h.reply(200, "<html><body>hello\n"),
        "no length": lambda h, u: h.raw(b"HTTP/1.1 200 OK\r\n\r\n" + line.encode()),
        "HTTP 1.0": lambda h, u: h.raw(b"HTTP/1.0 200 OK\r\n\r\n" + line.encode()),
        "HTTP 0.9": lambda h, u: h.raw(line.encode()),
        "cut": lambda h, u: h.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + line.encode()),
        "cut chunk": lambda h, u: h.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n"
                                        + line.encode()),
        "large": lambda h, u: h.reply(200, line + "x" * 70000),
        "endless": many,
        "large header": lambda h, u: h.reply(200, line, [("X-%d" % i, "x" * 1000) for i in range(40)]),
        "slow": slow,
        "nothing": lambda h, u: time.sleep(1),
        "closed": lambda h, u: h.raw(b""),
        "reset": lambda h, u: net.reset(h.connection),
    }
    for name, answer in answers.items():
        service = Service(t, answer)
        rum, here = front(t, [service.source()], "--map-timeout", "400ms")
        until(lambda: source_of(rum)["up"], 10, "the source is up")
        same(login(here, "a.example"), UNAVAILABLE, name)
        rum.finish()
    service = Service(t, lambda h, u: h.raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
        % (len(line), line.encode())))
    rum, here = front(t, [service.source()])
    same(login(here, "a.example"), "A", "chunks have an end")


@test("Names are one segment of the path, and connections are used again", needs=NEEDS)
def _(t):
    a, _ = two_servers(t)
    service = Service(t, lambda h, u: h.reply(200, u + " - %s\n" % a))
    # How many connections to the source are open at the start differs.
    rum, here = front(t, [service.source("/v1/{user}")], "--map-ttl", "off", check_descriptors=False)
    until(lambda: source_of(rum)["up"], 10, "the source is up")
    for i in range(20):
        same(login(here, "u%d.example" % (i % 3)), "A")
    check(service.connections < 5, "%d connections" % service.connections)
    code, out, _ = run_once(t, "-s", "tcp:127.0.0.1:1", "-P", "sni.so", "-M",
                            service.source("/v1/{user}"), "--explain", "a/../b?c d")
    has(out, "map")
    same(service.asked[-1], "/v1/a%2F..%2Fb%3Fc%20d")


@test("An answer from before the end of a pause is asked for again", needs=NEEDS)
def _(t):
    old, new = two_servers(t)
    asked, go_on = threading.Event(), threading.Event()
    where = [old]

    def answer(handler, user):
        record = "%s - %s\n" % (user, where[0])
        if not asked.is_set():
            asked.set()
            go_on.wait(10)
        handler.reply(200, record)

    service = Service(t, answer)
    rum, here = front(t, [service.source()], "--map-timeout", "9s", "--control",
                      "sock:" + t.path("control"), check_descriptors=False)
    up(rum, service.source())
    ctl(t, "pause", "server=" + old)
    got = []
    waiting = threading.Thread(target=lambda: got.append(login(here, "a.example")))
    waiting.start()
    check(asked.wait(10), "the source is asked")
    where[0] = new
    ctl(t, "resume", "server=" + old)
    go_on.set()
    waiting.join(20)
    same(got, ["B"], "not where the record led before")
    same(len(service.asked), 2, "questions")

"""The proxies that are compared, each as one thread with settings as alike as they have them.

rum writes a line for each session and keeps connections alive; the others do so when asked (alike),
and else do less: what is compared by default is each proxy as lean as it can be.
"""

import ctypes
import glob
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

HAPROXY = """
global
    nbthread 1
    maxconn 6000
    {log}
defaults
    mode tcp
    timeout connect 6s
    timeout client 1h
    timeout server 1h
    {options}
listen bench
    bind 127.0.0.1:{front}{tls}
    server backend 127.0.0.1:{back}
"""

NGINX = """
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx-{front}.pid;
error_log {folder}/nginx-{front}.err;
events {{ worker_connections 19000; }}
stream {{
    {before}
    log_format session '$time_iso8601 $remote_addr $upstream_addr $session_time '
                       '$bytes_received $bytes_sent $status';
    server {{
        listen 127.0.0.1:{front} backlog=4096{alive}{tls};
        proxy_pass {to};
        proxy_connect_timeout 6s;
        proxy_timeout 1h;
        {options}
    }}
}}
"""


ROUTER = """
[DEFAULT]
logging_folder = {folder}
runtime_folder = {folder}
data_folder = {folder}
plugin_folder = {plugins}
[io]
threads = 1
[routing:bench]
bind_address = 127.0.0.1
bind_port = {front}
destinations = 127.0.0.1:{back}
routing_strategy = first-available
protocol = classic
max_connections = 5000
max_connect_errors = 4294967295
client_ssl_mode = PASSTHROUGH
server_ssl_mode = AS_CLIENT
"""


class Missing(Exception):
    """What is to be measured cannot be."""


class NotBuilt(Missing):
    """It is not part of this build, which is nobody's fault."""


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def from_sid(package):
    """A package of Debian sid, fetched once into the cache of the tests' servers."""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(0, os.path.join(tests, "integration"))
    try:
        from support import server_trees
    finally:
        sys.path.pop(0)
    try:
        return server_trees.programs(package + "-sid", "sid", [package],
                                     say=lambda text: print(text, file=sys.stderr))
    except server_trees.Unavailable as e:
        raise Missing(str(e)) from None


def haproxy_sid():
    """The words that run Debian sid's HAProxy."""
    return from_sid("haproxy").command("usr/sbin/haproxy")


def free_port():
    # Below the range from which the kernel takes ports for outgoing connections.
    for port in range(free_port.next, 32000):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        free_port.next = port + 1
        return port
    raise Missing("no port is free")


free_port.next = 17000 + os.getpid() % 8000


def place(cpu, nice=0):
    """For Popen: runs on this CPU only, with this priority, and ends with the parent."""
    def prepare():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        if nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
            # Where the scheduler groups processes by session, the number counts within one only:
            # a session of its own, with a group that has the priority.
            os.setsid()
            try:
                with open("/proc/self/autogroup", "w") as f:
                    f.write(str(nice))
            except OSError:
                pass
    return prepare


class Process:
    """A program that serves on a port until stop()."""

    def __init__(self, command, placed, port, log, env=None, host="127.0.0.1"):
        self.host, self.port, self.log = host, port, log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out, preexec_fn=placed,
                                            env=env)
        self.pid = self.process.pid

    def wait(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with socket.socket() as s:
                if s.connect_ex((self.host, self.port)) == 0:
                    return self
            time.sleep(0.05)
        with open(self.log, errors="replace") as f:
            raise Missing("%s does not come up:\n%s" % (self.process.args[0], f.read()[-2000:]))

    def pids(self):
        """The process and its children: what works for the clients, and what watches over it."""
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                    todo += [int(word) for word in f.read().split()]
            except OSError:
                pass
        return found

    def stop(self):
        if self.process.poll() is None:
            # A second signal, or SIGKILL, for those that would wait for their clients.
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
                self.process.send_signal(number)
                try:
                    self.process.wait(2)
                    return
                except subprocess.TimeoutExpired:
                    pass


class Bench:
    """What all starts have in common: the build, the scratch folder, the CPUs."""

    def __init__(self, build, folder, alike=False, nice=0, before=None):
        self.build, self.folder, self.alike, self.nice = build, folder, alike, nice
        self.before = before  # the build of an older rum
        self.wire = None      # to servers; none: this network
        cpus = sorted(os.sched_getaffinity(0))
        self.proxy_cpu, self.load_cpu = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
        self.beside_proxy = place(self.proxy_cpu, nice)
        self.beside_load = place(self.load_cpu, nice)
        self.load = self.built("tests/bench/load")

    def built(self, name, build=None):
        build = build or self.build
        head, tail = os.path.split(name)
        for path in (os.path.join(build, head, ".libs", tail),
                     os.path.join(build, name), os.path.join(build, "bin", tail)):
            if os.access(path, os.X_OK) and os.path.isfile(path):
                return path
        raise Missing("%s has no %s: make all bench-tools" % (build, name))

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    # The proxies. `back` is the backend's port.

    def start(self, name, back, more_env=None, more=()):
        front = free_port()
        command, env = getattr(self, "_" + name.replace("-", "_"))(front, back)
        command += more
        if more_env:
            env = dict(env or os.environ, **more_env)
        log = os.path.join(self.folder, "%s-%d.out" % (name, front))
        return Process(command, self.beside_proxy, front, log, env).wait()

    def _rum(self, front, back, build=None):
        return self._rum_with(front, ["-d", "tcp:127.0.0.1:%d" % back], build)

    def _rum_tls(self, front, back, build=None):
        return self._rum_with(front, ["-d", "tcp:127.0.0.1:%d" % back, "--tls-cert",
                                      self.certificate()], build, "tls")

    def _rum_sid_tls(self, front, back):
        """With the OpenSSL of haproxy-sid."""
        command, environment = self._rum_tls(front, back)
        tree = from_sid("haproxy")
        here = sorted(glob.glob("/usr/lib/*-linux-gnu") + glob.glob("/lib/*-linux-gnu"))
        return [tree.linker, "--inhibit-cache", "--library-path", ":".join(tree.libraries + here),
                *command], environment

    # The map has the hash, so that the client is spared the switch to the server's challenge.
    def _rum_rewrite(self, front, back, build=None):
        digest = hashlib.sha1(hashlib.sha1(PASSWORD.encode()).digest()).hexdigest().upper()
        return self._rum_mysql(front, back, build, "*" + digest, ["--mysql-auth", "rewrite"])

    def _rum_mysql(self, front, back, build=None, secret="-", options=()):
        if subprocess.run([self.built("rum", build), "-P", "mysql.so", "--help"],
                          env=self._environment(build), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT).returncode != 0:
            raise NotBuilt("rum is built without mysql.so")
        users = "".join("bench%d %s tcp:%s:%d\n" % (i, secret, self.server_host(), back)
                        for i in range(USERS))
        text = self.write("users-%d.txt" % front, users)
        cdb = os.path.join(self.folder, "users-%d.cdb" % front)
        subprocess.run([self.built("rum-map", build), "build", cdb, text], check=True,
                       stdout=subprocess.DEVNULL)
        return self._rum_with(front, ["-P", "mysql.so", "-M", cdb, *options], build)

    def _before(self, front, back):
        return self._rum(front, back, self.before)

    def _before_mysql(self, front, back):
        return self._rum_mysql(front, back, self.before)

    def _before_rewrite(self, front, back):
        return self._rum_rewrite(front, back, self.before)

    def _before_tls(self, front, back):
        return self._rum_tls(front, back, self.before)

    def _rum_with(self, front, arguments, build, kind="tcp"):
        log = os.path.join(self.folder, "rum-%d.log" % front)
        return ([self.built("rum", build), "-w", "1", "-l", log,
                 "-s", "%s:127.0.0.1:%d" % (kind, front), *arguments], self._environment(build))

    def certificate(self):
        """A file with a certificate that signs itself, and its key: the same for all."""
        path = os.path.join(self.folder, "certificate.pem")
        if not os.path.exists(path):
            subprocess.run([self._need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
                            "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost",
                            "-days", "30", "-keyout", path + ".key", "-out", path + ".crt"],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with open(path, "w") as out:
                for part in (".crt", ".key"):
                    with open(path + part) as f:
                        out.write(f.read())
        return path

    def _environment(self, build):
        modules = os.path.join(build or self.build, ".libs")
        if not os.path.isdir(modules):
            modules = os.path.join(build or self.build, "lib", "rum")
        return dict(os.environ, RUM_MODULE_DIR=modules)

    def _haproxy(self, front, back, options=(), command=None, tls=""):
        options = list(options)
        if self.alike:
            options += ["option tcpka", "log global", "option tcplog"]
        text = HAPROXY.format(front=front, back=back, tls=tls, options="\n    ".join(options),
                              log="log stdout format raw local0" if self.alike else "")
        path = self.write("haproxy-%d.cfg" % front, text)
        return [*(command or [self._need("haproxy")]), "-db", "-f", path], None

    def _haproxy_splice(self, front, back):
        return self._haproxy(front, back, ["option splice-auto"])

    def _haproxy_splice_always(self, front, back):
        return self._haproxy(front, back, ["option splice-request", "option splice-response"])

    def _haproxy_sid(self, front, back):
        return self._haproxy(front, back, command=haproxy_sid())

    def _haproxy_sid_splice(self, front, back):
        return self._haproxy(front, back, ["option splice-auto"], haproxy_sid())

    def _haproxy_tls(self, front, back):
        return self._haproxy(front, back, tls=" ssl crt " + self.certificate())

    def _haproxy_sid_tls(self, front, back):
        return self._haproxy(front, back, command=haproxy_sid(),
                             tls=" ssl crt " + self.certificate())

    def _nginx_tls(self, front, back):
        return self._nginx(front, back, " ssl", "ssl_certificate {0}; ssl_certificate_key {0}; "
                           "ssl_protocols TLSv1.2 TLSv1.3; "
                           "ssl_session_cache shared:bench:10m;".format(self.certificate()))

    def _mysqlrouter(self, front, back):
        tree = from_sid("mysql-router")
        tree.libraries.append(tree.path("usr/lib/mysql-router"))
        text = ROUTER.format(front=front, back=back, folder=self.folder,
                             plugins=tree.path("usr/lib/mysqlrouter/plugin"))
        path = self.write("router-%d.conf" % front, text)
        return tree.command("usr/bin/mysqlrouter", "-c", path), None

    def _nginx(self, front, back, tls="", options="", before="", to=""):
        if not os.path.exists("/usr/lib/nginx/modules/ngx_stream_module.so"):
            raise Missing("nginx has no stream module (libnginx-mod-stream)")
        alive = ""
        if self.alike:
            options += " proxy_socket_keepalive on; access_log %s session;" % os.path.join(
                self.folder, "nginx-%d.log" % front)
            alive = " so_keepalive=on"
        text = NGINX.format(front=front, to=to or "127.0.0.1:%d" % back, folder=self.folder, options=options,
                            tls=tls, alive=alive, before=before)
        path = self.write("nginx-%d.conf" % front, text)
        return [self._need("nginx"), "-p", self.folder, "-e", os.path.join(self.folder, "e"),
                "-c", path], None

    def _need(self, name):
        path = program(name)
        if not path:
            raise Missing("%s is not here" % name)
        return path

    # Backends of their own, for what goes direct.

    def start_server(self, kind, more=()):
        port = free_port()
        log = os.path.join(self.folder, "%s-%d.out" % (kind, port))
        return Process([self.load, kind, "--backend", "127.0.0.1:%d" % port, "--timeout", "7200",
                        *more],
                       self.beside_proxy, port, log).wait()

    def server_host(self):
        return self.wire.there if self.wire else "127.0.0.1"

    def _beside_server(self):
        if self.wire:
            self.wire.go_there()
        self.beside_load()

    def start_mariadb(self, tls=False, more_users=()):
        data, port = os.path.join(self.folder, "data"), free_port()
        user = ["--user=root"] if os.getuid() == 0 else []
        done = subprocess.run([self._need("mariadb-install-db"), "--no-defaults",
                               "--datadir=" + data, "--skip-test-db",
                               "--auth-root-authentication-method=socket", *user],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise Missing("mariadb-install-db: " + done.stdout[-1000:])
        init = self.write("init.sql", "".join(
            "CREATE USER 'bench%d'@'%%' IDENTIFIED BY '%s';\n"
            "GRANT ALL ON *.* TO 'bench%d'@'%%';\n" % (i, PASSWORD, i) for i in range(USERS))
            + "".join("CREATE USER '%s'@'%%' IDENTIFIED BY '%s';\n" % (user, PASSWORD)
                      for user in more_users)
            + "CREATE DATABASE sbtest;\n")
        certificate = ["--ssl-cert=" + self.certificate(),
                       "--ssl-key=" + self.certificate()] if tls else []
        return Process([self._need("mariadbd"), "--no-defaults", "--datadir=" + data,
                        "--socket=" + os.path.join(self.folder, "mariadb.sock"),
                        "--pid-file=" + os.path.join(self.folder, "mariadb.pid"),
                        "--port=%d" % port, "--bind-address=" + self.server_host(),
                        "--init-file=" + init,
                        "--skip-name-resolve", "--skip-log-bin", "--performance-schema=0",
                        "--innodb-buffer-pool-size=32M", "--thread-cache-size=64",
                        "--max-connections=500", "--back-log=500", *certificate, *user],
                       self._beside_server, port, os.path.join(self.folder, "mariadb.out"),
                       host=self.server_host()).wait(60)


USERS = 2
PASSWORD = "bench-secret"  # what load has, too

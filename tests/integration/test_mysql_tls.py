"""TLS inside the MySQL protocol: towards clients, towards servers, and what may go where."""

import errno
import random
import socket
import ssl
import struct
import subprocess

from mysql_setup import front, port_of, row, usual_map, write_map
from support import clients, net, newer_servers
from support.build import program
from support.certificates import Authority
from support.harness import check, full, has, same, test
from support.mariadb import password
from support.mysql_wire import FakeServer, greeting_payload, packet
from support.net import connect
from support.peers import Script
from support.rum import run_once

NEEDS = ("mysql.so", "mariadb")


def tls_server(t, authority, *options):
    certificate, key = authority.sign("server-%d" % t.number())
    return t.run.servers.own(t, ["--ssl-cert=" + certificate, "--ssl-key=" + key, *options])


def front_tls(t, path, authority, *arguments):
    certificate, key = authority.sign("front")
    return front(t, path, "--tls", "on", "--tls-cert", certificate, "--tls-key", key, *arguments)


def log_in(address, user, word, authority=None, **more):
    """(rows of what is asked, whether rum's and the client's link is TLS)"""
    import pymysql
    settings = dict(host="127.0.0.1", port=port_of(address), user=user, password=word,
                    connect_timeout=10, read_timeout=20, **more)
    if authority:
        settings["ssl"] = {"ca": authority.certificate, "check_hostname": False}
    connection = pymysql.connect(**settings)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@port")
            port = cursor.fetchall()[0][0]
            cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_version'")
            return port, cursor.fetchall()[0][1]
    finally:
        connection.close()


def refused(address, user, word, **more):
    import pymysql
    try:
        log_in(address, user, word, **more)
    except pymysql.err.MySQLError as e:
        return e.args[0]
    raise AssertionError("%s logged in" % user)


@test("A TLS client logs in, by relay and by rewriting, to a server without TLS", needs=NEEDS)
def _(t):
    authority = Authority(t.folder)
    for mode in ("relay", "rewrite"):
        rum, here = front_tls(t, usual_map(t), authority, "--mysql-auth", mode)
        same(log_in(here, "alice", password("alice"), authority), (t.run.servers.a.port, ""))
        same(log_in(here, "bob", password("bob"), authority), (t.run.servers.b.port, ""))
        same(refused(here, "alice", "wrong", authority=authority), 1045)
        same(log_in(here, "alice", password("alice")), (t.run.servers.a.port, ""), "without TLS too")
        same([r.get("tls") for r in rum.wait_sessions(4)].count("client"), 3)


@test("mirror: who comes by TLS goes on by TLS, who comes plain goes on plain", needs=NEEDS)
def _(t):
    authority = Authority(t.folder)
    server = tls_server(t, authority)
    path = write_map(t, row(t, "alice", server.address))
    for mode in ("relay", "rewrite"):
        rum, here = front_tls(t, path, authority, "--mysql-auth", mode)
        port, version = log_in(here, "alice", password("alice"), authority)
        same(port, server.port)
        check(version.startswith("TLSv1"), "TLS to the server: %r" % version)
        same(log_in(here, "alice", password("alice")), (server.port, ""))
        same(refused(here, "alice", "wrong", authority=authority), 1045)


@test("off, require and verify towards the server do what they say", needs=NEEDS)
def _(t):
    authority, stranger = Authority(t.folder), Authority(t.folder, "stranger")
    server = tls_server(t, authority)
    path = write_map(t, row(t, "alice", server.address), row(t, "bob", "B"))
    rum, here = front_tls(t, path, authority, "--upstream-tls", "off")
    same(log_in(here, "alice", password("alice"), authority), (server.port, ""))
    rum, here = front(t, path, "--upstream-tls", "require")
    check(log_in(here, "alice", password("alice"))[1].startswith("TLSv1"), "TLS to the server")
    same(refused(here, "bob", password("bob")), 1105, "a server without TLS")
    same({r["user"]: r["reason"] for r in rum.wait_sessions(2)}["bob"], "unsupported")
    rum, here = front(t, path, "--upstream-tls", "verify", "--upstream-tls-ca",
                      authority.certificate)
    check(log_in(here, "alice", password("alice"))[1].startswith("TLSv1"), "verified")
    rum, here = front(t, path, "--upstream-tls", "verify", "--upstream-tls-ca", stranger.certificate)
    refused(here, "alice", password("alice"))
    same(rum.session()["reason"], "tls_failed")


@test("verify: a server's unix socket needs --upstream-tls-name, and then its certificate is verified",
      needs=NEEDS)
def _(t):
    authority = Authority(t.folder)
    server = tls_server(t, authority)
    here = "sock:" + server.socket
    path = write_map(t, row(t, "alice", here))
    verify = ("--upstream-tls", "verify", "--upstream-tls-ca", authority.certificate)
    rum, front_address = front(t, path, *verify)
    refused(front_address, "alice", password("alice"))
    record = rum.session()
    same(record["reason"], "tls_failed")
    has(record["detail"], "no host name to verify: give --upstream-tls-name")
    for name, good in (("localhost", True), ("other.example", False)):
        rum, front_address = front(t, path, *verify, "--upstream-tls-name", name)
        if good:
            same(log_in(front_address, "alice", password("alice"))[0], server.port)
        else:
            refused(front_address, "alice", password("alice"))
            same(rum.session()["reason"], "tls_failed")
    arguments = ("-s", front_address, "-P", "mysql.so", "-d", here, *verify, "--check")
    code, _, err = run_once(t, *arguments)
    same(code, 1)
    has(err, "--upstream-tls: verify: %s has no host name that its certificate could have; give "
        "--upstream-tls-name" % here)
    same(run_once(t, *arguments, "--upstream-tls-name", "localhost")[0], 0)


@test("--tls on with --tls-ca is refused: who comes without TLS would come without a certificate",
      needs="mysql.so")
def _(t):
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    arguments = ("-s", "tcp:127.0.0.1:%d" % net.free_port(), "-P", "mysql.so", "-d", "tcp:127.0.0.1:1",
                 "--tls-cert", certificate, "--tls-key", key, "--tls-ca", authority.certificate, "--check")
    for mode, good in (("off", False), ("on", False), ("require", True)):
        code, _, err = run_once(t, *arguments, "--tls", mode)
        same(code, 0 if good else 1, mode)
        if not good:
            has(err, "give --tls require")


@test("A server whose TLS fails inside the protocol is counted by the circuit breaker", needs="mysql.so")
def _(t):
    class Broken(FakeServer):
        def handle(self, s):
            s.sendall(packet(0, greeting_payload(b"n" * 20, capabilities=0x81FFFFFF)))
            s.recv(4096)  # the SSLRequest; the end instead of a handshake
    server = t.keep(Broken())
    path = write_map(t, row(t, "alice", server.address))
    rum, here = front(t, path, "--upstream-tls", "require", "--breaker", "3/10m", "--mysql-auth", "relay")
    for _ in range(4):
        refused(here, "alice", password("alice"))
    records = rum.wait_sessions(4)
    same([r["reason"] for r in records], ["tls_failed"] * 4)
    same(records[3].get("detail"), "--breaker")
    same((server.accepted, rum.stats()["circuit_breaker"]["opened"]), (3, 1))


@test("require: a client without TLS is told 3159, over the unix socket it may come", needs=NEEDS)
def _(t):
    import pymysql
    authority = Authority(t.folder)
    certificate, key = authority.sign("front")
    sock = t.path("mysql.sock")
    rum, here = front(t, usual_map(t), "-s", "sock:" + sock, "--tls", "require", "--tls-cert",
                      certificate, "--tls-key", key)
    same(refused(here, "alice", password("alice")), 3159)
    same(log_in(here, "alice", password("alice"), authority)[0], t.run.servers.a.port)
    pymysql.connect(unix_socket=sock, user="alice", password=password("alice")).close()


@test("Behind TLS from the first byte on none is offered or asked for inside the protocol", needs=NEEDS)
def _(t):
    from support.mysql_wire import SSL, Client
    authority = Authority(t.folder)
    server = tls_server(t, authority)
    certificate, key = authority.sign("outer")
    outer = "tls:127.0.0.1:%d" % net.free_port()
    t.rum("-s", outer, "-d", server.address, "--tls-cert", certificate, "--tls-key", key)
    path = write_map(t, row(t, "alice", outer))
    for mode in ("mirror", "off", "require"):
        _, here = front_tls(t, path, authority, "--upstream-tls", mode)
        for by in (None, authority):
            same(log_in(here, "alice", password("alice"), by), (server.port, ""), mode)

    for mode in ("on", "require"):
        here = "tls:127.0.0.1:%d" % net.free_port()
        t.rum("-s", here, "-P", "mysql.so", "-M", path, "--tls", mode, "--tls-cert", certificate,
              "--tls-key", key)
        with Client("tcp:" + here[4:]) as c:
            c.socket = ssl._create_unverified_context().wrap_socket(c.socket)
            c.login("alice", password("alice"))
            same(c.greeting.capabilities & SSL, 0, "TLS offered inside TLS")
            same(c.query("SELECT 1"), ["1"])
            same(c.quit(), "closed")


@test("An account that REQUIREs SSL logs in through rum when the client has TLS", needs=NEEDS)
def _(t):
    authority = Authority(t.folder)
    server = tls_server(t, authority)
    server.admin("ALTER USER 'alice'@'%' REQUIRE SSL")
    rum, here = front_tls(t, write_map(t, row(t, "alice", server.address)), authority)
    same(log_in(here, "alice", password("alice"), authority)[0], server.port)
    same(refused(here, "alice", password("alice")), 1045)


@test("The mariadb program logs in by TLS with its own certificate checks", needs=NEEDS)
def _(t):
    authority = Authority(t.folder)
    rum, here = front_tls(t, usual_map(t), authority)
    done = subprocess.run(
        [program("mariadb"), "--no-defaults", "-h127.0.0.1", "-P%d" % port_of(here), "-ualice",
         "-p" + password("alice"), "--ssl-ca=" + authority.certificate,
         "--ssl-verify-server-cert", "-Ne", "SELECT @@port"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    has(done.stdout, str(t.run.servers.a.port))


SSL_REQUEST = struct.pack("<IIB23x", 0x0008a205 | 0x800, 1 << 24, 45)


def packet(number, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


@test("Plain text behind the request for TLS is never read as a login", needs=NEEDS)
def _(t):
    authority = Authority(t.folder)
    rum, here = front_tls(t, usual_map(t), authority)
    smuggled = packet(2, SSL_REQUEST[:32] + b"alice\0\0mysql_native_password\0")
    for cut in (len(SSL_REQUEST) + 4, 20, 1):
        with connect(here) as s:
            s.recv(4096)
            text = packet(1, SSL_REQUEST) + smuggled
            s.sendall(text[:cut])
            s.sendall(text[cut:])
            rest = b""
            try:
                rest = net.read_all(s)
            except ConnectionResetError:
                pass
            check(b"Access denied" not in rest, "no verdict on the smuggled login: %r" % rest)
    for record in rum.wait_sessions(3):
        same(record["reason"], "tls_failed")
        check("user" not in record, "nobody was identified: %r" % record)


@test("Whatever stands behind the request for TLS, nobody is looked up and no server is asked",
      needs=NEEDS, seconds=120)
def _(t):
    rum, here = front_tls(t, usual_map(t), Authority(t.folder))
    noise = random.Random(5)
    login = SSL_REQUEST[:32] + b"alice\0\0mysql_native_password\0"
    count = 1000 if full() else 100
    for _ in range(count):
        record = bytes([noise.choice((22, 23, 21, 20, 128)), 3, noise.choice((0, 1, 3))])
        behind = b"".join(noise.choice((
            packet(noise.randrange(4), login), login, noise.randbytes(noise.randrange(40)),
            record + len(login).to_bytes(2, "big") + login, record + b"\x40\0" + packet(2, login),
            packet(1, SSL_REQUEST), packet(0, b"\3SELECT 1"))) for _ in range(noise.randrange(1, 6)))
        text = packet(1, SSL_REQUEST) + behind
        cut = noise.randrange(1, len(text))
        with connect(here) as s:
            s.recv(4096)
            rest = b""
            try:
                s.sendall(text[:cut])
                s.sendall(text[cut:])
                s.shutdown(socket.SHUT_WR)
                rest = net.read_all(s)
            except OSError as e:
                check(e.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN), repr(e))
            check(b"Access denied" not in rest and b"alice" not in rest, "an answer: %r" % rest)
    for record in rum.wait_sessions(count, 20):
        check("user" not in record, "somebody was identified: %r" % record)
    stats = rum.stats()
    same((stats["map"]["lookups"], stats["upstream"]["connects"]), (0, 0))


@test("The handshake may begin in the same segment as the request for TLS", needs=NEEDS)
def _(t):
    authority = Authority(t.folder)
    rum, here = front_tls(t, usual_map(t), authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(authority.certificate)
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(inside, outside)
    with connect(here) as s:
        s.recv(4096)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        s.sendall(packet(1, SSL_REQUEST) + outside.read())
        while True:
            inside.write(s.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        tls.write(packet(2, struct.pack("<IIB23x", 0x0008a205 | 0x800, 1 << 24, 45) + b"alice\0\0"
                         + b"mysql_native_password\0"))
        s.sendall(outside.read())
        answer = b""
        while not answer:
            inside.write(s.recv(65536))
            try:
                answer = tls.read(4096)
            except ssl.SSLWantReadError:
                pass
        same(answer[3], 3, "sequence number of the answer")
        has(answer, b"mysql_native_password", "the server's switch")


def plugin_server(plugin):
    """A server without TLS whose accounts have `plugin`: what it receives after its switch."""
    got = []

    def script(s):
        greeting = (b"\x0a8.0.40\0" + struct.pack("<I", 7) + b"abcdefgh\0" + b"\xff\xf7" + b"\xff"
                    + b"\x02\0" + b"\xff\x81" + b"\x15" + bytes(10) + b"ijklmnopqrst\0"
                    + b"caching_sha2_password\0")
        s.sendall(packet(0, greeting))
        s.recv(65536)
        s.sendall(packet(2, b"\xfe" + plugin.encode() + b"\0abcdefghijklmnopqrst\0"))
        got.append(s.recv(65536))

    return script, got


@test("A clear-text password of a TLS client never goes to a server without TLS", needs=("mysql.so",))
def _(t):
    authority = Authority(t.folder)
    for plugin in ("mysql_clear_password", "dialog", "new", "sha256_password"):
        script, got = plugin_server(plugin)
        server = t.keep(Script(script))
        path = write_map(t, ("carol", "", server.address, b""))
        rum, here = front_tls(t, path, authority)
        code = refused(here, "carol", "Secret-clear-5tG", authority=authority)
        if plugin == "sha256_password":
            # The server is asked for its key, and gives none.
            same(code, 1158)
            same(rum.session()["reason"], "upstream_gone")
            same(got, [packet(3, b"\1")])
        else:
            same(code, 1105, plugin)
            same(rum.session()["reason"], "unsupported")
        check(all(b"Secret-clear" not in part for part in got), "%s: %r" % (plugin, got))


@test("Clients that leave by TLS are clients that close, whatever they leave unread", needs=NEEDS)
def _(t):
    rum, here = front_tls(t, usual_map(t), Authority(t.folder))
    for _ in range(20):
        answer = clients.mariadb_program(t, port_of(here), "alice", password("alice"), ["--ssl"],
                                         script="SELECT 1")
        same(answer.output.strip(), "1")
    same({s["reason"] for s in rum.wait_sessions(20)}, {"client_closed"})


@test("A statement ends when its client is killed, by TLS as without",
      needs=("mysql.so", "mysql-sid", "mariadb-trixie"), seconds=120)
def _(t):
    import pymysql
    for kind, user in (("mysql-sid", "sha2"), ("mariadb-trixie", "native")):
        server, word = t.run.newer[kind].tls, newer_servers.password(user)
        users, authority = write_map(t, row(t, user, server.address)), Authority(t.folder)
        _, mirror = front_tls(t, users, authority, "-t", "mysql80")
        _, always = front(t, users, "-t", "mysql80", "--upstream-tls", "require")
        query = "SELECT GET_LOCK('%s', 3600)" % t.folder

        def running():
            return server.admin("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE"
                                " 'SELECT GET_LOCK(%%3600)' AND USER = '%s'" % user)

        def aborted():
            return server.admin("SHOW GLOBAL STATUS LIKE 'Aborted_clients'")

        server_side = pymysql.connect(unix_socket=server.socket, user="root")
        with server_side.cursor() as cursor:
            cursor.execute("SELECT GET_LOCK('%s', 0)" % t.folder)
        for here, tls in ((mirror, True), (mirror, False), (always, False)):
            settings = {"ssl": {"check_hostname": False, "verify_mode": None}} if tls else {}
            c = pymysql.connect(host="127.0.0.1", port=port_of(here), user=user, password=word,
                                **settings)
            c._sock.sendall(struct.pack("<IB", len(query) + 1, 3) + query.encode())
            net.until(running, 20 * t.scale, "the statement runs")
            # As the kernel does for a process that is killed.
            socket.socket.shutdown(c._sock, socket.SHUT_RDWR)
            net.until(lambda: not running(), 20 * t.scale,
                      "%s has seen the end, %s TLS, %s" % (kind, "by" if tls else "without", here))
            # Who leaves properly is still seen to do so.
            before = aborted()
            for _ in range(5):
                pymysql.connect(host="127.0.0.1", port=port_of(here), user=user, password=word,
                                **settings).close()
            net.until(lambda: not server.admin("SELECT 1 FROM information_schema.PROCESSLIST WHERE"
                                               " USER = '%s'" % user), 20 * t.scale, "all left")
            same(aborted(), before)
        server_side.close()


@test("A client that leaves because rum has no TLS is told apart, and rum warns where servers have TLS",
      needs="mysql.so")
def _(t):
    with_tls = 0x81FFF7FF | 1 << 11
    for more, said in (([], True), (["--tls", "on"], False)):
        server = t.keep(FakeServer(capabilities=with_tls))
        path = write_map(t, ("alice", "", server.address))
        rum, here = front(t, path, "--health-check", "1s", *more)
        with connect(here) as s:
            net.read_exact(s, 4)
        record = rum.session()
        same((record["reason"], "may require TLS" in record.get("detail", "")), ("client_gone", said))
        net.until(lambda: len(server.responses) > 0, 20, "the server is checked")
        if said:
            rum.wait_log("servers offer TLS, and rum offers none")
        same(rum.log().count("servers offer TLS"), int(said))


# mysqlnd says COM_QUIT and close_notify, and the server closes with the latter unread.
@test("Ordinary sessions of PHP over TLS never end as upstream_reset", needs=NEEDS, seconds=60)
def _(t):
    php = clients.need("php", "php-cli php-mysql")
    authority = Authority(t.folder)
    server = tls_server(t, authority)
    path = write_map(t, row(t, "alice", server.address))
    rum, here = front_tls(t, path, authority)
    code = ("for ($i = 0; $i < 40; $i++) { $m = mysqli_init();"
            "$m->ssl_set(null, null, '%s', null, null);"
            "$m->real_connect('127.0.0.1', 'alice', '%s', '', %d, null,"
            " MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT);"
            "$m->query('SELECT 1'); $m->close(); }"
            % (authority.certificate, password("alice"), port_of(here)))
    done = subprocess.run([php, "-r", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=50)
    same((done.returncode, done.stdout), (0, ""))
    same({s["reason"] for s in rum.wait_sessions(40)}, {"client_closed"})

"""Passwords of each plugin between links with TLS and without, against the servers of today; and the
proof by which MariaDB's clients since 11.4 accept a certificate that nobody has signed."""

import getpass
import os
import socket
import ssl
import subprocess
import threading

from mysql_setup import front, port_of, write_map
from support import mysql_wire, net, newer_servers, peers
from support.certificates import Authority
from support.harness import check, has, same, test
from support.mysql_wire import (OK, SSL, Client, ServerError, greeting_payload, packet, read_packet,
                                response, stored_hash)

SHA2 = ("mysql.so", "mysql-sid")


class Tap(peers.Server):
    """Passes connections on to a server, and keeps all that goes over the wire before it."""

    def __init__(self, server):
        self.server, self.seen = server, bytearray()
        super().__init__()

    def handle(self, client):
        with net.connect(self.server) as server:
            server.settimeout(60)
            back = threading.Thread(target=self.pump, args=(server, client), daemon=True)
            back.start()
            self.pump(client, server)
            back.join(60)

    def pump(self, source, target):
        try:
            while data := source.recv(65536):
                self.seen += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def front_tls(t, path, *arguments, **more):
    authority = Authority(t.folder, "authority-%d" % t.number())
    certificate, key = authority.sign("front-%d" % t.number(), "DNS:localhost,IP:127.0.0.1,IP:127.0.0.2")
    rum, here = front(t, path, "--tls", "on", "--tls-cert", certificate, "--tls-key", key, *arguments,
                      **more)
    return rum, here, authority.certificate


def row(user, server, secret=""):
    return user, secret, getattr(server, "address", server), b""


def by_pymysql(address, user, word, authority=None):
    """The server's port, or the number of the error."""
    import pymysql
    more = {"ssl": {"ca": authority, "check_hostname": False}} if authority else {}
    try:
        connection = pymysql.connect(host="127.0.0.1", port=port_of(address), user=user, password=word,
                                     connect_timeout=20, read_timeout=20, **more)
    except pymysql.err.MySQLError as e:
        return -e.args[0]
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@port")
        return cursor.fetchall()[0][0]


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=50)
    return done.stdout.strip()


def by_program(kind, address, user, word, *more, host="127.0.0.1"):
    """What the client of the tree prints: the server's port, or its complaint."""
    return run(kind.tree.client("-h" + host, "-P%d" % port_of(address), "-u" + user, "-p" + word, *more,
                           "-Ne", "SELECT @@port"))


def forget(server):
    """caching_sha2_password knows nobody any more, and wants the password itself."""
    server.admin("FLUSH PRIVILEGES")


USERS = ("sha2", "sha256")


class AsksForPassword(peers.Server):
    """With TLS inside the protocol. It wants the password itself by caching_sha2_password, keeps what
    it hears in its place, and lets those in who know `password`."""

    def __init__(self, t, password):
        self.password, self.nonce, self.heard = password.encode() + b"\0", b"N" * 20, []
        name = "asks-%d" % t.number()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*Authority(t.folder, name).sign(name + "-server"))
        super().__init__()

    def handle(self, plain):
        plain.sendall(packet(0, greeting_payload(self.nonce, "8.0.40", 0x81FFF7FF | SSL)))
        read_packet(plain)
        with self.context.wrap_socket(plain, server_side=True) as s:
            read_packet(s)
            s.sendall(packet(3, b"\xfecaching_sha2_password\0" + self.nonce + b"\0"))
            read_packet(s)
            s.sendall(packet(5, b"\1\4"))
            self.heard.append(read_packet(s)[1])
            right = self.heard[-1] == self.password
            s.sendall(packet(7, OK if right else b"\xff\x15\x04#28000Access denied"))
            if right:
                read_packet(s)  # until the client leaves


def encrypted(t, pem, password, nonce):
    """As clients without TLS send a password to who has given them this key."""
    path = t.path("key-%d.pem" % t.number())
    with open(path, "wb") as f:
        f.write(pem)
    covered = bytes(a ^ b for a, b in zip(password.encode() + b"\0", nonce * 9))
    return subprocess.run(["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", path, "-pkeyopt",
                           "rsa_padding_mode:oaep"], input=covered, stdout=subprocess.PIPE,
                          check=True, timeout=50).stdout


@test("What was encrypted for one server is not decrypted for the owner of another", needs="mysql.so")
def _(t):
    word = "the password of alice"
    hers, his = (t.keep(AsksForPassword(t, word)) for _ in range(2))
    his.nonce = b"\x01" * 20
    path = write_map(t, row("alice", hers), row("mallory", his))
    rum, here = front(t, path, "--upstream-tls", "require", "--health-check", "off", "-t", "mysql80")

    def log_in(user, cipher_for):
        """What rum says to a cipher in the place of the password."""
        with Client(here) as c:
            c.greet()
            c.send(response(user, b"x" * 32, plugin="caching_sha2_password"))
            nonce = c.read()[-21:-1]
            c.send(b"y" * 32)
            same(c.read(), b"\1\4")
            c.send(b"\2")
            c.send(cipher_for(c.read()[1:], nonce))
            return c.read()
    recorded = []

    def make(pem, nonce):
        recorded.append(encrypted(t, pem, word, nonce))
        return recorded[0]
    same(log_in("alice", make), OK)
    same(hers.heard, [word.encode() + b"\0"], "it was meant for her server")
    for nonce in (b"\x01" * 20, hers.nonce):
        his.nonce = nonce
        same(ServerError(log_in("mallory", lambda pem, nonce: recorded[0])).code, 1045)
    net.until(lambda: len(his.heard) == 2, 20, "the server of mallory was answered")
    same(his.heard, [mysql_wire.RUMS_OWN_PROOF] * 2)
    same(log_in("alice", lambda pem, nonce: recorded[0]), OK, "to her server it is what it was")


@test("Passwords of sha2 plugins from TLS clients go encrypted to a server without TLS", needs=SHA2,
      seconds=120)
def _(t):
    mysql = t.run.newer["mysql-sid"]
    server = mysql.own(t)
    tap = t.keep(Tap(server.address))
    path = write_map(t, *[row(user, tap.address) for user in (*USERS, "empty")])
    rum, here, ca = front_tls(t, path, "-t", "mysql80")
    logins = 0
    for user in USERS:
        word = newer_servers.password(user)
        forget(server)
        same(by_pymysql(here, user, word, ca), server.port, user)
        forget(server)
        same(by_pymysql(here, user, "wrong", ca), -1045, user)
        has(by_program(mysql, here, user, word, "--ssl-mode=REQUIRED"), str(server.port), user)
        forget(server)
        has(by_program(mysql, here, user, "wrong", "--ssl-mode=REQUIRED"), "1045", user)
        logins += 4
        check(word.encode() not in tap.seen, "the password on the wire: %r" % bytes(tap.seen))
    same(rum.metric("rum_mysql_translated_passwords_total"), logins)
    # After one login the server knows the user, and asks the next for a proof only. (Not that of
    # PyMySQL 1.0, which takes the NUL behind the nonce for a part of it.)
    forget(server)
    for _ in range(2):
        has(by_program(mysql, here, "sha2", newer_servers.password("sha2"), "--ssl-mode=REQUIRED"),
            str(server.port))
    same(rum.metric("rum_mysql_translated_passwords_total"), logins + 1, "the fast path")
    same(by_pymysql(here, "empty", "", ca), server.port)
    same(by_pymysql(here, "empty", "word", ca), -1045)


@test("Passwords of sha2 plugins from clients without TLS go by TLS to the server", needs=SHA2,
      seconds=120)
def _(t):
    mysql = t.run.newer["mysql-sid"]
    server = mysql.own(t, tls=True)
    path = write_map(t, *[row(user, server) for user in (*USERS, "empty", "tlsonly")])
    rum, here = front(t, path, "-t", "mysql80", "--upstream-tls", "require")
    for user in (*USERS, "tlsonly"):
        word = newer_servers.password(user)
        forget(server)
        same(by_pymysql(here, user, word), server.port, user)
        forget(server)
        same(by_pymysql(here, user, "wrong"), -1045, user)
        has(by_program(mysql, here, user, word, "--ssl-mode=DISABLED", "--get-server-public-key"),
            str(server.port), user)
        forget(server)
        has(by_program(mysql, here, user, "wrong", "--ssl-mode=DISABLED",
                       "--get-server-public-key"), "1045", user)
    same(rum.metric("rum_mysql_translated_passwords_total"), 12)
    same(by_pymysql(here, "empty", ""), server.port)
    same(by_pymysql(here, "empty", "word"), -1045)


@test("Where both links are alike the passwords of sha2 plugins are only passed on", needs=SHA2,
      seconds=120)
def _(t):
    mysql = t.run.newer["mysql-sid"]
    for tls in (False, True):
        server = mysql.own(t, tls=tls)
        path = write_map(t, *[row(user, server) for user in USERS])
        rum, here, ca = front_tls(t, path, "-t", "mysql80")
        for user in USERS:
            forget(server)
            same(by_pymysql(here, user, newer_servers.password(user), ca if tls else None),
                 server.port, user)
            same(by_pymysql(here, user, "wrong", ca if tls else None), -1045, user)
        same(rum.metric("rum_mysql_translated_passwords_total"), 0)


@test("A unix socket to the server is safe enough for passwords", needs=SHA2, seconds=120)
def _(t):
    mysql = t.run.newer["mysql-sid"]
    server = mysql.own(t)
    path = write_map(t, *[row(user, "sock:" + server.socket) for user in USERS])
    rum, here, ca = front_tls(t, path, "-t", "mysql80")
    for user in USERS:
        for authority in (ca, None):
            forget(server)
            same(by_pymysql(here, user, newer_servers.password(user), authority), server.port, user)
    # sha2 without TLS by rum's key, sha256 with TLS by the server's.
    same(rum.metric("rum_mysql_translated_passwords_total"), 2)


@test("A client that has the server's key in a file is told why it cannot log in", needs=SHA2)
def _(t):
    mysql = t.run.newer["mysql-sid"]
    server = mysql.own(t, tls=True)
    rum, here = front(t, write_map(t, row("sha256", server)), "-t", "mysql80", "--upstream-tls",
                      "require")
    key = server.admin("SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'")[0][1]
    if not key:
        key = open(os.path.join(server.data, "public_key.pem")).read()
    with open(t.path("key.pem"), "w") as f:
        f.write(key)
    said = by_program(mysql, here, "sha256", newer_servers.password("sha256"), "--ssl-mode=DISABLED",
                      "--server-public-key-path=" + t.path("key.pem"))
    has(said, "1105")
    same(rum.session()["reason"], "unsupported")


@test("The mariadb program logs in with sha2 plugins through rum, TLS or not",
      needs=(*SHA2, "mariadb-trixie"), seconds=120)
def _(t):
    mysql, mariadb = t.run.newer["mysql-sid"], t.run.newer["mariadb-trixie"]
    for tls in (False, True):
        server = mysql.own(t, tls=tls)
        path = write_map(t, *[row(user, server) for user in USERS])
        more = ["--upstream-tls", "require"] if tls else []
        rum, here, ca = front_tls(t, path, "-t", "mysql80", *more)
        for user in USERS:
            for options in (["--skip-ssl"], ["--ssl-ca=" + ca]):
                forget(server)
                has(by_program(mariadb, here, user, newer_servers.password(user), *options),
                    str(server.port), "%s %s %s" % (user, tls, options))


@test("An account of MySQL with two factors logs in through rum", needs=SHA2, seconds=120)
def _(t):
    mysql = t.run.newer["mysql-sid"]
    server = mysql.own(t)
    # The second factor is the system user at the other end of the socket, which is rum's.
    server.admin("INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'")
    server.admin("SET GLOBAL authentication_policy='*,,'")
    server.admin("CREATE USER two IDENTIFIED WITH caching_sha2_password BY 'First-8vB3n'"
                 " AND IDENTIFIED WITH auth_socket AS '%s'" % getpass.getuser())
    path = write_map(t, row("two", "sock:" + server.socket))

    def log_in(here, first):
        return run(mysql.tree.client("-h127.0.0.1", "-P%d" % port_of(here), "-utwo", "--password1=" + first,
                                "--password2=second", "--enable-cleartext-plugin", "-Ne",
                                "SELECT @@port"))

    rum, here, _ = front_tls(t, path, "-t", "mysql80")
    has(log_in(here, "First-8vB3n"), str(server.port))
    has(log_in(here, "wrong"), "1045")
    rum, here, _ = front_tls(t, path, "-t", "8.0.26")
    check(str(server.port) not in log_in(here, "First-8vB3n"), "the greeting must offer factors")


# What MariaDB's own client makes of a certificate that rum made itself, from an address that it
# does not take for its own machine.

FAR = "127.0.0.2"


def far_front(t, path, *arguments):
    """A rum with a certificate of its own at FAR."""
    here = "tcp:%s:%d" % (FAR, net.free_port())
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, "--tls", "on", "--state-dir",
                t.path("state-%d" % t.number()), *arguments)
    return rum, here


def secret_of(server, user):
    plugin, text = server.admin("SELECT plugin, authentication_string FROM mysql.user WHERE user='%s'"
                                % user)[0]
    if plugin in ("ed25519", "parsec"):
        return "%s:%s" % (plugin, text)
    return stored_hash(newer_servers.password(user))


@test("MariaDB 11.8's client accepts rum's own certificate when the map has the secret",
      needs=("mysql.so", "mariadb-trixie", "mariadb-bookworm"), seconds=120)
def _(t):
    client = t.run.newer["mariadb-trixie"]
    for kind in ("mariadb-trixie", "mariadb-bookworm"):
        for server in (t.run.newer[kind].plain, t.run.newer[kind].tls):
            users = ("native", "curve") + (("parsec",) if kind == "mariadb-trixie" else ())
            path = write_map(t, *[row(u, server, secret_of(server, u)) for u in users])
            for mode in ("relay", "rewrite"):
                rum, here = far_front(t, path, "--mysql-auth", mode)
                for user in users:
                    word = newer_servers.password(user)
                    same(by_program(client, here, user, word, host=FAR), str(server.port),
                         "%s by %s at %s" % (user, mode, kind))
                    has(by_program(client, here, user, "wrong", host=FAR), "1045")
                same(rum.metric("rum_mysql_vouched_logins_total"), len(users))


@test("Without the right secret MariaDB 11.8's client trusts no certificate of rum's own",
      needs=("mysql.so", "mariadb-trixie"))
def _(t):
    kind = t.run.newer["mariadb-trixie"]
    server = kind.plain
    for secret in ("", stored_hash("another")):
        path = write_map(t, row("native", server, secret), row("empty", server))
        rum, here = far_front(t, path, "--mysql-auth", "relay")
        word = newer_servers.password("native")
        has(by_program(kind, here, "native", word, host=FAR), "NOT trusted")
        same(by_program(kind, here, "native", word, "--disable-ssl-verify-server-cert", host=FAR),
             str(server.port))
    has(run(kind.tree.client("-h" + FAR, "-P%d" % port_of(here), "-uempty", "-Ne", "SELECT @@port")),
        str(server.port), "without a password it only warns")


@test("The login of every account of MariaDB 11.8 works with a signed certificate",
      needs=("mysql.so", "mariadb-trixie"))
def _(t):
    kind = t.run.newer["mariadb-trixie"]
    for server in (kind.plain, kind.tls):
        users = ["native", "curve", "parsec"] + (["tlsonly"] if server is kind.tls else [])
        rum, here, ca = front_tls(t, write_map(t, *[row(user, server) for user in users]))
        for user in users:
            same(by_program(kind, here, user, newer_servers.password(user), "--ssl-ca=" + ca),
                 str(server.port), user)


@test("Servers are told who the client is when --mysql-client-attrs asks for it",
      needs=("mysql.so", "mysql-sid"), seconds=120)
def _(t):
    mysql = t.run.newer["mysql-sid"]
    server = mysql.own(t, options=["--performance-schema=1"])
    server.admin("GRANT SELECT ON performance_schema.* TO sha2@'%'")
    path = write_map(t, row("sha2", server))

    def told(*arguments):
        import pymysql
        rum, here = front(t, path, "-t", "mysql80", *arguments)
        connection = pymysql.connect(host="127.0.0.1", port=port_of(here), user="sha2",
                                     password=newer_servers.password("sha2"), program_name="tester")
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT attr_name, attr_value FROM"
                           " performance_schema.session_connect_attrs"
                           " WHERE processlist_id = connection_id()")
            mine = connection._sock.getsockname()
            return {name: value for name, value in cursor.fetchall()}, mine

    attributes, mine = told("--mysql-client-attrs", "on")
    same({name: attributes.get(name) for name in
          ("_client_ip", "_client_port", "_client_user", "program_name")},
         {"_client_ip": "127.0.0.1", "_client_port": str(mine[1]), "_client_user": "sha2",
          "program_name": "tester"})
    attributes, _ = told()
    same(attributes.get("program_name"), "tester")
    check("_client_ip" not in attributes, attributes)

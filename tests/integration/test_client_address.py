"""Who the client is: PROXY headers from other proxies and to servers, a chain of two rums, and the
account that a real server sees."""

import signal

from mysql_setup import front, port_of, row, tcp, write_map
from support import mariadb, net, peers
from support.certificates import Authority
from support.harness import check, same, test


def pass_on(t, server, *arguments, **more):
    here = tcp()
    return t.rum("-s", here, "-d", getattr(server, "address", server), *arguments, **more), here


def name_of(s):
    return "%s:%d" % s.getsockname()


class Lines(peers.Server):
    """Keeps the first line that each client sends, and sends back the rest."""

    def __init__(self):
        self.lines = []
        super().__init__()

    def handle(self, connection):
        line = b""
        while not line.endswith(b"\r\n"):
            line += net.read_exact(connection, 1)
        self.lines.append(line.decode())
        while data := connection.recv(65536):
            connection.sendall(data)


@test("The client's address goes through a chain of two rums, by either version of the header")
def chain(t):
    for version in ("v1", "v2"):
        server = t.keep(Lines())
        inner, inner_address = pass_on(t, server, "--proxy-from", "127.0.0.1", "--send-proxy", "v1")
        outer, outer_address = pass_on(t, inner_address, "--send-proxy", version)
        with net.connect(outer_address, source="127.0.0.5") as client:
            client.sendall(b"hello")
            same(net.read_exact(client, 5), b"hello")
            client_name = name_of(client)
            same(server.lines, ["PROXY TCP4 127.0.0.5 127.0.0.1 %s %d\r\n"
                                % (client_name.split(":")[1], port_of(outer_address))])
        seen = inner.session()
        same(seen["client"], client_name)
        check(seen["via"].startswith("127.0.0.1:"), "the real peer is told: %s" % seen)
        seen = outer.session()
        same(seen["client"], client_name)
        check("via" not in seen, "nobody told another address: %s" % seen)


@test("A header comes before TLS on a tls: listener, and a chain with TLS between two rums works")
def chain_with_tls(t):
    server = t.keep(peers.Echo())
    certificate, key = Authority(t.folder, "authority").sign("inner", "DNS:localhost,IP:127.0.0.1")
    inner_address = "tls:127.0.0.1:%d" % net.free_port()
    inner = t.rum("-s", inner_address, "-d", server.address, "--proxy-from", "127.0.0.1",
                  "--tls-cert", certificate, "--tls-key", key)
    _, outer_address = pass_on(t, inner_address, "--send-proxy", "v2")
    with net.connect(outer_address, source="127.0.0.6") as client:
        client.sendall(b"hello")
        same(net.read_exact(client, 5), b"hello")
        name = name_of(client)
    same(inner.session()["client"], name)


@test("HUP begins and ends both directions of the PROXY protocol")
def reload(t):
    server = t.keep(Lines())
    config = t.path("rum.conf")

    def write(text):
        with open(config, "w") as f:
            f.write(text)
    write("")
    rum, here = pass_on(t, server, "--config", config, "--health-check", "off")
    with net.connect(here) as client:
        client.sendall(b"plain\r\n")
        net.until(lambda: server.lines == ["plain\r\n"], 10, "the line comes")
    write("proxy-from = 127.0.0.0/8\nsend-proxy = v1\n")
    rum.signal(signal.SIGHUP)
    rum.wait_log("applied: proxy-from, send-proxy")
    with net.connect(here) as client:
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 3 4\r\n")
        net.until(lambda: server.lines[1:] == ["PROXY TCP4 192.0.2.1 192.0.2.2 3 4\r\n"], 10,
                  lambda: "the header comes: %s" % server.lines)
    write("")
    rum.signal(signal.SIGHUP)
    rum.wait_log("applied: proxy-from, send-proxy", times=2)
    with net.connect(here) as client:
        client.sendall(b"plain again\r\n")
        net.until(lambda: server.lines[2:] == ["plain again\r\n"], 10, "the line comes")


def user_at(address, user, source):
    import pymysql
    connection = pymysql.connect(host="127.0.0.1", port=port_of(address), user=user,
                                 password=mariadb.password(user), bind_address=source,
                                 connect_timeout=20, read_timeout=20)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT USER()")
        return cursor.fetchall()[0][0]


@test("MariaDB sees the address of the client that a PROXY header tells, of both versions",
      needs=("mysql.so", "mariadb"))
def mariadb_sees_the_client(t):
    server = t.run.servers.own(t, ["--proxy-protocol-networks=127.0.0.0/8", "--skip-name-resolve"])
    path = write_map(t, row(t, "alice", server.address))
    for version in ("v1", "v2"):
        rum, here = front(t, path, "--send-proxy", version, "--health-check", "1s")
        same(user_at(here, "alice", "127.0.0.5"), "alice@127.0.0.5")
        # rum's own questions are understood too.
        net.until(lambda: rum.stats()["health_checks"]["up"] == 1, 20, lambda: rum.stats()["health_checks"])
        # A chain: the first rum knows no protocol, the second one tells the server.
        middle, middle_address = front(t, path, "--send-proxy", version, "--proxy-from", "127.0.0.1")
        _, outer = pass_on(t, middle_address, "--send-proxy", version)
        same(user_at(outer, "alice", "127.0.0.7"), "alice@127.0.0.7")
        check(middle.session()["client"].startswith("127.0.0.7:"), middle.session())
    same(user_at("tcp:127.0.0.1:%d" % server.port, "alice", "127.0.0.5"), "alice@127.0.0.5")


@test("A MySQL client without the header that it must send is refused, and none of it is believed",
      needs=("mysql.so",))
def no_header(t):
    path = write_map(t, row(t, "alice", tcp()))
    rum, here = front(t, path, "--proxy-from", "127.0.0.9", "--login-timeout", "500ms")
    with net.connect(here, source="127.0.0.9") as client:
        same(net.ended(client, 30), "closed")
    same(rum.session()["reason"], "client_protocol")
    same(rum.session()["detail"], "no PROXY header received")
    with net.connect(here, source="127.0.0.9") as client:
        client.sendall(b"\x01\x00\x00\x01\x0e" * 4)
        same(net.ended(client, 30), "closed")
    same(rum.session(1)["detail"], "there is no PROXY header")
    with net.connect(here) as client:
        client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 3 4\r\n")
        net.read_all(client)
    check(rum.session(2)["client"].startswith("127.0.0.1:"), rum.session(2))
    same(rum.session(2)["reason"], "client_protocol")

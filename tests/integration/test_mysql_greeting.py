"""The greeting that follows the servers, the probes behind it, and --explain, with real servers."""

import os
import struct
import subprocess

from mysql_setup import front, port_of, row, write_map
from support import mariadb, net, newer_servers, peers
from support.harness import check, has, same, test
from support.mysql_wire import (COMPRESS, CONNECT_WITH_DB, DEPRECATE_EOF, SSL, USUAL, Client,
                                FakeServer, ServerError, native_token, response)

BOTH = ("mysql.so", "mariadb")
OLD_AND_NEW = ("mysql.so", "mariadb", "mariadb-trixie")


def greeting_of(address):
    with Client(address) as c:
        return c.greet()


def version_of(address):
    return greeting_of(address).version


def version_at(server):
    """As the server itself greets."""
    return version_of(server.address)


def learned(rum, number):
    """Waits until so many servers are known."""
    net.until(lambda: rum.stats()["module"]["details"]["servers"] >= number, 20,
              lambda: "%d servers are known: %s" % (number, rum.stats()["module"]["details"]))


@test("The greeting has the lowest version of the servers in use, and is kept for the next start",
      needs=OLD_AND_NEW)
def _(t):
    old, new = t.run.servers.a, t.run.newer["mariadb-trixie"].plain
    check(version_at(old) != version_at(new), "the servers differ")
    path = write_map(t, ("a", "", old.address), ("b", "", new.address))
    arguments = ["--mysql-greeting", "learn", "--state-dir", t.path("state")]
    rum, here = front(t, path, *arguments)
    learned(rum, 2)
    same(version_of(here), version_at(old))
    details = rum.stats()["module"]["details"]
    same((details["greeting"], details["mixed"], sum(details["versions"].values())),
         ("learned", False, 2))
    rum.finish()
    # Both are kept, though the map has only the new one now and nobody is asked.
    write_map(t, ("b", "", new.address))
    rum = t.rum("-s", here, "-P", "mysql.so", "-M", path, *arguments, "--health-check", "off")
    same(version_of(here), version_at(old))
    rum.wait_log("as saved before the start")


@test("With one server the greeting is that server's, before the first client comes", needs=BOTH)
def _(t):
    server = t.run.servers.a
    rum, here = front(t, write_map(t, row(t, "alice", "A")), "--health-check", "60s",
                      "-d", server.address)
    same(version_of(here), version_at(server))
    health, = rum.stats()["destinations"]
    same((health["address"], health["state"]), (server.address, "up"))
    same(health["notes"]["version"], version_at(server))
    same(rum.metric('rum_destinations{state="up"}'), 1)


@test("A fixed greeting stays as it is told, whatever the servers are", needs=BOTH)
def _(t):
    rum, here = front(t, write_map(t, row(t, "alice", "A")), "-t", "mysql80", "--health-check",
                      "60s")
    net.until(lambda: rum.stats()["health_checks"]["up"] == 1, 20, "the server was asked")
    same(version_of(here), "8.0.40")
    same(rum.stats()["module"]["details"]["greeting"], "fixed")


@test("Probes do not count as broken logins, and no client waits for a server that is dead",
      needs=BOTH)
def _(t):
    server = t.run.servers.own(t, ["--max-connect-errors=5"], bind="127.0.0.1")
    dead = t.keep(peers.NeverAccepts())
    path = write_map(t, row(t, "alice", server.address), ("gone", "", dead.address))
    rum, here = front(t, path, "--health-check", "50ms", "--connect-timeout", "500ms",
                      preload=t.run.build.preload, env={"RUM_TEST_SOURCE": "127.0.0.3"})
    net.until(lambda: rum.stats()["health_checks"]["made"] > 30, 30, "many probes")
    same(server.status("Aborted_connects_preauth"), 0)
    rum.wait_log(" serves ")  # not before the dead one has been tried
    rum.baseline = rum.descriptors()
    with Client(here) as c:
        c.login("alice", mariadb.ACCOUNTS["alice"][0])
        same(c.query("SELECT SUBSTRING_INDEX(USER(), '@', -1)"), ["127.0.0.3"])
    down = rum.stats()["destinations"][0]
    same((down["address"], down["state"], down["reason"]),
         (dead.address, "down", "connect_timeout"))
    rum.wait_log("server %s is down" % dead.address)
    same(rum.log().count(" is down: "), 1, "logged once")


@test("A server that goes down is logged, and so is one that comes up again", needs="mysql.so")
def _(t):
    address = "tcp:127.0.0.1:%d" % net.free_port()
    rum, here = front(t, write_map(t, ("a", "", address)), "--health-check", "50ms")
    rum.wait_log("server %s is down: connect_refused" % address)
    server = FakeServer("pw", address)
    rum.wait_log("server %s is up" % address)
    server.close()
    rum.wait_log("server %s is down" % address, times=2)


@test("A server that lacks what was promised is told to that client, and the greeting is lowered",
      needs="mysql.so")
def _(t):
    poor = t.keep(FakeServer("pw", capabilities=0x80FFF7FF))  # without DEPRECATE_EOF
    rum, here = front(t, write_map(t, ("a", "", poor.address)), "--mysql-greeting", "learn", "-t",
                      "mysql80", "--health-check", "off")
    with Client(here) as c:
        try:
            c.login("a", "pw", capabilities=USUAL | DEPRECATE_EOF)
            check(False, "it logged in")
        except ServerError as e:
            same(e.code, 1105)
            has(str(e), "DEPRECATE_EOF")
        check(c.greeting.capabilities & DEPRECATE_EOF, "it is promised at first")
    with Client(here) as c:
        c.login("a", "pw")
        check(not c.greeting.capabilities & DEPRECATE_EOF, "it is not promised any more")
    rum.wait_log("clients are greeted with version")


@test("MySQL and MariaDB behind one rum are warned of; the default servers say which it is",
      needs=OLD_AND_NEW + ("mysql-sid",))
def _(t):
    mysql, maria = t.run.newer["mysql-sid"].plain, t.run.servers.a
    path = write_map(t, ("a", "", maria.address), ("b", "", maria.address))
    rum, here = front(t, path, "-d", mysql.address, "--mysql-greeting", "learn")
    learned(rum, 2)
    same(version_of(here), version_at(mysql))
    rum.wait_log("run one rum for each family")
    check(rum.stats()["module"]["details"]["mixed"], "mixed")


def explain(t, *arguments):
    """(exit code, {word: [rest of the line]}, all) of rum --explain."""
    done = subprocess.run([t.run.build.rum, *arguments, "-P", "mysql.so"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          env=dict(os.environ, RUM_MODULE_DIR=t.run.build.modules))
    told = {}
    for line in done.stdout.splitlines():
        word, _, rest = line.strip().partition(" ")
        told.setdefault(word, []).append(rest.strip())
    for secret in mariadb.SECRETS:
        check(secret not in done.stdout, "a secret is told")
    return done.returncode, told, done.stdout


@test("--explain tells the record, the rules, the way, and what the servers say", needs=BOTH)
def _(t):
    server = t.run.servers.a
    dead = "tcp:127.0.0.1:%d" % net.free_port()
    rules, here = b"\x80allow=10.0.0.0/8 max=3", b"\x80allow=unix"
    path = write_map(t, row(t, "alice", "A"), row(t, "bob", "A", rest=rules),
                     row(t, "carol", "A", rest=here), ("dead", "", dead),
                     ("both", "", dead + "," + server.address), ("bad", "", "tcp:x"),
                     row(t, "gone", "A", False))
    code, told, text = explain(t, "-M", path, "--explain", "alice")
    same(code, 0, text)
    has(told["map"][0], server.address)
    has(told["map"][0], "with a stored secret")
    same(told["server"], [server.address])
    same((told["state"], told["plugin"]), (["up"], ["mysql_native_password"]), text)
    has(told["version"][0], version_at(server))

    for address, code in (("10.1.2.3", 0), ("192.0.2.1", 1)):
        got, told, text = explain(t, "-M", path, "--explain", "bob@" + address)
        same(got, code, text)
        has(told["rules"][0], "REFUSED: address" if code else "allowed from 10.1.2.3")
    for user, code in (("carol", 0), ("bob", 1)):
        got, told, text = explain(t, "-M", path, "--explain", user + "@unix",
                                  "-s", "tcp:127.0.0.1:1", "--allow", "tcp:127.0.0.1:1=10.0.0.0/8")
        same((got, told["from"]), (code, ["unix"]), text)
        has(told["rules"][0], "REFUSED: address" if code else "allowed from unix")
    # Lists of one listener; another one may accept the client.
    one, two = "tcp:127.0.0.1:1", "tcp:127.0.0.1:2"
    lists = ["-s", one, "-s", two, "--deny", one + "=192.0.2.0/24"]
    for more, code in (([], 0), (["--allow", two + "=10.0.0.0/8"], 1)):
        got, told, text = explain(t, "-M", path, *lists, *more, "--explain", "alice@192.0.2.1")
        same((got, told[one]), (code, ["REFUSED: in --deny"]), text)
        same(told.get(two), ["REFUSED: not in --allow"] if more else None, text)
    code, told, text = explain(t, "-M", path, "--explain", "dead")
    same(code, 1, text)
    has(told["state"][0], "DOWN: connect_refused")
    code, told, text = explain(t, "-M", path, "--explain", "both")
    same((code, told["server"], len(told["state"])), (0, [dead, server.address], 2), text)
    for user, more, word in (("bad", [], "malformed"), ("nobody", [], "no default destination"),
                             ("nobody", ["-d", server.address, "--mysql-unknown-user", "deny"],
                              "does not know the user")):
        code, told, text = explain(t, "-M", path, *more, "--explain", user)
        same(code, 1, text)
        has(told["way"][0], word)
    code, told, text = explain(t, "-M", path, "-d", server.address, "--explain", "nobody")
    same((code, told["server"]), (0, [server.address]), text)


@test("What only MariaDB has is offered when all servers have it: bulk execution, metadata",
      needs=BOTH + ("mysql-sid",))
def _(t):
    from support import clients
    bulk, alice, word = "bulk 100, format json, again 20", "alice", mariadb.password("alice")

    def use(port):
        return clients.libmariadb_client(t, port, alice, word, "--mariadb").text
    for mode in ("relay", "rewrite"):
        rum, here = front(t, write_map(t, row(t, alice, "A"), row(t, "bob", "B")), "--mysql-auth",
                          mode, "--health-check", "60s", "-d", t.run.servers.a.address)
        net.until(lambda: rum.stats()["health_checks"]["up"] == 2, 20, "both were asked")
        has(use(port_of(here)), bulk)
    # Before anything is learned, and with a greeting that is fixed, it is not.
    rum, here = front(t, write_map(t, row(t, alice, "A")), "-t", "mariadb106")
    has(use(port_of(here)), "Bulk operation")
    # Nor with a server of MySQL among them.
    mysql = t.run.newer["mysql-sid"].plain
    rum, here = front(t, write_map(t, row(t, alice, "A"), ("m", "", mysql.address)),
                      "--health-check", "60s")
    net.until(lambda: rum.stats()["health_checks"]["up"] == 2, 20, "both were asked")
    has(use(port_of(here)), "Bulk operation")


@test("What only MySQL has is offered when all servers have it: query attributes",
      needs=BOTH + ("mysql-sid",), seconds=90)
def _(t):
    server = t.run.newer["mysql-sid"].own(t)
    server.admin("INSTALL COMPONENT 'file://component_query_attributes'")
    query_attributes, asks = 1 << 27, b"SELECT mysql_query_attribute_string('colour')"
    # One attribute in one set, which is no NULL and has types: a string with its name.
    attribute = b"\x03\x01\x01\x00\x01\xfe\x00\x06colour\x05green"

    def use(address):
        """What comes of it where it is offered; where it is not, the flag of the client is nothing."""
        with Client(address) as c:
            c.login("empty", "", capabilities=USUAL | query_attributes)
            if c.greeting.capabilities & query_attributes:
                c.command(attribute + asks)
                return c.result()
            return c.query("SELECT 'not offered'")
    same(use(server.address), ["green"])
    path = write_map(t, ("empty", "", server.address))
    mariadb_too = t.run.servers.a.address
    for more, wanted in ((["-d", server.address], "green"),
                         (["-d", server.address, "-t", "mysql80"], "not offered"),
                         (["-d", mariadb_too], "not offered")):
        rum, here = front(t, path, "--health-check", "60s", *more)
        wells = 2 if mariadb_too in more else 1
        net.until(lambda: rum.stats()["health_checks"]["up"] == wells, 20, "all were asked")
        same(use(here), [wanted], " ".join(more))


@test("A client that was promised what a server lacks is refused, and the next one is not promised it",
      needs="mysql.so")
def _(t):
    new, old = (t.keep(FakeServer("pw", capabilities=0x81FFF7FE, further=further))
                for further in (0x1D, 0x05))
    rum, here = front(t, write_map(t, ("new", "", new.address), ("old", "", old.address)))

    def log_in(user, further):
        """As a client of MariaDB: LONG_PASSWORD clear, its further capabilities in the filler.
        What it was offered."""
        with Client(here) as c:
            offered = c.greet().further
            packet = bytearray(response(user, native_token("pw", c.greeting.nonce), USUAL & ~1))
            packet[28:32] = struct.pack("<I", further)
            c.send(bytes(packet))
            c.finish_login("pw")
            return offered

    def heard(server, number=-1):
        low, = struct.unpack_from("<I", server.responses[number])
        return 0 if low & 1 else struct.unpack_from("<I", server.responses[number], 28)[0]
    same(log_in("new", 0x1D), 0, "nothing is known yet")
    same(heard(new), 0, "what was not offered is not passed on")
    same(log_in("new", 0x1D), 0x1D, "as the only server that is known")
    same(heard(new), 0x1D)
    for wanted in (0x1D, 0):  # some clients go by the greeting, whatever they say
        if wanted == 0:
            rum, here = front(t, write_map(t, ("new", "", new.address), ("old", "", old.address)))
            log_in("new", 0)
        try:
            log_in("old", wanted)
            check(False, "it would misread the server")
        except ServerError as e:
            has(e.text, "EXTENDED_METADATA, CACHE_METADATA")
        same(log_in("old", 0x05), 0x05, "lowered")
        # rum's goodbye of the refused login may be heard after it.
        has([heard(old, number) for number in range(len(old.responses))], 0x05)


def php(t, port, user, word, *queries):
    """The first column of what each query tells PHP that names no character set: in hexadecimal."""
    from support import clients
    script = """
        mysqli_report(MYSQLI_REPORT_OFF);
        [, $port, $user, $word] = $argv;
        $db = new mysqli('127.0.0.1', $user, $word, '', (int)$port);
        echo $db->character_set_name(), "\n";
        foreach (array_slice($argv, 4) as $query) {
            $result = $db->query($query);
            echo $result ? bin2hex($result->fetch_row()[0]) : 'error ' . $db->errno, "\n";
        }"""
    return clients.run(t, ["php", "-r", script, "--", str(port), user, word, *queries]).split()


PROBED = ("--health-check", "60s")
WORDS = ("SELECT @@character_set_client", "SELECT @@collation_connection", "SELECT _utf8mb4'gr\u00fcn'",
         "SELECT 'gr\u00fcn' = version FROM (SELECT CONCAT(VERSION(), '\u00fc') AS version) AS t")


@test("PHP that names no character set has the server's, as it has directly",
      needs=BOTH + ("mysql-sid",), seconds=120)
def _(t):
    latin1 = t.run.servers.own(t, ["--character-set-server=latin1"], bind="127.0.0.1")
    mysql = t.run.newer["mysql-sid"].plain
    for server, user, word in ((latin1, "alice", mariadb.ACCOUNTS["alice"][0]),
                               (mysql, "empty", "")):
        direct = php(t, server.port, user, word, *WORDS)
        rum, here = front(t, write_map(t, (user, "", server.address)), *PROBED)
        learned(rum, 1)
        same(php(t, port_of(here), user, word, *WORDS), direct)
        rum, here = front(t, write_map(t, (user, "", server.address)), "-t", "mysql80", *PROBED)
        learned(rum, 1)
        same(php(t, port_of(here), user, word, *WORDS), direct, "with a version that is told")


@test("A driver that allows only caching_sha2_password logs in, with one switch",
      needs=("mysql.so", "mysql-sid"), seconds=120)
def _(t):
    from support import clients
    from support.certificates import Authority
    kind = t.run.newer["mysql-sid"]
    word = newer_servers.password("sha2")
    authority = Authority(t.folder, "greeting")
    certificate, key = authority.sign("greeting-front", "DNS:localhost,IP:127.0.0.1")
    for server in (kind.plain, kind.tls):
        rum, here = front(t, write_map(t, ("sha2", "", server.address)), "--tls", "on", "--tls-cert",
                          certificate, "--tls-key", key, *PROBED)
        learned(rum, 1)
        with Client(here) as c:
            same(c.greet().plugin, "caching_sha2_password")
        same(clients.restricted_node_login(t, port_of(here), "sha2", word, authority.certificate),
             str(server.port))
        same(rum.metric("rum_mysql_switches_total"), 1)
    # Where rum judges the proof itself it is the one that it can judge.
    rum, here = front(t, write_map(t, ("sha2", "", kind.plain.address)), "--mysql-auth", "rewrite",
                      *PROBED)
    learned(rum, 1)
    with Client(here) as c:
        same(c.greet().plugin, "mysql_native_password")


@test("A server that greets as an old one with few flags is refused alone, and loses no database",
      needs=BOTH)
def _(t):
    server = t.run.servers.a
    poor = t.keep(FakeServer("pw", capabilities=0x8208))
    none = t.keep(FakeServer("pw", capabilities=0x81FFF7FF & ~CONNECT_WITH_DB))
    path = write_map(t, row(t, "alice", "A"), ("poor", "", poor.address), ("none", "", none.address))
    rum, here = front(t, path, *PROBED)
    learned(rum, 3)
    same(version_of(here), version_at(server))
    with Client(here) as c:
        usual = 0xFFFFF & ~(SSL | COMPRESS)
        same(c.greet().capabilities & usual, greeting_of(server.address).capabilities & usual)
    with Client(here) as c:
        c.login("alice", mariadb.ACCOUNTS["alice"][0], database=mariadb.DATABASE)
        same(c.query("SELECT DATABASE()"), [mariadb.DATABASE])
    with Client(here) as c:
        try:
            c.login("poor", "pw")
            check(False, "it logged in")
        except ServerError as e:
            same(e.code, 1105)
    rum.wait_log("--mysql-version")
    with Client(here) as c:
        c.login("none", "pw", database="shop")
    same([command for command in none.commands if command[:1] == b"\x02"], [b"\x02shop"])
    same(rum.stats()["module"]["details"]["unsupported"], 2)

"""After the login: commands that a proxy could break, and much data, beside many other sessions."""


from mysql_setup import front, port_of, row, usual_map, write_map
from support import clients, net
from support.harness import check, full, has, same, test
from support.mariadb import DATABASE, password
from support.mysql_wire import (DEPRECATE_EOF, LOCAL_FILES, USUAL, Client, ServerError,
                                native_token)
from test_mysql_map import load
from test_relay import background

BOTH = ("mysql.so", "mariadb")
MODES = ("relay", "rewrite")


def pymysql_connect(here, user, **more):
    import pymysql
    return pymysql.connect(host="127.0.0.1", port=port_of(here), user=user, password=password(user),
                           database=DATABASE, **more)


@test("COM_CHANGE_USER works by relay with libmariadb", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t), "--mysql-auth", "relay")
    answer = clients.libmariadb_client(t, port_of(here), "alice", password("alice"), "other",
                                       password("other"))
    check(answer.ok, repr(answer))
    has(answer.output, "changed other")
    answer = clients.libmariadb_client(t, port_of(here), "alice", password("alice"), "other", "wrong")
    has(answer.output, "error 1045")


@test("COM_CHANGE_USER works by relay when it is written by hand", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t), "--mysql-auth", "relay")
    with Client(here) as c:
        c.login("alice", password("alice"))
        body = (b"\x11other\0" + b"\x14" + native_token(password("other"), c.greeting.nonce)
                + b"rumtest\0" + b"\x2d\0" + b"mysql_native_password\0")
        c.command(body)
        c.finish_login(password("other"))
        same(c.query("SELECT SUBSTRING_INDEX(USER(), '@', 1)"), ["other"])
        same(c.query("SELECT DATABASE()"), ["rumtest"])


@test("COM_RESET_CONNECTION, COM_PING, COM_STATISTICS and COM_INIT_DB pass", needs=BOTH)
def _(t):
    for mode in MODES:
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with Client(here) as c:
            c.login("alice", password("alice"))
            c.query("SET @mine = 5")
            c.command(b"\x1f")
            same(c.read()[0], 0, "reset")
            same(c.query("SELECT IFNULL(@mine, 'gone')"), ["gone"])
            c.command(b"\x0e")
            same(c.read()[0], 0, "ping")
            c.command(b"\x09")
            has(c.read(), b"Uptime")
            c.command(b"\x02rumtest")
            same(c.read()[0], 0, "init db")
            same(c.query("SELECT text FROM word WHERE id = 3"), ["three"])


@test("Prepared statements with parameters, cursors and long data pass", needs=BOTH)
def _(t):
    for mode in MODES:
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        for client in (clients.libmariadb_client, clients.php_client, clients.node_client):
            answer = client(t, port_of(here), "alice", password("alice"))
            check(answer.ok and answer.word == "two", "%s: %r" % (mode, answer))


@test("Several statements in one query give several results", needs=BOTH)
def _(t):
    import pymysql
    for mode in MODES:
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with pymysql_connect(here, "alice",
                             client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as db:
            with db.cursor() as cursor:
                cursor.execute("SELECT 1; SELECT 2; DO 0; SELECT 3")
                found = [cursor.fetchall()]
                while cursor.nextset():
                    found.append(cursor.fetchall())
        same(found, [((1,),), ((2,),), (), ((3,),)], mode)


@test("LOAD DATA LOCAL sends the client's file to the right server", needs=BOTH)
def _(t):
    path = t.path("words.csv")
    with open(path, "w") as f:
        for n in range(20000):
            f.write("%d,word number %d\n" % (n, n))
    for mode in MODES:
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with pymysql_connect(here, "bob", local_infile=True, autocommit=True) as db, \
                db.cursor() as cursor:
            table = "load_" + mode
            cursor.execute("CREATE TABLE %s (id INT PRIMARY KEY, text VARCHAR(50))" % table)
            cursor.execute("LOAD DATA LOCAL INFILE '%s' INTO TABLE %s FIELDS TERMINATED BY ','"
                           % (path, table))
            same(cursor.rowcount, 20000)
            cursor.execute("SELECT COUNT(*), MAX(id), @@port FROM " + table)
            same(cursor.fetchone(), (20000, 19999, t.run.servers.b.port))
            cursor.execute("DROP TABLE " + table)


@test("LOCAL_FILES and other flags of the client reach the server", needs=BOTH)
def _(t):
    _, here = front(t, usual_map(t))
    with Client(here) as c:
        c.login("alice", password("alice"), capabilities=USUAL | LOCAL_FILES, database="rumtest")
        c.command(b"\x03LOAD DATA LOCAL INFILE 'anything' INTO TABLE word")
        answer = c.read()
        same(answer, b"\xfbanything", "the server asks for the file")
        c.send(b"")
        c.read()
    with Client(here) as c:
        c.login("alice", password("alice"), capabilities=USUAL | DEPRECATE_EOF)
        c.command(b"\x03SELECT 1")
        kinds = [c.read()[:1] for _ in range(4)]
        same(kinds[2:], [b"\x01", b"\xfe"], "no EOF packet between columns and rows")


@test("Packets of more than 16 MB go through whole in both directions", needs=BOTH, seconds=90)
def _(t):
    for mode in MODES:
        _, here = front(t, usual_map(t), "--mysql-auth", mode)
        with pymysql_connect(here, "alice", max_allowed_packet=64 << 20) as db, \
                db.cursor() as cursor:
            text = "x" * (17 << 20)
            cursor.execute("SELECT LENGTH('%s'), MD5('%s')" % (text[:8 << 20], text[8 << 20:]))
            import hashlib
            same(cursor.fetchone(), (8 << 20, hashlib.md5(text[8 << 20:].encode()).hexdigest()))
            cursor.execute("SET SESSION net_read_timeout=60")
            cursor.execute("SELECT REPEAT('abcdefgh', %d)" % (20 << 17))
            value = cursor.fetchone()[0]
            same(len(value), 20 << 20)
            check(value == "abcdefgh" * (20 << 17), "the same text")


@test("A large result is the same byte for byte while 200 sessions idle and 1,000 logins go on", needs=BOTH, seconds=300)
def _(t):
    import hashlib
    a, b = t.run.servers.a, t.run.servers.b
    rum, here = front(t, write_map(t, row(t, "alice", "A"), row(t, "shared", "B")))
    rows, size = (1024 if full() else 256), 1 << 20
    idle = []
    for _ in range(200):
        c = Client(here, 120)
        c.login("shared", password("shared"))
        idle.append(c)
    before = rum.resident()
    logins = load(t, here, 1000, 32)

    def digest(address):
        """Of the whole stream of the result as it comes over the wire."""
        sha, seen = hashlib.sha256(), 0
        with Client(address, 120) as c:
            c.login("alice", password("alice"), database="rumtest")
            c.command(b"\x03SELECT seq, REPEAT(CHAR(65 + seq %% 26), %d) FROM seq_1_to_%d"
                      % (size - 8, rows))
            ends = 0
            while ends < 2:
                head = net.read_exact(c.socket, 4)
                length = head[0] | head[1] << 8 | head[2] << 16
                payload = net.read_exact(c.socket, length)
                check(payload[0] != 0xFF, "an error: %r" % payload[:200])
                ends += payload[0] == 0xFE and length < 9
                sha.update(head + payload)
                seen += 4 + length
            same(c.query("SELECT 7"), ["7"], "the session goes on")
        return seen, sha.hexdigest()

    through = digest(here)
    direct = digest(a.address)
    same(through, direct, "the stream of the result")
    check(through[0] > rows * (size - 100), "as large as meant: %d" % through[0])
    outcome = logins()
    same((outcome["ok"], outcome["failed"]), (1000, 0), str(outcome))
    same(set(outcome["values"]), {str(b.port)})
    for number, c in enumerate(idle):
        same(c.query("SELECT %d" % number), [str(number)], "idle session")
        c.quit()
    grown = rum.resident() - before
    t.say("%d bytes, memory grew by %d KiB" % (through[0], grown >> 10))
    check(grown < (32 << 20 if not t.run.build.sanitizer else 600 << 20), "grew by %d" % grown)


@test("Bulk in both directions with slow readers beside quick queries", needs=BOTH, seconds=60)
def _(t):
    _, here = front(t, usual_map(t), "-w", "1")
    with Client(here, 60) as slow, Client(here) as quick:
        slow.login("alice", password("alice"))
        quick.login("alice", password("alice"))
        slow.command(b"\x03SELECT REPEAT('z', 30000000)")
        # It is not read: the server and rum are held up, and the other session must not be.
        for n in range(200):
            same(quick.query("SELECT %d" % n), [str(n)])
        slow.read(), slow.read(), slow.read()
        payloads = 0
        while payloads < 30000000:
            payloads += len(slow.read())
        same(payloads > 30000000, True)


@test("KILL of a session ends it through the proxy", needs=BOTH)
def _(t):
    rum, here = front(t, usual_map(t))
    with Client(here) as c, Client(here) as killer:
        c.login("alice", password("alice"))
        killer.login("alice", password("alice"))
        number = c.query("SELECT CONNECTION_ID()")[0]
        killer.query("KILL " + number)
        try:
            c.query("SELECT SLEEP(1)")
            check(False, "alive")
        except (ServerError, EOFError, ConnectionResetError):
            pass
    rum.wait_sessions(2)


@test("1,000 sessions at once are logged in, asked, and let go", needs=BOTH, seconds=120)
def _(t):
    rum, here = front(t, write_map(t, row(t, "shared", "B")))
    sessions = []
    for n in range(1000):
        c = Client(here, 60)
        c.login("shared", password("shared"))
        sessions.append(c)
    same(rum.stats()["sessions"]["relaying"], 1000)
    for n, c in enumerate(sessions):
        c.command(b"\x03SELECT %d" % n)
    for n, c in enumerate(sessions):
        same(c.result(), [str(n)])
    for c in sessions:
        c.quit()
    rum.wait_sessions(1000, 20)
    rum.back_to_baseline()


@test("TERM lets queries that run come to their end, and tells new clients nothing good", needs=BOTH)
def _(t):
    import signal
    rum, here = front(t, usual_map(t), "--drain-timeout", "60s")
    server = t.run.servers.a
    with Client(here) as c, Client(server.address) as other:
        other.login("alice", password("alice"))
        same(other.query("SELECT GET_LOCK('drain', 9)"), ["1"])
        c.login("alice", password("alice"))
        join = background(c.query, "SELECT GET_LOCK('drain', 60)")
        net.until(lambda: "User lock" in str(server.admin("SHOW PROCESSLIST")), 5, "it runs")
        rum.signal(signal.SIGTERM)
        net.until(lambda: rum.get("/ready")[0] == 503, 5, "rum drains")
        same(other.query("SELECT RELEASE_LOCK('drain')"), ["1"])
        same(join(), ["1"])
        same(c.query("SELECT 'still here'"), ["still here"])
        c.quit()
    same(rum.wait_exit(10), 0, "exit code")


@test("A replica follows its source through rum", needs=BOTH, seconds=90)
def _(t):
    source = t.run.servers.own(t, ["--log-bin=bin", "--server-id=1"])
    replica = t.run.servers.own(t, ["--server-id=2"])
    source.admin("GRANT REPLICATION SLAVE ON *.* TO alice@'%'")
    for mode in ("relay", "rewrite"):
        _, here = front(t, write_map(t, row(t, "alice", source.address)), "--mysql-auth", mode)
        name, position = source.admin("SHOW MASTER STATUS")[0][:2]
        replica.admin("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='alice',"
                      " MASTER_PASSWORD='%s', MASTER_LOG_FILE='%s', MASTER_LOG_POS=%d"
                      % (port_of(here), password("alice"), name, position))
        replica.admin("START SLAVE")
        source.admin("CREATE TABLE rumtest.%s AS SELECT REPEAT('x', 9000000) AS text" % mode)

        def followed():
            return replica.admin("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME ="
                                 " '%s'" % mode) == ((1,),)
        net.until(followed, 30 * t.scale, lambda: replica.admin("SHOW SLAVE STATUS"))
        same(replica.admin("SELECT LENGTH(text) FROM rumtest.%s" % mode), ((9000000,),))
        replica.admin("STOP SLAVE")
        replica.admin("RESET SLAVE ALL")
        # A source that has nothing to send does not notice that its replica has gone.
        for thread, in source.admin("SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND ="
                                    " 'Binlog Dump'"):
            source.admin("KILL %d" % thread)

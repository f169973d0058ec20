"""What PostgreSQL does on a connection for long, or with much: backups, replication, COPY, LISTEN and
dumps, by TLS on both links. RUM_TEST_FULL=1 copies 1 GiB, listens in silence for ten minutes and
takes all releases.
"""

import hashlib
import os
import signal
import subprocess

from mysql_setup import port_of, tcp
from support import clients, net, postgresql
from support.harness import check, end_with_parent, full, has, same, test
from support.postgresql_clients import Login, psql_environment

OLDEST, NEWEST = postgresql.KINDS[0], postgresql.KINDS[-1]
REPLICATES = {"wal_level": "logical", "max_replication_slots": "8", "wal_sender_timeout": "10s"}


def front(t, kind, server, *arguments):
    """(rum, port): TLS with the servers' own certificate."""
    here = tcp()
    certificate, key = kind.certificate
    rum = t.rum("-s", here, "-P", "pgsql.so", "-d", server.address, "--tls", "on", "--tls-cert",
                certificate, "--tls-key", key, *arguments)
    return rum, port_of(here)


def environment(t, kind, port, user):
    return psql_environment(t, Login(port, user, postgresql.password(user),
                                     kind.authority.certificate))


def tool(t, kind, port, user, name, *arguments, seconds=120, **more):
    """What a program of the release says, through rum; its failure is the test's."""
    if "input" not in more:
        more["stdin"] = subprocess.DEVNULL
    done = subprocess.run([kind.tree.program(name), *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=environment(t, kind, port, user),
                          timeout=seconds * t.scale, preexec_fn=end_with_parent, cwd=t.folder, **more)
    said = done.stdout.decode("utf-8", "replace")
    check(done.returncode == 0, "%s %s: %s" % (name, arguments, said))
    return said


def psql(t, kind, port, user, *statements, **more):
    words = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
    for statement in statements:
        words += ["-c", statement]
    return tool(t, kind, port, user, "psql", *words, **more).strip()


def backs_up(t, kind):
    server = kind.own(t, tls=True)
    rum, port = front(t, kind, server)
    server.admin("CREATE TABLE many AS SELECT generate_series(1, 10000) AS id")
    backup = t.path("backup")
    tool(t, kind, port, "copier", "pg_basebackup", "-D", backup, "-X", "stream", "--checkpoint=fast",
         "--no-sync")
    # The manifest has a checksum of each file.
    has(tool(t, kind, port, "copier", "pg_verifybackup", backup), "successfully verified")
    sessions = rum.wait_sessions(2)
    same([r["user"] for r in sessions], ["copier"] * len(sessions), "the backup and its stream of WAL")
    check(max(r["sent"] for r in sessions) > 20 << 20, "the bytes of the backup: %s" % sessions)


def receives_wal(t, kind):
    server = kind.own(t, tls=True, settings=REPLICATES)
    _, port = front(t, kind, server)
    place = t.path("wal")
    os.mkdir(place)
    tool(t, kind, port, "copier", "pg_receivewal", "-D", place, "--create-slot", "--slot=wal")
    with open(t.path("receivewal.log"), "w") as log:
        receiver = subprocess.Popen([kind.tree.program("pg_receivewal"), "-D", place, "--slot=wal",
                                     "--no-loop", "--no-sync", "--status-interval=1", "--verbose"],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    env=environment(t, kind, port, "copier"),
                                    preexec_fn=end_with_parent)
    try:
        net.until(lambda: server.admin("SELECT count(*) FROM pg_stat_replication WHERE state ="
                                       " 'streaming'") == [("1",)], 30 * t.scale, "it streams")
        names = []
        for _ in range(3):
            names += [server.admin("CREATE TABLE IF NOT EXISTS wal (text TEXT)",
                                   "INSERT INTO wal SELECT repeat('w', 1000)"
                                   " FROM generate_series(1, 100)",
                                   "SELECT pg_walfile_name(pg_switch_wal())")[-1][0]]
        net.until(lambda: set(names) <= set(os.listdir(place)), 30 * t.scale,
                  lambda: "%s are here: %s" % (names, os.listdir(place)))
        for name in names:
            with open(os.path.join(place, name), "rb") as f:
                received = f.read()
            with open(os.path.join(server.data, "pg_wal", name), "rb") as f:
                same(hashlib.sha256(received).digest(), hashlib.sha256(f.read()).digest(), name)
        # The stream is idle, but for what both ends say to each other, and goes on.
        same(server.sessions("copier"), 1)
        same(receiver.poll(), None)
    finally:
        receiver.send_signal(signal.SIGINT)
        try:
            receiver.wait(20)
        except subprocess.TimeoutExpired:
            receiver.kill()
            receiver.wait()


def replicates(t, kind):
    publisher = kind.own(t, tls=True, settings=REPLICATES)
    subscriber = kind.own(t, tls=True, settings=REPLICATES)
    _, port = front(t, kind, publisher)
    publisher.admin("CREATE TABLE copied (id INT PRIMARY KEY, text TEXT)",
                    "GRANT SELECT ON copied TO copier",
                    "INSERT INTO copied SELECT n, repeat('x', 100) FROM generate_series(1, 1000) n",
                    "CREATE PUBLICATION all_of_it FOR TABLE copied")
    subscriber.admin("CREATE TABLE copied (id INT PRIMARY KEY, text TEXT)")
    subscriber.admin("CREATE SUBSCRIPTION through_rum CONNECTION 'host=127.0.0.1 port=%d user=copier"
                     " password=%s dbname=%s sslmode=verify-full sslrootcert=%s' PUBLICATION all_of_it"
                     % (port, postgresql.password("copier"), postgresql.DATABASE,
                        kind.authority.certificate))

    def arrives(count):
        net.until(lambda: subscriber.admin("SELECT count(*) FROM copied") == [(str(count),)],
                  40 * t.scale, lambda: "%d rows; the subscriber says:\n%s" % (
                      count, subscriber.error_log()[-3000:]))
    arrives(1000)  # the first copy, on a connection of its own
    publisher.admin("INSERT INTO copied SELECT n, 'later' FROM generate_series(1001, 1500) n",
                    "DELETE FROM copied WHERE id <= 100")
    arrives(1400)
    check(publisher.sessions("copier") >= 1, "the stream stays")
    subscriber.admin("DROP SUBSCRIPTION through_rum")


def copies(t, kind):
    server = kind.own(t, tls=True)
    rum, port = front(t, kind, server)
    rows = (1 << 20) if full() else 32 << 10
    size = 1024 * rows  # a line, with its end, is 1 KiB
    server.admin("CREATE UNLOGGED TABLE big (text TEXT)", "GRANT ALL ON big TO alice")
    env = environment(t, kind, port, "alice")
    command = [kind.tree.program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c"]

    def lines():
        for at in range(0, rows, 1024):
            yield b"".join(b"%08d" % n + b"c" * 1015 + b"\n" for n in range(at, at + 1024))
    sent = hashlib.sha256()
    copy_in = subprocess.Popen(command + ["COPY big FROM STDIN"], stdin=subprocess.PIPE, env=env,
                               preexec_fn=end_with_parent)
    for part in lines():
        sent.update(part)
        copy_in.stdin.write(part)
    copy_in.stdin.close()
    same(copy_in.wait(300), 0, "COPY FROM STDIN")
    received, count = hashlib.sha256(), 0
    copy_out = subprocess.Popen(command + ["COPY big TO STDOUT"], stdin=subprocess.DEVNULL, env=env,
                                stdout=subprocess.PIPE, preexec_fn=end_with_parent)
    while True:
        part = copy_out.stdout.read(1 << 20)
        if not part:
            break
        received.update(part)
        count += len(part)
    same(copy_out.wait(300), 0, "COPY TO STDOUT")
    same(count, size, "bytes")
    same(received.hexdigest(), sent.hexdigest(), "what was copied")
    total = rum.wait_sessions(2)
    check(sum(r["received"] for r in total) > size, "bytes in: %s" % total)
    check(sum(r["sent"] for r in total) > size, "bytes out: %s" % total)


def notifies(t, kind):
    server = kind.tls
    _, port = front(t, kind, server)
    script = t.path("listen.py")
    with open(script, "w") as f:
        f.write("""
import select, sys, time, psycopg2
def connect():
    db = psycopg2.connect("")
    db.autocommit = True
    return db
def wait(db):
    while not db.notifies:
        assert select.select([db], [], [], 20)[0], "nothing has come"
        db.poll()
    return db.notifies.pop(0)
one, two = connect(), connect()
one.cursor().execute("LISTEN news")
two.cursor().execute("NOTIFY news, 'of another'")
said = wait(one)
assert (said.payload, said.pid) == ("of another", two.get_backend_pid()), said
one.cursor().execute("NOTIFY news, 'own'")
said = wait(one)
assert (said.payload, said.pid) == ("own", one.get_backend_pid()), said
# Nobody says anything for as long; then what was sent meanwhile is still told.
time.sleep(float(sys.argv[1]))
two.cursor().execute("NOTIFY news, 'late'")
assert wait(one).payload == "late"
for db in (one, two):
    cursor = db.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    assert cursor.fetchone()[0] == db.get_backend_pid()
print("all as meant")
""")
    silence = 600 if full() else 1
    has(clients.run(t, ["/usr/bin/python3", script, str(silence)], seconds=silence + 60,
                    env=environment(t, kind, port, "alice")), "all as meant")


def dumps(t, kind):
    server = kind.own(t, tls=True)
    _, port = front(t, kind, server)
    server.admin("CREATE TABLE dumped AS SELECT n, md5(n::text) AS text FROM generate_series(1, 50000) n",
                 "CREATE INDEX ON dumped (text)", "SELECT lo_from_bytea(0, decode(repeat('00ff', 50000),"
                 " 'hex'))")
    digest = "SELECT count(*), md5(string_agg(text, '' ORDER BY n)) FROM dumped"
    before = server.admin(digest)
    # Two connections at a time, and a snapshot that both share.
    tool(t, kind, port, "boss", "pg_dump", "-Fd", "-j", "2", "-f", t.path("dump"),
         postgresql.DATABASE)
    psql(t, kind, port, "boss", "CREATE DATABASE again")
    tool(t, kind, port, "boss", "pg_restore", "-d", "again", "-j", "2", "--no-owner", t.path("dump"))
    same(server.admin(digest, database="again"), before)
    same(server.admin("SELECT count(*) FROM pg_largeobject_metadata", database="again"), [("1",)])
    has(tool(t, kind, port, "boss", "pg_dumpall", "--globals-only"), "CREATE ROLE alice")


for kind_name in postgresql.KINDS if full() else (OLDEST, NEWEST):
    for title, function in (
            ("pg_basebackup of %s works through rum", backs_up),
            ("pg_receivewal of %s works through rum", receives_wal),
            ("%s replicates logically through rum", replicates),
            ("COPY of %s works through rum in both directions", copies),
            ("LISTEN of %s works through rum, with the server's own pid", notifies),
            ("pg_dump and pg_restore of %s work through rum", dumps)):
        test(title % kind_name, needs=("pgsql.so", kind_name), seconds=900 if full() else 120)(
            lambda t, function=function, kind=kind_name: function(t, t.run.postgresql[kind]))

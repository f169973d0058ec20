"""Clients of PostgreSQL: each logs in, asks for its server's port, one word, and whether the server's
link has TLS, and tells what happened.
"""

import collections
import os
import re

from support import clients, postgresql, server_trees
from support.certificates import openssl
from support.clients import CLIENTS as SCRIPTS
from support.clients import need, node_modules, run
from support.harness import full

# authority: the file with the certificate that signed the server's; the login is by TLS then.
# certificate, key: the client's own.
Login = collections.namedtuple("Login", "port user word authority certificate key host database",
                               defaults=("", "", "", "127.0.0.1", postgresql.DATABASE))

QUESTION = """SELECT concat_ws(' ', 'ok', current_setting('port'),
    (SELECT text FROM word WHERE id = 2),
    (SELECT CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl
     WHERE pid = pg_backend_pid()))"""

# What servers, clients and rum say, by the first that fits; each of them words it in its own way.
KNOWN = (
    ("wrong password", r"password authentication failed"),
    ("no hba entry", r"no pg_hba.conf entry"),
    ("not admitted", r"does not admit user"),
    ("no certificate", r"requires a valid client certificate|client certificates can only"
                       r"|certificate authentication failed"),
    ("binding check", r"channel binding check failed"),
    ("binding negotiation", r"channel binding negotiation error"),
    ("other certificate", r"have different certificates"),
    ("no binding offered", r"channel binding (is )?required, but server"),
    ("PLUS without TLS", r"SCRAM-SHA-256-PLUS.* over a non-SSL"),
    ("not in clear text", r"server requests the password in clear text without TLS"),
    ("no TLS for rum", r"database server has no TLS"),
    ("no TLS", r"server does not support SSL|rejected SSL upgrade|does not support SSL connections"),
    ("no such user", r"role .* does not exist"),
)


class Answer:
    """ok: port, word and link ('tls' or 'plain') of the server are set; else text."""

    def __init__(self, output):
        self.output, self.ok = output, False
        self.port = self.word = self.link = None
        self.text = " ".join(output.split())
        for line in output.splitlines():
            found = re.match(r"ok (\d+) (\S+) (\S+)$", line)
            if found:
                self.ok, self.port = True, int(found[1])
                self.word, self.link = found[2], found[3]

    def outcome(self, link=None):
        """'ok', or what KNOWN calls it; link: of the server, if it must be that one."""
        if self.ok:
            if self.word != "two":
                return "wrong rows: " + self.text
            return "ok" if link in (None, self.link) else "ok by %s" % self.link
        for name, pattern in KNOWN:
            if re.search(pattern, self.text):
                return name
        return self.text[:60] or "nothing said"

    def __repr__(self):
        return "Answer(%r)" % self.output


def psql_environment(t, login, **more):
    """What lets any program of libpq log in."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    env.update(PGHOST=login.host, PGPORT=str(login.port), PGUSER=login.user, PGPASSWORD=login.word,
               PGDATABASE=login.database, PGCONNECT_TIMEOUT="10", HOME=t.folder, LC_ALL="C",
               PGSSLMODE="verify-full" if login.authority else "disable")
    if login.authority:
        env["PGSSLROOTCERT"] = login.authority
    if login.certificate:
        env.update(PGSSLCERT=login.certificate, PGSSLKEY=login.key)
    env.update(more)
    return env


def psql(version, **more):
    """psql of a tree; `more` are variables of libpq."""
    def log_in(t, logins):
        program = server_trees.tree("postgresql-%d" % version).program("psql")
        return [Answer(run(t, [program, "-X", "-q", "-A", "-t", "-c", QUESTION],
                           env=psql_environment(t, login, **more))) for login in logins]
    return log_in


def _many(t, command, logins, env):
    """A program that reads logins from stdin, one a line, and answers with a line each."""
    lines = ["\t".join((login.host, str(login.port), login.user, login.word, login.database,
                        login.authority, login.certificate, login.key)) + "\n" for login in logins]
    done = run(t, command, input="".join(lines).encode(), env=env, seconds=30 + 2 * len(lines))
    answers = [Answer(line) for line in done.splitlines() if line.startswith(("ok ", "error "))]
    # One that ended early has no answer for the rest.
    return (answers + [Answer(done)] * len(logins))[:len(logins)]


def _script(*command, package):
    def log_in(t, logins):
        env = dict(os.environ, HOME=t.folder, PYTHONDONTWRITEBYTECODE="1")
        if command[0] == "node":
            env["NODE_PATH"] = os.path.join(node_modules(), "node_modules")
        return _many(t, [need(command[0], package), os.path.join(SCRIPTS, command[1]), *command[2:]],
                     logins, env)
    return log_in


def _python(name, package):
    return _script("/usr/bin/python3", "pg_python.py", name, package=package)


ALL = {
    "psql 15": psql(15),
    "psql 17": psql(17),
    "psql 18": psql(18),
    "psycopg2": _python("psycopg2", "python3-psycopg2"),
    "psycopg 3": _python("psycopg", "python3-psycopg"),
    "asyncpg": _python("asyncpg", "python3-asyncpg"),
    "psqlodbc": _python("psqlodbc", "python3-pyodbc odbc-postgresql"),
    "pg": _script("node", "pg.js", "pg", package="nodejs"),
    "pg, binding": _script("node", "pg.js", "pg-binding", package="nodejs"),
    "postgres.js": _script("node", "pg.js", "postgres", package="nodejs"),
    "PHP pgsql": _script("php", "pgsql.php", package="php-cli php-pgsql"),
    "DBD::Pg": _script("perl", "dbi_pg.pl", package="perl libdbd-pg-perl"),
}


def _jdbc(t, logins):
    java = need("java", "openjdk-17-jdk-headless")
    need("javac", "openjdk-17-jdk-headless")  # java compiles the file itself, by what is in the JDK
    jar = server_trees.programs("pgjdbc-bookworm", "bookworm", [],
                                ["libpostgresql-jdbc-java", "libscram-java", "libc6"])
    for key in {login.key for login in logins if login.key}:
        openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", key, "-out", key + ".pk8")
    return _many(t, [java, "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp",
                     jar.path("usr/share/java/*"), os.path.join(SCRIPTS, "PgJdbc.java")], logins,
                 dict(os.environ))


GO = ["golang-1.19-go", "golang-1.19-src", "golang-github-lib-pq-dev", "golang-golang-x-crypto-dev",
      "golang-golang-x-text-dev", "libc6"] + ["golang-github-jackc-%s-dev" % name for name in (
          "pgx-v4", "pgconn", "pgproto3-v2", "pgtype", "pgio", "pgpassfile", "pgservicefile",
          "chunkreader-v2")]


def _go(name):
    def log_in(t, logins):
        tree = server_trees.programs("go-bookworm", "bookworm", [], GO)
        built = t.path("pg_go")
        env = dict(os.environ, GO111MODULE="off", CGO_ENABLED="0", GOFLAGS="", GOCACHE=tree.folder +
                   "/cache", GOPATH=tree.path("usr/share/gocode"), GOROOT=tree.path("usr/lib/go-1.19"))
        if not os.path.exists(built):
            said = run(t, [tree.path("usr/lib/go-1.19/bin/go"), "build", "-o", built,
                           os.path.join(SCRIPTS, "pg_go.go")], env=env, seconds=300)
            if not os.path.exists(built):
                raise clients.Missing("pg_go.go does not build: " + said[-2000:])
        return _many(t, [built, name], logins, env)
    return log_in


if full():  # they bring a compiler each
    ALL.update({"pgjdbc": _jdbc, "pgx": _go("pgx"), "lib/pq": _go("pq")})

# Those that bind a login to the server's certificate where they can.
BINDING = {"psql 15", "psql 17", "psql 18", "psycopg2", "psycopg 3", "pg, binding", "PHP pgsql", "DBD::Pg",
           "psqlodbc"}

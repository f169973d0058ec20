"""Real clients: each logs in to a server, queries its port and one word, and reports the result."""

import os
import subprocess

from support import mariadb
from support.build import SUPPORT, program
from support.harness import end_with_parent

CLIENTS = os.path.join(SUPPORT, "clients")


class Missing(AssertionError):
    """A client is not installed. This is a failure: a test that did not run has not passed."""


class Answer:
    """ok: port and word are set; else code and text."""

    def __init__(self, output):
        self.output = output
        self.ok, self.code, self.port, self.word, self.text = False, None, None, None, output
        for line in output.splitlines():
            if line.startswith("ok "):
                _, port, self.word = line.split(" ", 2)
                self.ok, self.port = True, int(port)
            elif line.startswith("error "):
                field = line.split(" ", 2)
                self.code, self.text = int(field[1]), field[2] if len(field) > 2 else ""
            elif line.startswith("ERROR "):  # the mariadb program
                self.code, self.text = int(line.split()[1]), line

    def __repr__(self):
        return "Answer(%r)" % self.output


def need(name, package):
    path = program(name)
    if not path:
        raise Missing("%s is not here (Debian: %s)" % (name, package))
    return path


def run(context, command, seconds=30, **more):
    if "input" not in more:
        more["stdin"] = subprocess.DEVNULL
    done = subprocess.run(command, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds * context.scale,
                          preexec_fn=end_with_parent, cwd=context.folder, **more)
    return done.stdout.decode("utf-8", "replace")


def mariadb_program(context, port, user, word, extra=(), script=None, database=mariadb.DATABASE):
    command = [need("mariadb", "mariadb-client"), "--no-defaults", "--host=127.0.0.1",
               "--protocol=TCP", "--port=%d" % port, "--user=" + user, "--password=" + word,
               "--skip-column-names", "--batch", "--connect-timeout=10", *extra, database, "-e",
               script or "SELECT CONCAT('ok ', @@port, ' ', text) FROM word WHERE id = 2"]
    return Answer(run(context, command))


def pymysql_client(context, port, user, word):
    import pymysql
    try:
        db = pymysql.connect(host="127.0.0.1", port=port, user=user, password=word,
                             database=mariadb.DATABASE, connect_timeout=10)
    except pymysql.MySQLError as e:
        return Answer("error %d %s" % (e.args[0], e.args[1] if len(e.args) > 1 else ""))
    with db, db.cursor() as cursor:
        cursor.execute("SELECT @@port, (SELECT text FROM word WHERE id = %s)", (2,))
        return Answer("ok %s %s" % cursor.fetchone())


# Programs that read one login per line from stdin, and print one line for each.


def login_line(port, user, word, authority="", host="127.0.0.1", database=mariadb.DATABASE):
    """authority: the file with the certificate that signed the server's; the login then uses TLS."""
    return "\t".join((host, str(port), user, word, database, authority)) + "\n"


def _many(context, command, lines, **more):
    done = run(context, command, input="".join(lines).encode(), **more)
    return [Answer(line) for line in done.splitlines() if line.startswith(("ok ", "error "))] + [
        Answer(done)] * len(lines)  # a client that ended early has no answers for the rest


def php_logins(context, lines):
    return _many(context, [need("php", "php-cli php-mysql"), os.path.join(CLIENTS, "mysqli.php")],
                 lines)


def perl_logins(driver):
    def logins(context, lines):
        return _many(context, [need("perl", "perl libdbi-perl"), os.path.join(CLIENTS, "dbi.pl"),
                               driver], lines)
    return logins


def node_logins(context, lines):
    env = dict(os.environ, NODE_PATH=os.path.join(node_modules(), "node_modules"))
    return _many(context, [need("node", "nodejs"), os.path.join(CLIENTS, "mysql2.js")], lines,
                 env=env)


def restricted_node_login(context, port, user, word, authority):
    """What npm's mariadb reads of @@port, or its error, when it allows only caching_sha2_password."""
    script = """
        require('mariadb').createConnection({host: '127.0.0.1', port: +process.argv[1],
            user: process.argv[2], password: process.argv[3], restrictedAuth: 'caching_sha2_password',
            ssl: {ca: require('fs').readFileSync(process.argv[4])}})
        .then(c => c.query('SELECT @@port AS port').then(r => { console.log(String(r[0].port)); c.end(); }))
        .catch(e => console.log(e.message));"""
    env = dict(os.environ, NODE_PATH=os.path.join(node_modules(), "node_modules"))
    return run(context, [need("node", "nodejs"), "-e", script, str(port), user, word, authority],
               env=env).strip()


def libmariadb_logins(context, lines):
    return _many(context, [_libmariadb(context)], lines)


def _one(logins):
    return lambda context, port, user, word: logins(context, [login_line(port, user, word)])[0]


# One set, so that npm installs all or none: what it is not told of it removes.
NODE_PACKAGES = {"mysql2": "3", "mariadb": "3", "pg": "8.23.1", "postgres": "3.4.9"}


def node_modules():
    """The folder with NODE_PACKAGES, installed there when one is missing; one process at a time."""
    import fcntl
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    place = os.path.join(cache, "rum-tests")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all(os.path.exists(os.path.join(place, "node_modules", name, "package.json"))
                   for name in NODE_PACKAGES):
            done = subprocess.run([need("npm", "npm"), "install", "--no-audit", "--no-fund",
                                   "--prefix", place,
                                   *["%s@%s" % item for item in NODE_PACKAGES.items()]],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=120)
            if done.returncode:
                raise Missing("npm's packages could not be installed: "
                              + done.stdout.decode()[-1000:])
    return place


def _libmariadb(context):
    built = context.run.build.libmariadb_client
    if not built:
        raise Missing("mariadb_config is not here (Debian: libmariadb-dev)")
    return built


def libmariadb_client(context, port, user, word, *other):
    """`other`: a user and password to change to after the login."""
    return Answer(run(context, [_libmariadb(context), *other],
                      input=login_line(port, user, word).encode()))


node_client = _one(node_logins)
php_client = _one(php_logins)

ALL = {
    "the mariadb program": mariadb_program,
    "PyMySQL": pymysql_client,
    "node mysql2": node_client,
    "PHP mysqli": php_client,
    "Perl DBD::mysql": _one(perl_logins("mysql")),
    "Perl DBD::MariaDB": _one(perl_logins("MariaDB")),
    "a C program with libmariadb": libmariadb_client,
}

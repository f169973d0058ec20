"""The cells of the login matrix: each client logs in directly and through rum, by links with TLS and
without. One group of cells is one account of one kind of servers.
"""

import collections
import re

from support import clients, newer_servers, server_trees
from support.clients import Answer, run

LINKS = ("plain", "tls")
# A way is None for a direct login, or the kind of link between rum and the server.
WAYS = [(front, None) for front in LINKS] + [(front, back) for front in LINKS for back in LINKS]

Login = collections.namedtuple("Login", "port user word second authority")


def outcome(answer):
    """'ok', the error's number, or the client's text if it reports no number."""
    if answer.ok:
        return "ok" if answer.word == "two" else "wrong rows: %r" % answer.output
    if answer.code:
        return str(answer.code)
    return re.sub(r"\s+", " ", answer.text.strip())[:40] or "nothing said"


QUERY = "SELECT CONCAT('ok ', @@port, ' ', text) FROM word WHERE id = 2"


def _mariadb(tree_name, plain):
    def log_in(t, logins):
        tree = server_trees.tree(tree_name)
        return [Answer(run(t, tree.client(
            "--host=127.0.0.1", "--protocol=TCP", "--port=%d" % login.port, "--user=" + login.user,
            "--password=" + login.word, "--skip-column-names", "--batch", "--connect-timeout=10",
            *(["--ssl", "--ssl-verify-server-cert", "--ssl-ca=" + login.authority]
              if login.authority else plain), newer_servers.DATABASE, "-e", QUERY)))
                for login in logins]
    return log_in


def _mysql(t, logins):
    tree = server_trees.tree("mysql-sid")
    return [Answer(run(t, tree.client(
        "--host=127.0.0.1", "--protocol=TCP", "--port=%d" % login.port, "--user=" + login.user,
        "--password1=" + login.word, *(["--password2=" + login.second] if login.second else []),
        "--skip-column-names", "--batch", "--connect-timeout=10", "--enable-cleartext-plugin",
        *(["--ssl-mode=VERIFY_CA", "--ssl-ca=" + login.authority] if login.authority
          else ["--ssl-mode=DISABLED", "--get-server-public-key"]),
        newer_servers.DATABASE, "-e", QUERY))) for login in logins]


def _pymysql(t, logins):
    import pymysql
    answers = []
    for login in logins:
        tls = {"ssl": {"ca": login.authority}} if login.authority else {"ssl_disabled": True}
        try:
            db = pymysql.connect(host="127.0.0.1", port=login.port, user=login.user,
                                 password=login.word, database=newer_servers.DATABASE,
                                 connect_timeout=10, read_timeout=20, **tls)
        except pymysql.MySQLError as e:
            answers.append(Answer("error %d %s" % e.args[:2] if len(e.args) > 1 else repr(e)))
            continue
        except Exception as e:  # pymysql also raises others, with and without rum
            answers.append(Answer(type(e).__name__))
            continue
        with db, db.cursor() as cursor:
            cursor.execute("SELECT @@port, (SELECT text FROM word WHERE id = %s)", (2,))
            answers.append(Answer("ok %s %s" % cursor.fetchone()))
    return answers


def _lines(function):
    def log_in(t, logins):
        return function(t, [clients.login_line(login.port, login.user, login.word,
                                               login.authority) for login in logins])[:len(logins)]
    return log_in


CLIENTS = {
    "mysql 9": _mysql,
    "mariadb 10.11": _mariadb("mariadb-bookworm", ["--skip-ssl"]),
    "mariadb 11.8": _mariadb("mariadb-trixie", ["--skip-ssl"]),
    "libmariadb C": _lines(clients.libmariadb_logins),
    "DBD::MariaDB": _lines(clients.perl_logins("MariaDB")),
    "DBD::mysql": _lines(clients.perl_logins("mysql")),
    "PyMySQL": _pymysql,
    "mysql2": _lines(clients.node_logins),
    "mysqli": _lines(clients.php_logins),
}


def log_in_all(t, ports, user, accounts, authority):
    """{(client, way): outcome}. ports: a port for each way; accounts: the account of each cell."""
    word = newer_servers.password(user)
    second = newer_servers.SECOND_PASSWORD if user == "twofactor" else ""
    results = {}
    for client, log_in in CLIENTS.items():
        logins = [Login(ports[way], accounts[client, way], word, second,
                        authority if way[0] == "tls" else "") for way in WAYS]
        for way, answer in zip(WAYS, log_in(t, logins), strict=True):
            results[client, way] = outcome(answer)
    return results


def table(results, expected):
    """Lines of text per client and way; a star where rum is expected to differ from a direct login."""
    lines = ["%-14s %s" % ("client", " ".join("%-13s" % (
        "%s>%s" % way if way[1] else way[0] + ", direct") for way in WAYS))]
    for client in CLIENTS:
        cells = []
        for way in WAYS:
            mark = "*" if expected[client, way] != {results[client, (way[0], None)]} else ""
            cells.append("%-13s" % (results[client, way][:12] + mark))
        lines.append("%-14s %s" % (client, " ".join(cells)))
    return lines

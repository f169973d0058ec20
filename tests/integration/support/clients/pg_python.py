"""pg_python.py CLIENT, of psycopg2, psycopg, asyncpg and psqlodbc: for each line "HOST PORT USER
PASSWORD DATABASE AUTHORITY CERTIFICATE KEY" (with tabs) of stdin it logs in, by TLS if there is an
authority, asks, and prints "ok PORT WORD LINK" or "error CODE TEXT".
"""

import sys

QUESTION = """SELECT concat_ws(' ', current_setting('port'),
    (SELECT text FROM word WHERE id = %s),
    (SELECT CASE WHEN ssl THEN 'tls' ELSE 'plain' END FROM pg_stat_ssl
     WHERE pid = pg_backend_pid()))"""


def libpq_settings(host, port, user, password, database, authority, certificate, key):
    settings = {"host": host, "port": port, "user": user, "password": password, "dbname": database,
                "connect_timeout": 10, "sslmode": "verify-full" if authority else "disable"}
    if authority:
        settings["sslrootcert"] = authority
    if certificate:
        settings.update(sslcert=certificate, sslkey=key)
    return settings


def with_psycopg2(*fields):
    import psycopg2
    db = psycopg2.connect(**libpq_settings(*fields))
    try:
        with db.cursor() as cursor:
            cursor.execute(QUESTION, (2,))
            return cursor.fetchone()[0]
    finally:
        db.close()


def with_psycopg(*fields):
    import psycopg
    with psycopg.connect(**libpq_settings(*fields)) as db:
        return db.execute(QUESTION, (2,)).fetchone()[0]


def with_asyncpg(host, port, user, password, database, authority, certificate, key):
    import asyncio
    import ssl

    import asyncpg

    async def ask():
        context = False
        if authority:
            context = ssl.create_default_context(cafile=authority)
            if certificate:
                context.load_cert_chain(certificate, key)
        db = await asyncpg.connect(host=host, port=int(port), user=user, password=password,
                                   database=database, ssl=context, timeout=10)
        try:
            return await db.fetchval(QUESTION.replace("%s", "$1"), 2)
        finally:
            await db.close()
    return asyncio.run(ask())


def with_psqlodbc(host, port, user, password, database, authority, certificate, key):
    import pyodbc
    settings = {"Driver": "{PostgreSQL Unicode}", "Server": host, "Port": port, "UID": user,
                "PWD": password, "Database": database, "SSLmode": "disable"}
    if authority:
        more = "sslrootcert=%s" % authority
        if certificate:
            more += " sslcert=%s sslkey=%s" % (certificate, key)
        settings.update(SSLmode="verify-full", pqopt="{%s}" % more)
    db = pyodbc.connect(";".join("%s=%s" % item for item in settings.items()), timeout=10)
    try:
        return db.execute(QUESTION.replace("%s", "?"), 2).fetchone()[0]
    finally:
        db.close()


def main():
    log_in = globals()["with_" + sys.argv[1]]
    for line in sys.stdin:
        try:
            print("ok", log_in(*line.rstrip("\n").split("\t")), flush=True)
        except Exception as e:  # each library has its own
            code = getattr(e, "sqlstate", None) or getattr(e, "pgcode", None) or 0
            print("error", code, " ".join(str(e).split()) or repr(e), flush=True)


if __name__ == "__main__":
    main()

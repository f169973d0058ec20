"""Countries of addresses (--geo-db): in the map, in access lists, and while the file changes."""

import os
import signal
import subprocess

from mysql_setup import front, port_of, row, tcp, write_map
from support import net
from support.build import SOURCE
from support.harness import Skipped, check, has, same, test
from support.mariadb import password
from support.rum import environment
from test_limits import refusal

NETWORKS = ("127.0.0.2/32=CZ", "127.0.0.3/32=DE", "192.0.2.0/24=CZ", "2001:db8::/32=SK")


def database(t, *networks, name="countries.mmdb"):
    """A database as MaxMind's own writer makes it. 127.0.0.1 has no country."""
    path = t.path(name)
    done = subprocess.run(["perl", os.path.join(SOURCE, "tests/support/geo_db.pl"), path,
                           *(networks or NETWORKS)],
                          capture_output=True, text=True, timeout=60)
    if "MaxMind/DB/Writer" in done.stderr and "locate" in done.stderr:
        raise Skipped("there is no libmaxmind-db-writer-perl")
    same((done.returncode, done.stderr), (0, ""))
    return path


def needs_countries(t):
    help_text = subprocess.run([t.run.build.rum, "--help"], capture_output=True, text=True,
                               timeout=20).stdout
    if "it has no libmaxminddb" in " ".join(help_text.split()):
        raise Skipped("this build has no libmaxminddb")


def may_log_in(t, here, user, source):
    import pymysql
    try:
        pymysql.connect(host="127.0.0.1", port=port_of(here), user=user, password=password(user),
                        bind_address=source, connect_timeout=15).close()
    except pymysql.err.OperationalError as e:
        same(e.args[0], 1045)
        return False
    return True


@test("Access lists name countries, for all listeners and for one", needs="mysql.so")
def lists(t):
    needs_countries(t)
    geo = database(t)
    second = tcp()
    path = write_map(t, row(t, "alice", tcp()))
    rum, here = front(t, path, "-s", second, "--geo-db", geo, "--deny", "country:DE",
                      "--allow", second + "=country:CZ,127.0.0.9")
    sources = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.9")
    same([refusal(here, s) for s in sources], [0, 0, 1130, 0])
    same([refusal(second, s) for s in sources], [1130, 0, 1130, 0])
    refused = rum.stats()["limits"]["clients_refused"]
    same((refused["deny"], refused["allow"]), (1, 2))
    geo_stats = rum.stats()["geo"]
    same((geo_stats["configured"], geo_stats["loads"], geo_stats["load_failures"]), (True, 1, 0))
    check(geo_stats["ranges"] > 4, "ranges")
    same(rum.metric("rum_geo_loads_total"), 1)


@test("A new country database is used at once, a bad one never, and truncation harms nobody",
      needs="mysql.so")
def replaced(t):
    needs_countries(t)
    geo = database(t)
    path = write_map(t, row(t, "alice", tcp()))
    rum, here = front(t, path, "--geo-db", geo, "--allow", "country:CZ")
    same([refusal(here, s) for s in ("127.0.0.2", "127.0.0.3")], [0, 1130])
    database(t, "127.0.0.3/32=CZ")
    rum.wait_log("the country database is loaded", times=2)
    net.until(lambda: [refusal(here, s) for s in ("127.0.0.2", "127.0.0.3")] == [1130, 0], 10, "new")
    with open(geo, "rb") as f:
        good = f.read()
    for bad in (b"", b"no database", good[:len(good) // 2]):
        with open(geo + ".new", "wb") as f:
            f.write(bad)
        failures = rum.stats()["geo"]["load_failures"]
        os.rename(geo + ".new", geo)
        net.until(lambda: rum.stats()["geo"]["load_failures"] > failures, 10, "refused")
        check(rum.stats()["geo"]["last_error"].startswith(geo + ": "), "names the file")
        same([refusal(here, s) for s in ("127.0.0.2", "127.0.0.3")], [1130, 0])
    database(t, "127.0.0.3/32=CZ")
    rum.wait_log("the country database is loaded", times=3)
    os.truncate(geo, 0)
    same([refusal(here, s) for s in ("127.0.0.2", "127.0.0.3")], [1130, 0])
    os.unlink(geo)
    net.until(lambda: "No such file" in rum.stats()["geo"]["last_error"], 10, "gone")
    same([refusal(here, s) for s in ("127.0.0.2", "127.0.0.3")], [1130, 0])


@test("Rules about countries in the map are obeyed, those of version 6.7 too",
      needs=("mysql.so", "mariadb"))
def rules(t):
    needs_countries(t)
    geo = database(t)
    older = b"\2\2CZSK"
    path = write_map(t, row(t, "alice", "A", rest=b"\x80country=CZ,SK"),
                     row(t, "bob", "B", rest=older),
                     row(t, "shared", "A", rest=b"\x80not-country=DE"))
    rum, here = front(t, path, "--geo-db", geo)
    verdicts = {}
    for user in ("alice", "bob", "shared"):
        verdicts[user] = [may_log_in(t, here, user, source)
                          for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3")]
    same(verdicts, {"alice": [False, True, False], "bob": [False, True, False],
                    "shared": [True, True, False]})
    same(rum.stats()["limits"]["logins_refused"]["address"], 5)
    # Without a database the older rules let everybody in, and the new ones nobody.
    rum, here = front(t, path)
    rum.wait_log("2 users cannot log in because their rules name countries")
    rum.wait_log("the country rules of 1 user are not enforced")
    same([may_log_in(t, here, user, "127.0.0.3") for user in ("alice", "bob", "shared")],
         [False, True, False])


@test("--explain and rumctl explain tell the country; --check and the start need a good database",
      needs="mysql.so")
def explained(t):
    needs_countries(t)
    geo = database(t)
    path = write_map(t, row(t, "alice", tcp(), rest=b"\x80country=CZ"))

    def run(*arguments):
        return subprocess.run([t.run.build.rum, "-P", "mysql.so", "-s", tcp(), "-M", path,
                               "--health-check", "off", "--state-dir", t.path("state"), *arguments],
                              env=environment(t, t.path("report")), capture_output=True, text=True,
                              timeout=60)
    good = run("--geo-db", geo, "--explain", "alice@192.0.2.1").stdout
    has(good, "country    CZ")
    has(good, "allowed only from the countries CZ")
    bad = run("--geo-db", geo, "--explain", "alice@2001:db8::1").stdout
    has(bad, "country    SK")
    has(bad, "REFUSED: address")
    has(run("--geo-db", geo, "--explain", "alice@10.0.0.1").stdout, "country    unknown")
    has(run("--explain", "alice@192.0.2.1").stdout, "REFUSED: rules")
    same(run("--geo-db", geo, "--check").returncode, 0)
    for file, text in ((t.path("none"), "No such file"), (path, "is no country database")):
        done = run("--geo-db", file, "--check")
        same(done.returncode, 1)
        has(done.stderr, text)
        done = run("--geo-db", file)
        same(done.returncode, 1)
        has(done.stderr, text)
    done = run("--check")
    same(done.returncode, 1)
    has(done.stderr, "1 user cannot log in because their rules name countries")


@test("HUP takes another country database, refuses a bad one, and gives it up", needs="mysql.so")
def reloaded(t):
    needs_countries(t)
    first, second = database(t), database(t, "127.0.0.3/32=CZ", name="second.mmdb")
    path = write_map(t, row(t, "alice", tcp()))
    file = t.path("rum.conf")

    def config(text):
        with open(file, "w", encoding="ascii") as f:
            f.write("health-check = off\n" + text)
    config("geo-db = %s\nallow = country:CZ\n" % first)
    # The last reload closes what watches the database.
    rum, here = front(t, path, "--config", file, check_descriptors=False)
    both = ("127.0.0.2", "127.0.0.3")
    same([refusal(here, s) for s in both], [0, 1130])
    config("geo-db = %s\nallow = country:CZ\n" % second)
    rum.signal(signal.SIGHUP)
    rum.wait_log("applied: geo-db")
    net.until(lambda: [refusal(here, s) for s in both] == [1130, 0], 10, "the other one")
    config("geo-db = %s\nallow = country:DE\n" % t.path("none"))
    rum.signal(signal.SIGHUP)
    rum.wait_log("the configuration is not applied, nothing has changed: --geo-db: ")
    same([refusal(here, s) for s in both], [1130, 0])
    config("")
    rum.signal(signal.SIGHUP)
    rum.wait_log("applied: allow, geo-db")
    net.until(lambda: [refusal(here, s) for s in both] == [0, 0], 10, "no list")
    same(rum.stats()["geo"]["configured"], False)

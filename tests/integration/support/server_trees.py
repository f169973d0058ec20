"""Servers of several Debian releases in a cache outside of the checkout: fetched and checked by apt,
unpacked beside each other, run by their own dynamic linker. This needs neither root nor a chroot.

A tree is complete when its stamp is there, which is written last, and intact while it holds the
number of files and bytes that the stamp tells. Run as a program this makes what is missing.
"""

import concurrent.futures
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
STAMP = "stamp.json"
# Part of a tree's folder name: counted up when trees are made in another way than before.
FORMAT = 1
# What nobody reads here: half of the files.
NOT_KEPT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl",
            "usr/share/perl5", "usr/share/info", "usr/lib/*/perl", "usr/lib/*/gconv")

# name -> (suite, packages with what they depend on, packages alone)
TREES = {
    "mariadb-bookworm": ("bookworm", ["mariadb-server-core", "mariadb-client-core"],
                         ["mariadb-server"]),
    "mariadb-trixie": ("trixie", ["mariadb-server-core", "mariadb-client-core"],
                       ["mariadb-server"]),  # for its plugins
    "mysql-sid": ("sid", ["mysql-server-core", "mysql-client-core"], []),
    # Alone: their packages want perl, LLVM and a cluster of their own. The libraries come with them.
    "postgresql-15": ("bookworm", [], ["postgresql-15", "postgresql-client-15"]),
    "postgresql-17": ("trixie", [], ["postgresql-17", "postgresql-client-17"]),
    "postgresql-18": ("sid", [], ["postgresql-18", "postgresql-client-18"]),
}


class Unavailable(RuntimeError):
    """A server could not be had; the text says why."""


def cache_folder():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "rum-tests", "servers")


class Programs:
    """Programs of another release, unpacked in `folder`."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.files = os.path.join(folder, "files")
        # Before Debian 13 some libraries lie outside of usr.
        places = ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*")
        self.libraries = [path for place in places for path in glob.glob(self.path(place))]
        self.linker = _only(self.files, *[place + "/ld-linux*.so.*" for place in places])

    def path(self, name):
        return os.path.join(self.files, name)

    def command(self, program, *arguments):
        """The words that run a program of the tree ('usr/bin/mysql') with the tree's libraries."""
        return [self.linker, "--inhibit-cache", "--library-path",
                ":".join(self.libraries), self.path(program), *arguments]


class Tree(Programs):
    """A server and its clients."""

    def __init__(self, name, folder):
        super().__init__(name, folder)
        self.template = os.path.join(folder, "data")  # a data folder just initialized
        self.share = _only(self.files, "usr/share/*/charsets")[:-len("/charsets")]

    def client(self, *arguments):
        """The words that run the mysql or mariadb program of the tree."""
        if self.name.startswith("mysql"):
            name, plugins = "mysql", self.path("usr/lib/mysql/plugin")
        else:
            name, plugins = "mariadb", self.libraries[0] + "/libmariadb3/plugin"
        return self.command("usr/bin/" + name, "--no-defaults", "--plugin-dir=" + plugins, *arguments)


def _only(folder, *patterns):
    for pattern in patterns:
        for found in sorted(glob.glob(os.path.join(folder, pattern))):
            return found
    raise Unavailable("%s: there is no %s" % (folder, " nor ".join(patterns)))


def tree(name, say=print):
    """The tree; made when it is not there or not whole. One process at a time makes it."""
    place = cache_folder()
    os.makedirs(place, exist_ok=True)
    made_of = (FORMAT, TREES[name]) + _more_of(name)
    recipe = hashlib.sha256(repr(made_of).encode()).hexdigest()
    folder = os.path.join(place, "%s-%s" % (name, recipe[:8]))
    with open(folder + ".lock", "w") as lock:
        _wait_for(lock, name, say)
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            begin = time.monotonic()
            try:
                fill(name, folder, say)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            say("%s: made in %.0f s" % (name, time.monotonic() - begin))
    return _as_tree(name, folder)


def is_postgresql(name):
    return name.startswith("postgresql-")


def _as_tree(name, folder):
    if is_postgresql(name):
        from support.postgresql_tree import PostgreSQLTree
        return PostgreSQLTree(name, folder)
    return Tree(name, folder)


def _more_of(name):
    if is_postgresql(name):
        from support import postgresql_tree
        return (postgresql_tree.recipe(),)
    return ()


def _wait_for(lock, name, say, seconds=900):
    """Somebody else may be making the tree."""
    deadline = time.monotonic() + seconds
    told = False
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() > deadline:
            raise Unavailable("%s: another process has been making it for %d s" % (name, seconds))
        if not told:
            say("%s: waiting for another process that makes it" % name)
            told = True
        time.sleep(0.2)


def _measure(folder):
    files = size = 0
    for top, _, names in os.walk(folder):
        for name in names:
            if name != STAMP:
                files += 1
                size += os.lstat(os.path.join(top, name)).st_size
    return {"files": files, "bytes": size}


def _is_whole(folder):
    try:
        with open(os.path.join(folder, STAMP)) as f:
            return json.load(f) == _measure(folder)
    except (OSError, ValueError):
        return False


def programs(name, suite, packages, alone=(), say=print, libraries=False):
    """The programs of packages that are no server of databases; fetched when they are not there.
    libraries: those of `alone`, too."""
    folder = os.path.join(cache_folder(), name)
    if not os.path.isdir(folder):
        fresh = "%s-%d" % (folder, os.getpid())
        try:
            fetch(name, fresh, suite, list(packages), list(alone), say, libraries)
            os.rename(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return Programs(name, folder)


def sources(name, suite, package, wanted, say=print):
    """A folder with some parts of a source package; fetched when it is not there."""
    folder = os.path.join(cache_folder(), name)
    if not os.path.isdir(folder):
        fresh = "%s-%d" % (folder, os.getpid())
        try:
            _fetch_sources(name, fresh, suite, package, wanted, say)
            os.rename(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _fetch_sources(name, folder, suite, package, wanted, say):
    os.makedirs(folder)
    with _apt(folder, suite, "deb-src") as apt:
        say("%s: asking for the sources of %s" % (name, suite))
        apt("update", "--error-on=any")
        say("%s: fetching the source of %s" % (name, package))
        apt("source", "--download-only", package)
        tarball = _only(os.path.join(folder, "apt", "archives"), "*.orig.tar.*")
        call(name, ["tar", "-xf", tarball, "-C", folder, "--strip-components=1", "--wildcards",
                    *["*/" + part for part in wanted]], 300)


def fetch(name, folder, suite, packages, alone, say, libraries=False):
    """Unpacks packages and what they need, and those alone without, or with their libraries, into
    folder/files."""
    os.makedirs(os.path.join(folder, "files"))
    with _apt(folder, suite) as apt:
        say("%s: asking for the packages of %s" % (name, suite))
        apt("update", "--error-on=any")
        say("%s: fetching %s" % (name, " ".join(packages + alone)))
        if libraries:
            packages = packages + _libraries_of(alone, apt.environment)
        apt("install", "--yes", "--download-only", *packages)
        if alone:
            apt("download", *alone)
        fetched = sorted(glob.glob(os.path.join(folder, "apt", "archives", "*.deb")))
        say("%s: unpacking %d packages, %d MB" % (
            name, len(fetched), sum(os.path.getsize(path) for path in fetched) >> 20))
        for path in fetched:
            call(name, ["dpkg-deb", "-x", path, os.path.join(folder, "files")], 600)


def _libraries_of(packages, environment):
    """What the packages depend on, of libraries; LLVM is for a compiler that the tests do not use."""
    done = subprocess.run(["apt-cache", "depends", *packages], env=environment, check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60)
    words = (line.split() for line in done.stdout.splitlines())
    return sorted({w[1] for w in words if len(w) == 2 and w[0] == "Depends:"
                   and w[1].startswith(("lib", "zlib")) and not w[1].startswith("libllvm")})


def fill(name, folder, say):
    suite, packages, alone = TREES[name]
    fetch(name, folder, suite, packages, alone, say, libraries=is_postgresql(name))
    for pattern in NOT_KEPT:
        for path in glob.glob(os.path.join(folder, "files", pattern)):
            shutil.rmtree(path)
    made = _as_tree(name, folder)
    say("%s: initializing a data folder" % name)
    made.fill() if is_postgresql(name) else initialize(made)
    write_stamp(folder)


def write_stamp(folder):
    """The last act: what is in the folder is whole."""
    measure = _measure(folder)
    part = os.path.join(folder, STAMP + ".part")
    with open(part, "w") as f:
        json.dump(measure, f)
    os.rename(part, os.path.join(folder, STAMP))


def initialize(made):
    if made.name.startswith("mysql"):
        call(made.name, made.command("usr/sbin/mysqld", *server_options(made),
                                     "--initialize-insecure", "--datadir=" + made.template), 300)
        return
    os.makedirs(os.path.join(made.template, "mysql"))
    statements = b"USE mysql;\nSET @auth_root_socket=NULL;\nSET @skip_auth_anonymous=1;\n"
    for name in ("system_tables", "performance_tables", "system_tables_data", "sys_schema"):
        with open(_only(made.share, "*_%s.sql" % name), "rb") as f:
            statements += f.read() + b"\n"
    call(made.name, made.command("usr/sbin/mariadbd", *server_options(made), "--bootstrap",
                                 "--innodb-log-file-size=8M", "--datadir=" + made.template), 300,
         input=statements)


def server_options(made):
    """What a server needs to find its own files, and not to mind who runs it."""
    options = ["--no-defaults", "--basedir=" + made.path("usr"),
               "--lc-messages-dir=" + made.share, "--character-sets-dir=" + made.share + "/charsets",
               "--plugin-dir=" + made.path("usr/lib/mysql/plugin"), "--skip-log-bin"]
    if made.name.startswith("mysql"):
        # The smallest; the data folder is copied for each server.
        options += ["--innodb-redo-log-capacity=8M"]
    if os.getuid() == 0:
        options.append("--user=root")
    return options


def mirror():
    """Where this machine gets its packages of Debian from; RUM_TEST_MIRROR is another place."""
    named = os.environ.get("RUM_TEST_MIRROR")
    if named:
        return named
    try:
        done = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)",
                               "Created-By: Packages"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              timeout=60)
    except FileNotFoundError:
        raise Unavailable("there is no apt here; it fetches the servers for tests") from None
    for line in done.stdout.split():
        if line.rstrip("/").endswith("/debian"):
            return line
    raise Unavailable("apt's sources name no mirror of Debian; set RUM_TEST_MIRROR to one")


@contextlib.contextmanager
def _apt(folder, suite, what="deb"):
    """apt with lists and a cache of its own, of a machine on which nothing is installed."""
    if not os.path.exists(KEYRING):
        raise Unavailable("there is no %s (Debian: debian-archive-keyring)" % KEYRING)
    place = os.path.join(folder, "apt")
    for name in ("lists/partial", "archives/partial"):
        os.makedirs(os.path.join(place, name))
    with open(os.path.join(place, "status"), "w"):
        pass
    with open(os.path.join(place, "sources.list"), "w") as f:
        f.write("%s [signed-by=%s] %s %s main\n" % (what, KEYRING, mirror(), suite))
    # How this machine reaches its mirrors stays; what it installs, and its hooks, do not matter.
    settings = subprocess.run(["apt-config", "dump", "Acquire"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    for name, value in (("Dir::State", place), ("Dir::State::lists", place + "/lists"),
                        ("Dir::State::status", place + "/status"), ("Dir::Cache", place),
                        ("Dir::Cache::archives", place + "/archives"),
                        ("Dir::Etc::main", "/dev/null"), ("Dir::Etc::parts", "/dev/null"),
                        ("Dir::Etc::sourcelist", place + "/sources.list"),
                        ("Dir::Etc::sourceparts", "/dev/null"),
                        ("Dir::Etc::preferencesparts", "/dev/null"), ("APT::Sandbox::User", ""),
                        ("APT::Install-Recommends", "false"), ("Acquire::Languages", "none"),
                        ("Acquire::Retries", "3"), ("Acquire::http::Timeout", "30"),
                        ("Acquire::https::Timeout", "30")):
        settings += '%s "%s";\n' % (name, value)
    with open(os.path.join(place, "apt.conf"), "w") as f:
        f.write(settings)
    environment = dict(os.environ, APT_CONFIG=os.path.join(place, "apt.conf"), LC_ALL="C")

    def run(*arguments):
        call(suite, ["apt-get", "-q", *arguments], 400, env=environment,
             cwd=place + "/archives")

    run.environment = environment
    yield run
    shutil.rmtree(place)


def call(name, command, seconds, **more):
    if "input" not in more:
        more["stdin"] = subprocess.DEVNULL
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds, **more)
    except subprocess.TimeoutExpired:
        raise Unavailable("%s: not within %d s: %s" % (name, seconds, " ".join(command))) from None
    except OSError as e:
        raise Unavailable("%s: %s: %s" % (name, command[0], e.strerror)) from None
    if done.returncode:
        raise Unavailable("%s: %s failed:\n%s" % (
            name, " ".join(command), done.stdout.decode("utf-8", "replace")[-2000:]))


def _make(name):
    try:
        made = tree(name, lambda text: print(text, flush=True))
    except Unavailable as e:
        print("%s could not be had: %s" % (name, e), file=sys.stderr, flush=True)
        return 1
    print("%s: %s" % (name, made.folder), flush=True)
    return 0


def main():
    """Makes what is missing, three at a time, as most of it is waiting for a mirror; the last line of
    each failure says what could not be had."""
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        return max(pool.map(_make, sys.argv[1:] or TREES))


if __name__ == "__main__":
    # Not this file's own names, which the modules that it imports would take for others.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from support import server_trees
    sys.exit(server_trees.main())

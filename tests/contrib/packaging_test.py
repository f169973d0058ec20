"""What packages and the image are made of is what the project has: the same lists of packages,
files that exist, options that rum knows, one version. Run by `make check` in the build folder.
"""

import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("srcdir", ".")
DEBIAN = os.path.join(SOURCE, "contrib", "debian")
TIMEOUT = 60  # seconds

failures = []


def check(good, text):
    if not good:
        failures.append(text)


def same(one, other, what):
    """Two lists without an order."""
    check(set(one) == set(other), "%s: only here %s, only there %s" %
          (what, sorted(set(one) - set(other)), sorted(set(other) - set(one))))


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
        return f.read()


def group(name):
    """The packages of a group of contrib/packages."""
    return re.findall(r"^%s (\S+)" % name, read("contrib", "packages"), re.M)


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT,
                          env=dict(os.environ, RUM_MODULE_DIR=os.path.abspath(".libs")))
    return done.returncode, done.stdout


def version():
    return re.search(r"AC_INIT\(\[rum\], \[([^]]+)\]", read("configure.ac")).group(1)


# The image.

def stages(text):
    """The instructions of each stage, continued lines joined, without comments."""
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [part.splitlines() for part in re.split(r"^FROM ", text, flags=re.M)[1:]]


def apt_packages(stage):
    found = re.search(r"--no-install-recommends (.*?)&&", "\n".join(stage))
    return found.group(1).split() if found else []


def needed_libraries():
    """The packages of what rum and its modules name themselves; None if that cannot be told. What
    these need is theirs to bring."""
    if not all(shutil.which(tool) for tool in ("dpkg", "ldd", "objdump")):
        return None
    names = set()
    for path in ["rum", "rumctl", "rum-map"] + glob.glob(".libs/*.so"):
        direct = set(re.findall(r"NEEDED +(\S+)", run("objdump", "-p", path)[1]))
        for name, library in re.findall(r"(\S+) => (/\S+)", run("ldd", path)[1]):
            if name not in direct:
                continue
            # With or without /usr before it: packages name one of the two.
            path = os.path.realpath(library)
            status, owner = run("dpkg", "-S", "*" + path[4 if path.startswith("/usr/") else 0:])
            if status:
                return None
            names.add(owner.split(":")[0])
    return names


def image():
    build, last = stages(read("contrib", "docker", "Dockerfile"))
    same(apt_packages(build), group("build"), "packages of the image's build, and group build")

    sent = re.findall(r"^!(\S+)", read("contrib", "docker", "Dockerfile.dockerignore"), re.M)
    for line in build + last:
        words = line.split()
        if words[:1] != ["COPY"] or "--from=build" in words:
            continue
        for path in words[1:-1]:
            there = os.path.exists(os.path.join(SOURCE, path))
            check(there, "the image copies %s: not there" % path)
            check(path.split("/")[0] in sent, "Dockerfile.dockerignore keeps %s back" % path)

    configure = read("configure.ac") + read("m4", "rum.m4")
    for switch in re.findall(r"--(?:enable|disable)-([a-z-]+)", " ".join(build)):
        check("[%s]" % switch in configure, "configure has no switch " + switch)
    programs = re.findall(r"/installed/usr/bin/(\S+)", " ".join(last))
    same(programs, ["rum", "rumctl", "rum-map"], "the programs of the image")

    # Packages have the names of one release of Debian.
    release = re.search(r"^debian:(\w+)", last[0]).group(1)
    here = os.path.exists("/etc/os-release") and open("/etc/os-release", encoding="utf-8").read()
    needed = needed_libraries() if here and release in here else None
    if needed:
        missing = needed - set(apt_packages(last)) - {"libc6", "libgcc-s1"}
        # What these pull in themselves, and what a sanitizer or libstdc++ brings.
        missing = {name for name in missing if not re.match(r"lib(asan|ubsan|tsan|lsan|gcc)", name)}
        check(not missing, "the image lacks " + ", ".join(sorted(missing)))

    status, help_text = run("./rum", "--help")
    check(status == 0, "rum --help ends with %d" % status)
    entry = re.search(r"^ENTRYPOINT (.*)", "\n".join(last), re.M).group(1)
    for option in re.findall(r'"(--[\w-]+)"', entry):
        check(re.search(r"^  (-\w,)?%s " % option, help_text, re.M), "rum has no " + option)


# The packages for Debian.

def installed_names():
    """What `make install` installs, as it is named in .am files."""
    names = {"rum", "rumctl", "rum-map", "rum-check", "module.h", "rum.pc", "mysql.so",
             "passthrough.so", "pgsql.so", "sni.so", "completions", "_rum", "rum", "rum-module", "rum.m4",
             "module.map", "rust", "skeleton", "perl"}
    for folder, _, files in os.walk(SOURCE):
        names |= {name for name in files if re.search(r"\.(\d|pl)$", name)}
    am = read("contrib", "contrib.am")
    names |= {"export_mysql_cdb.pl.8", "export_pgsql_cdb.pl.8"}  # made from the scripts
    names |= set(re.search(r"^dist_doc_DATA = (.*)", am, re.M).group(1).split())
    return names | set(re.findall(r"\$\(docdir\)/(\w+)", am))


def debian_lists():
    names = installed_names()
    for path in sorted(os.listdir(DEBIAN)):
        if not path.endswith((".install", ".manpages", ".docs", ".examples")):
            continue
        for line in read("contrib", "debian", path).splitlines():
            what = line.split()[0]
            if what.startswith(("usr/", "debian/tmp/")):
                name = os.path.basename(what)
                check(name in names, "%s: nothing installs %s" % (path, what))
            else:
                what = re.sub("^debian/", "contrib/debian/", what)
                check(os.path.exists(os.path.join(SOURCE, what)), "%s: no %s" % (path, what))
    manuals = {name for name in names if re.search(r"^(rum.*|export.*)\.\d$", name)}
    told = re.findall(r"[\w.-]+\.\d$", "".join(
        read("contrib", "debian", p) for p in os.listdir(DEBIAN) if p.endswith(".manpages")), re.M)
    same(told, manuals, "the manuals of the packages, and all")


def debian():
    control = read("contrib", "debian", "control")
    depends = re.search(r"^Build-Depends:\n((?: .*\n)+)", control, re.M).group(1)
    depends = {re.split(r"[ :,]", line.strip())[0] for line in depends.splitlines()}
    # These come with debhelper and build-essential.
    implied = {"autoconf", "automake", "libtool", "make", "g++"}
    same(depends | implied, set(group("build")) | {"debhelper-compat", "perl", "python3"},
         "Build-Depends, and group build")
    check({"debhelper", "lintian", "dpkg-dev", "fakeroot"} <= set(group("package")),
          "group package lacks something")
    abi = re.search(r"RUM_MODULE_ABI, (\d+)", read("core", "include", "rum", "module.h")).group(1)
    check(re.search(r"^Provides: rum-module-abi-%s$" % abi, control, re.M),
          "the package rum does not provide rum-module-abi-" + abi)
    first = re.match(r"rum \(([^)]+)\)", read("contrib", "debian", "changelog"))
    check(first and first.group(1) == version(), "debian/changelog is not of " + version())
    # Who reports a fault is sent to one address.
    address = re.search(r"^AC_INIT\(\[rum\], \[[^]]+\], \[([^]]+)\]", read("configure.ac"), re.M)
    check(address, "AC_INIT has no address for reports")
    address = address.group(1) if address else ""
    check("<%s>" % address in re.search(r"^Maintainer: (.*)", control, re.M).group(1),
          "the maintainer in debian/control is not at " + address)
    for page in ("README.md", "SECURITY.md"):
        check(address in read(page), "%s does not have the address %s" % (page, address))
    licence = read("LICENSE").split("Permission", 1)[1].split()
    copied = [w for w in read("contrib", "debian", "copyright").split("Permission", 1)[1].split()
              if w != "."]
    check(licence == copied, "debian/copyright has another licence than LICENSE")
    for name in os.listdir(os.path.join(DEBIAN, "tests")):
        if name not in ("control", "instance"):
            check("Tests: %s\n" % name in read("contrib", "debian", "tests", "control"),
                  "debian/tests/control does not name " + name)


def units():
    """The options in the units are rum's, and the examples are right in its own eyes."""
    for folder in ("debian", "systemd"):
        for path in glob.glob(os.path.join(SOURCE, "contrib", folder, "*.service*")):
            unit = read(path[len(SOURCE) + 1:])
            start = re.search(r"^ExecStart=(.*(?:\\\n.*)*)", unit, re.M).group(1)
            _, help_text = run("./rum", "--help")
            for option in re.findall(r"--[\w-]+", start):
                check(re.search(r"^  (-\w,)?%s " % option, help_text, re.M),
                      "%s: rum has no %s" % (path, option))
    folder = tempfile.mkdtemp(prefix="rum-packaging.")
    try:
        with open(os.path.join(folder, "empty"), "w", encoding="utf-8"):
            pass
        run("./rum-map", "build", "--allow-empty", os.path.join(folder, "users.cdb"), os.path.join(folder, "empty"))
        for name in ("redirect", "mysql", "pgsql"):
            if name != "redirect" and not os.path.exists(name + ".la"):
                continue
            text = read("contrib", "debian", "examples", name + ".conf")
            # As it is, and with all that it suggests.
            for some in (text, re.sub(r"^#(\w)", r"\1", text, flags=re.M)):
                path = os.path.join(folder, name + ".conf")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(re.sub(r"/var/(lib|log)/rum", folder, some))
                status, told = run("./rum", "--check", "--config", path, "--state-dir", folder)
                check(status == 0, "%s.conf: %s" % (name, told))
    finally:
        shutil.rmtree(folder)


class Machine:
    """A folder that the maintainer scripts take for the root of a machine, with a systemctl that notes
    what it is asked."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("run/systemd/system", "var/lib/rum/mx", "var/log/rum", "usr/bin", "etc/rum", "tools"):
            os.makedirs(self.path(name))
        with open(self.path("tools/systemctl"), "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\necho \"$*\" >>%s\n" % self.path("asked"))
        os.chmod(f.name, 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def script(self, name, *words):
        text = re.sub(r"(?<![\w/])/(run|var|usr|etc)/", self.folder + r"/\1/",
                      read("contrib", "debian", name))
        done = subprocess.run(["sh", "-euc", text, name, *words], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=TIMEOUT, env={"PATH": self.path("tools") + ":" + os.environ["PATH"]})
        check(done.returncode == 0, "%s %s ends with %d" % (name, words, done.returncode))
        return done.stdout

    def asked(self):
        if not os.path.exists(self.path("asked")):
            return []
        with open(self.path("asked"), encoding="utf-8") as f:
            asked = f.read().splitlines()
        os.remove(self.path("asked"))
        return asked

    def has_state(self):
        return [os.path.exists(self.path("var/%s/rum" % name)) for name in ("lib", "log")]


def maintainer_scripts():
    """A removal stops the instances; a purge removes what they wrote, but never under a running rum."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="rum-packaging."))
    try:
        machine = Machine(folder)
        for words in (("upgrade", "1.1.0"), ("deconfigure",), ("failed-upgrade", "1.1.0")):
            machine.script("rum.prerm", *words)
            check(machine.asked() == [], "prerm %s stops something" % (words,))
        machine.script("rum.prerm", "remove")
        told = machine.asked()
        check(told == ["stop rum@*.socket", "stop rum@*.service"], "prerm remove asks for %s" % told)
        machine.script("rum.postrm", "remove")
        check(machine.has_state() == [True, True], "postrm remove removes what instances wrote")
        program = machine.path("usr/bin/rum")
        shutil.copy(shutil.which("sleep"), program)
        running = subprocess.Popen([program, "600"])
        try:
            for gone in (False, True):
                if gone:
                    os.remove(program)
                told = machine.script("rum.postrm", "purge")
                check("as process %d" % running.pid in told, "postrm purge says: " + told)
                check(machine.has_state() == [True, True], "postrm purge removes a running rum's files")
        finally:
            running.kill()
            running.wait()
        told = machine.script("rum.postrm", "purge")
        check((told, machine.has_state()) == ("", [False, False]), "postrm purge leaves files: " + told)
        check(os.path.isdir(machine.path("etc/rum")), "postrm purge removes configurations")
        os.rmdir(machine.path("run/systemd/system"))
        machine.script("rum.prerm", "remove")
        check(machine.asked() == [], "prerm asks a systemd that does not run")
    finally:
        shutil.rmtree(folder)


STAND_INS = {
    "dpkg-query": "echo 'install ok installed'",
    "dpkg-buildpackage": "test -x debian/rules && test -f debian/control && test -f configure.ac &&\n"
                         "test -f contrib/new && touch ../rum.changes ../rum.deb",
    "lintian": "test -f \"$3\" && exit ${LINTIAN:-0}",
}


def package_script():
    """contrib/package, with what it calls replaced: of a tree, of a release, and when lintian
    complains."""
    folder = tempfile.mkdtemp(prefix="rum-packaging.")
    try:
        tree, tools = os.path.join(folder, "rum-1"), os.path.join(folder, "tools")
        os.makedirs(os.path.join(tree, "contrib"))
        os.mkdir(tools)
        for name, script in STAND_INS.items():
            with open(os.path.join(tools, name), "w", encoding="utf-8") as f:
                f.write("#!/bin/sh\n%s\n" % script)
            os.chmod(f.name, 0o755)
        for name in ("configure.ac", "contrib/package", "contrib/packages"):
            shutil.copy(os.path.join(SOURCE, name), os.path.join(tree, name))
        shutil.copytree(DEBIAN, os.path.join(tree, "contrib", "debian"))
        with open(os.path.join(tree, "contrib", "new"), "w", encoding="utf-8"):
            pass
        release = os.path.join(folder, "rum-1.tar.gz")
        subprocess.run(["tar", "-czf", release, "-C", folder, "rum-1"], check=True)
        for number, arguments, complaint in ((1, [], 0), (2, [release], 0), (3, [], 1)):
            out = os.path.join(folder, str(number))
            done = subprocess.run(
                [os.path.join(tree, "contrib", "package"), "-o", out, *arguments], cwd=folder,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=TIMEOUT, env=dict(
                    os.environ, PATH=tools + ":" + os.environ["PATH"], TMPDIR=folder,
                    LINTIAN=str(complaint)))
            check(done.returncode == complaint, "contrib/package ends with %d: %s" %
                  (done.returncode, done.stdout))
            check(os.listdir(out) == ["rum.deb"], "contrib/package leaves %s" % os.listdir(out))
        left = [name for name in os.listdir(folder) if name.startswith("tmp.")]
        check(not left, "contrib/package leaves its temporary folder")
    finally:
        subprocess.run(["chmod", "-R", "u+w", folder], check=True)
        shutil.rmtree(folder)


# Holds a lock as apt does, by fcntl, until its standard input ends.
HOLDER = """
import fcntl, sys
with open(sys.argv[1], "a") as f:
    fcntl.lockf(f, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


class Apt:
    """A root folder of apt's with a source of one package, and contrib/packages that finds it missing.
    Nothing is installed: dpkg is replaced."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/sources.list.d",
                     "etc/apt/trusted.gpg.d", "var/lib/apt/lists/partial", "var/lib/dpkg/updates",
                     "var/cache/apt/archives/partial", "var/log/apt", "source/package/DEBIAN", "bin"):
            os.makedirs(self.path(name))
        self.write("source/package/DEBIAN/control", "Package: rum-test-nothing\nVersion: 1\nArchitecture: all\n"
                   "Maintainer: nobody <nobody@example.net>\nDescription: nothing\n")
        subprocess.run(["dpkg-deb", "-b", self.path("source/package"), self.path("source/rum-test-nothing.deb")],
                       check=True, stdout=subprocess.DEVNULL)
        with open(self.path("source/rum-test-nothing.deb"), "rb") as f:
            content = f.read()
        self.write("source/Packages", "Package: rum-test-nothing\nVersion: 1\nArchitecture: all\n"
                   "Maintainer: nobody <nobody@example.net>\nFilename: ./rum-test-nothing.deb\nSize: %d\n"
                   "SHA256: %s\nDescription: nothing\n" %
                   (len(content), hashlib.sha256(content).hexdigest()))
        # A copy, so that there is something to fetch, and the lock of the archives is asked for.
        self.write("etc/apt/sources.list", "deb [trusted=yes] copy:%s ./\n" % self.path("source"))
        self.write("var/lib/dpkg/status", "")
        self.write("apt.conf", 'Dir "%s";\nDir::State::status "%s";\nDir::Bin::dpkg "%s";\n'
                   'APT::Sandbox::User "";\n' % (
                       folder, self.path("var/lib/dpkg/status"), self.path("bin/dpkg")))
        self.write("bin/dpkg", "#!/bin/sh\n[ \"$1\" != --print-foreign-architectures ] || exit 0\n"
                   "echo \"$@\" >>%s\n" % self.path("installed"), 0o755)
        # Only the one package is wanted.
        script = re.sub(r"^list='.*?^'", "list='\nbuild rum-test-nothing\n'", read("contrib", "packages"),
                        flags=re.M | re.S)
        self.write("packages", script, 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(f.name, mode)

    def start(self, **settings):
        return subprocess.Popen(
            [self.path("packages"), "build"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env=dict(os.environ, APT_CONFIG=self.path("apt.conf"), **settings))

    def hold(self, name):
        holder = subprocess.Popen([sys.executable, "-c", HOLDER, self.path(name)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        holder.stdout.readline()
        return holder


def packages_script():
    """contrib/packages waits for whoever has a lock of apt's, and says so."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    folder = tempfile.mkdtemp(prefix="rum-packaging.")
    try:
        for number, lock in enumerate((
                "var/lib/apt/lists/lock", "var/lib/dpkg/lock-frontend", "var/lib/dpkg/lock",
                "var/cache/apt/archives/lock")):
            apt = Apt(os.path.join(folder, str(number)))
            holder = apt.hold(lock)
            script = apt.start()
            told = ""
            for line in script.stdout:
                told += line
                if "waiting for it" in line:
                    break
            check(re.search(r"^packages: .* has apt's lock: waiting for it, \d+ s of at most 900$",
                            told, re.M), "%s is held: contrib/packages says %s" % (lock, told))
            if lock != "var/cache/apt/archives/lock":  # of which apt does not tell the holder
                check("process %d (" % holder.pid in told, "%s: not who has it: %s" % (lock, told))
            holder.communicate()
            told += script.communicate(timeout=TIMEOUT)[0]
            check(script.returncode == 0 and os.path.exists(apt.path("installed")),
                  "%s is free again: contrib/packages ends with %d: %s" %
                  (lock, script.returncode, told))
        # It does not wait without end, and fails at once where waiting does not help.
        apt = Apt(os.path.join(folder, "bound"))
        holder = apt.hold("var/lib/apt/lists/lock")
        script = apt.start(RUM_PACKAGES_WAIT="1")
        told = script.communicate(timeout=TIMEOUT)[0]
        check(script.returncode == 1 and "still has apt's lock after 1 s" in told, told)
        holder.communicate()
        apt.write("var/lib/dpkg/updates/0001", "")
        script = apt.start()
        told = script.communicate(timeout=TIMEOUT)[0]
        check(script.returncode != 0 and "as root, run: dpkg --configure -a" in told, told)
    finally:
        shutil.rmtree(folder)


def main():
    for part in (image, debian, debian_lists, units, maintainer_scripts, package_script,
                 packages_script):
        part()
    for text in failures:
        print("packaging_test: " + text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

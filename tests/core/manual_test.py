"""The manual says what the program does: options and defaults, statistics, metrics, log fields, end
reasons and exit codes are the same in rum(8) and in the program, and each module's options and
counters are in its rum-NAME(8). Run by `make check` in the build folder.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("srcdir", ".")
TIMEOUT = 30  # seconds, for a program that starts or ends
DEPEND_ON_BUILD = ("--module-dir", "--state-dir")  # the defaults of these options

failures = []


def check(good, text):
    if not good:
        failures.append(text)


def same(code, manual, what):
    """Both ways: nothing may be on one side only."""
    for one in sorted(set(code) - set(manual)):
        failures.append("%s '%s' is not in the manual" % (what, one))
    for one in sorted(set(manual) - set(code)):
        failures.append("%s '%s' is in the manual, but rum does not have it" % (what, one))


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
        return f.read()


# The manual, written in mdoc(7).

def plain(text):
    """Roff without its marks: words as a reader sees them."""
    lines = []
    for line in text.replace(r"\-", "-").splitlines():
        line = re.sub(r"\\[&%]|\\f\[\w*\]|\\f.", "", line)
        if line.startswith('.\\"'):
            continue
        if line.startswith("."):
            line = re.sub(r"^\.Nm\b", "rum", line)
            line = re.sub(r"\bFl -", "--", line)
            line = re.sub(r"\bFl ", "-", line)
            line = re.sub(r"^\.[A-Z]\w\b|\b(Ar|Cm|Ns|Pa|Sx|Ev|Dv|Op|Li|Sy|No) |^\.", "", line)
            line = re.sub(r" ([.,;:])( |$)", r"\1\2", line.replace('"', ""))
        lines += line.split()
    return " ".join(lines)


class Item:
    def __init__(self, head, body):
        self.head = [word for word in head.split() if word != ","]  # macros and their words
        self.text = plain(body)

    def words(self, macro="Cm"):
        """The words of the head behind this macro."""
        return [b for a, b in zip(self.head, self.head[1:]) if a == macro]


def items(manual, section):
    """The items of the lists in a section."""
    found = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh |\Z)" % section, manual, re.M | re.S)
    if not found:
        failures.append("rum(8) has no section " + section)
        return []
    return [Item(head, body) for head, body in
            re.findall(r"^\.It (.*)\n((?:(?!\.It |\.El|\.Ss).*\n)*)", found.group(1), re.M)]


# The program.

def environment():
    return dict(os.environ, RUM_MODULE_DIR=os.path.abspath(".libs"), LC_ALL="C")


def run(*arguments):
    done = subprocess.run(["./rum", *arguments], env=environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=TIMEOUT)
    return done.returncode, done.stdout


class Option:
    def __init__(self, short, long, value, text):
        self.names = [name for name in (short, long) if name]
        self.takes_value = bool(value)
        default = re.search(r"\(([^()]*)\)$", text)
        self.default = default.group(1).split(";")[0] if default else None


def options(help_text):
    """Long name -> Option, of what --help prints."""
    found = re.findall(r"^  (?:(-\w), ?)?(--[\w-]+)(?: (\S+))?(?:$| +(.*))"
                       r"((?:\n {12,}.*)*)", help_text, re.M)
    return {long: Option(short, long, value, " ".join((text + more).split()))
            for short, long, value, text, more in found}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Served:
    """What a running rum says: statistics, metrics, and its log in JSON."""

    def __init__(self, module, folder):
        self.folder = folder
        self.log_path = self.path("log")
        # A module that only relays has no TLS inside its protocol.
        tls = ["-s", "tls:127.0.0.1:%d" % free_port()] if module == "passthrough.so" else ["--tls", "on"]
        self.process = subprocess.Popen(
            ["./rum", "-P", module, "-s", "sock:" + self.path("in"), "-d", "sock:" + self.path("no"),
             "-M", self.path("none.cdb") + ",redis+sock:%s?key={user}" % self.path("no"),
             "--share", "redis+sock:" + self.path("no"), "--share-key-file", self.key_file(),
             "-m", "sock:" + self.path("stats"), "-w", "1", "-l", self.log_path, "--log-format", "json", *tls,
             "--state-dir", self.path("state")], env=environment(),
            stdin=subprocess.DEVNULL)
        try:
            self.wait(lambda: self.get("/live"))
            self.stats = json.loads(self.get("/stats"))
            self.metrics_text = self.get("/metrics")
            self.metrics = set(re.findall(r"^# TYPE (\w+) ", self.metrics_text, re.M))
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.path("in"))
            self.wait(lambda: any(r.get("event") == "session" for r in self.log()))
        finally:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(TIMEOUT)

    def path(self, name):
        return os.path.join(self.folder, name)

    def key_file(self):
        with open(os.open(self.path("key"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
            f.write("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n")
        return self.path("key")

    def wait(self, happened):
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError("rum ended with %d" % self.process.returncode)
            try:
                if happened():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("rum does not come up, or does not log")

    def get(self, path):
        connection = http.client.HTTPConnection("rum", timeout=TIMEOUT)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self.path("stats"))
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def log(self):
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path) as f:
            return [json.loads(line) for line in f.read().splitlines(True) if line.endswith("\n")]


def serve(module):
    folder = tempfile.mkdtemp(prefix="rum-manual.")
    try:
        served = Served(module, folder)
        served.records = served.log()
        return served
    finally:
        shutil.rmtree(folder)


def paths(value, before=""):
    """Every path into a JSON object, down to what depends on the module or is a table of its own."""
    if before in ("sessions.ended", "module.counters", "module.details", "destinations", "generations"):
        return {before}
    if isinstance(value, dict):
        return set().union(*(paths(v, before + "." + k if before else k) for k, v in value.items()))
    if isinstance(value, list):
        return set().union(*(paths(v, before + "[]") for v in value))
    return {before}


# What is compared.

def compare_options(manual):
    code = options(run("--help")[1])
    check(len(code) > 20, "rum --help could not be read")
    told = {}
    for item in items(manual, "OPTIONS"):
        names = ["-" + name for name in item.words("Fl")]
        check(names, "an item of OPTIONS is not an option: %s" % item.head)
        if not names:
            continue
        told[names[-1]] = item
        option = code.get(names[-1])
        if not option:
            continue
        check(names == option.names, "the manual names %s, rum %s" % (names, option.names))
        check(bool({"Ar", "Cm"} & set(item.head)) == option.takes_value, names[-1] + ": with or without a value?")
        default = re.search(r"Default: (.*?)\.(?: |$)", item.text)
        if names[-1] not in DEPEND_ON_BUILD:
            check((default.group(1) if default else None) == option.default,
                  "%s: the default is %s, and in the manual %s" %
                  (names[-1], option.default, default and default.group(1)))
    same(code, told, "the option")
    for name in re.findall(r"\bFl -([\w-]+)", manual):
        check("--" + name in code, "the manual mentions --%s, which is no option" % name)


def compare_old_names(manual):
    """The options of older versions stand in one section; what --help has stands elsewhere."""
    rows = re.search(r"kOldNames\[\] = \{(.*?)^};", read("core", "settings", "option_rows.h"),
                     re.M | re.S)
    names = re.findall(r'^    \{"((?:-\w,)?--[a-z-]+)"', rows.group(1), re.M)
    code = set(",".join(names).split(","))
    check({"-f", "-R", "-v", "--source"} <= code, "kOldNames could not be read")
    told = {word for item in items(manual, "OLDER VERSIONS")
            for word in " ".join(item.head).split(" Ta ")[0].split() if word.startswith("-")}
    # Which of its modules is meant is not said there; but it is, in a sentence.
    same(code - {"--dbtype"}, told, "the old option")
    listed = {name for option in options(run("--help")[1]).values() for name in option.names}
    check(not code & listed, "--help lists options of older versions: %s" % sorted(code & listed))


def compare_reload(manual):
    """The options that the manual says HUP applies are those of the table in option_rows.h."""
    rows = re.findall(r'{"(?:-\w,)?--([a-z-]+)",(.*?)}', read("core", "settings", "option_rows.h"), re.S)
    code = {name for name, rest in rows if re.search(r",\s*true$", rest)}
    said = re.search(r"A change of(.*?)and of the module's options", manual, re.S)
    words = re.findall(r"^\.Fl -([a-z-]+)", said.group(1), re.M) if said else []
    check(len(code) > 10, "no option is applied by HUP")
    same(code, words, "the option that HUP applies")


# A module that converses, so that it obeys options which one that only relays cannot.
CONVERSES = "./tests/support/good.so"


def try_examples(manual):
    """The examples of rum.conf(5) are good; only the map that they name is not here."""
    examples = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", manual, re.M | re.S)
    check(len(examples) >= 3, "examples of rum.conf(5)")
    with tempfile.TemporaryDirectory(prefix="rum-manual.") as folder:
        path = os.path.join(folder, "rum.conf")
        for example in examples:
            lines = [line for line in example.splitlines() if not line.startswith("map ")]
            if not any(line.startswith("destination") for line in lines):
                lines.append("destination = tcp:127.0.0.1:1")
            with open(path, "w", encoding="utf-8") as f:
                f.write("\n".join(lines + ["state-dir = " + folder]) + "\n")
            code, text = run("-P", CONVERSES, "--config", path, "--check")
            check(code == 0, "an example of rum.conf(5): " + text)


def compare_statistics(manual, served):
    json_paths, metrics = [], []
    for item in items(manual, "STATISTICS"):
        for word in item.words():
            (metrics if word.startswith("rum_") else json_paths).append(word)
    # These depend on the module, so that passthrough may be without them.
    depend = {"module.counters", "module.details"}
    check(depend <= set(json_paths), "module.counters and module.details are not in the manual")
    same(paths(served.stats) | depend, json_paths, "the statistic")
    same(served.metrics, metrics, "the metric")


def compare_reasons(manual, served):
    table = dict((word, text) for word, text in re.findall(
        r'^CLOSE_REASON\(\w+, "(\w+)",\s*"([^"]+)"\)', read("core", "base", "close_reasons.def"),
        re.M))
    same(served.stats["sessions"]["ended"], table, "(close_reasons.def) the end reason")
    told = {word: item.text for item in items(manual, "END REASONS") for word in item.words()}
    same(table, told, "the end reason")
    for word, text in table.items():
        check(told.get(word, text).lower().startswith(text.lower()),
              "%s is explained by '%s', and in the manual by '%s'" % (word, text, told.get(word)))


def compare_log(manual, served):
    code = read("core", "proxy", "session_log.cc")
    fields = set(re.findall(r'\b(?:Number|Seconds|Word|Quoted)\("(\w+)"', code))
    events = set(re.findall(r'\bfields\("(\w+)"', code))
    check(len(fields) > 8 and events, "the fields of core/proxy/session_log.cc could not be read")
    common = {"time", "level", "event", "message"}
    written = set().union(*served.records)
    check(common <= written, "a JSON line lacks one of %s" % sorted(common))
    same(written & fields | common, written, "(session_log.cc) the log field")
    told = [word for item in items(manual, "LOG") for word in item.words()]
    same(fields | common, told, "the log field")
    same(events, re.findall(r"^\.Ss The line of a (\w+)", manual, re.M), "the log line of a")


def compare_exit_codes(manual):
    enum = re.search(r"enum class Fault \{([^}]*)\}", read("core", "base", "result.h"))
    codes = re.findall(r"= (\d+)", enum.group(1)) if enum else []
    check(codes, "the exit codes in core/base/result.h could not be read")
    same(["0"] + codes, [item.head[0] for item in items(manual, "EXIT STATUS")], "the exit code")
    told = re.search(r"Exit: (.*?)\.", run("--help")[1], re.S)
    same(["0"] + codes, re.findall(r"\d+", told.group(1)) if told else [], "(--help) the exit code")


def noted_fields(name):
    """The fields that a module adds to the log line of its sessions."""
    found = set()
    for source in os.listdir(os.path.join(SOURCE, "modules", name)):
        if source.endswith((".c", ".cc", ".h")):
            found |= set(re.findall(r'\b[Nn]ote\((?:\w+, )?"(\w+)"', read("modules", name, source)))
    return found


def compare_module(name, own):
    """Options and counters of modules/NAME with rum-NAME.8, in whatever roff that is written."""
    status, text = run("-P", name + ".so", "--help")
    if "no such file" in text:
        return "not built"
    check(status == 0, "rum -P %s.so --help ends with %d" % (name, status))
    mine = {long: option for long, option in options(text).items() if long not in own}
    served = serve(name + ".so")
    counters = served.stats["module"].get("counters", {})
    page = os.path.join("modules", name, "rum-%s.8" % name)
    if not os.path.exists(os.path.join(SOURCE, page)):
        check(not mine and not counters, "%s has options or counters, but no %s" % (name, page))
        return "no manual"
    manual = plain(read(page))
    for option in mine.values():
        for word in option.names:
            check(re.search(r"(?<![\w-])%s(?![\w-])" % word, manual),
                  "the option %s is not in %s" % (word, page))
    for word in set(re.findall(r"(?<![\w-])--%s-[\w-]+" % name, manual)):
        check(word in mine, "%s tells of %s, which is no option" % (page, word))
    for counter in counters:
        check(re.search(r"\b(rum_)?%s(_total)?\b" % counter, manual),
              "the counter %s is not in %s" % (counter, page))
    for field in noted_fields(name):
        check(re.search(r"\b%s\b" % field, manual), "the log field %s is not in %s" % (field, page))
    for word in set(re.findall(r"\brum_%s_(\w+)_total\b" % name, manual)):
        check("%s_%s" % (name, word) in counters, "%s tells of rum_%s_%s_total, which is no counter"
              % (page, name, word))
    return "%d options, %d counters, %d log fields" % (len(mine), len(counters),
                                                      len(noted_fields(name)))


def main():
    manual = read("core", "rum.8")
    served = serve("passthrough.so")
    compare_options(manual)
    compare_old_names(manual)
    configuration = read("core", "rum.conf.5")
    compare_reload(configuration)
    try_examples(configuration)
    compare_statistics(manual, served)
    compare_reasons(manual, served)
    compare_log(manual, served)
    compare_exit_codes(manual)
    own = options(run("--help")[1])
    for folder in sorted(os.scandir(os.path.join(SOURCE, "modules")), key=lambda f: f.name):
        if folder.is_dir():
            print("module %s: %s" % (folder.name, compare_module(folder.name, own)))
    for failure in failures:
        print("FAILED: " + failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

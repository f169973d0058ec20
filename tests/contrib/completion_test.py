"""Completion offers what --help has: every option and command, values that the help names, files
and folders, whatever characters bash cuts words at. Run by `make check` in the build folder.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

BASH_FILE = os.path.abspath("contrib/completion/rum.bash")
ZSH_FILE = os.path.abspath("contrib/completion/_rum")
TIMEOUT = 60  # seconds
BREAKS = ("\\\"'><=;|&(:", "\\\"'><;|&(")  # as bash has them, and as some set them

# What readline gives to a completion; compopt works only there, and must not matter.
DRIVER = r"""
COMP_WORDBREAKS=$2$' \t\n'
source "$1"
shift 2
for COMP_LINE; do
  COMP_POINT=${#COMP_LINE}
  COMPREPLY=()
  _rum_complete "${COMP_LINE%% *}"
  printf '%s\n' "${COMPREPLY[@]}" --end
done
"""

failures = []


def check(good, text):
    if not good:
        failures.append(text)


def run(command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, **more)
    check(done.returncode == 0, "%s ends with %d: %s" % (command[0], done.returncode, done.stdout))
    return done.stdout


def help_of(*command):
    environment = dict(os.environ, RUM_MODULE_DIR=os.path.abspath(".libs"), LC_ALL="C")
    text = run(["./" + command[0], *command[1:], "--help"], env=environment)
    for line in text.splitlines():
        check(len(line) <= 100 or " " not in line.strip(),  # but for a long path
              "%s --help has a line of %d: %s" % (" ".join(command), len(line), line))
    return text


def options(text):
    return {name for names in re.findall(r"^  (-[\w,-]+)", text, re.M) for name in names.split(",")}


def commands(text):
    found = re.search(r"^Commands:\n((?:  .*\n)+)", text, re.M)
    return set(re.findall(r"^  ([\w-]+)", found.group(1), re.M)) if found else set()


def complete(lines, breaks, folder):
    """The list of what is offered at the end of each line."""
    text = run(["bash", "--norc", "-c", DRIVER, "driver", BASH_FILE, breaks, *lines], cwd=folder)
    offered = [part.split("\n") for part in ("\n" + text).split("\n--end")]
    return [{word for word in part if word} for part in offered[:-1]]


def expect(cases, breaks, folder):
    """Cases: line -> what must be offered; a set is all of it, a list a part."""
    for (line, wanted), got in zip(cases.items(), complete(list(cases), breaks, folder)):
        good = got == wanted if isinstance(wanted, set) else set(wanted) <= got
        check(good, "'%s' (words end at %r) offers %s, not %s" %
              (line, breaks, sorted(got), sorted(wanted)))


def from_help():
    rum = options(help_of("rum"))
    check(len(rum) > 60, "the options of rum --help could not be read")
    cases = {"rum -": rum, "rum ": rum, "rum --log-logins -": rum, "rum -P passthrough.so -": rum}
    if os.path.exists("mysql.la"):
        mysql = options(help_of("rum", "-P", "mysql.so"))
        check(len(mysql) > len(rum), "the options of mysql.so could not be read")
        for before in ("-P mysql", "--protocol=mysql.so"):
            cases["rum %s -" % before] = mysql
        # The module is not on the line: those of all modules may come.
        either = mysql | (options(help_of("rum", "-P", "pgsql.so")) if os.path.exists("pgsql.la") else set())
        for before in ("-M users.cdb", "--config rum.conf"):
            cases["rum %s -" % before] = either
        cases["rum -P mysql.so --mysql-auth "] = {"auto", "relay", "rewrite"}
        cases["rum --protocol my"] = {"mysql.so"}
    for program in ("rumctl", "rum-map"):
        text = help_of(program)
        check(len(commands(text)) > 3, "the commands of %s could not be read" % program)
        cases[program + " "] = commands(text)
        cases[program + " -"] = options(text)
        for command in commands(text):
            cases["%s %s -" % (program, command)] = list(options(help_of(program, command)))
    return cases


def values(breaks):
    # Only what stands behind the last of these is replaced.
    cut = {mark: mark in breaks for mark in ":="}
    whole = lambda mark, before, word: word if cut[mark] else before + word
    limits = {name[2:] for name in re.findall(
        r"--[\w-]+", re.search(r"^Limits:\n(.*?)^$", help_of("rum"), re.M | re.S).group(1))}
    limits -= {"allow"}  # mentioned
    return {
        "rum --tls ": {"off", "on", "require"},
        "rum --tls r": {"require"},
        "rum --tls=r": {whole("=", "--tls=", "require")},
        "rum --balance ": {"first", "round-robin", "random", "least", "source"},
        "rum --breaker ": {"off"},
        "rum --tls-ciphers ": set(),
        "rum --log-logins --tls-min-version ": {"1.2", "1.3"},
        "rum -l ": ["stderr", "syslog", "users.cdb"],
        "rum -M us": {"users.cdb"},
        "rum --map=us": {whole("=", "--map=", "users.cdb")},
        "rum --state-dir ": {"state"},
        "rum --user ro": ["root"],
        "rum --user root:ro": [whole(":", "root:", "root")],
        "rum --log-level d": {"debug"},
        "rum --login-failures ": set(),
        "rum -P pass": {"passthrough.so"},
        "rum -s ": {"tcp:", "tls:", "sock:"},
        "rum -s so": {"sock:"},
        "rum -s sock:": [whole(":", "sock:", "users.cdb")],
        "rum -s sock:st": {whole(":", "sock:", "state")},
        "rum -d tcp:db1:3306,t": {("" if cut[":"] else "tcp:db1:") + "3306,tcp:",
                                  ("" if cut[":"] else "tcp:db1:") + "3306,tls:"},
        "rum --control ": {"sock:"},
        "rumctl -s us": {"users.cdb"},
        "rumctl -s users.cdb k": {"kill"},
        "rumctl kill ": {"user=", "ip=", "destination="},
        "rumctl log d": {"debug"},
        "rumctl drain t": {"tcp:", "tls:"},
        "rumctl set ": limits,
        "rum-map check us": {"users.cdb"},
        "rum-map dump -o us": {"users.cdb"},
    }


def check_zsh():
    """There is no zsh on most machines; then only the shape of the file."""
    with open(ZSH_FILE, encoding="utf-8") as f:
        text = f.read()
    check(text.startswith("#compdef rum rumctl rum-map\n"), "_rum does not begin with #compdef")
    for option in options(help_of("rum")):
        check(re.search(r"[')*]%s(\+|=)?\[" % re.escape(option), text), "_rum lacks " + option)
    for program in ("rumctl", "rum-map"):
        for command in commands(help_of(program)):
            check(re.search(r"^ +'%s:" % command, text, re.M), "_rum lacks %s %s" %
                  (program, command))
    if shutil.which("zsh"):
        run(["zsh", "-f", "-n", ZSH_FILE])


def main():
    folder = tempfile.mkdtemp(prefix="rum-completion.")
    try:
        os.mkdir(os.path.join(folder, "state"))
        with open(os.path.join(folder, "users.cdb"), "w"):
            pass
        run(["bash", "-n", BASH_FILE])
        for breaks in BREAKS:
            expect(from_help(), breaks, folder)
            expect(values(breaks), breaks, folder)
        check_zsh()
    finally:
        shutil.rmtree(folder)
    for text in failures:
        print("completion_test: " + text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""After the rotation of contrib/logrotate/rum a running rum writes into a new file: its script is
run as it stands, and logrotate itself where there is one. What stands in a pidfile moves it to
signal nobody else. Run by `make check` in the build folder.
"""

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
TIMEOUT = 30  # seconds

failures = []


def wait(happened, what):
    end = time.monotonic() + TIMEOUT
    while not happened():
        if time.monotonic() > end:
            raise AssertionError("in vain: " + what)
        time.sleep(0.02)


def lines(path):
    """How many sessions are told of."""
    if not os.path.exists(path):
        return 0
    with open(path, encoding="utf-8") as f:
        return f.read().count(" session id=")


def visit(path):
    """A session, which leaves a line in the log."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def rotate(folder, configuration):
    """Rotates, and returns what was printed."""
    script = re.search(r"^ +postrotate\n(.*?)^ +endscript", configuration, re.M | re.S).group(1)
    if shutil.which("logrotate") and os.geteuid() == 0:
        path = os.path.join(folder, "rotate.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(re.sub(r"^ +su .*\n", "", configuration, flags=re.M))
        return subprocess.run(
            ["logrotate", "-f", "-s", os.path.join(folder, "state"), path], check=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT).stdout
    log = os.path.join(folder, "log", "front.log")
    os.rename(log, log + ".1")
    return subprocess.run(["sh", "-e", "-c", script], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=TIMEOUT).stdout


def bystander(folder, name, user=None, own_group=False):
    """A process that USR1 ends."""
    place = os.path.join(folder, "bystanders")
    os.makedirs(place, exist_ok=True)
    path = os.path.join(place, name)
    if not os.path.exists(path):
        shutil.copy(shutil.which("sleep"), path)
    # Not a user of Popen: the folder is not for everybody to enter.
    return subprocess.Popen([path, "600"] if user is None else
                            ["setpriv", "--reuid", user, "--clear-groups", path, "600"],
                            stdin=subprocess.DEVNULL, start_new_session=own_group)


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main():
    with open(os.path.join(SOURCE, "contrib", "logrotate", "rum"), encoding="utf-8") as f:
        configuration = f.read()
    # Nothing of this machine is touched.
    folder = tempfile.mkdtemp(prefix="rum-logrotate.")
    for there, here in (("/var/log/rum", "log"), ("/run/rum", "run"), ("/run/systemd", "none")):
        if there not in configuration:
            failures.append("contrib/logrotate/rum says nothing of " + there)
        configuration = configuration.replace(there, os.path.join(folder, here))
    root = os.geteuid() == 0
    # The user of this test in place of rum, which may not be there.
    user = "nobody" if root else str(os.geteuid())
    before = configuration
    if root:
        os.chmod(folder, 0o755)
        configuration = configuration.replace("--reuid=rum --regid=rum", "--reuid=nobody --regid=nogroup")
    else:
        configuration = re.sub(r"setpriv --reuid=rum \S+ \S+ ", "", configuration)
    if configuration == before:
        failures.append("contrib/logrotate/rum does not give up its rights")
    signals = set(re.findall(r"kill (?:-s )?-?([A-Z]\S+)", configuration))
    if signals != {"USR1"}:
        failures.append("another signal than USR1: %s" % sorted(signals))
    for name in ("log", "run"):
        os.mkdir(os.path.join(folder, name))
        if root:
            shutil.chown(os.path.join(folder, name), user)
    log, front = os.path.join(folder, "log", "front.log"), os.path.join(folder, "front")
    bystanders = {}
    process = subprocess.Popen(
        ["./rum", "-s", "sock:" + front, "-d", "sock:" + os.path.join(folder, "nobody"), "-l", log,
         "-p", os.path.join(folder, "run", "front.pid"), "-w", "1",
         *(["--user", user, "--group", "nogroup"] if root else [])], stdin=subprocess.DEVNULL,
        env=dict(os.environ, RUM_MODULE_DIR=os.path.abspath(".libs")))
    try:
        wait(lambda: os.path.exists(os.path.join(folder, "run", "front.pid")) and
             os.path.exists(front), "rum starts")
        visit(front)
        wait(lambda: lines(log) == 1, "a line in the log")
        # What the owner of the folder could put there: processes of others, and of its own that
        # are no rum; a pipe, which nobody writes; a link to what only root may read; nonsense.
        run = os.path.join(folder, "run")
        bystanders = {"another program": bystander(folder, "other", user if root else None)}
        if root:
            bystanders["a process of root"] = bystander(folder, "rum")
        for number, other in enumerate(bystanders.values()):
            write(os.path.join(run, "a%d.pid" % number), "%d\n" % other.pid)
        os.mkfifo(os.path.join(run, "b.pid"))
        write(os.path.join(folder, "secret"), "a word of root's\n")
        os.chmod(os.path.join(folder, "secret"), 0o600)
        os.symlink(os.path.join(folder, "secret"), os.path.join(run, "c.pid"))
        # The number of a group is one of this test's own: a script that obeys must hit nobody else.
        group = bystanders["a group of processes"] = bystander(folder, "other", None, True)
        for number, text in enumerate(("-%d" % group.pid, "", "x", "$(true)")):
            write(os.path.join(run, "d%d.pid" % number), text)
        told = rotate(folder, configuration)
        if root and b"a word" in told:
            failures.append("shows a file of root's: %r" % told)
        wait(lambda: os.path.exists(log), "a new log file")
        visit(front)
        wait(lambda: lines(log) == 1, "a line in the new log file")
        for what, other in bystanders.items():
            if other.poll() is not None:
                failures.append("%s was signalled: %d" % (what, other.returncode))
        if lines(log + ".1") != 1:
            failures.append("the old log file has %d lines of sessions" % lines(log + ".1"))
    except AssertionError as e:
        failures.append(str(e))
        if process.poll() is not None:
            failures.append("rum has ended with %d" % process.returncode)
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(TIMEOUT)
        for other in bystanders.values():
            other.kill()
            other.wait(TIMEOUT)
        shutil.rmtree(folder)
    for text in failures:
        print("logrotate_test: " + text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

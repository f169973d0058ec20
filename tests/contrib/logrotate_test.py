"""After the rotation of contrib/logrotate/rum a running rum writes into a new file: its script is
run as it stands, and logrotate itself where there is one. Run by `make check` in the build folder.
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
PATIENCE = 30  # seconds

failures = []


def wait(happened, what):
    end = time.monotonic() + PATIENCE
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
    script = re.search(r"^ +postrotate\n(.*?)^ +endscript", configuration, re.M | re.S).group(1)
    if shutil.which("logrotate") and os.geteuid() == 0:
        path = os.path.join(folder, "rotate.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(re.sub(r"^ +su .*\n", "", configuration, flags=re.M))
        subprocess.run(["logrotate", "-f", "-s", os.path.join(folder, "state"), path], check=True,
                       timeout=PATIENCE)
        return
    log = os.path.join(folder, "log", "front.log")
    os.rename(log, log + ".1")
    subprocess.run(["sh", "-e", "-c", script], check=True, timeout=PATIENCE)


def main():
    with open(os.path.join(SOURCE, "contrib", "logrotate", "rum"), encoding="utf-8") as f:
        configuration = f.read()
    # Nothing of this machine is touched.
    folder = tempfile.mkdtemp(prefix="rum-logrotate.")
    for there, here in (("/var/log/rum", "log"), ("/run/rum", "run"), ("/run/systemd", "none")):
        if there not in configuration:
            failures.append("contrib/logrotate/rum says nothing of " + there)
        configuration = configuration.replace(there, os.path.join(folder, here))
    signals = set(re.findall(r"kill (?:-s )?-?(\S+)", configuration))
    if signals != {"USR1"}:
        failures.append("another signal than USR1: %s" % sorted(signals))
    for name in ("log", "run"):
        os.mkdir(os.path.join(folder, name))
    log, front = os.path.join(folder, "log", "front.log"), os.path.join(folder, "front")
    process = subprocess.Popen(
        ["./rum", "-s", "sock:" + front, "-d", "sock:" + os.path.join(folder, "nobody"), "-l", log,
         "-p", os.path.join(folder, "run", "front.pid"), "-w", "1"], stdin=subprocess.DEVNULL,
        env=dict(os.environ, RUM_MODULE_DIR=os.path.abspath(".libs")))
    try:
        wait(lambda: os.path.exists(os.path.join(folder, "run", "front.pid")) and
             os.path.exists(front), "rum starts")
        visit(front)
        wait(lambda: lines(log) == 1, "a line in the log")
        rotate(folder, configuration)
        wait(lambda: os.path.exists(log), "a new log file")
        visit(front)
        wait(lambda: lines(log) == 1, "a line in the new log file")
        if lines(log + ".1") != 1:
            failures.append("the old log file has %d lines of sessions" % lines(log + ".1"))
    except AssertionError as e:
        failures.append(str(e))
        if process.poll() is not None:
            failures.append("rum has ended with %d" % process.returncode)
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(PATIENCE)
        shutil.rmtree(folder)
    for text in failures:
        print("logrotate_test: " + text)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

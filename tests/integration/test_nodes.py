"""contrib/deploy/nodes as a whole: three nodes, Redis with replicas and Sentinel, in network namespaces."""

import os
import signal
import subprocess

from support.build import SOURCE
from support.harness import Skipped, check, end_with_parent, has, same, test
from support.net import until

DEMO = os.path.join(SOURCE, "contrib", "deploy", "nodes", "demo")


def as_from_a_terminal():
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def demo(t, *arguments):
    """The demonstration, with the rum of this run."""
    programs = t.path("programs")
    os.mkdir(programs)
    os.symlink(t.run.build.rum, os.path.join(programs, "rum"))
    os.symlink(t.run.build.modules, os.path.join(programs, ".libs"))
    os.mkdir(t.path("tmp"))
    return subprocess.Popen([DEMO, "--build", programs, *arguments], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=dict(os.environ, TMPDIR=t.path("tmp")),
                            preexec_fn=as_from_a_terminal)


def skip_if_it_did(code, text):
    if code == 77:
        raise Skipped(text.strip().splitlines()[-1])


def parents():
    """Process -> its parent, without those that only wait to be reaped."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                state, parent = f.read().rsplit(")", 1)[1].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(pid)] = int(parent)
    return found


def descendants(pid):
    parent_of, found = parents(), [pid]
    for one in found:
        found += [child for child, parent in parent_of.items() if parent == one]
    return found[1:]


@test("Three nodes with the map in Redis serve on while the master and a node die", needs=("mysql.so",),
      seconds=300)
def _(t):
    process = demo(t, "--once")
    text, _ = process.communicate()
    skip_if_it_did(process.returncode, text)
    print(text)
    same((process.returncode, text.count("FAILED")), (0, 0), text)
    check(text.count("  ok: ") >= 25, "checks of the demonstration")
    has(text, "All was as expected")
    same(os.listdir(t.path("tmp")), [], "files left")
    for line in text.splitlines():
        if line.endswith(" ms"):
            t.say(line.strip())


@test("Nothing is left of the nodes when the demonstration is interrupted", needs=("mysql.so",),
      seconds=120)
def _(t):
    process = demo(t)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("5. "):
            break
    if len(lines) < 8:
        skip_if_it_did(process.wait(), "".join(lines))
    programs = descendants(process.pid)
    check(len(programs) > 13, "programs of the nodes: %d" % len(programs))
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    same(process.wait(), 130, rest)
    same(os.listdir(t.path("tmp")), [], "files left")
    until(lambda: not set(programs) & set(parents()), 5, "all programs have ended")

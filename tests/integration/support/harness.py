"""Finds tests, runs each in its own process with a deadline, and counts the results.

A test is a function marked @test("A sentence"); it gets a Context that makes processes and peers and
ends them. Each runs in a forked child, so a test that hangs is ended without harm to the others.
"""

import ctypes
import json
import os
import selectors
import shutil
import signal
import sys
import tempfile
import time
import traceback

TESTS = []


class Skipped(Exception):
    pass


class Test:
    def __init__(self, name, function, seconds, needs, alone):
        self.name, self.function, self.seconds = name, function, seconds
        self.needs, self.alone = needs, alone
        self.file = os.path.basename(function.__code__.co_filename)


def test(name, seconds=60, needs=(), alone=False):
    """Marks a test. needs: 'mariadb' for the two servers, a kind of newer_servers or of postgresql, or a
    module's file.
    alone: it takes so much of the machine that nothing else runs beside it."""

    def mark(function):
        if any(other.name == name for other in TESTS):
            raise ValueError("two tests have the name: " + name)
        TESTS.append(Test(name, function, seconds, (needs,) if isinstance(needs, str) else needs, alone))
        return function

    return mark


def full():
    """True if the long version of a test is requested."""
    return os.environ.get("RUM_TEST_FULL") == "1"


def same(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError("%s: got %.2000r, expected %.2000r" % (what, actual, expected))


def has(text, part, what="text"):
    if part not in text:
        raise AssertionError("%s: %r is not in %.3000r" % (what, part, text))


def check(condition, what):
    if not condition:
        raise AssertionError(what)


_prctl = ctypes.CDLL(None).prctl


def end_with_parent():
    """For a new child process: it gets SIGKILL when the thread that forked it ends."""
    _prctl(1, signal.SIGKILL)


class Context:
    """The resources of a test; releases them in reverse order when the test ends."""

    def __init__(self, run, folder):
        self.run = run
        self.folder = folder
        self.scale = run.build.scale  # deadlines are longer under a sanitizer
        self._closers = []
        self._rums = []
        self._number = 0
        self.said = []

    def path(self, name):
        return os.path.join(self.folder, name)

    def say(self, text):
        """Figures that -v shows for a test that has passed."""
        self.said.append(text)

    def on_end(self, function):
        self._closers.append(function)

    def keep(self, thing):
        """A peer or server of the test, closed when the test ends."""
        self._closers.append(thing.close)
        return thing

    def number(self):
        self._number += 1
        return self._number

    def rum(self, *arguments, **settings):
        from support.rum import Rum
        rum = Rum(self, list(arguments), **settings)
        self._rums.append(rum)
        return rum.start()

    def finish(self, failed):
        """Ends the processes; their errors fail the test, too."""
        problems = []
        for rum in self._rums:
            try:
                rum.finish(forgiving=failed)
            except Exception as e:  # check every process
                problems.append("%s: %s" % (rum.name, e))
        for closer in reversed(self._closers):
            try:
                closer()
            except Exception:
                problems.append(traceback.format_exc())
        if problems and not failed:
            raise AssertionError("at the end of the test: " + "\n".join(problems))


class Run:
    """The state that all tests share."""

    def __init__(self, build, folder, servers, newer, postgresql):
        self.build, self.folder, self.servers = build, folder, servers
        self.newer, self.postgresql = newer, postgresql


class _Stopped(BaseException):
    pass


def _stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Stopped()


def _child(run, test_, folder, report):
    os.setsid()
    end_with_parent()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Daemons become children of the test, which can then wait for them.
    _prctl(36, 1)
    log = os.open(os.path.join(folder, "test.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    result = {"state": "passed", "text": ""}
    context = Context(run, folder)
    failed = False
    try:
        test_.function(context)
    except Skipped as e:
        result = {"state": "skipped", "text": str(e)}
    except BaseException:
        failed = True
        result = {"state": "failed", "text": traceback.format_exc()}
    try:
        context.finish(failed)
    except BaseException as e:
        result = {"state": "failed", "text": str(e)}
    if result["state"] == "passed":
        result["text"] = "; ".join(context.said)
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(report, json.dumps(result).encode()[:1 << 20])
    os._exit(0)


class Running:
    def __init__(self, run, test_, number):
        self.test = test_
        self.folder = os.path.join(run.folder, "%03d" % number)
        os.mkdir(self.folder)
        with open(os.path.join(self.folder, "name"), "w") as f:
            f.write("%s: %s\n" % (test_.file, test_.name))
        self.begin = time.monotonic()
        self.deadline = self.begin + test_.seconds * run.build.scale
        self.text = b""
        self.pipe, report = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.pipe)
                _child(run, test_, self.folder, report)
            finally:
                os._exit(1)
        os.close(report)

    def end(self, killed):
        if killed:
            os.kill(self.pid, signal.SIGTERM)
            until = time.monotonic() + 5
            while time.monotonic() < until:
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    break
                time.sleep(0.02)
            else:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        else:
            os.waitpid(self.pid, 0)
        os.close(self.pipe)
        seconds = time.monotonic() - self.begin
        if killed:
            return "failed", "not over within %.0f s" % (self.deadline - self.begin), seconds
        try:
            result = json.loads(self.text)
        except ValueError:
            return "failed", "the process of the test died", seconds
        return result["state"], result["text"], seconds


def run_all(run, tests, jobs, verbose):
    """Runs the tests; returns (passed, failed, skipped) as lists of names."""
    results = {"passed": [], "failed": [], "skipped": []}
    # Tests that need the whole machine run last, one at a time.
    waiting = sorted(enumerate(tests, 1), key=lambda item: (item[1].alone, item[0]))
    selector = selectors.DefaultSelector()
    running = {}

    def finish(one, killed=False):
        selector.unregister(one.pipe)
        del running[one.pipe]
        state, text, seconds = one.end(killed)
        results[state].append(one.test.name)
        if state != "passed" or verbose:
            word = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[state]
            print("%s %6.1f s  %s: %s" % (word, seconds, one.test.file, one.test.name), flush=True)
        if state == "failed":
            print("    " + text.strip().replace("\n", "\n    "))
            print("    logs: %s" % one.folder, flush=True)
        elif text and (verbose or state == "skipped"):
            print("    " + text, flush=True)
        if state != "failed":
            shutil.rmtree(one.folder, ignore_errors=True)

    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                if waiting[0][1].alone and running:
                    break
                if any(one.test.alone for one in running.values()):
                    break
                number, test_ = waiting.pop(0)
                one = Running(run, test_, number)
                running[one.pipe] = one
                selector.register(one.pipe, selectors.EVENT_READ)
            soonest = min(one.deadline for one in running.values())
            for key, _ in selector.select(max(0.01, min(soonest - time.monotonic(), 5))):
                one = running[key.fd]
                part = os.read(key.fd, 1 << 16)
                one.text += part
                if not part:
                    finish(one)
            for one in list(running.values()):
                if time.monotonic() > one.deadline:
                    finish(one, killed=True)
    finally:
        for one in list(running.values()):
            finish(one, killed=True)
    return results


def make_folder():
    return tempfile.mkdtemp(prefix="rum-tests-")

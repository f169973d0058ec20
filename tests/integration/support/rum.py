"""One rum process of a test: starts it, waits for it, queries it, ends it and checks everything.

At its end the process must be alive, its descriptors back where they were, its exit code 0 after
TERM, no sanitizer may have complained, and no secret may stand in anything it has said.
"""

import collections
import json
import os
import re
import resource
import signal
import subprocess
import time

from support import net
from support.build import SUPPORT
from support.harness import end_with_parent
from support.mariadb import SECRETS

# A sanitizer's report: in the log, in the files named by log_path, or as the exit code.
REPORT = re.compile(r"Sanitizer|runtime error:|: SUMMARY:")
SANITIZER_EXIT = 86


def environment(context, report, chroot=False):
    env = dict(os.environ)
    for name in ("RUM_MODULE_DIR", "LD_PRELOAD"):
        env.pop(name, None)
    env["RUM_MODULE_DIR"] = context.run.build.modules
    env["LC_ALL"] = "C"
    common = "log_path=%s:exitcode=%d:" % (report, SANITIZER_EXIT)
    leaks = 1
    if chroot:  # has neither the file nor /proc: reports are in the log
        common, leaks = "exitcode=%d:" % SANITIZER_EXIT, 0
    env["ASAN_OPTIONS"] = common + "detect_leaks=%d:verify_asan_link_order=0" % leaks
    env["UBSAN_OPTIONS"] = common + "halt_on_error=1:print_stacktrace=1"
    env["TSAN_OPTIONS"] = common + "second_deadlock_stack=1:suppressions=" + os.path.join(
        SUPPORT, "..", "..", "support", "tsan.supp")
    return env


class Successor:
    """A process that has taken over; has what the tests use of subprocess.Popen. While the old process
    lives it is its child, and then the test's."""

    def __init__(self, pid):
        self.pid, self.returncode = pid, None

    def poll(self):
        if self.returncode is None:
            try:
                done, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                try:
                    os.kill(self.pid, 0)
                except ProcessLookupError:
                    self.returncode = -1
                return self.returncode
            if done:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds=None):
        end = time.monotonic() + (seconds or 1e9)
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("rum", seconds)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)


class Rum:
    def __init__(self, context, arguments, ready=True, stats=True, log="json", env=None,
                 descriptors=None, preload=None, wait=True, check_descriptors=True, program=None,
                 prepare=None):
        self.context = context
        self.program = program or context.run.build.rum
        self.build = context.run.build
        number = context.number()
        self.name = "rum-%d" % number
        self.log_path = context.path(self.name + ".log")
        self.report_path = context.path(self.name + ".sanitizer")
        self.arguments = [str(a) for a in arguments]
        self.logs_here = "-l" not in self.arguments and "--config" not in self.arguments
        self.stats_address = None
        if stats is True:
            self.stats_address = "sock:" + context.path(self.name + ".stats")
            self.arguments += ["-m", self.stats_address]
        elif stats:
            self.stats_address = stats
        if log:
            self.arguments += ["--log-format", log]
        # rum's probes may come at any time; tests that count connections must not see them.
        if not any(a in self.arguments for a in ("--health-check", "--mysql-greeting", "--config")):
            self.arguments += ["--health-check", "off"]
        if "--state-dir" not in self.arguments:
            self.arguments += ["--state-dir", context.path(self.name + ".state")]
        self.env = environment(context, self.report_path, "--chroot" in self.arguments)
        self.env.update(env or {})
        self.descriptor_limit = descriptors
        self.prepare = prepare  # called in the child process before exec
        if preload:
            self.env["LD_PRELOAD"] = preload
        self.wait_ready, self.wait_listening = ready, wait
        self.check_descriptors = check_descriptors
        self.process = None
        self.baseline = None
        self.hand_overs = 0
        self.ended = False
        self.not_up = None  # the reason why it is not up yet
        self.said = {}  # bodies of the statistics, to search for secrets
        self._read_to = 0

    # Start

    def listeners(self):
        found = []
        for i, argument in enumerate(self.arguments):
            if argument in ("-s", "--listen"):
                found.append(self.arguments[i + 1])
            elif argument.startswith("--listen="):
                found.append(argument[len("--listen="):])
        return found

    def start(self):
        def prepare():
            end_with_parent()
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
            if self.descriptor_limit:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.descriptor_limit,) * 2)
            if self.prepare:
                self.prepare()

        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program] + self.arguments, env=self.env,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=prepare, cwd=self.context.folder)
        self.pid = self.process.pid
        if self.wait_listening:
            net.until(self._up, 8 * self.context.scale,
                      lambda: "rum is up (last: %s); it said:\n%s" % (self.not_up, self.log()))
            self.baseline = self._settled()
        return self

    def _up(self):
        if self.process.poll() is not None:
            raise AssertionError("rum ended with %d at its start:\n%s"
                                 % (self.process.returncode, self.log()))
        # The table has a path as rum sees it: below a --chroot, tests need names of their own.
        missing = [a for a in self.listeners() if not net.listening(a)]
        if missing:
            self.not_up = "nobody listens on %s" % missing
            return False
        if not self.stats_address:  # the last line of its start, which comes after --chroot and --user
            self.not_up = "no line that it serves"
            return not self.logs_here or " serves" in self.log()
        try:
            self.not_up = self.get("/ready" if self.wait_ready else "/live")
            return self.not_up[0] == 200
        except (OSError, IndexError) as e:
            self.not_up = repr(e)
            return False

    def _settled(self):
        """The open descriptors, after those of the start are closed, and with them the temporary files
        of what is written at the start."""
        last = None
        for _ in range(200):
            now = self.descriptors()
            if now == last and not any(os.path.basename(name).startswith(".") for name in now):
                return now
            last = now
            time.sleep(0.02)
        raise AssertionError("descriptors do not settle after the start: %s" % last)

    # What it is

    def alive(self):
        return self.process.poll() is None

    def descriptors(self):
        """Open descriptors by kind."""
        kinds = collections.Counter()
        folder = "/proc/%d/fd" % self.pid
        for fd in os.listdir(folder):
            try:
                target = os.readlink(os.path.join(folder, fd))
            except OSError:
                continue
            target = re.sub("^/proc/[0-9]+/", "/proc/self/", target)  # the same for every process
            kinds[target.split(":")[0] if ":" in target else target] += 1
        return dict(kinds)

    def resident(self):
        """Bytes of memory in use."""
        with open("/proc/%d/statm" % self.pid) as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def processor_seconds(self):
        with open("/proc/%d/stat" % self.pid) as f:
            field = f.read().rsplit(")", 1)[1].split()
        return (int(field[11]) + int(field[12])) / os.sysconf("SC_CLK_TCK")

    # What it says

    def log(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "backslashreplace")

    def wait_log(self, part, seconds=10, times=1):
        net.until(lambda: self.log().count(part) >= times, seconds * self.context.scale,
                  lambda: "%r in the log:\n%s" % (part, self.log()[-3000:]))

    def records(self):
        """The log as objects, of the json format."""
        found = []
        for line in self.log().splitlines(True):
            if line.startswith("{") and line.endswith("\n"):  # the last line may be incomplete
                found.append(json.loads(line))
        return found

    def sessions(self):
        """The session records in the log."""
        return [r for r in self.records() if r.get("event") == "session"]

    def wait_sessions(self, count, seconds=10):
        net.until(lambda: len(self.sessions()) >= count, seconds * self.context.scale,
                  lambda: "%d sessions in the log:\n%s" % (count, self.log()[-3000:]))
        return self.sessions()

    def session(self, number=0, seconds=10):
        return self.wait_sessions(number + 1, seconds)[number]

    def get(self, path):
        status, headers, body = net.http_get(self.stats_address, path)
        self.said[path] = body.decode("utf-8", "backslashreplace")
        return status, headers, body

    def stats(self):
        status, _, body = self.get("/stats")
        assert status == 200, status
        return json.loads(body)

    def metrics(self):
        """{name or name{labels}: number}"""
        status, _, body = self.get("/metrics")
        assert status == 200, status
        values = {}
        for line in body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = float(value)
        return values

    def metric(self, name):
        """The sum of a counter over its labels."""
        return sum(v for k, v in self.metrics().items() if k == name or k.startswith(name + "{"))

    # Hand-over

    def hand_over(self, seconds=15, ask=None):
        """Sends USR2, or calls `ask`; returns the old process, which may continue for its sessions. This
        object is now the new process."""
        old = self.process
        ask() if ask else self.signal(signal.SIGUSR2)
        def serves():
            found = re.findall(r"hand-over: process (\d+) serves", self.log())
            return int(found[-1]) if len(found) > self.hand_overs else None
        pid = net.until(serves, seconds * self.context.scale,
                        lambda: "the new process serves:\n%s" % self.log()[-3000:])
        self.hand_overs += 1
        self.process, self.pid = Successor(pid), pid
        return old

    # End

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, seconds=10):
        try:
            code = self.process.wait(seconds * self.context.scale)
        except subprocess.TimeoutExpired:
            raise AssertionError("rum did not end within %.0f s:\n%s" % (seconds, self.log()[-3000:]))
        self.ended = True
        return code

    def back_to_baseline(self, seconds=5):
        """After the sessions have ended, there are no more descriptors than at the start, when a health
        check may have had some. Splice pipes may stay in a pool of bounded size."""
        last = {}

        def back():
            last.update(now=self.descriptors())
            now, before = dict(last["now"]), dict(self.baseline)
            pipes = now.pop("pipe", 0) - before.pop("pipe", 0)
            more = [kind for kind in now if now[kind] > before.get(kind, 0)]
            return not more and pipes <= 2 * 16 * (os.cpu_count() or 1)

        net.until(back, seconds * self.context.scale,
                  lambda: "descriptors at the start %s, at the end %s" % (self.baseline, last))

    def finish(self, forgiving=False):
        if self.process is None:
            return
        problem = None
        if not self.ended and self.alive():
            if self.baseline and self.check_descriptors and not forgiving:
                try:
                    self.back_to_baseline()
                except AssertionError as e:
                    problem = e
            if self.stats_address and not forgiving:
                try:
                    self.get("/stats"), self.get("/metrics")
                except OSError as e:
                    problem = problem or AssertionError("no statistics at the end: %s" % e)
            # A second TERM ends the sessions that a failed test has left open.
            for again in range(2 if forgiving or problem else 1):
                self.signal(signal.SIGTERM)
                time.sleep(0.05 * (1 - again))
            try:
                code = self.wait_exit(10)
            except AssertionError:
                self.process.kill()
                self.process.wait()
                raise
            if code != 0 and not problem:
                problem = AssertionError("ended with %d after TERM:\n%s" % (code, self.log()[-2000:]))
        elif not self.ended:
            self.process.wait()
            problem = AssertionError("ended by itself with %d:\n%s"
                                     % (self.process.returncode, self.log()[-3000:]))
        check_reports(self.context.folder, self.name)
        check_reports_in(self.log(), self.name)
        check_secrets(self.name + "'s log", self.log())
        for path, body in self.said.items():
            check_secrets(path, body)
        if problem and not forgiving:
            raise problem


def check_reports(folder, name):
    for file in os.listdir(folder):
        if file.startswith(name + ".sanitizer"):
            with open(os.path.join(folder, file), errors="replace") as f:
                raise AssertionError("a sanitizer reports:\n" + f.read()[:6000])


def check_reports_in(text, name):
    found = REPORT.search(text)
    if found:
        raise AssertionError("%s: a sanitizer reports:\n%s" % (name, text[found.start():][:6000]))


def check_secrets(where, text):
    for secret in SECRETS:
        if secret.lower() in text.lower():
            raise AssertionError("a secret (%s...) stands in %s" % (secret[:4], where))


def run_once(context, *arguments, seconds=20, env=None):
    """Runs rum until it exits; returns (exit status, standard output, standard error)."""
    name = "once-%d" % context.number()
    full_env = environment(context, context.path(name + ".sanitizer"))
    full_env.update(env or {})
    done = subprocess.run([context.run.build.rum] + [str(a) for a in arguments], env=full_env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=seconds * context.scale,
                          preexec_fn=end_with_parent, cwd=context.folder)
    check_reports(context.folder, name)
    out = done.stdout.decode("utf-8", "backslashreplace")
    err = done.stderr.decode("utf-8", "backslashreplace")
    check_reports_in(out + err, name)
    return done.returncode, out, err
